//! What an operator sees.

use std::{borrow::Cow, sync::atomic::Ordering, time::Duration};

use super::{Node, PeerId};
use crate::link::{Link, LinkState, LinkStatus, Part, PeerStatus, Resyncing, RouteSync, Scope};
use crate::wire::RoutePosition;

/// A text of a peer for people and logs: control characters, which could forge a line, are written as escapes.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let shown = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    text.chars().map(shown).collect::<String>().into()
}

impl Node {
    /// The status of every link, ordered by name. What it says of routes is what publishers see after the next
    /// [`poll_output`](Self::poll_output).
    pub fn links(&self, now: Duration) -> Vec<LinkStatus> {
        self.names.values().filter_map(|id| self.links.get(id)).map(|link| self.link_status(now, link)).collect()
    }

    fn link_status(&self, now: Duration, link: &Link) -> LinkStatus {
        let peers: Vec<PeerStatus> = link.peers.iter().filter_map(|id| self.peer_status(now, link, *id)).collect();
        let best = peers.iter().filter(|peer| peer.state != LinkState::Down).max_by_key(|p| p.state == LinkState::Live);
        let (state, reason, since) = match best {
            Some(peer) if link.config.enabled => (peer.state, peer.reason.clone(), peer.since),
            _ => (link.state, link.reason.clone(), now.saturating_sub(link.since)),
        };
        LinkStatus {
            name: link.name.clone(),
            state,
            reason,
            since,
            attempts: link.backoff.failures(),
            last_refusal: link.last_refusal.clone(),
            hidden_routes: link.log.hidden(),
            peers,
        }
    }

    fn peer_status(&self, now: Duration, link: &Link, id: PeerId) -> Option<PeerStatus> {
        let peer = self.peers.get(&id)?;
        let session = peer.session.as_ref();
        let mut ledger = peer.outbox.ledger();
        let direction = |written: Option<RoutePosition>, held, resync: Option<&Resyncing>, warming: bool| RouteSync {
            written,
            held,
            equal: written.is_some() && written == held && !warming,
            warming,
            resync: resync.map(|resync| resync.status(now)),
        };
        let confirmed = session.and_then(|session| session.routes.confirmed);
        ledger.refused_full = peer.gate.refused.load(Ordering::Relaxed);
        Some(PeerStatus {
            peer: id,
            node: peer.node.clone(),
            scope: if peer.part == Part::Own { Scope::Node } else { Scope::Cluster },
            state: peer.state,
            reason: peer.reason.clone(),
            since: now.saturating_sub(peer.since),
            address: session.map(|session| session.address.clone()).unwrap_or_default(),
            announced: link.announced_in(peer.life),
            confirmed,
            held: peer.replica.position(),
            in_sync: self.in_sync(id),
            routes_out: direction(
                Some(link.announced_in(peer.life)),
                confirmed,
                peer.resync_out.as_ref(),
                session.is_some_and(|session| session.routes.warming),
            ),
            routes_in: direction(
                session.filter(|session| session.is_live()).map(|session| session.peer_routes),
                peer.replica.position(),
                peer.resync_in.as_ref(),
                session.is_some_and(|session| session.peer_warming),
            ),
            round_trip: session.and_then(|session| session.round_trip),
            lag: peer.outbox.oldest().map_or(Duration::ZERO, |at| now.saturating_sub(at)),
            queued_bytes: peer.gate.budget.used(),
            sent: ledger,
            received: peer.inbox.ledger(),
            bytes_out: peer.bytes_out,
            bytes_in: peer.bytes_in,
        })
    }
}
