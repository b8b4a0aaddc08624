//! A cluster of three nodes any of which takes a message for all: one copy, whatever happens to its nodes.
//!
//! ```text
//!  us-1 ──accepts──┬── eu-1      each of eu dials us-1; all know what the clients of eu want
//!                  ├── eu-2      connections are cut, with or without a word; nodes stop, die and come back
//!                  └── eu-3      hosts are slow
//! ```
//! The laws: what us-1 accepts it accepts once; each of it is taken by a host of eu, and by one alone, but for what a
//! host took and died before its sender knew; those of one publisher come in order, but for what was on its way to a node
//! that went away.
//!
//! `CLUSTER_SEEDS` says how many seeds run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod world;

use std::time::Duration;

use world::{Settings, World};

fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("CLUSTER_SEEDS").map_or(usual, |text| text.parse().unwrap())
}

/// What happened in all of the runs.
#[derive(Debug, Default)]
struct Total {
    accepted: usize,
    moved: u64,
    again: usize,
    late: usize,
}

fn run(settings: Settings, usual: u64) -> Total {
    let mut total = Total::default();
    for seed in seeds(usual) {
        let mut world = World::new(seed, settings);
        world.run();
        let report = world.settle().unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        total.accepted += report.accepted;
        total.moved += report.moved;
        total.again += report.again;
        total.late += report.late;
    }
    println!("{total:?}");
    total
}

const QUIET: Settings = Settings { cuts: 0, deaths: 0, host: Duration::from_millis(2) };

#[test]
fn without_faults_each_message_comes_once_and_in_order() {
    let total = run(QUIET, 20);
    assert_eq!((total.again, total.late, total.moved), (0, 0, 0));
    assert!(total.accepted > 5_000, "{total:?}");
}

#[test]
fn cuts_lose_and_repeat_nothing() {
    let total = run(Settings { cuts: 12, ..QUIET }, 60);
    assert_eq!(total.again, 0, "nobody died: {total:?}");
    assert!(total.moved > 0, "none was taken over: {total:?}");
}

#[test]
fn nodes_that_stop_and_die_lose_nothing() {
    let total = run(Settings { cuts: 4, deaths: 6, host: Duration::from_millis(10) }, 60);
    assert!(total.moved > 0 && total.again > 0, "{total:?}");
}
