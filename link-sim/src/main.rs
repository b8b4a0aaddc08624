//! Runs scenarios, and replays one.

use std::process::ExitCode;

use clap::Parser;
use link_sim::{Failure, Plan, Scenario, World, run, run_seeds, scenario, shrink};

/// Simulates linked broker clusters and checks the laws that always hold.
#[derive(Parser)]
#[command(name = "link-sim")]
struct Options {
    /// Which scenario: `all`, or a name. See `--list`.
    #[arg(long, default_value = "all")]
    scenario: String,
    /// How many seeds of each scenario; by default those that continuous integration runs.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed only, shown in full.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these events of its plan, by their positions, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<usize>>,
    /// Prints what happens in that run.
    #[arg(long)]
    trace: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
}

/// Failures of one scenario that are shrunk and shown.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for scenario in scenario::all() {
            println!("{:<18}{}", scenario.name, scenario.about);
        }
        return ExitCode::SUCCESS;
    }
    let scenarios = match options.scenario.as_str() {
        "all" => scenario::all(),
        name => scenario::named(name).into_iter().collect(),
    };
    if scenarios.is_empty() {
        eprintln!("there is no scenario `{}`: see --list", options.scenario);
        return ExitCode::FAILURE;
    }
    let mut failed = false;
    for scenario in &scenarios {
        failed |= match options.seed {
            Some(seed) => replay(scenario, seed, &options),
            None => many(scenario, &options),
        };
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one seed, and shows it. Says whether it fails.
fn replay(scenario: &Scenario, seed: u64, options: &Options) -> bool {
    let mut plan = Plan::new(scenario, seed);
    println!("{}, seed {seed}: {} with {:?}", scenario.name, plan.topology.name, plan.settings);
    for (at, step) in plan.steps.iter().enumerate() {
        if options.only.as_ref().is_none_or(|only| only.contains(&at)) {
            println!("{at:>4} {step}");
        }
    }
    if let Some(only) = &options.only {
        plan = plan.only(only);
    }
    let mut world = World::new(plan);
    if options.trace {
        world = world.keep_trace();
    }
    let result = world.run();
    print!("{}", world.trace().text());
    println!("{} lines, digest {:016x}, {:?}", world.trace().lines(), world.trace().digest(), world.stats());
    match result {
        Ok(()) => println!("no law is broken"),
        Err(violation) => {
            println!("{violation}");
            if options.only.is_none()
                && let Err(failure) = run(scenario, seed)
            {
                show(scenario, failure);
            }
            return true;
        }
    }
    false
}

/// Runs many seeds, and prints one line. Says whether any fails.
fn many(scenario: &Scenario, options: &Options) -> bool {
    let seeds = options.seeds.map_or(scenario.seeds.clone(), |count| options.from..options.from.saturating_add(count));
    let summary = run_seeds(scenario, seeds, options.threads);
    let stats = &summary.stats;
    println!(
        "{:<18}{:>6} seeds {:>8.1} h simulated {:>9} published {:>9} accepted {:>9} taken {:>8} faults {:>4} violations",
        scenario.name,
        summary.seeds,
        stats.time.as_secs_f64() / 3600.0,
        stats.published,
        stats.accepted,
        stats.taken,
        stats.faults,
        summary.failures.len(),
    );
    let failed = !summary.failures.is_empty();
    for failure in summary.failures.into_iter().take(SHOWN) {
        show(scenario, failure);
    }
    failed
}

fn show(scenario: &Scenario, failure: Failure) {
    println!("{}\n", shrink(scenario, failure, 400));
}
