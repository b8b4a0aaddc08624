//! The ways to ask an index of topic filters, behind one trait, so that one table of cases runs against all of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code; each binary uses a part of it"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use link_core::{
    index::{FilterIndex, Matches, Reader, Snapshot},
    topic::{Topic, TopicFilter},
};

pub type Pair = (TopicFilter, u32);

pub fn filter(text: impl AsRef<str>) -> TopicFilter {
    TopicFilter::new(text.as_ref()).unwrap()
}

pub fn topic(text: impl AsRef<str>) -> Topic {
    Topic::new(text.as_ref()).unwrap()
}

/// The filters, each with its place for a value.
pub fn numbered<T: AsRef<str>>(filters: impl IntoIterator<Item = T>) -> Vec<Pair> {
    filters.into_iter().zip(0..).map(|(text, value)| (filter(text), value)).collect()
}

/// Something that holds pairs and is asked about them. Every list comes sorted.
pub trait Engine {
    /// The values of each topic.
    fn matches(&self, topics: &[Topic]) -> Vec<Vec<u32>>;
    fn pairs(&self) -> Vec<Pair>;
    fn relatives(&self, filter: &TopicFilter) -> Relatives;
}

/// The pairs that stand in some relation to a filter.
#[derive(Debug, Default, PartialEq)]
pub struct Relatives {
    pub covering: Vec<Pair>,
    pub covered_by: Vec<Pair>,
    pub intersecting: Vec<Pair>,
}

/// What an index is, and slow: pairs that are asked one by one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Oracle {
    values: BTreeMap<TopicFilter, BTreeSet<u32>>,
    len: usize,
}

impl Oracle {
    pub fn new(pairs: &[Pair]) -> Self {
        let mut oracle = Self::default();
        for (filter, value) in pairs {
            oracle.insert(filter, *value);
        }
        oracle
    }

    pub fn insert(&mut self, filter: &TopicFilter, value: u32) -> bool {
        let is_new = self.values.entry(filter.without_share()).or_default().insert(value);
        self.len += usize::from(is_new);
        is_new
    }

    pub fn remove(&mut self, filter: &TopicFilter, value: u32) -> bool {
        let filter = filter.without_share();
        let Some(values) = self.values.get_mut(&filter) else { return false };
        let was_there = values.remove(&value);
        self.len -= usize::from(was_there);
        if values.is_empty() {
            self.values.remove(&filter);
        }
        was_there
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn filters(&self) -> impl Iterator<Item = &TopicFilter> {
        self.values.keys()
    }

    fn those(&self, passes: impl Fn(&TopicFilter) -> bool) -> Vec<Pair> {
        let filters = self.values.iter().filter(|(filter, _)| passes(filter));
        filters.flat_map(|(filter, values)| values.iter().map(|&value| (filter.clone(), value))).collect()
    }
}

impl Engine for Oracle {
    fn matches(&self, topics: &[Topic]) -> Vec<Vec<u32>> {
        let of = |topic: &Topic| {
            let matching = self.values.iter().filter(|(filter, _)| filter.matches(topic));
            sorted(matching.flat_map(|(_, values)| values).copied())
        };
        topics.iter().map(of).collect()
    }

    fn pairs(&self) -> Vec<Pair> {
        self.those(|_| true)
    }

    fn relatives(&self, filter: &TopicFilter) -> Relatives {
        Relatives {
            covering: self.those(|other| other.covers(filter)),
            covered_by: self.those(|other| filter.covers(other)),
            intersecting: self.those(|other| filter.intersect(other).is_some()),
        }
    }
}

/// The writer's own view.
impl Engine for FilterIndex<u32> {
    fn matches(&self, topics: &[Topic]) -> Vec<Vec<u32>> {
        let of = |topic: &Topic| {
            let mut values = Vec::new();
            self.for_each_match(topic, |&value| values.push(value));
            assert_eq!(self.is_match(topic), !values.is_empty(), "is_match of {}", short(topic.as_str()));
            sorted(values)
        };
        topics.iter().map(of).collect()
    }

    fn pairs(&self) -> Vec<Pair> {
        let pairs = sorted(self.iter());
        assert_eq!((self.len(), self.is_empty()), (pairs.len(), pairs.is_empty()));
        assert!(pairs.iter().all(|(filter, value)| self.contains(filter, value)));
        pairs
    }

    fn relatives(&self, filter: &TopicFilter) -> Relatives {
        let covering = sorted(self.covering(filter));
        assert_eq!(self.covers(filter), !covering.is_empty(), "covers of {}", short(filter.as_str()));
        let (covered_by, intersecting) = (sorted(self.covered_by(filter)), sorted(self.intersecting(filter)));
        Relatives { covering, covered_by, intersecting }
    }
}

/// How a published state is read.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Each,
    Slices,
    Into,
    /// That many topics at once.
    Batch(usize),
}

pub const WAYS: [Way; 9] = [
    Way::Each,
    Way::Slices,
    Way::Into,
    Way::Batch(1),
    Way::Batch(2),
    Way::Batch(15),
    Way::Batch(16),
    Way::Batch(17),
    Way::Batch(40),
];

/// A [`Reader`] or a [`Snapshot`].
pub trait Read: Clone {
    fn matches(&self, way: Way, topics: &[Topic]) -> Vec<Vec<u32>>;
    fn count(&self) -> usize;
    fn picture(&self) -> Snapshot<u32>;
}

macro_rules! read {
    ($type:ident, $slices:ident, $picture:expr) => {
        impl Read for $type<u32> {
            fn matches(&self, way: Way, topics: &[Topic]) -> Vec<Vec<u32>> {
                // One buffer for all, so that what is left in it shows.
                let mut buffer = Matches::default();
                if let Way::Batch(size) = way {
                    return in_batches(size, topics, |batch| {
                        self.matches_batch(batch, &mut buffer);
                        (0..batch.len()).map(|at| sorted(buffer.of(at).iter().copied())).collect()
                    });
                }
                let of = |topic: &Topic| {
                    let mut values = Vec::new();
                    match way {
                        Way::Each => self.for_each_match(topic, |&value| values.push(value)),
                        Way::Slices => $slices(self, topic, &mut values),
                        _ => {
                            self.matches_into(topic, &mut buffer);
                            values.extend_from_slice(buffer.as_slice());
                        }
                    }
                    assert_eq!(self.is_match(topic), !values.is_empty(), "is_match of {}", short(topic.as_str()));
                    sorted(values)
                };
                topics.iter().map(of).collect()
            }

            fn count(&self) -> usize {
                assert_eq!(self.is_empty(), self.len() == 0);
                self.len()
            }

            fn picture(&self) -> Snapshot<u32> {
                let picture: fn(&Self) -> Snapshot<u32> = $picture;
                picture(self)
            }
        }
    };
}

read!(Reader, slices, |reader| reader.snapshot());
read!(Snapshot, one_by_one, |snapshot| snapshot.clone());

fn slices(reader: &Reader<u32>, topic: &Topic, values: &mut Vec<u32>) {
    reader.for_each_slice(topic, |slice| values.extend_from_slice(slice));
}

fn one_by_one(snapshot: &Snapshot<u32>, topic: &Topic, values: &mut Vec<u32>) {
    snapshot.for_each_match(topic, |&value| values.push(value));
}

/// Asks for batches of exactly `size`, in which topics repeat as need be.
fn in_batches(size: usize, topics: &[Topic], mut ask: impl FnMut(&[Topic]) -> Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    assert!(ask(&[]).is_empty());
    if topics.is_empty() {
        return Vec::new();
    }
    let padded: Vec<_> = topics.iter().cycle().take(topics.len().next_multiple_of(size)).cloned().collect();
    let mut answers: Vec<_> = padded.chunks(size).flat_map(&mut ask).collect();
    let repeated = answers.split_off(topics.len());
    for (at, again) in repeated.into_iter().enumerate() {
        assert_eq!(again, answers[at % topics.len()], "the same topic twice: {}", short(topics[at].as_str()));
    }
    answers
}

struct Through<R> {
    read: R,
    way: Way,
    _writer: Rc<FilterIndex<u32>>,
}

impl<R: Read> Engine for Through<R> {
    fn matches(&self, topics: &[Topic]) -> Vec<Vec<u32>> {
        self.read.matches(self.way, topics)
    }

    fn pairs(&self) -> Vec<Pair> {
        pairs_of(&self.read.picture(), self.read.count())
    }

    fn relatives(&self, filter: &TopicFilter) -> Relatives {
        relatives_of(&self.read.picture(), filter)
    }
}

pub fn pairs_of(snapshot: &Snapshot<u32>, count: usize) -> Vec<Pair> {
    let pairs = sorted(snapshot.iter());
    assert_eq!((snapshot.len(), count), (pairs.len(), pairs.len()));
    pairs
}

pub fn relatives_of(snapshot: &Snapshot<u32>, filter: &TopicFilter) -> Relatives {
    let covering = sorted(snapshot.covering(filter));
    assert_eq!(snapshot.covers(filter), !covering.is_empty(), "covers of {}", short(filter.as_str()));
    let (covered_by, intersecting) = (sorted(snapshot.covered_by(filter)), sorted(snapshot.intersecting(filter)));
    Relatives { covering, covered_by, intersecting }
}

/// Every engine, with these pairs in it.
pub fn engines(seed: u64, pairs: &[Pair]) -> Vec<(String, Box<dyn Engine>)> {
    engines_of(&WAYS, seed, pairs)
}

/// Every engine, but only these ways to read.
pub fn engines_of(ways: &[Way], seed: u64, pairs: &[Pair]) -> Vec<(String, Box<dyn Engine>)> {
    let mut list: Vec<(String, Box<dyn Engine>)> = vec![
        ("oracle".into(), Box::new(Oracle::new(pairs))),
        ("writer".into(), Box::new(inserted(seed, pairs))),
        ("writer with half of it published".into(), Box::new(half_published(seed, pairs))),
        ("writer after removals".into(), Box::new(after_removals(seed, pairs))),
        (
            "built".into(),
            Box::new(FilterIndex::build(seed, pairs.iter().rev().map(|(filter, value)| (filter, *value)))),
        ),
    ];
    let mut index = inserted(seed, pairs);
    let reader = index.reader();
    let index = Rc::new(index);
    each_way(&mut list, ways, "reader", &reader, &index);

    let mut index = FilterIndex::build(seed, pairs.iter().map(|(filter, value)| (filter, *value)));
    let reader = index.reader();
    let index = Rc::new(index);
    each_way(&mut list, ways, "reader of what was built", &reader, &index);

    let mut index = after_removals(seed, pairs);
    index.publish();
    let reader = index.reader();
    let index = Rc::new(index);
    each_way(&mut list, ways, "reader after removals", &reader, &index);

    let mut index = half_published(seed, pairs);
    let snapshot = index.snapshot();
    upset(&mut index, pairs);
    let index = Rc::new(index);
    each_way(&mut list, ways, "snapshot", &snapshot, &index);

    let mut index = inserted(seed, pairs);
    let snapshot = index.reader().snapshot();
    upset(&mut index, pairs);
    let index = Rc::new(index);
    each_way(&mut list, ways, "snapshot of a reader", &snapshot, &index);
    list
}

fn each_way<R: Read + 'static>(
    list: &mut Vec<(String, Box<dyn Engine>)>,
    ways: &[Way],
    name: &str,
    read: &R,
    writer: &Rc<FilterIndex<u32>>,
) {
    list.extend(ways.iter().map(|&way| {
        let engine = Through { read: read.clone(), way, _writer: Rc::clone(writer) };
        (format!("{name}, {way:?}"), Box::new(engine) as Box<dyn Engine>)
    }));
}

fn inserted(seed: u64, pairs: &[Pair]) -> FilterIndex<u32> {
    let mut index = FilterIndex::new(seed);
    for (filter, value) in pairs {
        index.insert(filter, *value);
    }
    index
}

fn half_published(seed: u64, pairs: &[Pair]) -> FilterIndex<u32> {
    let (first, second) = pairs.split_at(pairs.len() / 2);
    let mut index = inserted(seed, first);
    index.reader();
    for (filter, value) in second {
        index.insert(filter, *value);
    }
    index
}

/// The pairs, among others that come and go.
fn after_removals(seed: u64, pairs: &[Pair]) -> FilterIndex<u32> {
    let mut index = FilterIndex::new(seed);
    let others: Vec<_> = OTHERS.iter().map(filter).collect();
    let step = pairs.len() / 50 + 1;
    for (at, (filter, value)) in pairs.iter().enumerate() {
        if at % step == 0 {
            others.iter().for_each(|other| assert!(index.insert(other, NOBODY + 1 + at as u32)));
            index.publish();
        }
        index.insert(filter, *value);
        index.insert(filter, NOBODY);
    }
    for at in (0..pairs.len()).step_by(step) {
        for other in &others {
            assert!(index.remove(other, &(NOBODY + 1 + at as u32)));
        }
    }
    for filter in pairs.iter().map(|(filter, _)| filter.without_share()).collect::<BTreeSet<_>>() {
        assert!(index.remove(&filter, &NOBODY));
    }
    index
}

/// Changes everything that a snapshot could share with the index.
fn upset(index: &mut FilterIndex<u32>, pairs: &[Pair]) {
    for (at, (filter, value)) in pairs.iter().enumerate() {
        index.remove(filter, value);
        index.insert(filter, NOBODY);
        if at % (pairs.len() / 50 + 1) == 0 {
            index.publish();
        }
    }
    for other in OTHERS {
        index.insert(&filter(other), NOBODY);
    }
    index.publish();
    for (filter, _) in pairs {
        index.remove(filter, &NOBODY);
    }
    index.publish();
}

/// A value that no case has, with room for more above.
pub const NOBODY: u32 = 1 << 30;

const OTHERS: [&str; 16] =
    ["#", "+", "+/#", "+/+", "a", "a/#", "a/+", "a/b", "+/b", "/", "/#", "$SYS/#", "+/+/+", "a/b/c", "a/+/c", "é/+/#"];

pub fn sorted<T: Ord>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<_> = list.into_iter().collect();
    list.sort_unstable();
    list
}

/// A text for a message: the longest are too long for one.
pub fn short(text: &str) -> String {
    if text.len() <= 120 {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(40).collect();
    format!("{head:?} and more, {} bytes, {} levels", text.len(), text.split('/').count())
}

/// xorshift64: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 11) % limit as u64) as usize
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }

    /// A topic that the filter matches.
    pub fn topic_of(&mut self, filter: &TopicFilter, words: &[&str]) -> Topic {
        let mut levels: Vec<&str> = filter.levels().collect();
        if levels.last() == Some(&"#") {
            levels.pop();
            let least = usize::from(levels.is_empty() || levels == [""]);
            let more = least + self.below(3);
            levels.extend((0..more).map(|_| self.word(words)));
        }
        for level in &mut levels {
            if *level == "+" {
                *level = self.word(words);
            }
        }
        let text = levels.join("/");
        // One empty level is no topic, and `$` hides the first level from wildcards.
        let is_hidden = text.starts_with('$') && !filter.pattern().starts_with('$');
        if text.is_empty() || is_hidden { topic(format!("w{text}")) } else { topic(text) }
    }
}
