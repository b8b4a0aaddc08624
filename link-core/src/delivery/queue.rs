use std::collections::VecDeque;

use bytes::Bytes;

use super::{Ledger, budget::cost};
use crate::message::QoS;

/// `expires` of a message that never does.
pub(super) const NEVER: u64 = u64::MAX;

/// One message in a lane; 64 bytes. Times are nanoseconds since the caller's start.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) body: Bytes,
    pub(super) expires: u64,
    pub(super) accepted: u64,
    pub(super) qos: QoS,
    /// Expired and counted, its body freed; the place is left until the queue is compacted.
    gone: bool,
}

impl Slot {
    pub(super) fn new(seq: u64, body: Bytes, qos: QoS, expires: u64, accepted: u64) -> Self {
        Self { seq, body, expires, accepted, qos, gone: false }
    }

    pub(super) fn cost(&self) -> u64 {
        cost(self.body.len())
    }
}

/// Messages in the order of their sequence numbers, which need not be contiguous. The front is never `gone`.
#[derive(Debug, Default)]
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    /// Sum of the costs.
    bytes: u64,
    gone: usize,
    /// How many can expire.
    expiring: usize,
    /// Where the next sweep goes on.
    swept: usize,
}

impl Queue {
    pub(super) fn push_back(&mut self, slot: Slot) {
        self.enter(&slot);
        self.slots.push_back(slot);
    }

    pub(super) fn push_front(&mut self, slot: Slot) {
        self.enter(&slot);
        self.swept += 1;
        self.slots.push_front(slot);
    }

    pub(super) fn pop_front(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.leave(&slot);
        self.swept = self.swept.saturating_sub(1);
        if self.gone > 0 {
            self.trim();
        }
        self.shrink();
        Some(slot)
    }

    /// Only for a queue that is never swept.
    pub(super) fn pop_back(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_back()?;
        self.leave(&slot);
        Some(slot)
    }

    /// Takes out all behind a place.
    pub(super) fn take_behind(&mut self, seq: u64) -> Vec<Slot> {
        let at = self.slots.partition_point(|slot| slot.seq <= seq);
        let mut taken = Vec::with_capacity(self.slots.len() - at);
        for slot in self.slots.split_off(at) {
            if slot.gone {
                self.gone -= 1;
            } else {
                self.leave(&slot);
                taken.push(slot);
            }
        }
        self.swept = self.swept.min(self.slots.len());
        self.shrink();
        taken
    }

    /// Takes out what has expired at `now` among the next `left` places, and lowers `left` by the places looked at.
    /// Returns the bytes freed, and whether it came to the end; the next sweep begins at the front then. Now and then
    /// it compacts: constant per expired message on average.
    pub(super) fn sweep(&mut self, now: u64, left: &mut usize, ledger: &mut Ledger) -> (u64, bool) {
        let mut freed = 0;
        if self.expiring == 0 {
            self.swept = 0;
            return (0, true);
        }
        while *left > 0 && self.swept < self.slots.len() {
            let slot = &mut self.slots[self.swept];
            if !slot.gone && slot.expires <= now {
                freed += slot.cost();
                slot.gone = true;
                slot.body = Bytes::new();
                self.gone += 1;
                self.expiring -= 1;
                ledger.expired += 1;
                ledger.queued -= 1;
            }
            self.swept += 1;
            *left -= 1;
        }
        self.bytes -= freed;
        self.trim();
        if self.gone > 64 && self.gone * 2 > self.slots.len() {
            self.compact();
        }
        let end = self.swept >= self.slots.len();
        if end {
            self.swept = 0;
        }
        (freed, end)
    }

    pub(super) fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub(super) fn back(&self) -> Option<&Slot> {
        self.slots.back()
    }

    /// How many messages; those that are gone don't count.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.gone
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn enter(&mut self, slot: &Slot) {
        self.bytes += slot.cost();
        self.expiring += usize::from(slot.expires != NEVER);
    }

    fn leave(&mut self, slot: &Slot) {
        self.bytes -= slot.cost();
        self.expiring -= usize::from(slot.expires != NEVER);
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.gone) {
            self.slots.pop_front();
            self.gone -= 1;
            self.swept = self.swept.saturating_sub(1);
        }
    }

    fn compact(&mut self) {
        let (mut at, mut before) = (0, 0);
        let swept = self.swept;
        self.slots.retain(|slot| {
            before += usize::from(slot.gone && at < swept);
            at += 1;
            !slot.gone
        });
        self.swept -= before;
        self.gone = 0;
        self.shrink();
    }

    /// A backlog that is gone should not hold its memory for ever.
    fn shrink(&mut self) {
        if self.slots.capacity() > 4096 && self.slots.len() < self.slots.capacity() / 8 {
            self.slots.shrink_to(self.slots.capacity() / 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_keeps_order_count_and_bytes() {
        let (mut queue, mut ledger) = (Queue::default(), Ledger { queued: 1000, ..Ledger::default() });
        for seq in 1..=1000 {
            let expires = if seq % 5 == 0 { NEVER } else { 7 };
            queue.push_back(Slot::new(seq, Bytes::from_static(b"abc"), QoS::AtLeastOnce, expires, 0));
        }
        let mut ends = 0;
        for _ in 0..100 {
            ends += usize::from(queue.sweep(7, &mut 30, &mut ledger).1);
            assert_eq!((queue.len(), queue.bytes()), (ledger.queued as usize, ledger.queued * cost(3)));
            assert!(queue.front().is_some_and(|front| !front.gone));
        }
        assert!(ends > 1);
        assert_eq!(ledger.queued, 200);
        assert!(queue.slots.len() <= 2 * 200 + 64, "most places are given back too");
        let left: Vec<u64> = std::iter::from_fn(|| queue.pop_front()).map(|slot| slot.seq).collect();
        assert_eq!(left, (1..=200).map(|n| n * 5).collect::<Vec<_>>());
        assert_eq!(queue.bytes(), 0);
    }
}
