//! What a publish and a subscription cost before the index is asked: parsing, and matching one filter.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use link_core::topic::{Topic, TopicFilter};

const TOPIC: &str = "site/region-042/dev-0004242/temperature";

fn topics(c: &mut Criterion) {
    let filter = TopicFilter::new("site/+/dev-0004242/#").unwrap_or_else(|error| unreachable!("{error}"));
    let topic = Topic::new(TOPIC).unwrap_or_else(|error| unreachable!("{error}"));
    c.bench_function("topic/check", |b| b.iter(|| Topic::check(black_box(TOPIC))));
    c.bench_function("topic/parse", |b| b.iter(|| TopicFilter::new(black_box(filter.as_byte_string().clone()))));
    c.bench_function("topic/matches", |b| b.iter(|| black_box(&filter).matches(black_box(&topic))));
}

criterion_group!(benches, topics);
criterion_main!(benches);
