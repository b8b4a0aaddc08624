//! Links: their names, settings, sessions and status.

mod config;
mod name;

pub use config::{LinkConfig, Secret, TlsSettings};
pub use name::{ClusterName, NameError, NodeName};
