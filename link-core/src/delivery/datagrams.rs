//! Messages of QoS 0 that have no place in a lane: each is sent once, on its own, and may be lost on the way.
//!
//! ```text
//!  sender       1  2  3  4  5  6  7           numbers, of one connection
//!  receiver     1     3  4     7              2, 5 and 6 may still come
//!  heartbeat    "up to 7", so mark = 7
//!  receiver     1     3  4  5  7
//!  heartbeat    settled = 7: five delivered, two lost; 2 and 6 are too late now
//! ```
//!
//! The receiver settles numbers in the order of its own heartbeats: what has not come one heartbeat after the peer's
//! heartbeat, or a higher number, has told of it is given up, on both sides alike. So the two ledgers agree on each message, and none is handed on after the sender has
//! counted it as lost.

use std::collections::VecDeque;

use super::{OriginWindow, Seen};
use crate::{
    node::ConnectionId,
    wire::{DatagramAck, RefusedReason},
};

/// The sending end, for one connection.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The highest number given.
    pub(super) last: u64,
    /// What the receiver has said of them.
    pub(super) told: DatagramAck,
}

impl Sent {
    /// How many of them the receiver has not spoken of.
    pub(super) fn open(&self) -> u64 {
        self.last - self.told.settled
    }

    /// What `ack` adds to what was told before; `None` if it can't be.
    pub(super) fn news(&self, ack: &DatagramAck) -> Option<DatagramAck> {
        let told = &self.told;
        let news = DatagramAck {
            settled: ack.settled.checked_sub(told.settled)?,
            delivered: ack.delivered.checked_sub(told.delivered)?,
            not_imported: ack.not_imported.checked_sub(told.not_imported)?,
            refused_by_host: ack.refused_by_host.checked_sub(told.refused_by_host)?,
            expired: ack.expired.checked_sub(told.expired)?,
            malformed: ack.malformed.checked_sub(told.malformed)?,
        };
        (ack.settled <= self.last && news.arrived()? <= news.settled).then_some(news)
    }
}

/// The receiving end. What the host holds is kept across connections; the rest begins anew with each.
#[derive(Debug)]
pub(super) struct Arrived {
    connection: Option<ConnectionId>,
    seen: OriginWindow,
    highest: u64,
    /// The highest number at the last heartbeat.
    mark: u64,
    /// All up to `settled`, and what became of those above it: up to the mark, and beyond.
    done: DatagramAck,
    recent: [DatagramAck; 2],
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    connection: ConnectionId,
    number: u64,
    bytes: usize,
}

impl Arrived {
    pub(super) fn new() -> Self {
        Self {
            connection: None,
            seen: OriginWindow::new(),
            highest: 0,
            mark: 0,
            done: DatagramAck::default(),
            recent: Default::default(),
            pending: VecDeque::new(),
        }
    }

    /// Takes a number of a connection; [`Seen::Forgotten`] if it comes too late.
    pub(super) fn take(&mut self, connection: ConnectionId, number: u64) -> Seen {
        self.follow(connection);
        if number <= self.done.settled {
            return Seen::Forgotten;
        }
        let seen = self.seen.see(number);
        if seen == Seen::New {
            self.highest = self.highest.max(number);
        }
        seen
    }

    /// The sender has sent all up to this number.
    pub(super) fn sent(&mut self, connection: ConnectionId, last: u64) {
        if last > 0 {
            self.follow(connection);
            self.highest = self.highest.max(last);
        }
    }

    fn follow(&mut self, connection: ConnectionId) {
        if self.connection != Some(connection) {
            let pending = std::mem::take(&mut self.pending);
            *self = Self { connection: Some(connection), pending, ..Self::new() };
        }
    }

    /// One that is new goes to the host.
    pub(super) fn hand_on(&mut self, connection: ConnectionId, number: u64, bytes: usize) {
        self.pending.push_back(Pending { connection, number, bytes });
    }

    /// The host is done with one. Gives its bytes; `None` if it is not known.
    pub(super) fn finish(
        &mut self,
        connection: ConnectionId,
        number: u64,
        refused: Option<RefusedReason>,
    ) -> Option<usize> {
        let of = |pending: &Pending| pending.connection == connection && pending.number == number;
        let at = self.pending.iter().position(of)?;
        let pending = self.pending.remove(at)?;
        self.done_with(connection, number, refused);
        Some(pending.bytes)
    }

    /// One has its place in the counts.
    pub(super) fn done_with(&mut self, connection: ConnectionId, number: u64, refused: Option<RefusedReason>) {
        if self.connection == Some(connection) {
            let [old, new] = &mut self.recent;
            let counts = if number <= self.mark { old } else { new };
            *match refused {
                None => &mut counts.delivered,
                Some(RefusedReason::NotImported) => &mut counts.not_imported,
                Some(RefusedReason::Host) => &mut counts.refused_by_host,
                Some(RefusedReason::Expired) => &mut counts.expired,
                Some(RefusedReason::Malformed) => &mut counts.malformed,
            } += 1;
        }
    }

    /// How many are in the host's hands.
    pub(super) fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// At a heartbeat: settles what is due, and gives what is to be said of it.
    pub(super) fn settle(&mut self, connection: ConnectionId) -> Option<DatagramAck> {
        let waits = |pending: &Pending| pending.connection == connection && pending.number <= self.mark;
        if self.connection != Some(connection) || self.pending.iter().any(waits) {
            return None;
        }
        let news = self.mark > self.done.settled;
        let [old, new] = std::mem::take(&mut self.recent);
        self.done.add(&old);
        self.done.settled = self.mark;
        self.recent = [new, DatagramAck::default()];
        self.mark = self.highest;
        news.then_some(self.done)
    }
}

impl DatagramAck {
    /// All that have arrived; `None` for counts that no link can reach.
    fn arrived(&self) -> Option<u64> {
        let Self { settled: _, delivered, not_imported, refused_by_host, expired, malformed } = *self;
        [not_imported, refused_by_host, expired, malformed].into_iter().try_fold(delivered, u64::checked_add)
    }

    /// Those that have not.
    pub(super) fn lost(&self) -> u64 {
        self.settled.saturating_sub(self.arrived().unwrap_or(u64::MAX))
    }

    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.not_imported += other.not_imported;
        self.refused_by_host += other.refused_by_host;
        self.expired += other.expired;
        self.malformed += other.malformed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ConnectionId = ConnectionId(1);

    fn take(arrived: &mut Arrived, connection: ConnectionId, number: u64, bytes: usize) -> Seen {
        let seen = arrived.take(connection, number);
        if seen == Seen::New {
            arrived.hand_on(connection, number, bytes);
        }
        seen
    }

    #[test]
    fn what_has_not_come_after_two_heartbeats_is_lost_on_both_sides() {
        let mut arrived = Arrived::new();
        for number in [1, 3, 4, 7] {
            assert_eq!(take(&mut arrived, C, number, 10), Seen::New);
            assert_eq!(arrived.finish(C, number, None), Some(10));
        }
        assert_eq!(arrived.settle(C), None);
        assert_eq!(take(&mut arrived, C, 5, 10), Seen::New);
        // While the host has one of them nothing can be said.
        assert_eq!(arrived.settle(C), None);
        assert_eq!(arrived.finish(C, 5, Some(RefusedReason::Host)), Some(10));
        assert_eq!(take(&mut arrived, C, 8, 10), Seen::New);
        arrived.sent(C, 9);
        let ack = arrived.settle(C).unwrap();
        assert_eq!(ack, DatagramAck { settled: 7, delivered: 4, refused_by_host: 1, ..DatagramAck::default() });
        assert_eq!(ack.lost(), 2);
        assert_eq!([2, 6, 7].map(|number| take(&mut arrived, C, number, 10)), [Seen::Forgotten; 3]);
        assert_eq!(take(&mut arrived, C, 8, 10), Seen::Again);

        // The last one is lost, which nothing but the heartbeat tells.
        arrived.finish(C, 8, None);
        let last = arrived.settle(C).unwrap();
        assert_eq!((last.settled, last.delivered, last.lost()), (9, 5, 3));

        let mut sent = Sent { last: 8, ..Sent::default() };
        assert_eq!(sent.news(&ack), Some(ack));
        sent.told = ack;
        assert_eq!(sent.open(), 1);
        assert_eq!(sent.news(&ack).map(|news| (news.settled, news.lost())), Some((0, 0)));
    }

    #[test]
    fn another_connection_begins_anew_and_what_the_host_holds_stays() {
        let mut arrived = Arrived::new();
        take(&mut arrived, C, 1, 10);
        let next = ConnectionId(2);
        assert_eq!(take(&mut arrived, next, 1, 20), Seen::New);
        assert_eq!(arrived.pending(), 2);
        assert_eq!(arrived.finish(C, 1, None), Some(10));
        assert_eq!(arrived.finish(C, 1, None), None);
        assert_eq!(arrived.settle(C), None);
        assert_eq!(arrived.finish(next, 1, None), Some(20));
        arrived.settle(next);
        assert_eq!(arrived.settle(next), Some(DatagramAck { settled: 1, delivered: 1, ..DatagramAck::default() }));
    }

    #[test]
    fn a_receiver_can_not_settle_what_was_not_sent_nor_take_back_what_it_said() {
        let told = DatagramAck { settled: 4, delivered: 2, malformed: 1, ..DatagramAck::default() };
        let sent = Sent { last: 10, told };
        let lies = [
            DatagramAck { settled: 11, ..told },
            DatagramAck { settled: 3, ..told },
            DatagramAck { delivered: 1, ..told },
            DatagramAck { malformed: 0, ..told },
            DatagramAck { settled: 5, delivered: 4, ..told },
            DatagramAck { settled: 10, delivered: u64::MAX, expired: u64::MAX, ..told },
        ];
        assert_eq!(lies.map(|lie| sent.news(&lie)), [None; 6]);
    }
}
