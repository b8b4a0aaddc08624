//! Each deliberate bug of the library is found, within few seeds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use link_core::mutant::{Mutant, set};
use link_sim::{Failure, run, scenario};

/// Seeds in which a bug has to show.
const SEEDS: u64 = 100;

/// The scenario that is to find a bug.
fn theme(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::BatchGap | Mutant::NoDedup | Mutant::ForgetWatermark | Mutant::NotSentAgain | Mutant::AnyLane => {
            "exactly_once"
        }
        Mutant::AckBeforeDeliver => "slow_peer",
        Mutant::RouteGap | Mutant::OldDelta => "convergence",
        Mutant::ClearThenFill => "restart",
        Mutant::Cold => "warm_up",
        Mutant::Forward | Mutant::PhantomRoute | Mutant::CoverFirst => "churn",
        Mutant::UncountedExpiry | Mutant::EarlyAck => "cut_and_heal",
        other => panic!("{other:?} is found by a test of link-core"),
    }
}

fn first_failure(mutant: Option<Mutant>, theme: &str) -> Option<Failure> {
    let scenario = scenario::named(theme).unwrap();
    set(mutant);
    let failure = (0..SEEDS).find_map(|seed| run(&scenario, seed).err());
    set(None);
    failure
}

#[test]
fn every_bug_is_found() {
    let mut survivors = Vec::new();
    for mutant in Mutant::SIMULATED {
        match first_failure(Some(mutant), theme(mutant)) {
            Some(Failure { seed, violation, .. }) => {
                println!("{mutant:?}: {} {seed}: {:?}: {}", theme(mutant), violation.law, violation.what);
            }
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "the simulator does not find {survivors:?}");
}

#[test]
fn without_a_bug_none_is_found() {
    for theme in ["exactly_once", "convergence", "restart", "churn", "cut_and_heal", "slow_peer", "warm_up"] {
        assert!(first_failure(None, theme).is_none(), "{theme}");
    }
}
