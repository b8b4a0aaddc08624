//! A link that had to go to a later address comes back to its first one.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::{sync::Arc, time::Duration};

use common::*;
use link_core::{
    driver::Linker,
    link::{LinkConfig, LinkState, NodeName},
    memory::{MemoryBroker, MemoryNetwork},
};

/// A link to `eu` that prefers the address `first`.
fn two_addresses() -> LinkConfig {
    let mut link = link("eu", &["first", "second"], &["#"]);
    link.return_after = Duration::from_millis(100);
    link
}

/// `eu-1`, which can be reached at both addresses.
fn at_both(network: &MemoryNetwork) -> Broker {
    let broker = MemoryBroker::new();
    let linker = Linker::builder(cluster("eu"), NodeName::new("eu-1").unwrap())
        .transport(network.transport("first"))
        .transport(network.transport("second"))
        .link(link("us", &[], &["#"]))
        .start(broker.clone())
        .unwrap();
    broker.attach(&linker);
    Broker { name: "eu-1".to_owned(), broker, linker }
}

async fn connected(network: &MemoryNetwork, first: usize, second: usize) {
    let reached = async {
        while (network.connections("us-1", "first"), network.connections("us-1", "second")) != (first, second) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test]
async fn the_first_address_is_taken_again_when_it_works_and_nothing_is_lost_or_doubled() {
    let network = MemoryNetwork::new();
    let eu = at_both(&network);
    let us = Broker::start(&network, "us", "us-1", vec![two_addresses()]);
    let (mut at_eu, mut at_us) = (eu.subscriber("c", &["to-eu"]), us.subscriber("c", &["to-us"]));
    us.wait_routes("eu", 1).await;
    eu.wait_routes("us", 1).await;
    connected(&network, 1, 0).await;
    let (to_eu, to_us) = (us.broker.clone(), eu.broker.clone());
    let publishing = tokio::spawn(async move {
        for n in 0..1_500_u64 {
            to_eu.publish("p", &message("to-eu", n.to_string())).unwrap();
            to_us.publish("p", &message("to-us", n.to_string())).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for _ in 0..2 {
        network.cut("us-1", "first");
        connected(&network, 0, 1).await;
        network.heal("us-1", "first");
        connected(&network, 1, 0).await;
    }
    publishing.await.unwrap();
    let numbers = |messages: Vec<link_core::message::Message>| messages.iter().map(payload_number).collect::<Vec<_>>();
    assert_eq!(numbers(drain(&mut at_eu, Duration::from_millis(500)).await), (0..1_500).collect::<Vec<_>>());
    assert_eq!(numbers(drain(&mut at_us, Duration::from_millis(500)).await), (0..1_500).collect::<Vec<_>>());
}

#[tokio::test]
async fn while_the_first_address_fails_the_link_stays_live_at_the_second() {
    let network = MemoryNetwork::new();
    let _eu = at_both(&network);
    network.cut("us-1", "first");
    let us = Broker::start(&network, "us", "us-1", vec![two_addresses()]);
    us.wait_live("eu").await;
    let live = std::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let lived = live.elapsed();
    let status = us.linker.link(&cluster("eu")).await.unwrap();
    assert!(status.state == LinkState::Live && status.since >= lived, "{status:?}");
    assert_eq!((network.connections("us-1", "first"), network.connections("us-1", "second")), (0, 1));
}

/// What waits for one node would not reach it through another.
#[tokio::test]
async fn another_node_at_the_first_address_is_left_alone() {
    let network = MemoryNetwork::new();
    let first = network.transport("first");
    network.cut("us-1", "first");
    let second = Broker::start_over(network.transport("second"), "eu", "eu-2", vec![link("us", &[], &["#"])]);
    let first = Broker::start_over(Arc::clone(&first) as _, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start(&network, "us", "us-1", vec![two_addresses()]);
    us.wait_live("eu").await;
    let live = std::time::Instant::now();
    network.heal("us-1", "first");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let lived = live.elapsed();
    let status = us.linker.link(&cluster("eu")).await.unwrap();
    assert!(status.state == LinkState::Live && status.since >= lived, "{status:?}");
    assert_eq!(network.connections("us-1", "second"), 1);
    second.wait_live("us").await;
    // When the second one fails it is the first one's turn.
    network.cut("us-1", "second");
    first.wait_live("us").await;
}
