use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    Cell, Estimator, MAINTAINED_CELLS, MAX_CELLS, RouteChange, RouteDigest, RouteFault, RouteId, RouteKey, SKETCH_FROM,
    fault::other_life,
    held::{Full, Held, Place},
    marks::Marks,
    reconcile::first_cells,
};
use crate::{
    index::{FilterIndex, Value},
    mutant::{self, Mutant},
    topic::TopicFilter,
    wire::{Incarnation, RouteDelta, RouteDifference, RouteOp, RoutePosition, RoutePreadd, RouteSnapshot},
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
/// A step that can't be proven changes nothing of what counts. There are never more than `max_routes` certified routes and
/// three times as many others, whatever the peer sends.
///
/// A comparison by sketches is about all that counts: what unfinished snapshots have brought is not sent again.
///
/// The filters of what counts are in a [`FilterIndex`] and nowhere else, each with the value that the copy was given: the
/// one that publishes are matched against, which copies of other peers share. All calls of a copy get the same one, and
/// nobody else inserts or removes pairs with that value. A route takes 6 bytes beside its place in the index. While a
/// snapshot replaces another set it takes some 40 more, and so does one with wildcards where few filters have them.
#[derive(Debug)]
pub struct RouteReplica<V> {
    value: V,
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

/// A snapshot or a difference of which some parts have come.
#[derive(Debug)]
struct Loading {
    to: RoutePosition,
    /// Number of the part that is due.
    next: u32,
    digest: RouteDigest,
    /// Of a difference: the hashes of what it adds, and what it will remove.
    difference: Option<(Vec<u128>, Vec<RouteId>)>,
}

impl<V: Value> RouteReplica<V> {
    /// Holds nothing yet, and never more than `max_routes` certified routes. Its filters have `value` in the index.
    pub fn new(value: V, max_routes: usize) -> Self {
        Self {
            value,
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
    pub fn set_key(&mut self, index: &mut FilterIndex<V>, key: RouteKey) {
        if self.held.as_ref().is_some_and(|held| *held.outline.key() == key) {
            return;
        }
        self.interrupted();
        self.proof = None;
        self.held = Some(match &self.held {
            None => Held::new(key, self.sketch_from, index),
            Some(held) => held.rekey(key, self.sketch_from, &Place { index, value: self.value }),
        });
    }

    /// A new connection: a snapshot that was not finished will not be. What came of it goes on to count until the next
    /// step that is proven.
    pub fn interrupted(&mut self) {
        let (Some(loading), Some(held)) = (self.loading.take(), &mut self.held) else { return };
        let turned = |marks: Marks| Marks { loading: false, stale: marks.stale || !marks.certified, ..marks };
        let turns = |marks: Marks| marks.loading && !marks.certified && !marks.stale;
        if let Some((added, _)) = loading.difference {
            // What it has added is known: no look at the others.
            self.stale += added.len();
            if turns(held.marks.usual()) {
                held.marks.update(turned);
            } else {
                added.into_iter().for_each(|hash| held.marks.set(hash, turned(Marks::LOADING)));
            }
            return;
        }
        let (mut others, mut stale) = (0, 0);
        for (_, marks) in held.marks.others() {
            others += 1;
            stale += usize::from(turns(marks));
        }
        if turns(held.marks.usual()) {
            stale += held.len().saturating_sub(others);
        }
        self.stale += stale;
        held.marks.update(|marks| if marks.loading { turned(marks) } else { marks });
    }

    /// Takes a step of changes, and gives the changes of what counts, additions first. A repetition changes nothing.
    ///
    /// Net changes of `(from, to]` lead to `to` from every state in between: each filter that they touch gets its value
    /// at `to`, no other one changed.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_delta(
        &mut self,
        index: &mut FilterIndex<V>,
        delta: &RouteDelta,
    ) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteDelta { from, to, ops } = delta;
        let at = &mut Place { index, value: self.value };
        let (Some((held, mut digest)), Some(set)) = (self.proof, &mut self.held) else {
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
        no_groups(ops.iter().map(|(RouteOp::Add(filter) | RouteOp::Remove(filter))| filter))?;
        let key = *set.outline.key();
        let (mut adds, mut removes) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            let (RouteOp::Add(filter) | RouteOp::Remove(filter)) = op;
            let hash = key.hash(filter.as_str());
            let certified = set.marks_of(at, filter, hash).is_some_and(|marks| marks.certified);
            match op {
                RouteOp::Add(_) if !certified && adds.insert((filter, hash)) => digest.add_hash(hash),
                RouteOp::Remove(_) if certified && removes.insert((filter, hash)) => digest.remove_hash(hash),
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
        let Some(set) = &mut self.held else { return Ok(Vec::new()) };
        let mut changes = Vec::with_capacity(ops.len());
        for (filter, hash) in adds {
            if at.index.contains(filter, &at.value) {
                set.marks.set(hash, Marks::CERTIFIED);
            } else if set.enter(at, filter, hash, Marks::CERTIFIED).is_err() {
                self.proof = None;
                return Err(RouteFault::Full);
            } else {
                changes.push(RouteChange::Add(filter.clone()));
            }
        }
        for (filter, hash) in removes {
            set.remove(at, filter, hash);
            changes.push(RouteChange::Remove(filter.clone()));
        }
        if self.stale > 0 {
            changes.extend(self.keep_only(at, |marks| marks.certified));
        }
        self.prove(*to, digest);
        Ok(changes)
    }

    /// Takes a part of a snapshot, and gives the changes of what counts, additions first. Its filters count at once;
    /// what is in no part goes with the last one, if the digest is right. A snapshot of what is behind changes nothing.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_snapshot(
        &mut self,
        index: &mut FilterIndex<V>,
        part: RouteSnapshot,
    ) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteSnapshot { to, part: number, last, filters } = part;
        let at = &mut Place { index, value: self.value };
        let Some(mut loading) = self.begin_part(to, number, false)? else { return Ok(Vec::new()) };
        let Some(set) = &mut self.held else { return Err(RouteFault::NoKey) };
        if let Err(fault) = no_groups(filters.iter()) {
            self.end_loading(loading);
            return Err(fault);
        }
        let key = *set.outline.key();
        let mut digest = loading.digest;
        let mut fresh = BTreeMap::new();
        for filter in filters {
            let hash = key.hash(filter.as_str());
            let marks = set.marks_of(at, &filter, hash);
            if !marks.is_some_and(|marks| marks.loading) && fresh.insert(filter, (hash, marks)).is_none() {
                digest.add_hash(hash);
            }
        }
        if digest.count() > to.count || (last && (digest.digest() != to.digest || digest.count() != to.count)) {
            return Err(self.not_proven(loading));
        }

        self.latest = Some(to.incarnation);
        let mut changes = Vec::with_capacity(fresh.len());
        for (filter, (hash, marks)) in fresh {
            if let Some(marks) = marks {
                set.marks.set(hash, Marks { loading: true, ..marks });
            } else if set.enter(at, &filter, hash, Marks::LOADING).is_err() {
                self.end_loading(loading);
                return Err(RouteFault::Full);
            } else {
                changes.push(RouteChange::Add(filter));
            }
        }
        loading.digest = digest;
        loading.next = number.saturating_add(1);
        if last {
            changes.extend(self.keep_only(at, |marks| marks.loading));
            self.prove(to, digest);
        } else {
            self.loading = Some(loading);
            changes.extend(self.limit_stale(at));
        }
        Ok(changes)
    }

    /// Takes a part of a difference, and gives the changes of what counts, additions first. What it adds counts at once; what
    /// it removes goes with the last part, if the digest is right: then all that counts, without that, is certified. Costs time
    /// in proportion to the part, unless something is stale.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then.
    pub fn apply_difference(
        &mut self,
        index: &mut FilterIndex<V>,
        part: RouteDifference,
    ) -> Result<Vec<RouteChange>, RouteFault> {
        let RouteDifference { to, part: number, last, adds, removes } = part;
        let at = &mut Place { index, value: self.value };
        let Some(mut loading) = self.begin_part(to, number, true)? else { return Ok(Vec::new()) };
        let Some(set) = &mut self.held else { return Err(RouteFault::NoKey) };
        if let Err(fault) = no_groups(adds.iter()) {
            self.end_loading(loading);
            return Err(fault);
        }
        let Some((added, removed)) = &mut loading.difference else { return Err(RouteFault::NoKey) };
        let key = *set.outline.key();
        let mut digest = loading.digest;
        let mut fresh = BTreeMap::new();
        for filter in adds {
            let hash = key.hash(filter.as_str());
            if set.marks_of(at, &filter, hash).is_none() && fresh.insert(filter, hash).is_none() {
                digest.add_hash(hash);
            }
        }
        // Each removes something that is held.
        let too_many = removed.len() + removes.len() > set.len();
        removed.extend(removes);
        let mut going = BTreeMap::new();
        if last && !too_many {
            for filter in removed.iter().filter_map(|id| set.by_id(at, *id)) {
                let hash = key.hash(filter.as_str());
                if going.insert(filter, hash).is_none() {
                    digest.remove_hash(hash);
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
            if set.enter(at, &filter, hash, Marks::LOADING).is_err() {
                self.end_loading(loading);
                return Err(RouteFault::Full);
            }
            added.push(hash);
            changes.push(RouteChange::Add(filter));
        }
        if mutant::on(Mutant::EarlyRemoval) {
            let gone: Vec<_> = removed.iter().filter_map(|id| set.by_id(at, *id)).collect();
            for filter in &gone {
                at.index.remove(filter, &at.value);
            }
            changes.extend(gone.into_iter().map(RouteChange::Remove));
        }
        loading.digest = digest;
        loading.next = number.saturating_add(1);
        if !last {
            self.loading = Some(loading);
            return Ok(changes);
        }
        for (filter, hash) in going {
            set.remove(at, &filter, hash);
            changes.push(RouteChange::Remove(filter));
        }
        set.marks.set_all(Marks::CERTIFIED);
        self.stale = 0;
        self.prove(to, digest);
        Ok(changes)
    }

    /// Takes routes that a peer wants which is warming up, and gives those that did not count before. They count until the
    /// next step that is proven. A snapshot that was under way ends; what has come of it goes on to count.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing of what counts has changed then. [`RouteFault::TooMany`] where more than `max_routes`
    /// would be neither certified nor part of a snapshot under way.
    pub fn apply_preadd(
        &mut self,
        index: &mut FilterIndex<V>,
        preadd: RoutePreadd,
    ) -> Result<Vec<RouteChange>, RouteFault> {
        let RoutePreadd { incarnation, filters } = preadd;
        let at = &mut Place { index, value: self.value };
        if let Some(latest) = self.latest.filter(|latest| incarnation < *latest) {
            return Err(other_life(incarnation, latest));
        }
        self.interrupted();
        let Some(set) = &mut self.held else { return Err(RouteFault::NoKey) };
        no_groups(filters.iter())?;
        let key = *set.outline.key();
        let mut fresh = BTreeMap::new();
        for filter in filters {
            let hash = key.hash(filter.as_str());
            if set.marks_of(at, &filter, hash).is_none() {
                fresh.insert(filter, hash);
            }
        }
        if self.stale + fresh.len() > self.max_routes {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        self.latest = Some(incarnation);
        let mut changes = Vec::with_capacity(fresh.len());
        for (filter, hash) in fresh {
            set.enter(at, &filter, hash, Marks::STALE).map_err(|Full| RouteFault::Full)?;
            self.stale += 1;
            changes.push(RouteChange::Add(filter));
        }
        Ok(changes)
    }

    /// Ends all that counts: the peer is gone for good, or its lease is over. A late step of an earlier life goes on to
    /// be refused.
    pub fn retire(&mut self, index: &mut FilterIndex<V>) -> Vec<RouteChange> {
        self.loading = None;
        self.proof = None;
        self.keep_only(&mut Place { index, value: self.value }, |_| false)
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
    pub fn visible(&self, index: &FilterIndex<V>) -> Vec<TopicFilter> {
        let mut all = Vec::new();
        if let Some(held) = &self.held {
            held.for_each(index, &self.value, |text, _| all.push(TopicFilter::from_valid(text.into())));
        }
        all
    }

    /// Number of filters that count.
    pub fn count(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.outline.count())
    }

    /// The first cells of a sketch of all that counts, for a peer whose set stands at `routes`, with its changes kept from
    /// `kept_from` on: about as many as its changes need, `most` and [`MOST_FIRST_CELLS`](super::MOST_FIRST_CELLS) at most. None
    /// where what is kept is enough, or where the set is so small that it is sent quickly.
    pub fn first_cells(&self, routes: &RoutePosition, kept_from: u64, most: usize) -> Vec<Cell> {
        let same_life = self.position().filter(|held| held.incarnation == routes.incarnation);
        let since = same_life.map(|held| held.seq).filter(|seq| *seq <= routes.seq);
        if since.is_some_and(|since| since >= kept_from) {
            return Vec::new();
        }
        let Some(held) = self.held.as_ref().filter(|held| held.outline.is_large()) else { return Vec::new() };
        let (sketch, _) = held.outline.parts();
        let changes = since.map(|since| routes.seq - since);
        let cells = first_cells(changes, routes.count.max(held.outline.count())).min(most);
        sketch.cells(0..cells).to_vec()
    }

    /// Cells of a sketch of all that counts; none if the peer asks for more than can be of use. Those beyond
    /// [`MAINTAINED_CELLS`] cost a look at each route.
    pub fn cells(&self, index: &FilterIndex<V>, range: Range<usize>) -> Vec<Cell> {
        let Some(held) = &self.held else { return Vec::new() };
        let most = held.len().saturating_mul(2).saturating_add(MAINTAINED_CELLS).min(MAX_CELLS);
        if range.end > most || range.start >= range.end {
            return Vec::new();
        }
        let (sketch, _) = held.outline.parts();
        let mut cells = sketch.cells(range.clone()).to_vec();
        if range.end > MAINTAINED_CELLS {
            let beyond = range.start.max(MAINTAINED_CELLS)..range.end;
            let mut ids = Vec::with_capacity(held.len());
            held.for_each(index, &self.value, |_, hash| ids.push(RouteId::from_hash(hash)));
            cells.extend_from_slice(sketch.extend(beyond, ids).as_slice());
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
        self.end_loading(loading);
        RouteFault::Digest { seq }
    }

    fn end_loading(&mut self, loading: Loading) {
        self.loading = Some(loading);
        self.interrupted();
    }

    fn prove(&mut self, to: RoutePosition, digest: RouteDigest) {
        self.proof = Some((to, digest));
        self.proven = Some((to.incarnation, to.seq));
    }

    /// What is kept is certified from now on, the rest ends.
    fn keep_only(&mut self, at: &mut Place<'_, V>, keep: impl Fn(Marks) -> bool) -> Vec<RouteChange> {
        self.stale = 0;
        let Some(set) = &mut self.held else { return Vec::new() };
        let gone = set.retain(at, keep);
        set.marks.set_all(Marks::CERTIFIED);
        gone.into_iter().map(RouteChange::Remove).collect()
    }

    /// A peer that never finishes does not fill the memory: what it left behind ends.
    fn limit_stale(&mut self, at: &mut Place<'_, V>) -> Vec<RouteChange> {
        if self.stale <= self.max_routes {
            return Vec::new();
        }
        self.stale = 0;
        let Some(set) = &mut self.held else { return Vec::new() };
        let gone = set.retain(at, |marks| marks.certified || marks.loading);
        set.marks.update(|marks| Marks { stale: false, ..marks });
        gone.into_iter().map(RouteChange::Remove).collect()
    }
}

/// A route is wanted by a cluster, whichever of a group gets it.
fn no_groups<'a>(mut filters: impl Iterator<Item = &'a TopicFilter>) -> Result<(), RouteFault> {
    let shared = filters.find(|filter| filter.share_group().is_some());
    shared.map_or(Ok(()), |filter| Err(RouteFault::Shared { filter: filter.clone() }))
}

#[cfg(test)]
mod tests;
