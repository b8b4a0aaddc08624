//! Both sides dial each other: one session, one copy, whatever the timing; and what 10,000 messages see of a network
//! that breaks again and again.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::time::Duration;

use common::*;
use link_core::{link::LinkState, memory::MemoryNetwork};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sides_that_dial_each_other_end_up_with_one_session() {
    for round in 0..20 {
        let network = MemoryNetwork::new();
        // Both exist before either dials, so that the dials cross.
        let us = Broker::start(&network, "us", "us-1", vec![]);
        let eu = Broker::start(&network, "eu", "eu-1", vec![]);
        let (mut at_us, mut at_eu) = (us.subscriber("c", &["t/#"]), eu.subscriber("c", &["t/#"]));
        let (a, b) = tokio::join!(
            us.linker.create_link(link("eu", &["eu-1"], &["#"])),
            eu.linker.create_link(link("us", &["us-1"], &["#"])),
        );
        a.unwrap();
        b.unwrap();
        us.wait_routes("eu", 1).await;
        eu.wait_routes("us", 1).await;
        us.wait("eu", "in sync", |status| status.peers.iter().all(|peer| peer.in_sync)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(network.connections("us-1", "eu-1"), 1, "round {round}");
        us.client("p").publish(&message("t/from-us", "1")).unwrap();
        eu.client("p").publish(&message("t/from-eu", "2")).unwrap();
        for client in [&mut at_us, &mut at_eu] {
            let mut got: Vec<_> = Vec::new();
            for _ in 0..2 {
                got.push(receive(client).await.payload);
            }
            got.sort();
            assert_eq!(got, ["1", "2"], "round {round}");
            assert_eq!(drain(client, Duration::from_millis(20)).await, vec![], "round {round}");
        }
        // The session is lost: one comes back, by whichever side dials first.
        network.reset("us-1", "eu-1");
        us.client("p").publish(&message("t/again", "3")).unwrap();
        assert_eq!(receive(&mut at_us).await.payload, "3");
        assert_eq!(receive(&mut at_eu).await.payload, "3");
    }
}

#[tokio::test]
async fn a_peer_hears_why_a_node_leaves() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    us.linker.shutdown().await;
    let status = eu.wait("us", "down", |status| status.peers[0].state == LinkState::Down).await;
    assert_eq!(status.peers[0].reason, "closed by the peer: the node stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_over_a_network_that_breaks_twenty_times() {
    const COUNT: u64 = 10_000;
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let mut subscriber = eu.subscriber("s", &["t"]);
    us.wait_routes("eu", 1).await;
    let publisher = us.client("p");
    let publishing = tokio::spawn(async move {
        for n in 0..COUNT {
            publisher.publish(&message("t", n.to_string())).unwrap();
            if n % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        publisher
    });
    let breaking = {
        let network = network.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                tokio::time::sleep(Duration::from_millis(7 + n)).await;
                network.reset("us-1", "eu-1");
            }
        })
    };
    for n in 0..COUNT {
        assert_eq!(payload_number(&receive(&mut subscriber).await), n, "lost, repeated or out of order");
    }
    breaking.await.unwrap();
    publishing.await.unwrap();
    us.wait_live("eu").await;
    let drained = us.wait_drained("eu").await;
    let sent = drained.peers[0].sent;
    assert!(sent.balances() && sent.accepted == COUNT && sent.delivered == COUNT, "{sent:?}");
    let received = eu.linker.link(&cluster("us")).await.unwrap().peers[0].received;
    assert!(received.balances() && received.delivered == COUNT, "{received:?}");
    assert_eq!(drain(&mut subscriber, Duration::from_millis(50)).await, vec![]);
}

#[tokio::test]
async fn what_is_published_while_a_link_is_disabled_crosses_when_it_is_enabled() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let mut subscriber = eu.subscriber("s", &["t"]);
    us.wait_routes("eu", 1).await;
    network.cut("us-1", "eu-1");
    us.wait("eu", "down", |status| status.peers[0].state == LinkState::Down).await;
    let publisher = us.client("p");
    for n in 0..100 {
        publisher.publish(&message("t", n.to_string())).unwrap();
    }
    us.linker.enable_link(&cluster("eu"), false).await.unwrap();
    // Switched off, it takes nothing more.
    assert!(!us.linker.wants("t"));
    network.heal("us-1", "eu-1");
    us.linker.enable_link(&cluster("eu"), true).await.unwrap();
    for n in 0..100 {
        assert_eq!(payload_number(&receive(&mut subscriber).await), n);
    }
    assert_eq!(drain(&mut subscriber, Duration::from_millis(50)).await, vec![]);
}
