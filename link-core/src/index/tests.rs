use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::prelude::*;

use super::{SharedIndex, Trie};
use crate::topic::{MAX_BYTES, Topic, TopicFilter};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop::sample::select(vec!["", "a", "b", "$s", "+"]);
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map("a valid filter", |(mut levels, hash)| {
        levels.extend(hash.then_some("#"));
        TopicFilter::new(levels.join("/")).ok()
    })
}

fn any_topic() -> impl Strategy<Value = Topic> {
    prop::collection::vec(prop::sample::select(vec!["", "a", "b", "$s", "x"]), 1..5)
        .prop_filter_map("a valid topic", |levels| Topic::new(levels.join("/")).ok())
}

type Pairs = BTreeSet<(TopicFilter, u8)>;

/// Those of the pairs whose filter passes.
fn those(pairs: &Pairs, passes: impl Fn(&TopicFilter) -> bool) -> Pairs {
    pairs.iter().filter(|(filter, _)| passes(filter)).cloned().collect()
}

/// The pairs, each of which must come once.
fn once(pairs: impl Iterator<Item = (TopicFilter, u8)>) -> Pairs {
    let list: Vec<_> = pairs.collect();
    let set: Pairs = list.iter().cloned().collect();
    assert_eq!(list.len(), set.len());
    set
}

proptest! {
    #[test]
    fn the_trie_answers_as_a_list_of_pairs(
        changes in prop::collection::vec((any_filter(), 0u8..3, prop::bool::weighted(0.7)), 0..60),
        asked in any_filter(),
        topic in any_topic(),
    ) {
        let mut trie = Trie::new(1);
        let mut pairs = Pairs::new();
        for (filter, value, add) in changes {
            if add {
                prop_assert_eq!(trie.insert(&filter, value), pairs.insert((filter, value)));
            } else {
                prop_assert_eq!(trie.remove(&filter, &value), pairs.remove(&(filter, value)));
            }
            prop_assert_eq!(trie.len(), pairs.len());
        }
        prop_assert_eq!(trie.is_empty(), pairs.is_empty());
        prop_assert_eq!(once(trie.iter()), pairs.clone());
        prop_assert!(pairs.iter().all(|(filter, value)| trie.contains(filter, value)));

        let mut values = Vec::new();
        trie.for_each_match(&topic, |&value| values.push(value));
        values.sort();
        let mut expected: Vec<_> = those(&pairs, |filter| filter.matches(&topic)).into_iter().map(|pair| pair.1).collect();
        expected.sort();
        prop_assert_eq!(trie.is_match(&topic), !expected.is_empty());
        prop_assert_eq!(values, expected);

        prop_assert_eq!(once(trie.covering(&asked)), those(&pairs, |filter| filter.covers(&asked)));
        prop_assert_eq!(trie.covers(&asked), pairs.iter().any(|(filter, _)| filter.covers(&asked)));
        prop_assert_eq!(once(trie.covered_by(&asked)), those(&pairs, |filter| asked.covers(filter)));
        prop_assert_eq!(once(trie.intersecting(&asked)), those(&pairs, |filter| filter.intersect(&asked).is_some()));

        // The order depends on the pairs alone, and what is gone leaves nothing.
        let mut fresh = Trie::new(2);
        pairs.iter().rev().for_each(|(filter, value)| assert!(fresh.insert(filter, *value)));
        prop_assert!(fresh.iter().eq(trie.iter()));
        prop_assert_eq!(fresh.node_count().0, trie.node_count().0);
        for (filter, value) in &pairs {
            prop_assert!(trie.remove(filter, value));
        }
        prop_assert_eq!(trie.node_count().0, 1);
    }
}

#[test]
fn shared_subscriptions_count_as_their_filter() {
    let mut trie = Trie::new(1);
    assert!(trie.insert(&filter("$share/g/a/+"), 1));
    assert!(!trie.insert(&filter("a/+"), 1));
    assert!(trie.is_match("a/b") && !trie.is_match("$share/g/a/b"));
    assert!(trie.remove(&filter("$share/h/a/+"), &1));
    assert!(trie.is_empty());
}

#[test]
fn memory_shrinks_with_the_table() {
    let mut trie = Trie::new(1);
    let filters: Vec<_> = (0..10_000).map(|n| filter(&format!("site/{}/dev-{n}/+/x", n % 100))).collect();
    filters.iter().for_each(|filter| assert!(trie.insert(filter, 7)));
    let (_, full) = trie.node_count();
    for filter in &filters[100..] {
        assert!(trie.remove(filter, &7));
    }
    let (live, places) = trie.node_count();
    assert_eq!(live, 1 + 1 + 100 * 4);
    assert!(places < full / 10, "{places} places for {live} nodes");
    assert!(filters[..100].iter().all(|filter| trie.contains(filter, &7)));
    assert!(trie.is_match("site/42/dev-42/y/x") && !trie.is_match("site/42/dev-142/y/x"));
    assert_eq!(trie.covered_by(&filter("site/#")).count(), 100);
}

#[test]
fn the_longest_filters_need_no_stack() {
    let run = || {
        let levels = MAX_BYTES / 2;
        let deep = [filter(&"/".repeat(MAX_BYTES)), filter(&("+/".repeat(levels) + "#")), filter(&"a/".repeat(levels))];
        let mut trie = Trie::new(1);
        for (value, filter) in deep.iter().enumerate() {
            assert!(trie.insert(filter, value));
        }
        assert_eq!(trie.iter().count(), 3);
        let mut values = Vec::new();
        trie.for_each_match("a/".repeat(levels), |&value| values.push(value));
        values.sort();
        assert_eq!(values, [1, 2]);
        assert_eq!(trie.covering(&deep[2]).count(), 2);
        assert_eq!(trie.covered_by(&deep[1]).count(), 3);
        assert_eq!(trie.intersecting(&deep[0]).count(), 2);
        let copy = trie.clone();
        for (value, filter) in deep.iter().enumerate() {
            assert!(trie.remove(filter, &value));
        }
        assert_eq!(trie.node_count().0, 1);
        drop(copy);
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn readers_see_whole_batches_only() {
    let mut index = SharedIndex::new(1);
    let reader = index.reader();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let reader = reader.clone();
                    let mut seen = BTreeSet::new();
                    loop {
                        let is_last = stop.load(Ordering::Relaxed);
                        // Each batch moves both values at once.
                        let mut values = Vec::new();
                        reader.for_each_match("a/b", |&value: &u32| values.push(value));
                        let [first, second] = values[..] else {
                            assert!(values.is_empty(), "half a batch: {values:?}");
                            continue;
                        };
                        assert_eq!(first, second);
                        assert!(seen.last().is_none_or(|&last| last <= first), "back in time");
                        seen.insert(first);
                        if is_last {
                            break;
                        }
                    }
                    seen.len()
                })
            })
            .collect();
        for round in 1..=3_000 {
            index.insert(&filter("a/+"), round);
            index.insert(&filter("a/b"), round);
            index.remove(&filter("a/+"), &(round - 1));
            index.remove(&filter("a/b"), &(round - 1));
            index.publish();
            if round % 100 == 0 {
                thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert_eq!(index.trie().iter().collect::<Vec<_>>(), [(filter("a/+"), 3_000), (filter("a/b"), 3_000)]);
}

#[test]
fn changes_show_when_they_are_published() {
    let mut index = SharedIndex::new(1);
    let reader = index.reader();
    assert!(reader.is_empty());
    assert!(index.insert(&filter("a"), 1));
    assert!(!index.insert(&filter("a"), 1));
    assert!(index.has_pending() && !reader.is_match("a"));
    assert_eq!(index.trie().len(), 1);
    index.publish();
    assert!(!index.has_pending() && reader.is_match("a"));
    assert_eq!(index.trie().len(), 1);

    // A reader at work in the old copy keeps it; the writer goes on with another one.
    reader.for_each_match("a", |_| {
        assert!(index.insert(&filter("b"), 2));
        index.publish();
        assert!(index.remove(&filter("a"), &1));
        index.publish();
        assert!(!reader.is_match("a") && reader.is_match("b"));
    });
    assert!(!index.remove(&filter("a"), &1));
    assert_eq!((reader.len(), index.trie().len()), (1, 1));
}
