//! Warming up: a node that has started does not know at once what all its clients want. Sessions that outlived the restart
//! come back little by little, and a peer that was told what there is so far would take the rest for withdrawn.
//!
//! ```text
//!  before        log        sent                         counts at the peer
//!  a b c                                                 a b c               proven, of the life before
//!  warming       a          PREADD a                     a b c
//!                a d        PREADD d                     a b c d
//!                a b d      PREADD b                     a b c d
//!  warm          a b d      the difference, or the set   a b d               proven
//! ```
//!
//! The log goes on as always, and so does what is sent of it, by tail, comparison or as a whole; but of each step only what
//! it adds is sent, as PREADD, without a position. When the node is warm each peer is brought up to date from what it
//! holds then.

use super::{ConnectionId, Node, PeerId, Timer};
use crate::{
    link::LinkState,
    routes::RouteFault,
    wire::{Frame, Incarnation, RouteOp, RoutePreadd},
};

impl Node {
    /// Whether it announces additions only, for sessions that outlived its start to come back.
    pub fn is_warming(&self) -> bool {
        self.warming
    }

    /// The time to warm up is counted from the first that happens.
    pub(super) fn begin_warm_up(&mut self) {
        if self.warming {
            self.timers.set_if_clear(Timer::Warm, self.now + self.config.warm_up);
        }
    }

    /// All that clients want is reported: what peers have too much goes.
    pub(super) fn on_warm(&mut self) {
        if !std::mem::take(&mut self.warming) {
            return;
        }
        self.timers.clear(Timer::Warm);
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(session) = self.session_mut(id) else { continue };
            if !std::mem::take(&mut session.routes.warming) || !session.is_live() {
                continue;
            }
            session.routes.comparisons = 0;
            let (connection, holds) = (session.connection, session.routes.confirmed);
            self.resume_routes(connection, id, holds, &[]);
            self.show_syncing(id);
        }
    }

    /// The peer hears at once, if it is so, that what follows are additions only.
    pub(super) fn begin_additions(&mut self, connection: ConnectionId, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.session.as_ref().is_some_and(|session| session.routes.warming) {
            let first = RoutePreadd { incarnation: peer.life, filters: Vec::new() };
            self.send(connection, &Frame::RoutePreadd(first));
        }
    }

    pub(super) fn on_route_preadd(&mut self, connection: ConnectionId, id: PeerId, preadd: RoutePreadd, length: usize) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.replica.apply_preadd(&mut self.table, preadd) {
            Ok(changes) => {
                if let Some(resync) = &mut peer.resync_in {
                    resync.carried(length, Some(changes.len()));
                }
                self.table_changed |= !changes.is_empty();
                self.peer_warms(id);
            }
            Err(RouteFault::OtherLife { .. }) => {}
            Err(fault) => self.close(connection, fault.close_code(), &fault.to_string()),
        }
    }

    /// A peer says that it announces additions only.
    pub(super) fn peer_warms(&mut self, id: PeerId) {
        let Some(session) = self.session_mut(id) else { return };
        if !std::mem::replace(&mut session.peer_warming, true) {
            self.show_syncing(id);
        }
    }

    /// A peer has announced something else, or says that it is warm.
    pub(super) fn peer_is_warm(&mut self, id: PeerId) {
        let Some(session) = self.session_mut(id) else { return };
        if std::mem::take(&mut session.peer_warming) {
            // It is about to bring this side's copy up to date.
            session.resuming = Some(0);
            self.expect_routes(id);
            self.show_syncing(id);
        }
    }

    /// Says in the status why the route sets are not known to be equal yet.
    pub(super) fn show_syncing(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = peer.session.as_ref().filter(|_| peer.state == LinkState::Syncing) else { return };
        let why = match (session.routes.warming, session.peer_warming) {
            (false, false) => "route sets are being compared",
            (false, true) => "the peer is warming up: it announces additions only",
            (true, false) => "this node is warming up: it announces additions only",
            (true, true) => "this node and the peer are warming up: both announce additions only",
        };
        peer.reason = format!("connected; {why}");
        let link = peer.link;
        self.changed(link);
    }
}

/// What a step of this side's route set adds.
pub(super) fn additions(step: Frame, incarnation: Incarnation) -> RoutePreadd {
    let filters = match step {
        Frame::RouteDelta(delta) => delta.ops.into_iter().filter_map(added).collect(),
        Frame::RouteSnapshot(part) => part.filters,
        Frame::RouteDifference(part) => part.adds,
        _ => Vec::new(),
    };
    RoutePreadd { incarnation, filters }
}

fn added(op: RouteOp) -> Option<crate::topic::TopicFilter> {
    match op {
        RouteOp::Add(filter) => Some(filter),
        RouteOp::Remove(_) => None,
    }
}
