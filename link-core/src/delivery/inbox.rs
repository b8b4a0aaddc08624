//! The receiving end: what is new, what the host is done with, what is to be acknowledged.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use thiserror::Error;

use super::ReceivedLedger;
use crate::wire::{Ack, Batch, CloseCode, Entry, LaneMark, RefusedReason};

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
    window: usize,
    pending_bytes: usize,
    ledger: ReceivedLedger,
}

#[derive(Debug)]
struct Lane {
    /// The last place that was taken.
    received: u64,
    /// The last place up to which the host is done with everything.
    delivered: u64,
    /// What lies between, in order.
    pending: VecDeque<Pending>,
    refused: Vec<(u64, RefusedReason)>,
    ack_due: bool,
}

#[derive(Debug)]
struct Pending {
    /// The last place it stands for.
    seq: u64,
    bytes: usize,
    done: bool,
    refused: Option<RefusedReason>,
}

impl Inbox {
    /// An inbox without lanes. `window`: most bytes that may be in the host's hands, as announced in HELLO; a single
    /// larger message is taken alone.
    pub fn new(window: usize) -> Self {
        Self { lanes: BTreeMap::new(), window, pending_bytes: 0, ledger: ReceivedLedger::default() }
    }

    /// The peer began a new life: its lanes begin where it says. Results for the old ones no longer come.
    pub fn restart(&mut self, bases: &[LaneMark]) {
        self.ledger.abandoned += self.ledger.pending;
        self.ledger.pending = 0;
        self.pending_bytes = 0;
        self.lanes.clear();
        self.resume(bases);
    }

    /// The peer is back in the same life, and says from where on it keeps each lane.
    pub fn resume(&mut self, bases: &[LaneMark]) {
        for mark in bases {
            let before = mark.seq.saturating_sub(1);
            let lane = self.lanes.entry(mark.lane).or_insert_with(|| Lane::new(before));
            if before > lane.received {
                self.ledger.lost_by_rollback += before - lane.received;
                lane.pass(before);
            }
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
            if seq > expected {
                return Err(InboxFault::Gap { lane: number, first: seq, expected });
            }
            match entry {
                Entry::Skip { count } => {
                    let last = seq.saturating_add(count).saturating_sub(1);
                    if last > lane.received {
                        self.ledger.skipped += last - lane.received;
                        lane.pass(last);
                    }
                    seq = seq.saturating_add(count);
                }
                Entry::Message { expiry, body } => {
                    if seq < expected {
                        self.ledger.duplicates += 1;
                        // What is done already is acknowledged again, in case that was lost.
                        lane.ack_due |= lane.delivered >= seq;
                    } else {
                        let bytes = body.len();
                        if self.pending_bytes > 0 && self.pending_bytes.saturating_add(bytes) > self.window {
                            let pending = self.pending_bytes;
                            return Err(InboxFault::Window { pending, more: bytes, window: self.window });
                        }
                        self.pending_bytes += bytes;
                        self.ledger.received += 1;
                        self.ledger.pending += 1;
                        lane.received = seq;
                        lane.pending.push_back(Pending { seq, bytes, done: false, refused: None });
                        take(Received { lane: number, seq, expiry, body });
                    }
                    seq = seq.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// The host is done with a message; `refused` says why it was not handed on, if it was not. Messages of a lane may
    /// be finished in any order; an unknown one is ignored.
    pub fn finish(&mut self, lane: u8, seq: u64, refused: Option<RefusedReason>) {
        let Some(lane) = self.lanes.get_mut(&lane) else { return };
        let Ok(at) = lane.pending.binary_search_by_key(&seq, |pending| pending.seq) else { return };
        let Some(pending) = lane.pending.get_mut(at).filter(|pending| !pending.done) else { return };
        pending.done = true;
        pending.refused = refused;
        self.pending_bytes = self.pending_bytes.saturating_sub(pending.bytes);
        self.ledger.pending -= 1;
        match refused {
            None => self.ledger.delivered += 1,
            Some(_) => self.ledger.refused += 1,
        }
        lane.settle();
    }

    /// The acknowledgements that are due.
    pub fn acks(&mut self) -> Vec<Ack> {
        let due = |(number, lane): (&u8, &mut Lane)| {
            std::mem::take(&mut lane.ack_due).then(|| Ack {
                lane: *number,
                up_to: lane.delivered,
                refused: std::mem::take(&mut lane.refused),
            })
        };
        self.lanes.iter_mut().filter_map(due).collect()
    }

    /// How far each lane is done, for HELLO: the peer may forget up to there, and resumes behind it.
    pub fn watermarks(&self) -> Vec<LaneMark> {
        self.lanes.iter().map(|(lane, state)| LaneMark { lane: *lane, seq: state.delivered }).collect()
    }

    /// The counts.
    pub fn ledger(&self) -> ReceivedLedger {
        self.ledger
    }
}

impl Lane {
    fn new(before: u64) -> Self {
        Self { received: before, delivered: before, pending: VecDeque::new(), refused: Vec::new(), ack_due: false }
    }

    /// Places up to `last` hold nothing that will come.
    fn pass(&mut self, last: u64) {
        self.received = last;
        match self.pending.back_mut() {
            // A run of skips behind something pending is one record, however many come.
            Some(back) if back.done && back.bytes == 0 && back.refused.is_none() => back.seq = last,
            _ => self.pending.push_back(Pending { seq: last, bytes: 0, done: true, refused: None }),
        }
        self.settle();
    }

    /// Moves the watermark over all that is done.
    fn settle(&mut self) {
        while self.pending.front().is_some_and(|pending| pending.done) {
            let Some(pending) = self.pending.pop_front() else { return };
            self.delivered = pending.seq;
            self.ack_due = true;
            if let Some(reason) = pending.refused {
                self.refused.push((pending.seq, reason));
            }
        }
    }
}
