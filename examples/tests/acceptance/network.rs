//! What the table runs over: each node gets a transport, and an address at which each other node dials it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use examples::{
    mqtt5_host::{Mqtt5Broker, Settings},
    proxy::Proxy,
};
use link_core::{
    link::{LinkConfig, Secret},
    memory::MemoryNetwork,
    transport::Transport,
};
use link_quic::{QuicSettings, QuicTransport, development::DevelopmentCa};
use tokio::sync::Mutex;

use crate::common::{self, Broker, cluster};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Whoever dials logs in, where the carrier has users.
const LOGIN: (&str, &str) = ("link", "correct horse");

#[derive(Clone, Copy, PartialEq)]
pub enum Carrier {
    Memory,
    /// Over TCP, through the broker of the `mqtt5` host: its clients are those of links alone, the host of each linker
    /// is in memory.
    Mqtt,
    Quic,
}

/// Nodes that can reach each other. A node is called like its cluster, a hyphen, and a number.
pub struct Network {
    carrier: Carrier,
    memory: MemoryNetwork,
    ca: DevelopmentCa,
    ends: Mutex<BTreeMap<String, End>>,
    /// By who dials, and who is dialled.
    wires: Mutex<BTreeMap<(String, String), Proxy>>,
}

/// Where a node is dialled. It outlives its linker, as a listening port may.
struct End {
    transport: Arc<dyn Transport>,
    at: Option<SocketAddr>,
    _broker: Option<Mqtt5Broker>,
}

impl Network {
    pub fn new(carrier: Carrier) -> Self {
        let (memory, ca) = (MemoryNetwork::new(), DevelopmentCa::new().unwrap());
        Self { carrier, memory, ca, ends: Mutex::default(), wires: Mutex::default() }
    }

    /// The transport of a node, which dials and can be dialled.
    pub async fn transport(&self, node: &str) -> Arc<dyn Transport> {
        self.end(node).await.0
    }

    pub async fn start(&self, node: &str, links: Vec<LinkConfig>) -> Broker {
        Broker::start_over(self.transport(node).await, cluster_of(node), node, links)
    }

    /// A link of the node `from` to the cluster `name`, which dials these nodes.
    pub async fn link(&self, from: &str, name: &str, servers: &[&str], topics: &[&str]) -> LinkConfig {
        let mut link = common::link(name, &[], topics);
        // A machine that is busy must not look like one that does not answer.
        link.connect_timeout = Duration::from_secs(2);
        for to in servers {
            link.servers.push(self.address(from, to).await.parse().unwrap());
        }
        if self.carrier == Carrier::Quic {
            let mut tls = self.ca.settings(&cluster(cluster_of(from))).unwrap();
            // So that a link which expects another cluster gets as far as the linker that it dials.
            tls.server_name = servers.first().map(|to| cluster_of(to).to_owned());
            link.tls = Some(tls);
        } else if !servers.is_empty() {
            link.username = Some(LOGIN.0.to_owned());
            link.password = Some(Secret::new(LOGIN.1));
        }
        link
    }

    /// Breaks what is between two nodes, and lets nothing through until [`heal`](Self::heal).
    pub async fn cut(&self, a: &str, b: &str) {
        self.memory.cut(a, b);
        self.each_wire(a, b, Proxy::cut).await;
    }

    pub async fn heal(&self, a: &str, b: &str) {
        self.memory.heal(a, b);
        self.each_wire(a, b, Proxy::restore).await;
    }

    /// Breaks the connections between two nodes.
    pub async fn reset(&self, a: &str, b: &str) {
        self.cut(a, b).await;
        self.heal(a, b).await;
    }

    /// What a status says after a cut.
    pub fn cause_of_a_cut(&self) -> &'static str {
        match self.carrier {
            Carrier::Memory => "the network was cut",
            Carrier::Mqtt => "closed",
            // A connection over UDP does not end by being cut.
            Carrier::Quic => "nothing was heard for",
        }
    }

    /// The secret in the settings of a link that dials.
    pub fn secret<'a>(&self, link: &'a mut LinkConfig) -> &'a mut Option<Secret> {
        match &mut link.tls {
            Some(tls) => &mut tls.key,
            None => &mut link.password,
        }
    }

    /// Makes the credentials of a link that dials wrong.
    pub fn spoil(&self, link: &mut LinkConfig) {
        match &mut link.tls {
            Some(tls) => {
                let stranger = DevelopmentCa::new().unwrap().settings(&link.name).unwrap();
                (tls.certificate, tls.key) = (stranger.certificate, stranger.key);
            }
            None => link.password = Some(Secret::new("wrong")),
        }
    }

    /// What the status says then.
    pub fn refusal(&self) -> &'static str {
        match self.carrier {
            Carrier::Quic => "certificate",
            _ => "password",
        }
    }

    async fn each_wire(&self, a: &str, b: &str, act: impl Fn(&Proxy)) {
        let wires = self.wires.lock().await;
        let between = wires.iter().filter(|((x, y), _)| (x == a && y == b) || (x == b && y == a));
        between.for_each(|(_, wire)| act(wire));
    }

    async fn address(&self, from: &str, to: &str) -> String {
        let Some(at) = self.end(to).await.1 else { return format!("memory://{to}") };
        let mut wires = self.wires.lock().await;
        let names = (from.to_owned(), to.to_owned());
        if !wires.contains_key(&names) {
            let wire = match self.carrier {
                Carrier::Quic => Proxy::start_udp(at).await.unwrap(),
                _ => Proxy::start(at).await.unwrap(),
            };
            wires.insert(names.clone(), wire);
        }
        let scheme = if self.carrier == Carrier::Quic { "quic" } else { "mqtt" };
        format!("{scheme}://{}", wires[&names].address())
    }

    async fn end(&self, node: &str) -> (Arc<dyn Transport>, Option<SocketAddr>) {
        let mut ends = self.ends.lock().await;
        if !ends.contains_key(node) {
            ends.insert(node.to_owned(), self.open(node).await);
        }
        let end = &ends[node];
        (end.transport.clone(), end.at)
    }

    async fn open(&self, node: &str) -> End {
        match self.carrier {
            Carrier::Memory => {
                let transport = self.memory.transport(node);
                self.memory.require_login(node, LOGIN.0, LOGIN.1);
                End { transport, at: None, _broker: None }
            }
            Carrier::Mqtt => {
                let users = vec![(LOGIN.0.to_owned(), Secret::new(LOGIN.1))];
                let broker = Mqtt5Broker::start(Settings { bind: LOOPBACK, users }).await.unwrap();
                End { transport: broker.transport(), at: Some(broker.address()), _broker: Some(broker) }
            }
            Carrier::Quic => {
                let tls = self.ca.settings(&cluster(cluster_of(node))).unwrap();
                let quic = QuicTransport::listen(LOOPBACK, &tls, QuicSettings::default()).unwrap();
                let at = quic.local_address();
                End { transport: Arc::new(quic), at, _broker: None }
            }
        }
    }
}

fn cluster_of(node: &str) -> &str {
    node.split('-').next().unwrap()
}

/// Two linked clusters, `us` and `eu`, that want everything of each other; `us` dials.
pub async fn pair(network: &Network) -> (Broker, Broker) {
    let eu = network.start("eu-1", vec![network.link("eu-1", "us", &[], &["#"]).await]).await;
    let us = network.start("us-1", vec![network.link("us-1", "eu", &["eu-1"], &["#"]).await]).await;
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    (us, eu)
}
