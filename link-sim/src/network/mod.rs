//! The network between nodes: connections that keep the order of each class, and what goes wrong with them.
//!
//! ```text
//!  node a                                                        node b
//!  Transmit ─▶ waiting ──(rate)──▶ Sent     flight ──(delay)──▶  Frame
//!              of the transport    to a     on the line
//! ```
//!
//! A frame is a whole or nothing, as over any transport that frames: where a connection breaks in the middle of one, it
//! is gone, and all behind it. Classes have lines of their own: between them no order holds.

mod line;
mod wire;

use std::{collections::BTreeMap, time::Duration};

pub(crate) use line::{AGAIN, Arrival, Item, Line, Taken};
pub(crate) use wire::{End, Party, Wire, class_of, datagram_line, line_of};

use crate::plan::Site;

/// All connections, and how the paths between nodes are.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) wires: BTreeMap<u32, Wire>,
    next: u32,
    /// By (who sends, who receives).
    pub(crate) paths: BTreeMap<(Site, Site), Conditions>,
}

/// What is wrong with the way from one node to another.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions {
    /// Nothing arrives before this.
    pub(crate) cut: Duration,
    /// Slow until then,
    pub(crate) throttled: Duration,
    /// with so many bytes per second.
    pub(crate) rate: u64,
}

impl Network {
    pub(crate) fn add(&mut self, wire: Wire) -> u32 {
        let id = self.next;
        self.next += 1;
        self.wires.insert(id, wire);
        id
    }

    /// Until when nothing arrives from one node at another.
    pub(crate) fn cut(&self, from: Site, to: Site) -> Duration {
        self.paths.get(&(from, to)).map_or(Duration::ZERO, |conditions| conditions.cut)
    }

    /// Bytes per second from one node to another, where `usual` is the good rate.
    pub(crate) fn rate(&self, from: Site, to: Site, now: Duration, usual: u64) -> u64 {
        match self.paths.get(&(from, to)) {
            Some(conditions) if conditions.throttled > now => conditions.rate.min(usual),
            _ => usual,
        }
    }

    /// The connections between two nodes that are not broken.
    pub(crate) fn between(&self, a: Site, b: Site) -> Vec<u32> {
        let joins = |wire: &&u32| self.wires.get(wire).is_some_and(|wire| !wire.broken && wire.joins(a, b));
        self.wires.keys().filter(joins).copied().collect()
    }

    /// The connections of a node.
    pub(crate) fn of(&self, site: Site) -> Vec<u32> {
        let touches = |wire: &Wire| wire.ends.iter().any(|end| end.site() == Some(site));
        self.wires.iter().filter(|(_, wire)| touches(wire)).map(|(id, _)| *id).collect()
    }
}
