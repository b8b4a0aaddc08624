//! One connection to a peer node, from its HELLO to its end.

use std::time::Duration;

use crate::{
    node::ConnectionId,
    routes::{DifferenceCursor, Reconciling, SnapshotCursor},
    transport::Class,
    wire::{Batch, Heartbeat, RoutePosition},
};

/// Who opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Dialler,
    Acceptor,
}

/// How far the handshake is. Nothing but the handshake crosses a connection before it is [`Phase::Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The acceptor has answered HELLO and waits for READY.
    AwaitReady,
    Live,
}

/// The state of one connection to a peer node.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    pub(crate) address: String,
    pub(crate) channels: u16,
    /// Limits that the peer announced.
    pub(crate) max_frame: usize,
    pub(crate) window: usize,
    /// Bytes handed to the transport and not yet taken by it.
    pub(crate) control_queued: usize,
    pub(crate) data_queued: Vec<usize>,
    pub(crate) datagrams_queued: usize,
    /// Most bytes of a datagram; 0 unless both sides take them.
    pub(crate) datagrams: usize,
    pub(crate) heard: Duration,
    pub(crate) routes: RouteSending,
    /// What the peer last said of its own route set.
    pub(crate) peer_routes: RoutePosition,
    /// The peer is warming up: it announces additions only.
    pub(crate) peer_warming: bool,
    /// Whether this session has seen both route sets equal.
    pub(crate) synced: bool,
    /// The peer's last heartbeat and when it came.
    pub(crate) heartbeat: Option<(Heartbeat, Duration)>,
    pub(crate) round_trip: Option<Duration>,
    /// A RESUME is on its way to the peer, and what it sent before is of no use: heartbeats that came since.
    pub(crate) resuming: Option<u32>,
    /// Requests for cells that were answered in this session.
    pub(crate) cells_asked: u32,
    /// A step of the peer's routes was taken since its last heartbeat.
    pub(crate) routes_moved: bool,
    /// Batches that overtook READY on a channel of their own, and their bytes.
    pub(crate) early: Vec<Batch>,
    pub(crate) early_bytes: usize,
    /// Route steps whose digest was wrong.
    pub(crate) route_faults: u32,
}

impl Session {
    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// The peer's route set has been at this point. A part of a longer way there does not take back what the peer has
    /// said already.
    pub(crate) fn peer_reached(&mut self, routes: RoutePosition) {
        if routes.seq >= self.peer_routes.seq {
            self.peer_routes = routes;
        }
    }

    /// Bytes of a class that the transport has not taken yet.
    pub(crate) fn queued(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Data(channel) if !self.data_queued.is_empty() => {
                let index = usize::from(channel) % self.data_queued.len();
                &mut self.data_queued[index]
            }
            Class::Datagram => &mut self.datagrams_queued,
            _ => &mut self.control_queued,
        }
    }
}

/// How this side's route set reaches the peer.
#[derive(Debug)]
pub(crate) struct RouteSending {
    /// Changes up to here are on their way.
    pub(crate) sent: u64,
    /// The whole set is being sent.
    pub(crate) snapshot: Option<SnapshotCursor>,
    /// The peer's copy is being compared: nothing else is sent meanwhile.
    pub(crate) reconciling: Option<Box<Reconciling>>,
    /// What the peer lacks is being sent.
    pub(crate) difference: Option<DifferenceCursor>,
    /// Comparisons that were begun in this session.
    pub(crate) comparisons: u32,
    /// This node is warming up: additions only are sent, without a position.
    pub(crate) warming: bool,
    /// About how many routes the peer has by then: what it said that it holds, and what was sent so.
    pub(crate) theirs: u64,
    /// How far the peer has confirmed.
    pub(crate) confirmed: Option<RoutePosition>,
    pub(crate) last: Duration,
}
