//! Cost of the hot path: batches of 200 messages of 256 bytes, and the bodies of the messages; and of a whole route set.
#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]
#![allow(clippy::unwrap_used, reason = "a bench has no one to report to")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use link_core::{
    message::{Message, Properties, QoS},
    topic::{Topic, TopicFilter},
    wire::{
        BatchReader, BatchWriter, Frame, Limits, RoutePosition, RouteSnapshot, decode, decode_message, encode,
        encode_message,
    },
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

/// 100,000 filters of 31 bytes in parts of 2,000, as they go over a link.
fn routes(c: &mut Criterion) {
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 24
    };
    let mut filters: Vec<TopicFilter> = (0..100_000)
        .map(|_| {
            let (site, device) = (next() % 20_000, next());
            TopicFilter::new(format!("t{:04}/s{site}/dev/{device:010x}/temp", site % 1_000)).unwrap()
        })
        .collect();
    filters.sort();
    let parts: Vec<Frame> = filters
        .chunks(2_000)
        .map(|part| RouteSnapshot { to: RoutePosition::default(), part: 0, last: false, filters: part.to_vec() })
        .map(Frame::RouteSnapshot)
        .collect();
    let frames: Vec<Bytes> = parts.iter().map(encode).collect();
    let limits = Limits::default();
    let mut group = c.benchmark_group("100,000 routes");
    group.sample_size(20).throughput(Throughput::Elements(100_000));
    group
        .bench_function("encode", |b| b.iter(|| parts.iter().map(|part| encode(black_box(part)).len()).sum::<usize>()));
    group.bench_function("decode", |b| {
        b.iter(|| frames.iter().for_each(|frame| drop(black_box(decode(frame.clone(), &limits).unwrap()))))
    });
    group.finish();
}

criterion_group!(benches, batches, messages, routes);
criterion_main!(benches);
