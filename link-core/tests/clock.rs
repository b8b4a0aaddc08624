//! The clock of the driver.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkConfig, NodeName},
    memory::MemoryBroker,
};
use tokio::time::{Instant, timeout};

/// Where time is simulated, attempts over minutes take none of it, and keep their pauses.
#[tokio::test(start_paused = true)]
async fn time_is_that_of_the_runtime() {
    let eu: ClusterName = "eu".parse().unwrap();
    let mut link = LinkConfig::new(eu.clone());
    link.servers = vec!["nowhere://eu:1".parse().unwrap()];
    link.retry_max = Duration::from_secs(30);
    let us = "us".parse().unwrap();
    let linker = Linker::builder(us, NodeName::new("us-1").unwrap()).link(link).start(MemoryBroker::new()).unwrap();
    let start = Instant::now();
    let many = linker.wait_for(&eu, |status| status.attempts >= 20);
    let status = timeout(Duration::from_secs(3_600), many).await.unwrap().unwrap();
    assert!(start.elapsed() > Duration::from_secs(240), "{:?}: {status:?}", start.elapsed());
}
