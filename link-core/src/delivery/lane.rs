use bytes::Bytes;

use super::{
    Dropped, Ledger,
    queue::{NEVER, Queue, Slot},
};
use crate::{
    message::QoS,
    mutant::{self, Mutant},
    wire::{Ack, BATCH_OVERHEAD, BatchWriter, RefusedReason},
};

/// The sending side of one lane.
///
/// ```text
///   1 ...         acked |               sent_to |                          | next
///   ____________________|_______________________|__________________________|
///      acknowledged     |  sent: all of these   |  kept: QoS 1 and 2       |
///                       |  are in the peer's    |  brief: QoS 0            |
///                       |  hands or on the way  |  neither is with the peer|
/// ```
///
/// A place that is in no queue is a skip: its message expired or was dropped. So a run of skips takes no memory, is
/// merged by itself, and dropping the oldest is a pop at a front.
#[derive(Debug)]
pub(super) struct Lane {
    /// Highest place acknowledged.
    acked: u64,
    /// Highest place sent on this connection, or known to have been received.
    sent_to: u64,
    /// Highest place ever sent.
    ever_sent: u64,
    /// The place of the next message.
    next: u64,
    /// Whether a message has had a place here.
    used: bool,
    sent: Queue,
    kept: Queue,
    brief: Queue,
}

/// Why a lane sends no more now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing is left to send.
    Empty,
    /// The batch has its size.
    Batch,
    /// The peer's window is full.
    Window,
}

/// What the peer takes, as its HELLO says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Most bytes of bodies sent and not acknowledged. One body that is larger may go when nothing else is in flight.
    pub(super) window: usize,
    /// Most bytes of a frame.
    pub(super) max_frame: usize,
}

/// What one operation changes beside the lane itself.
pub(super) struct Tally<'a> {
    pub(super) ledger: &'a mut Ledger,
    /// Bytes of the bodies of all lanes in flight.
    pub(super) in_flight: &'a mut usize,
    /// Cost of what left the outbox.
    pub(super) freed: u64,
}

impl Tally<'_> {
    /// A message leaves.
    fn leave(&mut self, slot: &Slot) {
        self.freed += slot.cost();
        self.ledger.queued -= 1;
    }

    fn drop(&mut self, slot: &Slot, reason: impl FnOnce(&mut Dropped) -> &mut u64) {
        self.leave(slot);
        *reason(&mut self.ledger.dropped) += 1;
    }

    fn land(&mut self, slot: &Slot) {
        *self.in_flight -= slot.body.len();
        self.ledger.in_flight -= 1;
    }

    fn take_off(&mut self, slot: &Slot) {
        *self.in_flight += slot.body.len();
        self.ledger.in_flight += 1;
    }
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            acked: 0,
            sent_to: 0,
            ever_sent: 0,
            next: 1,
            used: false,
            sent: Queue::default(),
            kept: Queue::default(),
            brief: Queue::default(),
        }
    }

    /// Appends the slot that `make` builds for the next place.
    pub(super) fn push(&mut self, make: impl FnOnce(u64) -> Slot) -> u64 {
        let seq = self.next;
        let slot = make(seq);
        self.next += 1;
        self.used = true;
        match slot.qos {
            QoS::AtMostOnce => self.brief.push_back(slot),
            _ => self.kept.push_back(slot),
        }
        seq
    }

    /// Writes one batch, or none if there is no message to send. Also says why it stopped there.
    pub(super) fn fill(
        &mut self,
        lane: u8,
        now: u64,
        terms: &Terms,
        target: usize,
        tally: &mut Tally<'_>,
    ) -> (Option<Bytes>, Stop) {
        let target = target.min(terms.max_frame);
        let mut writer: Option<BatchWriter> = None;
        let stop = loop {
            let sent_to = self.sent_to;
            let Some(queue) = self.first_unsent() else { break Stop::Empty };
            let Some(slot) = queue.front() else { break Stop::Empty };
            let size = slot.body.len();
            if slot.expires <= now {
                tally.leave(slot);
                tally.ledger.expired += u64::from(!mutant::on(Mutant::UncountedExpiry));
                queue.pop_front();
                continue;
            }
            if size + FIRST_BYTES > terms.max_frame {
                tally.drop(slot, |dropped| &mut dropped.too_large);
                queue.pop_front();
                continue;
            }
            if writer
                .as_ref()
                .is_some_and(|writer| writer.len() + size + FIRST_BYTES > target || writer.entries() + 2 > MAX_ENTRIES)
            {
                break Stop::Batch;
            }
            if *tally.in_flight > 0 && tally.in_flight.saturating_add(size) > terms.window {
                break Stop::Window;
            }
            let (waiting, gap) = (queue.len(), slot.seq - sent_to - 1);
            if writer.is_none() && gap > 0 && size + FIRST_BYTES + SKIP_BYTES > terms.max_frame {
                // The two don't fit into one frame.
                let skip = writer.insert(BatchWriter::new(lane, sent_to + 1, FIRST_BYTES));
                skip.skip(gap);
                self.reach(sent_to + gap);
                break Stop::Batch;
            }
            let Some(slot) = queue.pop_front() else { break Stop::Empty };
            let writer = writer.get_or_insert_with(|| {
                let capacity = (size + FIRST_BYTES).saturating_mul(waiting.min(MAX_ENTRIES));
                BatchWriter::new(lane, sent_to + 1, capacity.min(target.max(size + FIRST_BYTES)))
            });
            writer.skip(gap);
            writer.message(remaining(slot.expires, now), &slot.body);
            tally.take_off(&slot);
            self.reach(slot.seq);
            self.sent.push_back(slot);
        };
        (writer.map(BatchWriter::finish), stop)
    }

    /// Settles everything up to `ack.up_to`, which is at most [`Lane::sent_to`]; refusals are in rising order.
    pub(super) fn ack(&mut self, ack: &Ack, tally: &mut Tally<'_>) {
        let mut refused = ack.refused.iter().copied().peekable();
        while let Some(slot) = pop_if(&mut self.sent, |slot| slot.seq <= ack.up_to) {
            tally.land(&slot);
            while refused.next_if(|(seq, _)| *seq < slot.seq).is_some() {}
            match refused.next_if(|(seq, _)| *seq == slot.seq).map(|(_, reason)| reason) {
                None => {
                    tally.leave(&slot);
                    tally.ledger.delivered += 1;
                }
                Some(RefusedReason::Expired) => {
                    tally.leave(&slot);
                    tally.ledger.expired += 1;
                }
                Some(RefusedReason::NotImported) => tally.drop(&slot, |dropped| &mut dropped.not_imported),
                Some(RefusedReason::Host) => tally.drop(&slot, |dropped| &mut dropped.refused_by_host),
                Some(RefusedReason::Malformed) => tally.drop(&slot, |dropped| &mut dropped.malformed),
            }
        }
        self.acked = self.acked.max(ack.up_to);
    }

    /// Goes on behind `received`, the peer's watermark. The caller has checked that it is at most
    /// [`Lane::ever_sent`].
    pub(super) fn resume(&mut self, received: u64, tally: &mut Tally<'_>) {
        let received = if mutant::on(Mutant::NotSentAgain) { self.ever_sent } else { received };
        let received = received.max(self.acked);
        while self.sent.back().is_some_and(|slot| slot.seq > received) {
            let Some(slot) = self.sent.pop_back() else { break };
            tally.land(&slot);
            match slot.qos {
                QoS::AtMostOnce => tally.drop(&slot, |dropped| &mut dropped.link_down),
                _ => self.kept.push_front(slot),
            }
        }
        // The peer can be ahead of `sent_to` where an earlier attempt to resume came to nothing while it was still
        // reading the connection before.
        while let Some(queue) = self.first_unsent() {
            let Some(slot) = pop_if(queue, |slot| slot.seq <= received) else { break };
            tally.take_off(&slot);
            self.sent.push_back(slot);
        }
        self.sent_to = received;
    }

    /// Whether no message has had a place here.
    pub(super) fn is_untouched(&self) -> bool {
        !self.used
    }

    /// Numbers an untouched lane from the place behind `received`.
    pub(super) fn begin_behind(&mut self, received: u64) {
        let received = received.max(self.acked);
        (self.acked, self.sent_to, self.ever_sent, self.next) = (received, received, received, received + 1);
    }

    /// Drops QoS 0 that was not sent.
    pub(super) fn drop_brief(&mut self, tally: &mut Tally<'_>) {
        while let Some(slot) = self.brief.pop_front() {
            tally.drop(&slot, |dropped| &mut dropped.link_down);
        }
    }

    /// Takes out the messages of QoS 1 and 2 that were never sent. Their places become skips.
    pub(super) fn take_unsent(&mut self, tally: &mut Tally<'_>) -> Vec<Slot> {
        let taken = self.kept.take_behind(self.ever_sent);
        for slot in &taken {
            tally.leave(slot);
            tally.ledger.moved += 1;
        }
        taken
    }

    /// Drops the oldest unsent message, or the oldest unsent one of QoS 0.
    pub(super) fn drop_oldest(&mut self, only_qos0: bool, tally: &mut Tally<'_>) {
        let queue = if only_qos0 { Some(&mut self.brief) } else { self.first_unsent() };
        if let Some(slot) = queue.and_then(Queue::pop_front) {
            tally.drop(&slot, |dropped| &mut dropped.overflow);
        }
    }

    /// Takes expired messages out of one of the two unsent queues, looking at `left` places at most. Returns whether it
    /// came to the end.
    pub(super) fn sweep(&mut self, qos0: bool, now: u64, left: &mut usize, tally: &mut Tally<'_>) -> bool {
        let queue = if qos0 { &mut self.brief } else { &mut self.kept };
        let (freed, end) = queue.sweep(now, left, tally.ledger);
        tally.freed += freed;
        end
    }

    /// The first place not acknowledged.
    pub(super) fn base(&self) -> u64 {
        self.acked + 1
    }

    /// The highest place sent on this connection, or known to have been received.
    pub(super) fn sent_to(&self) -> u64 {
        self.sent_to
    }

    /// The highest place ever sent.
    pub(super) fn ever_sent(&self) -> u64 {
        self.ever_sent
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.kept.front().is_some() || self.brief.front().is_some()
    }

    /// Whether no message is in it, sent or not.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.front().is_none() && !self.has_unsent()
    }

    /// When the oldest message in the outbox, or the oldest one that may be dropped, was accepted.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.sent.front().map(|slot| slot.accepted).or_else(|| self.oldest_unsent(false))
    }

    pub(super) fn oldest_unsent(&self, only_qos0: bool) -> Option<u64> {
        let kept = self.kept.front().filter(|_| !only_qos0).map(|slot| slot.accepted);
        let brief = self.brief.front().map(|slot| slot.accepted);
        kept.into_iter().chain(brief).min()
    }

    pub(super) fn unsent_bytes(&self, only_qos0: bool) -> u64 {
        self.brief.bytes() + if only_qos0 { 0 } else { self.kept.bytes() }
    }

    fn reach(&mut self, seq: u64) {
        self.sent_to = seq;
        self.ever_sent = self.ever_sent.max(seq);
    }

    fn first_unsent(&mut self) -> Option<&mut Queue> {
        match (self.kept.front(), self.brief.front()) {
            (None, None) => None,
            (Some(kept), Some(brief)) if kept.seq > brief.seq => Some(&mut self.brief),
            (Some(_), _) => Some(&mut self.kept),
            (None, Some(_)) => Some(&mut self.brief),
        }
    }
}

/// Most bytes that a batch of one message has beside its body; a further message with a skip before it adds less.
const FIRST_BYTES: usize = BATCH_OVERHEAD;

/// Most bytes of a skip.
const SKIP_BYTES: usize = 11;

/// Most entries of one batch.
const MAX_ENTRIES: usize = 32_768;

fn pop_if(queue: &mut Queue, wanted: impl FnOnce(&Slot) -> bool) -> Option<Slot> {
    if queue.front().is_some_and(wanted) { queue.pop_front() } else { None }
}

/// Whole seconds left, rounded up: a message that has not expired never leaves with 0.
pub(super) fn remaining(expires: u64, now: u64) -> Option<u32> {
    (expires != NEVER).then(|| {
        let seconds = expires.saturating_sub(now).div_ceil(1_000_000_000).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    })
}
