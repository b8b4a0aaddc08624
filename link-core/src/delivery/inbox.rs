use std::collections::VecDeque;

use bytes::Bytes;
use thiserror::Error;

use super::{budget::cost, ledger::ReceiveLedger};
use crate::wire::{Ack, Entry, Incarnation, LaneMark, RefusedReason};

/// The receiving side of a link from one peer node: tells new from old, and what to acknowledge.
///
/// ```text
///   1 ...        delivered |              received |
///   _______________________|_______________________|________________
///    the host took these,  |  pending: in the      |  next
///    or they were refused  |  host's hands         |
///    = acknowledged        |  = not yet            |  a gap is a fault
/// ```
#[derive(Debug)]
pub struct Inbox {
    window: u64,
    incarnation: Option<Incarnation>,
    /// Which life of the peer this is, counted here.
    life: u64,
    lanes: Vec<LaneInbox>,
    /// Bytes pending of this life, and of those before.
    held: u64,
    stale: u64,
    /// Lanes with something to acknowledge.
    dirty: Vec<u8>,
    ledger: ReceiveLedger,
}

/// Names one received message; comes back when the host is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    life: u64,
    lane: u8,
    seq: u64,
}

impl Token {
    /// The lane it came on. Messages of one lane go to the host one after the other.
    pub fn lane(&self) -> u8 {
        self.lane
    }

    /// Its place in the lane.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// A message that came for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its name.
    pub token: Token,
    /// Seconds until it expires, counted when the peer sent it.
    pub expiry: Option<u32>,
    /// The encoded message.
    pub body: Bytes,
}

/// What a batch brought, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// New ones.
    pub new: u64,
    /// Known ones, dropped.
    pub duplicates: u64,
}

/// The peer broke a rule. What came before the fault is taken; the connection has to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InboxFault {
    /// Messages came before the peer had said in which life it is.
    #[error("messages on lane {lane} before a greeting")]
    NotGreeted {
        /// The lane.
        lane: u8,
    },
    /// Places between were neither sent nor skipped.
    #[error("lane {lane} goes on at {first}, expected at most {expected}")]
    Gap {
        /// The lane.
        lane: u8,
        /// Where the batch begins.
        first: u64,
        /// The next place.
        expected: u64,
    },
    /// A place that can't be: 0, beyond 2^64, or a skip of nothing.
    #[error("lane {lane} has an impossible place or skip after {received}")]
    Place {
        /// The lane.
        lane: u8,
        /// Highest place received.
        received: u64,
    },
    /// More was sent than the window allows.
    #[error("lane {lane} sends {size} bytes with {held} of {window} in the window")]
    Window {
        /// The lane.
        lane: u8,
        /// Cost of the message.
        size: u64,
        /// Cost of what is pending.
        held: u64,
        /// The window.
        window: u64,
    },
    /// The list of lanes names one twice, or a base of 0.
    #[error("the base of lane {lane} is 0 or given twice")]
    Base {
        /// The lane.
        lane: u8,
    },
    /// The peer begins life after life while the host still works on the messages of those before. It may come back
    /// when they are done.
    #[error("the host still holds {stale} bytes of earlier lives of the peer")]
    Draining {
        /// Cost of what is pending from all lives.
        stale: u64,
    },
}

impl Inbox {
    /// An inbox that lets `window` bytes be pending, by [`cost`](super::cost); what HELLO tells the peer.
    pub fn new(window: u64) -> Self {
        Self {
            window,
            incarnation: None,
            life: 0,
            lanes: Vec::new(),
            held: 0,
            stale: 0,
            dirty: Vec::new(),
            ledger: ReceiveLedger::default(),
        }
    }

    /// The peer has greeted on the connection that is live from now on: its life, and the first unacknowledged place
    /// of its lanes; a lane that is missing begins at 1.
    ///
    /// A life that is known goes on where it was, and all it may not know is acknowledged again. A new one begins at
    /// its bases; messages of the life before that are pending are still delivered.
    pub fn enter(&mut self, incarnation: Incarnation, bases: &[LaneMark]) -> Result<(), InboxFault> {
        for (at, mark) in bases.iter().enumerate() {
            if mark.seq == 0 || bases[..at].iter().any(|other| other.lane == mark.lane) {
                return Err(InboxFault::Base { lane: mark.lane });
            }
        }
        let new = self.incarnation != Some(incarnation);
        if new && self.stale > 0 && self.stale + self.held > self.window {
            return Err(InboxFault::Draining { stale: self.stale + self.held });
        }
        if new {
            self.incarnation = Some(incarnation);
            self.life += 1;
            self.stale += std::mem::take(&mut self.held);
            for lane in &mut self.lanes {
                lane.forget();
            }
        }
        if let Some(most) = bases.iter().map(|mark| mark.lane).max() {
            self.reach(most);
        }
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let base = bases.iter().find(|mark| usize::from(mark.lane) == at).map_or(1, |mark| mark.seq);
            if new {
                lane.start(base);
            } else {
                self.ledger.lost_by_rollback += lane.rebase(base);
            }
            mark_dirty(&mut self.dirty, lane, at as u8, self.life);
        }
        Ok(())
    }

    /// Takes a batch. `take` gets each message that is new, in order, and may refuse it on the spot; what it accepts
    /// is pending until [`Inbox::finish`] or [`Inbox::delivered`].
    pub fn receive(
        &mut self,
        lane: u8,
        first: u64,
        entries: impl IntoIterator<Item = Entry>,
        mut take: impl FnMut(Arrival) -> Result<(), RefusedReason>,
    ) -> Result<Received, InboxFault> {
        if self.incarnation.is_none() {
            return Err(InboxFault::NotGreeted { lane });
        }
        self.reach(lane);
        let own = &mut self.lanes[usize::from(lane)];
        if first == 0 {
            return Err(InboxFault::Place { lane, received: own.received });
        }
        if first - 1 > own.received {
            return Err(InboxFault::Gap { lane, first, expected: own.received.saturating_add(1) });
        }
        let mut done = Received::default();
        let mut at = first - 1;
        let result = (|| {
            for entry in entries {
                let count = if let Entry::Skip { count } = &entry { *count } else { 1 };
                let place = InboxFault::Place { lane, received: own.received };
                let before = at;
                at = at.checked_add(count).filter(|_| count > 0).ok_or(place)?;
                let Entry::Message { expiry, body } = entry else {
                    if at > own.received {
                        self.ledger.skipped += at - before.max(own.received);
                        own.received = at;
                    }
                    continue;
                };
                if at <= own.received {
                    done.duplicates += 1;
                    continue;
                }
                let size = cost(body.len());
                if self.held > 0 && self.held.saturating_add(size) > self.window {
                    return Err(InboxFault::Window { lane, size, held: self.held, window: self.window });
                }
                self.held += size;
                own.received = at;
                done.new += 1;
                let outcome = take(Arrival { token: Token { life: self.life, lane, seq: at }, expiry, body });
                let state = match outcome {
                    Ok(()) => {
                        self.ledger.pending += 1;
                        State::Pending
                    }
                    Err(reason) => {
                        self.ledger.refused.count(reason);
                        State::Refused(reason)
                    }
                };
                own.pending.push_back(Pending { life: self.life, seq: at, cost: size, state });
            }
            Ok(())
        })();
        self.ledger.received += done.new;
        self.ledger.duplicates += done.duplicates;
        self.settle(lane);
        result.map(|()| done)
    }

    /// The host is done with one message. A token that is not pending changes nothing.
    ///
    /// Constant time for the oldest message of a lane, logarithmic for others; these are acknowledged when those
    /// before them are done.
    pub fn finish(&mut self, token: Token, outcome: Result<(), RefusedReason>) {
        let Some(lane) = self.lanes.get_mut(usize::from(token.lane)) else { return };
        let key = (token.life, token.seq);
        let place = match lane.pending.front() {
            Some(front) if front.key() == key => Ok(0),
            _ => lane.pending.binary_search_by_key(&key, Pending::key),
        };
        let Some(pending) = place.ok().and_then(|at| lane.pending.get_mut(at)) else { return };
        if pending.state != State::Pending {
            return;
        }
        self.ledger.pending -= 1;
        pending.state = match outcome {
            Ok(()) => {
                self.ledger.delivered += 1;
                State::Delivered
            }
            Err(reason) => {
                self.ledger.refused.count(reason);
                State::Refused(reason)
            }
        };
        self.settle(token.lane);
    }

    /// The host took this message and all before it in its lane.
    pub fn delivered(&mut self, token: Token) {
        let Some(lane) = self.lanes.get_mut(usize::from(token.lane)) else { return };
        for pending in lane.pending.iter_mut().take_while(|pending| pending.key() <= (token.life, token.seq)) {
            if pending.state == State::Pending {
                pending.state = State::Delivered;
                self.ledger.pending -= 1;
                self.ledger.delivered += 1;
            }
        }
        self.settle(token.lane);
    }

    /// Hands out what has to be acknowledged since the last call: at most one acknowledgement per lane, or more where
    /// the refusals don't fit into one. Free when there is nothing.
    pub fn take_acks(&mut self, mut send: impl FnMut(Ack)) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            let Some(lane) = self.lanes.get_mut(usize::from(at)) else { continue };
            lane.dirty = false;
            let delivered = lane.delivered(self.life);
            while lane.told < delivered {
                let ack = lane.ack(at, delivered);
                lane.told = ack.up_to;
                send(ack);
            }
        }
        self.dirty = dirty;
    }

    /// The watermarks for HELLO: the highest place received of every lane, in the life [`Inbox::incarnation`].
    ///
    /// From the moment they are told and the new connection is live, frames of earlier connections have to be thrown
    /// away.
    pub fn received(&self) -> Vec<LaneMark> {
        let marks = self.lanes.iter().enumerate();
        marks.map(|(lane, own)| LaneMark { lane: lane as u8, seq: own.received }).filter(|mark| mark.seq > 0).collect()
    }

    /// The life of the peer that the watermarks are about.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// The counters.
    pub fn ledger(&self) -> ReceiveLedger {
        self.ledger
    }

    /// Whether every received message is in exactly one place, counted against what the lanes really hold.
    pub fn balance(&self) -> bool {
        let pending = || self.lanes.iter().flat_map(|lane| &lane.pending);
        self.ledger.balance()
            && self.ledger.pending == pending().filter(|pending| pending.state == State::Pending).count() as u64
            && self.held + self.stale == pending().map(|pending| pending.cost).sum::<u64>()
    }

    /// Bytes pending, by [`cost`](super::cost). At most the window, or one message that is larger; twice that while
    /// messages of an earlier life are pending.
    pub fn held(&self) -> u64 {
        self.held + self.stale
    }

    fn reach(&mut self, lane: u8) {
        if self.lanes.len() <= usize::from(lane) {
            self.lanes.resize_with(usize::from(lane) + 1, LaneInbox::default);
        }
    }

    /// Lets go of what is done at the front of a lane.
    fn settle(&mut self, at: u8) {
        let Some(lane) = self.lanes.get_mut(usize::from(at)) else { return };
        while lane.pending.front().is_some_and(|front| front.state != State::Pending) {
            let Some(front) = lane.pending.pop_front() else { break };
            let bytes = if front.life == self.life { &mut self.held } else { &mut self.stale };
            *bytes -= front.cost;
            if let (State::Refused(reason), true) = (front.state, front.life == self.life) {
                self.ledger.refusals_forgotten += lane.refuse(front.seq, reason);
            }
        }
        mark_dirty(&mut self.dirty, lane, at, self.life);
    }
}

/// Most refusals in one acknowledgement.
const REFUSALS_PER_ACK: usize = 256;
/// Most refusals kept per lane in case that the acknowledgement got lost.
const REFUSALS_KEPT: usize = 4096;

#[derive(Debug, Default)]
struct LaneInbox {
    /// Highest place received, message or skip.
    received: u64,
    /// `received` when this life began.
    floor: u64,
    /// Highest place acknowledged on this connection, or known to the peer when it began.
    told: u64,
    /// What the host holds, in order of life and place; done ones wait for those before them.
    pending: VecDeque<Pending>,
    /// Refusals that the peer may not know; the first `reported` were sent on this connection.
    refused: VecDeque<(u64, RefusedReason)>,
    reported: usize,
    dirty: bool,
}

#[derive(Debug)]
struct Pending {
    life: u64,
    seq: u64,
    cost: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Delivered,
    Refused(RefusedReason),
}

impl Pending {
    fn key(&self) -> (u64, u64) {
        (self.life, self.seq)
    }
}

impl LaneInbox {
    fn delivered(&self, life: u64) -> u64 {
        match self.pending.front() {
            None => self.received,
            Some(front) if front.life == life => front.seq - 1,
            Some(_) => self.floor,
        }
    }

    fn forget(&mut self) {
        self.refused.clear();
        self.reported = 0;
    }

    fn start(&mut self, base: u64) {
        self.received = base - 1;
        self.floor = base - 1;
        self.told = base - 1;
    }

    /// Goes on in the same life; returns how many places are lost.
    fn rebase(&mut self, base: u64) -> u64 {
        let lost = (base - 1).saturating_sub(self.received);
        self.received += lost;
        self.told = base - 1;
        while self.refused.front().is_some_and(|(seq, _)| *seq < base) {
            self.refused.pop_front();
        }
        self.reported = 0;
        lost
    }

    /// Remembers a refusal; returns how many were forgotten that the peer never heard of.
    fn refuse(&mut self, seq: u64, reason: RefusedReason) -> u64 {
        let mut forgotten = 0;
        if self.refused.len() == REFUSALS_KEPT {
            self.refused.pop_front();
            forgotten = u64::from(self.reported == 0);
            self.reported = self.reported.saturating_sub(1);
        }
        self.refused.push_back((seq, reason));
        forgotten
    }

    fn ack(&mut self, lane: u8, delivered: u64) -> Ack {
        let fresh = self.refused.len() - self.reported;
        let count = fresh.min(REFUSALS_PER_ACK);
        let refused: Vec<_> = self.refused.iter().skip(self.reported).take(count).copied().collect();
        self.reported += count;
        let up_to = match refused.last() {
            Some((seq, _)) if fresh > count => *seq,
            _ => delivered,
        };
        Ack { lane, up_to, refused }
    }
}

fn mark_dirty(dirty: &mut Vec<u8>, lane: &mut LaneInbox, at: u8, life: u64) {
    if !lane.dirty && lane.delivered(life) > lane.told {
        lane.dirty = true;
        dirty.push(at);
    }
}
