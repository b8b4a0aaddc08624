//! What delivery costs per message, both ends together, without network and host.

#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use link_core::{
    delivery::{Budget, Inbox, Outbox, Overflow, cost},
    message::QoS,
    wire::{Frame, Limits, decode},
};

const LANES: u8 = 8;
const WINDOW: usize = 4 << 20;
const FRAME: usize = 1 << 20;
const BATCH: usize = 64 * 1024;
const MESSAGES: u64 = 1024;
const NOW: Duration = Duration::from_secs(1);

fn pair(limit: u64, overflow: Overflow) -> (Arc<Budget>, Outbox, Inbox) {
    let budget = Arc::new(Budget::new(limit, overflow));
    let (mut outbox, mut inbox) = (Outbox::new(LANES, budget.clone()), Inbox::new(WINDOW));
    inbox.restart(&outbox.bases());
    assert_eq!(outbox.resume(None, WINDOW, FRAME), Ok(()));
    (budget, outbox, inbox)
}

fn push(budget: &Budget, outbox: &mut Outbox, lane: u8, body: &Bytes) {
    assert!(budget.try_reserve(cost(body.len())));
    outbox.push(lane, QoS::AtLeastOnce, body.clone(), None, NOW, true);
}

fn delivery(c: &mut Criterion) {
    let body = Bytes::from(vec![7; 256]);
    let mut group = c.benchmark_group("delivery");
    group.throughput(Throughput::Elements(MESSAGES));
    let (budget, mut outbox, mut inbox) = pair(64 << 20, Overflow::Refuse);
    let mut places = Vec::new();
    group.bench_function("push, encode, decode, receive, finish, ack", |b| {
        b.iter(|| {
            for n in 0..MESSAGES {
                push(&budget, &mut outbox, (n % u64::from(LANES)) as u8, &body);
            }
            while let Some((_, frame)) = outbox.fill(NOW, BATCH, |_| true) {
                let Ok(Frame::Batch(batch)) = decode(black_box(frame), &Limits::default()) else { return };
                let received = inbox.receive(batch, |message| places.push((message.lane, message.seq)));
                assert_eq!(received, Ok(()));
                for (lane, seq) in places.drain(..) {
                    inbox.finish(lane, seq, None);
                }
                for ack in inbox.acks() {
                    assert!(outbox.ack(&ack).is_ok());
                }
            }
        });
    });
    group.finish();
}

/// The peer's window is full, and publishers go on: each message pushes the oldest unsent one out.
fn overflow(c: &mut Criterion) {
    let body = Bytes::from(vec![7; 64]);
    let mut group = c.benchmark_group("overflow");
    group.throughput(Throughput::Elements(1));
    let (budget, mut outbox, _) = pair(16 << 20, Overflow::DropOldest);
    while budget.used() + cost(body.len()) <= 8 << 20 {
        push(&budget, &mut outbox, 0, &body);
    }
    while outbox.fill(NOW, BATCH, |_| true).is_some() {}
    while budget.used() + cost(body.len()) <= 16 << 20 {
        push(&budget, &mut outbox, 0, &body);
    }
    group.bench_function("push over the limit", |b| b.iter(|| push(&budget, &mut outbox, 0, &body)));
    group.finish();
}

criterion_group!(benches, delivery, overflow);
criterion_main!(benches);
