//! Runs seeds, and makes what fails small.

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    plan::Plan,
    scenario::Scenario,
    world::{Law, Stats, Violation, World},
};

/// A run in which a law was broken.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
    /// Positions of the events of its plan without which the same law is not broken, after shrinking; all before.
    pub kept: Option<Vec<usize>>,
    /// The first law that was broken.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, seed, kept, violation } = self;
        writeln!(f, "{scenario}, seed {seed}: {violation}")?;
        write!(f, "replay: cargo run --release -p link-sim -- --scenario {scenario} --seed {seed}")?;
        if let Some(kept) = kept {
            let kept: Vec<String> = kept.iter().map(usize::to_string).collect();
            write!(f, " --only {}", kept.join(","))?;
        }
        write!(f, " --trace")
    }
}

impl std::error::Error for Failure {}

/// What the runs of one scenario came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// What they did, added up.
    pub stats: Stats,
    /// The runs in which a law was broken.
    pub failures: Vec<Failure>,
}

/// Runs a scenario with a seed.
///
/// # Errors
/// The first law that was broken.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Stats, Failure> {
    let plan = Plan::new(scenario, seed);
    let (stats, result) = run_plan(plan);
    match result {
        Ok(()) => Ok(stats),
        Err(violation) => Err(Failure { scenario: scenario.name, seed, kept: None, violation }),
    }
}

/// Runs a plan. A panic is a broken law like others.
pub fn run_plan(plan: Plan) -> (Stats, Result<(), Violation>) {
    let mut world = World::new(plan);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let stats = world.stats();
    let result = result.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { law: Law::NoPanic, at: stats.time, what: what.unwrap_or_default() })
    });
    (stats, result)
}

/// Runs many seeds of a scenario, on so many threads. The result does not depend on their number.
pub fn run_seeds(scenario: &Scenario, seeds: Range<u64>, threads: usize) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut summary = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return summary;
            }
            summary.add(run(scenario, seed));
        }
    };
    let mut total = Summary::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            // A panic of a run is caught in it.
            if let Ok(summary) = thread.join() {
                total.merge(summary);
            }
        }
    });
    total.failures.sort_by_key(|failure| failure.seed);
    total
}

impl Summary {
    fn add(&mut self, result: Result<Stats, Failure>) {
        self.seeds += 1;
        match result {
            Ok(stats) => self.stats.add(&stats),
            Err(failure) => self.failures.push(failure),
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.stats.add(&other.stats);
        self.failures.extend(other.failures);
    }
}

/// Drops events of a plan that fails, as long as the same law is broken. `attempts` bounds the number of runs.
pub fn shrink(scenario: &Scenario, failure: Failure, mut attempts: usize) -> Failure {
    let plan = Plan::new(scenario, failure.seed);
    let mut kept: Vec<usize> = failure.kept.clone().unwrap_or_else(|| (0..plan.steps.len()).collect());
    let mut violation = failure.violation.clone();
    let mut part = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < kept.len() && attempts > 0 {
            attempts -= 1;
            let mut fewer = kept.clone();
            fewer.drain(at..(at + part).min(kept.len()));
            match run_plan(plan.only(&fewer)).1 {
                Err(again) if again.law == violation.law => {
                    kept = fewer;
                    violation = again;
                }
                _ => at += part,
            }
        }
        if part == 1 || attempts == 0 {
            return Failure { kept: Some(kept), violation, ..failure };
        }
        part = part.div_ceil(2);
    }
}
