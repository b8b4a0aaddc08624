//! What a step does to a copy, and why it can't be taken.

use thiserror::Error;

use crate::{
    topic::TopicFilter,
    wire::{CloseCode, Incarnation},
};

/// A change of what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Messages that match are wanted from now on.
    Add(TopicFilter),
    /// They are no longer wanted, by this filter.
    Remove(TopicFilter),
}

/// Why a step could not be taken. What counts is as it was, unless the index is full; a snapshot
/// that was under way has ended.
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
    /// A shared subscription was announced: a route has no group.
    #[error("the peer announces `{filter}`: a shared subscription is no route")]
    Shared {
        /// The filter.
        filter: TopicFilter,
    },
    /// The topic index has no room for another filter. What came before it counts.
    #[error("the topic index is full")]
    Full,
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
        !matches!(self, Self::Gap { .. } | Self::OtherLife { .. } | Self::Digest { .. })
    }

    /// The code with which the connection ends.
    pub fn close_code(&self) -> CloseCode {
        if matches!(self, Self::TooMany { .. } | Self::Full) { CloseCode::TooManyRoutes } else { CloseCode::Protocol }
    }
}

pub(super) fn other_life(came: Incarnation, held: Incarnation) -> RouteFault {
    RouteFault::OtherLife { came: came.counter, held: held.counter }
}
