//! Heartbeats: whether the peer lives, how far it is, and whether both still agree on the routes.

use std::time::Duration;

use super::{ConnectionId, Node, Owner, PeerId, Timer};
use crate::wire::{CloseCode, Frame, Heartbeat};

/// So many heartbeats may cross a RESUME. A link whose round trip is longer than that only asks once too often.
const ANSWERED: u32 = 4;

impl Node {
    pub(super) fn send_heartbeat(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some(session), Some(link)) = (&peer.session, self.links.get(&peer.link)) else { return };
        let settled = peer.inbox.settle_datagrams(session.connection);
        let heartbeat = Heartbeat {
            routes: link.announced_in(peer.life),
            holds: peer.replica.position(),
            sent: micros(now),
            echo: session.heartbeat.as_ref().map(|(heartbeat, _)| heartbeat.sent),
            held: session.heartbeat.as_ref().map_or(0, |(_, at)| micros(now.saturating_sub(*at))),
            datagrams: peer.outbox.datagrams_sent(),
            warming: session.routes.warming,
        };
        let (connection, every) = (session.connection, link.config.heartbeat);
        self.timers.set(Timer::Heartbeat(id), now + every);
        self.send(connection, &Frame::Heartbeat(heartbeat));
        if let Some(ack) = settled {
            self.send(connection, &Frame::DatagramAck(ack));
        }
    }

    pub(super) fn on_heartbeat(&mut self, id: PeerId, heartbeat: Heartbeat) {
        let now = self.now;
        if heartbeat.warming {
            self.peer_warms(id);
        } else {
            self.peer_is_warm(id);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = &mut peer.session else { return };
        if let Some(echo) = heartbeat.echo {
            let trip = micros(now).saturating_sub(echo).saturating_sub(heartbeat.held);
            session.round_trip = Some(Duration::from_micros(trip));
        }
        peer.inbox.datagrams_sent(session.connection, heartbeat.datagrams);
        let behind = session.peer_routes.seq;
        session.peer_routes = heartbeat.routes;
        session.heartbeat = Some((heartbeat, now));
        // Control frames keep their order: what the peer sent before this heartbeat has been applied. What differs now was
        // lost or went wrong, or it is still to be sent: a long tail is behind several heartbeats, and moves between them.
        let moved = std::mem::take(&mut session.routes_moved);
        let held = peer.replica.position();
        let differs = held != Some(heartbeat.routes) && !peer.replica.is_loading();
        let wrong = held.is_none_or(|held| held.seq == heartbeat.routes.seq);
        let stuck = behind == heartbeat.routes.seq && !moved;
        // The answer to a RESUME comes after the heartbeats that crossed it. If it could not be taken, it is asked for again.
        let answered = session.resuming.as_mut().is_none_or(|heartbeats| {
            *heartbeats += 1;
            *heartbeats > ANSWERED
        });
        // What a peer that is warming up has said so far has no position.
        if differs && (stuck || wrong) && answered && !session.peer_warming {
            self.ask_for_routes(id);
        }
        self.on_confirmation(id, heartbeat.holds);
        self.check_synced(id);
        self.check_part(id);
        self.even_out(id);
    }

    /// Anything heard proves that the peer lives.
    pub(super) fn heard(&mut self, connection: ConnectionId, bytes: usize) {
        let Some(Owner::Peer(id)) = self.connections.get(&connection) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.bytes_in += bytes as u64;
        if let Some(session) = &mut peer.session {
            session.heard = self.now;
        }
    }

    pub(super) fn on_silence(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (Some(session), Some(link)) = (&peer.session, self.links.get(&peer.link)) else { return };
        let patience = link.config.heartbeat * 3;
        let (due, connection) = (session.heard + patience, session.connection);
        if due > self.now {
            // Moved here and not with each frame: a frame costs no timer.
            return self.timers.set(Timer::Silence(id), due);
        }
        self.close(connection, CloseCode::Timeout, &format!("nothing was heard for {patience:?}"));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
