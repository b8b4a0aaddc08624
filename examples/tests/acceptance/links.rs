//! The tests, and the table that runs them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use link_core::link::{LinkState, Secret};

use crate::{
    common::*,
    network::{Network, pair},
    scripted::{Scripted, Step},
};

/// Overlapping filters on two nodes of the receiver: each subscriber gets exactly one copy, whether it subscribed
/// before or after the link came up.
async fn emqx_acceptance_01_overlapping_filters_on_two_nodes_one_copy_each(network: Network) {
    let us = network.start("us-1", vec![network.link("us-1", "eu", &[], &["#"]).await]).await;
    let eu1 = network.start("eu-1", vec![]).await;
    let eu2 = network.start("eu-2", vec![]).await;
    let mut early1 = eu1.subscriber("early-1", &["t/#", "t/+/b"]);
    let mut early2 = eu2.subscriber("early-2", &["t/a/b", "t/+/+"]);
    for eu in [&eu1, &eu2] {
        eu.linker.create_link(network.link(&eu.name, "us", &["us-1"], &["#"]).await).await.unwrap();
        eu.wait_live("us").await;
    }
    let mut late1 = eu1.subscriber("late-1", &["+/a/#"]);
    let mut late2 = eu2.subscriber("late-2", &["#", "t/a/+"]);
    us.wait("eu", "in sync with two nodes", |status| {
        status.peers.iter().filter(|peer| peer.in_sync && peer.held.is_some_and(|held| held.count > 0)).count() == 2
    })
    .await;
    for eu in [&eu1, &eu2] {
        eu.wait("us", "confirmed", |status| status.peers.iter().all(|peer| peer.in_sync)).await;
    }
    us.client("publisher").publish(&message("t/a/b", "one")).unwrap();
    for client in [&mut early1, &mut early2, &mut late1, &mut late2] {
        assert_eq!(receive(client).await.payload, "one");
        assert_eq!(drain(client, Duration::from_millis(50)).await, vec![], "a second copy came");
    }
}

/// Ten concurrent publishers on ten topics: order per publisher.
async fn emqx_acceptance_03_ten_publishers_keep_their_order(network: Network) {
    const EACH: u64 = 500;
    let (us, eu) = pair(&network).await;
    let mut subscriber = eu.subscriber("subscriber", &["p/+"]);
    us.wait_routes("eu", 1).await;
    let publishers: Vec<_> = (0..10)
        .map(|p| {
            let client = us.client(&format!("publisher-{p}"));
            tokio::spawn(async move {
                for n in 0..EACH {
                    client.publish(&message(&format!("p/{p}"), n.to_string())).unwrap();
                    if n % 50 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                client
            })
        })
        .collect();
    let mut next = [0; 10];
    for _ in 0..EACH * 10 {
        let message = receive(&mut subscriber).await;
        let p: usize = message.topic.as_str()[2..].parse().unwrap();
        assert_eq!(payload_number(&message), next[p], "publisher {p} out of order");
        next[p] += 1;
    }
    assert_eq!(next, [EACH; 10]);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

/// A kicked connection shows as down, with its cause; and comes back.
async fn emqx_acceptance_04_a_kicked_connection_is_down_with_its_cause(network: Network) {
    let (us, eu) = pair(&network).await;
    network.cut("us-1", "eu-1").await;
    for (broker, name) in [(&us, "eu"), (&eu, "us")] {
        let status = broker.wait(name, "down", |status| status.peers[0].state == LinkState::Down).await;
        assert!(status.peers[0].reason.contains(network.cause_of_a_cut()), "{:?}", status.peers[0].reason);
        assert_ne!(status.state, LinkState::Live);
    }
    network.heal("us-1", "eu-1").await;
    us.wait_live("eu").await;
    eu.wait_live("us").await;
}

/// Receiver nodes stop one by one: only their routes go, nothing that only they wanted is forwarded any more, the
/// table ends empty.
async fn emqx_acceptance_05_only_the_routes_of_a_stopped_node_go(network: Network) {
    let mut to_eu = network.link("us-1", "eu", &[], &["#"]).await;
    to_eu.retention = Duration::from_millis(400);
    let us = network.start("us-1", vec![to_eu]).await;
    let eu1 = network.start("eu-1", vec![network.link("eu-1", "us", &["us-1"], &["#"]).await]).await;
    let eu2 = network.start("eu-2", vec![network.link("eu-2", "us", &["us-1"], &["#"]).await]).await;
    let _one = eu1.subscriber("one", &["only/1", "both"]);
    let mut two = eu2.subscriber("two", &["only/2", "both"]);
    us.wait_routes("eu", 4).await;
    let wanted = |topic: &str| us.linker.wants(topic);
    assert!(wanted("only/1") && wanted("only/2") && wanted("both"));

    eu1.linker.shutdown().await;
    us.wait_routes("eu", 2).await;
    assert!(!wanted("only/1"), "a route of the stopped node stayed");
    assert!(wanted("only/2") && wanted("both"), "a route of the other node went");
    us.client("publisher").publish(&message("both", "still")).unwrap();
    assert_eq!(receive(&mut two).await.payload, "still");

    eu2.linker.shutdown().await;
    us.wait("eu", "without peers", |status| status.peers.is_empty()).await;
    assert!(!wanted("only/2") && !wanted("both"), "the table is not empty");
}

/// Several subscribers add and delete the same filter again and again: one route, and none at the end.
async fn emqx_acceptance_06_repeated_adds_and_deletes_are_one_route(network: Network) {
    let (us, eu) = pair(&network).await;
    let clients: Vec<_> = (0..5).map(|n| eu.subscriber(&format!("c{n}"), &["t/1", "t/1", "t/2"])).collect();
    us.wait_routes("eu", 2).await;
    for client in &clients {
        client.subscribe(&filter("t/1"));
        client.unsubscribe(&filter("t/2"));
        client.unsubscribe(&filter("t/2"));
    }
    us.wait_routes("eu", 1).await;
    let published = us.client("publisher").publish(&message("t/1", "x")).unwrap();
    assert_eq!(published.accepted, 1, "one copy for the cluster");
    drop(clients);
    us.wait_routes("eu", 0).await;
    assert!(!us.linker.wants("t/1"));
}

/// A node that comes back without its memory replaces its old routes at once, and its old life is not heard again.
async fn emqx_acceptance_07_a_new_life_replaces_the_old_routes(network: Network) {
    let (us, eu) = pair(&network).await;
    let _old = eu.subscriber("old", &["old/1", "both"]);
    let before = us.wait_routes("eu", 2).await.peers[0].held.unwrap();
    eu.linker.shutdown().await;
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let _new = eu.subscriber("new", &["new/1", "new/2", "both"]);
    let after = us.wait_routes("eu", 3).await.peers[0].held.unwrap();
    assert!(after.incarnation.counter > before.incarnation.counter, "{after:?} is not above {before:?}");
    assert!(us.linker.wants("new/1") && us.linker.wants("both") && !us.linker.wants("old/1"));
}

/// Only the cluster that stays away is forgotten; the routes of another one are untouched.
async fn emqx_acceptance_08_only_the_expired_peer_is_collected(network: Network) {
    let (mut to_eu, mut to_ap) =
        (network.link("us-1", "eu", &[], &["#"]).await, network.link("us-1", "ap", &[], &["#"]).await);
    to_eu.retention = Duration::from_millis(400);
    to_ap.retention = Duration::from_millis(400);
    let us = network.start("us-1", vec![to_eu, to_ap]).await;
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &["us-1"], &["#"]).await]).await;
    let ap = network.start("ap-1", vec![network.link("ap-1", "us", &["us-1"], &["#"]).await]).await;
    let _eu = eu.subscriber("c", &["both", "eu"]);
    let _ap = ap.subscriber("c", &["both", "ap"]);
    us.wait_routes("eu", 2).await;
    us.wait_routes("ap", 2).await;
    network.cut("us-1", "eu-1").await;
    us.wait("eu", "down", |status| status.peers.iter().all(|peer| peer.state == LinkState::Down)).await;
    assert!(us.linker.wants("eu"), "the routes went with the connection, before their time");
    us.wait("eu", "forgotten", |status| status.peers.is_empty()).await;
    assert!(!us.linker.wants("eu"));
    assert!(us.linker.wants("both") && us.linker.wants("ap"));
    assert_eq!(us.wait_routes("ap", 2).await.state, LinkState::Live);
    network.heal("us-1", "eu-1").await;
    us.wait_routes("eu", 2).await;
    assert!(us.linker.wants("eu"));
}

/// The receiver's side fails on what it gets, and disconnects: the sender starts over and all is well.
async fn emqx_acceptance_13_an_error_of_the_receiver_disconnects_and_the_sender_starts_over(network: Network) {
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let scripted = Scripted::new(&network, "us-1", &[Step::Garbage]).await;
    let us =
        Broker::start_over(scripted.clone(), "us", "us-1", vec![network.link("us-1", "eu", &["eu-1"], &["#"]).await]);
    let _client = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    assert_eq!(scripted.dials(), 2);
}

/// No answer to HELLO: a time-out, a new connection, the route set; exactly two connects.
async fn emqx_acceptance_14_no_answer_is_a_timeout_and_exactly_one_more_connect(network: Network) {
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let _client = eu.subscriber("c", &["t"]);
    let scripted = Scripted::new(&network, "us-1", &[Step::Mute]).await;
    let us =
        Broker::start_over(scripted.clone(), "us", "us-1", vec![network.link("us-1", "eu", &["eu-1"], &["#"]).await]);
    let status = us.wait("eu", "timed out", |status| status.reason.contains("handshake took too long")).await;
    assert_ne!(status.state, LinkState::Live);
    us.wait_routes("eu", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scripted.dials(), 2);
}

/// The listener is down, then refuses, then is fine: the link recovers alone, and says at each step why it waits.
async fn emqx_acceptance_15_recovers_from_a_dead_listener_and_a_refusal(network: Network) {
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let scripted = Scripted::new(&network, "us-1", &[Step::Unreachable, Step::Unreachable, Step::Refused]).await;
    let mut to_eu = network.link("us-1", "eu", &["eu-1"], &["#"]).await;
    to_eu.retry_first = Duration::from_millis(100);
    let us = Broker::start_over(scripted.clone(), "us", "us-1", vec![to_eu]);
    us.wait("eu", "connecting", |status| status.reason.contains("nobody listens")).await;
    let status = us.wait("eu", "refused", |status| status.state == LinkState::Refused).await;
    assert!(status.reason.contains("SUBSCRIBE was refused"), "{}", status.reason);
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    assert_eq!(scripted.dials(), 4);
}

/// Stopping while a connect hangs takes less than a second.
async fn emqx_acceptance_16_stopping_during_a_hanging_connect_is_quick(network: Network) {
    let scripted = Scripted::new(&network, "us-1", &[Step::Hang]).await;
    let mut to_eu = network.link("us-1", "eu", &["eu-1"], &["#"]).await;
    to_eu.connect_timeout = Duration::from_secs(60);
    let us = Broker::start_over(scripted.clone(), "us", "us-1", vec![to_eu]);
    us.wait("eu", "connecting", |status| status.reason.contains("connecting to")).await;
    while scripted.dials() == 0 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    us.linker.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    assert!(
        us.linker.publish("p", &message("t", "x")).is_ok_and(|p| p.accepted == 0) || us.linker.links().await.is_empty()
    );
}

/// Connections are broken again and again while subscriptions change: what the peer holds at the end is the final
/// state.
async fn emqx_acceptance_17_broken_connections_under_churn_end_in_the_final_state(network: Network) {
    let (us, eu) = pair(&network).await;
    let client = eu.client("churn");
    let mut held = BTreeSet::new();
    let mut random = 1u64;
    for round in 0..400 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = format!("churn/{}", (random >> 33) % 60);
        if random >> 63 == 0 {
            client.subscribe(&filter(&name));
            held.insert(name);
        } else {
            client.unsubscribe(&filter(&name));
            held.remove(&name);
        }
        if round % 20 == 0 {
            network.reset("us-1", "eu-1").await;
        }
        if round % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let wanted =
        || -> BTreeSet<String> { (0..60).map(|n| format!("churn/{n}")).filter(|name| us.linker.wants(name)).collect() };
    let start = Instant::now();
    // An earlier state may have as many routes as the last one: only the set itself tells that all has come.
    while wanted() != held && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(wanted(), held);
    let live = us.wait("eu", "in sync", |status| status.peers.iter().all(|peer| peer.in_sync)).await;
    assert_eq!(live.peers[0].held.unwrap().count, held.len() as u64);
    assert_eq!(wanted(), held);
}

/// Misconfigured peers are refused with the reason on both sides, and recover when the settings are mended.
async fn emqx_acceptance_20_misconfigured_peers_are_refused_and_recover(network: Network) {
    let eu = network.start("eu-1", vec![]).await;
    let us = network.start("us-1", vec![network.link("us-1", "eu", &["eu-1"], &["#"]).await]).await;
    let refused = |reason: &'static str| {
        move |status: &link_core::link::LinkStatus| status.state == LinkState::Refused && status.reason.contains(reason)
    };
    us.wait("eu", "unknown there", refused("cluster `eu` has no link to `us`")).await;

    let mut off = network.link("eu-1", "us", &[], &["#"]).await;
    off.enabled = false;
    eu.linker.create_link(off).await.unwrap();
    us.wait("eu", "disabled there", refused("the link to `us` is disabled at `eu`")).await;
    eu.linker.enable_link(&cluster("us"), true).await.unwrap();
    us.wait_live("eu").await;
    eu.wait_live("us").await;

    us.linker.create_link(network.link("us-1", "ap", &["eu-1"], &[]).await).await.unwrap();
    us.wait("ap", "wrong", refused("expects cluster `ap` here, but this is `eu`")).await;
    let status = eu.linker.link(&cluster("us")).await.unwrap();
    assert_eq!(status.state, LinkState::Live, "the good link goes on");
    let why = status.last_refusal.unwrap_or_default();
    assert!(why.contains("refused `us`") && why.contains("expects cluster `ap`"), "{why}");
    us.linker.delete_link(&cluster("ap")).await.unwrap();
    assert!(us.linker.link(&cluster("ap")).await.is_none());
    us.wait_live("eu").await;
}

/// Secrets survive an update that brings only the mask, and are never shown.
async fn emqx_acceptance_23_secrets_survive_an_update_with_the_mask(network: Network) {
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let mut to_eu = network.link("us-1", "eu", &["eu-1"], &["#"]).await;
    let secret = network.secret(&mut to_eu).as_ref().unwrap().reveal().to_string();
    assert!(!format!("{to_eu:?}").contains(&secret));
    let us = network.start("us-1", vec![to_eu.clone()]).await;
    us.wait_live("eu").await;
    *network.secret(&mut to_eu) = Some(Secret::new(Secret::MASK));
    to_eu.keep_alive = Duration::from_secs(11);
    us.linker.update_link(to_eu.clone()).await.unwrap();
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    network.reset("us-1", "eu-1").await;
    us.wait("eu", "down or back", |status| status.state != LinkState::Refused).await;
    us.wait_live("eu").await;
    network.spoil(&mut to_eu);
    us.linker.update_link(to_eu).await.unwrap();
    us.wait("eu", "refused", |status| status.state == LinkState::Refused && status.reason.contains(network.refusal()))
        .await;
}

/// Runs each test over each carrier, in modules of their names.
macro_rules! table {
    ($($test:ident)*) => {
        over!(memory, Memory, $($test)*);
        over!(mqtt, Mqtt, $($test)*);
        over!(quic, Quic, $($test)*);
    };
}

macro_rules! over {
    ($name:ident, $carrier:ident, $($test:ident)*) => {
        mod $name {
            use crate::network::{Carrier, Network};

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(Network::new(Carrier::$carrier)).await;
            })*
        }
    };
}
table! {
    emqx_acceptance_01_overlapping_filters_on_two_nodes_one_copy_each
    emqx_acceptance_03_ten_publishers_keep_their_order
    emqx_acceptance_04_a_kicked_connection_is_down_with_its_cause
    emqx_acceptance_05_only_the_routes_of_a_stopped_node_go
    emqx_acceptance_06_repeated_adds_and_deletes_are_one_route
    emqx_acceptance_07_a_new_life_replaces_the_old_routes
    emqx_acceptance_08_only_the_expired_peer_is_collected
    emqx_acceptance_13_an_error_of_the_receiver_disconnects_and_the_sender_starts_over
    emqx_acceptance_14_no_answer_is_a_timeout_and_exactly_one_more_connect
    emqx_acceptance_15_recovers_from_a_dead_listener_and_a_refusal
    emqx_acceptance_16_stopping_during_a_hanging_connect_is_quick
    emqx_acceptance_17_broken_connections_under_churn_end_in_the_final_state
    emqx_acceptance_20_misconfigured_peers_are_refused_and_recover
    emqx_acceptance_23_secrets_survive_an_update_with_the_mask
}
