//! A link as the node keeps it.

use std::{sync::Arc, time::Duration};

use crate::{
    link::{Backoff, ClusterName, LinkConfig, LinkState, NodeName},
    node::{ConnectionId, DialId, LaneHolders, PeerId},
    routes::RouteLog,
    topic::TopicFilter,
    wire::{Incarnation, RoutePosition},
};

/// Numbers a link; never used twice, so that a late event can't reach a later link of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u32);

/// One link: settings, what is announced over it, and the attempts to reach the peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) name: ClusterName,
    pub(crate) config: Arc<LinkConfig>,
    /// This node's life towards a peer node that it meets for the first time.
    pub(crate) incarnation: Incarnation,
    /// What this cluster wants of the peer: local interest ∩ the link's topics.
    pub(crate) log: RouteLog,
    pub(crate) peers: Vec<PeerId>,
    /// Which of them the lanes go to, of those of which any one is enough.
    pub(crate) holders: Arc<LaneHolders>,
    pub(crate) dialling: Option<DialId>,
    /// The connection that this side dialled.
    pub(crate) dialled: Option<ConnectionId>,
    /// Which of the servers that is, or is to be.
    pub(crate) dialled_at: usize,
    /// An attempt at another server while one is connected, the connection that came of it, and which server.
    pub(crate) returning_dial: Option<DialId>,
    pub(crate) returning: Option<ConnectionId>,
    pub(crate) returning_to: usize,
    /// The peer whose own connection took precedence over one that this side dialled.
    pub(crate) yielded_to: Option<PeerId>,
    /// The node that answered last, for the next HELLO.
    pub(crate) last_node: Option<NodeName>,
    pub(crate) next_server: usize,
    /// The next attempt goes to the same address: the node there has to be told again what it has forgotten.
    pub(crate) ask_again: bool,
    /// The present attempt is such a one.
    pub(crate) asked_again: bool,
    pub(crate) backoff: Backoff,
    /// State while no peer is connected.
    pub(crate) state: LinkState,
    pub(crate) reason: String,
    pub(crate) since: Duration,
    pub(crate) last_refusal: Option<String>,
}

impl Link {
    /// Whether a message of the peer on this topic is wanted here, by the settings.
    pub(crate) fn imports(&self, topic: &crate::topic::Topic) -> bool {
        self.config.topics.iter().any(|filter: &TopicFilter| filter.matches(topic))
    }

    /// Where the announced set stands, in this node's life towards a peer.
    pub(crate) fn announced_in(&self, life: Incarnation) -> RoutePosition {
        RoutePosition { incarnation: life, ..self.log.position() }
    }

    /// What a peer holds of the announced set, as a position of the log; `None` if it is of another life than this
    /// node's towards it.
    pub(crate) fn held_in(&self, life: Incarnation, holds: Option<RoutePosition>) -> Option<RoutePosition> {
        let incarnation = self.log.position().incarnation;
        holds.filter(|holds| holds.incarnation == life).map(|holds| RoutePosition { incarnation, ..holds })
    }
}
