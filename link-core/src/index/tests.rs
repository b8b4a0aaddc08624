use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use super::*;
use crate::topic::{Topic, TopicFilter};

thread_local! {
    /// Leaves two hashes for all literals of a level.
    pub(super) static POOR_HASHES: Cell<bool> = const { Cell::new(false) };
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }

    fn filter(&mut self, tokens: usize, depth: usize, plus: usize) -> TopicFilter {
        let levels = 1 + self.below(depth);
        let mut text: Vec<String> = (0..levels)
            .map(|_| match self.below(100) {
                roll if roll < plus => "+".to_owned(),
                99 => String::new(),
                98 => "$x".to_owned(),
                _ => format!("t{}", self.below(tokens)),
            })
            .collect();
        if self.below(100) < plus / 2 {
            text.push("#".to_owned());
        }
        let text = text.join("/");
        TopicFilter::new(if text.is_empty() { "x".to_owned() } else { text }).unwrap()
    }

    fn topic(&mut self, tokens: usize, depth: usize) -> Topic {
        loop {
            if let Ok(topic) = Topic::new(self.filter(tokens, depth, 0).as_str()) {
                return topic;
            }
        }
    }
}

fn sorted(values: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut values: Vec<u32> = values.into_iter().collect();
    values.sort_unstable();
    values
}

fn check(
    index: &mut FilterIndex<u32>,
    model: &BTreeMap<TopicFilter, BTreeSet<u32>>,
    topics: &[Topic],
    given: &[TopicFilter],
) {
    index.publish();
    let reader = index.reader();
    assert_eq!(index.len(), model.values().map(BTreeSet::len).sum::<usize>());
    let mut batch = Matches::new();
    let names: Vec<&str> = topics.iter().map(Topic::as_str).collect();
    reader.matches_batch(&names, &mut batch);
    for (at, topic) in topics.iter().enumerate() {
        let wanted = sorted(
            model.iter().filter(|(filter, _)| filter.matches(topic)).flat_map(|(_, values)| values.iter().copied()),
        );
        let mut matches = Matches::new();
        reader.matches_into(topic, &mut matches);
        assert_eq!(sorted(matches.as_slice().iter().copied()), wanted, "{topic}");
        assert_eq!(sorted(batch.of(at).iter().copied()), wanted, "{topic}");
        assert_eq!(reader.is_match(topic), !wanted.is_empty());
        assert_eq!(index.is_match(topic), !wanted.is_empty());
    }
    let pairs = |test: &dyn Fn(&TopicFilter) -> bool| -> Vec<(TopicFilter, u32)> {
        model.iter().filter(|(f, _)| test(f)).flat_map(|(f, values)| values.iter().map(|&v| (f.clone(), v))).collect()
    };
    let got = |pairs: Pairs<'_, u32>| -> Vec<(TopicFilter, u32)> {
        let mut all: Vec<_> = pairs.collect();
        all.sort();
        all
    };
    assert_eq!(got(index.iter()), pairs(&|_| true));
    for given in given {
        assert_eq!(got(index.covering(given)), pairs(&|f| f.covers(given)), "covering {given}");
        assert_eq!(got(index.covered_by(given)), pairs(&|f| given.covers(f)), "covered by {given}");
        assert_eq!(got(index.intersecting(given)), pairs(&|f| f.intersect(given).is_some()), "intersecting {given}");
        assert_eq!(index.covers(given), model.keys().any(|f| f.covers(given)));
    }
}

fn run(seed: u64, tokens: usize, depth: usize, plus: usize, most: usize, values: usize) {
    let mut random = Random(seed);
    let mut index = FilterIndex::new(seed);
    let mut model: BTreeMap<TopicFilter, BTreeSet<u32>> = BTreeMap::new();
    for round in 0..8 {
        let growing = round % 3 != 2;
        for _ in 0..most / 2 {
            if growing || random.below(10) == 0 {
                let filter = random.filter(tokens, depth, plus);
                for _ in 0..1 + random.below(2) * random.below(values) {
                    let value = random.below(values) as u32;
                    assert_eq!(index.insert(&filter, value), model.entry(filter.clone()).or_default().insert(value));
                }
            } else if let Some(filter) = model.keys().nth(random.below(model.len().max(1))).cloned() {
                let value = *model[&filter].first().unwrap();
                assert!(index.remove(&filter, &value));
                assert!(!index.remove(&filter, &value));
                let left = model.get_mut(&filter).unwrap();
                left.remove(&value);
                if left.is_empty() {
                    model.remove(&filter);
                }
            }
            if random.below(40) == 0 {
                index.publish();
            }
        }
        let topics: Vec<Topic> = (0..50).map(|_| random.topic(tokens, depth)).collect();
        let given: Vec<TopicFilter> = (0..20).map(|_| random.filter(tokens, depth, 30)).collect();
        check(&mut index, &model, &topics, &given);
        let pairs = model.iter().flat_map(|(filter, values)| values.iter().map(move |value| (filter.clone(), *value)));
        check(&mut FilterIndex::build(seed, pairs), &model, &topics, &given);
    }
    for (filter, values) in model {
        for value in values {
            assert!(index.remove(&filter, &value));
        }
    }
    index.publish();
    assert_eq!((index.len(), index.iter().count()), (0, 0));
    assert!(index.memory_usage() < 40_000, "{}", index.memory_usage());
}

#[test]
fn answers_as_brute_force_does() {
    run(1, 4, 5, 20, 200, 3);
    run(2, 30, 6, 5, 600, 2);
    run(3, 2, 12, 50, 300, 2);
    run(4, 2, 20, 50, 200, 2);
    run(5, 1_000, 2, 3, 1_000, 1);
    run(6, 3, 3, 30, 40, 3_000);
}

#[test]
fn answers_as_brute_force_does_if_hashes_collide() {
    POOR_HASHES.set(true);
    run(1, 4, 5, 20, 200, 3);
    run(2, 30, 6, 30, 300, 2);
    POOR_HASHES.set(false);
}

#[test]
fn a_filter_with_many_values_leaves_room_for_others() {
    for end in ["", "/+"] {
        let filter = |text: String| TopicFilter::new(text + end).unwrap();
        let mut index = FilterIndex::new(1);
        index.reader();
        for value in 0..20_000_u32 {
            assert!(index.insert(&filter("hot".to_owned()), value));
        }
        for n in 0..2_000 {
            assert!(index.insert(&filter(format!("cold/{n}")), 1));
        }
        let usual = 60 * 2_000 + 5 * 20_000 + 100_000;
        assert!(index.memory_usage() < 2 * usual, "{}", index.memory_usage());
        for n in 0..2_000 {
            assert!(index.contains(&filter(format!("cold/{n}")), &1));
        }
        let mut count = 0;
        index.for_each_match(format!("hot{}", end.replace('+', "x")), |_| count += 1);
        assert_eq!((count, index.iter().count()), (20_000, 22_000));
    }
}

#[test]
fn a_long_filter_is_not_copied_for_each_value() {
    let filter = TopicFilter::new("x".repeat(10_000)).unwrap();
    let mut index = FilterIndex::new(1);
    assert!((0..5_000_u32).all(|value| index.insert(&filter, value)));
    assert!(index.memory_usage() < 120_000, "{}", index.memory_usage());
}

#[test]
fn texts_of_one_hash_are_told_apart() {
    POOR_HASHES.set(true);
    for end in ["", "/+"] {
        let filters: Vec<_> = (0..600).map(|n| TopicFilter::new(format!("dev-{n:03}{end}")).unwrap()).collect();
        let mut index = FilterIndex::new(1);
        assert!(filters.iter().zip(0..).all(|(filter, value)| index.insert(filter, value)));
        for (value, filter) in filters.iter().enumerate() {
            let mut found = Vec::new();
            index.for_each_match(filter.as_str().replace('+', "x"), |&value| found.push(value));
            assert_eq!(found, [value as u32], "{filter}");
        }
        assert!(filters.iter().zip(0..).all(|(filter, value)| index.remove(filter, &value)));
        assert_eq!(index.len(), 0);
    }
    POOR_HASHES.set(false);
}

#[test]
fn an_index_that_is_full_refuses_and_keeps_what_it_has() {
    let filter = |n: usize, end: &str| TopicFilter::new(format!("{n}/{}{end}", "x".repeat(3_000))).unwrap();
    let mut index = FilterIndex::new(1);
    index.reader();
    // Each has a page of its own.
    let taken = (0..).take_while(|&n| index.insert(&filter(n, ""), n as u32)).count();
    assert_eq!(taken, hashed::MOST_PAGES);
    assert_eq!((index.len(), index.iter().count()), (taken, taken));
    assert!(!index.contains(&filter(taken, ""), &(taken as u32)));
    // Those with wildcards have other room.
    for n in 0..2 * taken {
        assert!(index.insert(&filter(n, "/+"), n as u32));
    }
    for n in 0..2 * taken {
        let mut found = Vec::new();
        index.for_each_match(filter(n, "/y").as_str(), |&value| found.push(value));
        assert_eq!(found, [n as u32]);
    }
    // What is taken out makes room.
    assert!(index.remove(&filter(0, ""), &0));
    assert!(index.insert(&filter(taken, ""), 7));
    for n in 0..2 * taken {
        assert!(index.remove(&filter(n, "/+"), &(n as u32)));
    }
    assert_eq!(index.len(), taken);
}
