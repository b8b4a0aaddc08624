//! What a publish and a subscription cost: parsing, matching one filter, asking an index.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use link_core::{
    index::FilterIndex,
    topic::{Topic, TopicFilter},
};

const TOPIC: &str = "site/region-042/dev-0004242/temperature";

fn topics(c: &mut Criterion) {
    let filter = TopicFilter::new("site/+/dev-0004242/#").unwrap_or_else(|error| unreachable!("{error}"));
    let topic = Topic::new(TOPIC).unwrap_or_else(|error| unreachable!("{error}"));
    c.bench_function("topic/check", |b| b.iter(|| Topic::check(black_box(TOPIC))));
    c.bench_function("topic/parse", |b| b.iter(|| TopicFilter::new(black_box(filter.as_byte_string().clone()))));
    c.bench_function("topic/matches", |b| b.iter(|| black_box(&filter).matches(black_box(&topic))));
}

fn index(c: &mut Criterion) {
    let mut index = FilterIndex::new(1);
    let reader = index.reader();
    c.bench_function("index/empty", |b| b.iter(|| reader.is_match(black_box(TOPIC))));

    for n in 0..10_000_u32 {
        let end = if n % 10 == 0 { "#" } else { "temperature" };
        let text = format!("site/region-{:03}/dev-{n:07}/{end}", n % 100);
        if let Ok(filter) = TopicFilter::new(text) {
            index.insert(&filter, n);
        }
    }
    index.publish();
    assert!(reader.is_match("site/region-042/dev-0004242/temperature"));
    c.bench_function("index/miss in 10,000", |b| {
        b.iter(|| reader.is_match(black_box("site/region-042/dev-0004243/temperature")))
    });
    c.bench_function("index/hit in 10,000", |b| b.iter(|| reader.is_match(black_box(TOPIC))));
}

criterion_group!(benches, topics, index);
criterion_main!(benches);
