//! What happens in a run: who is there, with which settings, and which events come when.
//!
//! A plan is made of choices, and the choices come from a seed or from the bytes of a fuzzer. Once made it is a list, and
//! a list that fails can be shortened.

mod action;
mod draw;
mod settings;
mod topology;
mod vocabulary;

use std::time::Duration;

pub use action::{Action, Attack, Disk, Noticed, Step};
pub use draw::Kind;
pub(crate) use draw::{MOVE, clients, fleet, is_durable};
pub use settings::Settings;
pub use topology::{Cluster, DOUBLED, FILTERED, GRID, HUB, Link, MESH, PAIR, Site, TRIANGLE, Topology};
pub use vocabulary::topics;

use crate::{
    rng::{ByteSource, Rng, Source},
    scenario::Scenario,
};

/// Who is there and what happens.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Clusters and links.
    pub topology: Topology,
    /// Limits, times, network.
    pub settings: Settings,
    /// For everything that the world itself draws: delays, nonces, who dies with what in its hands.
    pub seed: u64,
    /// The events, by time.
    pub steps: Vec<Step>,
    /// When the last fault has ended, the links begin to heal.
    pub length: Duration,
}

impl Plan {
    /// The plan of a scenario for a seed.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let name = scenario.name.bytes().fold(seed, |hash, byte| hash.rotate_left(7) ^ u64::from(byte));
        let mut rng = Rng::new(name).fork(1);
        let count = scenario.steps / 2 + rng.index(scenario.steps.max(1));
        Self::draw(scenario, &mut rng, name, |_, drawn| drawn < count)
    }

    /// The plan that the bytes choose. Few bytes make a short plan.
    pub fn from_bytes(scenario: &Scenario, bytes: &[u8]) -> Self {
        Self::draw(scenario, &mut ByteSource::new(bytes), 1, |source, drawn| !source.is_empty() && drawn < 4096)
    }

    fn draw<S: Source>(scenario: &Scenario, source: &mut S, seed: u64, more: impl Fn(&S, usize) -> bool) -> Self {
        let variant = scenario.variants.get(source.index(scenario.variants.len()));
        let (topology, settings) = variant.cloned().unwrap_or((PAIR, Settings::USUAL));
        let mut steps = draw::first(&topology, source);
        let (begun, mut drawn) = (steps.len(), 0);
        while more(source, drawn) {
            drawn += 1;
            let at = source.between(Duration::from_secs(1), scenario.length);
            if let Some(action) = draw::action(scenario, &topology, &settings, source) {
                steps.push(Step { at, action });
            }
        }
        steps[begun..].sort_by_key(|step| step.at);
        Self { topology, settings, seed, steps, length: scenario.length }
    }

    /// The plan with only some of its events, by their positions.
    pub fn only(&self, kept: &[usize]) -> Self {
        let steps = kept.iter().filter_map(|at| self.steps.get(*at).cloned()).collect();
        Self { steps, ..self.clone() }
    }

    /// How many events are faults.
    pub fn faults(&self) -> usize {
        self.steps.iter().filter(|step| step.action.is_fault()).count()
    }
}
