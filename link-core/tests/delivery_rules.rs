//! The rules of delivery, one by one: what each end refuses, and what survives a lost connection, a restart of either
//! side, a full outbox and a large message.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use link_core::{
    delivery::{Budget, Inbox, InboxFault, Outbox, OutboxFault, Overflow, cost},
    message::QoS::{self, AtLeastOnce, AtMostOnce},
    wire::{Ack, BATCH_OVERHEAD, Batch, CloseCode, Entry, Frame, LaneMark, Limits, RefusedReason, decode},
};

const NOW: Duration = Duration::from_secs(1000);
const FRAME: usize = 1 << 20;
const WIDE: usize = 1 << 20;

struct Sender {
    budget: Arc<Budget>,
    outbox: Outbox,
}

impl Sender {
    fn new(lanes: u8) -> Self {
        Self::with(lanes, 1 << 20, Overflow::Refuse)
    }

    fn with(lanes: u8, limit: u64, overflow: Overflow) -> Self {
        let budget = Arc::new(Budget::new(limit, overflow));
        let mut outbox = Outbox::new(lanes, budget.clone());
        outbox.resume(None, WIDE, FRAME).unwrap();
        Self { budget, outbox }
    }

    fn push(&mut self, lane: u8, qos: QoS, body: &[u8]) {
        self.push_until(lane, qos, body, None);
    }

    fn push_until(&mut self, lane: u8, qos: QoS, body: &[u8], expires: Option<Duration>) {
        assert!(self.budget.try_reserve(cost(body.len())), "the outbox is full");
        self.outbox.push(lane, qos, Bytes::copy_from_slice(body), expires, NOW, true);
    }

    fn fill(&mut self) -> Option<Batch> {
        self.fill_at(NOW)
    }

    fn fill_at(&mut self, now: Duration) -> Option<Batch> {
        let (_, frame) = self.outbox.fill(now, 64 * 1024, |_| true)?;
        match decode(frame, &Limits::default()).unwrap() {
            Frame::Batch(batch) => Some(batch),
            other => panic!("not a batch: {other:?}"),
        }
    }

    fn check(&self) {
        assert!(self.outbox.ledger().balances(), "{:?}", self.outbox.ledger());
    }
}

fn inbox(sender: &Sender) -> Inbox {
    let mut inbox = Inbox::new(WIDE);
    inbox.restart(&sender.outbox.bases());
    inbox
}

/// Takes a batch and returns the bodies of what is new.
fn take(inbox: &mut Inbox, batch: Batch) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    inbox.receive(batch, |message| bodies.push(message.body.to_vec())).unwrap();
    bodies
}

fn mark(lane: u8, seq: u64) -> LaneMark {
    LaneMark { lane, seq }
}

fn ack(lane: u8, up_to: u64) -> Ack {
    Ack { lane, up_to, refused: Vec::new() }
}

fn message(body: &[u8]) -> Entry {
    Entry::Message { expiry: None, body: Bytes::copy_from_slice(body) }
}

/// The host holds three messages while the connection breaks and comes back twice.
#[test]
fn a_delivery_in_progress_survives_reconnects_and_is_not_repeated() {
    let mut sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    sender.push(0, AtLeastOnce, b"a");
    sender.push(0, AtMostOnce, b"b");
    sender.push(0, AtLeastOnce, b"c");
    assert_eq!(take(&mut inbox, sender.fill().unwrap()).len(), 3);
    for _ in 0..2 {
        sender.outbox.link_down();
        inbox.resume(&sender.outbox.bases());
        sender.outbox.resume(Some(&inbox.watermarks()), WIDE, FRAME).unwrap();
        assert_eq!(sender.fill(), None, "all of it is in the peer's hands");
        assert_eq!(sender.outbox.ledger().in_flight, 3, "and none is forgotten before its host has it");
    }
    for seq in 1..=3 {
        inbox.finish(0, seq, None);
    }
    assert_eq!(inbox.acks(), [ack(0, 3)]);
    sender.outbox.ack(&ack(0, 3)).unwrap();
    assert_eq!((sender.outbox.ledger().delivered, sender.budget.used()), (3, 0));
}

/// What the host holds counts in the window of the next connection too, at both ends alike.
#[test]
fn the_window_is_the_same_at_both_ends_after_a_reconnect() {
    let mut sender = Sender::new(1);
    let mut inbox = Inbox::new(100);
    inbox.restart(&sender.outbox.bases());
    sender.outbox.resume(None, 100, FRAME).unwrap();
    sender.push(0, AtMostOnce, &[1; 90]);
    take(&mut inbox, sender.fill().unwrap());
    sender.outbox.link_down();
    inbox.resume(&sender.outbox.bases());
    sender.outbox.resume(Some(&inbox.watermarks()), 100, FRAME).unwrap();
    sender.push(0, AtLeastOnce, &[2; 90]);
    assert_eq!(sender.fill(), None, "the host still holds the first");
    inbox.finish(0, 1, None);
    for ack in inbox.acks() {
        sender.outbox.ack(&ack).unwrap();
    }
    assert_eq!(take(&mut inbox, sender.fill().unwrap()).len(), 1);
}

#[test]
fn a_lost_acknowledgement_is_repeated_with_its_refusals() {
    let mut sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    for body in [b"a", b"b"] {
        sender.push(0, AtLeastOnce, body);
    }
    take(&mut inbox, sender.fill().unwrap());
    inbox.finish(0, 1, Some(RefusedReason::Host));
    inbox.finish(0, 2, None);
    let lost = inbox.acks();
    assert!(inbox.acks().is_empty(), "once per connection");
    sender.outbox.link_down();
    inbox.resume(&sender.outbox.bases());
    sender.outbox.resume(Some(&inbox.watermarks()), WIDE, FRAME).unwrap();
    let again = inbox.acks();
    assert_eq!(again, lost);
    sender.outbox.ack(&again[0]).unwrap();
    let ledger = sender.outbox.ledger();
    assert_eq!((ledger.delivered, ledger.dropped.refused_by_host, ledger.queued), (1, 1, 0));
    inbox.resume(&sender.outbox.bases());
    assert!(inbox.acks().is_empty(), "the peer knows");
}

#[test]
fn a_restarted_receiver_gets_again_what_was_not_acknowledged() {
    let mut sender = Sender::new(1);
    let mut first = inbox(&sender);
    for (qos, body) in [(AtLeastOnce, b"a"), (AtLeastOnce, b"b"), (AtMostOnce, b"c"), (AtLeastOnce, b"d")] {
        sender.push(0, qos, body);
    }
    take(&mut first, sender.fill().unwrap());
    first.finish(0, 1, None);
    for ack in first.acks() {
        sender.outbox.ack(&ack).unwrap();
    }
    // It told that it had all four, and died before its host had them.
    sender.outbox.link_down();
    sender.outbox.resume(Some(&first.watermarks()), WIDE, FRAME).unwrap();
    drop(first);
    sender.outbox.link_down();
    let mut second = inbox(&sender);
    sender.outbox.resume(None, WIDE, FRAME).unwrap();
    let batch = sender.fill().unwrap();
    assert_eq!(batch.first, 2);
    assert_eq!(batch.entries[1], Entry::Skip { count: 1 }, "QoS 0 is not sent again");
    assert_eq!(take(&mut second, batch), [b"b", b"d"]);
    assert_eq!(sender.outbox.ledger().dropped.link_down, 1);
    sender.check();
}

#[test]
fn a_restarted_sender_begins_anew() {
    let mut sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    sender.push(0, AtLeastOnce, b"a");
    take(&mut inbox, sender.fill().unwrap());
    let mut second = Sender::new(1);
    inbox.restart(&second.outbox.bases());
    second.push(0, AtLeastOnce, b"b");
    assert_eq!(take(&mut inbox, second.fill().unwrap()), [b"b"]);
    assert_eq!(inbox.ledger().abandoned, 1);
    assert!(inbox.ledger().balances());
}

#[test]
fn places_below_the_watermark_are_duplicates() {
    let sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    let batch = |first, entries| Batch { lane: 0, first, entries };
    assert_eq!(take(&mut inbox, batch(1, vec![message(b"a"), Entry::Skip { count: 2 }])), [b"a"]);
    let overlap = vec![message(b"a"), Entry::Skip { count: 3 }, message(b"b")];
    assert_eq!(take(&mut inbox, batch(1, overlap)), [b"b"]);
    assert_eq!(take(&mut inbox, batch(3, vec![message(b"x")])), [b""; 0], "a skipped place does not come back");
    assert_eq!(take(&mut inbox, batch(5, vec![message(b"b")])), [b""; 0], "nor does the last one");
    assert_eq!(take(&mut inbox, batch(1, vec![message(b"a"), Entry::Skip { count: 1 }])), [b""; 0]);
    assert_eq!(inbox.watermarks(), [mark(0, 5)], "an old skip does not take it back");
    let ledger = inbox.ledger();
    assert_eq!((ledger.received, ledger.duplicates, ledger.skipped), (2, 4, 3));
    assert!(inbox.acks().is_empty(), "the host holds the first");
    inbox.finish(0, 1, None);
    assert_eq!(inbox.acks(), [ack(0, 4)], "skips behind it are done with it");
}

#[test]
fn a_gap_is_a_fault_and_changes_nothing() {
    let sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    let fault = inbox.receive(Batch { lane: 0, first: 2, entries: vec![message(b"b")] }, |_| panic!("taken"));
    assert_eq!(fault, Err(InboxFault::Gap { lane: 0, first: 2, expected: 1 }));
    assert_eq!(fault.unwrap_err().close_code(), CloseCode::Protocol);
    assert_eq!(inbox.watermarks(), [mark(0, 0)]);
    let unknown = inbox.receive(Batch { lane: 7, first: 1, entries: vec![message(b"b")] }, |_| panic!("taken"));
    assert_eq!(unknown, Err(InboxFault::Lane(7)));
}

#[test]
fn more_than_the_window_is_a_fault_but_for_a_single_message() {
    let sender = Sender::new(1);
    let mut inbox = Inbox::new(100);
    inbox.restart(&sender.outbox.bases());
    take(&mut inbox, Batch { lane: 0, first: 1, entries: vec![message(&[1; 500])] });
    let fault = inbox.receive(Batch { lane: 0, first: 2, entries: vec![message(b"b")] }, |_| panic!("taken"));
    assert_eq!(fault, Err(InboxFault::Window { pending: 500, more: 1, window: 100 }));
}

#[test]
fn the_ends_of_the_numbers_do_no_harm() {
    let sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    let entries = vec![Entry::Skip { count: u64::MAX }, message(b"a")];
    take(&mut inbox, Batch { lane: 0, first: 1, entries });
    take(&mut inbox, Batch { lane: 0, first: 0, entries: vec![message(b"a")] });
    inbox.resume(&[mark(0, 0), mark(1, u64::MAX)]);
    assert!(inbox.ledger().balances());
}

#[test]
fn a_base_above_what_was_received_is_counted_as_lost() {
    let sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    inbox.resume(&[mark(0, 11)]);
    assert_eq!(inbox.ledger().lost_by_rollback, 10);
    assert_eq!(inbox.watermarks(), [mark(0, 10)]);
}

#[test]
fn acknowledgements_that_cannot_be_true_are_faults() {
    let mut sender = Sender::new(1);
    for body in [b"a", b"b", b"c"] {
        sender.push(0, AtLeastOnce, body);
    }
    assert_eq!(sender.outbox.ack(&ack(0, 1)), Err(OutboxFault::Unsent { lane: 0, up_to: 1, sent: 0 }));
    sender.fill().unwrap();
    assert_eq!(sender.outbox.ack(&ack(0, 4)), Err(OutboxFault::Unsent { lane: 0, up_to: 4, sent: 3 }));
    assert_eq!(sender.outbox.ack(&ack(1, 1)), Err(OutboxFault::Lane(1)));
    for refused in [vec![(3, RefusedReason::Host)], vec![(2, RefusedReason::Host), (1, RefusedReason::Host)]] {
        let fault = sender.outbox.ack(&Ack { lane: 0, up_to: 2, refused });
        assert!(matches!(fault, Err(OutboxFault::Refused { lane: 0, .. })), "{fault:?}");
    }
    assert_eq!(sender.outbox.ledger().in_flight, 3, "a fault changes nothing");
    sender.outbox.ack(&ack(0, 2)).unwrap();
    sender.outbox.ack(&ack(0, 1)).unwrap();
    assert_eq!((sender.outbox.ledger().delivered, sender.outbox.bases()), (2, vec![mark(0, 3)]));
}

#[test]
fn a_watermark_that_was_never_sent_is_a_fault() {
    let mut sender = Sender::new(2);
    sender.push(1, AtLeastOnce, b"a");
    let fault = sender.outbox.resume(Some(&[mark(0, 0), mark(1, 1)]), WIDE, FRAME);
    assert_eq!(fault, Err(OutboxFault::Unsent { lane: 1, up_to: 1, sent: 0 }));
    assert_eq!(sender.outbox.resume(Some(&[mark(2, 0)]), WIDE, FRAME), Err(OutboxFault::Lane(2)));
    sender.fill().unwrap();
    sender.outbox.resume(Some(&[mark(1, 1)]), WIDE, FRAME).unwrap();
}

/// The peer went on reading the old connection while an attempt to resume came to nothing.
#[test]
fn a_watermark_may_run_ahead_of_an_earlier_resume() {
    let mut sender = Sender::new(1);
    for body in [b"a", b"b", b"c"] {
        sender.push(0, AtLeastOnce, body);
    }
    sender.fill().unwrap();
    sender.outbox.resume(Some(&[mark(0, 1)]), WIDE, FRAME).unwrap();
    assert_eq!(sender.outbox.ledger().in_flight, 1);
    sender.outbox.resume(Some(&[mark(0, 2)]), WIDE, FRAME).unwrap();
    assert_eq!(sender.outbox.ledger().in_flight, 2);
    assert_eq!(sender.fill().unwrap().first, 3);
}

#[test]
fn expired_messages_become_one_skip_and_what_is_left_is_rounded_up() {
    let mut sender = Sender::new(1);
    let at = |millis| Some(NOW + Duration::from_millis(millis));
    for expires in [at(1), at(1), at(2), at(1001), at(1), None] {
        sender.push_until(0, AtLeastOnce, b"a", expires);
    }
    let batch = sender.fill_at(NOW + Duration::from_millis(2)).unwrap();
    let body = Bytes::from_static(b"a");
    assert_eq!(
        batch.entries,
        [
            Entry::Skip { count: 3 },
            Entry::Message { expiry: Some(1), body: body.clone() },
            Entry::Skip { count: 1 },
            Entry::Message { expiry: None, body },
        ]
    );
    assert_eq!((sender.outbox.ledger().expired, sender.budget.used()), (4, 2 * cost(1)));
    sender.check();
}

#[test]
fn a_sweep_frees_expired_messages_anywhere_in_the_queue() {
    let mut sender = Sender::new(2);
    for n in 0..1000u64 {
        let expires = (n % 10 != 0).then_some(NOW + Duration::from_secs(1));
        sender.push_until((n / 500) as u8, if n % 2 == 0 { AtLeastOnce } else { AtMostOnce }, b"a", expires);
    }
    let later = NOW + Duration::from_secs(2);
    sender.outbox.sweep(later, 100);
    assert!(sender.outbox.ledger().expired <= 100, "no more than asked for");
    for _ in 0..20 {
        sender.outbox.sweep(later, 100);
    }
    assert_eq!((sender.outbox.ledger().expired, sender.budget.used()), (900, 100 * cost(1)));
    sender.check();
    let mut left = 0;
    while let Some(batch) = sender.fill_at(later) {
        left += batch.entries.iter().filter(|entry| matches!(entry, Entry::Message { .. })).count();
    }
    assert_eq!(left, 100);
}

#[test]
fn qos_0_is_not_kept_for_a_peer_that_is_away() {
    let mut sender = Sender::new(1);
    sender.push(0, AtMostOnce, b"a");
    sender.push(0, AtLeastOnce, b"b");
    sender.outbox.link_down();
    assert!(sender.budget.try_reserve(cost(1)));
    sender.outbox.push(0, AtMostOnce, Bytes::from_static(b"c"), None, NOW, false);
    assert_eq!((sender.outbox.ledger().dropped.link_down, sender.budget.used()), (2, cost(1)));
    sender.outbox.resume(None, WIDE, FRAME).unwrap();
    assert_eq!(sender.fill().unwrap().entries, [Entry::Skip { count: 1 }, message(b"b")]);
    sender.check();
}

#[test]
fn dropping_takes_the_oldest_that_was_not_sent() {
    let limit = 4 * cost(1);
    let mut sender = Sender::with(1, limit, Overflow::DropOldest);
    sender.push(0, AtLeastOnce, b"a");
    sender.fill().unwrap();
    for body in [b"b", b"c", b"d", b"e", b"f"] {
        sender.push(0, AtLeastOnce, body);
        assert!(sender.budget.used() <= limit);
    }
    assert_eq!(sender.fill().unwrap().entries, [Entry::Skip { count: 2 }, message(b"d"), message(b"e"), message(b"f")]);
    assert_eq!(sender.outbox.ledger().dropped.overflow, 2);
    assert!(!sender.budget.try_reserve(cost(1)), "all is in flight: nothing can be dropped");
    sender.check();
}

#[test]
fn dropping_qos_0_never_costs_a_qos_1_message() {
    let mut sender = Sender::with(1, 3 * cost(1), Overflow::DropOldestQos0);
    for (qos, body) in [(AtLeastOnce, b"a"), (AtMostOnce, b"b"), (AtLeastOnce, b"c"), (AtLeastOnce, b"d")] {
        sender.push(0, qos, body);
    }
    assert!(!sender.budget.try_reserve(cost(1)), "no QoS 0 is left");
    let entries = [message(b"a"), Entry::Skip { count: 1 }, message(b"c"), message(b"d")];
    assert_eq!(sender.fill().unwrap().entries, entries);
    sender.check();
}

#[test]
fn lanes_take_turns_and_batches_are_bounded() {
    let mut sender = Sender::with(3, 1 << 22, Overflow::Refuse);
    for _ in 0..1500 {
        sender.push(0, AtLeastOnce, &[0; 200]);
        sender.push(2, AtLeastOnce, &[2; 200]);
    }
    let lanes: Vec<u8> = (0..4).map(|_| sender.fill().unwrap().lane).collect();
    assert_eq!(lanes, [0, 2, 0, 2]);
    let batch = sender.fill().unwrap();
    assert!((200..=64 * 1024 / 200).contains(&batch.entries.len()), "{}", batch.entries.len());
}

#[test]
fn the_window_is_used_to_the_last_byte_and_no_further() {
    let mut sender = Sender::new(1);
    sender.outbox.resume(None, 100, FRAME).unwrap();
    for length in [50, 50, 1] {
        sender.push(0, AtLeastOnce, &vec![1; length]);
    }
    assert_eq!(sender.fill().unwrap().entries.len(), 2);
    assert_eq!(sender.fill(), None);
    sender.outbox.ack(&ack(0, 1)).unwrap();
    sender.push(0, AtLeastOnce, &[1; 50]);
    assert_eq!(sender.fill().unwrap().entries.len(), 1, "50 + 1 + 50 is over it");
}

/// Without its turn kept, small messages of another lane would take every byte of the window that comes free.
#[test]
fn a_large_message_is_not_overtaken_for_ever() {
    let mut sender = Sender::new(2);
    sender.outbox.resume(None, 1000, FRAME).unwrap();
    for _ in 0..200 {
        sender.push(0, AtLeastOnce, &[0; 100]);
    }
    sender.push(1, AtLeastOnce, &[1; 950]);
    let mut settled = 0;
    for _ in 0..30 {
        while let Some(batch) = sender.fill() {
            if batch.lane == 1 {
                assert!(settled <= 20, "it waited for {settled} others");
                return;
            }
        }
        settled += 1;
        sender.outbox.ack(&ack(0, settled)).unwrap();
    }
    panic!("it never had its turn");
}

#[test]
fn a_message_larger_than_the_frames_of_the_peer_is_dropped() {
    let mut sender = Sender::new(1);
    sender.outbox.resume(None, WIDE, 1000).unwrap();
    let most = 1000 - BATCH_OVERHEAD;
    sender.push(0, AtLeastOnce, &vec![1; most + 1]);
    sender.push(0, AtLeastOnce, &vec![2; most]);
    let mut inbox = inbox(&sender);
    let (mut taken, mut batches) = (Vec::new(), 0);
    while let Some((_, frame)) = sender.outbox.fill(NOW, 64 * 1024, |_| true) {
        assert!(frame.len() <= 1000);
        let Frame::Batch(batch) = decode(frame, &Limits::default()).unwrap() else { panic!("not a batch") };
        taken.extend(take(&mut inbox, batch));
        batches += 1;
    }
    assert_eq!(taken, [vec![2; most]]);
    assert_eq!(batches, 2, "the skip before it went alone, to be sure");
    assert_eq!(sender.outbox.ledger().dropped.too_large, 1);
}

#[test]
fn many_refusals_come_in_several_acknowledgements() {
    let mut sender = Sender::new(1);
    let mut inbox = inbox(&sender);
    for _ in 0..1000 {
        sender.push(0, AtLeastOnce, b"a");
    }
    while let Some(batch) = sender.fill() {
        take(&mut inbox, batch);
    }
    // Out of order: the first one is done last.
    for seq in (1..=1000).rev() {
        assert!(inbox.acks().is_empty());
        inbox.finish(0, seq, Some(RefusedReason::NotImported));
    }
    let acks = inbox.acks();
    assert_eq!(acks.iter().map(|ack| ack.up_to).collect::<Vec<_>>(), [256, 512, 768, 1000]);
    for ack in &acks {
        sender.outbox.ack(ack).unwrap();
    }
    assert_eq!((sender.outbox.ledger().dropped.not_imported, sender.budget.used()), (1000, 0));
    sender.check();
}
