//! Whatever happens to nodes: a whole world of the simulator, or one node besieged by a hostile peer.

mod siege;
mod speaker;

use std::fmt::Write;

use link_sim::{Plan, run_plan, scenario};

/// Bytes of a plan that count. More make runs slow and reach nothing new.
const PLAN: usize = 1_500;
/// Bytes of a siege that count.
const SIEGE: usize = 8_000;

/// The first byte, modulo 16, chooses what the others mean.
///
/// ```text
/// 0..8    that scenario of link-sim; two bytes are the seed of its world, the others choose its plan
/// 8..16   one node between an honest peer and a hostile one: each byte is what happens next, or a detail of it
/// ```
///
/// Panics with the whole plan if a law of the simulator is broken, or with what happened to the besieged node.
pub fn node_inputs(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let mode = usize::from(mode % 16);
    let scenarios = scenario::all();
    let Some(scenario) = scenarios.get(mode) else { return siege::siege(&rest[..rest.len().min(SIEGE)]) };
    let (seed, rest) = rest.split_at(rest.len().min(2));
    let seed = seed.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let plan = Plan { seed, ..Plan::from_bytes(scenario, &rest[..rest.len().min(PLAN)]) };
    let (_, result) = run_plan(plan.clone());
    assert!(result.is_ok(), "{}: {:?}\n{}", scenario.name, result, listed(&plan));
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
