use std::collections::BTreeSet;

use thiserror::Error;

use super::{RouteDigest, RouteKey};
use crate::{
    topic::TopicFilter,
    wire::{CloseCode, Incarnation, RouteDelta, RouteOp, RoutePosition, RouteSnapshot},
};

/// The exact copy of a peer's route set.
///
/// What counts is `certified ∪ loading`: the set as it was last proven equal, and what has come so far of a snapshot.
/// A step that can't be proven changes nothing and asks for a resume; what was certified goes on to count.
#[derive(Debug)]
pub struct RouteReplica {
    key: Option<RouteKey>,
    certified: BTreeSet<TopicFilter>,
    position: Option<RoutePosition>,
    digest: Option<RouteDigest>,
    loading: Option<Loading>,
    max_routes: usize,
}

/// A snapshot of which some parts have come.
#[derive(Debug)]
struct Loading {
    to: RoutePosition,
    parts: u32,
    filters: BTreeSet<TopicFilter>,
    digest: RouteDigest,
    /// What unfinished snapshots before this one brought, and counts until one is finished.
    stale: BTreeSet<TopicFilter>,
}

/// A change of what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Messages that match are wanted from now on.
    Add(TopicFilter),
    /// They are no longer wanted, by this filter.
    Remove(TopicFilter),
}

/// Why a step could not be taken. The set that counts is as it was.
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
    /// The step is of another life than what is held.
    #[error("a step of life {came} came, life {held} is held")]
    OtherLife {
        /// The counter of the step's life.
        came: u64,
        /// The counter of the held life.
        held: u64,
    },
    /// The result is not the peer's set.
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
    /// Holds nothing yet, and never more than `max_routes` certified routes and as many of a snapshot.
    pub fn new(max_routes: usize) -> Self {
        Self { key: None, certified: BTreeSet::new(), position: None, digest: None, loading: None, max_routes }
    }

    /// Takes note of the key of the peer's digests. With another key what is held can't be compared any more; it goes
    /// on to count until a snapshot replaces it.
    pub fn set_key(&mut self, key: RouteKey) {
        if self.key != Some(key) {
            self.key = Some(key);
            self.position = None;
            self.digest = None;
        }
    }

    /// A new connection: a snapshot that was not finished will not be. What came of it goes on to count until the next
    /// step that is proven.
    pub fn interrupted(&mut self) {
        if let Some(loading) = &mut self.loading {
            loading.parts = u32::MAX;
        }
    }

    /// Takes a step of changes.
    ///
    /// # Errors
    /// A [`RouteFault`]; nothing has changed then.
    pub fn apply_delta(&mut self, delta: &RouteDelta) -> Result<Vec<RouteChange>, RouteFault> {
        let Some((held, mut digest)) = self.position.zip(self.digest) else {
            return Err(RouteFault::Gap { from: delta.from, held: 0 });
        };
        if delta.to.incarnation != held.incarnation {
            return Err(other_life(delta.to.incarnation, held.incarnation));
        }
        if delta.to.seq <= held.seq {
            // A repetition: the state that it leads to is behind.
            return Ok(Vec::new());
        }
        if delta.from > held.seq {
            return Err(RouteFault::Gap { from: delta.from, held: held.seq });
        }
        // Net changes of (from, to] lead to `to` from every state in between: each filter that they touch gets its
        // value at `to`, no other one changed.
        let mut changes = Vec::with_capacity(delta.ops.len());
        let mut touched = BTreeSet::new();
        for op in &delta.ops {
            let (filter, add) = match op {
                RouteOp::Add(filter) => (filter, true),
                RouteOp::Remove(filter) => (filter, false),
            };
            if !touched.insert(filter) || self.certified.contains(filter) == add {
                continue;
            }
            if add {
                digest.add(filter);
                changes.push(RouteChange::Add(filter.clone()));
            } else {
                digest.remove(filter);
                changes.push(RouteChange::Remove(filter.clone()));
            }
        }
        if digest.count() > self.max_routes as u64 {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        if digest.digest() != delta.to.digest || digest.count() != delta.to.count {
            return Err(RouteFault::Digest { seq: delta.to.seq });
        }
        for change in &changes {
            match change {
                RouteChange::Add(filter) => drop(self.certified.insert(filter.clone())),
                RouteChange::Remove(filter) => drop(self.certified.remove(filter)),
            }
        }
        self.position = Some(delta.to);
        self.digest = Some(digest);
        Ok(self.settle(changes))
    }

    /// Takes a part of a snapshot. Its filters count at once; what is in no part goes with the last one, if the digest
    /// is right.
    ///
    /// # Errors
    /// A [`RouteFault`]; what is certified goes on to count, and what came of the snapshot too.
    pub fn apply_snapshot(&mut self, part: RouteSnapshot) -> Result<Vec<RouteChange>, RouteFault> {
        let Some(key) = self.key else { return Err(RouteFault::NoKey) };
        if let Some(held) = self.position
            && part.to.incarnation != held.incarnation
            && part.to.incarnation.counter <= held.incarnation.counter
        {
            return Err(other_life(part.to.incarnation, held.incarnation));
        }
        if part.to.count > self.max_routes as u64 {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        let mut changes = Vec::new();
        let expected = match &self.loading {
            Some(loading) if loading.to == part.to => loading.parts,
            _ => 0,
        };
        if part.part == 0 {
            let mut stale = BTreeSet::new();
            if let Some(Loading { filters, stale: older, .. }) = self.loading.take() {
                stale = older;
                stale.extend(filters.into_iter().filter(|filter| !self.certified.contains(filter)));
            }
            if stale.len() > self.max_routes {
                // A peer that never finishes does not fill the memory.
                changes.extend(std::mem::take(&mut stale).into_iter().map(RouteChange::Remove));
            }
            let digest = RouteDigest::new(key);
            self.loading = Some(Loading { to: part.to, parts: 0, filters: BTreeSet::new(), digest, stale });
        } else if part.part != expected {
            return Err(RouteFault::Part { came: part.part, expected });
        }
        let Some(loading) = &mut self.loading else { return Err(RouteFault::Part { came: part.part, expected: 0 }) };
        loading.parts = part.part.saturating_add(1);
        for filter in part.filters {
            if loading.filters.insert(filter.clone()) {
                loading.digest.add(&filter);
                if !self.certified.contains(&filter) && !loading.stale.remove(&filter) {
                    changes.push(RouteChange::Add(filter));
                }
            }
        }
        if loading.filters.len() > self.max_routes {
            return Err(RouteFault::TooMany { limit: self.max_routes });
        }
        if part.last {
            if loading.digest.digest() != part.to.digest || loading.digest.count() != part.to.count {
                loading.parts = u32::MAX;
                return Err(RouteFault::Digest { seq: part.to.seq });
            }
            changes.extend(self.commit());
        }
        Ok(changes)
    }

    /// What is held, for HELLO; `None` if nothing is certified under the peer's key.
    pub fn position(&self) -> Option<RoutePosition> {
        self.position
    }

    /// Whether parts of a snapshot have come and it is not finished.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// All that counts, each filter once.
    pub fn visible(&self) -> impl Iterator<Item = &TopicFilter> {
        let loading = self.loading.iter().flat_map(|loading| loading.filters.iter().chain(&loading.stale));
        self.certified.iter().chain(loading.filter(|filter| !self.certified.contains(*filter)))
    }

    /// The finished snapshot becomes the certified set.
    fn commit(&mut self) -> Vec<RouteChange> {
        let Some(loading) = self.loading.take() else { return Vec::new() };
        let old = std::mem::replace(&mut self.certified, loading.filters);
        self.position = Some(loading.to);
        self.digest = Some(loading.digest);
        let gone = old.into_iter().chain(loading.stale).filter(|filter| !self.certified.contains(filter));
        gone.map(RouteChange::Remove).collect()
    }

    /// A proven step ends what an unfinished snapshot brought.
    fn settle(&mut self, mut changes: Vec<RouteChange>) -> Vec<RouteChange> {
        let Some(loading) = self.loading.take() else { return changes };
        // Of the changes, those that the snapshot had brought already are no news.
        changes.retain(|change| {
            !matches!(change, RouteChange::Add(filter)
            if loading.filters.contains(filter) || loading.stale.contains(filter))
        });
        let brought = loading.filters.into_iter().chain(loading.stale);
        let gone = brought.filter(|filter| !self.certified.contains(filter));
        changes.extend(gone.map(RouteChange::Remove));
        changes
    }
}

fn other_life(came: Incarnation, held: Incarnation) -> RouteFault {
    RouteFault::OtherLife { came: came.counter, held: held.counter }
}
