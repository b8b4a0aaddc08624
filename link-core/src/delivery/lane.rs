use super::{
    AckFault, AckOutcome, BatchSink, DropReason,
    ledger::SendLedger,
    outbox::Terms,
    queue::{NEVER, Queue, Slot},
};
use crate::{
    message::QoS,
    wire::{Ack, RefusedReason},
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

/// What one operation changes beside the lane itself.
pub(super) struct Tally<'a> {
    pub(super) ledger: &'a mut SendLedger,
    /// Bytes of all lanes in flight.
    pub(super) in_flight: &'a mut u64,
    /// Bytes that left the outbox.
    pub(super) freed: u64,
}

impl Tally<'_> {
    fn drop(&mut self, slot: &Slot, reason: DropReason) {
        self.freed += slot.cost();
        self.ledger.drop(reason);
    }

    fn land(&mut self, slot: &Slot) {
        *self.in_flight -= slot.cost();
        self.ledger.in_flight -= 1;
    }

    fn take_off(&mut self, slot: &Slot) {
        *self.in_flight += slot.cost();
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
        match slot.qos {
            QoS::AtMostOnce => self.brief.push_back(slot),
            _ => self.kept.push_back(slot),
        }
        seq
    }

    /// Writes one batch. Nothing is written, not even the beginning, if there is no message to send.
    pub(super) fn fill(
        &mut self,
        lane: u8,
        now: u64,
        terms: &Terms,
        tally: &mut Tally<'_>,
        sink: &mut impl BatchSink,
    ) -> Stop {
        let (mut begun, mut bytes) = (false, 0);
        loop {
            let Some(queue) = self.first_unsent() else { return Stop::Empty };
            let Some(slot) = queue.front() else { return Stop::Empty };
            let size = slot.body.len();
            if slot.expires <= now {
                tally.freed += slot.cost();
                tally.ledger.expire();
                queue.pop_front();
                continue;
            }
            if size > terms.max_body() {
                tally.drop(slot, DropReason::TooLarge);
                queue.pop_front();
                continue;
            }
            if begun && bytes + size + ENTRY_BYTES > terms.batch_bytes() {
                return Stop::Batch;
            }
            if *tally.in_flight > 0 && tally.in_flight.saturating_add(slot.cost()) > terms.window {
                return Stop::Window;
            }
            let Some(slot) = queue.pop_front() else { return Stop::Empty };
            if !begun {
                sink.begin(lane, self.sent_to + 1);
                begun = true;
            }
            let gap = slot.seq - self.sent_to - 1;
            if gap > 0 {
                sink.skip(gap);
                bytes += ENTRY_BYTES;
            }
            sink.message(remaining(slot.expires, now), &slot.body);
            bytes += size + ENTRY_BYTES;
            tally.take_off(&slot);
            self.sent_to = slot.seq;
            self.ever_sent = self.ever_sent.max(slot.seq);
            self.sent.push_back(slot);
        }
    }

    /// The caller has checked with [`Lane::check_ack`].
    pub(super) fn ack(&mut self, ack: &Ack, tally: &mut Tally<'_>) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        if ack.up_to <= self.acked {
            return outcome;
        }
        let mut refused = ack.refused.iter().peekable();
        while let Some(slot) = pop_if(&mut self.sent, |slot| slot.seq <= ack.up_to) {
            tally.land(&slot);
            while refused.peek().is_some_and(|(seq, _)| *seq < slot.seq) {
                refused.next();
            }
            let reason: Option<RefusedReason> =
                refused.peek().and_then(|(seq, reason)| (*seq == slot.seq).then_some(*reason));
            if let Some(reason) = reason {
                tally.drop(&slot, DropReason::RefusedByPeer(reason));
                outcome.refused += 1;
            } else {
                tally.freed += slot.cost();
                tally.ledger.deliver();
                outcome.delivered += 1;
            }
        }
        self.acked = ack.up_to;
        outcome
    }

    pub(super) fn check_ack(&self, ack: &Ack) -> Result<(), AckFault> {
        let Ack { lane, up_to, .. } = *ack;
        if up_to > self.sent_to {
            return Err(AckFault::NeverSent { lane, up_to, sent_to: self.sent_to });
        }
        let ordered = ack.refused.windows(2).all(|pair| pair[0].0 < pair[1].0);
        match ack.refused.last() {
            Some((seq, _)) if !ordered || *seq > up_to => Err(AckFault::Refused { lane, seq: *seq, up_to }),
            _ => Ok(()),
        }
    }

    /// Goes on behind `received`, the peer's watermark. The caller has checked that it is at most
    /// [`Lane::ever_sent`].
    pub(super) fn resume(&mut self, received: u64, tally: &mut Tally<'_>) {
        let received = received.max(self.acked);
        while self.sent.back().is_some_and(|slot| slot.seq > received) {
            let Some(slot) = self.sent.pop_back() else { break };
            tally.land(&slot);
            match slot.qos {
                QoS::AtMostOnce => tally.drop(&slot, DropReason::LinkDown),
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

    /// Drops QoS 0 that was not sent.
    pub(super) fn drop_brief(&mut self, tally: &mut Tally<'_>) {
        while let Some(slot) = self.brief.pop_front() {
            tally.drop(&slot, DropReason::LinkDown);
        }
    }

    /// Drops the oldest unsent message, or the oldest unsent one of QoS 0.
    pub(super) fn drop_oldest(&mut self, only_qos0: bool, tally: &mut Tally<'_>) {
        let queue = if only_qos0 { Some(&mut self.brief) } else { self.first_unsent() };
        if let Some(slot) = queue.and_then(Queue::pop_front) {
            tally.drop(&slot, DropReason::Overflow);
        }
    }

    /// Drops everything, sent or not.
    pub(super) fn clear(&mut self, tally: &mut Tally<'_>) {
        while let Some(slot) = self.sent.pop_front() {
            tally.land(&slot);
            tally.drop(&slot, DropReason::LinkDeleted);
        }
        while let Some(slot) = self.first_unsent().and_then(Queue::pop_front) {
            tally.drop(&slot, DropReason::LinkDeleted);
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

    pub(super) fn ever_sent(&self) -> u64 {
        self.ever_sent
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.kept.front().is_some() || self.brief.front().is_some()
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

    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent.bytes()
    }

    /// Messages sent and not sent.
    pub(super) fn count(&self) -> (u64, u64) {
        (self.sent.len() as u64, (self.kept.len() + self.brief.len()) as u64)
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

/// Most bytes that an entry takes in a batch frame beside its body, and that the frame takes beside its entries.
pub(super) const ENTRY_BYTES: usize = 24;

fn pop_if(queue: &mut Queue, wanted: impl FnOnce(&Slot) -> bool) -> Option<Slot> {
    if queue.front().is_some_and(wanted) { queue.pop_front() } else { None }
}

/// Whole seconds left, rounded up: a message that has not expired never leaves with 0.
fn remaining(expires: u64, now: u64) -> Option<u32> {
    (expires != NEVER).then(|| {
        let seconds = expires.saturating_sub(now).div_ceil(1_000_000_000).max(1);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    })
}
