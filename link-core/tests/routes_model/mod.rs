//! What the tests of route sets share: strategies, a writer with its true history, and a reader's table.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use link_core::{
    interest::InterestChange,
    routes::{Covering, RouteChange, RouteKey, RouteLog},
    topic::{Topic, TopicFilter},
    wire::{Incarnation, RouteOp, RoutePosition},
};
use proptest::prelude::*;

pub type Set = BTreeSet<TopicFilter>;

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

pub fn set(texts: &[&str]) -> Set {
    texts.iter().map(|text| filter(text)).collect()
}

pub fn added(text: &str) -> InterestChange {
    InterestChange::Added(filter(text))
}

pub fn removed(text: &str) -> InterestChange {
    InterestChange::Removed(filter(text))
}

pub fn life(counter: u64) -> Incarnation {
    Incarnation { counter, nonce: counter * 1000 }
}

pub fn key(byte: u8) -> RouteKey {
    RouteKey([byte; 16])
}

/// A log with the link topics `imports`, key 1, life 1.
pub fn log(imports: &[&str], ring: usize) -> RouteLog {
    RouteLog::new(life(1), key(1), imports.iter().map(|text| filter(text)).collect(), ring)
}

/// Filters over few words, so that they cover and meet each other.
pub fn filters() -> impl Strategy<Value = TopicFilter> {
    let level = prop::sample::select(vec!["a", "b", "+", "$x"]);
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, open)| {
        if open || levels.is_empty() {
            levels.push("#");
        }
        filter(&levels.join("/"))
    })
}

/// Every topic that filters over these words could tell apart.
pub fn universe() -> Vec<Topic> {
    let words = ["a", "b", "c", "$x"];
    let mut topics: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut last = topics.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|topic| words.iter().map(move |word| format!("{topic}/{word}"))).collect();
        topics.extend(last.clone());
    }
    topics.into_iter().map(|text| Topic::new(text).unwrap()).collect()
}

/// Which of `topics` a set matches.
pub fn reach<'a>(set: impl IntoIterator<Item = &'a TopicFilter>, topics: &[Topic]) -> Vec<bool> {
    let set: Vec<&TopicFilter> = set.into_iter().collect();
    topics.iter().map(|topic| set.iter().any(|filter| filter.matches(topic))).collect()
}

/// What `interest` and `imports` have in common, without covering.
pub fn wanted(imports: &[TopicFilter], interest: &Set) -> Set {
    imports.iter().flat_map(|import| interest.iter().filter_map(|filter| import.intersect(filter))).collect()
}

/// Each change after `seq`, one by one.
pub fn ops_since(log: &RouteLog, mut seq: u64) -> Vec<RouteOp> {
    let mut ops = Vec::new();
    while seq < log.position().seq {
        let delta = log.since(seq, 0).unwrap();
        assert_eq!(delta.to.seq, seq + 1);
        ops.extend(delta.ops);
        seq = delta.to.seq;
    }
    ops
}

pub fn filter_of(op: &RouteOp) -> &TopicFilter {
    match op {
        RouteOp::Add(filter) | RouteOp::Remove(filter) => filter,
    }
}

pub fn apply(set: &mut Set, ops: &[RouteOp]) {
    for op in ops {
        match op {
            RouteOp::Add(filter) => drop(set.insert(filter.clone())),
            RouteOp::Remove(filter) => drop(set.remove(filter)),
        }
    }
}

/// A writer, and the set at each point of its history.
pub struct Writer {
    pub log: RouteLog,
    /// The same log with all of its changes.
    whole: RouteLog,
    pub interest: Set,
    pub history: BTreeMap<(Incarnation, u64), Set>,
}

impl Writer {
    /// Of a log that is still empty.
    pub fn new(log: RouteLog) -> Self {
        let whole = whole(&log);
        let mut writer = Self { log, whole, interest: Set::new(), history: BTreeMap::new() };
        writer.note(0, Set::new());
        writer
    }

    pub fn toggle(&mut self, filters: &[TopicFilter]) {
        let toggle = |filter: &TopicFilter| {
            if self.interest.remove(filter) {
                InterestChange::Removed(filter.clone())
            } else {
                self.interest.insert(filter.clone());
                InterestChange::Added(filter.clone())
            }
        };
        let filters: Set = filters.iter().cloned().collect();
        let changes: Vec<InterestChange> = filters.iter().map(toggle).collect();
        self.step(|log, _| log.apply(&changes));
    }

    /// Sets how fast covering follows.
    pub fn set_covering(&mut self, covering: Covering) {
        self.log.set_covering(covering);
        self.whole.set_covering(covering);
    }

    pub fn set_now(&mut self, now: Duration) {
        self.step(|log, _| log.set_now(now));
    }

    /// Lets covering go on.
    pub fn advance(&mut self, now: Duration, acked: Option<u64>) {
        self.step(|log, _| log.advance(now, acked));
    }

    pub fn set_imports(&mut self, imports: Vec<TopicFilter>) {
        self.step(|log, interest| log.set_imports(imports.clone(), interest));
    }

    /// A new life, in which only those of `kept` are still subscribed.
    pub fn restart(&mut self, key: RouteKey, kept: impl FnMut(&TopicFilter) -> bool, ring: usize) {
        let counter = self.log.position().incarnation.counter + 1;
        let imports = self.log.imports().to_vec();
        self.interest = std::mem::take(&mut self.interest).into_iter().filter(kept).collect();
        self.log = RouteLog::new(life(counter), key, imports, ring);
        self.whole = whole(&self.log);
        self.note(0, Set::new());
        let changes: Vec<_> = self.interest.iter().cloned().map(InterestChange::Added).collect();
        self.step(|log, _| log.apply(&changes));
    }

    /// The set at a point, which must be one of this writer's.
    pub fn at(&self, position: &RoutePosition) -> &Set {
        &self.history[&(position.incarnation, position.seq)]
    }

    pub fn now(&self) -> Set {
        self.log.announced().cloned().collect()
    }

    fn step(&mut self, step: impl Fn(&mut RouteLog, &Set)) {
        let from = self.log.position().seq;
        let mut set = self.now();
        step(&mut self.log, &self.interest);
        step(&mut self.whole, &self.interest);
        assert_eq!(self.log.position(), self.whole.position(), "the same calls make the same log");
        for (seq, op) in (from + 1..).zip(ops_since(&self.whole, from)) {
            apply(&mut set, &[op]);
            self.note(seq, set.clone());
        }
        assert_eq!(set, self.now(), "the ops lead to the announced set");
    }

    fn note(&mut self, seq: u64, set: Set) {
        self.history.insert((self.log.position().incarnation, seq), set);
    }
}

fn whole(log: &RouteLog) -> RouteLog {
    RouteLog::new(log.position().incarnation, *log.key(), log.imports().to_vec(), usize::MAX)
}

/// A match table that is told changes only, and refuses one that is no change.
#[derive(Debug, Default, PartialEq)]
pub struct Table(pub Set);

impl Table {
    pub fn take(&mut self, changes: Vec<RouteChange>) {
        for change in changes {
            match change {
                RouteChange::Add(filter) => assert!(self.0.insert(filter.clone()), "{filter} was there"),
                RouteChange::Remove(filter) => assert!(self.0.remove(&filter), "{filter} was not there"),
            }
        }
    }
}
