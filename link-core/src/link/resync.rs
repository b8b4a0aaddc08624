//! How a copy of a route set was brought up to date after a connection came, for the status.

use std::{fmt, time::Duration};

use crate::wire::RoutePosition;

/// How a copy is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResyncMethod {
    /// It was up to date.
    UpToDate,
    /// By the changes since the point that it holds.
    Tail,
    /// By what was found to differ, comparing sketches.
    Sketch,
    /// By the whole set.
    Snapshot,
}

impl ResyncMethod {
    /// The method in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::Tail => "tail",
            Self::Sketch => "sketch",
            Self::Snapshot => "snapshot",
        }
    }
}

impl fmt::Display for ResyncMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last time that a copy of a route set was compared with the set itself: when a connection came, or when the two
/// were found to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// How it is brought up to date; at the reader [`ResyncMethod::UpToDate`] until anything else comes.
    pub method: ResyncMethod,
    /// Number of filters in which the two differed. `None` at the writer of a snapshot, who does not learn it.
    pub differences: Option<u64>,
    /// Bytes of the frames that carried them.
    pub bytes: u64,
    /// How long ago it began.
    pub since: Duration,
    /// How long it took until the reader proved, and said, that both are equal. `None` while that lasts, or if the
    /// connection ended before.
    pub took: Option<Duration>,
}

/// One direction of the routes between this node and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSync {
    /// Where the writer's set stands: incarnation, seq, digest and number of routes. Of the peer's, what it said last;
    /// `None` while it is not connected.
    pub written: Option<RoutePosition>,
    /// What the reader holds of it. Of this side's, what the peer said last, and `None` while it is not connected.
    pub held: Option<RoutePosition>,
    /// Whether both are known to be the same: incarnation, seq, digest and number.
    pub equal: bool,
    /// Whether the writer is warming up: it announces additions only, and what the reader holds of its life before counts.
    pub warming: bool,
    /// How the copy was brought up to date last.
    pub resync: Option<Resync>,
}

/// A resync as it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resyncing {
    begun: Duration,
    /// The point that ends it.
    target: RoutePosition,
    method: ResyncMethod,
    differences: Option<u64>,
    bytes: u64,
    ended: Option<Duration>,
}

impl Resyncing {
    /// One that is to reach `target`.
    pub(crate) fn new(now: Duration, target: RoutePosition, method: ResyncMethod) -> Self {
        Self { begun: now, target, method, differences: Some(0), bytes: 0, ended: None }
    }

    /// The way that is taken, after all.
    pub(crate) fn by(&mut self, method: ResyncMethod) {
        if self.ended.is_none() {
            self.method = method;
        }
    }

    /// A frame carried some differences; their number may be unknown.
    pub(crate) fn carried(&mut self, bytes: usize, differences: Option<usize>) {
        if self.ended.is_none() {
            self.bytes += bytes as u64;
            self.differences = self.differences.zip(differences).map(|(sum, more)| sum + more as u64);
        }
    }

    /// The reader holds this now, as a point of the same life.
    pub(crate) fn reached(&mut self, now: Duration, held: Option<RoutePosition>) {
        let there = held.is_some_and(|held| {
            held.incarnation == self.target.incarnation && (held == self.target || held.seq > self.target.seq)
        });
        if there && self.ended.is_none() {
            self.ended = Some(now);
        }
    }

    pub(crate) fn status(&self, now: Duration) -> Resync {
        Resync {
            method: self.method,
            differences: self.differences,
            bytes: self.bytes,
            since: now.saturating_sub(self.begun),
            took: self.ended.map(|ended| ended.saturating_sub(self.begun)),
        }
    }
}
