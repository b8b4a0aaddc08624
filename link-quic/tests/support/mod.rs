//! Clusters that are linked over QUIC on the loopback, and certificates for them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "test code; each binary uses a part of it")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkConfig, LinkState, LinkStatus, NodeName, Secret, TlsSettings},
    memory::{MemoryBroker, MemoryClient},
    message::{Message, QoS},
    topic::{Topic, TopicFilter},
};
use link_quic::{QuicSettings, QuicTransport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub mod relay;

/// Longest time that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An authority of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).unwrap())
    }

    /// Settings with a certificate for these names.
    pub fn settings(&self, names: &[&str]) -> TlsSettings {
        self.signed(CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap())
    }

    pub fn expired(&self, name: &str) -> TlsSettings {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        self.signed(params)
    }

    /// A certificate that is valid for so many seconds from now.
    pub fn short(&self, name: &str, seconds: u64) -> TlsSettings {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = (std::time::SystemTime::now() + Duration::from_secs(seconds)).into();
        self.signed(params)
    }

    pub fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn signed(&self, params: CertificateParams) -> TlsSettings {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        TlsSettings {
            ca: self.pem(),
            certificate: Some(certificate.pem().into_bytes()),
            key: Some(Secret::new(key.serialize_pem())),
            server_name: None,
        }
    }
}

/// Signatures of such a key are all of one length: simulated runs send the same.
fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

pub fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message::new(Topic::new(topic.to_owned()).unwrap(), payload.into(), QoS::AtLeastOnce)
}

/// A link with short times, so that tests are quick. It dials `at`, if there is one.
pub fn link(name: &str, at: Option<SocketAddr>, tls: TlsSettings) -> LinkConfig {
    let mut link = LinkConfig::new(cluster(name));
    link.servers = at.iter().map(|at| format!("quic://{at}").parse().unwrap()).collect();
    link.topics = vec![filter("#")];
    link.tls = Some(tls);
    link.heartbeat = Duration::from_secs(1);
    link.keep_alive = Duration::from_secs(1);
    link.connect_timeout = Duration::from_secs(3);
    link.retry_first = Duration::from_millis(20);
    link.retry_max = Duration::from_millis(200);
    link
}

/// One broker with its linker.
pub struct Node {
    pub broker: Arc<MemoryBroker>,
    pub linker: Linker,
    pub transport: Arc<QuicTransport>,
}

impl Node {
    pub fn start(name: &str, transport: QuicTransport, links: Vec<LinkConfig>) -> Self {
        let (broker, transport) = (MemoryBroker::new(), Arc::new(transport));
        let node = NodeName::new(&format!("{name}-1")).unwrap();
        let builder = Linker::builder(cluster(name), node).transport(transport.clone());
        let linker = links.into_iter().fold(builder, |builder, link| builder.link(link)).start(broker.clone()).unwrap();
        broker.attach(&linker);
        Self { broker, linker, transport }
    }

    /// Listens with a certificate of its own name, for `peer`.
    pub fn listening(name: &str, peer: &str, authority: &Authority) -> Self {
        let tls = authority.settings(&[name]);
        let transport = QuicTransport::listen(LOOPBACK, &tls, QuicSettings::default()).unwrap();
        Self::start(name, transport, vec![link(peer, None, tls)])
    }

    pub fn dialling(name: &str, peer: &str, at: SocketAddr, tls: TlsSettings) -> Self {
        Self::start(name, QuicTransport::default(), vec![link(peer, Some(at), tls)])
    }

    pub fn address(&self) -> SocketAddr {
        self.transport.local_address().unwrap()
    }

    /// A client with subscriptions.
    pub fn subscriber(&self, id: &str, filters: &[&str]) -> MemoryClient {
        let client = self.broker.client(id);
        filters.iter().for_each(|text| client.subscribe(&filter(text)));
        client
    }

    pub async fn wait(&self, link: &str, what: &str, condition: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        match tokio::time::timeout(PATIENCE, self.linker.wait_for(&cluster(link), condition)).await {
            Ok(Some(status)) => status,
            _ => panic!("link {link} never was {what}; it is {:#?}", self.linker.link(&cluster(link)).await),
        }
    }

    pub async fn wait_live(&self, link: &str) -> LinkStatus {
        self.wait(link, "live", |status| status.state == LinkState::Live).await
    }

    pub async fn wants(&self, topic: &str) {
        let wanted = async {
            while !self.linker.wants(topic) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("nobody wants {topic}"));
    }
}

/// The payloads of the next messages, as numbers.
pub async fn numbers(client: &mut MemoryClient, count: usize) -> Vec<u64> {
    let mut got = Vec::new();
    while got.len() < count {
        let Ok(Some(message)) = tokio::time::timeout(PATIENCE, client.recv()).await else { break };
        got.push(std::str::from_utf8(&message.payload).unwrap().trim_start_matches('.').parse().unwrap());
    }
    got
}

/// Publishes numbers, waiting where the queue is full.
pub async fn publish(from: &Node, publisher: &str, topic: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let message = message(topic, n.to_string());
        let published = from.linker.publish_patiently(publisher, &message, PATIENCE).await.unwrap();
        assert_eq!(published.accepted, 1, "{n} was not accepted");
    }
}
