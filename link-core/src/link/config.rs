use std::{fmt, time::Duration};

use crate::{link::ClusterName, topic::TopicFilter, transport::Endpoint};

/// A secret text. Debug output shows `******`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

/// TLS settings of a link, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Certificates of the authorities that may sign the peer's certificate. Empty: nothing is trusted.
    pub ca: Vec<u8>,
    /// Own certificate chain, for mTLS.
    pub certificate: Option<Vec<u8>>,
    /// Key of the own certificate.
    pub key: Option<Secret>,
    /// Name that the peer's certificate must carry, if it is not the host of the address.
    pub server_name: Option<String>,
}

/// One link, as an operator writes it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// The cluster at the other end; also the name of the link.
    pub name: ClusterName,
    /// `false` refuses the peer and dials nothing.
    pub enabled: bool,
    /// Addresses of the peer, tried in order. Empty: this side waits to be dialled.
    pub servers: Vec<Endpoint>,
    /// Which messages of the peer this cluster wants. Empty: none, the other direction goes on.
    pub topics: Vec<TopicFilter>,
    /// User name for the peer's broker.
    pub username: Option<String>,
    /// Password for the peer's broker.
    pub password: Option<Secret>,
    /// The user (or certificate name) as which the peer must have logged in here to speak for its cluster.
    /// `None` accepts any authenticated peer that names itself so.
    pub peer_identity: Option<String>,
    /// Beginning of the client ids; `from-` and the own cluster name if it is not set.
    pub client_id_prefix: Option<String>,
    /// How many connections carry the link.
    pub connections: u16,
    /// TLS, for addresses that use it.
    pub tls: Option<TlsSettings>,
    /// Time without traffic after which the transport probes the connection.
    pub keep_alive: Duration,
    /// Most MQTT packets in flight on one connection.
    pub max_inflight: u16,
    /// Most bytes of one MQTT packet or frame fragment that this side sends and takes.
    pub max_packet: u32,
}
