use std::{collections::BTreeSet, ops::Range};

use thiserror::Error;

use super::{
    Cell, Estimator, FIRST_CELLS, MAINTAINED_CELLS, MAX_CELLS, RouteDigest, RouteId, RouteKey, SKETCH_FROM,
    outline::Outline,
    table::{RouteTable, id_of},
};
use crate::{
    mutant::{self, Mutant},
    topic::TopicFilter,
    wire::{CloseCode, Incarnation, RouteDelta, RouteDifference, RouteOp, RoutePosition, RouteSnapshot},
};

/// The exact copy of a peer's route set.
///
/// What counts is `certified ∪ loading ∪ stale`: the set as it was last proven equal, what has come so far of a
/// snapshot, and what unfinished snapshots before it have brought. Only the first has a position, so a resume never
/// builds on the others; the next proven step ends them.
///
/// ```text
///             certified   loading   stale        counts     position
///  (1, 7)     a b                                a b        (1, 7)
///  part 0     a b         b c                    a b c      (1, 7)
///  cut        a b                   c            a b c      (1, 7)
///  part 0     a b         b         c            a b c      (1, 7)
///  last part  b d                                b d        (2, 9)     c and a end, as the digest proves
/// ```
///
/// A step that can't be proven changes nothing of what counts. A route takes 40 bytes beside its text, in whichever of the
/// three it is; there are never more than `max_routes` certified ones and three times as many others, whatever the peer sends.
///
/// A comparison by sketches is about all that counts: what unfinished snapshots have brought is not sent again.
#[derive(Debug)]
pub struct RouteReplica {
    /// The latest life of which anything was taken.
    latest: Option<Incarnation>,
    /// The latest point that was proven, under whichever key: nothing leads behind it.
    proven: Option<(Incarnation, u64)>,
    /// All that counts; `None` before the first key is known.
    held: Option<Held>,
    /// What the certified set is proven to be; `None` while nothing was proven under the peer's key.
    proof: Option<(RoutePosition, RouteDigest)>,
    loading: Option<Loading>,
    /// Routes that are stale and not certified.
    stale: usize,
    max_routes: usize,
    sketch_from: usize,
}

/// All that counts.
#[derive(Debug)]
struct Held {
    table: RouteTable<Marks>,
    outline: Outline,
}

/// Why a route counts.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    certified: bool,
    loading: bool,
    stale: bool,
}

impl Marks {
    const CERTIFIED: Self = Self { certified: true, loading: false, stale: false };
    const LOADING: Self = Self { certified: false, loading: true, stale: false };
}

/// A snapshot or a difference of which some parts have come.
#[derive(Debug)]
struct Loading {
    to: RoutePosition,
    /// Number of the part that is due.
    next: u32,
    digest: RouteDigest,
    /// Of a difference: what it adds, and what it will remove.
    difference: Option<(Vec<TopicFilter>, Vec<RouteId>)>,
}

/// A change of what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Messages that match are wanted from now on.
    Add(TopicFilter),
    /// They are no longer wanted, by this filter.
    Remove(TopicFilter),
}

/// Why a step could not be taken. What counts is as it was; a snapshot that was under way has ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// Something is missing between what is held and what came.
    #[error("changes after {from} came, but {held} is held")]
    Gap {
        /// Where the step begins.
        from: u64,
        /// What is held.
        held: u64,
    },
    /// The step is of an earlier life than what is held, or its changes are of a later one.
    #[error("a step of life {came} came, life {held} is held")]
    OtherLife {
        /// The counter of the step's life.
        came: u64,
        /// The counter of the held life.
        held: u64,
    },
    /// The result is not the peer's set. If it was a step of changes, what is held is in doubt: it has no position any
    /// more, and only a snapshot gives it one.
    #[error("after the step to {seq} the digest or the count differs from the peer's")]
    Digest {
        /// Where the step leads.
        seq: u64,
    },
    /// A part of a snapshot came out of turn.
    #[error("part {came} of a snapshot came, {expected} is next")]
    Part {
        /// Its number.
        came: u32,
        /// The number that was due.
        expected: u32,
    },
    /// No key was announced.
    #[error("a step came before the key of its digests")]
    NoKey,
    /// More routes than allowed.
    #[error("the peer announces more than {limit} routes")]
    TooMany {
        /// Most routes allowed.
        limit: usize,
    },
}

impl RouteFault {
    /// Whether a resume can't mend it and the connection has to end.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::NoKey | Self::Part { .. })
    }

    /// The code with which the connection ends.
    pub fn close_code(&self) -> CloseCode {
        if matches!(self, Self::TooMany { .. }) { CloseCode::TooManyRoutes } else { CloseCode::Protocol }
    }
}

impl RouteReplica {
    /// Holds nothing yet, and never more than `max_routes` certified routes.
    pub fn new(max_routes: usize) -> Self {
        Self {
            latest: None,
            proven: None,
            held: None,
            proof: None,
            loading: None,
            stale: 0,
            max_routes,
            sketch_from: SKETCH_FROM,
        }
    }

    /// From so many routes on it offers its sketch for a comparison; [`SKETCH_FROM`] if this is not called. To be called
    /// before anything is taken.
    pub fn set_sketch_from(&mut self, routes: usize) {
        self.sketch_from = routes;
    }

    /// Takes note of the key of the peer's digests. With another key what is held can't be compared as it was proven; it goes
    /// on to count until a snapshot or a difference replaces it. Costs a hash for each route that is held.
    pub fn set_key(&mut self, key: RouteKey) {
        if self.held.as_ref().is_some_and(|held| *held.outline.key() == key) {
            return;
        }
        self.interrupted();
        self.proof = None;
        let table = match self.held.take() {
            None => RouteTable::new(key),
            Some(held) => held.table.rekey(key),
        };
        let mut outline = Outline::new(key, self.sketch_from);
        table.iter().for_each(|(filter, _)| outline.enter(key.hash(filter.as_str())));
        self.held = Some(Held { table, outline });
    }

    /// A new connection: a snapshot that was not finished will not be. What came of it goes on to count until the next
    /// step that is proven.
    pub fn interrupted(&mut self) {
        let (Some(loading), Some(held)) = (self.loading.take(), &mut self.held) else { return };
        let stale = &mut self.stale;
        let mut turn = |marks: &mut Marks| {
            if std::mem::take(&mut marks.loading) && !marks.certified && !marks.stale {
                marks.stale = true;
                *stale += 1;
            }
        };
        match loading.difference {
            // What it has added is known: no look at the others.
            Some((added, _)) => added.iter().for_each(|filter| {
                if let Some(marks) = held.table.get_mut(id_of(held.outline.key(), filter), filter) {
                    turn(marks);
                }
            }),
            None => held.table.update(turn),
        }
    }

    /// Takes a step of changes, and gives the changes of what counts, additions first. A repetition changes nothing.
    ///
    /// Net changes of `(from, to]` lead to `to` from every state in between: each filter that they touch gets its value
    /// at `to`, no other one changed.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_delta(&mut self, delta: &RouteDelta) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteDelta { from, to, ops } = delta;
        let (Some((held, mut digest)), Some(Held { table, outline })) = (self.proof, &self.held) else {
            return Err(RouteFault::Gap { from: *from, held: 0 });
        };
        if to.incarnation != held.incarnation {
            return Err(other_life(to.incarnation, held.incarnation));
        }
        if (to.seq < held.seq && !mutant::on(Mutant::OldDelta)) || *to == held {
            return Ok(Vec::new());
        }
        if to.seq == held.seq {
            // Two sets at one point of one life: no changes lead from one to the other.
            self.proof = None;
            return Err(RouteFault::Digest { seq: to.seq });
        }
        let believed =
            (to.seq < held.seq && mutant::on(Mutant::OldDelta)) || (*from > held.seq && mutant::on(Mutant::RouteGap));
        if *from > held.seq && !believed {
            return Err(RouteFault::Gap { from: *from, held: held.seq });
        }
        let key = *outline.key();
        let certified = |id, filter| table.get(id, filter).is_some_and(|marks| marks.certified);
        let (mut adds, mut removes) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            let (RouteOp::Add(filter) | RouteOp::Remove(filter)) = op;
            let hash = key.hash(filter.as_str());
            let id = RouteId::from_hash(hash);
            match op {
                RouteOp::Add(_) if !certified(id, filter) && adds.insert((filter, hash)) => digest.add_hash(hash),
                RouteOp::Remove(_) if certified(id, filter) && removes.insert((filter, hash)) => {
                    digest.remove_hash(hash);
                }
                _ => {}
            }
        }
        if digest.count().max(to.count) > self.max_routes as u64 {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        if (digest.digest() != to.digest || digest.count() != to.count) && !believed {
            self.proof = None;
            return Err(RouteFault::Digest { seq: to.seq });
        }
        self.interrupted();
        let Some(held) = &mut self.held else { return Ok(Vec::new()) };
        let mut changes = Vec::with_capacity(ops.len());
        for (filter, hash) in adds {
            if held.certify(filter, hash) {
                changes.push(RouteChange::Add(filter.clone()));
            }
        }
        for (filter, hash) in removes {
            held.remove(filter, hash);
            changes.push(RouteChange::Remove(filter.clone()));
        }
        changes.extend(self.end_stale());
        self.proof = Some((*to, digest));
        self.proven = Some((to.incarnation, to.seq));
        Ok(changes)
    }

    /// Takes a part of a snapshot, and gives the changes of what counts, additions first. Its filters count at once;
    /// what is in no part goes with the last one, if the digest is right. A snapshot of what is behind changes nothing.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_snapshot(&mut self, part: RouteSnapshot) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteSnapshot { to, part: number, last, filters } = part;
        let Some(mut loading) = self.begin_part(to, number, false)? else { return Ok(Vec::new()) };
        let Some(held) = &mut self.held else { return Err(RouteFault::NoKey) };
        let key = *held.outline.key();
        let mut digest = loading.digest;
        let mut fresh = BTreeSet::new();
        for filter in filters {
            let hash = key.hash(filter.as_str());
            let loaded = held.table.get(RouteId::from_hash(hash), &filter).is_some_and(|marks| marks.loading);
            if !loaded && fresh.insert((filter, hash)) {
                digest.add_hash(hash);
            }
        }
        if digest.count() > to.count || (last && (digest.digest() != to.digest || digest.count() != to.count)) {
            return Err(self.not_proven(loading));
        }

        self.latest = Some(to.incarnation);
        let mut changes = Vec::with_capacity(fresh.len());
        for (filter, hash) in fresh {
            match held.table.get_mut(RouteId::from_hash(hash), &filter) {
                Some(marks) => marks.loading = true,
                None => {
                    held.enter(filter.clone(), hash, Marks::LOADING);
                    changes.push(RouteChange::Add(filter));
                }
            }
        }
        loading.digest = digest;
        loading.next = number.saturating_add(1);
        if last {
            changes.extend(self.keep_only(|marks| marks.loading));
            self.prove(to, digest);
        } else {
            self.loading = Some(loading);
            changes.extend(self.limit_stale());
        }
        Ok(changes)
    }

    /// Takes a part of a difference, and gives the changes of what counts, additions first. What it adds counts at once; what
    /// it removes goes with the last part, if the digest is right: then all that counts, without that, is certified. Costs time
    /// in proportion to the part, unless something is stale.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_difference(&mut self, part: RouteDifference) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteDifference { to, part: number, last, adds, removes } = part;
        let Some(mut loading) = self.begin_part(to, number, true)? else { return Ok(Vec::new()) };
        let Some(held) = &mut self.held else { return Err(RouteFault::NoKey) };
        let Some((added, removed)) = &mut loading.difference else { return Err(RouteFault::NoKey) };
        let key = *held.outline.key();
        let mut digest = loading.digest;
        let mut fresh = BTreeSet::new();
        for filter in adds {
            let hash = key.hash(filter.as_str());
            if held.table.get(RouteId::from_hash(hash), &filter).is_none() && fresh.insert((filter, hash)) {
                digest.add_hash(hash);
            }
        }
        // Each removes something that is held.
        let too_many = removed.len() + removes.len() > held.table.len();
        removed.extend(removes);
        let mut going = BTreeSet::new();
        if last && !too_many {
            for id in removed.iter() {
                if let Some((filter, _)) = held.table.by_id(*id)
                    && going.insert(filter.clone())
                {
                    digest.remove_hash(key.hash(filter.as_str()));
                }
            }
        }
        let over = digest.count() > (self.max_routes as u64).saturating_mul(4);
        let wrong = digest.digest() != to.digest || digest.count() != to.count;
        if too_many || over || (last && wrong && !mutant::on(Mutant::UncheckedDifference)) {
            return Err(self.not_proven(loading));
        }

        self.latest = Some(to.incarnation);
        let mut changes = Vec::with_capacity(fresh.len() + going.len());
        for (filter, hash) in fresh {
            held.enter(filter.clone(), hash, Marks::LOADING);
            added.push(filter.clone());
            changes.push(RouteChange::Add(filter));
        }
        if mutant::on(Mutant::EarlyRemoval) {
            let gone = removed.iter().filter_map(|id| held.table.by_id(*id));
            changes.extend(gone.map(|(filter, _)| RouteChange::Remove(filter.clone())));
        }
        loading.digest = digest;
        loading.next = number.saturating_add(1);
        if !last {
            self.loading = Some(loading);
            return Ok(changes);
        }
        for filter in going {
            let hash = key.hash(filter.as_str());
            if held.remove(&filter, hash).is_some_and(|marks| marks.stale) {
                self.stale = self.stale.saturating_sub(1);
            }
            changes.push(RouteChange::Remove(filter));
        }
        if self.stale > 0 {
            held.table.update(|marks| *marks = Marks::CERTIFIED);
            self.stale = 0;
        } else {
            for filter in added.iter() {
                if let Some(marks) = held.table.get_mut(id_of(&key, filter), filter) {
                    *marks = Marks::CERTIFIED;
                }
            }
        }
        self.prove(to, digest);
        Ok(changes)
    }

    /// Ends all that counts: the peer is gone for good, or its lease is over. A late step of an earlier life goes on to
    /// be refused.
    pub fn retire(&mut self) -> Vec<RouteChange> {
        self.loading = None;
        self.proof = None;
        self.stale = 0;
        self.keep_only(|_| false)
    }

    /// What is held, for HELLO; `None` if nothing is proven under the peer's key.
    pub fn position(&self) -> Option<RoutePosition> {
        self.proof.map(|(position, _)| position)
    }

    /// Whether parts of a snapshot have come and it is not finished.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// All that counts, each filter once, in no order.
    pub fn visible(&self) -> impl Iterator<Item = &TopicFilter> {
        self.held.iter().flat_map(|held| held.table.iter()).map(|(filter, _)| filter)
    }

    /// Number of filters that count.
    pub fn count(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.outline.count())
    }

    /// The first cells of a sketch of all that counts, for a peer whose set stands at `routes`, with its changes kept from
    /// `kept_from` on. None where those are enough, or where the set is so small that it is sent quickly.
    pub fn first_cells(&self, routes: &RoutePosition, kept_from: u64) -> Vec<Cell> {
        let kept = |held: RoutePosition| {
            held.incarnation == routes.incarnation && (kept_from..=routes.seq).contains(&held.seq)
        };
        if self.position().is_some_and(kept) {
            return Vec::new();
        }
        self.held.as_ref().filter(|held| held.outline.is_large()).map_or_else(Vec::new, |_| self.cells(0..FIRST_CELLS))
    }

    /// Cells of a sketch of all that counts; none if the peer asks for more than can be of use. Those beyond
    /// [`MAINTAINED_CELLS`] cost a look at each route.
    pub fn cells(&self, range: Range<usize>) -> Vec<Cell> {
        let Some(Held { table, outline }) = &self.held else { return Vec::new() };
        let most = (2 * table.len() + MAINTAINED_CELLS).min(MAX_CELLS);
        if range.end > most || range.start >= range.end {
            return Vec::new();
        }
        let (sketch, _) = outline.parts();
        let mut cells = sketch.cells(range.clone()).to_vec();
        if range.end > MAINTAINED_CELLS {
            let beyond = range.start.max(MAINTAINED_CELLS)..range.end;
            cells.extend_from_slice(sketch.extend(beyond, table.ids()).as_slice());
        }
        cells
    }

    /// The estimator of all that counts.
    pub fn estimator(&self) -> Option<Estimator> {
        self.held.as_ref().map(|held| held.outline.parts().1)
    }

    /// The state of a step of parts to which the next one belongs, taken out; `None` if it is of no use.
    fn begin_part(
        &mut self,
        to: RoutePosition,
        number: u32,
        is_difference: bool,
    ) -> Result<Option<Loading>, RouteFault> {
        let Some(held) = &self.held else { return Err(RouteFault::NoKey) };
        let (key, whole) = (*held.outline.key(), held.outline.whole());
        if let Some(latest) = self.latest.filter(|latest| to.incarnation < *latest) {
            return Err(other_life(to.incarnation, latest));
        }
        if to.count > self.max_routes as u64 {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        let is_held = self.proof.is_some_and(|(held, _)| to == held);
        if is_held || self.proven.is_some_and(|proven| (to.incarnation, to.seq) < proven) {
            return Ok(None);
        }
        if number == 0 {
            self.interrupted();
        }
        let same = |loading: &&Loading| loading.to == to && loading.difference.is_some() == is_difference;
        let due = self.loading.as_ref().filter(same).map_or(0, |loading| loading.next);
        if number != due {
            self.interrupted();
            return Err(RouteFault::Part { came: number, expected: due });
        }
        Ok(Some(self.loading.take().unwrap_or_else(|| Loading {
            to,
            next: 0,
            digest: if is_difference { whole } else { RouteDigest::new(key) },
            difference: is_difference.then(Default::default),
        })))
    }

    /// A step did not lead where it should have.
    fn not_proven(&mut self, loading: Loading) -> RouteFault {
        let seq = loading.to.seq;
        self.loading = Some(loading);
        self.interrupted();
        RouteFault::Digest { seq }
    }

    fn prove(&mut self, to: RoutePosition, digest: RouteDigest) {
        self.proof = Some((to, digest));
        self.proven = Some((to.incarnation, to.seq));
    }

    /// What is stale and not certified ends: a step has been proven.
    fn end_stale(&mut self) -> Vec<RouteChange> {
        if std::mem::take(&mut self.stale) == 0 {
            return Vec::new();
        }
        self.keep_only(|marks| marks.certified)
    }

    /// What is kept is certified from now on, the rest ends. Costs a look at each route.
    fn keep_only(&mut self, keep: impl Fn(&Marks) -> bool) -> Vec<RouteChange> {
        self.stale = 0;
        let Some(Held { table, outline }) = &mut self.held else { return Vec::new() };
        let mut gone = table.retain(|_, marks| {
            let stays = keep(marks);
            *marks = Marks::CERTIFIED;
            stays
        });
        gone.sort_unstable();
        let key = *outline.key();
        gone.iter().for_each(|filter| outline.leave(key.hash(filter.as_str())));
        gone.into_iter().map(RouteChange::Remove).collect()
    }

    /// A peer that never finishes does not fill the memory: what it left behind ends.
    fn limit_stale(&mut self) -> Vec<RouteChange> {
        if self.stale <= self.max_routes {
            return Vec::new();
        }
        self.stale = 0;
        let Some(Held { table, outline }) = &mut self.held else { return Vec::new() };
        let mut gone = table.retain(|_, marks| {
            marks.stale = false;
            marks.certified || marks.loading
        });
        gone.sort_unstable();
        let key = *outline.key();
        gone.iter().for_each(|filter| outline.leave(key.hash(filter.as_str())));
        gone.into_iter().map(RouteChange::Remove).collect()
    }
}

impl Held {
    fn enter(&mut self, filter: TopicFilter, hash: u128, marks: Marks) {
        self.table.insert(RouteId::from_hash(hash), filter, marks);
        if !(marks.loading && mutant::on(Mutant::PartialCells)) {
            self.outline.enter(hash);
        }
    }

    /// Certifies a route, and says whether it did not count before.
    fn certify(&mut self, filter: &TopicFilter, hash: u128) -> bool {
        if let Some(marks) = self.table.get_mut(RouteId::from_hash(hash), filter) {
            marks.certified = true;
            return false;
        }
        self.enter(filter.clone(), hash, Marks::CERTIFIED);
        true
    }

    fn remove(&mut self, filter: &TopicFilter, hash: u128) -> Option<Marks> {
        let (_, marks) = self.table.remove(RouteId::from_hash(hash), filter)?;
        self.outline.leave(hash);
        Some(marks)
    }
}

fn other_life(came: Incarnation, held: Incarnation) -> RouteFault {
    RouteFault::OtherLife { came: came.counter, held: held.counter }
}
