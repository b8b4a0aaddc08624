use std::{num::NonZeroU8, sync::Arc, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use super::{
    budget::{Budget, Overflow},
    lane::{ENTRY_BYTES, Lane, Stop, Tally},
    ledger::{DropReason, SendLedger},
    queue::{NEVER, Slot},
};
use crate::{
    message::QoS,
    wire::{Ack, Batch, Entry, LaneMark},
};

/// The sending side of a link to one peer node: everything accepted for it and not yet acknowledged.
///
/// Every body that enters has been reserved in the [`Budget`], at its [`cost`](super::cost); the outbox releases it
/// when the message leaves. The `now` of all methods is the time since any fixed start.
#[derive(Debug)]
pub struct Outbox {
    lanes: Box<[Lane]>,
    budget: Arc<Budget>,
    /// What the peer takes; `None` while it is away.
    terms: Option<Terms>,
    in_flight: u64,
    /// The lane whose turn it is.
    turn: usize,
    /// The queue that the next sweep begins with: two for each lane.
    swept: usize,
    ledger: SendLedger,
}

/// What the peer takes, as its HELLO says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Most bytes, counted by [`cost`](super::cost), sent and not acknowledged. One message that is larger may go
    /// when nothing else is in flight.
    pub window: u64,
    /// Most bytes of a frame.
    pub max_frame: u32,
}

/// Takes what the outbox sends: a [`Batch`], or an encoder that writes the frame at once.
pub trait BatchSink {
    /// A batch of `lane` begins at place `first`. At least one message follows.
    fn begin(&mut self, lane: u8, first: u64);
    /// The next place has a message, with the seconds until it expires.
    fn message(&mut self, expiry: Option<u32>, body: &Bytes);
    /// The next `count` places, at least 1, have none. Never twice in a row.
    fn skip(&mut self, count: u64);
}

impl BatchSink for Batch {
    /// Forgets the entries before, and keeps their memory for the new ones.
    fn begin(&mut self, lane: u8, first: u64) {
        self.lane = lane;
        self.first = first;
        self.entries.clear();
    }

    fn message(&mut self, expiry: Option<u32>, body: &Bytes) {
        self.entries.push(Entry::Message { expiry, body: body.clone() });
    }

    fn skip(&mut self, count: u64) {
        self.entries.push(Entry::Skip { count });
    }
}

/// Where a message went that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits in a lane, at a place.
    Queued {
        /// The lane.
        lane: u8,
        /// Its place.
        seq: u64,
    },
    /// It was dropped at once, and took no place.
    Dropped(DropReason),
}

/// What [`Outbox::fill`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// It wrote one batch. There may be more.
    Batch,
    /// It wrote nothing: there is nothing to send, or no one to send it to.
    Idle,
    /// It wrote nothing: messages wait until the peer acknowledges what is in flight.
    Window,
}

/// What an acknowledgement settled, in messages. Nothing for one that is old news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AckOutcome {
    /// Taken by the peer's host.
    pub delivered: u64,
    /// Not handed on by the peer.
    pub refused: u64,
}

/// An acknowledgement that can't be true. Nothing has changed; the connection has to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AckFault {
    /// There is no such lane.
    #[error("acknowledgement for lane {lane}, there are {lanes} lanes")]
    UnknownLane {
        /// The lane it names.
        lane: u8,
        /// How many there are.
        lanes: usize,
    },
    /// It acknowledges what was not sent.
    #[error("acknowledgement of lane {lane} up to {up_to}, only {sent_to} was sent")]
    NeverSent {
        /// The lane.
        lane: u8,
        /// What it acknowledges.
        up_to: u64,
        /// Highest place sent.
        sent_to: u64,
    },
    /// Its refusals are not in rising order, or beyond what it acknowledges.
    #[error("refusals of lane {lane} up to {up_to} are out of order or beyond it (last {seq})")]
    Refused {
        /// The lane.
        lane: u8,
        /// The last refusal.
        seq: u64,
        /// What it acknowledges.
        up_to: u64,
    },
}

/// Watermarks that can't be true. Nothing has changed; the connection has to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResumeFault {
    /// There is no such lane.
    #[error("watermark for lane {lane}, there are {lanes} lanes")]
    UnknownLane {
        /// The lane it names.
        lane: u8,
        /// How many there are.
        lanes: usize,
    },
    /// The lane stands twice in the list.
    #[error("two watermarks for lane {lane}")]
    Twice {
        /// The lane.
        lane: u8,
    },
    /// It is above everything that was ever sent.
    #[error("watermark {seq} for lane {lane}, only {sent_to} was ever sent")]
    NeverSent {
        /// The lane.
        lane: u8,
        /// What the peer says it has.
        seq: u64,
        /// Highest place ever sent.
        sent_to: u64,
    },
}

impl Outbox {
    /// An empty outbox; the peer is away.
    pub fn new(lanes: NonZeroU8, budget: Arc<Budget>) -> Self {
        Self {
            lanes: (0..lanes.get()).map(|_| Lane::new()).collect(),
            budget,
            terms: None,
            in_flight: 0,
            turn: 0,
            swept: 0,
            ledger: SendLedger::default(),
        }
    }

    /// The lane of a publisher, given any well-mixed hash of its name. All its messages go there.
    pub fn lane_of(&self, publisher: u64) -> u8 {
        // High bits times the count: even over any number of lanes, without a division.
        ((u128::from(publisher) * self.lanes.len() as u128) >> 64) as u8
    }

    /// Appends an encoded message that has been reserved in the budget. `expires_at` is on the clock of `now`.
    ///
    /// Constant time on average. QoS 0 for a peer that is away is dropped at once. Under a dropping policy the oldest
    /// messages go until the budget holds, which may be this one.
    pub fn push(
        &mut self,
        publisher: u64,
        body: Bytes,
        qos: QoS,
        expires_at: Option<Duration>,
        now: Duration,
    ) -> Pushed {
        self.ledger.accept();
        if qos == QoS::AtMostOnce && self.terms.is_none() {
            self.ledger.drop(DropReason::LinkDown);
            self.budget.release(super::cost(body.len()));
            return Pushed::Dropped(DropReason::LinkDown);
        }
        let lane = self.lane_of(publisher);
        let expires = expires_at.map_or(NEVER, nanos);
        let seq = self.lanes[usize::from(lane)].push(|seq| Slot::new(seq, body, qos, expires, nanos(now)));
        self.make_room();
        Pushed::Queued { lane, seq }
    }

    /// Writes the next batch, of the lane whose turn it is.
    ///
    /// Expired and oversized messages become skips here. A lane whose first message finds no room in the window keeps
    /// its turn and holds up the others, so that a large message can't be overtaken for ever.
    pub fn fill(&mut self, now: Duration, sink: &mut impl BatchSink) -> Filled {
        let Some(terms) = self.terms else { return Filled::Idle };
        let now = nanos(now);
        let mut filled = Filled::Idle;
        let mut begun = Begun { sink, yes: false };
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        for _ in 0..self.lanes.len() {
            let lane = self.turn;
            let stop = if self.lanes[lane].has_unsent() {
                self.lanes[lane].fill(lane as u8, now, &terms, &mut tally, &mut begun)
            } else {
                Stop::Empty
            };
            if begun.yes {
                filled = Filled::Batch;
            } else if stop == Stop::Window {
                filled = Filled::Window;
            }
            if stop == Stop::Window {
                break;
            }
            self.turn = (lane + 1) % self.lanes.len();
            if begun.yes {
                break;
            }
        }
        let freed = tally.freed;
        self.release(freed);
        filled
    }

    /// Settles what the peer acknowledges. An acknowledgement that goes back is old news and changes nothing.
    pub fn ack(&mut self, ack: &Ack) -> Result<AckOutcome, AckFault> {
        let lanes = self.lanes.len();
        let Some(lane) = self.lanes.get_mut(usize::from(ack.lane)) else {
            return Err(AckFault::UnknownLane { lane: ack.lane, lanes });
        };
        lane.check_ack(ack)?;
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        let outcome = lane.ack(ack, &mut tally);
        let freed = tally.freed;
        self.release(freed);
        Ok(outcome)
    }

    /// The link is live: `received` are the peer's watermarks for this life, lanes that are missing have none.
    ///
    /// What was sent above a watermark did not arrive: QoS 1 and 2 are sent again, QoS 0 is dropped. What was sent up
    /// to it stays until it is acknowledged, and is not sent again.
    pub fn resume(&mut self, terms: Terms, received: &[LaneMark]) -> Result<(), ResumeFault> {
        let lanes = self.lanes.len();
        for (at, LaneMark { lane, seq }) in received.iter().enumerate() {
            let (lane, seq) = (*lane, *seq);
            let Some(own) = self.lanes.get(usize::from(lane)) else {
                return Err(ResumeFault::UnknownLane { lane, lanes });
            };
            if seq > own.ever_sent() {
                return Err(ResumeFault::NeverSent { lane, seq, sent_to: own.ever_sent() });
            }
            if received[..at].iter().any(|mark| mark.lane == lane) {
                return Err(ResumeFault::Twice { lane });
            }
        }
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let mark = received.iter().find(|mark| usize::from(mark.lane) == at);
            lane.resume(mark.map_or(0, |mark| mark.seq), &mut tally);
        }
        let freed = tally.freed;
        self.release(freed);
        self.terms = Some(terms);
        Ok(())
    }

    /// The peer is away: QoS 0 that was not sent is dropped, nothing is sent until [`Outbox::resume`].
    pub fn link_down(&mut self) {
        self.terms = None;
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        for lane in &mut self.lanes {
            lane.drop_brief(&mut tally);
        }
        let freed = tally.freed;
        self.release(freed);
    }

    /// Takes out expired messages so that they hold no budget, looking at `max` places at most. Successive calls go
    /// round through everything unsent. Free if nothing there can expire.
    pub fn sweep(&mut self, now: Duration, max: usize) {
        let (now, mut left) = (nanos(now), max);
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        let queues = 2 * self.lanes.len();
        for _ in 0..queues {
            let (lane, qos0) = (self.swept / 2, self.swept % 2 == 1);
            if self.lanes[lane].sweep(qos0, now, &mut left, &mut tally) {
                self.swept = (self.swept + 1) % queues;
            }
            if left == 0 {
                break;
            }
        }
        let freed = tally.freed;
        self.release(freed);
    }

    /// The link is deleted: everything is dropped.
    pub fn delete(&mut self) {
        self.terms = None;
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        for lane in &mut self.lanes {
            lane.clear(&mut tally);
        }
        let freed = tally.freed;
        self.release(freed);
    }

    /// The first unacknowledged place of every lane that has acknowledged ones; the others begin at 1. For HELLO.
    pub fn bases(&self) -> Vec<LaneMark> {
        let marks = self.lanes.iter().enumerate();
        marks.map(|(lane, own)| LaneMark { lane: lane as u8, seq: own.base() }).filter(|mark| mark.seq > 1).collect()
    }

    /// The counters, with what was refused at the door.
    pub fn ledger(&self) -> SendLedger {
        SendLedger { refused: self.budget.refused(), ..self.ledger }
    }

    /// Whether every accepted message is in exactly one place, counted against what the lanes really hold.
    pub fn balance(&self) -> bool {
        let (sent, unsent) = self.lanes.iter().map(Lane::count).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.ledger.balance()
            && self.ledger.in_flight == sent
            && self.ledger.queued == sent + unsent
            && self.in_flight == self.lanes.iter().map(Lane::sent_bytes).sum::<u64>()
    }

    /// Bytes held, by [`cost`](super::cost): in flight and waiting. The budget has those on the way here as well.
    pub fn bytes(&self) -> u64 {
        self.in_flight + self.lanes.iter().map(|lane| lane.unsent_bytes(false)).sum::<u64>()
    }

    /// Bytes sent and not acknowledged.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// How long the oldest message has been here: the lag of the link.
    pub fn lag(&self, now: Duration) -> Option<Duration> {
        let oldest = self.lanes.iter().filter_map(Lane::oldest).min()?;
        Some(now.saturating_sub(Duration::from_nanos(oldest)))
    }

    fn release(&mut self, bytes: u64) {
        self.budget.release(bytes);
        let overflow = self.budget.overflow();
        if overflow != Overflow::Refuse {
            self.budget.set_droppable(self.droppable(overflow));
        }
    }

    fn make_room(&mut self) {
        let overflow = self.budget.overflow();
        if overflow == Overflow::Refuse {
            return;
        }
        let only_qos0 = overflow == Overflow::DropOldestQos0;
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        let over = self.budget.queued().saturating_sub(self.budget.limit());
        while tally.freed < over {
            let oldest = self.lanes.iter_mut().filter_map(|lane| lane.oldest_unsent(only_qos0).map(|at| (at, lane)));
            let Some((_, lane)) = oldest.min_by_key(|(at, _)| *at) else { break };
            lane.drop_oldest(only_qos0, &mut tally);
        }
        let freed = tally.freed;
        self.release(freed);
    }

    fn droppable(&self, overflow: Overflow) -> u64 {
        match overflow {
            Overflow::Refuse => 0,
            Overflow::DropOldestQos0 => self.lanes.iter().map(|lane| lane.unsent_bytes(true)).sum(),
            Overflow::DropOldest => self.lanes.iter().map(|lane| lane.unsent_bytes(false)).sum(),
        }
    }
}

impl Terms {
    /// A batch of many messages has about this size: large enough to spread the cost of a frame, small enough to
    /// share the connection fairly.
    const BATCH: usize = 64 * 1024;

    pub(super) fn max_body(&self) -> usize {
        (self.max_frame as usize).saturating_sub(3 * ENTRY_BYTES)
    }

    pub(super) fn batch_bytes(&self) -> usize {
        Self::BATCH.min(self.max_frame as usize).saturating_sub(ENTRY_BYTES)
    }
}

/// Remembers whether anything was written.
struct Begun<'a, S> {
    sink: &'a mut S,
    yes: bool,
}

impl<S: BatchSink> BatchSink for Begun<'_, S> {
    fn begin(&mut self, lane: u8, first: u64) {
        self.yes = true;
        self.sink.begin(lane, first);
    }

    fn message(&mut self, expiry: Option<u32>, body: &Bytes) {
        self.sink.message(expiry, body);
    }

    fn skip(&mut self, count: u64) {
        self.sink.skip(count);
    }
}

fn nanos(at: Duration) -> u64 {
    // The highest value means "never", 584 years away.
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).min(NEVER - 1)
}
