//! The receiving end: what is new, what the host is done with, what is to be acknowledged.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use thiserror::Error;

use super::{ReceivedLedger, Seen, datagrams::Arrived};
use crate::{
    mutant::{self, Mutant},
    node::ConnectionId,
    wire::{Ack, Batch, CloseCode, DatagramAck, Entry, LaneMark, RefusedReason},
};

/// A peer broke a rule of a lane. The connection has to end; what came before counts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InboxFault {
    /// It did not announce such a lane.
    #[error("lane {0} was not announced")]
    Lane(u8),
    /// Something is missing. It is never taken for a duplicate, nor passed over.
    #[error("lane {lane}: {first} came, but {expected} is next")]
    Gap {
        /// The lane.
        lane: u8,
        /// What came.
        first: u64,
        /// What should have come.
        expected: u64,
    },
    /// More is on its way than the window allows.
    #[error("{pending} bytes are not acknowledged, {more} more came, and the window is {window}")]
    Window {
        /// Bytes in the host's hands.
        pending: usize,
        /// Bytes of the message that came.
        more: usize,
        /// Most bytes allowed.
        window: usize,
    },
}

impl InboxFault {
    /// The code with which the connection ends.
    pub fn close_code(&self) -> CloseCode {
        if matches!(self, Self::Window { .. }) { CloseCode::Window } else { CloseCode::Protocol }
    }
}

/// A new message, to be handed to the host.
#[derive(Debug)]
pub struct Received {
    /// Its lane.
    pub lane: u8,
    /// Its number there.
    pub seq: u64,
    /// Seconds until it expires.
    pub expiry: Option<u32>,
    /// The encoded message.
    pub body: Bytes,
}

/// The lanes of one life of a peer.
#[derive(Debug)]
pub struct Inbox {
    lanes: BTreeMap<u8, Lane>,
    datagrams: Arrived,
    /// Of their bodies, in the host's hands.
    datagram_bytes: usize,
    window: usize,
    pending_bytes: usize,
    ledger: ReceivedLedger,
}

#[derive(Debug)]
struct Lane {
    /// The last place that was taken.
    received: u64,
    /// The last place that the peer knows to be done, if nothing that was sent to it gets lost.
    told: u64,
    /// Messages of which the host, or one before it, is not done. Places between them are skips.
    pending: VecDeque<Pending>,
    /// Refusals that the peer may not know, in order. The first `reported` were sent on this connection.
    refused: VecDeque<(u64, RefusedReason)>,
    reported: usize,
}

#[derive(Debug)]
struct Pending {
    seq: u64,
    bytes: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    WithHost,
    Taken,
    Refused(RefusedReason),
}

/// What a datagram takes of the window at least: what is kept of it while the host has it.
const LEAST: usize = 64;

/// Most refusals in one acknowledgement.
const REFUSALS_PER_ACK: usize = 256;

/// Most refusals that a lane keeps in case that their acknowledgement is lost. The peer counts one that is forgotten
/// *and* lost as delivered.
const REFUSALS_KEPT: usize = 4096;

impl Inbox {
    /// An inbox without lanes. `window`: most bytes that may be in the host's hands, as announced in HELLO; a single
    /// larger message is taken alone.
    pub fn new(window: usize) -> Self {
        Self {
            lanes: BTreeMap::new(),
            datagrams: Arrived::new(),
            datagram_bytes: 0,
            window,
            pending_bytes: 0,
            ledger: ReceivedLedger::default(),
        }
    }

    /// The peer began a new life: its lanes begin where it says. Results for the old ones no longer come.
    pub fn restart(&mut self, bases: &[LaneMark]) {
        self.ledger.abandoned += self.pending();
        self.ledger.pending = self.datagrams.pending();
        self.pending_bytes = 0;
        self.lanes.clear();
        self.resume(bases);
    }

    /// The peer is back in the same life, and says from where on it keeps each lane. All that is done behind that is
    /// acknowledged again: the acknowledgement before may be lost.
    pub fn resume(&mut self, bases: &[LaneMark]) {
        if mutant::on(Mutant::ForgetWatermark) {
            self.lanes.clear();
        }
        for mark in bases {
            let before = mark.seq.saturating_sub(1);
            let lane = self.lanes.entry(mark.lane).or_insert_with(|| Lane::new(before));
            self.ledger.lost_by_rollback =
                self.ledger.lost_by_rollback.saturating_add(before.saturating_sub(lane.received));
            lane.rebase(before);
        }
    }

    /// Changes the window, for what comes from now on.
    pub fn set_window(&mut self, window: usize) {
        self.window = window;
    }

    /// Takes a batch, and gives what is new in it to `take`, in order.
    ///
    /// # Errors
    /// An [`InboxFault`] at the first entry that breaks a rule; the entries before it have been taken.
    pub fn receive(&mut self, batch: Batch, mut take: impl FnMut(Received)) -> Result<(), InboxFault> {
        let number = batch.lane;
        let Some(lane) = self.lanes.get_mut(&number) else { return Err(InboxFault::Lane(number)) };
        let mut seq = batch.first;
        for entry in batch.entries {
            let expected = lane.received.saturating_add(1);
            if seq > expected && !mutant::on(Mutant::BatchGap) {
                return Err(InboxFault::Gap { lane: number, first: seq, expected });
            }
            match entry {
                Entry::Skip { count } => {
                    let last = seq.saturating_add(count).saturating_sub(1);
                    self.ledger.skipped = self.ledger.skipped.saturating_add(last.saturating_sub(lane.received));
                    lane.received = lane.received.max(last);
                    seq = seq.saturating_add(count);
                }
                Entry::Message { expiry, body } => {
                    if seq <= lane.received && !mutant::on(Mutant::NoDedup) {
                        self.ledger.duplicates += 1;
                    } else {
                        let bytes = body.len();
                        if self.pending_bytes > 0 && self.pending_bytes.saturating_add(bytes) > self.window {
                            let pending = self.pending_bytes;
                            return Err(InboxFault::Window { pending, more: bytes, window: self.window });
                        }
                        self.pending_bytes += bytes;
                        self.ledger.received += 1;
                        self.ledger.pending += 1;
                        lane.received = lane.received.max(seq);
                        lane.pending.push_back(Pending { seq, bytes, state: State::WithHost });
                        take(Received { lane: number, seq, expiry, body });
                    }
                    seq = seq.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// The host is done with a message; `refused` says why it was not handed on, if it was not. Messages of a lane may
    /// be finished in any order; an unknown one is ignored. Constant time for the oldest, logarithmic for others.
    pub fn finish(&mut self, lane: u8, seq: u64, refused: Option<RefusedReason>) {
        let Some(lane) = self.lanes.get_mut(&lane) else { return };
        let Some(pending) = lane.find(seq).filter(|pending| pending.state == State::WithHost) else { return };
        pending.state = refused.map_or(State::Taken, State::Refused);
        self.pending_bytes = self.pending_bytes.saturating_sub(pending.bytes);
        self.ledger.pending -= 1;
        match refused {
            None => self.ledger.delivered += 1,
            Some(_) => self.ledger.refused += 1,
        }
        lane.settle();
    }

    /// Takes a datagram of `connection` with a body of `bytes`, and says whether it is new. One that is new is
    /// [handed on](Self::hand_on_datagram) or [refused](Self::refuse_datagram).
    ///
    /// One for which the window has no room is dropped: nothing holds the sender back, and it counts on none.
    pub fn datagram(&mut self, connection: ConnectionId, number: u64, bytes: usize) -> bool {
        let held = self.pending_bytes.saturating_add(self.datagram_bytes);
        if held > 0 && held.saturating_add(bytes.max(LEAST)) > self.window {
            return false;
        }
        match self.datagrams.take(connection, number) {
            Seen::New => {
                self.ledger.received += 1;
                return true;
            }
            Seen::Again => self.ledger.duplicates += 1,
            Seen::Forgotten => self.ledger.late += 1,
        }
        false
    }

    /// A new datagram goes to the host.
    pub fn hand_on_datagram(&mut self, connection: ConnectionId, number: u64, bytes: usize) {
        self.datagram_bytes += bytes.max(LEAST);
        self.ledger.pending += 1;
        self.datagrams.hand_on(connection, number, bytes.max(LEAST));
    }

    /// A new datagram is not for the host.
    pub fn refuse_datagram(&mut self, connection: ConnectionId, number: u64, reason: RefusedReason) {
        self.ledger.refused += 1;
        self.datagrams.done_with(connection, number, Some(reason));
    }

    /// The host is done with a datagram, as in [`finish`](Self::finish). Constant time for the oldest, linear for others.
    pub fn finish_datagram(&mut self, connection: ConnectionId, number: u64, refused: Option<RefusedReason>) {
        let Some(bytes) = self.datagrams.finish(connection, number, refused) else { return };
        self.datagram_bytes -= bytes;
        self.ledger.pending -= 1;
        match refused {
            None => self.ledger.delivered += 1,
            Some(_) => self.ledger.refused += 1,
        }
    }

    /// The peer's heartbeat says how many datagrams it has sent: without that a lost one at the end would not be missed.
    pub fn datagrams_sent(&mut self, connection: ConnectionId, last: u64) {
        self.datagrams.sent(connection, last);
    }

    /// What is to be said of the datagrams of `connection`, at each heartbeat: those that have not come since the one
    /// before are given up.
    pub fn settle_datagrams(&mut self, connection: ConnectionId) -> Option<DatagramAck> {
        self.datagrams.settle(connection)
    }

    /// How many messages of lanes are in the host's hands.
    pub fn pending(&self) -> u64 {
        self.ledger.pending - self.datagrams.pending()
    }

    /// The acknowledgements that are due: one per lane, more where its refusals don't fit into one.
    pub fn acks(&mut self) -> Vec<Ack> {
        let mut acks = Vec::new();
        for (number, lane) in &mut self.lanes {
            while let Some(ack) = lane.ack(*number) {
                acks.push(ack);
            }
        }
        acks
    }

    /// How far each lane was received, for HELLO: the peer resumes behind it, and keeps what is not acknowledged.
    ///
    /// From then on nothing may be taken from an earlier connection.
    pub fn watermarks(&self) -> Vec<LaneMark> {
        if mutant::on(Mutant::ForgetWatermark) {
            return Vec::new();
        }
        self.lanes.iter().map(|(lane, state)| LaneMark { lane: *lane, seq: state.received }).collect()
    }

    /// The counts.
    pub fn ledger(&self) -> ReceivedLedger {
        self.ledger
    }
}

impl Lane {
    fn new(before: u64) -> Self {
        Self { received: before, told: before, pending: VecDeque::new(), refused: VecDeque::new(), reported: 0 }
    }

    /// The peer knows that all up to `before` is done.
    fn rebase(&mut self, before: u64) {
        self.received = self.received.max(before);
        self.told = before;
        while self.refused.front().is_some_and(|(seq, _)| *seq <= before) {
            self.refused.pop_front();
        }
        self.reported = 0;
    }

    fn find(&mut self, seq: u64) -> Option<&mut Pending> {
        let at = match self.pending.front() {
            Some(front) if front.seq == seq => 0,
            _ => self.pending.binary_search_by_key(&seq, |pending| pending.seq).ok()?,
        };
        self.pending.get_mut(at)
    }

    /// The last place up to which all is done.
    fn delivered(&self) -> u64 {
        if mutant::on(Mutant::AckBeforeDeliver) {
            return self.received;
        }
        self.pending.front().map_or(self.received, |front| front.seq - 1)
    }

    /// Lets go of what is done.
    fn settle(&mut self) {
        while self.pending.front().is_some_and(|front| front.state != State::WithHost) {
            let Some(Pending { seq, state, .. }) = self.pending.pop_front() else { return };
            if let State::Refused(reason) = state {
                if self.refused.len() == REFUSALS_KEPT {
                    self.refused.pop_front();
                    self.reported = self.reported.saturating_sub(1);
                }
                self.refused.push_back((seq, reason));
            }
        }
    }

    fn ack(&mut self, lane: u8) -> Option<Ack> {
        let delivered = self.delivered();
        if delivered <= self.told {
            return None;
        }
        let fresh = self.refused.len() - self.reported;
        let refused: Vec<_> = self.refused.range(self.reported..).take(REFUSALS_PER_ACK).copied().collect();
        self.reported += refused.len();
        self.told = match refused.last() {
            Some((seq, _)) if fresh > refused.len() => *seq,
            _ => delivered,
        };
        Some(Ack { lane, up_to: self.told, refused })
    }
}
