//! Which cluster wants what: local interest to the peers, the peers' routes into the shared table.

use std::collections::BTreeSet;

use super::{ConnectionId, Node, PeerId, Timer, warming::additions};
use crate::{
    interest::InterestChange,
    link::{Link, LinkId, LinkState, ResyncMethod, Resyncing, Session},
    routes::{Cell, FIRST_CELLS, Reconciling, Resume, RouteChange, RouteFault, SharedLogs},
    transport::Class,
    wire::{CloseCode, Frame, RouteDelta, RoutePosition, RouteResume, RouteSnapshot, encode},
};

/// Route frames that may wait for the transport, in bytes; more is sent when it has taken some.
const CONTROL_AHEAD: usize = 256 * 1024;
/// Digests that may be wrong in one session before it ends.
const MAX_ROUTE_FAULTS: u32 = 3;
/// Comparisons by sketches in one session: where they do not lead to equal sets the whole set does.
const MAX_COMPARISONS: u32 = 2;
/// Most bytes of filters in one part of a snapshot and in one delta.
pub(super) const PART: usize = 64 * 1024;
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
        let before = self.seqs(|_| true);
        for mut logs in SharedLogs::group(self.links.values_mut().map(|link| &mut link.log)) {
            logs.apply(self.now, &changes);
        }
        self.logs_changed(before);
        self.end_barriers_of(&changes);
    }

    /// Withdraws what is covered and announces what no longer is, as much as may be done now.
    pub(super) fn advance_covering(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let before = self.seqs(|other| other.log.shares_with(&link.log));
        let links = before.iter().filter_map(|(id, _)| self.links.get(id));
        // One without a connected peer waits for nobody.
        let connected = |link: &&Link| link.peers.iter().any(|peer| self.session(*peer).is_some_and(Session::is_live));
        let acked = links.filter(connected).map(|link| link.log.in_view(self.acked_by_all(link).unwrap_or(0))).min();
        let now = self.now;
        let shared = before.iter().map(|(id, _)| *id).collect::<BTreeSet<LinkId>>();
        let logs = self.links.iter_mut().filter(|(id, _)| shared.contains(id)).map(|(_, link)| &mut link.log);
        SharedLogs::group(logs).iter_mut().for_each(|logs| logs.advance(now, acked));
        self.logs_changed(before);
    }

    fn seqs(&self, which: impl Fn(&Link) -> bool) -> Vec<(LinkId, u64)> {
        let links = self.links.values().filter(|link| which(link));
        links.map(|link| (link.id, link.log.position().seq)).collect()
    }

    /// Peers hear of what these logs have got since they were here.
    fn logs_changed(&mut self, before: Vec<(LinkId, u64)>) {
        for (id, seq) in before {
            if self.links.get(&id).is_some_and(|link| link.log.position().seq != seq) {
                self.routes_changed(id);
            }
            self.plan_covering(id);
        }
    }

    pub(super) fn plan_covering(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        match link.log.next_advance() {
            Some(at) => self.timers.set(Timer::Covering(id), at.max(self.now)),
            None => self.timers.clear(Timer::Covering(id)),
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
    pub(super) fn resume_routes(
        &mut self,
        connection: ConnectionId,
        id: PeerId,
        holds: Option<RoutePosition>,
        cells: &[Cell],
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
        session.routes.confirmed = holds;
        session.routes.snapshot = None;
        session.routes.difference = None;
        session.routes.reconciling = None;
        // Whoever sends cells and has nothing proven does not say how much it has.
        let unknown = if cells.is_empty() { 0 } else { link.log.position().count };
        let theirs = holds.map_or(unknown, |holds| holds.count).max(session.routes.theirs);
        if session.routes.warming {
            session.routes.theirs = theirs;
        }
        let compares = !cells.is_empty() || theirs > self.config.sketch_from as u64;
        let compares = compares && session.routes.comparisons < MAX_COMPARISONS;
        let held = link.held_in(peer.life, holds);
        let resume = link.log.resume(held.as_ref());
        let method = match resume {
            Resume::UpToDate => ResyncMethod::UpToDate,
            Resume::Tail { .. } => ResyncMethod::Tail,
            Resume::Snapshot if compares => ResyncMethod::Sketch,
            Resume::Snapshot => ResyncMethod::Snapshot,
        };
        let mut resync = Resyncing::new(self.now, link.announced_in(peer.life), method);
        resync.reached(self.now, holds);
        peer.resync_out = Some(resync);
        match resume {
            Resume::UpToDate => session.routes.sent = link.log.position().seq,
            Resume::Tail { from } => session.routes.sent = from,
            Resume::Snapshot if compares => {
                session.routes.comparisons += 1;
                session.routes.reconciling =
                    Some(Box::new(Reconciling::new(&link.log, theirs, held.map(|held| held.seq))));
            }
            Resume::Snapshot => session.routes.snapshot = Some(link.log.snapshot()),
        }
        let link = peer.link;
        self.dirty.insert(id);
        self.check_barriers(link);
        if resume == Resume::Snapshot && compares {
            self.compare(connection, id, cells);
        }
    }

    /// A peer is about to bring this side's copy of its routes up to date, from what HELLO or READY said that it holds.
    pub(super) fn expect_routes(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = &peer.session else { return };
        let mut resync = Resyncing::new(self.now, session.peer_routes, ResyncMethod::UpToDate);
        resync.reached(self.now, peer.replica.position());
        peer.resync_in = Some(resync);
    }

    pub(super) fn flush_routes(&mut self, id: PeerId) {
        loop {
            let now = self.now;
            let batch = self.config.route_batch;
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
            if !session.is_live() || session.control_queued > CONTROL_AHEAD || session.routes.reconciling.is_some() {
                return;
            }
            let connection = session.connection;
            let carried;
            let most = PART.min(session.max_frame.saturating_sub(ROUTE_OVERHEAD));
            let frame = if let Some(mut part) =
                session.routes.difference.as_mut().and_then(|difference| difference.next_part(most))
            {
                if part.last {
                    session.routes.sent = part.to.seq;
                    session.routes.difference = None;
                }
                part.to.incarnation = peer.life;
                carried = (ResyncMethod::Sketch, Some(part.adds.len() + part.removes.len()));
                Frame::RouteDifference(part)
            } else if let Some(cursor) = &mut session.routes.snapshot {
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
                carried = (ResyncMethod::Snapshot, None);
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
                        carried = (ResyncMethod::Tail, Some(delta.ops.len()));
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
            let frame = if session.routes.warming {
                let preadd = additions(frame, peer.life);
                if preadd.filters.is_empty() {
                    continue;
                }
                session.routes.theirs = session.routes.theirs.saturating_add(preadd.filters.len() as u64);
                Frame::RoutePreadd(preadd)
            } else {
                frame
            };
            let frame = encode(&frame);
            if let Some(resync) = &mut peer.resync_out {
                let (method, differences) = carried;
                if method != ResyncMethod::Tail {
                    resync.by(method);
                }
                resync.carried(frame.len(), differences);
            }
            self.transmit(connection, Class::Control, frame);
        }
    }

    pub(super) fn on_route_delta(&mut self, connection: ConnectionId, id: PeerId, delta: RouteDelta, length: usize) {
        self.peer_is_warm(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.peer_reached(delta.to);
        }
        let result = peer.replica.apply_delta(&mut self.table, &delta);
        self.applied(connection, id, result, (ResyncMethod::Tail, length));
    }

    pub(super) fn on_route_snapshot(
        &mut self,
        connection: ConnectionId,
        id: PeerId,
        part: RouteSnapshot,
        length: usize,
    ) {
        self.peer_is_warm(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.peer_reached(part.to);
        }
        let result = peer.replica.apply_snapshot(&mut self.table, part);
        self.applied(connection, id, result, (ResyncMethod::Snapshot, length));
    }

    pub(super) fn applied(
        &mut self,
        connection: ConnectionId,
        id: PeerId,
        result: Result<Vec<RouteChange>, RouteFault>,
        (method, bytes): (ResyncMethod, usize),
    ) {
        match result {
            Ok(changes) => {
                self.table_changed |= !changes.is_empty();
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let (position, loading) = (peer.replica.position(), peer.replica.is_loading());
                if let Some(resync) = &mut peer.resync_in {
                    resync.by(method);
                    resync.carried(bytes, Some(changes.len()));
                    resync.reached(self.now, position.filter(|_| !loading));
                }
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
        let (connection, target) = (session.connection, session.peer_routes);
        peer.resync_in = Some(Resyncing::new(self.now, target, ResyncMethod::Snapshot));
        let cells = peer.replica.first_cells(&RoutePosition::default(), u64::MAX, FIRST_CELLS);
        self.send(connection, &Frame::RouteResume(RouteResume { holds, cells }));
    }

    pub(super) fn on_route_ack(&mut self, id: PeerId, position: RoutePosition) {
        self.on_confirmation(id, Some(position));
        self.check_synced(id);
    }

    pub(super) fn on_confirmation(&mut self, id: PeerId, position: Option<RoutePosition>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.routes.confirmed = position;
        }
        if let Some(resync) = &mut peer.resync_out {
            resync.reached(self.now, position);
        }
        let link = peer.link;
        if self.links.get(&link).is_some_and(|link| link.log.awaits_acknowledgement()) {
            self.advance_covering(link);
        }
        self.check_barriers(link);
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
            && !session.routes.warming
            && !session.peer_warming
            && session.routes.confirmed == Some(link.announced_in(peer.life))
            && held == Some(session.peer_routes)
            && !peer.replica.is_loading()
    }

    /// What a peer wants is to be sent to it.
    pub(super) fn route_peer(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get(&id) {
            peer.gate.set_routed(true);
        }
    }

    /// What a peer wants is not to be sent to it. Its routes stay in the shared table, and are passed by.
    pub(super) fn unroute_peer(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get(&id) {
            peer.gate.set_routed(false);
        }
    }
}
