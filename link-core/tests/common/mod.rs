//! Small clusters over the memory network, for the tests of whole links.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code; each binary uses a part of it"
)]

use std::{sync::Arc, time::Duration};

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkConfig, LinkState, LinkStatus, NodeName},
    memory::{MemoryBroker, MemoryClient, MemoryNetwork},
    message::{Message, QoS},
    topic::{Topic, TopicFilter},
    transport::Transport,
};

/// Longest time that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message::new(Topic::new(topic.to_owned()).unwrap(), payload.into(), QoS::AtLeastOnce)
}

/// A link with short times, so that tests are quick.
pub fn link(name: &str, servers: &[&str], topics: &[&str]) -> LinkConfig {
    let mut link = LinkConfig::new(cluster(name));
    link.servers = servers.iter().map(|server| format!("memory://{server}").parse().unwrap()).collect();
    link.topics = topics.iter().map(|topic| filter(topic)).collect();
    link.heartbeat = Duration::from_millis(100);
    link.connect_timeout = Duration::from_millis(500);
    link.retry_first = Duration::from_millis(10);
    link.retry_max = Duration::from_millis(100);
    link
}

/// One broker node with its linker. The node's name is also its name on the network.
pub struct Broker {
    pub name: String,
    pub broker: Arc<MemoryBroker>,
    pub linker: Linker,
}

impl Broker {
    pub fn start(network: &MemoryNetwork, cluster_name: &str, node: &str, links: Vec<LinkConfig>) -> Self {
        Self::start_over(network.transport(node), cluster_name, node, links)
    }

    pub fn start_over(transport: Arc<dyn Transport>, cluster_name: &str, node: &str, links: Vec<LinkConfig>) -> Self {
        let broker = MemoryBroker::new();
        let builder = Linker::builder(cluster(cluster_name), NodeName::new(node).unwrap()).transport(transport);
        let linker = links.into_iter().fold(builder, |builder, link| builder.link(link)).start(broker.clone()).unwrap();
        broker.attach(&linker);
        Self { name: node.to_owned(), broker, linker }
    }

    pub fn client(&self, id: &str) -> MemoryClient {
        self.broker.client(id)
    }

    /// A client with subscriptions.
    pub fn subscriber(&self, id: &str, filters: &[&str]) -> MemoryClient {
        let client = self.client(id);
        for text in filters {
            client.subscribe(&filter(text));
        }
        client
    }

    pub async fn wait(&self, link: &str, what: &str, condition: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        match tokio::time::timeout(PATIENCE, self.linker.wait_for(&cluster(link), condition)).await {
            Ok(Some(status)) => status,
            _ => panic!(
                "{}: link {link} never was {what}; it is {:#?}",
                self.name,
                self.linker.link(&cluster(link)).await
            ),
        }
    }

    pub async fn wait_live(&self, link: &str) -> LinkStatus {
        self.wait(link, "live", |status| status.state == LinkState::Live).await
    }

    /// Waits until both route sets are equal and the peers of the link announce `routes` in all.
    pub async fn wait_routes(&self, link: &str, routes: u64) -> LinkStatus {
        let held = |status: &LinkStatus| status.peers.iter().filter_map(|peer| peer.held).map(|held| held.count).sum();
        self.wait(link, &format!("holding {routes} routes"), |status| {
            let count: u64 = held(status);
            count == routes && status.peers.iter().all(|peer| peer.in_sync || peer.state == LinkState::Down)
        })
        .await
    }

    /// Waits until nothing is queued for any peer.
    pub async fn wait_drained(&self, link: &str) -> LinkStatus {
        self.wait(link, "drained", |status| status.peers.iter().all(|peer| peer.queued_bytes == 0)).await
    }
}

pub async fn receive(client: &mut MemoryClient) -> Message {
    tokio::time::timeout(PATIENCE, client.recv()).await.expect("no message came").expect("the client is gone")
}

/// Everything that comes until `quiet` passes without a message.
pub async fn drain(client: &mut MemoryClient, quiet: Duration) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(quiet, client.recv()).await {
        messages.push(message);
    }
    messages
}

pub fn payload_number(message: &Message) -> u64 {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

/// Two linked clusters, `us` and `eu`, that want everything of each other; `us` dials.
pub async fn pair(network: &MemoryNetwork) -> (Broker, Broker) {
    let eu = Broker::start(network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    let us = Broker::start(network, "us", "us-1", vec![link("eu", &["eu-1"], &["#"])]);
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    (us, eu)
}
