//! A `FilterIndex` as it is, with its readers, in many random orders of their steps.
//!
//! Threads may be switched between any two calls, and while a match is reported; a call itself runs through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use link_core::{
    index::{FilterIndex, Matches, Reader, Snapshot},
    topic::{Topic, TopicFilter},
};
use shuttle::{
    Config, Runner,
    rand::{Rng, rngs::ThreadRng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

const SITES: usize = 8;
const LINES: usize = 12;
const VALUES: u32 = 3;
const BATCHES: usize = 6;
const READERS: usize = 3;
const READS: usize = 8;

/// Marks the one value that tells states apart. Its filter matches every topic, so each match says what state it is of.
const STAMP: u32 = 1 << 31;
static EVERYTHING: LazyLock<TopicFilter> = LazyLock::new(|| filter("#"));

/// By site. The names are long so that a few sites take several leaves.
static FILTERS: LazyLock<Vec<Vec<TopicFilter>>> = LazyLock::new(|| {
    let wide = |site| [format!("{}/+", name(site)), format!("{}/#", name(site)), format!("+/{site}")];
    let texts = |site| (0..LINES).map(move |line| topic(site, line)).chain(wide(site));
    (0..SITES).map(|site| texts(site).map(|text| filter(&text)).collect()).collect()
});

fn name(site: usize) -> String {
    format!("site-{site}-{}", "x".repeat(100))
}

fn topic(site: usize, line: usize) -> String {
    format!("{}/{line}", name(site))
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

type Pair = (TopicFilter, u32);
type State = BTreeSet<Pair>;

/// What the index should hold. Nothing here is a point at which threads are switched.
#[derive(Default)]
struct Truth {
    /// By their stamps.
    states: Mutex<Vec<Arc<State>>>,
    published: Mutex<u32>,
}

impl Truth {
    fn published(&self) -> u32 {
        *self.published.lock().unwrap()
    }

    fn state(&self, stamp: u32) -> Arc<State> {
        self.states.lock().unwrap()[stamp as usize].clone()
    }

    /// Checks what was found for `topic` in the state of that stamp.
    fn check_match(&self, stamp: u32, topic: &str, mut found: Vec<u32>) {
        let topic = Topic::new(topic).unwrap();
        let state = self.state(stamp);
        let mut expected: Vec<u32> =
            state.iter().filter(|(filter, _)| filter.matches(&topic)).map(|&(_, value)| value).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{topic} in state {stamp}");
    }
}

struct Writer {
    index: FilterIndex<u32>,
    state: State,
    truth: Arc<Truth>,
    readers: Vec<thread::JoinHandle<()>>,
    pictures: Vec<(Snapshot<u32>, State)>,
    /// Whether there has been a reader.
    read: bool,
    /// Whether anything has changed since readers were shown all.
    changed: bool,
    random: ThreadRng,
}

impl Writer {
    fn new() -> Self {
        let mut random = thread_rng();
        let mut state = State::from([(EVERYTHING.clone(), STAMP)]);
        for _ in 0..random.gen_range(0..100) {
            state.insert(any_pair(&mut random));
        }
        let index = FilterIndex::build(random.r#gen(), state.iter().map(|(filter, value)| (filter, *value)));
        let truth = Arc::new(Truth::default());
        truth.states.lock().unwrap().push(Arc::new(state.clone()));
        Self { index, state, truth, readers: Vec::new(), pictures: Vec::new(), read: false, changed: false, random }
    }

    fn run(mut self) {
        for _ in 0..BATCHES {
            self.batch();
            if self.random.gen_bool(0.8) {
                self.publish();
            }
        }
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        // Each copy once in front.
        for _ in 0..2 {
            self.batch();
            self.publish();
            self.read = true;
            check_whole(&self.index.reader().snapshot(), &self.state);
        }
        assert!(self.index.iter().collect::<State>() == self.state);
        for (picture, state) in &self.pictures {
            check_whole(picture, state);
        }
    }

    fn batch(&mut self) {
        for _ in 0..self.random.gen_range(1..6) {
            match self.random.gen_range(0..1_000) {
                0..100 => self.site(true),
                100..200 => self.site(false),
                200..300 => self.pictures.push((self.index.snapshot(), self.state.clone())),
                300..600 if self.readers.len() < READERS => self.start_reader(),
                600 => self.many(),
                _ => self.toggle(),
            }
            step();
        }
    }

    /// All filters of a site, so that leaves are split and joined.
    fn site(&mut self, there: bool) {
        let site = self.random.gen_range(0..SITES);
        let value = self.random.gen_range(0..VALUES);
        for filter in &FILTERS[site] {
            self.set((filter.clone(), value), there);
        }
    }

    fn toggle(&mut self) {
        let pair = any_pair(&mut self.random);
        let there = self.state.contains(&pair);
        self.set(pair, !there);
    }

    /// More changes than the index writes down.
    fn many(&mut self) {
        let pair = any_pair(&mut self.random);
        let there = self.state.contains(&pair);
        for change in 0..5_000 {
            self.set(pair.clone(), there ^ (change % 2 == 0));
        }
    }

    fn set(&mut self, pair: Pair, there: bool) {
        let (filter, value) = &pair;
        let done = if there { self.index.insert(filter, *value) } else { self.index.remove(filter, value) };
        assert_eq!(done, self.state.contains(&pair) != there);
        assert_eq!(self.index.contains(filter, value), there);
        self.changed |= if there { self.state.insert(pair) } else { self.state.remove(&pair) };
        assert_eq!(self.index.len(), self.state.len());
        assert_eq!(self.index.has_pending(), self.read && self.changed);
    }

    /// Gives the state a stamp of its own, which is not always the last change.
    fn stamp(&mut self) -> u32 {
        let stamp = self.truth.states.lock().unwrap().len() as u32;
        self.set((EVERYTHING.clone(), STAMP | (stamp - 1)), false);
        self.set((EVERYTHING.clone(), STAMP | stamp), true);
        for _ in 0..self.random.gen_range(0..3) {
            self.toggle();
        }
        self.truth.states.lock().unwrap().push(Arc::new(self.state.clone()));
        stamp
    }

    fn publish(&mut self) {
        let stamp = self.stamp();
        self.index.publish();
        self.shown(stamp);
    }

    /// The first reader publishes.
    fn start_reader(&mut self) {
        let stamp = (!self.read).then(|| self.stamp());
        let reader = self.index.reader();
        self.read = true;
        stamp.into_iter().for_each(|stamp| self.shown(stamp));
        let (truth, random) = (self.truth.clone(), self.random.clone());
        self.readers.push(thread::spawn(move || Reading { reader, truth, random, kept: Vec::new() }.run()));
    }

    fn shown(&mut self, stamp: u32) {
        *self.truth.published.lock().unwrap() = stamp;
        self.changed = false;
        assert!(!self.index.has_pending());
    }
}

struct Reading {
    reader: Reader<u32>,
    truth: Arc<Truth>,
    random: ThreadRng,
    kept: Vec<(Snapshot<u32>, u32)>,
}

impl Reading {
    fn run(mut self) {
        for _ in 0..READS {
            self.read();
            step();
        }
        for (snapshot, stamp) in &self.kept {
            check_whole(snapshot, &self.truth.state(*stamp));
        }
    }

    /// Every call sees what is published when it begins, and goes on to see that.
    fn read(&mut self) {
        let topic = topic(self.random.gen_range(0..SITES), self.random.gen_range(0..LINES));
        let stamp = self.truth.published();
        let (reader, truth) = (&self.reader, &*self.truth);
        let mut found = Vec::new();
        match self.random.gen_range(0..7) {
            0 => reader.for_each_match(&topic, |&value| {
                found.push(value);
                step();
            }),
            1 => reader.for_each_slice(&topic, |values| {
                step();
                found.extend_from_slice(values);
            }),
            2 => {
                let mut matches = Matches::new();
                reader.matches_into(&topic, &mut matches);
                found.extend_from_slice(matches.as_slice());
            }
            3 => {
                let topics = [&*topic, "elsewhere", &topic];
                let mut matches = Matches::new();
                reader.matches_batch(&topics, &mut matches);
                for (topic, found) in topics.iter().zip(matches.iter()) {
                    truth.check_match(stamp, topic, found.to_vec());
                }
                return;
            }
            4 => {
                assert_eq!(reader.len(), truth.state(stamp).len());
                return;
            }
            5 => {
                self.kept.push((reader.snapshot(), stamp));
                return;
            }
            _ => {
                self.walk();
                return;
            }
        }
        truth.check_match(stamp, &topic, found);
    }

    /// Goes through a snapshot leaf by leaf, while everything goes on.
    fn walk(&self) {
        let Some((snapshot, stamp)) = self.kept.first() else { return };
        let mut cursor = snapshot.cursor();
        let mut pairs = State::new();
        while cursor.step(1, |text, values| pairs.extend(values.iter().map(|&value| (filter(text), value)))) {
            step();
        }
        assert!(pairs == *self.truth.state(*stamp), "the snapshot of state {stamp}");
    }
}

fn check_whole(snapshot: &Snapshot<u32>, state: &State) {
    assert_eq!(snapshot.len(), state.len());
    assert!(snapshot.iter().collect::<State>() == *state, "a snapshot has changed");
}

fn any_pair(random: &mut ThreadRng) -> Pair {
    let filters = &FILTERS[random.gen_range(0..SITES)];
    (filters[random.gen_range(0..filters.len())].clone(), random.gen_range(0..VALUES))
}

/// Another thread may go on here.
fn step() {
    thread::sleep(Duration::ZERO);
}

fn run(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    let schedules = Runner::new(scheduler, config).run(|| Writer::new().run());
    println!("{schedules} schedules");
}

#[test]
fn readers_see_whole_batches_in_any_order() {
    run(RandomScheduler::new(1_000));
}

/// Long runs of one thread, with few switches (S. Burckhardt et al., ASPLOS 2010).
#[test]
fn readers_see_whole_batches_with_few_switches() {
    run(PctScheduler::new(4, 1_000));
}
