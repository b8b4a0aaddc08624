//! A transport and a broker in memory, for tests, examples and simulations of a host.
//!
//! Frames are encoded and decoded as on any transport; only the wire is missing.

mod broker;
mod transport;

pub use broker::{MemoryBroker, MemoryClient};
pub use transport::{MemoryNetwork, MemoryTransport};
