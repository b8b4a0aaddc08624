//! Every scenario, a few seeds of it; every seed that ever failed; and that a seed is always the same run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use link_sim::{Plan, World, run, run_seeds, scenario, shrink};

#[test]
fn each_scenario_keeps_every_law() {
    for scenario in scenario::all() {
        let summary = run_seeds(&scenario, 0..20, 2);
        if let Some(failure) = summary.failures.into_iter().next() {
            panic!("{}", shrink(&scenario, failure, 200));
        }
        assert!(summary.stats.accepted > 0 && summary.stats.taken > 0, "{} does nothing", scenario.name);
    }
}

#[test]
fn what_failed_once_does_not_fail_again() {
    let text = include_str!("../regressions");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let scenario = scenario::named(words.next().unwrap()).unwrap();
        let seed = words.next().unwrap().parse().unwrap();
        if let Err(failure) = run(&scenario, seed) {
            panic!("{line}: {}", shrink(&scenario, failure, 200));
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for scenario in scenario::all() {
        let trace = |seed| {
            let mut world = World::new(Plan::new(&scenario, seed)).keep_trace();
            let _ = world.run();
            (world.trace().digest(), world.trace().text().to_owned())
        };
        let (digest, text) = trace(7);
        assert!(text.lines().count() > 100, "{} has no events", scenario.name);
        assert_eq!((digest, &text), (trace(7).0, &trace(7).1), "{}", scenario.name);
        assert_ne!(digest, trace(8).0);
    }
}
