use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use link_core::{
    node::{ConnectionId, DialId, PeerId},
    transport::Class,
};

use crate::plan::Site;

/// What happens at a moment.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The next step of the plan.
    Step(usize),
    /// A node's deadline.
    Wake(Site, u32),
    /// A node's outputs are carried out.
    Drain(Site, u32),
    /// An attempt to connect has an outcome.
    Dialled { site: Site, life: u32, dial: DialId, to: Option<Site>, begun: Duration },
    /// The transport looks for the next item of a line.
    Pump { wire: u32, way: usize, line: u32 },
    /// The transport has written a frame.
    Written { wire: u32, way: usize, line: u32, bytes: usize },
    /// The next item of a line arrives.
    Arrive { wire: u32, way: usize, line: u32 },
    /// One end of a connection learns that it is gone.
    Gone { wire: u32, end: usize },
    /// A host is done with the message it has.
    Host { site: Site, life: u32, peer: PeerId },
    /// A node starts again.
    Start(Site),
    /// Clients whose node came back subscribe again.
    Return(Site),
    /// The host of a node that came back has its durable sessions again.
    Restored(Site, u32),
    /// The second half of a move.
    Moved { client: usize, leaves: Option<Site>, enters: Option<Site> },
    /// A link of a node is as in the topology again.
    Restore(Site, usize),
    /// A host is as quick as before.
    HostHeals(Site),
    /// A connection whose carrier has lost a frame breaks.
    Break(u32),
    /// A node that stood still goes on.
    Thaw(Site),
    /// A look at everything.
    Look,
}

/// Events by their time; those of one moment in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    made: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Duration, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Duration, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}

/// Connections and dials of one life of a node, by the numbers of the node.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) wires: BTreeMap<ConnectionId, (u32, usize)>,
    pub(super) dials: BTreeSet<DialId>,
    next: u32,
}

impl Numbers {
    pub(super) fn connection(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId(self.next)
    }
}

/// A class as a word of the trace.
pub(super) fn class_name(class: Class) -> String {
    match class {
        Class::Control => "control".to_owned(),
        Class::Datagram => "datagrams".to_owned(),
        Class::Data(channel) => format!("data {channel}"),
    }
}
