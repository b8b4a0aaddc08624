//! Rates per CPU second, and times of single calls.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use link_core::index::Matches;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    engines::{BATCH, Engine, Way},
    workloads::Texts,
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds in which every engine has its turn; results are medians over them.
    pub rounds: usize,
    /// CPU time of a turn.
    pub turn: Duration,
    /// CPU time before each turn that doesn't count: the caches are another engine's.
    pub warm: Duration,
}

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The time that `work` takes of this thread's CPU.
pub fn spent<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = cpu();
    let done = work();
    (done, cpu() - start)
}

pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// One engine under one draw of topics.
pub struct Lane<'a> {
    engine: &'a dyn Engine,
    way: Way,
    topics: &'a [&'a str],
    /// The next topic.
    at: usize,
    /// Topics between two looks at the clock.
    chunk: usize,
    buffer: Matches<u32>,
    /// Topics per CPU second, by round.
    pub rates: Vec<f64>,
}

impl<'a> Lane<'a> {
    pub fn new(engine: &'a dyn Engine, way: Way, topics: &'a [&'a str]) -> Self {
        let chunk = if way == Way::Batched { BATCH } else { 1 };
        Self { engine, way, topics, at: 0, chunk, buffer: Matches::new(), rates: Vec::new() }
    }

    /// One round.
    pub fn turn(&mut self, effort: &Effort) {
        self.run(effort.warm);
        let rate = self.run(effort.turn);
        self.rates.push(rate);
    }

    /// Topics per CPU second.
    fn run(&mut self, budget: Duration) -> f64 {
        let start = cpu();
        let (mut done, mut last) = (0, Duration::ZERO);
        loop {
            let topics = &self.topics[self.at..(self.at + self.chunk).min(self.topics.len())];
            black_box(self.engine.run(self.way, topics, &mut self.buffer));
            done += topics.len();
            self.at = (self.at + topics.len()) % self.topics.len();
            let now = cpu() - start;
            if now >= budget {
                return done as f64 / now.as_secs_f64();
            }
            if now - last < Duration::from_micros(200) {
                self.chunk *= 2;
            }
            last = now;
        }
    }

    /// Nanoseconds for each of some topics, by the wall clock, less what the clock itself takes. Of a batch every topic
    /// has its share.
    pub fn times(&mut self, topics: usize, budget: Duration) -> Vec<f64> {
        let clock = clock_overhead();
        let size = if self.way == Way::Batched { BATCH } else { 1 };
        let began = Instant::now();
        let mut times = Vec::new();
        for call in self.topics.chunks_exact(size).take(topics.div_ceil(size)) {
            let start = Instant::now();
            black_box(self.engine.run(self.way, call, &mut self.buffer));
            let time = start.elapsed().as_nanos() as f64;
            times.push((time - clock).max(0.0) / size as f64);
            if began.elapsed() > budget {
                break;
            }
        }
        times
    }
}

/// What two looks at the clock with nothing in between say, in nanoseconds.
pub fn clock_overhead() -> f64 {
    let empty = |_| {
        let start = Instant::now();
        black_box(());
        start.elapsed().as_nanos() as f64
    };
    median(&(0..10_000).map(empty).collect::<Vec<_>>())
}

/// Nanoseconds of one `is_match` for topics that are asked for again and again.
pub fn presence(engine: &dyn Engine, topics: &[String], effort: &Effort) -> f64 {
    let round = |_| {
        let (mut calls, start) = (0, cpu());
        loop {
            for _ in 0..64 {
                for topic in topics {
                    black_box(engine.is_match(black_box(topic)));
                }
            }
            calls += 64 * topics.len();
            let now = cpu() - start;
            if now >= effort.turn / 4 {
                return now.as_nanos() as f64 / calls as f64;
            }
        }
    };
    median(&(0..effort.rounds).map(round).collect::<Vec<_>>())
}

/// Removals and inserts a second of CPU time: every so many'th filter is taken out, and put back in.
pub fn changes(engine: &mut dyn Engine, filters: &Texts, budget: Duration) -> (f64, f64) {
    // A step that has no factor in common with round numbers visits filters from all over.
    let places: Vec<_> = (0..filters.len()).map(|n| n.wrapping_mul(7_919) % filters.len()).take(200_000).collect();
    let mut gone = Vec::new();
    let remove = each(places.into_iter(), budget, engine, |engine, n| {
        if engine.remove(filters.get(n), value(n)) {
            gone.push(n);
        }
    });
    let insert = each(gone.into_iter(), Duration::MAX, engine, |engine, n| engine.insert(filters.get(n), value(n)));
    (remove, insert)
}

/// How many a second, published 64 at a time.
fn each(
    places: impl Iterator<Item = usize>,
    budget: Duration,
    engine: &mut dyn Engine,
    mut change: impl FnMut(&mut dyn Engine, usize),
) -> f64 {
    let (mut done, start) = (0, cpu());
    for n in places {
        change(engine, n);
        done += 1;
        if done % 64 == 0 {
            engine.publish();
            if cpu() - start > budget {
                break;
            }
        }
    }
    engine.publish();
    done as f64 / (cpu() - start).as_secs_f64()
}

fn value(place: usize) -> u32 {
    u32::try_from(place).expect("a workload has fewer than 2^32 filters")
}
