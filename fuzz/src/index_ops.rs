//! A sequence of changes to a topic index and questions to it, against a set of pairs.

use std::collections::BTreeSet;

use link_core::{
    index::{FilterIndex, Matches, Pairs, Reader, Snapshot},
    topic::{Topic, TopicFilter},
};

use crate::lines;

/// Lines, each a letter of what to do and what to do it with. Others count for nothing.
///
/// ```text
/// +3a/b    adds the filter a/b with the value 3      =7a/b    the same with 2^7 values
/// -3a/b    takes it out                              _7a/b    takes those out
/// *5a/N/+  adds 2^5 filters, with a number for N     %5a/N/+  takes them out
/// !        publishes                                 ?a/b     asks which values match a topic
/// s        takes pictures of both ends               ~a/#     asks about covering and intersecting
/// x        drops the oldest                          .        compares all, with all topics so far in one batch
/// ```
pub fn index_ops(data: &[u8]) {
    let mut world = World::new();
    for line in lines(data).take(200) {
        world.step(&line);
    }
    world.end();
}

type Set = BTreeSet<(TopicFilter, u32)>;

struct World {
    index: FilterIndex<u32>,
    now: Set,
    reader: Reader<u32>,
    published: Set,
    snapshots: Vec<(Snapshot<u32>, Set)>,
    /// All that were asked about, for batches.
    topics: Vec<Topic>,
    matches: Matches<u32>,
    /// Pairs that lines of several may still change.
    budget: usize,
}

impl World {
    fn new() -> Self {
        let mut index = FilterIndex::new(7);
        let reader = index.reader();
        let (now, published, snapshots) = (Set::new(), Set::new(), Vec::new());
        Self { index, now, reader, published, snapshots, topics: Vec::new(), matches: Matches::new(), budget: 3_000 }
    }

    fn step(&mut self, line: &[u8]) {
        let text = |from: usize| std::str::from_utf8(line.get(from..).unwrap_or_default()).unwrap_or_default();
        let filter = |from| TopicFilter::new(text(from)).ok();
        let number = line.get(1).map_or(0, |&byte| u32::from(byte % 16));
        match line.first() {
            Some(b'+') => filter(2).iter().for_each(|filter| self.insert(filter, number)),
            Some(b'-') => filter(2).iter().for_each(|filter| self.remove(filter, number)),
            Some(b'*') => self.several(text(2), number).iter().for_each(|filter| self.insert(filter, number)),
            Some(b'%') => self.several(text(2), number).iter().for_each(|filter| self.remove(filter, number)),
            Some(b'=') => filter(2).iter().for_each(|filter| self.values(number).for_each(|v| self.insert(filter, v))),
            Some(b'_') => filter(2).iter().for_each(|filter| self.values(number).for_each(|v| self.remove(filter, v))),
            Some(b'!') => {
                self.index.publish();
                assert!(!self.index.has_pending());
                self.published = self.now.clone();
            }
            Some(b's') if self.snapshots.len() < 6 => {
                self.snapshots.push((self.index.snapshot(), self.now.clone()));
                self.snapshots.push((self.reader.snapshot(), self.published.clone()));
            }
            Some(b'x') if !self.snapshots.is_empty() => drop(self.snapshots.remove(0)),
            Some(b'?') => {
                if let Ok(topic) = Topic::new(text(1)) {
                    self.ask(&topic);
                    self.topics.truncate(36);
                    self.topics.push(topic);
                }
            }
            Some(b'~') => filter(1).iter().for_each(|filter| self.relate(filter)),
            Some(b'.') => self.compare(),
            _ => {}
        }
    }

    /// So many of something as a line may still have.
    fn count(&mut self, exponent: u32) -> u32 {
        let count = (1 << exponent.min(10)).min(self.budget);
        self.budget -= count;
        count as u32
    }

    fn values(&mut self, exponent: u32) -> std::ops::Range<u32> {
        0..self.count(exponent)
    }

    fn several(&mut self, text: &str, exponent: u32) -> Vec<TopicFilter> {
        if !text.contains('N') || TopicFilter::check(text).is_err() {
            return Vec::new();
        }
        let texts = (0..self.count(exponent)).map(|number| text.replace('N', &number.to_string()));
        texts.filter_map(|text| TopicFilter::new(text).ok()).collect()
    }

    fn insert(&mut self, filter: &TopicFilter, value: u32) {
        let is_new = self.now.insert((filter.without_share(), value));
        assert_eq!(self.index.contains(filter, &value), !is_new, "{filter:?} {value}");
        assert_eq!(self.index.insert(filter, value), is_new, "{filter:?} {value}");
        assert!(self.index.contains(filter, &value) && self.index.len() == self.now.len(), "{filter:?} {value}");
    }

    fn remove(&mut self, filter: &TopicFilter, value: u32) {
        let was_there = self.now.remove(&(filter.without_share(), value));
        assert_eq!(self.index.contains(filter, &value), was_there, "{filter:?} {value}");
        assert_eq!(self.index.remove(filter, &value), was_there, "{filter:?} {value}");
        assert!(!self.index.contains(filter, &value) && self.index.len() == self.now.len(), "{filter:?} {value}");
    }

    fn ask(&mut self, topic: &Topic) {
        let mut values = Vec::new();
        self.index.for_each_match(topic, |&value| values.push(value));
        same(topic, values, &self.now);
        let is_match = self.now.iter().any(|(filter, _)| filter.matches(topic));
        assert_eq!(self.index.is_match(topic), is_match, "{topic:?}");

        let mut values = Vec::new();
        self.reader.for_each_slice(topic, |slice| values.extend_from_slice(slice));
        same(topic, values, &self.published);
        self.reader.matches_into(topic, &mut self.matches);
        same(topic, self.matches.as_slice().to_vec(), &self.published);
        assert_eq!(self.reader.is_match(topic), !self.matches.is_empty(), "{topic:?}");
    }

    fn ask_all(&mut self) {
        self.reader.matches_batch(&self.topics, &mut self.matches);
        for (at, topic) in self.topics.iter().enumerate() {
            same(topic, self.matches.of(at).to_vec(), &self.published);
        }
        for (snapshot, set) in &self.snapshots {
            snapshot.matches_batch(&self.topics, &mut self.matches);
            for (at, topic) in self.topics.iter().enumerate() {
                same(topic, self.matches.of(at).to_vec(), set);
            }
        }
    }

    fn relate(&self, asked: &TopicFilter) {
        let index = &self.index;
        related(asked, &self.now, index.covering(asked), index.covered_by(asked), index.intersecting(asked));
        assert_eq!(index.covers(asked), index.covering(asked).next().is_some(), "{asked:?}");
        for (snapshot, set) in &self.snapshots {
            let (covering, covered_by) = (snapshot.covering(asked), snapshot.covered_by(asked));
            related(asked, set, covering, covered_by, snapshot.intersecting(asked));
        }
    }

    fn compare(&mut self) {
        self.ask_all();
        assert_eq!(once(self.index.iter()), self.now);
        assert_eq!(self.reader.len(), self.published.len());
        for (snapshot, set) in &self.snapshots {
            assert_eq!(snapshot.len(), set.len());
            assert_eq!(once(snapshot.iter()), *set);
        }
    }

    fn end(mut self) {
        self.compare();
        let built = FilterIndex::build(8, self.now.iter().map(|(filter, value)| (filter, *value)));
        assert_eq!(once(built.iter()), self.now);
        for topic in &self.topics {
            let mut values = Vec::new();
            built.for_each_match(topic, |&value| values.push(value));
            same(topic, values, &self.now);
        }
        for (filter, value) in std::mem::take(&mut self.now) {
            assert!(self.index.remove(&filter, &value), "{filter:?} {value}");
        }
        self.index.publish();
        assert!(self.index.is_empty() && self.index.iter().next().is_none() && self.reader.is_empty());
        self.published.clear();
        self.compare();
        // What a picture has held goes with the next change.
        self.snapshots.clear();
        for line in ["+1a", "!", "-1a", "!", "+1a", "!", "-1a", "!"] {
            self.step(line.as_bytes());
        }
        let bytes = self.index.memory_usage();
        assert!(bytes < 16_384, "{bytes} bytes for nothing");
    }
}

fn same(topic: &Topic, mut found: Vec<u32>, set: &Set) {
    let mut expected: Vec<u32> = set.iter().filter(|(filter, _)| filter.matches(topic)).map(|pair| pair.1).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "{topic:?}");
}

fn related(
    asked: &TopicFilter,
    set: &Set,
    covering: Pairs<'_, u32>,
    covered_by: Pairs<'_, u32>,
    intersecting: Pairs<'_, u32>,
) {
    let those = |passes: &dyn Fn(&TopicFilter) -> bool| -> Set {
        set.iter().filter(|(filter, _)| passes(filter)).cloned().collect()
    };
    assert_eq!(once(covering), those(&|filter| filter.covers(asked)), "covering {asked:?}");
    assert_eq!(once(covered_by), those(&|filter| asked.covers(filter)), "covered by {asked:?}");
    assert_eq!(once(intersecting), those(&|filter| asked.intersect(filter).is_some()), "intersecting {asked:?}");
}

/// The pairs, each of which must come once.
fn once(pairs: Pairs<'_, u32>) -> Set {
    let mut set = Set::new();
    for (filter, value) in pairs {
        assert!(set.insert((filter.clone(), value)), "twice: {filter:?} {value}");
    }
    set
}
