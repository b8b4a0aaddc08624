//! Cluster linking for MQTT brokers.

pub mod delivery;
pub mod host;
pub mod index;
pub mod interest;
pub mod link;
pub mod message;
pub mod node;
pub mod routes;
pub mod topic;
pub mod transport;
pub mod wire;

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "driver")]
pub mod memory;
