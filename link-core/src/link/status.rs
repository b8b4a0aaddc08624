//! What an operator sees of a link.

use std::time::Duration;

use crate::{
    delivery::{Ledger, ReceivedLedger},
    link::{ClusterName, NodeName, RouteSync, Scope},
    node::PeerId,
    wire::RoutePosition,
};

/// How a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Switched off here.
    Disabled,
    /// Not connected, an attempt is going on or planned; or waiting to be dialled.
    Connecting,
    /// One side refused the other: the settings have to change. The reason says which.
    Refused,
    /// Connected; the route sets are not yet known to be equal.
    Syncing,
    /// Connected, both route sets equal, messages flow.
    Live,
    /// Was connected and lost the peer.
    Down,
}

impl LinkState {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Refused => "refused",
            Self::Syncing => "syncing",
            Self::Live => "live",
            Self::Down => "down",
        }
    }
}

impl std::fmt::Display for LinkState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of one link, with the reason for it.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// The peer's cluster.
    pub name: ClusterName,
    /// The best state of its peer nodes, or of the attempt to reach one.
    pub state: LinkState,
    /// A sentence for people: why it is in this state.
    pub reason: String,
    /// How long it has been in this state.
    pub since: Duration,
    /// Attempts to connect since the last success.
    pub attempts: u32,
    /// The last time that this side turned the peer away, or the peer this side: the reason.
    pub last_refusal: Option<String>,
    /// Filters that are wanted and not announced, because an announced one covers them.
    pub hidden_routes: usize,
    /// Each node of the peer's cluster that is or was connected.
    pub peers: Vec<PeerStatus>,
}

/// The status of one node of the peer's cluster.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Its number, as the outputs of the node name it.
    pub peer: PeerId,
    /// Its name.
    pub node: NodeName,
    /// For whom it takes messages, as it said last.
    pub scope: Scope,
    /// [`LinkState::Syncing`], [`LinkState::Live`] or [`LinkState::Down`].
    pub state: LinkState,
    /// A sentence for people.
    pub reason: String,
    /// How long it has been in this state.
    pub since: Duration,
    /// Where its connection comes from or goes to.
    pub address: String,
    /// This side's route set, as the peer should hold it.
    pub announced: RoutePosition,
    /// How far the peer has confirmed this side's route set.
    pub confirmed: Option<RoutePosition>,
    /// What this side holds of the peer's route set.
    pub held: Option<RoutePosition>,
    /// Whether both route sets are known to be equal: same incarnation, seq and digest in both directions.
    pub in_sync: bool,
    /// This side's routes and the peer's copy of them.
    pub routes_out: RouteSync,
    /// The peer's routes and this side's copy of them.
    pub routes_in: RouteSync,
    /// Round trip of the last heartbeat.
    pub round_trip: Option<Duration>,
    /// Age of the oldest message that waits for this peer.
    pub lag: Duration,
    /// Bytes of messages that wait for this peer.
    pub queued_bytes: u64,
    /// What became of every message to it.
    pub sent: Ledger,
    /// What became of every message from it.
    pub received: ReceivedLedger,
    /// Bytes of frames sent to it since it is known.
    pub bytes_out: u64,
    /// Bytes of frames received from it since it is known.
    pub bytes_in: u64,
}
