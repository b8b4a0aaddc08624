//! Deterministic simulation of linked clusters.

mod broker;
mod model;
mod network;
pub mod plan;
mod rng;
mod run;
pub mod scenario;
mod trace;
mod world;

pub use broker::{Broker, ModelBroker, Reports, Verdict};
pub use plan::Plan;
pub use rng::{ByteSource, Rng, Source};
pub use run::{Failure, Summary, run, run_plan, run_seeds, shrink};
pub use scenario::Scenario;
pub use trace::Trace;
pub use world::{Law, Stats, Violation, World};
