//! Both ends of a comparison of a route set with its copy, by sketches.
//!
//! ```text
//!  reader                                   writer
//!  first cells, in HELLO, READY or RESUME ▶  decodes: what differs, or
//!         ◀──────────────────────────  NEED  it asks for more,
//!  CELLS  ───────────────────────────────▶   until it knows
//!         ◀────────────────────  DIFFERENCE  in parts; or the whole set
//! ```

use super::{ConnectionId, Node, PeerId, routing::PART};
use crate::{
    link::ResyncMethod,
    routes::{Cell, Comparison, Estimator, FIRST_CELLS, SketchFault},
    wire::{CloseCode, Frame, RouteCells, RouteDifference, RouteNeed, RoutePosition, RouteResume},
};

/// Requests for cells that are answered in one session: a writer needs five at most, twice.
const MAX_REQUESTS: u32 = 32;

impl Node {
    /// The first cells of a sketch of what is held of a peer, if the peer can't go on from what was proven.
    pub(super) fn first_cells(&mut self, id: PeerId, routes: &RoutePosition, kept_from: u64) -> Vec<Cell> {
        let Some(peer) = self.peers.get_mut(&id) else { return Vec::new() };
        let most = peer.session.as_ref().map_or(0, |session| most_cells(session.max_frame)).max(FIRST_CELLS);
        let cells = peer.replica.first_cells(routes, kept_from, most);
        if let Some(session) = peer.session.as_mut().filter(|_| !cells.is_empty()) {
            // Heartbeats that come before the answer don't ask again.
            session.resuming = Some(0);
        }
        cells
    }

    pub(super) fn on_route_resume(&mut self, connection: ConnectionId, id: PeerId, resume: RouteResume) {
        self.resume_routes(connection, id, resume.holds, &resume.cells);
    }

    /// Goes on with a comparison that has begun, from the peer's first cells, or without any.
    pub(super) fn compare(&mut self, connection: ConnectionId, id: PeerId, cells: &[Cell]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
        let Some(reconciling) = &mut session.routes.reconciling else { return };
        let result =
            if cells.is_empty() { Ok(reconciling.begin()) } else { reconciling.take(&link.log, 0, cells, None) };
        self.compared(connection, id, result);
    }

    /// The reader's cells.
    pub(super) fn on_route_cells(&mut self, connection: ConnectionId, id: PeerId, cells: &RouteCells) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
        // More than was needed in the end, or of a comparison that was begun anew.
        let Some(reconciling) = &mut session.routes.reconciling else { return };
        if let Some(resync) = &mut peer.resync_out {
            resync.carried(cells.cells.len() * Cell::BYTES, Some(0));
        }
        let estimator = match &cells.estimator {
            Some(bytes) => match Estimator::from_bytes(bytes) {
                Ok(estimator) => Some(estimator),
                Err(fault) => return self.close(connection, CloseCode::Protocol, &fault.to_string()),
            },
            None => None,
        };
        let result = if cells.cells.is_empty() {
            Ok(Comparison::Snapshot)
        } else {
            reconciling.take(&link.log, cells.first as usize, &cells.cells, estimator.as_ref())
        };
        self.compared(connection, id, result);
    }

    fn compared(&mut self, connection: ConnectionId, id: PeerId, result: Result<Comparison, SketchFault>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&mut peer.session, self.links.get(&peer.link)) else { return };
        match result {
            Ok(Comparison::Waits) => return,
            Ok(Comparison::Need { cells, estimator }) => {
                let need = RouteNeed { first: cells.start as u32, count: (cells.end - cells.start) as u32, estimator };
                return self.send(connection, &Frame::RouteNeed(need));
            }
            Ok(Comparison::Difference(cursor)) => session.routes.difference = Some(cursor),
            Ok(Comparison::Snapshot) => session.routes.snapshot = Some(link.log.snapshot()),
            Err(fault) => {
                let reason = format!("cells came that were not asked for: {fault}");
                return self.close(connection, CloseCode::Protocol, &reason);
            }
        }
        session.routes.reconciling = None;
        self.dirty.insert(id);
    }

    /// The writer needs cells of what this side holds.
    pub(super) fn on_route_need(&mut self, connection: ConnectionId, id: PeerId, need: RouteNeed) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = &mut peer.session else { return };
        session.cells_asked += 1;
        session.resuming = Some(0);
        if session.cells_asked > MAX_REQUESTS {
            return self.close(connection, CloseCode::Protocol, "cells are asked for again and again");
        }
        let most = most_cells(session.max_frame);
        let first = need.first as usize;
        let cells = peer.replica.cells(&self.table, first..first + need.count as usize);
        let mut estimator = peer.replica.estimator().filter(|_| need.estimator).map(|own| own.to_bytes().into());
        let mut first = need.first;
        let mut parts = cells.chunks(most);
        // None is an answer as well.
        let mut next = Some(parts.next().unwrap_or_default());
        while let Some(part) = next {
            let frame = RouteCells { first, cells: part.to_vec(), estimator: estimator.take() };
            first += part.len() as u32;
            self.send(connection, &Frame::RouteCells(frame));
            next = parts.next();
        }
    }

    pub(super) fn on_route_difference(
        &mut self,
        connection: ConnectionId,
        id: PeerId,
        part: RouteDifference,
        length: usize,
    ) {
        self.peer_is_warm(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = &mut peer.session {
            session.peer_reached(part.to);
        }
        let result = peer.replica.apply_difference(&mut self.table, part);
        self.applied(connection, id, result, (ResyncMethod::Sketch, length));
    }
}

/// Most cells that one frame takes, beside an estimator or what else HELLO and READY say.
fn most_cells(max_frame: usize) -> usize {
    (PART.min(max_frame.saturating_sub(Estimator::BYTES + 64)) / Cell::BYTES).max(1)
}
