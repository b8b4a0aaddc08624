//! After a subscription is acknowledged by a peer, no publish there is lost.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use common::*;
use link_core::{
    link::LinkState,
    memory::MemoryNetwork,
    node::{AckError, AckFrom, Unacked},
    transport::{Accepted, Class, Connection, ConnectionError, Dial, DialError, FrameReceiver, Transport},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// A transport whose frames take their time; they overtake nothing.
struct Far(Arc<dyn Transport>, Duration);

struct Late(mpsc::UnboundedReceiver<(Instant, Received)>, Duration);

type Received = Result<(Class, Bytes), ConnectionError>;

#[async_trait]
impl FrameReceiver for Late {
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError> {
        let Some((at, frame)) = self.0.recv().await else { return Err(ConnectionError::Closed("it is over".into())) };
        sleep_until(at + self.1).await;
        frame
    }
}

fn far(mut connection: Connection, delay: Duration) -> Connection {
    let (late, queue) = mpsc::unbounded_channel();
    let mut receiver = connection.receiver;
    tokio::spawn(async move {
        loop {
            let frame = receiver.recv().await;
            let ended = frame.is_err();
            if late.send((Instant::now(), frame)).is_err() || ended {
                return;
            }
        }
    });
    connection.receiver = Box::new(Late(queue, delay));
    connection
}

#[async_trait]
impl Transport for Far {
    fn schemes(&self) -> &[&'static str] {
        self.0.schemes()
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        self.0.dial(dial).await.map(|connection| far(connection, self.1))
    }

    async fn accept(&self) -> Accepted {
        match self.0.accept().await {
            Accepted::Connection(connection) => Accepted::Connection(far(connection, self.1)),
            refused => refused,
        }
    }
}

const DELAY: Duration = Duration::from_millis(10);
const TIMES: u64 = 20;

async fn far_pair(network: &MemoryNetwork) -> (Broker, Broker) {
    let over = |name: &str| Arc::new(Far(network.transport(name), DELAY));
    let eu = Broker::start_over(over("eu-1"), "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start_over(over("us-1"), "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    (us, eu)
}

/// Subscribes at `eu` and publishes at `us` as soon as that is done, again and again; gives what came.
async fn race(us: &Broker, eu: &Broker, acked: bool, mut between: impl FnMut(u64)) -> Vec<u64> {
    let mut client = eu.client("c");
    for n in 0..TIMES {
        between(n);
        let filter = filter(&format!("reply/{n}"));
        client.subscribe(&filter);
        if acked {
            let done = eu.linker.subscribe_acked("c", &filter, AckFrom::All, PATIENCE).await.unwrap();
            assert_eq!(done.by[&cluster("us")], ["us-1".parse().unwrap()]);
        }
        us.broker.publish("p", &message(&format!("reply/{n}"), n.to_string())).unwrap();
    }
    drain(&mut client, Duration::from_millis(500)).await.iter().map(payload_number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_publish_after_a_subscribe_is_lost_without_and_never_with_the_barrier() {
    let network = MemoryNetwork::new();
    let (us, eu) = far_pair(&network).await;
    assert_eq!(race(&us, &eu, false, |_| {}).await, [], "the race is not there");
    assert_eq!(race(&us, &eu, true, |_| {}).await, (0..TIMES).collect::<Vec<_>>());
    // The same over connections that break while it waits.
    let breaks = |n| {
        let network = network.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DELAY * (n % 4) as u32).await;
            network.reset("us-1", "eu-1");
        });
    };
    assert_eq!(race(&us, &eu, true, breaks).await, (0..TIMES).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_delay_an_acknowledged_route_is_in_force_at_once() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    for n in 0..500 {
        let topic = format!("t/{n}");
        eu.linker.subscribe_acked("c", &filter(&topic), AckFrom::All, PATIENCE).await.unwrap();
        assert!(us.linker.wants(&topic), "{topic} was acknowledged and is not in the table");
    }
}

#[tokio::test]
async fn the_answer_says_who_has_it_who_has_not_and_whom_it_does_not_concern() {
    let network = MemoryNetwork::new();
    let ap = Broker::start(&network, "ap", "ap-1", vec![link("eu", &[], &["#"])]);
    let (links, brief) = (["us", "ap", "nobody"], Duration::from_millis(50));
    let mut links = links.map(|name| link(name, &[], &["a/#"]));
    links[1] = link("ap", &["ap-1"], &["b/#"]);
    links[2].servers = vec!["memory://nobody".parse().unwrap()];
    let eu = Broker::start(&network, "eu", "eu-1", links.into());
    let us = Broker::start(&network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    eu.wait_live("us").await;
    eu.wait_live("ap").await;
    let chosen = |names: &[&str]| AckFrom::Clusters(names.iter().map(|name| cluster(name)).collect());
    let names = |set: &BTreeSet<_>| set.iter().map(ToString::to_string).collect::<Vec<_>>();

    let done = eu.linker.subscribe_acked("c", &filter("a/b"), chosen(&["us", "ap"]), PATIENCE).await.unwrap();
    assert_eq!(done.by.keys().map(ToString::to_string).collect::<Vec<_>>(), ["us"]);
    assert_eq!(names(&done.outside), ["ap"]);
    // Nothing is imported of it anywhere.
    let done = eu.linker.subscribe_acked("c", &filter("c"), AckFrom::All, brief).await.unwrap();
    assert_eq!((done.by.len(), names(&done.outside)), (0, vec!["ap".to_owned(), "nobody".into(), "us".into()]));
    // A share group wants what its filter wants.
    eu.linker.subscribe_acked("c", &filter("$share/g/b/1"), AckFrom::All, PATIENCE).await.unwrap();
    assert!(ap.linker.wants("b/1"));

    let error = eu.linker.subscribe_acked("c", &filter("a/c"), AckFrom::All, brief).await.unwrap_err();
    let AckError::Timeout { waiting, acked } = &error else { panic!("{error}") };
    assert!(matches!(&waiting[..], [Unacked::NotConnected { cluster, .. }] if cluster.as_str() == "nobody"), "{error}");
    assert!(acked.contains_key(&cluster("us")), "{error:?}");
    assert!(error.to_string().starts_with("not acknowledged in time: `nobody` is not connected ("), "{error}");
    us.wait("eu", "wanting it all the same", |_| us.linker.wants("a/c")).await;

    // One that is off is no part of all links, and one that comes back is.
    eu.linker.enable_link(&cluster("nobody"), false).await.unwrap();
    eu.linker.subscribe_acked("c", &filter("a/d"), AckFrom::All, PATIENCE).await.unwrap();
    let error = eu.linker.acked(&filter("a/d"), chosen(&["nobody"]), brief).await.unwrap_err();
    assert!(error.to_string().contains("disabled by the operator"), "{error}");

    let error = eu.linker.acked(&filter("a/d"), chosen(&["elsewhere"]), brief).await.unwrap_err();
    assert_eq!(error, AckError::Unknown(cluster("elsewhere")));
    assert_eq!(eu.linker.acked(&filter("never"), AckFrom::All, brief).await.unwrap_err(), AckError::Ended);
    let linker = eu.linker.clone();
    let waits = tokio::spawn(async move { linker.acked(&filter("a/d"), chosen(&["nobody"]), PATIENCE).await });
    tokio::time::sleep(brief).await;
    eu.linker.unsubscribe("c", &filter("a/d"));
    assert_eq!(waits.await.unwrap().unwrap_err(), AckError::Ended);
    eu.linker.shutdown().await;
    assert_eq!(eu.linker.acked(&filter("a/b"), AckFrom::All, brief).await.unwrap_err(), AckError::Stopped);
}

#[tokio::test]
async fn a_cut_peer_is_waited_for_and_acknowledges_when_it_is_back() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    network.cut("us-1", "eu-1");
    eu.wait("us", "down", |status| status.state == LinkState::Down).await;
    let linker = eu.linker.clone();
    let waits = tokio::spawn(async move { linker.subscribe_acked("c", &filter("t"), AckFrom::All, PATIENCE).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waits.is_finished() && !us.linker.wants("t"));
    network.heal("us-1", "eu-1");
    waits.await.unwrap().unwrap();
    assert!(us.linker.wants("t"));
}

#[tokio::test]
async fn barriers_for_which_nobody_waits_make_room() {
    let network = MemoryNetwork::new();
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    eu.linker.subscribe("c", &filter("t"));
    let wanted = filter("t");
    for _ in 0..6000 {
        let given_up = eu.linker.acked(&wanted, AckFrom::All, PATIENCE);
        let _ = tokio::time::timeout(Duration::ZERO, given_up).await;
    }
    let brief = Duration::from_millis(20);
    let error = eu.linker.acked(&filter("t"), AckFrom::All, brief).await.unwrap_err();
    assert!(matches!(error, AckError::Timeout { .. }), "{error}");
}
