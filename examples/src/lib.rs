//! Runnable hosts and demonstrations of cluster linking.

pub mod bench;
pub mod client;
pub mod mqtt5_host;
pub mod plot;
pub mod proxy;
pub mod route_sync;
pub mod two_regions;
pub mod wan;
