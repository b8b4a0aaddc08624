//! The sending end: all that waits for one peer, over its lanes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use super::{
    Budget, Ledger, Overflow,
    datagrams::Sent,
    lane::{Lane, Stop, Tally, Terms, remaining},
    queue::{NEVER, Slot},
};
use crate::{
    message::QoS,
    wire::{Ack, DatagramAck, LaneMark, encode_datagram},
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
    /// It refused a message that the acknowledgement does not cover, or out of order.
    #[error("lane {lane}: {seq} is refused, but is out of order or beyond the acknowledgement")]
    Refused {
        /// The lane.
        lane: u8,
        /// The refused place.
        seq: u64,
    },
    /// It said of datagrams what can't be.
    #[error("datagrams: {settled} are settled, but {sent} were sent, or what became of them does not add up")]
    Datagrams {
        /// How many it settled.
        settled: u64,
        /// How many were sent.
        sent: u64,
    },
}

/// A message that was never sent, on its way to another outbox.
#[derive(Debug, Clone)]
pub struct Unsent {
    /// Its quality of service, 1 or 2.
    pub qos: QoS,
    /// The encoded message.
    pub body: Bytes,
    /// When it expires.
    pub expires_at: Option<Duration>,
    /// When it was let in.
    pub accepted_at: Duration,
}

/// The furthest place behind which the lanes of a new outbox may begin: it leaves room for all that will ever be sent.
const FURTHEST_BEGIN: u64 = u64::MAX / 2;

/// All messages that wait for one peer.
#[derive(Debug)]
pub struct Outbox {
    lanes: Box<[Lane]>,
    datagrams: Sent,
    budget: Arc<Budget>,
    terms: Terms,
    /// Bytes of the bodies in flight.
    in_flight: usize,
    /// The lane whose turn it is.
    turn: usize,
    /// The queue that the next sweep begins with: two for each lane.
    swept: usize,
    ledger: Ledger,
}

impl Outbox {
    /// An empty outbox of `lanes` lanes. `budget` counts what is queued: a message is reserved there, at its
    /// [`cost`](super::cost), before it is pushed, and released here when it leaves.
    pub fn new(lanes: u8, budget: Arc<Budget>) -> Self {
        Self {
            lanes: (0..lanes.max(1)).map(|_| Lane::new()).collect(),
            datagrams: Sent::default(),
            budget,
            terms: Terms { window: 0, max_frame: usize::MAX },
            in_flight: 0,
            turn: 0,
            swept: 0,
            ledger: Ledger::default(),
        }
    }

    /// Takes a message that was let in. `live` says whether the peer is connected: QoS 0 is not kept for one that is
    /// away.
    ///
    /// Constant time. Under a dropping policy the oldest unsent messages go until the budget is kept; this may be one.
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
            return self.budget.release(super::cost(body.len()));
        }
        self.ledger.queued += 1;
        let index = usize::from(lane) % self.lanes.len();
        let expires = expires_at.map_or(NEVER, nanos);
        self.lanes[index].push(|seq| Slot::new(seq, body, qos, expires, nanos(accepted_at)));
        if self.budget.overflow() != Overflow::Refuse {
            self.make_room();
        }
    }

    /// Takes a QoS 0 message that was let in, and gives the datagram in which it goes at once; its room in the budget is
    /// free again. `None`, and nothing has changed, if it would be larger than `largest` bytes. One that has expired is
    /// counted, and there is nothing to send: the datagram is empty.
    pub fn datagram(
        &mut self,
        body: &Bytes,
        expires_at: Option<Duration>,
        now: Duration,
        largest: usize,
    ) -> Option<Bytes> {
        let expires = expires_at.map_or(NEVER, nanos);
        let now = nanos(now);
        let number = self.datagrams.last + 1;
        let frame = if expires <= now { Bytes::new() } else { encode_datagram(number, remaining(expires, now), body) };
        if frame.len() > largest {
            return None;
        }
        self.ledger.accepted += 1;
        if frame.is_empty() {
            self.ledger.expired += 1;
        } else {
            self.datagrams.last = number;
            self.ledger.queued += 1;
            self.ledger.in_flight += 1;
        }
        self.budget.release(super::cost(body.len()));
        Some(frame)
    }

    /// The highest number of a datagram of this connection, for the heartbeat; 0 for none.
    pub fn datagrams_sent(&self) -> u64 {
        self.datagrams.last
    }

    /// Takes what the peer says of the datagrams of this connection.
    ///
    /// # Errors
    /// [`OutboxFault::Datagrams`] if that can't be.
    pub fn datagrams_settled(&mut self, ack: &DatagramAck) -> Result<(), OutboxFault> {
        let Some(news) = self.datagrams.news(ack) else {
            return Err(OutboxFault::Datagrams { settled: ack.settled, sent: self.datagrams.last });
        };
        self.datagrams.told = *ack;
        let ledger = &mut self.ledger;
        ledger.queued -= news.settled;
        ledger.in_flight -= news.settled;
        ledger.delivered += news.delivered;
        ledger.expired += news.expired;
        ledger.dropped.not_imported += news.not_imported;
        ledger.dropped.refused_by_host += news.refused_by_host;
        ledger.dropped.malformed += news.malformed;
        ledger.dropped.on_the_way += news.lost();
        Ok(())
    }

    /// The connection is gone: what became of its datagrams is not to be learnt any more.
    fn end_datagrams(&mut self) {
        let open = std::mem::take(&mut self.datagrams).open();
        self.ledger.queued -= open;
        self.ledger.in_flight -= open;
        self.ledger.dropped.link_down += open;
    }

    /// Takes the resume of a peer on a new connection. `received` is how far it has received each lane, or `None` if
    /// it does not know this life; `window` and `max_frame` are its limits.
    ///
    /// What it has received stays in flight until it is acknowledged. What it has not is sent again, except QoS 0. An
    /// outbox in which no message has a place yet begins behind what the peer has received.
    ///
    /// # Errors
    /// [`OutboxFault`] if it claims to have what was never sent.
    pub fn resume(
        &mut self,
        received: Option<&[LaneMark]>,
        window: usize,
        max_frame: usize,
    ) -> Result<(), OutboxFault> {
        let received = received.unwrap_or_default();
        // Nothing was pushed here: the peer was forgotten while it was away, and remembers the messages of before.
        let untouched = self.lanes.iter().all(Lane::is_untouched);
        for LaneMark { lane, seq } in received {
            let own = self.lanes.get(usize::from(*lane)).ok_or(OutboxFault::Lane(*lane))?;
            if *seq > own.ever_sent() && !(untouched && *seq <= FURTHEST_BEGIN) {
                return Err(OutboxFault::Unsent { lane: *lane, up_to: *seq, sent: own.ever_sent() });
            }
        }
        self.terms = Terms { window, max_frame };
        self.end_datagrams();
        self.change(|lanes, tally| {
            for (lane, number) in lanes.iter_mut().zip(0..) {
                let mark = received.iter().filter(|mark| mark.lane == number).map(|mark| mark.seq).max();
                let mark = mark.unwrap_or(0);
                if untouched {
                    lane.begin_behind(mark);
                } else {
                    lane.resume(mark, tally);
                }
            }
        });
        Ok(())
    }

    /// The peer is away: QoS 0 that was not sent is dropped.
    pub fn link_down(&mut self) {
        self.end_datagrams();
        self.change(|lanes, tally| lanes.iter_mut().for_each(|lane| lane.drop_brief(tally)));
    }

    /// Takes the messages of QoS 1 and 2 out of a lane that were never sent, in their order, for an outbox of another
    /// node; their room in the budget is free again. What was sent and is not acknowledged stays: the peer may have it.
    pub fn take_unsent(&mut self, lane: u8) -> Vec<Unsent> {
        let index = usize::from(lane) % self.lanes.len();
        let taken = self.change(|lanes, tally| lanes[index].take_unsent(tally));
        let unsent = |slot: Slot| Unsent {
            qos: slot.qos,
            expires_at: (slot.expires != NEVER).then(|| Duration::from_nanos(slot.expires)),
            accepted_at: Duration::from_nanos(slot.accepted),
            body: slot.body,
        };
        taken.into_iter().map(unsent).collect()
    }

    /// Whether a lane has no message, sent or not.
    pub fn is_idle(&self, lane: u8) -> bool {
        self.lanes[usize::from(lane) % self.lanes.len()].is_empty()
    }

    /// The next batch for the peer, of about `target` bytes, or `None` if there is nothing to send or no window.
    /// Expired and oversized messages become skips here.
    ///
    /// Lanes take turns; `ready` says which lanes may send now. A lane whose next message finds no room in the window
    /// keeps its turn and holds up the others, so that a large message is not overtaken for ever.
    pub fn fill(&mut self, now: Duration, target: usize, ready: impl Fn(u8) -> bool) -> Option<(u8, Bytes)> {
        let (now, terms, mut turn) = (nanos(now), self.terms, self.turn);
        let filled = self.change(|lanes, tally| {
            for _ in 0..lanes.len() {
                let lane = turn as u8;
                let own = &mut lanes[turn];
                let (frame, stop) = if own.has_unsent() && ready(lane) {
                    own.fill(lane, now, &terms, target, tally)
                } else {
                    (None, Stop::Empty)
                };
                if frame.is_none() && stop == Stop::Window {
                    return None;
                }
                turn = (turn + 1) % lanes.len();
                if let Some(frame) = frame {
                    return Some((lane, frame));
                }
            }
            None
        });
        self.turn = turn;
        filled
    }

    /// Whether any message waits to be sent.
    pub fn has_unsent(&self) -> bool {
        self.lanes.iter().any(Lane::has_unsent)
    }

    /// Takes an acknowledgement.
    ///
    /// # Errors
    /// [`OutboxFault`] if it covers what was never sent; one that covers nothing new is ignored.
    pub fn ack(&mut self, ack: &Ack) -> Result<(), OutboxFault> {
        let index = usize::from(ack.lane);
        let own = self.lanes.get(index).ok_or(OutboxFault::Lane(ack.lane))?;
        if ack.up_to > own.sent_to() {
            return Err(OutboxFault::Unsent { lane: ack.lane, up_to: ack.up_to, sent: own.sent_to() });
        }
        let mut last = 0;
        for (seq, _) in &ack.refused {
            if *seq > ack.up_to || *seq <= last {
                return Err(OutboxFault::Refused { lane: ack.lane, seq: *seq });
            }
            last = *seq;
        }
        self.change(|lanes, tally| lanes[index].ack(ack, tally));
        Ok(())
    }

    /// Takes out expired messages that were not sent, so that they do not hold room, looking at `max` messages at
    /// most. Successive calls go round through all of them. Free where none can expire.
    pub fn sweep(&mut self, now: Duration, max: usize) {
        let (now, mut left, mut at) = (nanos(now), max, self.swept);
        self.change(|lanes, tally| {
            let queues = 2 * lanes.len();
            for _ in 0..queues {
                if lanes[at / 2].sweep(at % 2 == 1, now, &mut left, tally) {
                    at = (at + 1) % queues;
                }
                if left == 0 {
                    break;
                }
            }
        });
        self.swept = at;
    }

    /// Where each lane begins for a receiver that knows nothing of it: its first place that is not acknowledged.
    pub fn bases(&self) -> Vec<LaneMark> {
        self.lanes.iter().zip(0..).map(|(lane, number)| LaneMark { lane: number, seq: lane.base() }).collect()
    }

    /// The counts.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// When the oldest message that waits was accepted. Costs one look at each lane.
    pub fn oldest(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(Lane::oldest).min().map(Duration::from_nanos)
    }

    /// Runs a change of the lanes, and settles with the budget what left.
    fn change<T>(&mut self, change: impl FnOnce(&mut [Lane], &mut Tally<'_>) -> T) -> T {
        let mut tally = Tally { ledger: &mut self.ledger, in_flight: &mut self.in_flight, freed: 0 };
        let result = change(&mut self.lanes, &mut tally);
        self.budget.release(tally.freed);
        let overflow = self.budget.overflow();
        if overflow != Overflow::Refuse {
            let only_qos0 = overflow == Overflow::DropOldestQos0;
            self.budget.set_droppable(self.lanes.iter().map(|lane| lane.unsent_bytes(only_qos0)).sum());
        }
        result
    }

    /// Drops messages that were not sent, by the policy, until the budget is kept or none is left.
    fn make_room(&mut self) {
        let (excess, only_qos0) = (self.budget.excess(), self.budget.overflow() == Overflow::DropOldestQos0);
        self.change(|lanes, tally| {
            while tally.freed < excess {
                let ages = lanes.iter_mut().filter_map(|lane| Some((lane.oldest_unsent(only_qos0)?, lane)));
                let Some((_, lane)) = ages.min_by_key(|(age, _)| *age) else { return };
                lane.drop_oldest(only_qos0, tally);
            }
        });
    }
}

fn nanos(at: Duration) -> u64 {
    // The highest value means "never", 584 years away.
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).min(NEVER - 1)
}
