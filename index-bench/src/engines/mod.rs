//! What is compared, behind one trait.
//!
//! Every engine takes filters and topics as text, as they come off a connection: what its interface wants them parsed
//! or split into is part of its time.

#[cfg(test)]
mod differences;
mod hash_map;
mod mqtt5;
mod ours;
mod quill;
mod rmqtt;
mod topic_engine;
mod zenoh;

use link_core::index::Matches;

pub use ours::{Ours, read};

use crate::workloads::{Texts, Workload};

/// How many topics are matched at once where an engine can do that.
pub const BATCH: usize = 16;

/// What was found: how many values, and their sum, so that nothing can be left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    pub count: u64,
    pub sum: u64,
}

impl Digest {
    pub fn add(&mut self, value: u32) {
        self.count += 1;
        self.sum += u64::from(value);
    }
}

/// Topics asked for one at a time, or [`BATCH`] at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Single,
    Batched,
}

/// A multimap of topic filters that finds the values for a topic.
pub trait Engine: Send + Sync {
    fn insert(&mut self, filter: &str, value: u32);
    /// Whether the pair was there.
    fn remove(&mut self, filter: &str, value: u32) -> bool;
    /// Makes changes visible to readers, where that is a step of its own.
    fn publish(&mut self) {}
    fn ways(&self) -> &'static [Way] {
        &[Way::Single]
    }
    /// Finds and reads the values for each topic.
    fn run(&self, way: Way, topics: &[&str], buffer: &mut Matches<u32>) -> Digest;
    /// The values for each topic.
    fn answers(&self, way: Way, topics: &[&str]) -> Vec<Vec<u32>>;
    fn is_match(&self, topic: &str) -> bool;
}

/// An engine that takes one topic at a time.
trait Matcher: Send + Sync {
    fn insert(&mut self, filter: &str, value: u32);
    fn remove(&mut self, filter: &str, value: u32) -> bool;
    fn each(&self, topic: &str, found: impl FnMut(u32));
    fn is_match(&self, topic: &str) -> bool {
        let mut any = false;
        self.each(topic, |_| any = true);
        any
    }
}

impl<M: Matcher> Engine for M {
    fn insert(&mut self, filter: &str, value: u32) {
        Matcher::insert(self, filter, value);
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        Matcher::remove(self, filter, value)
    }

    fn run(&self, _: Way, topics: &[&str], _: &mut Matches<u32>) -> Digest {
        let mut digest = Digest::default();
        topics.iter().for_each(|topic| self.each(topic, |value| digest.add(value)));
        digest
    }

    fn answers(&self, _: Way, topics: &[&str]) -> Vec<Vec<u32>> {
        let answer = |topic: &&str| {
            let mut values = Vec::new();
            self.each(topic, |value| values.push(value));
            values
        };
        topics.iter().map(answer).collect()
    }

    fn is_match(&self, topic: &str) -> bool {
        Matcher::is_match(self, topic)
    }
}

/// An engine's name, and how to make one.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// From the command line.
    pub key: &'static str,
    pub role: Role,
    /// Makes one that holds these filters, each with its place as the value.
    pub build: fn(&Texts) -> Box<dyn Engine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Ours,
    Peer,
    /// A broker's way of matching, made again here because the broker keeps it to itself. Not a peer to beat: its exact
    /// filters are a `HashMap`, as the floor.
    Copy,
    /// Knows exact filters only.
    Floor,
}

impl Kind {
    /// Whether the engine can do what the workload asks for.
    pub fn suits(&self, workload: &Workload) -> bool {
        self.role != Role::Floor || workload.name == "W1"
    }
}

pub const KINDS: [Kind; 7] = [
    Kind { name: "link-core", key: "ours", role: Role::Ours, build: |filters| Box::new(Ours::build(filters)) },
    Kind { name: "HashMap", key: "hashmap", role: Role::Floor, build: fill::<hash_map::Floor> },
    Kind { name: "rmqtt 0.24.0", key: "rmqtt", role: Role::Peer, build: fill::<rmqtt::Tree> },
    Kind { name: "zenoh-keyexpr 1.10.2", key: "zenoh", role: Role::Peer, build: fill::<zenoh::Tree> },
    Kind { name: "quill-pubsub 0.1.0", key: "quill", role: Role::Peer, build: fill::<quill::Quill> },
    Kind { name: "mqtt-topic-engine 0.2.1", key: "topic-engine", role: Role::Peer, build: fill::<topic_engine::Tree> },
    Kind { name: "mqtt5 0.49.0 (copy)", key: "mqtt5", role: Role::Copy, build: fill::<mqtt5::Scan> },
];

/// One subscription after the other: no peer has another way.
fn fill<E: Engine + Default + 'static>(filters: &Texts) -> Box<dyn Engine> {
    let mut engine = E::default();
    for (filter, value) in filters.iter().zip(0..) {
        engine.insert(filter, value);
    }
    Box::new(engine)
}
