use crate::wire::RefusedReason;

/// Why an accepted message will not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A QoS 0 message, and the peer was away or the connection broke before it arrived.
    LinkDown,
    /// It gave way to newer ones under a dropping [`Overflow`](super::Overflow) policy.
    Overflow,
    /// It does not fit in the largest frame that the peer takes.
    TooLarge,
    /// It arrived, and the peer did not hand it on.
    RefusedByPeer(RefusedReason),
    /// The link was deleted with the message in its outbox.
    LinkDeleted,
}

/// Counts per [`RefusedReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// The topic matches none of the receiver's link topics.
    pub not_imported: u64,
    /// The receiving host refused it.
    pub host: u64,
    /// It expired in the receiver's hands.
    pub expired: u64,
    /// The receiver could not decode it.
    pub malformed: u64,
}

impl Refusals {
    /// Refused for any reason.
    pub fn total(&self) -> u64 {
        self.not_imported + self.host + self.expired + self.malformed
    }

    pub(super) fn count(&mut self, reason: RefusedReason) {
        *match reason {
            RefusedReason::NotImported => &mut self.not_imported,
            RefusedReason::Host => &mut self.host,
            RefusedReason::Expired => &mut self.expired,
            RefusedReason::Malformed => &mut self.malformed,
        } += 1;
    }
}

/// Counts per [`DropReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// [`DropReason::LinkDown`].
    pub link_down: u64,
    /// [`DropReason::Overflow`].
    pub overflow: u64,
    /// [`DropReason::TooLarge`].
    pub too_large: u64,
    /// [`DropReason::RefusedByPeer`].
    pub refused_by_peer: Refusals,
    /// [`DropReason::LinkDeleted`].
    pub link_deleted: u64,
}

impl Dropped {
    /// Dropped for any reason.
    pub fn total(&self) -> u64 {
        self.link_down + self.overflow + self.too_large + self.refused_by_peer.total() + self.link_deleted
    }

    fn count(&mut self, reason: DropReason) {
        match reason {
            DropReason::LinkDown => self.link_down += 1,
            DropReason::Overflow => self.overflow += 1,
            DropReason::TooLarge => self.too_large += 1,
            DropReason::RefusedByPeer(reason) => self.refused_by_peer.count(reason),
            DropReason::LinkDeleted => self.link_deleted += 1,
        }
    }
}

/// What became of the messages that entered the outbox of a link. In messages, since the link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendLedger {
    /// Entered the outbox.
    pub accepted: u64,
    /// Acknowledged by the peer: its host took it.
    pub delivered: u64,
    /// Expired in the outbox.
    pub expired: u64,
    /// Dropped, by reason.
    pub dropped: Dropped,
    /// In the outbox now, sent or not.
    pub queued: u64,
    /// Of those, sent and not yet acknowledged.
    pub in_flight: u64,
    /// Refused at the door: never accepted, not part of the balance.
    pub refused: u64,
}

impl SendLedger {
    /// Whether every accepted message is in exactly one place:
    /// `accepted = delivered + expired + dropped + queued`.
    pub fn balance(&self) -> bool {
        self.accepted == self.delivered + self.expired + self.dropped.total() + self.queued
            && self.in_flight <= self.queued
    }

    pub(super) fn accept(&mut self) {
        self.accepted += 1;
        self.queued += 1;
    }

    pub(super) fn deliver(&mut self) {
        self.delivered += 1;
        self.queued -= 1;
    }

    pub(super) fn expire(&mut self) {
        self.expired += 1;
        self.queued -= 1;
    }

    pub(super) fn drop(&mut self, reason: DropReason) {
        self.dropped.count(reason);
        self.queued -= 1;
    }
}

/// What became of the messages that a peer sent. In messages, since the link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiveLedger {
    /// Arrived for the first time.
    pub received: u64,
    /// Of those, taken by the host.
    pub delivered: u64,
    /// Of those, not handed on, by reason.
    pub refused: Refusals,
    /// Of those, in the host's hands now.
    pub pending: u64,
    /// Arrived again and were dropped; not part of `received`.
    pub duplicates: u64,
    /// Places that the peer skipped: expired or dropped there.
    pub skipped: u64,
    /// Places that the peer takes for acknowledged and that never arrived here: this side lost its memory of them.
    pub lost_by_rollback: u64,
    /// Refusals that the peer may never learn of, because there were too many; it counts them as delivered.
    pub refusals_forgotten: u64,
}

impl ReceiveLedger {
    /// Whether every received message is in exactly one place: `received = delivered + refused + pending`.
    pub fn balance(&self) -> bool {
        self.received == self.delivered + self.refused.total() + self.pending
    }
}
