use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::covering::{Budget, Covering, Covers, PRESENT, below};
use crate::{index::FilterIndex, interest::InterestChange, topic::TopicFilter, wire::RouteOp};

/// What of local interest is announced over a link: interest ∩ imports, counted, and reduced by covering.
///
/// ```text
///  interest        imports       wanted          announced
///  a/b         ∩   a/#        =  a/b ×1     ──▶  a/b        announced before its cover came: stays
///  a/+         ∩   a/#        =  a/+ ×1     ──▶  a/+
///  a/c         ∩   a/#        =  a/c ×1          (hidden by a/+)
///  x/y         ∩   a/#        =  nothing
/// ```
///
/// Invariants: a wanted route is announced or hidden, never both; an announced route covers each hidden one. So the
/// announced routes match all topics that the wanted ones match, and no others but those of a cover that lingers: one
/// that nobody wants any more, while what it hid is announced little by little.
///
/// No step is large for being about a cover: what follows of its coming and going is spread, see [`Covers`].
#[derive(Debug, Clone)]
pub(super) struct View {
    imports: Vec<TopicFilter>,
    /// With the number of interest filters that want each; 0 for one that lingers.
    announced: BTreeMap<TopicFilter, u64>,
    hidden: BTreeMap<TopicFilter, u64>,
    /// Announced routes with a wildcard: nothing else covers another route.
    covers: Covers,
    /// Changes that were made so far.
    made: u64,
}

impl View {
    /// Nothing is wanted yet. `seed`: of the hash tables, for clients choose the filters.
    pub(super) fn new(imports: Vec<TopicFilter>, seed: u64) -> Self {
        Self {
            imports: reduce(imports, seed),
            announced: BTreeMap::new(),
            hidden: BTreeMap::new(),
            covers: Covers::new(seed),
            made: 0,
        }
    }

    /// Takes changes of interest as one step, and gives the changes of the announced set that follow: every addition
    /// before every removal.
    pub(super) fn apply(&mut self, changes: &[InterestChange]) -> Vec<RouteOp> {
        let mut shifts: BTreeMap<TopicFilter, i64> = BTreeMap::new();
        for change in changes {
            let (filter, by) = match change {
                InterestChange::Added(filter) => (filter, 1),
                InterestChange::Removed(filter) => (filter, -1),
            };
            for route in cut(&self.imports, filter) {
                *shifts.entry(route).or_default() += by;
            }
        }
        self.shift(shifts)
    }

    /// Cuts `interest`, which is all that was applied so far, to other imports. Costs one pass over it.
    pub(super) fn set_imports<'a>(
        &mut self,
        imports: Vec<TopicFilter>,
        interest: impl IntoIterator<Item = &'a TopicFilter>,
        seed: u64,
    ) -> Vec<RouteOp> {
        let old = std::mem::replace(&mut self.imports, reduce(imports, seed));
        let mut shifts: BTreeMap<TopicFilter, i64> = BTreeMap::new();
        for filter in interest {
            let (before, after) = (cut(&old, filter), cut(&self.imports, filter));
            for route in before.difference(&after) {
                *shifts.entry(route.clone()).or_default() -= 1;
            }
            for route in after.difference(&before) {
                *shifts.entry(route.clone()).or_default() += 1;
            }
        }
        // An operator's change takes effect at once, also on what lingers.
        let budget = std::mem::replace(&mut self.covers.budget, Budget::UNLIMITED);
        let ops = self.shift(shifts);
        self.covers.budget = budget;
        ops
    }

    /// The imports, without those that another one covers.
    pub(super) fn imports(&self) -> &[TopicFilter] {
        &self.imports
    }

    /// The announced routes, with how many interest filters want each, in order; 0 for one that lingers.
    pub(super) fn announced(&self) -> &BTreeMap<TopicFilter, u64> {
        &self.announced
    }

    /// How many changes were made so far.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Number of hidden routes.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// Sets how fast covering follows. Without it, all that follows from a change of interest is done at once, and what
    /// is announced is never withdrawn for being covered.
    pub(super) fn set_covering(&mut self, covering: Covering) {
        self.covers.set(covering);
    }

    /// It is so late: covering may do something again.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.covers.budget.fill(now);
    }

    /// Goes on with what covering has to do. `acked`: up to where all connected peers have acknowledged the set.
    pub(super) fn advance(&mut self, now: Duration, acked: Option<u64>) -> Vec<RouteOp> {
        self.set_now(now);
        self.covers.acknowledged(acked);
        let mut ops = self.step(Vec::new(), Vec::new());
        for route in self.covers.ripe(now, &self.announced) {
            let Some(count) = self.announced.remove(&route) else { continue };
            self.covers.remove(&route);
            self.hidden.insert(route.clone(), count);
            ops.push(RouteOp::Remove(route));
            self.made += 1;
        }
        ops
    }

    /// When [`advance`](Self::advance) has something to do, if nothing else happens.
    pub(super) fn next_advance(&self) -> Option<Duration> {
        self.covers.next()
    }

    /// Whether covers wait to be acknowledged.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.covers.awaits_acknowledgement()
    }

    /// Number of routes that nobody wants any more, announced until what they hid is.
    pub(super) fn lingering(&self) -> usize {
        self.covers.lingering()
    }

    /// Moves the counts of routes. Only those that begin or cease to be wanted matter.
    fn shift(&mut self, shifts: BTreeMap<TopicFilter, i64>) -> Vec<RouteOp> {
        let (mut entering, mut unwanted) = (Vec::new(), Vec::new());
        for (route, by) in shifts {
            if let Some(count) = self.announced.get_mut(&route) {
                let before = std::mem::replace(count, count.saturating_add_signed(by));
                match (before, *count) {
                    // It lingered.
                    (0, 1..) => self.covers.add(&route, self.made),
                    (1.., 0) => unwanted.push(route),
                    _ => {}
                }
            } else if let Some(count) = self.hidden.get_mut(&route) {
                *count = count.saturating_add_signed(by);
                if *count == 0 {
                    self.hidden.remove(&route);
                }
            } else if by > 0 {
                entering.push((route, by.unsigned_abs()));
            }
        }
        let mut withdrawn = Vec::new();
        for route in unwanted {
            if route.is_wildcard() && below(&self.hidden, &route, None).next().is_some() {
                self.covers.linger(&route);
            } else {
                withdrawn.push(route);
            }
        }
        self.step(entering, withdrawn)
    }

    /// One step: what enters, what it may hide or announce, and what goes. Every addition before every removal.
    fn step(&mut self, entering: Vec<(TopicFilter, u64)>, withdrawn: Vec<TopicFilter>) -> Vec<RouteOp> {
        for route in &withdrawn {
            self.covers.remove(route);
        }
        let (bare, finished) = self.covers.bared(&self.hidden);
        let mut candidates: Vec<_> = entering.into_iter().map(|(route, count)| (route, Some(count))).collect();
        candidates.extend(bare.into_iter().map(|route| (route, None)));
        candidates.sort_by_cached_key(|(route, _)| breadth(route));

        let mut ops = Vec::with_capacity(candidates.len() + withdrawn.len() + finished.len());
        for (route, entering) in candidates {
            let covered = self.covers.hide(&route);
            match entering {
                Some(count) if covered => drop(self.hidden.insert(route, count)),
                Some(count) => ops.push(self.announce(route, count)),
                None if covered => {}
                None => {
                    // The text that is kept is shared with the interest.
                    let kept = self.hidden.remove_entry(&route);
                    ops.extend(kept.map(|(route, count)| self.announce(route, count)));
                }
            }
        }
        for route in withdrawn.into_iter().chain(finished) {
            self.announced.remove(&route);
            self.made += 1;
            ops.push(RouteOp::Remove(route));
        }
        ops
    }

    fn announce(&mut self, route: TopicFilter, count: u64) -> RouteOp {
        self.made += 1;
        if route.is_wildcard() {
            self.covers.add(&route, self.made);
        }
        self.announced.insert(route.clone(), count);
        RouteOp::Add(route)
    }
}

/// The distinct routes that a filter makes with the imports.
fn cut(imports: &[TopicFilter], filter: &TopicFilter) -> BTreeSet<TopicFilter> {
    imports.iter().filter_map(|import| import.intersect(filter)).collect()
}

/// Filters without those that another one covers.
pub(super) fn reduce(filters: Vec<TopicFilter>, seed: u64) -> Vec<TopicFilter> {
    let mut filters: Vec<TopicFilter> = filters.iter().map(TopicFilter::without_share).collect();
    filters.sort_by_cached_key(breadth);
    let mut kept = FilterIndex::new(seed);
    filters.retain(|filter| !kept.covers(filter) && kept.insert(filter, PRESENT));
    filters
}

/// Orders filters so that one which covers another comes first: fewer levels before `#`, then with `#`, then more `+`.
pub(super) fn breadth(filter: &TopicFilter) -> (usize, bool, Reverse<usize>, TopicFilter) {
    // It says the same as `/+/#`: one empty level alone is no topic.
    if filter.as_str() == "/#" {
        return (2, false, Reverse(1), filter.clone());
    }
    let levels = filter.levels().count();
    let open = filter.levels().last() == Some("#");
    let plus = filter.levels().filter(|level| *level == "+").count();
    (levels - usize::from(open), !open, Reverse(plus), filter.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters() -> impl Strategy<Value = TopicFilter> {
        let level = prop::sample::select(vec!["a", "b", "+", "$x", ""]);
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(levels, open)| {
            let text = levels.join("/") + if open { "/#" } else { "" };
            TopicFilter::new(if text.is_empty() { "#".to_owned() } else { text }).unwrap()
        })
    }

    proptest! {
        #[test]
        fn covered_routes_are_found_where_they_begin_alike_and_behind_a_cursor(
            wide in filters(),
            routes in prop::collection::btree_map(filters(), Just(1), 0..40),
            at in any::<prop::sample::Index>(),
        ) {
            let expected: BTreeSet<&TopicFilter> = routes.keys().filter(|route| wide.covers(route)).collect();
            let all: Vec<&TopicFilter> = below(&routes, &wide, None).collect();
            prop_assert_eq!(all.iter().copied().filter(|route| wide.covers(route)).collect::<BTreeSet<_>>(), expected);
            if !all.is_empty() {
                let at = at.index(all.len());
                prop_assert_eq!(below(&routes, &wide, Some(all[at])).collect::<Vec<_>>(), &all[at + 1..]);
            }
        }

        #[test]
        fn what_covers_is_broader(f in filters(), g in filters()) {
            if f.covers(&g) && !g.covers(&f) {
                prop_assert!(breadth(&f) < breadth(&g), "{f} covers {g}");
            }
        }

        #[test]
        fn each_hidden_route_has_an_announced_cover(
            imports in prop::collection::vec(filters(), 0..4),
            calls in prop::collection::vec(prop::collection::vec((any::<bool>(), filters()), 0..4), 0..30),
            bit_by_bit in any::<bool>(),
        ) {
            let mut view = View::new(imports.clone(), 7);
            if bit_by_bit {
                view.set_covering(Covering { stable: Duration::ZERO, per_second: 11 });
            }
            let mut interest = BTreeSet::new();
            for call in calls {
                let changes: Vec<InterestChange> = call.into_iter().filter_map(|(add, filter)| {
                    let turned = if add { interest.insert(filter.clone()) } else { interest.remove(&filter) };
                    turned.then(|| if add { InterestChange::Added(filter) } else { InterestChange::Removed(filter) })
                }).collect();
                view.apply(&changes);
                view.advance(view.covers.next().unwrap_or_default(), Some(view.made));
                prop_assert!(view.announced.iter().all(|(a, count)| (*count == 0) == view.covers.is_lingering(a)));
                let wanted: BTreeSet<TopicFilter> = interest.iter().flat_map(|filter| cut(view.imports(), filter)).collect();
                let kept: BTreeSet<TopicFilter> = view.announced.iter().chain(&view.hidden).filter(|(_, count)| **count > 0).map(|(route, _)| route.clone()).collect();
                prop_assert_eq!(kept, wanted);
                prop_assert!(view.hidden.keys().all(|h| view.announced.keys().any(|a| a != h && a.covers(h))));
                let wide: Vec<&TopicFilter> = view.announced.iter().filter(|(route, count)| route.is_wildcard() && **count > 0).map(|(route, _)| route).collect();
                prop_assert_eq!(wide, view.covers.firm().collect::<Vec<_>>());
            }
        }
    }
}
