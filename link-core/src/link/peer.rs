//! One node of a peer cluster: what is kept of it across connections.

use std::{sync::Arc, time::Duration};

use crate::{
    delivery::{Inbox, Outbox},
    host::Origin,
    link::{LinkId, LinkState, NodeName, Resyncing, Session},
    node::{Gate, PeerId},
    routes::RouteReplica,
    wire::Incarnation,
};

/// Everything about one peer node. It outlives its connections: that is what makes a resume cheap and exact.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: LinkId,
    pub(crate) node: NodeName,
    pub(crate) origin: Arc<Origin>,
    /// This node's life towards the peer. Each peer has its own: what one remembers of a life that this node has
    /// forgotten is nothing to the others, with which messages may be under way in theirs.
    pub(crate) life: Incarnation,
    /// The latest life of the peer that is known.
    pub(crate) incarnation: Option<Incarnation>,
    /// Rises with each life of the peer that is seen, so that late results of the host for an older one are void.
    pub(crate) epoch: u32,
    /// Messages of earlier lives that are still in the host's hands.
    pub(crate) abandoned: u64,
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) replica: RouteReplica<PeerId>,
    /// How its copy of this side's routes, and this side's of its own, were brought up to date last.
    pub(crate) resync_out: Option<Resyncing>,
    pub(crate) resync_in: Option<Resyncing>,
    pub(crate) part: Part,
    pub(crate) gate: Arc<Gate>,
    pub(crate) session: Option<Session>,
    /// When anything was heard of it, before the present session.
    pub(crate) heard: Duration,
    /// When it left its cluster, as another node of that says.
    pub(crate) left: Option<Duration>,
    pub(crate) state: LinkState,
    pub(crate) reason: String,
    pub(crate) since: Duration,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
}

/// The part of a peer node in serving its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It serves itself, and gets a copy of its own.
    Own,
    /// It has come or gone a moment ago: the lanes that it holds wait for it.
    Expected,
    /// What it wants is known, and it takes lanes.
    Ready,
    /// It is not waited for any more. It keeps lanes only while nobody else is ready.
    Away,
}

impl Peer {
    /// Starts a new life above one that the peer remembers and this node does not.
    pub(crate) fn raise_above(&mut self, known: Incarnation) {
        self.life.counter = known.counter.saturating_add(1);
    }
}
