//! What a host knows at its start is known to peers before they are live.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use common::*;
use link_core::{
    driver::Linker,
    host::{DeliverError, Host, Origin},
    link::{LinkState, NodeName},
    memory::MemoryNetwork,
    message::Message,
    topic::TopicFilter,
};

/// A host that reads a session of before its restart from a slow disk.
struct SlowDisk;

#[async_trait]
impl Host for SlowDisk {
    async fn deliver(&self, _message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        Ok(())
    }

    async fn subscriptions(&self) -> Option<Vec<(String, TopicFilter)>> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Some(vec![("durable".to_owned(), filter("kept/+"))])
    }
}

#[tokio::test]
async fn a_peer_is_live_only_with_the_sessions_that_outlived_a_restart() {
    let network = MemoryNetwork::new();
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let eu = Linker::builder(cluster("eu"), NodeName::new("eu-1").unwrap())
        .transport(network.transport("eu-1"))
        .link(link("us", &[], &["#"]))
        .start(Arc::new(SlowDisk))
        .unwrap();
    let wanted = async {
        eu.wait_for(&cluster("us"), |status| status.state == LinkState::Live).await.unwrap();
        us.linker.wants("kept/1")
    };
    assert!(tokio::time::timeout(PATIENCE, wanted).await.unwrap(), "live without the session on disk");
    eu.shutdown().await;
}
