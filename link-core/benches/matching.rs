//! The topic index under the workloads of `workloads/`, at sizes for a quick look. The crate index-bench runs them in
//! full, beside other crates.
#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench has no one to report to")]

#[allow(dead_code, unused_imports, reason = "index-bench uses the rest of it")]
mod workloads;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use link_core::{
    index::{FilterIndex, Matches},
    topic::TopicFilter,
};
use workloads::{Texts, Workload, stranger, w1, w2, w3, w4};

const SEED: u64 = 1;
/// Topics of one iteration: enough of them that they don't stay in the nearest cache.
const TOPICS: usize = 4_096;
/// Topics that are matched at once.
const BATCH: usize = 16;

fn filters(texts: &Texts) -> Vec<(TopicFilter, u32)> {
    texts.iter().map(|text| TopicFilter::new(text).expect("a valid filter")).zip(0..).collect()
}

fn build(filters: &[(TopicFilter, u32)]) -> FilterIndex<u32> {
    FilterIndex::build(SEED, filters.iter().map(|(filter, value)| (filter, *value)))
}

fn matching(c: &mut Criterion) {
    let makes: [fn() -> Workload; 4] =
        [|| w1(200_000, TOPICS, 1), || w2(200_000, TOPICS, 2), || w3(50_000, TOPICS, 3), || w4(50_000, TOPICS, 4)];
    for workload in makes.map(|make| make()) {
        let reader = build(&filters(&workload.filters)).reader();
        for draw in &workload.draws {
            let topics: Vec<_> = draw.topics.iter().take(TOPICS).collect();
            let mut group = c.benchmark_group(draw.name);
            group.throughput(Throughput::Elements(TOPICS as u64));
            let mut matches = Matches::new();
            group.bench_function("single", |b| {
                b.iter(|| {
                    for topic in &topics {
                        reader.matches_into(topic, &mut matches);
                        black_box(matches.as_slice());
                    }
                });
            });
            group.bench_function("batches of 16", |b| {
                b.iter(|| {
                    for topics in topics.chunks(BATCH) {
                        reader.matches_batch(topics, &mut matches);
                        black_box(matches.as_slice());
                    }
                });
            });
            group.finish();
        }
    }
}

fn presence(c: &mut Criterion) {
    let workload = w1(200_000, 0, 1);
    let reader = build(&filters(&workload.filters)).reader();
    let nothing = FilterIndex::<u32>::new(SEED).reader();
    let (miss, hit) = (stranger(0), workload.filters.get(0));
    assert!(reader.is_match(hit) && !reader.is_match(&miss));
    let mut group = c.benchmark_group("is_match");
    group.bench_function("nothing subscribed", |b| b.iter(|| nothing.is_match(black_box(hit))));
    group.bench_function("miss in 200,000", |b| b.iter(|| reader.is_match(black_box(&miss))));
    group.bench_function("hit in 200,000", |b| b.iter(|| reader.is_match(black_box(hit))));
    group.finish();
}

fn changes(c: &mut Criterion) {
    let pairs = filters(&w2(200_000, 0, 2).filters);
    let mut group = c.benchmark_group("changes");
    // 64 removals, 64 inserts, each published.
    group.throughput(Throughput::Elements(128));
    let mut index = build(&pairs);
    let _reader = index.reader();
    let mut places = (0..pairs.len()).cycle().step_by(7_919);
    group.bench_function("remove and insert 64 of 200,000", |b| {
        b.iter_batched(
            || places.by_ref().take(64).collect::<Vec<_>>(),
            |places| {
                for &place in &places {
                    assert!(index.remove(&pairs[place].0, &pairs[place].1));
                }
                index.publish();
                for &place in &places {
                    assert!(index.insert(&pairs[place].0, pairs[place].1));
                }
                index.publish();
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(pairs.len() as u64));
    group.sample_size(10);
    group.bench_function("build of 200,000", |b| b.iter(|| build(&pairs)));
    group.finish();
}

criterion_group!(benches, matching, presence, changes);
criterion_main!(benches);
