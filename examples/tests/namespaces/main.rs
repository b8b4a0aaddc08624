//! Two `region` processes in two network namespaces, with a bad network between them, and real MQTT clients beside each.
//!
//! ```text
//!  namespace a: clients -- region us ==== emulated wire ==== region eu -- clients :namespace b
//! ```
//! Publishers on both sides number their messages; a message counts as accepted when its PUBACK has come. What must
//! hold after every fault: each accepted message whose route was live is received at the other side once, in the
//! order of its publisher. [`kill`] says what holds where a process takes its memory with it.
//!
//! `cargo test --release -p examples --test namespaces -- --ignored --nocapture --test-threads=16`, as root on Linux;
//! each test says loudly that it is skipped where the emulator can't run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod address;
mod clients;
mod cut;
mod kill;
mod loss;
mod process;
mod reset;
mod stall;
mod world;
