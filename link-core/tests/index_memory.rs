//! What a topic index takes on the heap: for the pairs that are in it, never for those that were.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what its functions call as well"
)]

mod index_engines;

use allocation_counter::measure;
use index_engines::{Engine, Oracle, Pair, Random, filter, sorted};
use link_core::{
    index::{FilterIndex, Reader},
    topic::MAX_BYTES,
};

/// An index of nothing may take that, or that more than an index that has always been small.
const NEARLY_NOTHING: usize = 8 * 1024;
const LEAF: usize = 12 * 1024;

/// The filters of one sort of host.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// No wildcards.
    Exact,
    /// One or two wildcards, some with `#`.
    Wild,
    /// Ten levels of eight words, half of them `+`.
    Dense,
    /// Few filters of many values.
    Values,
    /// All of it, and some filters of up to 60 levels.
    Mixed,
}

impl Kind {
    /// A filter with words that were never there before.
    fn filter(self, random: &mut Random, number: usize) -> String {
        match self {
            Self::Exact => format!("site/{}/dev-{number}/metric-{}", random.below(100), random.below(5)),
            Self::Wild => match random.below(4) {
                0 => format!("site/{}/+/dev-{number}/#", random.below(30)),
                1 => format!("+/region-{}/dev-{number}/+/state", random.below(30)),
                2 => format!("site/{}/dev-{number}/+", random.below(100)),
                _ => format!("dev-{number}/+/a/b/+/c"),
            },
            Self::Dense => {
                let level = |random: &mut Random| match random.below(16) {
                    0..8 => "+".to_owned(),
                    word => word.to_string(),
                };
                let levels: Vec<_> = (0..10).map(|_| level(random)).collect();
                levels.join("/")
            }
            Self::Values => {
                let of = random.below(40);
                if of.is_multiple_of(2) { format!("hot/{of}") } else { format!("hot/{of}/+") }
            }
            Self::Mixed => match random.below(10) {
                0..4 => Self::Exact.filter(random, number),
                4..7 => Self::Wild.filter(random, number),
                7 => Self::Dense.filter(random, number),
                8 => Self::Values.filter(random, number),
                _ => {
                    let depth = 5 + random.below(55);
                    format!("{}dev-{number}{}", "deep/".repeat(depth), if number.is_multiple_of(2) { "/#" } else { "" })
                }
            },
        }
    }
}

/// Pairs come and go at random, in ten phases of growing and shrinking.
fn rounds(kind: Kind, rounds: usize) {
    let mut random = Random(0xC0FFEE ^ kind as u64);
    let mut live: Vec<Pair> = Vec::new();
    let mut index = FilterIndex::new(1);
    let reader = index.reader();
    for round in 0..rounds {
        let grows = (round * 10 / rounds).is_multiple_of(2);
        if random.chance(if grows { 75 } else { 35 }) || live.is_empty() {
            let pair = (filter(kind.filter(&mut random, round)), random.below(2_000) as u32);
            if index.insert(&pair.0, pair.1) {
                live.push(pair);
            }
        } else {
            let (filter, value) = live.swap_remove(random.below(live.len()));
            assert!(index.remove(&filter, &value));
        }
        if round % 64 == 0 {
            index.publish();
        }
        if (round + 1) % (rounds / 10) == 0 {
            index.publish();
            takes_as_much_as_a_new_one(&index, &live, 10, &format!("{kind:?} after {} rounds", round + 1));
        }
    }
    assert_eq!(reader.len(), live.len());
    assert!(sorted(index.iter()) == Oracle::new(&live).pairs());

    random.shuffle(&mut live);
    for (at, (filter, value)) in live.iter().enumerate() {
        assert!(index.remove(filter, value));
        if at % 64 == 0 {
            index.publish();
        }
        if at == live.len() / 10 * 9 {
            index.publish();
            takes_as_much_as_a_new_one(&index, &live[at + 1..], 25, &format!("{kind:?}, a tenth left"));
        }
    }
    index.publish();
    assert!(index.memory_usage() <= NEARLY_NOTHING, "{kind:?}: {} bytes for nothing", index.memory_usage());
}

/// Within so many percent, and one leaf that is fuller or emptier.
fn takes_as_much_as_a_new_one(index: &FilterIndex<u32>, pairs: &[Pair], percent: usize, when: &str) {
    let mut fresh = FilterIndex::build(1, pairs.iter().map(|(filter, value)| (filter, *value)));
    fresh.reader();
    assert_eq!(index.len(), fresh.len());
    let (takes, fresh) = (index.memory_usage(), fresh.memory_usage());
    assert!(
        takes <= fresh + fresh * percent / 100 + LEAF,
        "{when}: {takes} bytes for {} pairs, a new one {fresh}: {} %",
        pairs.len(),
        takes * 100 / fresh
    );
}

#[test]
fn after_75_000_rounds_of_exact_filters() {
    rounds(Kind::Exact, 75_000);
}

#[test]
fn after_75_000_rounds_of_wildcards() {
    rounds(Kind::Wild, 75_000);
}

#[test]
fn after_50_000_rounds_of_dense_wildcards() {
    rounds(Kind::Dense, 50_000);
}

#[test]
fn after_50_000_rounds_of_values() {
    rounds(Kind::Values, 50_000);
}

#[test]
fn after_50_000_rounds_of_everything() {
    rounds(Kind::Mixed, 50_000);
}

#[test]
#[ignore = "takes minutes: cargo test --release -p link-core --test index_memory -- --ignored"]
fn after_10_million_rounds() {
    for kind in [Kind::Exact, Kind::Wild, Kind::Dense, Kind::Values, Kind::Mixed] {
        rounds(kind, 2_000_000);
    }
}

/// What `make` leaves on the heap of this thread.
fn heap<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let mut made = None;
    let allocated = measure(|| made = Some(make()));
    (made.unwrap(), allocated.bytes_current.try_into().unwrap())
}

fn pairs(kind: Kind, count: usize) -> Vec<Pair> {
    let mut random = Random(5);
    let pair = |number| (filter(kind.filter(&mut random, number)), random.below(2_000) as u32);
    // The first clone of a text allocates the count of its owners.
    (0..count).map(pair).inspect(|pair| drop(pair.clone())).collect()
}

/// Within 3 %, and what a few counters take.
fn is_about(heap: usize, usage: usize, what: &str) {
    let slack = usage.max(heap) / 33 + 2_048;
    assert!(heap.abs_diff(usage) <= slack, "{what}: memory_usage says {usage}, the heap {heap}");
}

const KINDS: [Kind; 5] = [Kind::Exact, Kind::Wild, Kind::Dense, Kind::Values, Kind::Mixed];

#[test]
fn memory_usage_is_what_lies_on_the_heap() {
    for kind in KINDS {
        for count in [0, 1, 2, 50, 4_000] {
            let pairs = pairs(kind, count);
            let (index, bytes) = heap(|| FilterIndex::build(1, pairs.iter().map(|(filter, value)| (filter, *value))));
            is_about(bytes, index.memory_usage(), &format!("{count} {kind:?} in bulk"));

            let (index, bytes) = heap(|| inserted(&pairs));
            is_about(bytes, index.memory_usage(), &format!("{count} {kind:?} one by one"));

            let ((index, reader), bytes) = heap(|| with_reader(&pairs));
            assert_eq!(reader.len(), index.len());
            is_about(bytes, index.memory_usage(), &format!("{count} {kind:?} with a reader"));

            let (index, bytes) = heap(|| {
                let (mut index, _reader) = with_reader(&pairs);
                for (filter, value) in &pairs[..pairs.len() / 2] {
                    index.remove(filter, value);
                }
                index.publish();
                index
            });
            is_about(bytes, index.memory_usage(), &format!("half of {count} {kind:?}"));
        }
    }
}

/// What is not published yet lies on the heap as well.
#[test]
fn memory_usage_counts_what_waits_to_be_published() {
    for kind in [Kind::Exact, Kind::Wild, Kind::Mixed] {
        let pairs = pairs(kind, 3_000);
        let ((mut index, reader), bytes) = heap(|| {
            let mut index = FilterIndex::new(1);
            let reader = index.reader();
            for (filter, value) in &pairs {
                index.insert(filter, *value);
            }
            (index, reader)
        });
        is_about(bytes, index.memory_usage(), &format!("{kind:?} not published"));
        index.publish();
        let fresh = FilterIndex::build(1, pairs.clone()).memory_usage();
        assert!(bytes < 4 * fresh, "{kind:?}: {bytes} bytes while it waits, {fresh} without a reader");
        assert_eq!(reader.len(), index.len());
    }
}

/// A picture costs something while it is held and the index changes; then no more.
#[test]
fn snapshots_leave_nothing_behind() {
    for kind in [Kind::Exact, Kind::Wild, Kind::Values] {
        let pairs = pairs(kind, 3_000);
        let (index, bytes) = heap(|| {
            let (mut index, reader) = with_reader(&pairs);
            let mut held = Vec::new();
            for (at, (filter, value)) in pairs.iter().enumerate() {
                if at % 100 == 0 {
                    held.push((index.snapshot(), reader.snapshot()));
                    held.drain(..held.len() / 8);
                }
                index.remove(filter, value);
                index.insert(filter, *value);
                if at % 10 == 0 {
                    index.publish();
                }
            }
            assert!(held.iter().all(|(snapshot, _)| snapshot.len() == index.len()));
            drop(held);
            // The copy of the nodes that the writer works on may be from the time of a picture: the next change ends it.
            for _ in 0..2 {
                index.insert(&filter("one/more"), 1);
                index.publish();
                index.remove(&filter("one/more"), &1);
                index.publish();
            }
            index
        });
        is_about(bytes, index.memory_usage(), &format!("{kind:?}"));
    }
}

#[test]
fn nothing_is_left_of_an_index_that_is_dropped() {
    for kind in KINDS {
        let pairs = pairs(kind, 2_000);
        let allocated = measure(|| {
            let (mut index, reader) = with_reader(&pairs);
            let snapshot = reader.snapshot();
            for (filter, value) in &pairs {
                index.remove(filter, value);
            }
            drop(index);
            assert!(reader.len() == snapshot.len());
        });
        assert!(allocated.bytes_current <= 2_048, "{kind:?}: {allocated:?}");
    }
}

#[test]
fn one_filter_of_65_535_bytes_costs_little_more_than_its_text() {
    let half = MAX_BYTES / 2;
    for text in [
        "/".repeat(MAX_BYTES),
        "+/".repeat(half) + "#",
        "+/".repeat(half) + "+",
        "a/".repeat(half) + "b",
        "a/".repeat(half) + "#",
        "/".repeat(MAX_BYTES - 2) + "/+",
        "x".repeat(MAX_BYTES),
        "x".repeat(MAX_BYTES - 2) + "/+",
        "+/".to_owned() + &"x".repeat(MAX_BYTES - 2),
    ] {
        let name = index_engines::short(&text);
        let filter = filter(text);
        let mut index = FilterIndex::new(1);
        index.reader();
        let before = index.memory_usage();
        for value in 0..10 {
            index.insert(&filter, value);
        }
        index.publish();
        let takes = index.memory_usage();
        assert!(takes < 3 * MAX_BYTES, "{name}: {takes} bytes");
        for value in 0..10 {
            index.remove(&filter, &value);
        }
        index.publish();
        assert!(index.memory_usage() <= before + NEARLY_NOTHING, "{name}: {} bytes", index.memory_usage());
    }
}

#[test]
fn many_long_filters_cost_little_more_than_their_texts() {
    for (before, after) in
        [("/".repeat(20_000), ""), ("+/".repeat(10_000), ""), (String::new(), "/x"), ("a/".repeat(9), "/+")]
    {
        let (tail, count) = (if after.is_empty() { "" } else { &*after.repeat(10_000) }, 300);
        let mut index = FilterIndex::new(1);
        let mut bytes = 0;
        for number in 0..count {
            let text = format!("{before}{number}{tail}");
            bytes += text.len();
            index.insert(&filter(text), number);
        }
        let takes = index.memory_usage();
        assert!(takes < 2 * bytes, "{takes} bytes for {bytes} of text");
    }
}

/// The text of a filter is there once, or nearly, however many values it has.
#[test]
fn values_do_not_repeat_the_text() {
    for length in [10, 100, 1_000, 4_000, MAX_BYTES - 2] {
        for text in ["x".repeat(length), "x".repeat(length) + "/+"] {
            let count = if length > 10_000 { 20_000 } else { 5_000 };
            let (hot, name) = (filter(&text), index_engines::short(&text));
            let built = FilterIndex::build(1, (0..count).map(|value| (&hot, value)));
            let most = 4 * text.len() + 16 * count as usize + NEARLY_NOTHING;
            let takes = built.memory_usage();
            assert!(takes <= most, "{count} values of {name} in bulk: {takes} bytes");

            let mut index = FilterIndex::new(1);
            for value in 0..count.min(5_000) {
                index.insert(&hot, value);
            }
            let takes = index.memory_usage();
            assert!(takes <= most, "{count} values of {name} one by one: {takes} bytes");
        }
    }
}

/// However the `+` lie, an index takes so many bytes for a filter: there are no products of anything.
#[test]
fn every_set_of_plus_costs_the_same() {
    for end in ["", "/#"] {
        for levels in [1, 4, 6, 8, 10, 12] {
            let text = |set: u32| {
                let level = |at: u32| if set >> at & 1 == 1 { "+".to_owned() } else { format!("level-{at}") };
                (0..levels).map(level).collect::<Vec<_>>().join("/") + end
            };
            let filters: Vec<_> = (0..1 << levels).map(|set| filter(text(set))).collect();
            let bytes: usize = filters.iter().map(|filter| filter.as_str().len()).sum();
            let index = FilterIndex::build(1, filters.iter().zip(0u32..));
            let most = 2 * bytes + 64 * filters.len() + NEARLY_NOTHING;
            assert!(index.memory_usage() <= most, "{levels} levels in bulk: {} bytes", index.memory_usage());
            let mut index = FilterIndex::new(1);
            for (filter, value) in filters.iter().zip(0u32..) {
                index.insert(filter, value);
            }
            assert!(index.memory_usage() <= most, "{levels} levels one by one: {} bytes", index.memory_usage());
        }
    }
}

/// The same many filters again and again: no round takes more than the first.
#[test]
fn filling_and_emptying_again_takes_no_more() {
    let pairs = pairs(Kind::Mixed, 2_000);
    let (mut index, reader) = with_reader(&[]);
    let mut first = None;
    for round in 0..6 {
        for (filter, value) in &pairs {
            index.insert(filter, *value);
        }
        index.publish();
        let full = index.memory_usage();
        assert!(full <= *first.get_or_insert(full) * 21 / 20, "round {round}: {full} bytes, first {first:?}");
        for (filter, value) in pairs.iter().rev() {
            index.remove(filter, value);
        }
        index.publish();
        assert!(reader.is_empty() && index.memory_usage() <= NEARLY_NOTHING, "{} bytes", index.memory_usage());
    }
}

fn inserted(pairs: &[Pair]) -> FilterIndex<u32> {
    let mut index = FilterIndex::new(1);
    for (filter, value) in pairs {
        index.insert(filter, *value);
    }
    index
}

fn with_reader(pairs: &[Pair]) -> (FilterIndex<u32>, Reader<u32>) {
    let mut index = FilterIndex::new(1);
    let reader = index.reader();
    for (at, (filter, value)) in pairs.iter().enumerate() {
        index.insert(filter, *value);
        if at % 10 == 0 {
            index.publish();
        }
    }
    index.publish();
    (index, reader)
}

/// Reading allocates nothing, once the buffers have grown.
#[test]
fn reading_does_not_allocate() {
    let pairs = pairs(Kind::Mixed, 3_000);
    let (index, reader) = with_reader(&pairs);
    let mut random = Random(8);
    let topics: Vec<_> = (0..100).map(|_| random.pick(&pairs).0.clone()).collect();
    let topics: Vec<_> = topics.iter().map(|filter| random.topic_of(filter, &["0", "1", "deep"])).collect();
    assert!(index.matches(&topics).iter().all(|values| !values.is_empty()));
    let mut matches = link_core::index::Matches::new();
    reader.matches_batch(&topics, &mut matches);
    let mut found = 0;
    let allocated = measure(|| {
        reader.matches_batch(&topics, &mut matches);
        for topic in &topics {
            reader.matches_into(topic, &mut matches);
            reader.for_each_match(topic, |_| found += 1);
            reader.for_each_slice(topic, |values| found += values.len());
            assert!(reader.is_match(topic));
        }
    });
    assert!(found > 200 && allocated.count_total == 0, "{allocated:?}");
}
