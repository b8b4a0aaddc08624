//! Row 2: a message from the publisher's door to the peer, and from a peer to the host.

use std::time::Duration;

use super::{ConnectionId, Node, Offered, Output, PeerId, Ticket, Timer, Way};
use crate::{
    message::{Message, QoS},
    mutant::{self, Mutant},
    transport::Class,
    wire::{Ack, Batch, CloseCode, Datagram, DatagramAck, Frame, RefusedReason, decode_message},
};

/// Bytes of one batch, about.
const BATCH: usize = 64 * 1024;
/// Bytes of batches that may wait for the transport on one channel. Little, so that what is sent next is decided late:
/// lanes stay fair, and what expires meanwhile is not sent.
const DATA_AHEAD: usize = 2 * BATCH;
/// How often expired messages are taken out of a queue, and how many at most.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP: usize = 4096;

impl Node {
    /// A message was let in for a peer.
    pub(super) fn on_publish(&mut self, offered: Offered) {
        let Offered { peer, by_lane, lane, qos, expires_at, accepted_at, body } = offered;
        let id = if by_lane { self.redirect(peer, lane, body.len()) } else { peer };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let session = peer.session.as_ref().filter(|session| session.is_live());
        let live = session.is_some();
        // Where the network takes no more of them the message waits in its lane.
        if qos == QoS::AtMostOnce
            && let Some(session) = session.filter(|session| session.datagrams_queued < DATA_AHEAD)
            && let Some(frame) = peer.outbox.datagram(&body, expires_at, self.now, session.datagrams)
        {
            let connection = session.connection;
            if !frame.is_empty() {
                self.transmit(connection, Class::Datagram, frame);
            }
            return;
        }
        peer.outbox.push(lane, qos, body, expires_at, accepted_at, live);
        if live {
            self.dirty.insert(id);
        } else {
            self.timers.set_if_clear(Timer::Sweep(id), self.now + SWEEP_EVERY);
        }
    }

    /// Sends what the window, and the transport's appetite, allow.
    pub(super) fn flush_messages(&mut self, id: PeerId) {
        loop {
            let now = self.now;
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let Some(session) = peer.session.as_ref().filter(|session| session.is_live()) else { return };
            let (connection, channels) = (session.connection, session.channels);
            let channel = |lane: u8| u16::from(lane) % channels;
            let ready = |lane| session.data_queued.get(usize::from(channel(lane))).is_some_and(|q| *q < DATA_AHEAD);
            let Some((lane, frame)) = peer.outbox.fill(now, BATCH, ready) else { return };
            self.transmit(connection, Class::Data(channel(lane)), frame);
        }
    }

    pub(super) fn on_ack(&mut self, connection: ConnectionId, id: PeerId, ack: &Ack) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.outbox.ack(ack) {
            Ok(()) => drop(self.dirty.insert(id)),
            Err(fault) => self.close(connection, CloseCode::Protocol, &fault.to_string()),
        }
    }

    /// Messages that overtook READY, which comes on another channel. The dialler sends them within the window, so they
    /// are kept within it.
    pub(super) fn on_early_batch(&mut self, connection: ConnectionId, id: PeerId, batch: Batch) {
        let window = self.peers.get(&id).and_then(|peer| self.links.get(&peer.link)).map_or(0, |l| l.config.window);
        let Some(session) = self.session_mut(id) else { return };
        session.early_bytes += batch.entries.iter().map(|entry| entry.cost().max(8)).sum::<usize>();
        let largest_alone = session.early.is_empty();
        if session.early_bytes > window as usize && !largest_alone {
            return self.close(connection, CloseCode::Window, "more than the window came before READY");
        }
        session.early.push(batch);
    }

    /// Messages of a peer: what is new goes to the host.
    pub(super) fn on_batch(&mut self, connection: ConnectionId, id: PeerId, batch: Batch) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = self.links.get(&peer.link) else { return };
        let (epoch, origin, limits) = (peer.epoch, &peer.origin, &self.config.limits);
        let outputs = &mut self.outputs;
        let (mut refused, mut forwarded) = (Vec::new(), Vec::<Message>::new());
        let result = peer.inbox.receive(batch, |received| {
            let ticket = Ticket { epoch, way: Way::Lane(received.lane), seq: received.seq };
            match decode_message(received.body, received.expiry, limits) {
                Ok(message) if link.imports(&message.topic) => {
                    let origin = origin.clone();
                    outputs.push_back(Output::Deliver { peer: id, ticket, message, origin });
                }
                Ok(_) => refused.push((received.lane, received.seq, RefusedReason::NotImported)),
                Err(error) => {
                    tracing::warn!(%error, "a message of a peer can't be decoded");
                    refused.push((received.lane, received.seq, RefusedReason::Malformed));
                }
            }
        });
        if mutant::on(Mutant::Forward) {
            for output in outputs.iter() {
                if let Output::Deliver { peer, message, .. } = output
                    && *peer == id
                {
                    forwarded.push(message.clone());
                }
            }
        }
        for (lane, seq, reason) in refused {
            peer.inbox.finish(lane, seq, Some(reason));
        }
        self.dirty.insert(id);
        for message in forwarded {
            let mut offers = Vec::new();
            self.publisher().offer(self.now, "", &message, |offered| offers.push(offered));
            offers.into_iter().filter(|offered| offered.peer != id).for_each(|offered| self.on_publish(offered));
        }
        if let Err(fault) = result {
            self.close(connection, fault.close_code(), &fault.to_string());
        }
    }

    /// A message outside of the lanes: handed on if it is new.
    pub(super) fn on_datagram(&mut self, connection: ConnectionId, id: PeerId, datagram: Datagram) {
        let Datagram { number, expiry, body } = datagram;
        if self.session(id).is_none_or(|session| session.datagrams == 0) {
            return self.close(connection, CloseCode::Protocol, "a datagram came, and none were agreed on");
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = self.links.get(&peer.link) else { return };
        let bytes = body.len();
        if !peer.inbox.datagram(connection, number, bytes) {
            return;
        }
        let refused = match decode_message(body, expiry, &self.config.limits) {
            Ok(message) if message.qos != QoS::AtMostOnce => RefusedReason::Malformed,
            Ok(message) if link.imports(&message.topic) => {
                let ticket = Ticket { epoch: peer.epoch, way: Way::Datagram(connection), seq: number };
                let origin = peer.origin.clone();
                peer.inbox.hand_on_datagram(connection, number, bytes);
                return self.outputs.push_back(Output::Deliver { peer: id, ticket, message, origin });
            }
            Ok(_) => RefusedReason::NotImported,
            Err(error) => {
                tracing::debug!(%error, "a datagram of a peer can't be decoded");
                RefusedReason::Malformed
            }
        };
        peer.inbox.refuse_datagram(connection, number, refused);
    }

    pub(super) fn on_datagram_ack(&mut self, connection: ConnectionId, id: PeerId, ack: &DatagramAck) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Err(fault) = peer.outbox.datagrams_settled(ack) {
            self.close(connection, CloseCode::Protocol, &fault.to_string());
        }
    }

    /// The host is done with a message.
    pub(super) fn on_delivered(&mut self, id: PeerId, ticket: Ticket, refused: Option<RefusedReason>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match ticket.way {
            Way::Datagram(connection) => peer.inbox.finish_datagram(connection, ticket.seq, refused),
            Way::Lane(lane) if ticket.epoch == peer.epoch => {
                peer.inbox.finish(lane, ticket.seq, refused);
                self.dirty.insert(id);
            }
            Way::Lane(_) => peer.abandoned = peer.abandoned.saturating_sub(1),
        }
    }

    pub(super) fn flush_acks(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = peer.session.as_ref().filter(|session| session.is_live()) else { return };
        let connection = session.connection;
        for ack in peer.inbox.acks() {
            self.send(connection, &Frame::Ack(ack));
        }
    }

    /// Frees the room of what has expired.
    pub(super) fn sweep(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.outbox.sweep(self.now, SWEEP);
        if peer.outbox.has_unsent() || peer.session.is_some() {
            self.timers.set(Timer::Sweep(id), self.now + SWEEP_EVERY);
        }
    }
}
