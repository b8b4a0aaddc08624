use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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

/// Bytes that are queued for one peer, counted on the publishers' threads.
///
/// A message is counted before it is handed to the node, so that the memory is bounded and a refusal is immediate. With
/// [`Overflow::DropOldest`] a message enters a full queue on credit, and the node drops as much as it added; the credit
/// is a quarter of the limit, beyond which the publish is refused.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
    overflow: AtomicU8,
}

impl Budget {
    /// An unused budget of `limit` bytes.
    pub fn new(limit: u64, overflow: Overflow) -> Self {
        Self { used: AtomicU64::new(0), limit: AtomicU64::new(limit), overflow: AtomicU8::new(overflow as u8) }
    }

    /// Counts `bytes` in, unless they do not fit.
    pub fn try_reserve(&self, bytes: u64) -> bool {
        let ceiling = self.ceiling();
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= ceiling);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
    }

    /// Whether `bytes` would fit now.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.ceiling()
    }

    /// Counts `bytes` out.
    pub fn release(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
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

    fn ceiling(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        match self.overflow() {
            Overflow::Refuse => limit,
            Overflow::DropOldestQos0 | Overflow::DropOldest => limit.saturating_add(limit / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_the_limit_and_takes_again_after_a_release() {
        let budget = Budget::new(100, Overflow::Refuse);
        assert!(budget.try_reserve(60) && budget.try_reserve(40));
        assert!(!budget.try_reserve(1));
        assert_eq!(budget.used(), 100, "a refusal costs nothing");
        budget.release(1);
        assert!(budget.has_room(1) && !budget.has_room(2));
    }

    #[test]
    fn a_dropping_policy_lends_a_quarter() {
        let budget = Budget::new(100, Overflow::DropOldest);
        assert!(budget.try_reserve(125));
        assert!(!budget.try_reserve(1));
        assert_eq!(budget.excess(), 25);
    }
}
