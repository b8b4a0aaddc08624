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

/// The host does not list its sessions: their clients come back one by one.
#[tokio::test]
async fn sessions_that_come_back_late_are_known_all_the_time() {
    let network = MemoryNetwork::new();
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let mut eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    eu.linker.subscribe("durable", &filter("kept/+"));
    eu.linker.subscribe("volatile", &filter("gone/+"));
    us.wait_routes("eu", 2).await;
    eu.linker.shutdown().await;
    let linker = Linker::builder(cluster("eu"), NodeName::new("eu-1").unwrap())
        .warm_up(PATIENCE * 10)
        .transport(network.transport("eu-1"))
        .link(link("us", &[], &["#"]))
        .start(eu.broker.clone())
        .unwrap();
    eu.linker = linker;
    us.wait("eu", "warming up", |status| status.reason.contains("the peer is warming up")).await;
    // Some heartbeats.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(us.linker.wants("kept/1") && us.linker.wants("gone/1"));
    eu.linker.subscribe("durable", &filter("kept/+"));
    // What is reported before it is warm is announced before.
    eu.linker.warm().await;
    us.wait("eu", "live", |status| status.state == LinkState::Live).await;
    assert!(us.linker.wants("kept/1") && !us.linker.wants("gone/1"));

    // Another node of its cluster says that it has left.
    let other = Broker::start(&network, "eu", "eu-2", vec![link("us", &["us-1"], &["#"])]);
    us.wait("eu", "two nodes", |status| status.peers.iter().filter(|peer| peer.in_sync).count() == 2).await;
    eu.linker.shutdown().await;
    us.wait("eu", "one node", |status| status.peers.iter().any(|peer| peer.state == LinkState::Down)).await;
    assert!(us.linker.wants("kept/1"), "it is waited for");
    other.linker.retire_node(&NodeName::new("eu-1").unwrap()).await;
    us.wait("eu", "without eu-1", |status| status.peers.len() == 1).await;
    assert!(!us.linker.wants("kept/1"));
}
