use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

use crate::{
    index::FilterIndex,
    mutant::{self, Mutant},
    topic::TopicFilter,
};

/// How fast covering follows what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covering {
    /// How long a cover has to be acknowledged, and wanted without a break, before routes that were announced earlier
    /// are withdrawn in its favour; 60 s by default. Longer than clients come and go with `#`.
    pub stable: Duration,
    /// Most changes a second that covering makes of its own, by withdrawing what is covered and announcing what no
    /// longer is; 1,000 by default, at least 11. Changes of interest are not counted: each makes two at most.
    pub per_second: u32,
}

impl Default for Covering {
    fn default() -> Self {
        Self { stable: Duration::from_secs(60), per_second: 1000 }
    }
}

/// How often the budget is filled.
const TICK: Duration = Duration::from_millis(100);
/// So many ticks are in a second at most, the one before it included, of which something may be left.
const TICKS: u32 = 11;
/// Most routes that are looked at in one tick.
const LOOKS: usize = 4096;

/// What covering may still do until the next tick.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    each: usize,
    changes: usize,
    looks: usize,
    filled: Duration,
}

impl Budget {
    pub(super) const UNLIMITED: Self =
        Self { each: usize::MAX, changes: usize::MAX, looks: usize::MAX, filled: Duration::ZERO };

    fn new(covering: Covering) -> Self {
        let each = usize::try_from(covering.per_second / TICKS).unwrap_or(usize::MAX).max(1);
        Self { each, changes: each, looks: LOOKS, filled: Duration::ZERO }
    }

    pub(super) fn fill(&mut self, now: Duration) {
        if now >= self.filled + TICK && self.each != usize::MAX {
            *self = Self { each: self.each, changes: self.each, looks: LOOKS, filled: now };
        }
    }

    fn look(&mut self) -> bool {
        let may = self.looks > 0;
        if self.looks != usize::MAX {
            self.looks = self.looks.saturating_sub(1);
        }
        may
    }

    fn change(&mut self) -> bool {
        let may = self.changes > 0;
        if self.changes != usize::MAX {
            self.changes = self.changes.saturating_sub(1);
        }
        may
    }
}

/// Where a walk over routes stands: before all of them, or behind one.
type Cursor = Option<TopicFilter>;

/// The announced routes that cover others.
///
/// ```text
///   wanted                       acknowledged             stable for long enough
///  ───────▶ young ──────────────▶ ripening ──────────────▶ sweeping ──────────────▶ done
///             │ no longer wanted      │                        │ what it covers       │
///             ▼                       ▼                        ▼ is withdrawn         ▼
///           lingering: what it hides is announced, then it is withdrawn; or it is wanted again, and young
/// ```
///
/// Invariant: a hidden route is covered by one that is *firm*, that is in the upper row, or is still ahead of the walk of
/// a lingering one that covers it. So when a walk is over, its cover hides nothing alone.
#[derive(Debug)]
pub(super) struct Covers {
    covering: Option<Covering>,
    pub(super) budget: Budget,
    firm: BTreeMap<TopicFilter, Stage>,
    young: BTreeSet<(u64, TopicFilter)>,
    ripening: BTreeSet<(Duration, TopicFilter)>,
    sweeping: BTreeMap<TopicFilter, Cursor>,
    lingering: BTreeMap<TopicFilter, Cursor>,
    /// The firm ones.
    index: FilterIndex<u8>,
    seed: u64,
    /// Up to where all connected peers have acknowledged.
    acked: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Young(u64),
    Ripening(Duration),
    Sweeping,
    Done,
}

impl Clone for Covers {
    fn clone(&self) -> Self {
        Self {
            covering: self.covering,
            budget: self.budget.clone(),
            firm: self.firm.clone(),
            young: self.young.clone(),
            ripening: self.ripening.clone(),
            sweeping: self.sweeping.clone(),
            lingering: self.lingering.clone(),
            index: FilterIndex::build(self.seed, self.firm.keys().map(|route| (route, PRESENT))),
            seed: self.seed,
            acked: self.acked,
        }
    }
}

impl Covers {
    /// No covers. All is done at once, and nothing that is announced is withdrawn for being covered, until
    /// [`set`](Self::set).
    pub(super) fn new(seed: u64) -> Self {
        Self {
            covering: None,
            budget: Budget::UNLIMITED,
            firm: BTreeMap::new(),
            young: BTreeSet::new(),
            ripening: BTreeSet::new(),
            sweeping: BTreeMap::new(),
            lingering: BTreeMap::new(),
            index: FilterIndex::new(seed),
            seed,
            acked: 0,
        }
    }

    pub(super) fn set(&mut self, covering: Covering) {
        self.covering = Some(covering);
        self.budget = Budget::new(covering);
    }

    /// A wildcard route is announced and wanted from `seq` on.
    pub(super) fn add(&mut self, route: &TopicFilter, seq: u64) {
        self.lingering.remove(route);
        self.index.insert(route, PRESENT);
        let stage = if self.covering.is_some() { Stage::Young(seq) } else { Stage::Done };
        if self.covering.is_some() {
            self.young.insert((seq, route.clone()));
        }
        self.firm.insert(route.clone(), stage);
    }

    /// A route is no longer announced, or no longer wanted.
    pub(super) fn remove(&mut self, route: &TopicFilter) {
        let Some(stage) = self.firm.remove(route) else { return };
        self.index.remove(route, &PRESENT);
        match stage {
            Stage::Young(seq) => drop(self.young.remove(&(seq, route.clone()))),
            Stage::Ripening(at) => drop(self.ripening.remove(&(at, route.clone()))),
            Stage::Sweeping => drop(self.sweeping.remove(route)),
            Stage::Done => {}
        }
    }

    /// A firm route is no longer wanted, and stays announced until what it hides is.
    pub(super) fn linger(&mut self, route: &TopicFilter) {
        self.remove(route);
        self.lingering.insert(route.clone(), None);
    }

    /// Whether a firm route covers this one.
    pub(super) fn hide(&self, route: &TopicFilter) -> bool {
        self.index.covers(route)
    }

    /// Number of routes that are announced only for what they hide.
    pub(super) fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// All connected peers have acknowledged the set up to here.
    pub(super) fn acknowledged(&mut self, seq: Option<u64>) {
        self.acked = seq.unwrap_or(0);
    }

    /// Goes on with the lingering routes: gives hidden ones that only they cover, as many as may be announced now, and
    /// those that hide nothing more.
    pub(super) fn bared(&mut self, hidden: &BTreeMap<TopicFilter, u64>) -> (BTreeSet<TopicFilter>, Vec<TopicFilter>) {
        let (mut bare, mut finished) = (BTreeSet::new(), Vec::new());
        while let Some((cover, mut cursor)) = self.lingering.pop_first() {
            let mut is_over = true;
            for route in below(hidden, &cover, cursor.as_ref()) {
                if !self.budget.look() {
                    is_over = false;
                    break;
                }
                let is_bare = cover.covers(route) && !self.index.covers(route);
                if is_bare && !bare.contains(route) {
                    if !self.budget.change() {
                        is_over = false;
                        break;
                    }
                    bare.insert(route.clone());
                }
                cursor = Some(route.clone());
            }
            if !is_over && !mutant::on(Mutant::CoverFirst) {
                self.lingering.insert(cover, cursor);
                break;
            }
            finished.push(cover);
        }
        (bare, finished)
    }

    /// Lets covers ripen, and gives announced routes that ripe ones cover, as many as may be withdrawn now.
    pub(super) fn ripe(&mut self, now: Duration, announced: &BTreeMap<TopicFilter, u64>) -> BTreeSet<TopicFilter> {
        let mut covered = BTreeSet::new();
        let Some(covering) = self.covering else { return covered };
        while self.young.first().is_some_and(|(seq, _)| *seq <= self.acked) && self.budget.look() {
            let Some((_, route)) = self.young.pop_first() else { break };
            let at = now + covering.stable;
            self.firm.insert(route.clone(), Stage::Ripening(at));
            self.ripening.insert((at, route));
        }
        while self.ripening.first().is_some_and(|(at, _)| *at <= now) && self.budget.look() {
            let Some((_, route)) = self.ripening.pop_first() else { break };
            self.firm.insert(route.clone(), Stage::Sweeping);
            self.sweeping.insert(route, None);
        }
        while let Some((cover, mut cursor)) = self.sweeping.pop_first() {
            // One that another ripe one covers hides nothing by itself.
            let mut is_over = true;
            for (route, wanted) in below_with(announced, &cover, cursor.as_ref()) {
                if covered.contains(&cover) {
                    break;
                }
                if !self.budget.look() {
                    is_over = false;
                    break;
                }
                let is_lingering = *wanted == 0;
                if *route != cover && !is_lingering && cover.covers(route) && !covered.contains(route) {
                    if !self.budget.change() {
                        is_over = false;
                        break;
                    }
                    covered.insert(route.clone());
                }
                cursor = Some(route.clone());
            }
            if !is_over {
                self.sweeping.insert(cover, cursor);
                break;
            }
            self.firm.insert(cover, Stage::Done);
        }
        covered
    }

    /// Whether some are not known to be acknowledged.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        !self.young.is_empty()
    }

    /// When there is something to do next without a change of interest.
    pub(super) fn next(&self) -> Option<Duration> {
        let tick = self.budget.filled + TICK;
        let is_acked = self.young.first().is_some_and(|(seq, _)| *seq <= self.acked);
        if is_acked || !self.sweeping.is_empty() || !self.lingering.is_empty() {
            return Some(tick);
        }
        self.ripening.first().map(|(at, _)| tick.max(*at))
    }

    #[cfg(test)]
    pub(super) fn firm(&self) -> impl Iterator<Item = &TopicFilter> {
        assert_eq!(self.firm.len(), self.index.len());
        self.firm.keys()
    }

    #[cfg(test)]
    pub(super) fn is_lingering(&self, route: &TopicFilter) -> bool {
        self.lingering.contains_key(route)
    }
}

/// What an index of routes says of each.
pub(super) const PRESENT: u8 = 0;

/// The routes that `wide` may cover: those that begin as it does before its first wildcard, and the level above. Behind
/// the cursor.
pub(super) fn below<'a>(
    routes: &'a BTreeMap<TopicFilter, u64>,
    wide: &TopicFilter,
    cursor: Option<&TopicFilter>,
) -> impl Iterator<Item = &'a TopicFilter> + use<'a> {
    below_with(routes, wide, cursor).map(|(route, _)| route)
}

fn below_with<'a>(
    routes: &'a BTreeMap<TopicFilter, u64>,
    wide: &TopicFilter,
    cursor: Option<&TopicFilter>,
) -> impl Iterator<Item = (&'a TopicFilter, &'a u64)> + use<'a> {
    let text = wide.as_str();
    let begin = text[..text.find(['+', '#']).unwrap_or(text.len())].to_owned();
    // `a/#` covers `a` as well, which comes before all that begin with `a/`.
    let parent = begin.strip_suffix('/').filter(|_| cursor.is_none()).and_then(|parent| routes.get_key_value(parent));
    let after = cursor.map(TopicFilter::as_str).filter(|after| *after >= begin.as_str());
    let from = after.map_or(Bound::Included(begin.as_str()), Bound::Excluded);
    let rest = routes.range::<str, _>((from, Bound::Unbounded));
    parent.into_iter().chain(rest.take_while(move |(route, _)| route.as_str().starts_with(&begin)))
}
