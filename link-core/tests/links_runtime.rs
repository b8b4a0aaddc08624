//! Links that change, break and come back while messages flow.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

use common::*;
use link_core::{
    delivery::Overflow,
    driver::Linker,
    link::{LinkState, NodeName},
    memory::{MemoryBroker, MemoryNetwork},
    message::QoS,
    routes::Covering,
};

const QUIET: Duration = Duration::from_millis(100);

fn numbers(messages: &[link_core::message::Message]) -> Vec<u64> {
    messages.iter().map(payload_number).collect()
}

fn publish(from: &Broker, topic: &str, range: std::ops::Range<u64>) {
    for n in range {
        from.broker.publish("publisher", &message(topic, n.to_string())).unwrap();
    }
}

#[tokio::test]
async fn both_sides_dial_and_end_with_one_session() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &["us-1"], &["#"])]);
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let (mut at_eu, mut at_us) = (eu.subscriber("c", &["to-eu"]), us.subscriber("c", &["to-us"]));
    us.wait_routes("eu", 1).await;
    eu.wait_routes("us", 1).await;
    publish(&us, "to-eu", 0..100);
    publish(&eu, "to-us", 0..100);
    assert_eq!(numbers(&drain(&mut at_eu, QUIET * 3).await), (0..100).collect::<Vec<_>>());
    assert_eq!(numbers(&drain(&mut at_us, QUIET * 3).await), (0..100).collect::<Vec<_>>());
    assert_eq!(network.connections("us-1", "eu-1"), 1);
    network.reset("us-1", "eu-1");
    us.wait("eu", "live again", |status| status.state == LinkState::Live && status.since < QUIET).await;
    tokio::time::sleep(QUIET * 3).await;
    assert_eq!(network.connections("us-1", "eu-1"), 1);
}

#[tokio::test]
async fn the_second_server_is_taken_where_the_first_is_unreachable() {
    let network = MemoryNetwork::new();
    let _eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["nobody", "eu-1"], &["#"])]);
    assert_eq!(us.wait_live("eu").await.peers[0].node.as_str(), "eu-1");
}

#[tokio::test]
async fn topics_and_limits_change_without_a_new_connection() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["a"])]);
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let _c = eu.subscriber("c", &["a", "b"]);
    us.wait_routes("eu", 1).await;
    eu.wait_live("us").await;
    let live = Instant::now();
    let mut changed = link("us", &[], &["b", "c"]);
    changed.queue_bytes = 5000;
    eu.linker.update_link(changed).await.unwrap();
    us.wait("eu", "wanting b", |status| us.linker.wants("b") && !us.linker.wants("a") && status.peers[0].in_sync).await;
    let lived = live.elapsed();
    assert!(eu.linker.link(&cluster("us")).await.unwrap().peers[0].since >= lived, "the session was replaced");
    assert_eq!(network.connections("us-1", "eu-1"), 1);
}

#[tokio::test]
async fn a_wider_window_is_enforced_as_it_is_announced() {
    let network = MemoryNetwork::new();
    let mut narrow = link("us", &[], &["#"]);
    narrow.window = 1024;
    let eu = Broker::start(&network, "eu", "eu-1", vec![narrow.clone()]);
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let mut c = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    narrow.window = 1024 * 1024;
    eu.linker.update_link(narrow).await.unwrap();
    us.wait_routes("eu", 1).await;
    us.wait_live("eu").await;
    let live = Instant::now();
    publish(&us, "t", 0..2000);
    assert_eq!(numbers(&drain(&mut c, QUIET * 3).await), (0..2000).collect::<Vec<_>>());
    let lived = live.elapsed();
    let status = us.linker.link(&cluster("eu")).await.unwrap();
    assert!(status.state == LinkState::Live && status.since >= lived, "the session ended: {status:?}");
}

#[tokio::test]
async fn a_cover_that_comes_and_goes_moves_routes_little_by_little_and_none_is_missing() {
    let network = MemoryNetwork::new();
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let eu = Linker::builder(cluster("eu"), NodeName::new("eu-1").unwrap())
        .transport(network.transport("eu-1"))
        .link(link("us", &[], &["#"]))
        .covering(Covering { stable: QUIET * 3, per_second: 220 })
        .start(MemoryBroker::new())
        .unwrap();
    let topics: Vec<String> = (0..50).map(|n| format!("t/{n}")).collect();
    topics.iter().for_each(|topic| eu.subscribe("c", &filter(topic)));
    us.wait_routes("eu", 50).await;
    let always = |routes: u64| {
        let (us, topics) = (&us, &topics);
        async move {
            let reached = us.wait_routes("eu", routes);
            tokio::pin!(reached);
            loop {
                assert!(topics.iter().all(|topic| us.linker.wants(topic)), "one is missing");
                let look = tokio::time::sleep(Duration::from_millis(1));
                tokio::select! { _ = &mut reached => return, () = look => {} }
            }
        }
    };
    eu.subscribe("d", &filter("#"));
    always(51).await;
    let ripens = Instant::now();
    always(1).await;
    assert!(ripens.elapsed() > QUIET * 3, "withdrawn before its cover was stable");
    let goes = Instant::now();
    eu.unsubscribe("d", &filter("#"));
    always(50).await;
    assert!(goes.elapsed() > QUIET, "announced all at once");
    us.wait("eu", "without the cover", |_| !us.linker.wants("other")).await;
}

#[tokio::test]
async fn messages_wait_while_the_other_side_is_disabled() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let mut c = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    eu.linker.enable_link(&cluster("us"), false).await.unwrap();
    us.wait("eu", "refused", |status| status.state == LinkState::Refused).await;
    publish(&us, "t", 0..200);
    let mut brief = message("t", "brief");
    brief.qos = QoS::AtMostOnce;
    us.broker.publish("publisher", &brief).unwrap();
    let waits = us.wait("eu", "holding 200", |status| status.peers[0].sent.queued == 200).await;
    assert_eq!(waits.peers[0].sent.dropped.link_down, 1);
    assert_eq!(drain(&mut c, QUIET).await, vec![]);
    eu.linker.enable_link(&cluster("us"), true).await.unwrap();
    let status = us.wait_drained("eu").await;
    assert_eq!((status.state, status.attempts), (LinkState::Live, 0));
    assert_eq!(numbers(&drain(&mut c, QUIET).await), (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_link_deleted_and_made_again_works_and_the_other_link_stays() {
    let network = MemoryNetwork::new();
    let ap = Broker::start(&network, "ap", "ap-1", vec![link("us", &[], &["#"])]);
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let both = vec![link("eu", &["eu-1"], &["#"]), link("ap", &["ap-1"], &["#"])];
    let us = Broker::start(&network, "us", "us-1", both);
    let (mut at_eu, mut at_ap) = (eu.subscriber("c", &["t"]), ap.subscriber("c", &["t"]));
    us.wait_routes("eu", 1).await;
    us.wait_routes("ap", 1).await;
    publish(&us, "t", 0..50);
    assert_eq!(drain(&mut at_eu, QUIET).await.len(), 50);
    us.linker.delete_link(&cluster("eu")).await.unwrap();
    publish(&us, "t", 50..60);
    us.linker.create_link(link("eu", &["eu-1"], &["#"])).await.unwrap();
    us.wait_routes("eu", 1).await;
    us.wait_live("eu").await;
    publish(&us, "t", 60..70);
    assert_eq!(numbers(&drain(&mut at_eu, QUIET).await), (60..70).collect::<Vec<_>>());
    assert_eq!(numbers(&drain(&mut at_ap, QUIET).await), (0..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_peer_that_was_forgotten_and_remembers_is_taken_back() {
    let network = MemoryNetwork::new();
    let mut forgetful = link("eu", &["eu-1"], &["#"]);
    forgetful.retention = Duration::from_millis(300);
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start(&network, "us", "us-1", vec![forgetful]);
    let mut c = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    publish(&us, "t", 0..50);
    assert_eq!(drain(&mut c, QUIET).await.len(), 50);
    network.cut("us-1", "eu-1");
    us.wait("eu", "without peers", |status| status.peers.is_empty()).await;
    network.heal("us-1", "eu-1");
    us.wait_routes("eu", 1).await;
    publish(&us, "t", 50..100);
    assert_eq!(numbers(&drain(&mut c, QUIET).await), (50..100).collect::<Vec<_>>());
    us.wait_drained("eu").await;
}

#[tokio::test]
async fn expired_and_overflowing_messages_are_counted_while_the_peer_is_away() {
    let network = MemoryNetwork::new();
    let mut to_eu = link("eu", &["eu-1"], &["#"]);
    (to_eu.queue_bytes, to_eu.overflow) = (2048, Overflow::DropOldest);
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start(&network, "us", "us-1", vec![to_eu]);
    let mut c = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    network.cut("us-1", "eu-1");
    us.wait("eu", "down", |status| status.peers[0].state == LinkState::Down).await;
    let mut short = message("t", "9");
    short.properties.message_expiry = Some(1);
    us.broker.publish("publisher", &short).unwrap();
    us.wait("eu", "expired", |status| status.peers[0].sent.expired == 1).await;
    for n in 0..100 {
        publish(&us, "t", n..n + 1);
        tokio::task::yield_now().await;
    }
    let sent = us.wait("eu", "full", |status| status.peers[0].sent.dropped.overflow > 0).await.peers[0].sent;
    assert!(sent.balances(), "{sent:?}");
    network.heal("us-1", "eu-1");
    us.wait_drained("eu").await;
    let got = numbers(&drain(&mut c, QUIET).await);
    assert!(got.is_sorted() && got.last() == Some(&99), "the oldest go first: {got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_resets_lose_and_repeat_nothing() {
    const COUNT: u64 = 10_000;
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let mut wide = link("eu", &["eu-1"], &["#"]);
    wide.connections = NonZeroU16::new(3).unwrap();
    let us = Broker::start(&network, "us", "us-1", vec![wide]);
    let mut c = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    for n in 0..COUNT {
        publish(&us, "t", n..n + 1);
        if n % 500 == 250 {
            tokio::time::sleep(Duration::from_millis(n * 7 % 23)).await;
            network.reset("us-1", "eu-1");
        }
    }
    for n in 0..COUNT {
        assert_eq!(payload_number(&receive(&mut c).await), n);
    }
    let sent = us.wait_drained("eu").await.peers[0].sent;
    let received = eu.linker.link(&cluster("us")).await.unwrap().peers[0].received;
    assert!(sent.balances() && received.balances(), "{sent:?} {received:?}");
    assert_eq!((sent.accepted, sent.delivered, received.delivered), (COUNT, COUNT, COUNT));
    assert_eq!(drain(&mut c, QUIET).await, vec![]);
}
