/// What became of the messages that were dropped after they had been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// QoS 0 while the peer was away, or on its way when the connection broke.
    pub link_down: u64,
    /// To make room, by the overflow policy.
    pub overflow: u64,
    /// Larger than the peer takes.
    pub too_large: u64,
    /// The peer did not want it: its topic matches none of the peer's link topics.
    pub not_imported: u64,
    /// The peer's host refused it.
    pub refused_by_host: u64,
    /// The peer could not decode it.
    pub malformed: u64,
    /// A datagram that did not arrive, or not in time.
    pub on_the_way: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { link_down, overflow, too_large, not_imported, refused_by_host, malformed, on_the_way } = self;
        link_down + overflow + too_large + not_imported + refused_by_host + malformed + on_the_way
    }
}

/// The conservation ledger of messages to one peer: every accepted message is in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Let in by a publish, or taken over from another node of the same cluster.
    pub accepted: u64,
    /// Taken by the peer's host.
    pub delivered: u64,
    /// Expired, here or at the peer.
    pub expired: u64,
    /// Dropped, by reason.
    pub dropped: Dropped,
    /// Handed to another node of the same cluster before they were sent.
    pub moved: u64,
    /// Waiting, sent or not.
    pub queued: u64,
    /// Of those, sent and not acknowledged.
    pub in_flight: u64,
    /// Publishes that were not accepted because the queue was full; not part of the balance.
    pub refused_full: u64,
}

impl Ledger {
    /// Whether accepted = delivered + expired + dropped + moved + queued.
    pub fn balances(&self) -> bool {
        self.accepted == self.delivered + self.expired + self.dropped.total() + self.moved + self.queued
    }
}

/// The ledger of messages from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceivedLedger {
    /// New messages that arrived.
    pub received: u64,
    /// Taken by the host.
    pub delivered: u64,
    /// Not handed on, or refused by the host.
    pub refused: u64,
    /// In the host's hands when the peer began a new life: their result no longer matters to anyone.
    pub abandoned: u64,
    /// In the host's hands.
    pub pending: u64,
    /// Came again and were dropped.
    pub duplicates: u64,
    /// Datagrams that came after they had been given up, and were dropped.
    pub late: u64,
    /// Places whose message the peer said would not come.
    pub skipped: u64,
    /// Places that the peer counts as acknowledged and that this side never saw: its state is older than it was.
    pub lost_by_rollback: u64,
}

impl ReceivedLedger {
    /// Whether received = delivered + refused + abandoned + pending.
    pub fn balances(&self) -> bool {
        self.received == self.delivered + self.refused + self.abandoned + self.pending
    }
}
