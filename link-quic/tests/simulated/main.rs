//! Whole links over QUIC in a simulated network: linkers, the driver, this transport and quinn as they are, over UDP and
//! a clock of turmoil.
//!
//! Each case runs 3 seeds; `LINK_QUIC_SEEDS=20` runs more, `LINK_QUIC_SEED=7` that one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod check;
mod fault;
mod record;
mod socket;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::time::Duration;

use fault::Fault;
use record::Record;
use world::{End, Random, World};

/// From the start, or from the end of a fault, until the link is live at both ends: a dial that began in the fault may
/// take its whole time, 3 s, before the next one.
const HEALED: Duration = Duration::from_secs(4);
/// From the last fault until the last message has come.
const DRAINED: Duration = Duration::from_secs(10);
const ROUNDS: usize = 2;

/// A run of a fault under one seed: twice the fault and the link live again, then everything has to come.
fn run(fault: Fault, seed: u64) -> Record {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(40))
        .udp_capacity(4096)
        .build();
    let world = World::new(seed);
    world.start(&mut sim);
    let live = |record: &Record| End::BOTH.iter().all(|&end| record.is_live(end));
    let name = format!("{fault:?} under seed {seed}");
    let mut healing = Duration::ZERO;
    let until = |sim: &mut turmoil::Sim<'_>, limit: Duration, what: &str, condition: &dyn Fn(&Record) -> bool| {
        let start = sim.elapsed();
        while !world.recorder.read(|record| condition(record)) {
            pass(sim, 10);
            if sim.elapsed() - start >= limit {
                let states = world.recorder.read(check::states);
                panic!("{name}: not {what} within {limit:?}, at {:?}; {states}", sim.elapsed());
            }
        }
    };
    let mut random = Random::new(seed);
    until(&mut sim, HEALED, "live", &live);
    let mut recovered = sim.elapsed();
    for _ in 0..ROUNDS {
        pass(&mut sim, random.between(100, 600));
        fault.strike(&mut sim, &mut random);
        let healed = sim.elapsed();
        // What has not been noticed yet is not over.
        pass(&mut sim, 700);
        until(&mut sim, HEALED, "live again", &live);
        recovered = sim.elapsed();
        healing = healing.max(recovered - healed);
    }
    pass(&mut sim, random.between(100, 600));
    world.publishing.store(false, std::sync::atomic::Ordering::Relaxed);
    let since = if fault == Fault::Crash { recovered } else { Duration::ZERO };
    until(&mut sim, DRAINED, "complete", &|record| check::is_complete(record, since));
    // What is sent twice has time to come.
    pass(&mut sim, 1_000);
    let record = world.recorder.read(Record::clone);
    check::check(&name, &record, since);
    println!("{name}: live after at most {healing:?}; {}", check::summary(&record));
    record
}

fn pass(sim: &mut turmoil::Sim<'_>, ms: u64) {
    for _ in 0..ms {
        sim.step().unwrap();
    }
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().unwrap());
    match number("LINK_QUIC_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("LINK_QUIC_SEEDS").unwrap_or(3)).collect(),
    }
}

fn cases(fault: Fault) {
    let seeds = seeds();
    let records: Vec<_> = seeds.iter().map(|&seed| run(fault, seed)).collect();
    check::same(&records[0], &run(fault, seeds[0]));
}

#[test]
fn a_short_partition() {
    cases(Fault::Partition);
}

#[test]
fn a_cut_of_one_direction() {
    cases(Fault::OneWay);
}

#[test]
fn packets_that_are_held_and_released() {
    cases(Fault::Hold);
}

#[test]
fn a_cut_that_outlasts_the_silence() {
    cases(Fault::LongCut);
}

#[test]
fn loss_and_delay_at_random() {
    cases(Fault::Loss);
}

#[test]
fn a_host_that_crashes_and_comes_back() {
    cases(Fault::Crash);
}
