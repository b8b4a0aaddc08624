use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What a message costs beside its body, in bytes: its place in a queue, at either end of the link.
///
/// Part of the protocol: the window of [`Hello`](crate::wire::Hello) is counted in these units at both ends.
pub const MESSAGE_OVERHEAD: u64 = 64;

/// What a message counts in a [`Budget`] and in the window: its encoded body and [`MESSAGE_OVERHEAD`].
///
/// Even an empty body costs something, so a limit in bytes is a limit of messages too.
pub fn cost(body: usize) -> u64 {
    (body as u64).saturating_add(MESSAGE_OVERHEAD)
}

/// What gives way when an outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The new message, at the door: the publisher is told at once. Nothing accepted is ever lost.
    #[default]
    Refuse,
    /// The oldest unsent QoS 0 message; the new one where there is none. No accepted QoS 1 or 2 message is lost.
    DropOldestQos0,
    /// The oldest unsent message of any QoS; the new one where there is none.
    DropOldest,
}

/// Accounts for the bytes of one link's outbox, shared by the publishers' threads and the node.
///
/// A publisher reserves *before* a message enters the queue to the node. So memory is bounded however far the node
/// lags behind, and a refusal is known where the publish happens. What was reserved is released by the
/// [`Outbox`](super::Outbox) when the message has left it, or by whoever throws the message away before that.
///
/// # How far above the limit
///
/// Under [`Overflow::Refuse`] never. Under a dropping policy a reservation may go over the limit, counting on the
/// node to drop as much as soon as it sees the message. It may go over by no more than what the node could drop when
/// it last looked, and by no more than an eighth of the limit or the size of that one message, whichever is more:
///
/// ```text
/// queued + bytes <= limit + min(droppable, max(limit / 8, bytes))    and    bytes <= limit
/// ```
///
/// so `queued <= 2 * limit` at any instant, and `queued <= limit` again when the node has caught up, unless what it
/// could have dropped was sent meanwhile; then the acknowledgements bring it down.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
    overflow: AtomicU8,
    queued: AtomicU64,
    droppable: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes, in units of [`cost`].
    pub fn new(limit: u64, overflow: Overflow) -> Self {
        Self {
            limit: AtomicU64::new(limit),
            overflow: AtomicU8::new(overflow.code()),
            queued: AtomicU64::new(0),
            droppable: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes `bytes` (the [`cost`] of one message), or counts a refusal and takes nothing. Lock-free.
    pub fn try_reserve(&self, bytes: u64) -> bool {
        let limit = self.limit();
        let ceiling = match self.overflow() {
            Overflow::Refuse => limit,
            _ => limit.saturating_add(self.droppable.load(Relaxed).min(bytes.max(limit / 8))),
        };
        let taken = bytes <= limit
            && self
                .queued
                .fetch_update(Relaxed, Relaxed, |queued| queued.checked_add(bytes).filter(|sum| *sum <= ceiling))
                .is_ok();
        if !taken {
            self.refused.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Gives back what was reserved. More than is queued empties the budget.
    pub fn release(&self, bytes: u64) {
        if bytes > 0 {
            // The closure never declines, so there is no error to look at.
            let _ = self.queued.fetch_update(Relaxed, Relaxed, |queued| Some(queued.saturating_sub(bytes)));
        }
    }

    /// Changes the limit. What is queued above a lower one stays, and is dropped only as the policy allows.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// Changes what gives way.
    pub fn set_overflow(&self, overflow: Overflow) {
        self.overflow.store(overflow.code(), Relaxed);
    }

    /// Most bytes that may be queued.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// What gives way at the limit.
    pub fn overflow(&self) -> Overflow {
        Overflow::of(self.overflow.load(Relaxed))
    }

    /// Bytes reserved now: on the way to the node, waiting, and in flight.
    pub fn queued(&self) -> u64 {
        self.queued.load(Relaxed)
    }

    /// How many reservations were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// The node says how many bytes it could drop now.
    pub(super) fn set_droppable(&self, bytes: u64) {
        self.droppable.store(bytes, Relaxed);
    }
}

impl Overflow {
    fn code(self) -> u8 {
        match self {
            Self::Refuse => 0,
            Self::DropOldestQos0 => 1,
            Self::DropOldest => 2,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            1 => Self::DropOldestQos0,
            2 => Self::DropOldest,
            _ => Self::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuse_never_goes_over_the_limit() {
        let budget = Budget::new(100, Overflow::Refuse);
        budget.set_droppable(100);
        assert!(budget.try_reserve(60));
        assert!(!budget.try_reserve(41));
        assert!(budget.try_reserve(40));
        assert_eq!((budget.queued(), budget.refused()), (100, 1));
        budget.release(60);
        assert!(budget.try_reserve(60));
    }

    #[test]
    fn a_dropping_policy_goes_over_by_what_can_be_dropped() {
        let budget = Budget::new(800, Overflow::DropOldest);
        assert!(budget.try_reserve(800));
        assert!(!budget.try_reserve(1), "nothing can be dropped");
        budget.set_droppable(30);
        assert!(budget.try_reserve(30));
        assert!(!budget.try_reserve(1), "what can be dropped is spoken for");
        budget.set_droppable(800);
        assert!(budget.try_reserve(70), "up to an eighth of the limit");
        assert!(!budget.try_reserve(1));
        budget.release(100);
        assert!(budget.try_reserve(800), "one large message may push out as much as it needs");
        assert!(!budget.try_reserve(801), "but never more than the whole limit");
        assert!(budget.queued() <= 1600);
    }

    #[test]
    fn concurrent_reservations_keep_the_limit() {
        let budget = Budget::new(10_000, Overflow::Refuse);
        let taken: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1000).filter(|_| budget.try_reserve(7)).count() as u64)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10_000 / 7);
        assert_eq!(budget.queued(), taken * 7);
        assert_eq!(budget.refused(), 4000 - taken);
    }

    #[test]
    fn releasing_too_much_does_not_wrap() {
        let budget = Budget::new(10, Overflow::Refuse);
        budget.release(5);
        assert_eq!(budget.queued(), 0);
    }
}
