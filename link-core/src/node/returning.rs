//! Back to the first address: a link that is connected at a later one tries the first again from time to time.
//!
//! ```text
//!  dialled   quic://a fails    mqtt://a connects ────────────────────────── superseded
//!  returning                                      quic://a fails   quic://a connects, is dialled now
//!                                ── return_after ─▶│── return_after ─▶│
//! ```
//!
//! So it goes, address by address, to a node of the peer's cluster that is away while another serves the cluster: either
//! side may have messages for the other that nobody else may have.
//!
//! The connection that is up stays until the new one has shaken hands; then the session goes on there, by resume.

use super::{ConnectionId, DialId, Node, Output, Timer};
use crate::{
    link::{LinkId, Part, Role, Scope},
    transport::Dial,
    wire::{CloseCode, Hello, Retry},
};

impl Node {
    /// The attempt that an address is worth.
    pub(super) fn request(&mut self, id: LinkId, server: usize) -> Option<(DialId, Dial)> {
        let link = self.links.get_mut(&id)?;
        let endpoint = link.config.servers.get(server)?.clone();
        let dial = DialId(self.next_dial);
        self.next_dial = self.next_dial.wrapping_add(1);
        link.dialling = Some(dial);
        self.dials.insert(dial, id);
        let (cluster, node) = (self.config.cluster.clone(), self.config.node.clone());
        Some((dial, Dial { endpoint, cluster, node, link: link.config.clone() }))
    }

    /// A link is live: if not at its first address, that is tried again later.
    pub(super) fn plan_return(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let after = link.config.return_after;
        if link.dialled_at > 0 && link.dialled.is_some() && !after.is_zero() {
            self.timers.set(Timer::Return(id), self.now + after);
        }
    }

    /// A node is away, and another one serves its cluster: it is looked for, if there is another address.
    pub(super) fn plan_search(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (after, connected) = (link.config.return_after, link.dialled.is_some() || self.yields(id));
        if connected && link.config.servers.len() > 1 && !after.is_zero() && self.misses_a_node(id) {
            self.timers.set_if_clear(Timer::Return(id), self.now + after);
        }
    }

    fn misses_a_node(&self, id: LinkId) -> bool {
        let peers = self.links.get(&id).into_iter().flat_map(|link| &link.peers);
        let mut peers = peers.filter_map(|peer| self.peers.get(peer));
        peers.any(|peer| peer.part == Part::Away)
    }

    pub(super) fn try_another(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (at_a_later, misses) = (link.dialled.is_some() && link.dialled_at > 0, self.misses_a_node(id));
        let connected = link.dialled.is_some() || self.yields(id);
        let wanted = link.config.enabled && connected && (at_a_later || misses);
        if !wanted || link.dialling.is_some() || link.returning.is_some() {
            return;
        }
        let mut server = 0;
        if misses {
            server = (link.returning_to + 1) % link.config.servers.len().max(1);
            if link.dialled.is_some() && server == link.dialled_at {
                server = (server + 1) % link.config.servers.len().max(1);
            }
        }
        let Some((dial, request)) = self.request(id, server) else { return };
        tracing::debug!(link = %request.link.name, endpoint = %request.endpoint, "trying another address");
        if let Some(link) = self.links.get_mut(&id) {
            (link.returning_dial, link.returning_to) = (Some(dial), server);
        }
        self.outputs.push_back(Output::Dial { dial, request });
    }

    /// An attempt to return has failed: whether that is all there is to do, since the link is connected elsewhere.
    pub(super) fn return_failed(&mut self, id: LinkId, dial: DialId) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.returning_dial == Some(dial)) else { return false };
        link.returning_dial = None;
        let stays = link.dialled.is_some() || self.yields(id);
        self.plan_return(id);
        self.plan_search(id);
        stays
    }

    /// A connection to the first address has ended before it took over: whether that is all there is to do.
    pub(super) fn return_ended(&mut self, id: LinkId, connection: ConnectionId, code: Option<CloseCode>) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.returning == Some(connection)) else {
            return false;
        };
        link.returning = None;
        if code.map(CloseCode::retry) == Some(Retry::No) && link.returning_to == 0 {
            // Another node is there: that is as good as the first address while this connection lasts.
            link.dialled_at = 0;
        }
        if link.dialled.is_none() {
            let pause = link.backoff.fail(&mut self.rng);
            self.plan_dial(id, pause);
        }
        self.plan_return(id);
        self.plan_search(id);
        true
    }

    /// A connection to the first address is to take over, if the node that is connected answers there: what waits for a
    /// node would not reach it through another.
    pub(super) fn take_over(
        &mut self,
        id: LinkId,
        connection: ConnectionId,
        hello: &Hello,
    ) -> Result<(), (CloseCode, String)> {
        let Some(link) = self.links.get(&id).filter(|link| link.returning == Some(connection)) else { return Ok(()) };
        let here = self.peer_named(link, Some(&hello.node)).and_then(|peer| self.session(peer));
        let is_same =
            here.is_some_and(|session| session.role == Role::Dialler && link.dialled == Some(session.connection));
        // Where one node of the cluster is as good as another the link has two sessions from now on.
        if !is_same && link.dialled.is_some() && hello.scope == Scope::Node {
            return Err((
                CloseCode::Superseded,
                format!("the link is connected to another node than `{}`", hello.node),
            ));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.returning = None;
            link.dialled = Some(connection);
            link.dialled_at = link.returning_to;
        }
        Ok(())
    }
}
