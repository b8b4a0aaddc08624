//! Which cluster wants what: local interest to the peers, the peers' routes into the shared table.

use super::{ConnectionId, Node, PeerId, Timer};
use crate::{
    interest::InterestChange,
    link::{LinkId, LinkState},
    mutant::{self, Mutant},
    routes::{Resume, RouteChange, RouteFault},
    wire::{CloseCode, Frame, RouteDelta, RoutePosition, RouteSnapshot},
};

/// Route frames that may wait for the transport, in bytes; more is sent when it has taken some.
const CONTROL_AHEAD: usize = 256 * 1024;
/// Digests that may be wrong in one session before it ends.
const MAX_ROUTE_FAULTS: u32 = 3;
/// Most bytes of filters in one part of a snapshot and in one delta.
const PART: usize = 64 * 1024;
/// Most bytes of a route frame beside its filters.
const ROUTE_OVERHEAD: usize = 128;

impl Node {
    /// Row 1: local interest changed.
    pub(super) fn on_interest(&mut self, changes: Vec<InterestChange>) {
        for change in &changes {
            match change {
                InterestChange::Added(filter) => drop(self.interest.insert(filter.clone())),
                InterestChange::Removed(filter) => drop(self.interest.remove(filter)),
            }
        }
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let before = link.log.position().seq;
            link.log.apply(&changes);
            if link.log.position().seq != before {
                self.routes_changed(id);
            }
        }
    }

    /// What is announced over a link has changed: soon, every connected peer hears of it.
    pub(super) fn routes_changed(&mut self, id: LinkId) {
        for peer in self.peers_of(id) {
            let Some(last) = self.session(peer).map(|session| session.routes.last) else { continue };
            self.timers.set_if_clear(Timer::Routes(peer), (last + self.config.route_batch).max(self.now));
            if last + self.config.route_batch <= self.now {
                self.dirty.insert(peer);
            }
        }
    }

    /// Begins to bring the peer's copy of the route set up to date, from what it holds.
    pub(super) fn resume_routes(&mut self, id: PeerId, holds: Option<RoutePosition>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
        session.routes.confirmed = holds;
        match link.log.resume(link.held_in(peer.life, holds).as_ref()) {
            Resume::UpToDate => {
                session.routes.sent = link.log.position().seq;
                session.routes.snapshot = None;
            }
            Resume::Tail { from } => {
                session.routes.sent = from;
                session.routes.snapshot = None;
            }
            Resume::Snapshot => session.routes.snapshot = Some(link.log.snapshot()),
        }
        self.dirty.insert(id);
    }

    pub(super) fn flush_routes(&mut self, id: PeerId) {
        loop {
            let now = self.now;
            let batch = self.config.route_batch;
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
            if !session.is_live() || session.control_queued > CONTROL_AHEAD {
                return;
            }
            let connection = session.connection;
            let most = PART.min(session.max_frame.saturating_sub(ROUTE_OVERHEAD));
            let frame = if let Some(cursor) = &mut session.routes.snapshot {
                let Some(mut part) = cursor.next_part(&link.log, most) else {
                    // The set changed more than the log keeps while it was being sent.
                    session.routes.snapshot = Some(link.log.snapshot());
                    continue;
                };
                if part.last {
                    session.routes.sent = part.to.seq;
                    session.routes.snapshot = None;
                }
                part.to.incarnation = peer.life;
                Frame::RouteSnapshot(part)
            } else if session.routes.sent < link.log.position().seq {
                if session.routes.last + batch > now {
                    return self.timers.set_if_clear(Timer::Routes(id), session.routes.last + batch);
                }
                match link.log.since(session.routes.sent, most) {
                    Some(mut delta) => {
                        session.routes.sent = delta.to.seq;
                        if delta.to.seq == link.log.position().seq {
                            session.routes.last = now;
                        }
                        self.timers.clear(Timer::Routes(id));
                        delta.to.incarnation = peer.life;
                        Frame::RouteDelta(delta)
                    }
                    None => {
                        session.routes.snapshot = Some(link.log.snapshot());
                        continue;
                    }
                }
            } else {
                return;
            };
            self.send(connection, &frame);
        }
    }

    pub(super) fn on_route_resume(&mut self, id: PeerId, holds: Option<RoutePosition>) {
        self.resume_routes(id, holds);
    }

    pub(super) fn on_route_delta(&mut self, connection: ConnectionId, id: PeerId, delta: RouteDelta) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.peer_reached(delta.to);
        }
        let result = peer.replica.apply_delta(&delta);
        self.applied(connection, id, result);
    }

    pub(super) fn on_route_snapshot(&mut self, connection: ConnectionId, id: PeerId, part: RouteSnapshot) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.peer_reached(part.to);
        }
        let result = peer.replica.apply_snapshot(part);
        self.applied(connection, id, result);
    }

    fn applied(&mut self, connection: ConnectionId, id: PeerId, result: Result<Vec<RouteChange>, RouteFault>) {
        match result {
            Ok(changes) => {
                self.route(id, &changes);
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let (position, loading) = (peer.replica.position(), peer.replica.is_loading());
                if let Some(position) = position.filter(|_| !loading) {
                    if let Some(session) = &mut peer.session {
                        session.resuming = None;
                        session.routes_moved = true;
                    }
                    self.send(connection, &Frame::RouteAck(position));
                    self.check_synced(id);
                    self.check_part(id);
                }
            }
            Err(fault) if fault.is_fatal() => self.close(connection, fault.close_code(), &fault.to_string()),
            Err(fault) => self.disagree(connection, id, &fault),
        }
    }

    /// A step could not be taken: the sets are compared anew, a few times in one session.
    fn disagree(&mut self, connection: ConnectionId, id: PeerId, fault: &RouteFault) {
        tracing::info!(%fault, "routes have to be compared anew");
        let Some(session) = self.session_mut(id) else { return };
        let (asked, wrong) = (session.resuming.is_some(), matches!(fault, RouteFault::Digest { .. }));
        session.route_faults += u32::from(wrong);
        if session.route_faults > MAX_ROUTE_FAULTS {
            return self.close(connection, CloseCode::Protocol, &fault.to_string());
        }
        if !asked || wrong {
            self.ask_for_routes(id);
        }
    }

    pub(super) fn ask_for_routes(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let holds = peer.replica.position();
        let Some(session) = &mut peer.session else { return };
        session.resuming = Some(0);
        let connection = session.connection;
        self.send(connection, &Frame::RouteResume(holds));
    }

    pub(super) fn on_route_ack(&mut self, id: PeerId, position: RoutePosition) {
        self.on_confirmation(id, Some(position));
        self.check_synced(id);
    }

    pub(super) fn on_confirmation(&mut self, id: PeerId, position: Option<RoutePosition>) {
        if let Some(session) = self.session_mut(id) {
            session.routes.confirmed = position;
        }
    }

    /// Live from the moment at which both route sets are equal at both ends.
    pub(super) fn check_synced(&mut self, id: PeerId) {
        if !self.in_sync(id) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = &mut peer.session else { return };
        if session.synced {
            return;
        }
        session.synced = true;
        peer.state = LinkState::Live;
        peer.reason = format!("connected to {}, routes equal at both ends", session.address);
        peer.since = self.now;
        let (link, reason) = (peer.link, peer.reason.clone());
        // Only now has the address proven itself: one that shakes hands and fails is met with growing pauses.
        if let Some(link) = self.links.get_mut(&link) {
            link.backoff.reset();
            link.next_server = 0;
        }
        self.link_state(link, LinkState::Live, reason);
        self.plan_return(link);
    }

    /// Whether both route sets are known to be equal, in both directions.
    pub(super) fn in_sync(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else { return false };
        let (Some(session), Some(link)) = (&peer.session, self.links.get(&peer.link)) else { return false };
        let held = peer.replica.position();
        session.is_live()
            && session.routes.confirmed == Some(link.announced_in(peer.life))
            && held == Some(session.peer_routes)
            && !peer.replica.is_loading()
    }

    /// Puts all that a peer wants into the shared table.
    pub(super) fn route_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if std::mem::replace(&mut peer.routed, true) {
            return;
        }
        for filter in peer.replica.visible() {
            self.table.insert(filter, id);
        }
        self.table_changed = true;
    }

    /// Takes all that a peer wants out of the shared table. The replica keeps it.
    pub(super) fn unroute_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !std::mem::replace(&mut peer.routed, false) {
            return;
        }
        for filter in peer.replica.visible() {
            self.table.remove(filter, &id);
        }
        self.table_changed = true;
    }

    pub(super) fn route(&mut self, id: PeerId, changes: &[RouteChange]) {
        if !self.peers.get(&id).is_some_and(|peer| peer.routed) {
            return;
        }
        for change in changes {
            match change {
                RouteChange::Add(filter) => drop(self.table.insert(filter, id)),
                RouteChange::Remove(_) if mutant::on(Mutant::PhantomRoute) => {}
                RouteChange::Remove(filter) => drop(self.table.remove(filter, &id)),
            }
        }
        self.table_changed |= !changes.is_empty();
    }
}
