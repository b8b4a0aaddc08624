//! Deterministic simulation of linked broker clusters.
//!
//! Clusters of nodes, each a real [`Node`](link_core::node::Node), live in virtual time, with brokers, clients, and a
//! network in which everything goes wrong that a seed chooses: connections break in the middle of a frame, stand still
//! without closing, carry one direction only, or crawl; nodes die with or without their disks, freeze, and jump in time;
//! operators set links up wrongly; carriers lose and repeat frames; hostile peers break the rules. Every frame is
//! encoded by its sender and decoded by its receiver.
//!
//! A *reference model*, which shares no code with the library, says what every node must know of the others' interest,
//! and what became of every message. The [`Law`]s are checked during each run and after it, when everything is healed.
//! The same seed is the same run, byte for byte of its [`Trace`].
//!
//! ```text
//!  Scenario ──seed──▶ Plan ──▶ World ──▶ Ok, or the Violation of a Law
//!  (a theme)          (a list)    ▲            │
//!                        ▲        └─ shrink ◀──┘
//!  bytes of a fuzzer ────┘
//! ```
//!
//! # Run it
//!
//! ```sh
//! cargo run --release -p link-sim -- --seeds 10000 --scenario all
//! cargo run --release -p link-sim -- --scenario restart --seed 683 --trace
//! ```
//!
//! # From code
//!
//! ```
//! use link_sim::{run, scenario};
//!
//! let restart = scenario::named("restart").ok_or("no such scenario")?;
//! let stats = run(&restart, 7)?;
//! assert!(stats.taken > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Test your own host
//!
//! A [`Broker`] is the side of a host: what clients do comes in, what the linker is told goes out. Here is one that
//! wraps the model's and refuses what is secret. [`World::with_brokers`] runs any plan with it; if it forgets to report a
//! subscription, gives a message to the wrong client, or loses sessions that its disk has, a law is broken.
//!
//! ```
//! use link_core::{host::Origin, message::Message, topic::TopicFilter};
//! use link_sim::{Broker, ModelBroker, Plan, Reports, Verdict, World, plan::Disk, scenario};
//!
//! struct MyBroker(ModelBroker);
//!
//! impl Broker for MyBroker {
//!     fn start(&mut self, disk: Disk, linker: &mut Reports<'_>) {
//!         self.0.start(disk, linker); // sessions that were kept are reported before the node connects
//!     }
//!     fn subscribe(&mut self, client: &str, filter: &TopicFilter, durable: bool, linker: &mut Reports<'_>) {
//!         self.0.subscribe(client, filter, durable, linker);
//!     }
//!     fn unsubscribe(&mut self, client: &str, filter: &TopicFilter, linker: &mut Reports<'_>) {
//!         self.0.unsubscribe(client, filter, linker);
//!     }
//!     fn leave(&mut self, client: &str, linker: &mut Reports<'_>) {
//!         self.0.leave(client, linker);
//!     }
//!     fn publish(&mut self, client: &str, message: &Message, linker: &mut Reports<'_>) {
//!         linker.publish(client, message);
//!     }
//!     fn deliver(&mut self, message: &Message, origin: &Origin) -> Verdict {
//!         if message.topic.as_str().starts_with("secret/") { Verdict::Refused } else { self.0.deliver(message, origin) }
//!     }
//!     fn subscriptions(&self) -> Vec<(String, TopicFilter)> {
//!         self.0.subscriptions()
//!     }
//! }
//!
//! let churn = scenario::named("churn").ok_or("no such scenario")?;
//! for seed in 0..3 {
//!     let mut world = World::with_brokers(Plan::new(&churn, seed), |_node| Box::new(MyBroker(ModelBroker::new(0))));
//!     world.run()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not see
//!
//! Threads, sockets, transports and the driver have tests of their own with real ones. A host here reports the sessions
//! that its disk kept before its node connects, which a host must do.

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
