//! The sending end: numbered lanes of messages that wait for acknowledgement.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use super::{Budget, Ledger, Overflow};
use crate::{
    message::QoS,
    wire::{Ack, BATCH_OVERHEAD, BatchWriter, LaneMark, RefusedReason},
};

/// A peer said something about a lane that can't be. Nothing has changed when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutboxFault {
    /// There is no such lane.
    #[error("lane {0} does not exist")]
    Lane(u8),
    /// It acknowledged what was never sent.
    #[error("lane {lane}: {up_to} is acknowledged, but only {sent} was sent")]
    Unsent {
        /// The lane.
        lane: u8,
        /// The acknowledged place.
        up_to: u64,
        /// The last place that was sent.
        sent: u64,
    },
    /// It refused a message that the acknowledgement does not cover, or that is none.
    #[error("lane {lane}: {seq} is refused, but no message of this acknowledgement has that number")]
    Refused {
        /// The lane.
        lane: u8,
        /// The refused place.
        seq: u64,
    },
}

/// All messages that wait for one peer.
#[derive(Debug)]
pub struct Outbox {
    lanes: Vec<Lane>,
    budget: Arc<Budget>,
    /// Bytes that the peer takes before it acknowledges.
    window: usize,
    max_frame: usize,
    in_flight: usize,
    next_lane: usize,
    ledger: Ledger,
}

/// One ordered stream. The slots from `base` on are contiguous: each begins where the one before ends.
#[derive(Debug)]
struct Lane {
    /// Number of the first place that is not acknowledged.
    base: u64,
    slots: VecDeque<Slot>,
    /// Number of slots at the front that are sent on this connection.
    sent: usize,
    /// Number of the first place that was never sent on any connection.
    high: u64,
    /// Number of the next message that enters.
    next: u64,
    /// Numbers of the messages of QoS 0, in order; some may be gone.
    qos0: VecDeque<u64>,
    /// Skips among the slots.
    skips: usize,
}

#[derive(Debug)]
struct Slot {
    seq: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Message(Queued),
    /// A run of places whose messages will not come.
    Skip(u64),
}

#[derive(Debug)]
struct Queued {
    body: Bytes,
    qos: QoS,
    expires_at: Option<Duration>,
    accepted_at: Duration,
}

impl Outbox {
    /// An empty outbox of `lanes` lanes. `budget` counts what is queued: a message is reserved there before it is
    /// pushed, and released here when it leaves.
    pub fn new(lanes: u8, budget: Arc<Budget>) -> Self {
        Self {
            lanes: (0..lanes.max(1)).map(|_| Lane::new()).collect(),
            budget,
            window: 0,
            max_frame: usize::MAX,
            in_flight: 0,
            next_lane: 0,
            ledger: Ledger::default(),
        }
    }

    /// Takes a message that was let in. `live` says whether the peer is connected: QoS 0 is not kept for one that is
    /// away.
    pub fn push(
        &mut self,
        lane: u8,
        qos: QoS,
        body: Bytes,
        expires_at: Option<Duration>,
        accepted_at: Duration,
        live: bool,
    ) {
        self.ledger.accepted += 1;
        if qos == QoS::AtMostOnce && !live {
            self.ledger.dropped.link_down += 1;
            return self.budget.release(body.len() as u64);
        }
        self.ledger.queued += 1;
        let index = usize::from(lane) % self.lanes.len();
        self.lanes[index].push(Queued { body, qos, expires_at, accepted_at });
        if self.budget.excess() > 0 {
            self.make_room();
        }
    }

    /// Takes the resume of a peer on a new connection. `received` is how far it has delivered each lane, or `None` if
    /// it does not know this life; `window` and `max_frame` are its limits. What it has not delivered is sent again,
    /// except QoS 0.
    ///
    /// # Errors
    /// [`OutboxFault`] if it claims to have what was never sent.
    pub fn resume(
        &mut self,
        received: Option<&[LaneMark]>,
        window: usize,
        max_frame: usize,
    ) -> Result<(), OutboxFault> {
        for mark in received.unwrap_or_default() {
            self.check(mark.lane, mark.seq)?;
        }
        for mark in received.unwrap_or_default() {
            self.acknowledge(usize::from(mark.lane), mark.seq, &[]);
        }
        for index in 0..self.lanes.len() {
            for at in 0..std::mem::take(&mut self.lanes[index].sent) {
                if self.lanes[index].message(at).is_some_and(|queued| queued.qos == QoS::AtMostOnce) {
                    self.skip(index, at);
                    self.ledger.dropped.link_down += 1;
                }
            }
            self.lanes[index].compact();
        }
        self.in_flight = 0;
        self.ledger.in_flight = 0;
        self.window = window;
        self.max_frame = max_frame;
        Ok(())
    }

    /// The peer is away: QoS 0 that was not sent is dropped.
    pub fn link_down(&mut self) {
        for index in 0..self.lanes.len() {
            for at in self.lanes[index].sent..self.lanes[index].slots.len() {
                if self.lanes[index].message(at).is_some_and(|queued| queued.qos == QoS::AtMostOnce) {
                    self.skip(index, at);
                    self.ledger.dropped.link_down += 1;
                }
            }
        }
    }

    /// The next batch for the peer, of about `target` bytes, or `None` if there is nothing to send or no window.
    /// Lanes take turns; `ready` says which lanes may send now.
    pub fn fill(&mut self, now: Duration, target: usize, ready: impl Fn(u8) -> bool) -> Option<(u8, Bytes)> {
        for _ in 0..self.lanes.len() {
            let index = self.next_lane % self.lanes.len();
            self.next_lane = (index + 1) % self.lanes.len();
            let lane = index as u8;
            if !ready(lane) || self.lanes[index].sent == self.lanes[index].slots.len() {
                continue;
            }
            if let Some(frame) = self.fill_lane(index, now, target) {
                return Some((lane, frame));
            }
        }
        None
    }

    /// Whether anything waits to be sent for the first time on this connection.
    pub fn has_unsent(&self) -> bool {
        self.lanes.iter().any(|lane| lane.sent < lane.slots.len())
    }

    fn fill_lane(&mut self, index: usize, now: Duration, target: usize) -> Option<Bytes> {
        let target = target.min(self.max_frame);
        let mut writer: Option<BatchWriter> = None;
        while let Some(slot) = self.lanes[index].slots.get(self.lanes[index].sent) {
            let first = slot.seq;
            if writer.as_ref().is_some_and(|writer| writer.entries() >= MAX_ENTRIES) {
                break;
            }
            if let Place::Message(queued) = &slot.place {
                let length = queued.body.len();
                if queued.expires_at.is_some_and(|at| at <= now) {
                    self.skip(index, self.lanes[index].sent);
                    self.ledger.expired += 1;
                } else if length + BATCH_OVERHEAD > self.max_frame {
                    self.skip(index, self.lanes[index].sent);
                    self.ledger.dropped.too_large += 1;
                } else {
                    let used = writer.as_ref().map_or(0, BatchWriter::len);
                    let full = used > 0 && used + length + BATCH_OVERHEAD > target;
                    // A message larger than the window goes alone.
                    let closed = self.in_flight > 0 && self.in_flight + length > self.window;
                    if full || closed {
                        break;
                    }
                    let expiry = queued.expires_at.map(|at| seconds_left(at, now));
                    let capacity = (length + BATCH_OVERHEAD) * self.lanes[index].unsent().min(256);
                    writer
                        .get_or_insert_with(|| BatchWriter::new(index as u8, first, capacity.min(target + 64)))
                        .message(expiry, &queued.body);
                    self.in_flight += length;
                    self.ledger.in_flight += 1;
                    self.lanes[index].advance();
                    continue;
                }
            }
            let lane = &mut self.lanes[index];
            lane.merge_unsent();
            let places = lane.slots.get(lane.sent).map_or(1, Slot::places);
            writer.get_or_insert_with(|| BatchWriter::new(index as u8, first, 256)).skip(places);
            lane.advance();
        }
        writer.map(BatchWriter::finish)
    }

    /// Takes an acknowledgement.
    ///
    /// # Errors
    /// [`OutboxFault`] if it covers what was never sent; one that covers nothing new is ignored.
    pub fn ack(&mut self, ack: &Ack) -> Result<(), OutboxFault> {
        self.check(ack.lane, ack.up_to)?;
        let index = usize::from(ack.lane);
        let base = self.lanes[index].base;
        let mut last = 0;
        for (seq, _) in &ack.refused {
            if *seq > ack.up_to || *seq <= last {
                return Err(OutboxFault::Refused { lane: ack.lane, seq: *seq });
            }
            last = *seq;
        }
        let new = ack.refused.iter().position(|(seq, _)| *seq >= base).unwrap_or(ack.refused.len());
        self.acknowledge(index, ack.up_to, &ack.refused[new..]);
        Ok(())
    }

    /// Drops expired messages from the front of what was not sent, at most `max` of them, so that they do not hold
    /// room.
    pub fn sweep(&mut self, now: Duration, max: usize) {
        let mut left = max;
        for index in 0..self.lanes.len() {
            while left > 0 {
                let lane = &mut self.lanes[index];
                lane.merge_unsent();
                let skips = matches!(lane.slots.get(lane.sent), Some(Slot { place: Place::Skip(_), .. }));
                let at = lane.sent + usize::from(skips);
                let expired = |queued: &Queued| queued.expires_at.is_some_and(|end| end <= now);
                if !lane.message(at).is_some_and(expired) {
                    break;
                }
                self.skip(index, at);
                self.ledger.expired += 1;
                left -= 1;
            }
        }
    }

    /// Where each lane begins for a receiver that knows nothing of it: its first place that is not acknowledged.
    pub fn bases(&self) -> Vec<LaneMark> {
        self.lanes.iter().zip(0..).map(|(lane, number)| LaneMark { lane: number, seq: lane.base }).collect()
    }

    /// The counts.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// When the oldest message that waits was accepted. Costs one look at each lane.
    pub fn oldest(&self) -> Option<Duration> {
        let first =
            |lane: &Lane| (0..lane.slots.len()).find_map(|at| lane.message(at)).map(|queued| queued.accepted_at);
        self.lanes.iter().filter_map(first).min()
    }

    fn check(&self, lane: u8, up_to: u64) -> Result<(), OutboxFault> {
        let Some(state) = self.lanes.get(usize::from(lane)) else { return Err(OutboxFault::Lane(lane)) };
        if up_to >= state.high {
            return Err(OutboxFault::Unsent { lane, up_to, sent: state.high - 1 });
        }
        Ok(())
    }

    fn acknowledge(&mut self, index: usize, up_to: u64, refused: &[(u64, RefusedReason)]) {
        let mut refused = refused.iter().peekable();
        let lane = &mut self.lanes[index];
        while lane.base <= up_to {
            let Some(slot) = lane.slots.front_mut() else { break };
            match &mut slot.place {
                Place::Skip(count) => {
                    let covered = (*count).min(up_to - lane.base + 1);
                    lane.base += covered;
                    slot.seq += covered;
                    *count -= covered;
                    if *count > 0 {
                        break;
                    }
                    lane.skips -= 1;
                }
                Place::Message(queued) => {
                    let length = queued.body.len();
                    self.budget.release(length as u64);
                    self.ledger.queued -= 1;
                    if lane.sent > 0 {
                        self.in_flight = self.in_flight.saturating_sub(length);
                        self.ledger.in_flight = self.ledger.in_flight.saturating_sub(1);
                    }
                    let reason = refused.next_if(|(seq, _)| *seq == lane.base).map(|(_, reason)| *reason);
                    match reason {
                        None => self.ledger.delivered += 1,
                        Some(RefusedReason::Expired) => self.ledger.expired += 1,
                        Some(RefusedReason::NotImported) => self.ledger.dropped.not_imported += 1,
                        Some(RefusedReason::Malformed) => self.ledger.dropped.malformed += 1,
                        Some(RefusedReason::Host) => self.ledger.dropped.refused_by_host += 1,
                    }
                    lane.base += 1;
                }
            }
            lane.slots.pop_front();
            lane.sent = lane.sent.saturating_sub(1);
        }
        while lane.qos0.front().is_some_and(|seq| *seq < lane.base) {
            lane.qos0.pop_front();
        }
    }

    /// Turns the message in a slot into a skip. The caller counts why.
    fn skip(&mut self, index: usize, at: usize) {
        if let Some(bytes) = self.lanes[index].skip(at) {
            self.budget.release(bytes as u64);
            self.ledger.queued -= 1;
        }
    }

    /// Drops messages that were not sent, by the policy, until the budget is kept or none is left.
    fn make_room(&mut self) {
        while self.budget.excess() > 0 {
            let oldest = |lane: &mut Lane| match self.budget.overflow() {
                Overflow::Refuse => None,
                Overflow::DropOldestQos0 => lane.oldest_qos0(),
                Overflow::DropOldest => lane.oldest_unsent(),
            };
            let Some((_, index, at)) =
                self.lanes.iter_mut().enumerate().filter_map(|(i, lane)| oldest(lane).map(|(t, at)| (t, i, at))).min()
            else {
                return;
            };
            self.skip(index, at);
            self.ledger.dropped.overflow += 1;
            self.lanes[index].tidy();
        }
    }
}

impl Slot {
    fn places(&self) -> u64 {
        match self.place {
            Place::Message(_) => 1,
            Place::Skip(count) => count,
        }
    }
}

impl Lane {
    fn new() -> Self {
        Self { base: 1, slots: VecDeque::new(), sent: 0, high: 1, next: 1, qos0: VecDeque::new(), skips: 0 }
    }

    fn push(&mut self, queued: Queued) {
        if queued.qos == QoS::AtMostOnce {
            self.qos0.push_back(self.next);
        }
        self.slots.push_back(Slot { seq: self.next, place: Place::Message(queued) });
        self.next += 1;
    }

    fn unsent(&self) -> usize {
        self.slots.len() - self.sent
    }

    fn message(&self, at: usize) -> Option<&Queued> {
        match &self.slots.get(at)?.place {
            Place::Message(queued) => Some(queued),
            Place::Skip(_) => None,
        }
    }

    /// The next slot is sent.
    fn advance(&mut self) {
        self.sent += 1;
        let cursor = self.slots.get(self.sent).map_or(self.next, |slot| slot.seq);
        self.high = self.high.max(cursor);
    }

    /// Turns the message in a slot into a skip, and gives the bytes that it had.
    fn skip(&mut self, at: usize) -> Option<usize> {
        let slot = self.slots.get_mut(at)?;
        let Place::Message(queued) = &slot.place else { return None };
        let bytes = queued.body.len();
        slot.place = Place::Skip(1);
        self.skips += 1;
        Some(bytes)
    }

    /// The oldest message that was not sent: when it was accepted, and its slot.
    fn oldest_unsent(&mut self) -> Option<(Duration, usize)> {
        self.merge_unsent();
        let skips = usize::from(self.sent < self.slots.len() && self.message(self.sent).is_none());
        let at = self.sent + skips;
        self.message(at).map(|queued| (queued.accepted_at, at))
    }

    /// The same of QoS 0. Costs one binary search.
    fn oldest_qos0(&mut self) -> Option<(Duration, usize)> {
        loop {
            let seq = *self.qos0.front()?;
            let found = self.slots.binary_search_by_key(&seq, |slot| slot.seq).ok().filter(|at| *at >= self.sent);
            if let Some((at, queued)) = found.and_then(|at| Some((at, self.message(at)?))) {
                return Some((queued.accepted_at, at));
            }
            self.qos0.pop_front();
        }
    }

    /// Joins neighbouring skips at the beginning of what was not sent.
    fn merge_unsent(&mut self) {
        let skip = |slot: Option<&Slot>| match slot {
            Some(Slot { place: Place::Skip(count), .. }) => Some(*count),
            _ => None,
        };
        while let (Some(a), Some(b)) = (skip(self.slots.get(self.sent)), skip(self.slots.get(self.sent + 1))) {
            if let Some(slot) = self.slots.get_mut(self.sent + 1) {
                slot.seq -= a;
                slot.place = Place::Skip(a + b);
            }
            self.slots.remove(self.sent);
            self.skips -= 1;
        }
    }

    /// Joins all neighbouring skips once they are more than the messages: dropping costs no memory, and `O(1)` each.
    fn tidy(&mut self) {
        if self.skips > self.slots.len() / 2 + 64 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let (count, sent, mut joined_sent) = (self.slots.len(), self.sent, 0);
        let mut joined: VecDeque<Slot> = VecDeque::with_capacity(self.slots.len() - self.skips + 1);
        self.skips = 0;
        for (at, slot) in self.slots.drain(..).enumerate() {
            if at == sent {
                joined_sent = joined.len();
            }
            // What is sent and what is not stay apart: `sent` counts slots.
            let last = if at == sent { None } else { joined.back_mut() };
            match (last.map(|slot| &mut slot.place), &slot.place) {
                (Some(Place::Skip(count)), Place::Skip(more)) => *count += more,
                _ => {
                    self.skips += usize::from(matches!(slot.place, Place::Skip(_)));
                    joined.push_back(slot);
                }
            }
        }
        self.sent = if sent < count { joined_sent } else { joined.len() };
        self.slots = joined;
    }
}

/// Most entries of one batch.
const MAX_ENTRIES: usize = 32_768;

/// Whole seconds until `at`, rounded up: an expiry never shrinks to nothing on the way.
fn seconds_left(at: Duration, now: Duration) -> u32 {
    let left = at.saturating_sub(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}
