use std::collections::BTreeSet;

use thiserror::Error;

use super::{RouteDigest, RouteKey};
use crate::{
    mutant::{self, Mutant},
    topic::TopicFilter,
    wire::{CloseCode, Incarnation, RouteDelta, RouteOp, RoutePosition, RouteSnapshot},
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
/// A step that can't be proven changes nothing of what counts. Memory: at most `max_routes` certified filters and three
/// times as many others, whatever the peer sends.
#[derive(Debug)]
pub struct RouteReplica {
    key: Option<RouteKey>,
    /// The latest life of which anything was taken.
    latest: Option<Incarnation>,
    /// The latest point that was proven, under whichever key: nothing leads behind it.
    proven: Option<(Incarnation, u64)>,
    certified: BTreeSet<TopicFilter>,
    /// What the certified set is proven to be; `None` while nothing was proven under the peer's key.
    proof: Option<(RoutePosition, RouteDigest)>,
    loading: Option<Loading>,
    /// Nothing of it is certified.
    stale: BTreeSet<TopicFilter>,
    max_routes: usize,
}

/// A snapshot of which some parts have come.
#[derive(Debug)]
struct Loading {
    to: RoutePosition,
    /// Number of the part that is due.
    next: u32,
    filters: BTreeSet<TopicFilter>,
    digest: RouteDigest,
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
            key: None,
            latest: None,
            proven: None,
            certified: BTreeSet::new(),
            proof: None,
            loading: None,
            stale: BTreeSet::new(),
            max_routes,
        }
    }

    /// Takes note of the key of the peer's digests. With another key what is held can't be compared any more; it goes
    /// on to count until a snapshot replaces it.
    pub fn set_key(&mut self, key: RouteKey) {
        if self.key != Some(key) {
            self.key = Some(key);
            self.proof = None;
            self.interrupted();
        }
    }

    /// A new connection: a snapshot that was not finished will not be. What came of it goes on to count until the next
    /// step that is proven.
    pub fn interrupted(&mut self) {
        if let Some(loading) = self.loading.take() {
            self.stale.extend(loading.filters.into_iter().filter(|filter| !self.certified.contains(filter)));
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
        let Some((held, mut digest)) = self.proof else { return Err(RouteFault::Gap { from: *from, held: 0 }) };
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
        let (mut adds, mut removes) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            match op {
                RouteOp::Add(filter) if !self.certified.contains(filter) && adds.insert(filter) => digest.add(filter),
                RouteOp::Remove(filter) if self.certified.contains(filter) && removes.insert(filter) => {
                    digest.remove(filter);
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
        let stale = std::mem::take(&mut self.stale);
        let news = adds.iter().filter(|filter| !stale.contains(**filter));
        let mut changes: Vec<_> = news.map(|filter| RouteChange::Add((*filter).clone())).collect();
        changes.extend(removes.iter().map(|filter| RouteChange::Remove((*filter).clone())));
        for filter in removes {
            self.certified.remove(filter);
        }
        self.certified.extend(adds.into_iter().cloned());
        let ended = stale.into_iter().filter(|filter| !self.certified.contains(filter));
        changes.extend(ended.map(RouteChange::Remove));
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
        let Some(key) = self.key else { return Err(RouteFault::NoKey) };
        let RouteSnapshot { to, part: number, last, filters } = part;
        if let Some(latest) = self.latest.filter(|latest| to.incarnation < *latest) {
            return Err(other_life(to.incarnation, latest));
        }
        if to.count > self.max_routes as u64 {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        let is_held = self.proof.is_some_and(|(held, _)| to == held);
        if is_held || self.proven.is_some_and(|proven| (to.incarnation, to.seq) < proven) {
            return Ok(Vec::new());
        }
        if number == 0 {
            self.interrupted();
        }
        let due = self.loading.as_ref().filter(|loading| loading.to == to).map_or(0, |loading| loading.next);
        if number != due {
            self.interrupted();
            return Err(RouteFault::Part { came: number, expected: due });
        }
        let empty = || Loading { to, next: 0, filters: BTreeSet::new(), digest: RouteDigest::new(key) };
        let mut loading = self.loading.take().unwrap_or_else(empty);
        let mut digest = loading.digest;
        let mut fresh = BTreeSet::new();
        for filter in filters {
            if !loading.filters.contains(&filter) && !fresh.contains(&filter) {
                digest.add(&filter);
                fresh.insert(filter);
            }
        }
        let wrong = digest.count() > to.count || (last && (digest.digest() != to.digest || digest.count() != to.count));
        if wrong {
            self.loading = Some(loading);
            self.interrupted();
            return Err(RouteFault::Digest { seq: to.seq });
        }

        self.latest = Some(to.incarnation);
        let counted = |filter: &&TopicFilter| !self.certified.contains(*filter) && !self.stale.contains(*filter);
        let mut changes: Vec<_> = fresh.iter().filter(counted).cloned().map(RouteChange::Add).collect();
        // Not `append`, which builds the whole set anew.
        loading.filters.extend(fresh);
        loading.digest = digest;
        loading.next = number.saturating_add(1);
        if last {
            changes.extend(self.commit(loading));
        } else {
            self.loading = Some(loading);
            changes.extend(self.limit_stale());
        }
        Ok(changes)
    }

    /// Ends all that counts: the peer is gone for good, or its lease is over. A late step of an earlier life goes on to
    /// be refused.
    pub fn retire(&mut self) -> Vec<RouteChange> {
        self.interrupted();
        self.proof = None;
        let certified = std::mem::take(&mut self.certified);
        certified.into_iter().chain(std::mem::take(&mut self.stale)).map(RouteChange::Remove).collect()
    }

    /// What is held, for HELLO; `None` if nothing is proven under the peer's key.
    pub fn position(&self) -> Option<RoutePosition> {
        self.proof.map(|(position, _)| position)
    }

    /// Whether parts of a snapshot have come and it is not finished.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// All that counts, each filter once.
    pub fn visible(&self) -> impl Iterator<Item = &TopicFilter> {
        let loaded =
            |filter: &TopicFilter| self.loading.as_ref().is_some_and(|loading| loading.filters.contains(filter));
        let loading = self.loading.iter().flat_map(|loading| &loading.filters);
        let loading = loading.filter(|filter| !self.certified.contains(*filter));
        self.certified.iter().chain(loading).chain(self.stale.iter().filter(move |filter| !loaded(filter)))
    }

    /// The finished snapshot becomes the certified set.
    fn commit(&mut self, loading: Loading) -> impl Iterator<Item = RouteChange> + '_ {
        let old = std::mem::replace(&mut self.certified, loading.filters);
        self.proof = Some((loading.to, loading.digest));
        self.proven = Some((loading.to.incarnation, loading.to.seq));
        let ended = old.into_iter().chain(std::mem::take(&mut self.stale));
        ended.filter(|filter| !self.certified.contains(filter)).map(RouteChange::Remove)
    }

    /// A peer that never finishes does not fill the memory: what it left behind ends.
    fn limit_stale(&mut self) -> Vec<RouteChange> {
        if self.stale.len() <= self.max_routes {
            return Vec::new();
        }
        let stale = std::mem::take(&mut self.stale);
        let loaded =
            |filter: &TopicFilter| self.loading.as_ref().is_some_and(|loading| loading.filters.contains(filter));
        stale.into_iter().filter(|filter| !loaded(filter)).map(RouteChange::Remove).collect()
    }
}

fn other_life(came: Incarnation, held: Incarnation) -> RouteFault {
    RouteFault::OtherLife { came: came.counter, held: held.counter }
}
