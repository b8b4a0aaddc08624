//! Runnable hosts and demonstrations of cluster linking.

pub mod bench;
pub mod client;
pub mod mqtt5_host;
pub mod proxy;
pub mod two_regions;
pub mod wan;
