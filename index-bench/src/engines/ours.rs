use link_core::{
    index::{FilterIndex, Matches, Reader},
    topic::TopicFilter,
};

use super::{BATCH, Digest, Engine, Way};
use crate::workloads::Texts;

/// Of the hashes. Any will do.
const SEED: u64 = 0x00c0_ffee;

/// The index of `link-core`, read by a [`Reader`], as any thread but the writer's reads it.
pub struct Ours {
    index: FilterIndex<u32>,
    reader: Reader<u32>,
}

impl Default for Ours {
    fn default() -> Self {
        Self::of(FilterIndex::new(SEED))
    }
}

impl Ours {
    /// Builds it of all filters at once.
    pub fn build(filters: &Texts) -> Self {
        Self::of(FilterIndex::build(SEED, filters.iter().map(parse).zip(0..)))
    }

    /// Builds it by single inserts.
    pub fn grow(filters: &Texts) -> Self {
        let mut ours = Self::default();
        for (filter, value) in filters.iter().zip(0..) {
            ours.index.insert(&parse(filter), value);
            if value % 64 == 63 {
                ours.index.publish();
            }
        }
        ours.index.publish();
        ours
    }

    pub fn reader(&self) -> Reader<u32> {
        self.reader.clone()
    }

    fn of(mut index: FilterIndex<u32>) -> Self {
        let reader = index.reader();
        Self { index, reader }
    }
}

impl Engine for Ours {
    fn insert(&mut self, filter: &str, value: u32) {
        self.index.insert(&parse(filter), value);
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        self.index.remove(&parse(filter), &value)
    }

    fn publish(&mut self) {
        self.index.publish();
    }

    fn ways(&self) -> &'static [Way] {
        &[Way::Single, Way::Batched]
    }

    fn run(&self, way: Way, topics: &[&str], buffer: &mut Matches<u32>) -> Digest {
        read(&self.reader, way, topics, buffer)
    }

    fn answers(&self, way: Way, topics: &[&str]) -> Vec<Vec<u32>> {
        let mut matches = Matches::new();
        if way == Way::Batched {
            self.reader.matches_batch(topics, &mut matches);
            return (0..topics.len()).map(|n| matches.of(n).to_vec()).collect();
        }
        let answer = |topic: &&str| {
            self.reader.matches_into(topic, &mut matches);
            matches.as_slice().to_vec()
        };
        topics.iter().map(answer).collect()
    }

    fn is_match(&self, topic: &str) -> bool {
        self.reader.is_match(topic)
    }
}

/// What any thread with a reader does.
pub fn read(reader: &Reader<u32>, way: Way, topics: &[&str], buffer: &mut Matches<u32>) -> Digest {
    let mut digest = Digest::default();
    match way {
        Way::Single => topics.iter().for_each(|topic| {
            reader.matches_into(topic, buffer);
            buffer.as_slice().iter().for_each(|&value| digest.add(value));
        }),
        Way::Batched => topics.chunks(BATCH).for_each(|topics| {
            reader.matches_batch(topics, buffer);
            buffer.as_slice().iter().for_each(|&value| digest.add(value));
        }),
    }
    digest
}

fn parse(filter: &str) -> TopicFilter {
    TopicFilter::new(filter).expect("workloads have valid filters")
}
