//! What carries the frames of a link.
//!
//! A transport dials and accepts [`Connection`]s. A connection is one duplex, ordered-per-class, message-framed
//! channel: one control class, and one or more data channels over which the lanes of a link are spread. The linker
//! never sends a data frame before the first control frame has been answered, so a transport may carry each class on
//! its own stream.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::link::{ClusterName, LinkConfig, NodeName};

/// Which queue of a connection a frame travels on. Control never waits behind data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Handshake, routes, acknowledgements, heartbeats.
    Control,
    /// Messages of one data channel, numbered from 0.
    Data(u16),
    /// Messages that may be lost, and come in any order.
    Datagram,
}

/// Where a link dials: `scheme://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `mqtt`, `mqtts`, `quic`, `memory`.
    pub scheme: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; 1..=65535.
    pub port: u16,
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an address: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Parses `scheme://host:port`; without a scheme it is `mqtt`, without a port the default port of the scheme
    /// (1883, 8883 for `mqtts`, 14567 for `quic`, 1 for `memory`). IPv6 addresses stand in brackets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason| EndpointError { text: text.to_owned(), reason };
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(error("the scheme has lower-case letters and digits only"));
        }
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, tail) = rest.split_once(']').ok_or(error("a bracket is not closed"))?;
            (
                host,
                if tail.is_empty() {
                    None
                } else {
                    Some(tail.strip_prefix(':').ok_or(error("only a port may follow the bracket"))?)
                },
            )
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(error("an IPv6 address stands in brackets")),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() {
            return Err(error("the host is missing"));
        }
        if host.bytes().any(|b| b == b'/' || b == b'@' || b.is_ascii_whitespace() || b.is_ascii_control()) {
            return Err(error("a host has no path, user or white space"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| error("the port is a number from 1 to 65535"))?,
            None => match scheme {
                "mqtts" => 8883,
                "quic" => 14567,
                "memory" => 1,
                _ => 1883,
            },
        };
        if port == 0 {
            return Err(error("the port is a number from 1 to 65535"));
        }
        Ok(Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// One attempt to reach a peer.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The address to try now, one of the link's.
    pub endpoint: Endpoint,
    /// The cluster that dials.
    pub cluster: ClusterName,
    /// The node that dials.
    pub node: NodeName,
    /// The settings of the link: credentials, TLS, client-id prefix, protocol parameters.
    pub link: Arc<LinkConfig>,
}

/// Whom the transport has authenticated at the other end.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Address or client id, for people to read.
    pub address: String,
    /// User name that passed the password check.
    pub user: Option<String>,
    /// Names in the certificate that passed verification.
    pub certificate_names: Vec<String>,
    /// Whether the certificate says which cluster speaks: then one of its names must be the peer's cluster, where the
    /// link asks for no other.
    pub names_cluster: bool,
    /// Whether the authorities of one link have signed the certificate, where the transport trusts those of several.
    pub signed_by: Option<SignedBy>,
}

/// Answers whether one of some authorities has signed the certificate of a peer.
#[derive(Clone)]
pub struct SignedBy(Arc<Verify>);

/// Verifies by the certificates of authorities, in PEM.
type Verify = dyn Fn(&[u8]) -> Result<(), String> + Send + Sync;

impl SignedBy {
    /// `verify` is given the certificates of authorities, in PEM, and says what is wrong. Its answer to the same ones is
    /// always the same.
    pub fn new(verify: impl Fn(&[u8]) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(verify))
    }

    /// Whether one of these authorities, in PEM, has signed the certificate.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn verify(&self, authorities: &[u8]) -> Result<(), String> {
        (self.0)(authorities)
    }
}

impl fmt::Debug for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedBy")
    }
}

/// A connection that is up. Dropping it closes it.
pub struct Connection {
    /// The other end.
    pub identity: Identity,
    /// Sends control frames.
    pub control: Box<dyn FrameSender>,
    /// Sends data frames; lane `n` uses channel `n % data.len()`. Never empty.
    pub data: Vec<Box<dyn FrameSender>>,
    /// Sends frames that may be lost, where the transport can.
    pub datagrams: Option<Datagrams>,
    /// Most bytes of a frame that the transport takes here, and that of the peer takes as far as it is known; `None` where
    /// there is no limit. The node announces no more to the peer, and sends no more.
    pub max_frame: Option<usize>,
    /// Receives the frames of all classes.
    pub receiver: Box<dyn FrameReceiver>,
}

/// The sending half of [`Class::Datagram`].
pub struct Datagrams {
    /// Most bytes of a frame, from a few hundred to some thousand.
    pub largest: usize,
    /// Sends one frame each, without waiting longer than the network takes to take it.
    pub sender: Box<dyn FrameSender>,
}

/// The sending half of one class of a connection.
#[async_trait]
pub trait FrameSender: Send {
    /// Queues one frame. Waits while the network or the peer takes no more: that is the back-pressure.
    ///
    /// An error means that the connection is lost; the frame may or may not have arrived.
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError>;

    /// Sends out what is queued, then closes the connection.
    async fn close(&mut self);
}

/// The receiving half of a connection.
#[async_trait]
pub trait FrameReceiver: Send {
    /// The next frame of any class; frames of one class keep their order. Safe to cancel.
    ///
    /// After an error it is not called again.
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError>;
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// The peer, or the broker between, closed it.
    #[error("closed by the peer: {0}")]
    Closed(String),
    /// The network failed.
    #[error("connection lost: {0}")]
    Lost(String),
    /// A frame is larger than the transport may carry.
    #[error("a frame of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the frame.
        size: usize,
        /// Most bytes allowed.
        limit: usize,
    },
}

/// Why a dial failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DialError {
    /// The address can't be reached now: worth another try, soon.
    #[error("{endpoint} can't be reached: {reason}")]
    Unreachable {
        /// What was dialled.
        endpoint: Endpoint,
        /// What failed.
        reason: String,
    },
    /// The other end answered and refused: worth another try only after a long pause.
    #[error("{endpoint} refused the connection: {reason}")]
    Refused {
        /// What was dialled.
        endpoint: Endpoint,
        /// Its reason, as it gave it.
        reason: String,
    },
    /// The settings of the link can't be used for this address.
    #[error("the settings can't be used for {endpoint}: {reason}")]
    Settings {
        /// What was to be dialled.
        endpoint: Endpoint,
        /// What is wrong.
        reason: String,
    },
}

/// What an accepting transport reports.
pub enum Accepted {
    /// A peer has connected and passed authentication.
    Connection(Connection),
    /// A peer was turned away before it had a connection, for instance for a wrong password.
    Refused {
        /// Whom it claimed to be.
        identity: Identity,
        /// Why it was refused.
        reason: String,
    },
}

/// Dials and accepts connections.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The schemes of the endpoints it can dial.
    fn schemes(&self) -> &[&'static str];

    /// Connects. The linker bounds the time and drops the future when it is over.
    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError>;

    /// The next peer that connects or is refused. Waits for ever where the transport only dials. Safe to cancel.
    async fn accept(&self) -> Accepted {
        std::future::pending().await
    }
}
