//! A topic index does what a list of pairs does, whatever comes in whatever order.
//!
//! `PROPTEST_CASES=20000 cargo test --release -p link-core --test index_laws` looks further.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what its functions call as well"
)]

mod index_engines;

use index_engines::{Engine, Oracle, Pair, Random, Read, WAYS, Way, filter, pairs_of, relatives_of, sorted, topic};
use link_core::{
    index::{FilterIndex, Reader, Snapshot},
    topic::{Topic, TopicFilter},
};
use proptest::prelude::*;

/// An index, its readers and pictures, and for each what it must hold.
struct World {
    index: FilterIndex<u32>,
    now: Oracle,
    reader: Reader<u32>,
    published: Oracle,
    snapshots: Vec<(Snapshot<u32>, Oracle)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut index = FilterIndex::new(seed);
        let reader = index.reader();
        Self { index, now: Oracle::default(), reader, published: Oracle::default(), snapshots: Vec::new() }
    }

    fn insert(&mut self, filter: &TopicFilter, value: u32) {
        let is_new = self.now.insert(filter, value);
        assert_eq!(self.index.insert(filter, value), is_new, "insert {filter} {value}");
        assert!(self.index.contains(filter, &value));
        assert_eq!(self.index.len(), self.now.len());
    }

    fn remove(&mut self, filter: &TopicFilter, value: u32) {
        let was_there = self.now.remove(filter, value);
        assert_eq!(self.index.contains(filter, &value), was_there);
        assert_eq!(self.index.remove(filter, &value), was_there, "remove {filter} {value}");
        assert!(!self.index.contains(filter, &value));
        assert_eq!(self.index.len(), self.now.len());
    }

    fn publish(&mut self) {
        self.index.publish();
        assert!(!self.index.has_pending());
        self.published = self.now.clone();
    }

    fn snapshot(&mut self) {
        self.snapshots.push((self.index.snapshot(), self.now.clone()));
        self.snapshots.push((self.reader.snapshot(), self.published.clone()));
    }

    fn drop_snapshot(&mut self, which: usize) {
        if !self.snapshots.is_empty() {
            self.snapshots.swap_remove(which % self.snapshots.len());
        }
    }

    /// Every way to ask for these topics.
    fn check_matches(&self, topics: &[Topic], ways: &[Way]) {
        same(topics, &self.index.matches(topics), &self.now.matches(topics), "writer");
        for &way in ways {
            let found = self.reader.matches(way, topics);
            same(topics, &found, &self.published.matches(topics), &format!("reader, {way:?}"));
            for (snapshot, oracle) in &self.snapshots {
                let found = snapshot.matches(way, topics);
                same(topics, &found, &oracle.matches(topics), &format!("snapshot, {way:?}"));
            }
        }
    }

    fn check_relatives(&self, asked: &TopicFilter) {
        assert_eq!(self.index.relatives(asked), self.now.relatives(asked), "writer: {asked}");
        for (snapshot, oracle) in &self.snapshots {
            assert_eq!(relatives_of(snapshot, asked), oracle.relatives(asked), "snapshot: {asked}");
        }
    }

    fn check_pairs(&self) {
        assert_eq!(self.index.pairs(), self.now.pairs());
        assert_eq!(self.reader.count(), self.published.len());
        for (snapshot, oracle) in &self.snapshots {
            assert_eq!(pairs_of(snapshot, oracle.len()), oracle.pairs());
        }
    }

    /// Some filters of the index, seen by someone else.
    fn some_filters(&self, random: &mut Random, count: usize) -> Vec<TopicFilter> {
        let all: Vec<_> = self.now.filters().collect();
        if all.is_empty() { Vec::new() } else { (0..count).map(|_| (*random.pick(&all)).clone()).collect() }
    }

    /// Topics that some filters of the index match, and topics close to those.
    fn some_topics(&self, random: &mut Random, words: &[&str], count: usize) -> Vec<Topic> {
        let filters = self.some_filters(random, count);
        filters.iter().map(|filter| near(random, filter, words)).collect()
    }

    /// Takes everything out, in an order that has nothing to do with how it came in.
    fn empty(&mut self, random: &mut Random) {
        let mut pairs = self.now.pairs();
        random.shuffle(&mut pairs);
        for (filter, value) in &pairs {
            self.remove(filter, *value);
        }
        self.publish();
        assert!(self.index.is_empty() && self.reader.is_empty() && self.index.iter().next().is_none());
    }
}

fn same(topics: &[Topic], found: &[Vec<u32>], expected: &[Vec<u32>], who: &str) {
    assert_eq!(found.len(), topics.len(), "{who}");
    for ((topic, found), expected) in topics.iter().zip(found).zip(expected) {
        assert_eq!(found, expected, "{who}: {topic}");
    }
}

/// A topic of the filter, or the same with one level changed, too many or too few.
fn near(random: &mut Random, filter: &TopicFilter, words: &[&str]) -> Topic {
    let of = random.topic_of(filter, words);
    let mut levels: Vec<&str> = of.as_str().split('/').collect();
    let at = random.below(levels.len());
    match random.below(6) {
        0 => levels[at] = random.word(words),
        1 => levels.insert(at, random.word(words)),
        2 => {
            levels.remove(at);
        }
        _ => {}
    }
    Topic::new(levels.join("/")).unwrap_or(of)
}

#[derive(Debug, Clone)]
enum Op {
    Insert(TopicFilter, u32),
    Remove(TopicFilter, u32),
    /// One of the pairs that are there.
    RemoveSome(usize),
    /// `count` filters that differ in the level at this place.
    InsertMany {
        filter: TopicFilter,
        place: usize,
        count: usize,
    },
    RemoveMany {
        filter: TopicFilter,
        place: usize,
        count: usize,
    },
    /// `count` values under one filter.
    InsertValues(TopicFilter, u32),
    RemoveValues(TopicFilter, u32),
    Publish,
    Snapshot,
    DropSnapshot(usize),
    Match(Vec<Topic>),
    /// Topics near the filters of the index, drawn with this seed.
    MatchNear(u64),
    Relate(TopicFilter),
    RelateNear(u64),
    Pairs,
}

fn run(seed: u64, ops: &[Op], words: &[&str]) {
    let mut world = World::new(seed);
    for op in ops {
        match op {
            Op::Insert(filter, value) => world.insert(filter, *value),
            Op::Remove(filter, value) => world.remove(filter, *value),
            Op::RemoveSome(which) => {
                let pairs = world.now.pairs();
                if !pairs.is_empty() {
                    let (filter, value) = &pairs[which % pairs.len()];
                    world.remove(filter, *value);
                }
            }
            Op::InsertMany { filter, place, count } => {
                (0..*count).for_each(|n| world.insert(&variant(filter, *place, n), n as u32 % 4));
            }
            Op::RemoveMany { filter, place, count } => {
                (0..*count).for_each(|n| world.remove(&variant(filter, *place, n), n as u32 % 4));
            }
            Op::InsertValues(filter, count) => (0..*count).for_each(|value| world.insert(filter, value)),
            Op::RemoveValues(filter, count) => (0..*count).rev().for_each(|value| world.remove(filter, value)),
            Op::Publish => world.publish(),
            Op::Snapshot => world.snapshot(),
            Op::DropSnapshot(which) => world.drop_snapshot(*which),
            Op::Match(topics) => world.check_matches(topics, &WAYS),
            Op::MatchNear(seed) => {
                let mut random = Random(seed | 1);
                let topics = world.some_topics(&mut random, words, 18);
                world.check_matches(&topics, &WAYS);
            }
            Op::Relate(asked) => world.check_relatives(asked),
            Op::RelateNear(seed) => {
                let mut random = Random(seed | 1);
                for filter in world.some_filters(&mut random, 2) {
                    world.check_relatives(&filter);
                    world.check_relatives(&near(&mut random, &filter, words).into());
                }
            }
            Op::Pairs => world.check_pairs(),
        }
    }
    world.check_pairs();
    world.publish();
    let mut random = Random(seed | 1);
    let topics = world.some_topics(&mut random, words, 20);
    world.check_matches(&topics, &WAYS);

    // In bulk it is the same.
    let pairs = world.now.pairs();
    let mut built = FilterIndex::build(seed ^ 1, pairs.iter().map(|(filter, value)| (filter, *value)));
    assert_eq!(built.pairs(), pairs);
    assert_eq!(built.matches(&topics), world.now.matches(&topics));
    assert_eq!(built.snapshot().matches(Way::Batch(16), &topics), world.now.matches(&topics));

    world.empty(&mut random);
    let nothing = vec![Vec::new(); topics.len()];
    assert_eq!(world.index.matches(&topics), nothing);
    assert_eq!(world.reader.matches(Way::Batch(16), &topics), nothing);
    for (snapshot, oracle) in &world.snapshots {
        assert_eq!(pairs_of(snapshot, oracle.len()), oracle.pairs(), "a snapshot outlives what it was made of");
    }
}

/// The filter with another word in one place.
fn variant(filter: &TopicFilter, place: usize, number: usize) -> TopicFilter {
    let mut levels: Vec<&str> = filter.levels().collect();
    let hash = levels.pop_if(|level| *level == "#");
    let word = number.to_string();
    let place = place % (levels.len() + 1);
    levels.splice(place..(place + 1).min(levels.len()), [word.as_str()]);
    levels.extend(hash);
    index_engines::filter(levels.join("/"))
}

const WORDS: [&str; 6] = ["", "a", "b", "$x", "é", "😀😀😀😀"];

fn any_level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["+", "+", "+", "", "a", "a", "b", "$x", "é", "😀😀😀😀"])
}

fn small_filter() -> BoxedStrategy<TopicFilter> {
    (prop::collection::vec(any_level(), 0..6), any::<bool>(), prop::bool::weighted(0.1))
        .prop_filter_map("a valid filter", |(mut levels, hash, share)| {
            levels.extend(hash.then_some("#"));
            let text = levels.join("/");
            TopicFilter::new(if share { format!("$share/g/{text}") } else { text }).ok()
        })
        .boxed()
}

/// Up to 40 levels that are nearly the same everywhere.
fn deep_filter() -> BoxedStrategy<TopicFilter> {
    let odd = (0..40usize, any_level());
    (1..40usize, prop::sample::select(vec!["a", "+", ""]), prop::collection::vec(odd, 0..3), any::<bool>())
        .prop_filter_map("a valid filter", |(depth, level, odd, hash)| {
            let mut levels = vec![level; depth];
            for (at, level) in odd {
                levels[at % depth] = level;
            }
            levels.extend(hash.then_some("#"));
            TopicFilter::new(levels.join("/")).ok()
        })
        .boxed()
}

fn any_topic() -> impl Strategy<Value = Topic> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..7)
        .prop_filter_map("a valid topic", |levels| Topic::new(levels.join("/")).ok())
}

fn any_op(filter: BoxedStrategy<TopicFilter>, most: usize) -> impl Strategy<Value = Op> {
    let value = 0..4u32;
    let many = (filter.clone(), 0..8usize, 1..most);
    prop_oneof![
        12 => (filter.clone(), value.clone()).prop_map(|(filter, value)| Op::Insert(filter, value)),
        2 => (filter.clone(), value).prop_map(|(filter, value)| Op::Remove(filter, value)),
        4 => any::<usize>().prop_map(Op::RemoveSome),
        1 => many.clone().prop_map(|(filter, place, count)| Op::InsertMany { filter, place, count }),
        1 => many.prop_map(|(filter, place, count)| Op::RemoveMany { filter, place, count }),
        1 => (filter.clone(), 0..most as u32).prop_map(|(filter, count)| Op::InsertValues(filter, count)),
        1 => (filter.clone(), 0..most as u32).prop_map(|(filter, count)| Op::RemoveValues(filter, count)),
        3 => Just(Op::Publish),
        2 => Just(Op::Snapshot),
        1 => any::<usize>().prop_map(Op::DropSnapshot),
        1 => prop::collection::vec(any_topic(), 0..20).prop_map(Op::Match),
        2 => any::<u64>().prop_map(Op::MatchNear),
        1 => filter.prop_map(Op::Relate),
        1 => any::<u64>().prop_map(Op::RelateNear),
        1 => Just(Op::Pairs),
    ]
}

/// A part of the cases that are asked for: these are long.
fn one_in(part: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: (config.cases / part).max(1), failure_persistence: None, ..config }
}

proptest! {
    #![proptest_config(one_in(2))]

    #[test]
    fn any_sequence_of_small_filters(
        seed in any::<u64>(),
        ops in prop::collection::vec(any_op(small_filter(), 12), 0..60),
    ) {
        run(seed, &ops, &WORDS);
    }

    #[test]
    fn any_sequence_of_deep_filters(
        seed in any::<u64>(),
        ops in prop::collection::vec(any_op(deep_filter(), 12), 0..40),
    ) {
        run(seed, &ops, &["a", "", "b", "$x"]);
    }
}

proptest! {
    #![proptest_config(one_in(16))]

    #[test]
    fn any_sequence_that_splits_and_merges(
        seed in any::<u64>(),
        ops in prop::collection::vec(any_op(prop_oneof![small_filter(), deep_filter()].boxed(), 700), 0..30),
    ) {
        run(seed, &ops, &["a", "", "0", "7", "400", "$x"]);
    }
}

proptest! {
    #[test]
    fn relations_are_those_of_each_pair(
        filters in prop::collection::vec(small_filter(), 0..60),
        asked in prop::collection::vec(small_filter(), 1..8),
    ) {
        let pairs: Vec<Pair> = filters.into_iter().zip(0..).collect();
        let mut index = FilterIndex::build(1, pairs.clone());
        let oracle = Oracle::new(&pairs);
        let snapshot = index.snapshot();
        for asked in asked {
            let expected = oracle.relatives(&asked);
            prop_assert_eq!(&index.relatives(&asked), &expected, "{}", asked);
            prop_assert_eq!(&relatives_of(&snapshot, &asked), &expected, "{}", asked);
        }
    }

    #[test]
    fn what_is_built_answers_as_what_is_inserted(
        mut pairs in prop::collection::vec((prop_oneof![small_filter(), deep_filter()], 0..4u32), 0..200),
        topics in prop::collection::vec(any_topic(), 0..20),
        more in small_filter(),
    ) {
        let oracle = Oracle::new(&pairs);
        let mut inserted = FilterIndex::new(1);
        for (filter, value) in &pairs {
            inserted.insert(filter, *value);
        }
        let mut built = FilterIndex::build(2, pairs.clone());
        prop_assert_eq!(built.pairs(), oracle.pairs());
        prop_assert_eq!(inserted.pairs(), oracle.pairs());
        prop_assert_eq!(built.matches(&topics), oracle.matches(&topics));
        prop_assert_eq!(inserted.matches(&topics), oracle.matches(&topics));
        prop_assert_eq!(built.relatives(&more), oracle.relatives(&more));

        // And goes on like any other.
        let reader = built.reader();
        prop_assert_eq!(built.insert(&more, 9), inserted.insert(&more, 9));
        pairs.push((more, 9));
        for (filter, value) in pairs.iter().step_by(2) {
            prop_assert_eq!(built.remove(filter, value), inserted.remove(filter, value));
        }
        prop_assert_eq!(reader.matches(Way::Into, &topics), oracle.matches(&topics));
        built.publish();
        prop_assert_eq!(built.pairs(), inserted.pairs());
        prop_assert_eq!(reader.matches(Way::Batch(16), &topics), inserted.matches(&topics));
    }
}

/// Sets of filters that press on one part of an index.
mod crowds {
    use super::*;

    /// Grows with checks on the way, shrinks with checks on the way, and grows once more in bulk.
    fn grow_and_shrink(filters: Vec<String>, words: &[&str]) {
        let mut random = Random(0x5eed);
        let mut pairs: Vec<Pair> = filters.iter().zip(0..).map(|(text, value)| (filter(text), value % 1_000)).collect();
        random.shuffle(&mut pairs);
        let mut world = World::new(11);
        let check = |world: &mut World, random: &mut Random| {
            world.publish();
            let topics = world.some_topics(random, words, 24);
            world.check_matches(&topics, &[Way::Slices, Way::Into, Way::Batch(16)]);
            for filter in world.some_filters(random, 2) {
                world.check_relatives(&filter);
            }
            world.check_pairs();
        };
        let steps = [1, 2, 8, 60, 61, 62, 63, 64, 65, 66, 130, 500, 513, pairs.len() / 2, pairs.len()];
        let mut at = 0;
        for step in steps {
            for (filter, value) in pairs.get(at..step).unwrap_or_default() {
                world.insert(filter, *value);
            }
            at = at.max(step);
            check(&mut world, &mut random);
            if step == 500 {
                world.snapshot();
            }
        }
        let mut left = pairs.clone();
        random.shuffle(&mut left);
        for step in steps.iter().rev() {
            for (filter, value) in left.drain((*step).min(left.len())..) {
                world.remove(&filter, value);
            }
            check(&mut world, &mut random);
        }
        world.empty(&mut random);

        let built = FilterIndex::build(12, pairs.iter().map(|(filter, value)| (filter, *value)));
        let oracle = Oracle::new(&pairs);
        let topics: Vec<_> = (0..24)
            .map(|_| {
                let (filter, _) = random.pick(&pairs).clone();
                near(&mut random, &filter, words)
            })
            .collect();
        same(&topics, &built.matches(&topics), &oracle.matches(&topics), "built");
        assert_eq!(built.pairs(), oracle.pairs());
    }

    /// Every filter of `depth` levels of these words.
    fn all(words: &[&str], depth: usize) -> Vec<String> {
        let mut list: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        for _ in 1..depth {
            list = list.iter().flat_map(|start| words.iter().map(move |word| format!("{start}/{word}"))).collect();
        }
        list
    }

    #[test]
    fn few_words_and_many_filters() {
        let mut filters = all(&["+", "a", "b"], 7);
        filters.extend(all(&["+", "a", "b"], 5).iter().map(|text| format!("{text}/#")));
        grow_and_shrink(filters, &["a", "b", "c"]);
    }

    #[test]
    fn every_set_of_plus_over_ten_levels() {
        let filters = (0..1 << 10).map(|set: u32| {
            let levels: Vec<_> =
                (0..10).map(|at| if set >> at & 1 == 1 { "+".into() } else { format!("l{at}") }).collect();
            levels.join("/")
        });
        let words = ["l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9"];
        grow_and_shrink(filters.collect(), &words);
    }

    /// 10 levels over 8 words, half of them `+`, 5 % with `#`.
    #[test]
    fn half_of_the_levels_are_plus() {
        let words = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let mut random = Random(33);
        let mut filters: Vec<String> = (0..4_000)
            .map(|_| {
                let mut levels: Vec<&str> =
                    (0..10).map(|_| if random.chance(50) { "+" } else { random.word(&words) }).collect();
                if random.chance(5) {
                    levels.truncate(3 + random.below(7));
                    levels.push("#");
                }
                levels.join("/")
            })
            .collect();
        filters.sort();
        filters.dedup();
        grow_and_shrink(filters, &words);
    }

    #[test]
    fn long_common_beginnings() {
        for beginning in ["x/".repeat(20), "+/".repeat(20), "x/+/".repeat(18), format!("{}/", "long".repeat(100))] {
            let mut filters: Vec<String> = (0..700).map(|n| format!("{beginning}{n}")).collect();
            filters.extend((0..300).map(|n| format!("{beginning}{n}/+/{}/#", n % 7)));
            filters.extend((0..18).map(|n| format!("{}#", "x/".repeat(n))));
            grow_and_shrink(filters, &["x", "1", "299", "6"]);
        }
    }

    #[test]
    fn long_common_ends() {
        for end in ["/x".repeat(20), "/+".repeat(20), "/+/x/#".to_owned()] {
            let mut filters: Vec<String> = (0..900).map(|n| format!("{n}{end}")).collect();
            filters.push(format!("+{end}"));
            grow_and_shrink(filters, &["x", "1", "899"]);
        }
    }

    #[test]
    fn all_under_one_word() {
        for (before, after) in
            [("a/", ""), ("a/", "/+"), ("", "/b"), ("+/", ""), ("+/", "/#"), ("a/+/", "/+/b"), ("$x/", "/+")]
        {
            let mut filters: Vec<String> = (0..1_200).map(|n| format!("{before}{n}{after}")).collect();
            filters.push(format!("{before}+{after}"));
            grow_and_shrink(filters, &["a", "b", "0", "17", "1199", "$x"]);
        }
    }

    #[test]
    fn a_chain_of_filters_each_below_the_last() {
        let mut filters = vec!["#".to_owned()];
        for depth in 1..250 {
            filters.push(vec!["a"; depth].join("/"));
            filters.push(vec!["a"; depth].join("/") + "/#");
            filters.push(vec!["+"; depth].join("/"));
            filters.push(vec!["+"; depth].join("/") + "/#");
        }
        grow_and_shrink(filters, &["a", "b", ""]);
    }

    #[test]
    fn a_mixture() {
        let mut random = Random(44);
        let words: Vec<String> = (0..50).map(|n| format!("w{n}")).collect();
        let mut filters: Vec<String> = (0..6_000)
            .map(|n| {
                let depth = 5 + random.below(3);
                let mut levels: Vec<String> = (0..depth).map(|_| random.pick(&words).clone()).collect();
                levels[depth - 1] = format!("dev-{}", n / 3);
                if random.chance(30) {
                    let at = random.below(depth);
                    levels[at] = "+".into();
                    if random.chance(30) {
                        levels.truncate(3);
                        levels.push("#".into());
                    }
                }
                levels.join("/")
            })
            .collect();
        filters.sort();
        filters.dedup();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        grow_and_shrink(filters, &words);
    }

    #[test]
    fn many_values_and_many_filters() {
        let mut random = Random(55);
        let mut world = World::new(1);
        let filters: Vec<_> =
            (0..40).map(|n| filter(format!("a/{}/{}", n % 8, if n % 3 == 0 { "+" } else { "b" }))).collect();
        for round in 0..12 {
            for _ in 0..1_000 {
                let (filter, value) = (random.pick(&filters).clone(), random.below(600) as u32);
                if random.chance(if round < 6 { 80 } else { 25 }) {
                    world.insert(&filter, value);
                } else {
                    world.remove(&filter, value);
                }
            }
            world.publish();
            if round % 3 == 0 {
                world.snapshot();
            }
            let topics: Vec<_> = (0..9).map(|n| topic(format!("a/{n}/b"))).collect();
            world.check_matches(&topics, &WAYS);
            world.check_pairs();
        }
        world.empty(&mut random);
    }
}

/// With so many words some have the same short hash; the words decide.
#[test]
fn hashes_that_collide_match_nothing() {
    let count = 150_000;
    for (kind, text) in [("topics", ""), ("words", "+/"), ("first words", "")] {
        let tail = if kind == "first words" { "/+" } else { "" };
        let pairs = (0..count).map(|n| (filter(format!("{text}in-{n}{tail}")), n));
        let mut index = FilterIndex::build(77, pairs);
        let reader = index.reader();
        for n in 0..count {
            let (text, tail) = (text.replace('+', "x"), tail.replace('+', "x"));
            assert!(!index.is_match(format!("{text}out-{n}{tail}")), "{kind}: {n}");
            let mut found = Vec::new();
            reader.for_each_match(format!("{text}in-{n}{tail}"), |&value| found.push(value));
            assert_eq!(found, [n], "{kind}");
        }
    }
}

/// The same pairs under other seeds: the same answers.
#[test]
fn the_seed_changes_no_answer() {
    let mut random = Random(66);
    let mut filters: Vec<Pair> = Vec::new();
    for n in 0..300 {
        let levels: Vec<&str> = (0..1 + random.below(5)).map(|_| random.word(&["+", "a", "b", "c", ""])).collect();
        filters.extend(TopicFilter::new(levels.join("/") + if n % 4 == 0 { "/#" } else { "" }).ok().map(|f| (f, n)));
    }
    let topics: Vec<_> = (0..50)
        .map(|_| {
            let (f, _) = random.pick(&filters).clone();
            near(&mut random, &f, &["a", "b", "x"])
        })
        .collect();
    let oracle = Oracle::new(&filters);
    for seed in (0..40).chain([u64::MAX, 1 << 63, 0x9e37_79b9_7f4a_7c15]) {
        let built = FilterIndex::build(seed, filters.clone());
        assert_eq!(built.matches(&topics), oracle.matches(&topics), "seed {seed}");
        assert_eq!(sorted(built.iter()), oracle.pairs(), "seed {seed}");
    }
}
