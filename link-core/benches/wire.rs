//! Cost of the hot path: batches of 200 messages of 256 bytes, and the bodies of the messages.
#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]
#![allow(clippy::unwrap_used, reason = "a bench has no one to report to")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use link_core::{
    message::{Message, Properties, QoS},
    topic::Topic,
    wire::{BatchReader, BatchWriter, Limits, decode, decode_message, encode_message},
};

const MESSAGES: u64 = 200;

fn message(properties: Properties) -> Message {
    Message {
        topic: Topic::new("fleet/site-17/device-4711/temp").unwrap(),
        payload: Bytes::from(vec![7; 256]),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties,
    }
}

fn batch(body: &[u8]) -> Bytes {
    let mut writer = BatchWriter::new(3, 1_000_000, 64 * 1024);
    for _ in 0..MESSAGES {
        writer.message(None, body);
    }
    writer.finish()
}

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of 200 x 256 B");
    group.throughput(Throughput::Elements(MESSAGES));
    let body = vec![7; 256];
    group.bench_function("memcpy alone", |b| {
        b.iter(|| {
            let mut out = Vec::with_capacity(64 * 1024);
            for _ in 0..MESSAGES {
                out.extend_from_slice(black_box(&body));
            }
            out
        })
    });
    group.bench_function("encode", |b| b.iter(|| batch(black_box(&body))));
    let frame = batch(&body);
    let limits = Limits::default();
    group.bench_function("decode to a frame", |b| b.iter(|| decode(black_box(frame.clone()), &limits).unwrap()));
    group.bench_function("decode by the reader", |b| {
        b.iter(|| {
            for entry in BatchReader::new(black_box(frame.clone()), &limits).unwrap() {
                black_box(entry.unwrap());
            }
        })
    });
    let frame = batch(&encode_message(&message(Properties::default())));
    group.bench_function("decode by the reader, and the messages", |b| {
        b.iter(|| {
            for entry in BatchReader::new(black_box(frame.clone()), &limits).unwrap() {
                if let link_core::wire::Entry::Message { expiry, body } = entry.unwrap() {
                    black_box(decode_message(body, expiry, &limits).unwrap());
                }
            }
        })
    });
    group.finish();
}

fn messages(c: &mut Criterion) {
    let limits = Limits::default();
    let rich = Properties {
        payload_is_utf8: Some(true),
        content_type: Some("application/json".into()),
        user: vec![("trace".into(), "0123456789abcdef".into())],
        ..Properties::default()
    };
    for (name, message) in [("plain", message(Properties::default())), ("with properties", message(rich))] {
        let mut group = c.benchmark_group(format!("message of 256 B, {name}"));
        group.bench_function("encode", |b| b.iter(|| encode_message(black_box(&message))));
        let body = encode_message(&message);
        // A body that comes off a link is shared already.
        group.bench_function("decode", |b| {
            b.iter_batched(|| body.clone(), |body| decode_message(body, None, &limits).unwrap(), BatchSize::SmallInput)
        });
        group.finish();
    }
}

criterion_group!(benches, batches, messages);
criterion_main!(benches);
