//! What sketches cost: a change, a pass over the ids for later cells, and finding the difference.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use link_core::routes::{Cell, Cells, Decoder, Estimator, MAINTAINED_CELLS, RouteId, RouteKey, Sketch};

const KEY: RouteKey = RouteKey([7; 16]);
const FILTER: &str = "site/region-042/dev-0004242/+";

/// Ids of so many filters.
fn ids(count: usize) -> Vec<RouteId> {
    (0..count).map(|number| RouteId::from_hash(KEY.hash(&format!("dev-{number}/+")))).collect()
}

fn changes(c: &mut Criterion) {
    let all = ids(4_096);
    let mut next = all.iter().copied().cycle();
    let mut sketch = Sketch::new(&KEY);
    let mut estimator = Estimator::new();
    c.bench_function("sketch/hash", |b| b.iter(|| KEY.hash(black_box(FILTER))));
    c.bench_function("sketch/toggle", |b| b.iter(|| next.next().map(|id| sketch.toggle(id))));
    c.bench_function("sketch/estimator_enter", |b| b.iter(|| next.next().map(|id| estimator.enter(id))));
    let none = Estimator::new();
    all.iter().for_each(|id| estimator.enter(*id));
    c.bench_function("sketch/estimate", |b| b.iter(|| black_box(&estimator).estimate(&none)));
}

fn passes(c: &mut Criterion) {
    let all = ids(100_000);
    let mut group = c.benchmark_group("sketch/pass");
    group.throughput(Throughput::Elements(all.len() as u64)).sample_size(10);
    let epochs = [0, MAINTAINED_CELLS, MAINTAINED_CELLS * 4, MAINTAINED_CELLS * 16, MAINTAINED_CELLS * 64];
    for (epoch, borders) in epochs.windows(2).enumerate() {
        let range = borders[0]..borders[1];
        group.bench_function(format!("epoch_{epoch}"), |b| {
            b.iter(|| Cells::build(&KEY, range.clone(), all.iter().copied()));
        });
    }
    group.finish();
}

fn peeling(c: &mut Criterion) {
    let mut group = c.benchmark_group("sketch/peel");
    for (differences, cells) in [(10, 64), (1_000, 1_600), (100_000, 140_000)] {
        let cells = Cells::build(&KEY, 0..cells, ids(differences));
        let zero = vec![Cell::default(); cells.as_slice().len()];
        group.throughput(Throughput::Elements(differences as u64)).sample_size(10);
        group.bench_function(differences.to_string(), |b| {
            b.iter(|| {
                let mut decoder = Decoder::new(&KEY);
                assert_eq!(decoder.extend(cells.as_slice(), &zero), Ok(()));
                decoder.difference(|_| true)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, changes, passes, peeling);
criterion_main!(benches);
