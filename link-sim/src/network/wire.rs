use std::{collections::BTreeMap, time::Duration};

use link_core::{node::ConnectionId, transport::Class};

use super::Line;
use crate::{
    plan::Site,
    rng::{Rng, Source},
};

/// Who has an end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    /// A node, in one of its lives.
    Node(Site, u32),
    /// A hostile peer.
    Hostile,
}

/// One end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) party: Party,
    pub(crate) connection: ConnectionId,
    /// Its owner has neither closed it nor heard of its end.
    pub(crate) open: bool,
    /// The life of its owner's link when the handshake was done.
    pub(crate) era: u32,
}

impl End {
    pub(crate) fn new(party: Party, connection: ConnectionId) -> Self {
        Self { party, connection, open: true, era: 0 }
    }

    pub(crate) fn site(&self) -> Option<Site> {
        match self.party {
            Party::Node(site, _) => Some(site),
            Party::Hostile => None,
        }
    }
}

/// One connection. End 0 dialled.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) ends: [End; 2],
    /// Nothing arrives any more.
    pub(crate) broken: bool,
    /// By direction (0 is from end 0) and class.
    pub(crate) lines: BTreeMap<(usize, u32), Line>,
    pub(crate) rng: Rng,
    /// Since when the handshake is done.
    pub(crate) ready: Option<Duration>,
    /// Its carrier lost a frame.
    pub(crate) lossy: bool,
    /// Its carrier did something that no carrier may do.
    pub(crate) unsound: bool,
}

impl Wire {
    pub(crate) fn new(ends: [End; 2], rng: Rng) -> Self {
        let lines = BTreeMap::new();
        Self { ends, broken: false, lines, rng, ready: None, lossy: false, unsound: false }
    }

    pub(crate) fn joins(&self, a: Site, b: Site) -> bool {
        let (x, y) = (self.ends[0].site(), self.ends[1].site());
        (x, y) == (Some(a), Some(b)) || (x, y) == (Some(b), Some(a))
    }

    /// The direction in which a node sends.
    pub(crate) fn from(&self, site: Site) -> usize {
        usize::from(self.ends[0].site() != Some(site))
    }
}

/// The first of the lines of datagrams: each takes one of some, so that they overtake each other.
const DATAGRAMS: u32 = 1 << 20;
const DATAGRAM_LINES: usize = 3;

/// A line for a datagram.
pub(crate) fn datagram_line(rng: &mut Rng) -> u32 {
    DATAGRAMS + rng.index(DATAGRAM_LINES) as u32
}

/// The number of a class among the lines of a connection.
pub(crate) fn line_of(class: Class) -> u32 {
    match class {
        Class::Datagram => DATAGRAMS,
        Class::Control => 0,
        Class::Data(channel) => u32::from(channel) + 1,
    }
}

/// The class of a line.
pub(crate) fn class_of(line: u32) -> Class {
    match line.checked_sub(1) {
        None => Class::Control,
        Some(_) if line >= DATAGRAMS => Class::Datagram,
        Some(channel) => Class::Data(u16::try_from(channel).unwrap_or(u16::MAX)),
    }
}
