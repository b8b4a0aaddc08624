//! The acceptance list of the reference system, as far as it concerns whole links. The number in each test's name is
//! the line of that list; lines that concern route sets alone are in `routes_acceptance.rs`, line 19 is in
//! `config_file.rs`.

#![cfg(feature = "driver")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::*;
use link_core::{
    link::{LinkState, Secret},
    memory::{MemoryNetwork, MemoryTransport},
    transport::{Accepted, Connection, Dial, DialError, Transport},
};

/// Overlapping filters on two nodes of the receiver: each subscriber gets exactly one copy, whether it subscribed
/// before or after the link came up.
#[tokio::test]
async fn emqx_acceptance_01_overlapping_filters_on_two_nodes_one_copy_each() {
    let network = MemoryNetwork::new();
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &[], &["#"])]);
    let eu1 = Broker::start(&network, "eu", "eu-1", vec![]);
    let eu2 = Broker::start(&network, "eu", "eu-2", vec![]);
    let mut early1 = eu1.subscriber("early-1", &["t/#", "t/+/b"]);
    let mut early2 = eu2.subscriber("early-2", &["t/a/b", "t/+/+"]);
    for eu in [&eu1, &eu2] {
        eu.linker.create_link(link("us", &["us-1"], &["#"])).await.unwrap();
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
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emqx_acceptance_03_ten_publishers_keep_their_order() {
    const EACH: u64 = 500;
    let network = MemoryNetwork::new();
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
#[tokio::test]
async fn emqx_acceptance_04_a_kicked_connection_is_down_with_its_cause() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    network.cut("us-1", "eu-1");
    for (broker, name) in [(&us, "eu"), (&eu, "us")] {
        let status = broker.wait(name, "down", |status| status.peers[0].state == LinkState::Down).await;
        assert!(status.peers[0].reason.contains("the network was cut"), "{:?}", status.peers[0].reason);
        assert_ne!(status.state, LinkState::Live);
    }
    network.heal("us-1", "eu-1");
    us.wait_live("eu").await;
    eu.wait_live("us").await;
}

/// Receiver nodes stop one by one: only their routes go, nothing that only they wanted is forwarded any more, the
/// table ends empty.
#[tokio::test]
async fn emqx_acceptance_05_only_the_routes_of_a_stopped_node_go() {
    let network = MemoryNetwork::new();
    let mut to_eu = link("eu", &[], &["#"]);
    to_eu.retention = Duration::from_millis(400);
    let us = Broker::start(&network, "us", "us-1", vec![to_eu]);
    let eu1 = Broker::start(&network, "eu", "eu-1", vec![link("us", &["us-1"], &["#"])]);
    let eu2 = Broker::start(&network, "eu", "eu-2", vec![link("us", &["us-1"], &["#"])]);
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
#[tokio::test]
async fn emqx_acceptance_06_repeated_adds_and_deletes_are_one_route() {
    let network = MemoryNetwork::new();
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
#[tokio::test]
async fn emqx_acceptance_07_a_new_life_replaces_the_old_routes() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let _old = eu.subscriber("old", &["old/1", "both"]);
    let before = us.wait_routes("eu", 2).await.peers[0].held.unwrap();
    eu.linker.shutdown().await;
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let _new = eu.subscriber("new", &["new/1", "new/2", "both"]);
    let after = us.wait_routes("eu", 3).await.peers[0].held.unwrap();
    assert!(after.incarnation.counter > before.incarnation.counter, "{after:?} is not above {before:?}");
    assert!(us.linker.wants("new/1") && us.linker.wants("both") && !us.linker.wants("old/1"));
}

/// Only the cluster that stays away is forgotten; the routes of another one are untouched.
#[tokio::test]
async fn emqx_acceptance_08_only_the_expired_peer_is_collected() {
    let network = MemoryNetwork::new();
    let (mut to_eu, mut to_ap) = (link("eu", &[], &["#"]), link("ap", &[], &["#"]));
    to_eu.retention = Duration::from_millis(400);
    to_ap.retention = Duration::from_millis(400);
    let us = Broker::start(&network, "us", "us-1", vec![to_eu, to_ap]);
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &["us-1"], &["#"])]);
    let ap = Broker::start(&network, "ap", "ap-1", vec![link("us", &["us-1"], &["#"])]);
    let _eu = eu.subscriber("c", &["both", "eu"]);
    let _ap = ap.subscriber("c", &["both", "ap"]);
    us.wait_routes("eu", 2).await;
    us.wait_routes("ap", 2).await;
    network.cut("us-1", "eu-1");
    us.wait("eu", "down", |status| status.peers.iter().all(|peer| peer.state == LinkState::Down)).await;
    assert!(us.linker.wants("eu"), "the routes went with the connection, before their time");
    us.wait("eu", "forgotten", |status| status.peers.is_empty()).await;
    assert!(!us.linker.wants("eu"));
    assert!(us.linker.wants("both") && us.linker.wants("ap"));
    assert_eq!(us.wait_routes("ap", 2).await.state, LinkState::Live);
    network.heal("us-1", "eu-1");
    us.wait_routes("eu", 2).await;
    assert!(us.linker.wants("eu"));
}

/// How a scripted dial goes.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Unreachable,
    Refused,
    /// Never answers.
    Hang,
    /// Connects to something that reads and never says a word.
    Mute,
    /// Connects to something that answers with bytes that are no frame.
    Garbage,
    Through,
}

/// Follows a script for its first dials, and counts them.
struct Scripted {
    inner: Arc<MemoryTransport>,
    mute: MemoryNetwork,
    steps: Vec<Step>,
    dials: AtomicUsize,
}

impl Scripted {
    fn new(network: &MemoryNetwork, name: &str, steps: &[Step]) -> Arc<Self> {
        let mute = MemoryNetwork::new();
        Arc::new(Self { inner: network.transport(name), mute, steps: steps.to_vec(), dials: AtomicUsize::new(0) })
    }

    fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Transport for Scripted {
    fn schemes(&self) -> &[&'static str] {
        &["memory"]
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        let n = self.dials.fetch_add(1, Ordering::SeqCst);
        let endpoint = dial.endpoint.clone();
        match self.steps.get(n).copied().unwrap_or(Step::Through) {
            Step::Unreachable => Err(DialError::Unreachable { endpoint, reason: "nobody listens".to_owned() }),
            Step::Refused => Err(DialError::Refused { endpoint, reason: "SUBSCRIBE was refused".to_owned() }),
            Step::Hang => std::future::pending().await,
            Step::Through => self.inner.dial(dial).await,
            step => {
                let listener = self.mute.transport(&endpoint.host);
                let dialler = self.mute.transport("dialler");
                tokio::spawn(async move {
                    let Accepted::Connection(mut connection) = listener.accept().await else { return };
                    while connection.receiver.recv().await.is_ok() {
                        if step == Step::Garbage {
                            let _ = connection.control.send(bytes::Bytes::from_static(b"\xff\xffnonsense")).await;
                        }
                    }
                });
                dialler.dial(dial).await
            }
        }
    }

    async fn accept(&self) -> Accepted {
        self.inner.accept().await
    }
}

/// The receiver's side fails on what it gets, and disconnects: the sender starts over and all is well.
#[tokio::test]
async fn emqx_acceptance_13_an_error_of_the_receiver_disconnects_and_the_sender_starts_over() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let scripted = Scripted::new(&network, "us-1", &[Step::Garbage]);
    let us = Broker::start_over(scripted.clone(), "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let _client = eu.subscriber("c", &["t"]);
    us.wait_routes("eu", 1).await;
    assert_eq!(scripted.dials(), 2);
}

/// No answer to HELLO: a time-out, a new connection, the route set; exactly two connects.
#[tokio::test]
async fn emqx_acceptance_14_no_answer_is_a_timeout_and_exactly_one_more_connect() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let _client = eu.subscriber("c", &["t"]);
    let scripted = Scripted::new(&network, "us-1", &[Step::Mute]);
    let us = Broker::start_over(scripted.clone(), "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let status = us.wait("eu", "timed out", |status| status.reason.contains("handshake took too long")).await;
    assert_ne!(status.state, LinkState::Live);
    us.wait_routes("eu", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scripted.dials(), 2);
}

/// The listener is down, then refuses, then is fine: the link recovers alone, and says at each step why it waits.
#[tokio::test]
async fn emqx_acceptance_15_recovers_from_a_dead_listener_and_a_refusal() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let scripted = Scripted::new(&network, "us-1", &[Step::Unreachable, Step::Unreachable, Step::Refused]);
    let mut to_eu = link("eu", &["eu-1"], &["#"]);
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
#[tokio::test]
async fn emqx_acceptance_16_stopping_during_a_hanging_connect_is_quick() {
    let network = MemoryNetwork::new();
    let scripted = Scripted::new(&network, "us-1", &[Step::Hang]);
    let mut to_eu = link("eu", &["eu-1"], &["#"]);
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
#[tokio::test]
async fn emqx_acceptance_17_broken_connections_under_churn_end_in_the_final_state() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let client = eu.client("churn");
    let mut held = std::collections::BTreeSet::new();
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
            network.reset("us-1", "eu-1");
        }
        if round % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    us.wait_routes("eu", held.len() as u64).await;
    for n in 0..60 {
        let name = format!("churn/{n}");
        assert_eq!(us.linker.wants(&name), held.contains(&name), "{name}");
    }
}

/// Misconfigured peers are refused with the reason on both sides, and recover when the settings are mended.
#[tokio::test]
async fn emqx_acceptance_20_misconfigured_peers_are_refused_and_recover() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![]);
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    let refused = |reason: &'static str| {
        move |status: &link_core::link::LinkStatus| status.state == LinkState::Refused && status.reason.contains(reason)
    };
    us.wait("eu", "unknown there", refused("cluster `eu` has no link to `us`")).await;

    let mut off = link("us", &[], &["#"]);
    off.enabled = false;
    eu.linker.create_link(off).await.unwrap();
    us.wait("eu", "disabled there", refused("the link to `us` is disabled at `eu`")).await;
    eu.linker.enable_link(&cluster("us"), true).await.unwrap();
    us.wait_live("eu").await;
    eu.wait_live("us").await;

    us.linker.create_link(link("ap", &["eu-1"], &[])).await.unwrap();
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
#[tokio::test]
async fn emqx_acceptance_23_secrets_survive_an_update_with_the_mask() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    network.require_login("eu-1", "us-link", "correct horse");
    let mut to_eu = link("eu", &["eu-1"], &["#"]);
    to_eu.username = Some("us-link".to_owned());
    to_eu.password = Some(Secret::new("correct horse"));
    assert!(!format!("{to_eu:?}").contains("horse"));
    let us = Broker::start(&network, "us", "us-1", vec![to_eu.clone()]);
    us.wait_live("eu").await;
    to_eu.password = Some(Secret::new(Secret::MASK));
    to_eu.keep_alive = Duration::from_secs(11);
    us.linker.update_link(to_eu.clone()).await.unwrap();
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    network.reset("us-1", "eu-1");
    us.wait("eu", "down or back", |status| status.state != LinkState::Refused).await;
    us.wait_live("eu").await;
    to_eu.password = Some(Secret::new("wrong"));
    us.linker.update_link(to_eu).await.unwrap();
    us.wait("eu", "refused", |status| status.reason.contains("bad user name or password")).await;
}
