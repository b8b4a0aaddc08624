use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What a message counts in a [`Budget`] beside its encoded body, in bytes: its place in the queues.
pub const MESSAGE_OVERHEAD: u64 = 64;

/// What a message counts in a [`Budget`], given the length of its encoded body. Small messages take memory too: so a
/// limit in bytes is a limit of their number.
pub fn cost(body: usize) -> u64 {
    (body as u64).saturating_add(MESSAGE_OVERHEAD)
}

/// What happens to a message when the queue for a peer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Overflow {
    /// The publish is not accepted, and the host is told so at once.
    #[default]
    Refuse = 0,
    /// Messages of QoS 0 that were not sent yet go first, the oldest before the others; when there is none, the
    /// publish is not accepted.
    DropOldestQos0 = 1,
    /// Messages that were not sent yet go, the oldest first, whatever their QoS.
    DropOldest = 2,
}

/// Bytes that are queued for one peer, in units of [`cost`], counted on the publishers' threads.
///
/// A message is counted before it is handed to the node, so that the memory is bounded and a refusal is immediate.
///
/// With a dropping policy a message may enter a full queue on credit: the node drops as much as soon as it sees the
/// message. The credit is what the node could have dropped when it last looked, at most a quarter of the limit or the
/// size of that message, whichever is more:
///
/// ```text
/// used + bytes <= limit + min(droppable, max(limit / 4, bytes))    and    bytes <= limit
/// ```
///
/// so `used <= 2 * limit` at any instant, and `used <= limit` when the node has caught up, unless it sent meanwhile
/// what it could have dropped; then the acknowledgements bring it down.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
    overflow: AtomicU8,
    droppable: AtomicU64,
}

impl Budget {
    /// An unused budget of `limit` bytes.
    pub fn new(limit: u64, overflow: Overflow) -> Self {
        Self {
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            overflow: AtomicU8::new(overflow as u8),
            droppable: AtomicU64::new(0),
        }
    }

    /// Counts `bytes`, the [`cost`] of one message, in, unless they do not fit.
    pub fn try_reserve(&self, bytes: u64) -> bool {
        let Some(ceiling) = self.ceiling(bytes) else { return false };
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= ceiling);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
    }

    /// Counts `bytes` in whether they fit or not: for a message that was let in elsewhere already.
    pub fn reserve_anyway(&self, bytes: u64) {
        let more = |used: u64| Some(used.saturating_add(bytes));
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
    }

    /// Whether `bytes` would fit now.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.ceiling(bytes).is_some_and(|ceiling| self.used().saturating_add(bytes) <= ceiling)
    }

    /// Counts `bytes` out.
    pub fn release(&self, bytes: u64) {
        if bytes > 0 {
            let less = |used: u64| Some(used.saturating_sub(bytes));
            let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
        }
    }

    /// Bytes counted in.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes over the limit, which the node is to drop.
    pub fn excess(&self) -> u64 {
        self.used().saturating_sub(self.limit.load(Ordering::Relaxed))
    }

    /// What happens at the limit.
    pub fn overflow(&self) -> Overflow {
        match self.overflow.load(Ordering::Relaxed) {
            0 => Overflow::Refuse,
            1 => Overflow::DropOldestQos0,
            _ => Overflow::DropOldest,
        }
    }

    /// Changes the limit and what happens there. What is queued stays.
    pub fn set(&self, limit: u64, overflow: Overflow) {
        self.limit.store(limit, Ordering::Relaxed);
        self.overflow.store(overflow as u8, Ordering::Relaxed);
    }

    /// The node says how many bytes it could drop now, by the policy.
    pub(super) fn set_droppable(&self, bytes: u64) {
        self.droppable.store(bytes, Ordering::Relaxed);
    }

    /// The most that may be used with a message of `bytes`; `None` for one that never fits.
    fn ceiling(&self, bytes: u64) -> Option<u64> {
        let limit = self.limit.load(Ordering::Relaxed);
        let credit = match self.overflow() {
            Overflow::Refuse => 0,
            _ => self.droppable.load(Ordering::Relaxed).min(bytes.max(limit / 4)),
        };
        (bytes <= limit).then(|| limit.saturating_add(credit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_the_limit_and_takes_again_after_a_release() {
        let budget = Budget::new(100, Overflow::Refuse);
        budget.set_droppable(100);
        assert!(budget.try_reserve(60) && budget.try_reserve(40));
        assert!(!budget.try_reserve(1));
        assert_eq!(budget.used(), 100, "a refusal costs nothing");
        budget.release(1);
        assert!(budget.has_room(1) && !budget.has_room(2));
    }

    #[test]
    fn a_dropping_policy_lends_what_can_be_dropped() {
        let budget = Budget::new(800, Overflow::DropOldest);
        assert!(budget.try_reserve(800));
        assert!(!budget.try_reserve(1), "nothing can be dropped");
        budget.set_droppable(30);
        assert!(budget.try_reserve(30));
        assert!(!budget.try_reserve(1), "what can be dropped is spoken for");
        budget.set_droppable(800);
        assert!(budget.try_reserve(170), "up to a quarter of the limit");
        assert!(!budget.try_reserve(1));
        assert_eq!(budget.excess(), 200);
        budget.release(200);
        assert!(budget.try_reserve(800), "one large message may push out as much as it needs");
        assert!(!Budget::new(800, Overflow::DropOldest).try_reserve(801), "but never more than the whole limit");
    }

    #[test]
    fn concurrent_reservations_keep_the_limit() {
        let budget = Budget::new(10_000, Overflow::Refuse);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1000).filter(|_| budget.try_reserve(7)).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((taken, budget.used()), (10_000 / 7, 10_000 / 7 * 7));
    }
}
