//! The accepting side: a handle that a host broker feeds, and a port through which it sends.
//!
//! ```text
//! SUBSCRIBE, PUBLISH, end of a client --> MqttAcceptor --> Table: topic -> Channel (bound to one client)
//!                                                             |  all channels have granted credit
//!                                                             v
//! BrokerPort::publish <-- Sender (credit) <-- linker <-- Connection, by Transport::accept
//! ```
//! The invariant: a topic under `$LINK/` is written and read by the one client that opened it, and by nobody else.

mod channel;
mod connection;
mod limits;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Accepted, ConnectionError, Identity};
use tokio::sync::mpsc;

pub use limits::AcceptorLimits;

use crate::{
    payload::Payload,
    topic::{Direction, LinkTopic, is_link},
};
use channel::{Bundle, Channel};
use table::Table;

/// The host broker, as the accepting side of a link needs it.
#[async_trait]
pub trait BrokerPort: Send + Sync + 'static {
    /// Publishes to local subscribers at QoS 1, not retained, and without reporting it to the linker. `Ok` means that
    /// the broker has it in the queue of the one client that is subscribed.
    ///
    /// The queue of that client must hold as many packets as the peer's `max_inflight`: no more are ever on their way.
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), String>;

    /// Disconnects a client, with a reason for its log. Nothing happens if it is gone.
    async fn disconnect(&self, client_id: &str, reason: &str);
}

/// A client of the host broker that has passed authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its client id.
    pub client_id: String,
    /// The user as which it has logged in.
    pub user: Option<String>,
    /// Names in the certificate that it has proven to own.
    pub certificate_names: Vec<String>,
}

/// What the host is to do with a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LinkPublish {
    /// It is an ordinary one: go on.
    NotLink,
    /// The link has taken it: acknowledge it to the client, and route it nowhere.
    Taken,
    /// It is not allowed: route it nowhere, and refuse it with this reason (0x87, not authorized) if the broker can.
    Refused(String),
}

/// What the host's access check is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LinkAccess {
    /// The topic is an ordinary one: ask the host's own rules.
    NotLink,
    /// Allowed, whatever the host's own rules for ordinary topics are.
    Allowed,
    /// Not allowed, with the reason.
    Refused(String),
}

/// What a host broker tells about its clients. Cloning shares it.
#[derive(Clone)]
pub struct MqttAcceptor {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Arc<dyn BrokerPort>,
    limits: AcceptorLimits,
    table: Mutex<Table>,
    accepted: mpsc::Sender<Accepted>,
}

impl MqttAcceptor {
    pub(crate) fn new(broker: Arc<dyn BrokerPort>, limits: AcceptorLimits, accepted: mpsc::Sender<Accepted>) -> Self {
        Self { inner: Arc::new(Inner { broker, limits, table: Mutex::default(), accepted }) }
    }

    /// Call it for every publish of a client, in the order of that client's publishes, before it is routed, and
    /// acknowledge the publish only when it has returned.
    ///
    /// For topics that are not of a link it is a comparison of a prefix. It waits while the linker takes no more: that
    /// holds up this client, and must hold up no other. Safe to cancel, if the client is then disconnected.
    pub async fn on_publish(&self, client: &ClientInfo, topic: &str, payload: Bytes) -> LinkPublish {
        if !is_link(topic) {
            return LinkPublish::NotLink;
        }
        let payload = match Payload::decode(&payload) {
            Ok(payload) => payload,
            Err(reason) => return self.violation(client, topic, &format!("the client sent {reason}")),
        };
        let known = self.inner.lock().channel(topic);
        let channel = match (known, &payload) {
            (Some(channel), _) if channel.is_of(client) => channel,
            (Some(_), _) => return LinkPublish::Refused("the topic belongs to another client".to_owned()),
            (None, Payload::Credit { .. }) => match self.bind(client, topic, Direction::Up) {
                Ok(channel) => channel,
                Err(reason) => return LinkPublish::Refused(reason),
            },
            (None, _) => return LinkPublish::Refused("no connection is open on this topic".to_owned()),
        };
        match payload {
            Payload::Credit { limit, max_packet } => match self.credit(&channel, limit, max_packet) {
                Ok(()) => LinkPublish::Taken,
                Err(reason) => self.violation(client, topic, &reason),
            },
            Payload::Fragment { data, more, body } => {
                if !channel.bundle.is_open() {
                    return self.violation(client, topic, "the client sent a frame before its credits");
                }
                if !data && channel.index != 0 {
                    return self.violation(client, topic, "the client sent a control frame beside channel 0");
                }
                match channel.deliver(data, more, body).await {
                    Ok(()) => LinkPublish::Taken,
                    Err(error) => LinkPublish::Refused(error.to_string()),
                }
            }
            Payload::End => self.violation(client, topic, "the client sent an end, which only the accepting side does"),
        }
    }

    /// Call it when a client wants to publish, where the host checks access apart from handling the publish. Changes
    /// nothing.
    pub fn may_publish(&self, client: &ClientInfo, topic: &str) -> LinkAccess {
        if !is_link(topic) {
            return LinkAccess::NotLink;
        }
        let table = self.inner.lock();
        let checked = match table.channel(topic) {
            Some(channel) if channel.is_of(client) => Ok(()),
            Some(_) => Err("the topic belongs to another client".to_owned()),
            None => parse(topic, Direction::Up).and_then(|topic| table.check(client, &topic, &self.inner.limits)),
        };
        access(checked)
    }

    /// Call it when a client wants to subscribe, for each topic filter, before it is granted. `Allowed` also binds the
    /// topic to the client.
    pub fn may_subscribe(&self, client: &ClientInfo, filter: &str) -> LinkAccess {
        if !is_link(filter) {
            return LinkAccess::NotLink;
        }
        access(self.bind(client, filter, Direction::Down).map(drop))
    }

    /// Call it when a client is gone, for whatever reason, another client with the same id among them.
    pub fn on_disconnect(&self, client_id: &str) {
        let bundle = self.inner.lock().disconnected(client_id);
        if let Some(bundle) = bundle {
            self.inner.end(&bundle, ConnectionError::Closed(format!("client `{client_id}` disconnected")));
        }
    }

    /// Call it when the host has refused the login of a client. The linker shows it in the status of the link that the
    /// user belongs to. Where too many wait to be seen, it is forgotten.
    pub fn on_refused(&self, client_id: &str, user: Option<&str>, reason: &str) {
        let identity = Identity { address: client_id.to_owned(), user: user.map(str::to_owned), ..Identity::default() };
        // A flood of wrong logins must not keep connections out: they leave half of the backlog free.
        if self.inner.accepted.capacity() > self.inner.accepted.max_capacity() / 2 {
            let _ = self.inner.accepted.try_send(Accepted::Refused { identity, reason: reason.to_owned() });
        }
    }

    /// Binds a channel to a client, or finds it bound to it.
    fn bind(&self, client: &ClientInfo, topic: &str, direction: Direction) -> Result<Arc<Channel>, String> {
        let topic = parse(topic, direction)?;
        let mut table = self.inner.lock();
        let (channel, ended) = table.bind(client, &topic, &self.inner.limits)?;
        drop(table);
        for (bundle, reason) in ended {
            self.inner.end(&bundle, ConnectionError::Closed(reason));
        }
        Ok(channel)
    }

    /// Notes a credit; opens the connection with the last channel's first one.
    fn credit(&self, channel: &Arc<Channel>, limit: u32, max_packet: u32) -> Result<(), String> {
        channel.credit(limit, max_packet, &self.inner.limits)?;
        if channel.bundle.opens_now() {
            let Some(connection) = connection::open(&self.inner, &channel.bundle) else {
                return Err("the connection has ended".to_owned());
            };
            if self.inner.accepted.try_send(Accepted::Connection(connection)).is_err() {
                return Err("too many connections wait for the linker".to_owned());
            }
        }
        Ok(())
    }

    /// Ends the connection of a client that broke a rule; a client that has none loses nothing but this publish.
    fn violation(&self, client: &ClientInfo, topic: &str, reason: &str) -> LinkPublish {
        let channel = self.inner.lock().channel(topic);
        if let Some(channel) = channel.filter(|channel| channel.is_of(client)) {
            self.inner.end(&channel.bundle, ConnectionError::Closed(reason.to_owned()));
        }
        LinkPublish::Refused(reason.to_owned())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a connection: forgets its topics, and has its clients disconnected.
    fn end(&self, bundle: &Arc<Bundle>, error: ConnectionError) {
        let clients = self.lock().remove(bundle);
        let reason = error.to_string();
        bundle.fate.end(error);
        if clients.is_empty() {
            return;
        }
        let broker = self.broker.clone();
        // The broker may call back while it disconnects, and the caller may be inside a hook of that very client.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for client in clients {
                    broker.disconnect(&client, &reason).await;
                }
            });
        }
    }
}

fn access(checked: Result<(), String>) -> LinkAccess {
    match checked {
        Ok(()) => LinkAccess::Allowed,
        Err(reason) => LinkAccess::Refused(reason),
    }
}

/// A topic of the direction that the client may use.
fn parse(topic: &str, direction: Direction) -> Result<LinkTopic, String> {
    let topic = LinkTopic::parse(topic)?;
    match (direction, topic.direction) {
        (Direction::Up, Direction::Down) => Err("only the broker publishes to a `down` topic".to_owned()),
        (Direction::Down, Direction::Up) => Err("only the linker reads an `up` topic".to_owned()),
        _ => Ok(topic),
    }
}
