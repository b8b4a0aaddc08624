//! Scenarios: one theme a file, each of them data.

mod churn;
mod convergence;
mod cut_and_heal;
mod exactly_once;
mod malicious_peer;
mod misconfiguration;
mod restart;
mod slow_peer;
mod warm_up;

use std::time::Duration;

use crate::plan::{Kind, Settings, Topology};

/// A theme: who may be there, what may happen, and how often.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, for the command line and the file of regressions.
    pub name: &'static str,
    /// What it looks for.
    pub about: &'static str,
    /// Of these, one is drawn.
    pub variants: Vec<(Topology, Settings)>,
    /// Kinds of events, with their weights.
    pub mix: &'static [(Kind, u32)],
    /// About how many events a run has: half of it to one and a half.
    pub steps: usize,
    /// Simulated time in which they happen. Healing and the checks after it come on top.
    pub length: Duration,
    /// The seeds that continuous integration runs.
    pub seeds: std::ops::Range<u64>,
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    vec![
        convergence::scenario(),
        restart::scenario(),
        exactly_once::scenario(),
        cut_and_heal::scenario(),
        slow_peer::scenario(),
        churn::scenario(),
        misconfiguration::scenario(),
        malicious_peer::scenario(),
        warm_up::scenario(),
    ]
}

/// The scenario of a name.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}
