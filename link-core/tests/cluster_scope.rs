//! Two clusters of two nodes, each of which knows what all clients of its cluster want: one copy for a cluster, whatever
//! nodes are there, and whatever sessions.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::*;
use link_core::{
    driver::Linker,
    host::{DeliverError, Host, Origin},
    link::{LinkConfig, LinkState, LinkStatus, NodeName, PeerStatus, Scope},
    memory::MemoryNetwork,
    message::{Message, QoS},
    topic::TopicFilter,
};

/// A clustered broker: what comes to any of its nodes reaches all clients, and each node knows what all of them want.
#[derive(Default)]
struct Clustered {
    name: &'static str,
    clients: Mutex<BTreeMap<String, Client>>,
    nodes: Mutex<BTreeMap<String, Linker>>,
}

#[derive(Default)]
struct Client {
    filters: Vec<TopicFilter>,
    /// What it got, with the node by which it came into the cluster.
    got: Vec<(String, String)>,
}

/// One node of it.
struct Member {
    node: String,
    cluster: Arc<Clustered>,
    busy: Arc<AtomicBool>,
}

#[async_trait]
impl Host for Member {
    async fn deliver(&self, message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(DeliverError::Busy("told to".to_owned()));
        }
        let payload = String::from_utf8(message.payload.to_vec()).unwrap();
        for client in self.cluster.clients.lock().unwrap().values_mut() {
            if client.filters.iter().any(|filter| filter.matches(&message.topic)) {
                client.got.push((payload.clone(), self.node.clone()));
            }
        }
        Ok(())
    }

    async fn subscriptions(&self) -> Option<Vec<(String, TopicFilter)>> {
        let clients = self.cluster.clients.lock().unwrap();
        let of = |(id, client): (&String, &Client)| client.filters.iter().map(|f| (id.clone(), f.clone())).collect();
        Some(clients.iter().flat_map(of as fn(_) -> Vec<_>).collect())
    }
}

impl Clustered {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, ..Self::default() })
    }

    /// Starts a node; its host is busy while the flag is set.
    fn start(self: &Arc<Self>, network: &MemoryNetwork, node: &str, link: LinkConfig) -> Arc<AtomicBool> {
        self.start_with(network, node, vec![link], Scope::Cluster)
    }

    fn start_with(
        self: &Arc<Self>,
        network: &MemoryNetwork,
        node: &str,
        links: Vec<LinkConfig>,
        scope: Scope,
    ) -> Arc<AtomicBool> {
        let busy = Arc::new(AtomicBool::new(false));
        let builder = Linker::builder(cluster(self.name), NodeName::new(node).unwrap())
            .scope(scope)
            .transport(network.transport(node));
        let host = Member { node: node.to_owned(), cluster: self.clone(), busy: busy.clone() };
        let builder = links.into_iter().fold(builder, |builder, link| builder.link(link));
        let linker = builder.start(Arc::new(host)).unwrap();
        self.nodes.lock().unwrap().insert(node.to_owned(), linker);
        busy
    }

    /// The process of a node ends without a word.
    fn kill(&self, network: &MemoryNetwork, node: &str, peers: &[&str]) {
        peers.iter().for_each(|peer| network.cut(node, peer));
        self.nodes.lock().unwrap().remove(node);
    }

    fn subscribe(&self, client: &str, filters: &[&str]) {
        let filters: Vec<TopicFilter> = filters.iter().map(|text| filter(text)).collect();
        for linker in self.nodes.lock().unwrap().values() {
            filters.iter().for_each(|filter| linker.subscribe(client, filter));
        }
        self.clients.lock().unwrap().entry(client.to_owned()).or_default().filters.extend(filters);
    }

    fn node(&self, node: &str) -> Linker {
        self.nodes.lock().unwrap()[node].clone()
    }

    /// Publishes `<publisher> <n>` for each number, at one node.
    fn publish(&self, node: &str, publisher: &str, numbers: std::ops::Range<u64>) {
        let linker = self.node(node);
        for n in numbers {
            let published = linker.publish(publisher, &message("t/x", format!("{publisher} {n}"))).unwrap();
            assert_eq!((published.accepted, published.full), (1, 0), "{node}: {publisher} {n}");
        }
    }

    async fn wait(&self, node: &str, link: &str, what: &str, condition: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        let linker = self.node(node);
        match tokio::time::timeout(PATIENCE, linker.wait_for(&cluster(link), condition)).await {
            Ok(Some(status)) => status,
            _ => panic!("{node}: link {link} never was {what}; it is {:#?}", linker.link(&cluster(link)).await),
        }
    }

    /// Waits until so many nodes of the peer are connected and in sync.
    async fn sees(&self, node: &str, link: &str, peers: usize) {
        let ready = |peer: &&PeerStatus| peer.in_sync && peer.held.is_some_and(|held| held.count > 0);
        self.wait(node, link, "connected", |status| status.peers.iter().filter(ready).count() == peers).await;
    }

    /// Waits until a client has as many messages as were published, and checks that each came once and those of one
    /// publisher in order.
    async fn got(&self, client: &str, count: usize) -> Vec<(String, String)> {
        let got = || self.clients.lock().unwrap()[client].got.clone();
        let all = async {
            while got().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("{client} of {} got {} of {count}", self.name, got().len());
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        let got = got();
        let mut each: Vec<&String> = got.iter().map(|(payload, _)| payload).collect();
        each.sort_unstable();
        each.dedup();
        assert_eq!((got.len(), each.len()), (count, count), "{client} of {} got some twice", self.name);
        got
    }
}

/// Whether those of each publisher came in order.
fn in_order(got: &[(String, String)]) -> bool {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    got.iter().all(|(payload, _)| {
        let (publisher, n) = payload.split_once(' ').unwrap();
        let n: u64 = n.parse().unwrap();
        last.insert(publisher, n).is_none_or(|before| before < n)
    })
}

fn by_node(got: &[(String, String)], node: &str) -> usize {
    got.iter().filter(|(_, by)| by == node).count()
}

const US: [&str; 2] = ["us-1", "us-2"];
const EU: [&str; 2] = ["eu-1", "eu-2"];

/// Each node is connected to each of the other cluster. A node that is dialled before it has dialled itself is content
/// with that: so all dial at once, and again if it was not so.
async fn grid(network: &MemoryNetwork) -> (Arc<Clustered>, Arc<Clustered>) {
    let links = [
        ("us", "us-1", link("eu", &["eu-1", "eu-2"], &["#"])),
        ("us", "us-2", link("eu", &["eu-2", "eu-1"], &["#"])),
        ("eu", "eu-1", link("us", &["us-2", "us-1"], &["#"])),
        ("eu", "eu-2", link("us", &["us-1", "us-2"], &["#"])),
    ];
    loop {
        let (us, eu) = (Clustered::new("us"), Clustered::new("eu"));
        let cluster = |name: &str| if name == "us" { &us } else { &eu };
        for (name, node, _) in &links {
            cluster(name).start_with(network, node, vec![], Scope::Cluster);
        }
        for cluster in [&us, &eu] {
            cluster.subscribe("narrow", &["t/x"]);
            cluster.subscribe("wide", &["t/#", "t/+"]);
        }
        let [a, b, c, d] = links.clone().map(|(name, node, link)| {
            let linker = cluster(name).node(node);
            async move { linker.create_link(link).await }
        });
        let made = tokio::join!(a, b, c, d);
        assert!(made.0.is_ok() && made.1.is_ok() && made.2.is_ok() && made.3.is_ok());
        let full = async {
            for (name, node, link) in &links {
                cluster(name).sees(node, link.name.as_str(), 2).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(1), full).await.is_ok() {
            // The lanes are shared.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return (us, eu);
        }
        for (name, node, _) in &links {
            cluster(name).node(node).shutdown().await;
        }
    }
}

fn publishers(cluster: &Clustered, nodes: &[&str], numbers: std::ops::Range<u64>) -> usize {
    let count = (numbers.end - numbers.start) as usize;
    for n in numbers {
        for node in nodes {
            (0..16).for_each(|p| cluster.publish(node, &format!("{node}/{p}"), n..n + 1));
        }
    }
    16 * nodes.len() * count
}

#[tokio::test]
async fn one_copy_for_a_cluster_in_both_directions() {
    let network = MemoryNetwork::new();
    let (us, eu) = grid(&network).await;
    let count = publishers(&us, &US, 0..20);
    assert_eq!(publishers(&eu, &EU, 0..20), count);
    for (cluster, nodes) in [(&us, US), (&eu, EU)] {
        for client in ["narrow", "wide"] {
            let got = cluster.got(client, count).await;
            assert!(in_order(&got));
            assert!(nodes.iter().all(|node| by_node(&got, node) > 0), "a node of {} serves nobody", cluster.name);
        }
    }
    let status = us.node("us-1").link(&cluster("eu")).await.unwrap();
    let sent: u64 = status.peers.iter().map(|peer| peer.sent.accepted).sum();
    assert_eq!(sent as usize, count / 2);
    assert!(status.peers.iter().all(|peer| peer.scope == Scope::Cluster && peer.sent.balances()));
}

#[tokio::test]
async fn a_copy_for_each_node_without_the_scope() {
    let network = MemoryNetwork::new();
    let (us, eu) = (Clustered::new("us"), Clustered::new("eu"));
    us.start_with(&network, "us-1", vec![link("eu", &["eu-1"], &["#"])], Scope::Node);
    for node in EU {
        eu.start_with(&network, node, vec![link("us", &["us-1"], &["#"])], Scope::Node);
    }
    eu.subscribe("c", &["t/#"]);
    us.sees("us-1", "eu", 2).await;
    let published = us.node("us-1").publish("p", &message("t/x", "p 1")).unwrap();
    assert_eq!(published.accepted, 2);
}

#[tokio::test]
async fn a_node_that_is_cut_off_and_comes_back_loses_and_doubles_nothing() {
    let network = MemoryNetwork::new();
    let (us, eu) = grid(&network).await;
    let mut count = [0; 2];
    for round in 0..30 {
        match round {
            10 => US.iter().for_each(|node| network.cut(node, "eu-1")),
            20 => US.iter().for_each(|node| network.heal(node, "eu-1")),
            _ => {}
        }
        count[0] += publishers(&us, &US, round..round + 1);
        count[1] += publishers(&eu, &["eu-2"], round..round + 1);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let got = eu.got("wide", count[0]).await;
    assert!(by_node(&got, "eu-2") > by_node(&got, "eu-1"));
    let got = us.got("wide", count[1]).await;
    assert!(in_order(&got));
    for node in US {
        let status = us.wait(node, "eu", "drained", |s| s.peers.iter().all(|peer| peer.queued_bytes == 0)).await;
        assert!(status.peers.iter().all(|peer| peer.sent.balances()), "{status:#?}");
        assert!(status.peers.iter().any(|peer| peer.sent.moved > 0), "nothing had to be moved: {status:#?}");
    }
}

#[tokio::test]
async fn short_interruptions_keep_the_order() {
    let network = MemoryNetwork::new();
    let (us, eu) = grid(&network).await;
    let mut count = 0;
    for round in 0..30 {
        if round % 5 == 2 {
            network.reset(US[round as usize % 2], EU[round as usize / 5 % 2]);
        }
        count += publishers(&us, &US, round..round + 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(in_order(&eu.got("narrow", count).await));
}

#[tokio::test]
async fn a_node_that_dies_is_replaced_and_takes_its_part_again_after_a_restart() {
    let network = MemoryNetwork::new();
    let (us, eu) = grid(&network).await;
    let mut count = publishers(&us, &US, 0..5);
    eu.got("wide", count).await;
    for node in US {
        us.wait(node, "eu", "drained", |status| status.peers.iter().all(|peer| peer.queued_bytes == 0)).await;
    }
    eu.kill(&network, "eu-1", &US);
    let before = count;
    count += publishers(&us, &US, 5..10);
    let got = eu.got("wide", count).await;
    assert_eq!(by_node(&got[before..], "eu-1"), 0);
    // While it is away the other one is wanted alone.
    count += publishers(&us, &US, 10..15);
    eu.got("wide", count).await;

    US.iter().for_each(|node| network.heal(node, "eu-1"));
    eu.start(&network, "eu-1", link("us", &["us-2", "us-1"], &["#"]));
    // It dials this one.
    us.sees("us-2", "eu", 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = count;
    count += publishers(&us, &US, 15..20);
    let got = eu.got("wide", count).await;
    assert!(by_node(&got[before..], "eu-1") > 0, "it has no lane again");
    assert!(in_order(&got));
}

#[tokio::test]
async fn what_was_not_sent_goes_to_the_node_that_is_dialled_next_and_the_rest_waits() {
    let network = MemoryNetwork::new();
    let (us, eu) = (Clustered::new("us"), Clustered::new("eu"));
    let mut narrow = link("us", &[], &["#"]);
    narrow.window = 1024;
    let busy = eu.start(&network, "eu-1", narrow);
    eu.start(&network, "eu-2", link("us", &[], &["#"]));
    eu.subscribe("c", &["t/#"]);
    let mut to_eu = link("eu", &["eu-1", "eu-2"], &["#"]);
    to_eu.return_after = Duration::from_millis(200);
    us.start(&network, "us-1", to_eu);
    us.sees("us-1", "eu", 1).await;
    busy.store(true, Ordering::Relaxed);
    let count = publishers(&us, &["us-1"], 0..100);
    us.wait("us-1", "eu", "stuck", |status| status.peers[0].sent.in_flight > 0).await;
    network.cut("us-1", "eu-1");
    let status = us
        .wait("us-1", "eu", "drained at eu-2", |status| {
            status.peers.len() == 2 && status.peers[1].sent.delivered > 0 && status.peers[1].queued_bytes == 0
        })
        .await;
    let (old, new) = (&status.peers[0].sent, &status.peers[1].sent);
    assert_eq!((old.moved, old.queued, old.in_flight), (new.accepted, old.in_flight, old.in_flight), "{status:#?}");
    assert_eq!(old.delivered + old.queued + new.delivered, count as u64);
    assert!(old.queued > 0 && old.balances() && new.balances());
    // The node is there again: the link comes back to it, and keeps the other session.
    busy.store(false, Ordering::Relaxed);
    network.heal("us-1", "eu-1");
    let got = eu.got("c", count).await;
    assert_eq!(by_node(&got, "eu-2") as u64, new.delivered);
    let live = |peer: &PeerStatus| peer.state == LinkState::Live;
    us.wait("us-1", "eu", "connected twice", |status| status.peers.iter().all(live)).await;
}

#[tokio::test]
async fn what_waits_while_nobody_is_there_goes_to_whoever_comes_first() {
    let network = MemoryNetwork::new();
    let (us, eu) = grid(&network).await;
    us.got("wide", 0).await;
    US.iter().for_each(|a| EU.iter().for_each(|b| network.cut(a, b)));
    for node in US {
        let down = |peer: &PeerStatus| peer.state == LinkState::Down;
        us.wait(node, "eu", "down", |status| status.peers.iter().all(down)).await;
    }
    let mut count = publishers(&us, &US, 0..5);
    // For longer than a node is waited for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    count += publishers(&us, &US, 5..10);
    network.heal("us-1", "eu-2");
    network.heal("us-2", "eu-2");
    let got = eu.got("wide", count).await;
    assert_eq!(by_node(&got, "eu-1"), 0);
    assert!(in_order(&got));
}

#[tokio::test]
async fn a_node_that_is_forgotten_leaves_what_it_was_not_sent_to_another() {
    let network = MemoryNetwork::new();
    let (us, eu) = (Clustered::new("us"), Clustered::new("eu"));
    eu.start(&network, "eu-1", link("us", &["us-1"], &["#"]));
    eu.start(&network, "eu-2", link("us", &["us-1"], &["#"]));
    eu.subscribe("c", &["t/#"]);
    let mut short = link("eu", &[], &["#"]);
    short.retention = Duration::from_millis(500);
    us.start(&network, "us-1", short);
    us.sees("us-1", "eu", 2).await;
    network.cut("us-1", "eu-2");
    tokio::time::sleep(Duration::from_millis(300)).await;
    network.cut("us-1", "eu-1");
    us.wait("us-1", "eu", "down", |status| status.peers.iter().all(|peer| peer.state == LinkState::Down)).await;
    let count = publishers(&us, &["us-1"], 0..5);
    us.wait("us-1", "eu", "left with one", |status| status.peers.len() == 1).await;
    let brief = Message { qos: QoS::AtMostOnce, ..message("t/x", "brief 1") };
    us.node("us-1").publish("p", &brief).unwrap();
    network.heal("us-1", "eu-1");
    network.heal("us-1", "eu-2");
    let got = eu.got("c", count).await;
    assert!(in_order(&got));
}
