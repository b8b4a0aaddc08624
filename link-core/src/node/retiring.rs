//! A node that has left its cluster for good is not waited for.
//!
//! ```text
//!  host A        Node A                    wire      Node B
//!  node left --> is kept in a list      RETIRE ==>   hears nothing of that node since it left:
//!                                                    its routes go, what waits goes to another node or is dropped
//! ```
//!
//! Which node left, another one of its cluster says, over a connection that speaks for that cluster. It says how long ago,
//! so that nothing is done to a node that is back: whoever was heard since then has not left. A node that comes back after it
//! was forgotten is new. Nothing of its life before can reach it: frames come by connections, and those of that life have ended.

use std::time::Duration;

use super::{Node, PeerId};
use crate::{
    link::NodeName,
    wire::{Frame, RouteRetire},
};

/// So many nodes that have left are told of to peers that connect later.
const MAX_RETIRED: usize = 64;

impl Node {
    /// A node of the own cluster has left it for good, now: peers need not wait for it, nor keep what it wanted. Its
    /// clients are at other nodes by now, or gone. Of this node itself it says nothing.
    pub fn retire_node(&mut self, now: Duration, node: &NodeName) {
        self.now = self.now.max(now);
        if *node == self.config.node {
            return;
        }
        self.retired.retain(|(other, _)| other != node);
        if self.retired.len() >= MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back((node.clone(), self.now));
        let frame = Frame::RouteRetire(RouteRetire { node: node.clone(), ago: 0 });
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            if let Some(session) = self.session(id).filter(|session| session.is_live()) {
                self.send(session.connection, &frame);
            }
        }
    }

    /// A peer has connected: it may not have heard who has left.
    pub(super) fn tell_retired(&mut self, id: PeerId) {
        let Some(connection) = self.session(id).map(|session| session.connection) else { return };
        for (node, at) in self.retired.clone() {
            let ago = u64::try_from(self.now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX);
            self.send(connection, &Frame::RouteRetire(RouteRetire { node, ago }));
        }
    }

    /// A peer says that another node of its cluster has left.
    pub(super) fn on_route_retire(&mut self, from: PeerId, retire: &RouteRetire) {
        let Some(link) = self.peers.get(&from).and_then(|peer| self.links.get(&peer.link)) else { return };
        let Some(id) = self.peer_named(link, Some(&retire.node)).filter(|id| *id != from) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let left = self.now.saturating_sub(Duration::from_millis(retire.ago));
        match &peer.session {
            // It is not gone as long as it has a session. If nothing is heard of it any more it goes when that ends.
            Some(_) => peer.left = peer.left.max(Some(left)),
            None if peer.heard <= left => {
                peer.left = Some(left);
                self.retire(id);
            }
            None => {}
        }
    }
}
