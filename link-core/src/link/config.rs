//! The settings of one link.

use std::{fmt, num::NonZeroU16, time::Duration};

use thiserror::Error;

use crate::{delivery::Overflow, link::ClusterName, topic::TopicFilter, transport::Endpoint};

/// A secret text. Debug output shows `******`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// What stands for a secret wherever settings are shown. An update that brings it keeps the old secret.
    pub const MASK: &'static str = "******";

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
        f.write_str(Self::MASK)
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
///
/// [`LinkConfig::new`] fills in the defaults; every field may be set afterwards. The linker checks the whole with
/// [`LinkConfig::check`] before it uses it.
///
/// ```
/// use link_core::{link::LinkConfig, topic::TopicFilter};
///
/// let mut link = LinkConfig::new("eu".parse()?);
/// link.servers = vec!["mqtt://eu.example.org:1883".parse()?];
/// link.topics = vec![TopicFilter::new("fleet/#")?];
/// link.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// The cluster at the other end; also the name of the link.
    pub name: ClusterName,
    /// `false` refuses the peer and dials nothing. On by default.
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
    /// Beginning of the client ids; `from-` and the own cluster name if it is not set. The node, a number and the name of
    /// this link follow.
    pub client_id_prefix: Option<String>,
    /// How many connections carry the link. More than one helps where a single TCP stream does not fill the path.
    pub connections: NonZeroU16,
    /// TLS, for addresses that use it. A peer that dials over QUIC has to have a certificate of one of these authorities, and
    /// not only of one that the port trusts.
    pub tls: Option<TlsSettings>,
    /// Time without traffic after which the transport probes the connection; 30 s by default.
    pub keep_alive: Duration,
    /// Most MQTT packets in flight on one connection; 32 by default.
    pub max_inflight: NonZeroU16,
    /// Most bytes of one MQTT packet that this side sends and takes; 1 MiB by default. Larger frames are split.
    pub max_packet: u32,
    /// How often each side says that it lives; 5 s by default. A peer that is silent for three times as long is down.
    pub heartbeat: Duration,
    /// Most time for a dial and for a handshake; 10 s by default.
    pub connect_timeout: Duration,
    /// Pause before the second attempt to connect; it doubles with each failure up to `retry_max`. 200 ms by default.
    pub retry_first: Duration,
    /// Longest pause between two attempts; 30 s by default. Also the pause after a refusal.
    pub retry_max: Duration,
    /// How long a link stays at a later address before it tries the first one again, beside the connection that is up;
    /// 60 s by default. Zero: until that one ends.
    pub return_after: Duration,
    /// Most bytes of messages that wait for one peer node; 64 MiB by default.
    pub queue_bytes: u64,
    /// What happens to a message that does not fit.
    pub overflow: Overflow,
    /// Most bytes of messages that the peer may have on their way to this side; 4 MiB by default. This bounds what a
    /// link holds in memory while the host is slow; at a round trip of `t` it also bounds the rate to `window / t`.
    pub window: u32,
    /// Whether QoS 0 messages that fit go as datagrams, where the transport has them and the peer agrees; off by default. A
    /// datagram is sent once: it may be lost, and come before or after what the same client published around it.
    pub datagrams: bool,
    /// Most routes that are taken from one peer node; 5,000,000 by default.
    pub max_routes: usize,
    /// How long the routes and the queue of a peer node that is away are kept; 24 h by default.
    pub retention: Duration,
}

/// What is wrong with the settings of a link. Nothing has changed when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A topic is under `$LINK/`, which links use themselves.
    #[error("topic {at} `{filter}`: `$LINK/` belongs to the links themselves")]
    Reserved {
        /// Position in `topics`, from 1.
        at: usize,
        /// The filter.
        filter: TopicFilter,
    },
    /// A topic is a shared subscription.
    #[error("topic {at} `{filter}`: a link's topics are plain filters, without `$share`")]
    Shared {
        /// Position in `topics`, from 1.
        at: usize,
        /// The filter.
        filter: TopicFilter,
    },
    /// A topic is covered by another one.
    #[error("topic {at} `{filter}` is redundant: `{by}` covers it")]
    Redundant {
        /// Position in `topics`, from 1.
        at: usize,
        /// The filter.
        filter: TopicFilter,
        /// The filter that covers it.
        by: TopicFilter,
    },
    /// A server is listed twice.
    #[error("server `{0}` is listed twice")]
    DuplicateServer(Endpoint),
    /// A setting is out of its range.
    #[error("`{field}` is {value}, but must be {range}")]
    Range {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// The client-id prefix has a character that brokers may refuse.
    #[error("`client_id_prefix` has `{0}`: use letters, digits, `-`, `_`, `.`, `:` and `@`")]
    ClientId(char),
    /// Certificate and key come in pairs.
    #[error("`tls` has a {has} but no {lacks}")]
    TlsPair {
        /// What is there.
        has: &'static str,
        /// What is missing.
        lacks: &'static str,
    },
}

impl LinkConfig {
    /// A link to the cluster `name`, with the defaults: enabled, no servers, no topics.
    pub fn new(name: ClusterName) -> Self {
        Self {
            name,
            enabled: true,
            servers: Vec::new(),
            topics: Vec::new(),
            username: None,
            password: None,
            peer_identity: None,
            client_id_prefix: None,
            connections: NonZeroU16::MIN,
            tls: None,
            keep_alive: Duration::from_secs(30),
            max_inflight: NonZeroU16::MIN.saturating_add(31),
            max_packet: 1024 * 1024,
            heartbeat: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(200),
            retry_max: Duration::from_secs(30),
            return_after: Duration::from_secs(60),
            queue_bytes: 64 * 1024 * 1024,
            overflow: Overflow::default(),
            window: 4 * 1024 * 1024,
            datagrams: false,
            max_routes: 5_000_000,
            retention: Duration::from_secs(24 * 3600),
        }
    }

    /// Finds the first thing that is wrong with the settings, if any.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_topics()?;
        for (at, server) in self.servers.iter().enumerate() {
            if self.servers[..at].contains(server) {
                return Err(ConfigError::DuplicateServer(server.clone()));
            }
        }
        if let Some(bad) = self.client_id_prefix.iter().flat_map(|p| p.chars()).find(|c| !client_id_character(*c)) {
            return Err(ConfigError::ClientId(bad));
        }
        if let Some(tls) = &self.tls {
            match (&tls.certificate, &tls.key) {
                (Some(_), None) => return Err(ConfigError::TlsPair { has: "certificate", lacks: "key" }),
                (None, Some(_)) => return Err(ConfigError::TlsPair { has: "key", lacks: "certificate" }),
                _ => {}
            }
        }
        self.check_ranges()
    }

    /// The beginning of the client ids of this link at the node of cluster `own`.
    pub fn client_id_base(&self, own: &ClusterName) -> String {
        self.client_id_prefix.clone().unwrap_or_else(|| format!("from-{own}"))
    }

    /// Replaces masks by the secrets that they stand for.
    pub(crate) fn keep_secrets_of(&mut self, old: &Self) {
        let masked = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| secret.0 == Secret::MASK);
        if masked(&self.password) {
            self.password = old.password.clone();
        }
        if let Some(tls) = &mut self.tls
            && masked(&tls.key)
        {
            tls.key = old.tls.as_ref().and_then(|tls| tls.key.clone());
        }
    }

    /// Whether a change from `self` to `new` needs new connections.
    pub(crate) fn reconnect_needed(&self, new: &Self) -> bool {
        let accepts = self.servers.is_empty() && new.servers.is_empty();
        let here = |config: &Self| Self {
            topics: Vec::new(),
            // Without an address it says whose certificates are taken, which is asked of new connections.
            tls: if accepts { None } else { config.tls.clone() },
            heartbeat: Duration::ZERO,
            connect_timeout: Duration::ZERO,
            retry_first: Duration::ZERO,
            retry_max: Duration::ZERO,
            return_after: Duration::ZERO,
            queue_bytes: 0,
            overflow: Overflow::default(),
            retention: Duration::ZERO,
            max_routes: 0,
            ..config.clone()
        };
        here(self) != here(new)
    }

    fn check_topics(&self) -> Result<(), ConfigError> {
        for (index, filter) in self.topics.iter().enumerate() {
            let at = index + 1;
            if filter.share_group().is_some() {
                return Err(ConfigError::Shared { at, filter: filter.clone() });
            }
            if filter.as_str().split('/').next() == Some("$LINK") {
                return Err(ConfigError::Reserved { at, filter: filter.clone() });
            }
            let covering = self
                .topics
                .iter()
                .enumerate()
                .find(|(other, by)| *other != index && by.covers(filter))
                .map(|(_, by)| by);
            if let Some(by) = covering {
                return Err(ConfigError::Redundant { at, filter: filter.clone(), by: by.clone() });
            }
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, field, value: &dyn fmt::Debug, range| {
            if ok { Ok(()) } else { Err(ConfigError::Range { field, value: format!("{value:?}"), range }) }
        };
        let ms = Duration::from_millis;
        range(self.keep_alive >= ms(1000), "keep_alive", &self.keep_alive, "at least 1 s")?;
        range(self.max_packet >= 1024, "max_packet", &self.max_packet, "1024 to 268435455 bytes")?;
        range(self.max_packet <= 268_435_455, "max_packet", &self.max_packet, "1024 to 268435455 bytes")?;
        range(self.heartbeat >= ms(10), "heartbeat", &self.heartbeat, "at least 10 ms")?;
        range(self.connect_timeout >= ms(10), "connect_timeout", &self.connect_timeout, "at least 10 ms")?;
        range(self.retry_first >= ms(1), "retry_first", &self.retry_first, "at least 1 ms")?;
        range(self.retry_max >= self.retry_first, "retry_max", &self.retry_max, "at least `retry_first`")?;
        range(self.queue_bytes >= 1024, "queue_bytes", &self.queue_bytes, "at least 1024 bytes")?;
        range(self.window >= 1024, "window", &self.window, "at least 1024 bytes")?;
        range(self.max_routes >= 1, "max_routes", &self.max_routes, "at least 1")?;
        range(self.retention >= self.heartbeat * 3, "retention", &self.retention, "at least three heartbeats")
    }
}

fn client_id_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@')
}
