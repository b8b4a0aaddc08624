//! Whatever happens to nodes: a whole world of the simulator, or one node besieged by a hostile peer.

mod siege;
mod speaker;

use std::{collections::BTreeSet, fmt::Write};

use link_sim::{Plan, Scenario, run_plan, scenario};

/// Bytes of a plan that count. More make runs slow and reach nothing new.
const PLAN: usize = 600;
/// Bytes of a siege that count.
const SIEGE: usize = 2_000;

/// The first byte, modulo 32, chooses what the others mean.
///
/// ```text
/// 0..8    that scenario of link-sim; two bytes are the seed of its world, the others choose its plan
/// 31      the ninth one
/// 8..31   one node between an honest peer and a hostile one: each byte is what happens next, or a detail of it
/// ```
///
/// Panics with the whole plan if a law of the simulator is broken, or with what happened to the besieged node.
///
/// Returns what was reached: names of events, of the kinds of frames that the hostile peer sent, and of the codes with
/// which it was thrown out.
pub fn node_inputs(data: &[u8]) -> BTreeSet<String> {
    let Some((mode, rest)) = data.split_first() else { return BTreeSet::new() };
    let scenarios = scenario::all();
    let scenario = match usize::from(mode % 32) {
        31 => scenarios.get(8),
        number => scenarios[..8.min(scenarios.len())].get(number),
    };
    match scenario {
        Some(scenario) => world(scenario, rest),
        None => {
            let input = Shown(&rest[..rest.len().min(SIEGE)]);
            siege::siege(input.0)
        }
    }
}

/// An input that is printed if it makes a panic. A test does not know it, and libFuzzer keeps it in a file.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the siege was \"{}\"", self.0.escape_ascii());
        }
    }
}

fn world(scenario: &Scenario, data: &[u8]) -> BTreeSet<String> {
    let (seed, rest) = data.split_at(data.len().min(2));
    let seed = seed.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let plan = Plan { seed, ..Plan::from_bytes(scenario, &rest[..rest.len().min(PLAN)]) };
    let (_, result) = run_plan(plan.clone());
    assert!(result.is_ok(), "{}: {:?}\n{}", scenario.name, result, listed(&plan));
    plan.steps.iter().flat_map(|step| names(&format!("{:?}", step.action))).collect()
}

/// The name of an action, and that of what it does, has or loses.
fn names(action: &str) -> Vec<String> {
    let name = action.split(' ').next().unwrap_or_default();
    let details = ["attack: ", "disk: ", "noticed: "].iter().filter_map(|field| {
        let value = action.split_once(field)?.1;
        Some(format!("{name} {}", value.split([',', ' ']).next()?))
    });
    std::iter::once(name.to_owned()).chain(details).collect()
}

/// A plan, so that it can be read and run again.
fn listed(plan: &Plan) -> String {
    let mut text = format!("seed {} in {} with {:?}\n", plan.seed, plan.topology.name, plan.settings);
    for step in &plan.steps {
        // A String takes everything.
        let _ = writeln!(text, "{step}");
    }
    text
}
