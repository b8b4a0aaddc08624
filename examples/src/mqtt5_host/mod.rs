//! The [`mqtt5`] broker as a host of a linker: a shape to copy for any broker.
//!
//! ```text
//!              local clients                                   peers
//!  SUBSCRIBE, UNSUBSCRIBE, end ── Hooks ──▶ Linker::subscribe ──┐
//!                      PUBLISH ── Tap ────▶ Linker::publish ────┤ Linker
//!                                                               │
//!        router, local clients ◀─ Host::deliver ◀───────────────┘
//!      PUBLISH to $LINK/…/up   ── Hooks ──▶ accepting transport
//!  SUBSCRIBE to $LINK/…/down   ◀─ Port ◀─── accepting transport
//! ```
//!
//! What a broker has to offer: an event for each granted subscription and each end of one, a list of all
//! subscriptions for [`Host::subscriptions`] (this one has neither event nor list of routes, but its session store
//! lists both), every accepted publish exactly once, and a way to route a message that does not come back as one.
//!
//! Invariant: a message that a peer sent is never reported to [`Linker::publish`]. It is routed in the name of the
//! tap, whose subscription has no-local set.

mod auth;
mod convert;
mod hold;
mod hooks;
mod port;
mod tap;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use link_core::{
    driver::Linker,
    host::{DeliverError, Host, Origin},
    link::Secret,
    message::{Message, QoS},
    topic::TopicFilter,
};
use link_mqtt::MqttTransport;
use mqtt5::broker::{
    BrokerConfig, BrokerShutdownHandle, DynamicStorage, MqttBroker, StorageBackendType, StorageConfig,
    router::MessageRouter,
};
use tokio::task::JoinHandle;
use tracing::{error, warn};

pub use auth::Users;
pub use hooks::Change;
pub use port::Port;
pub use tap::TAP;

use hold::{Hold, Holding};
use hooks::Hooks;
use tap::Tap;

/// How long the tap waits for room in the queue of a slow peer before it gives a message up. Once: messages that
/// follow don't wait again until one has been accepted.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a broker is started with.
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Who may log in.
    pub users: Vec<(String, Secret)>,
}

/// A running broker.
pub struct Mqtt5Broker {
    host: Arc<Mqtt5Host>,
    transport: Arc<MqttTransport>,
    hooks: Arc<Hooks>,
    holding: Holding,
    patience: Option<Duration>,
    tap: Option<Tap>,
    tasks: Vec<JoinHandle<()>>,
    shutdown: BrokerShutdownHandle,
    address: SocketAddr,
}

impl Mqtt5Broker {
    /// Starts a broker and the MQTT transport that accepts links through it.
    pub async fn start(settings: Settings) -> mqtt5::Result<Self> {
        let port = Arc::new(Port::default());
        let (transport, link) = MqttTransport::accepting(Arc::clone(&port) as _);
        let holding = Holding::default();
        let hooks = Arc::new(Hooks::new(link.clone(), Arc::clone(&holding)));
        let storage = StorageConfig::new()
            // The default writes files.
            .with_backend(StorageBackendType::Memory)
            // Sessions that have expired lose their routes at this pace.
            .with_cleanup_interval(Duration::from_secs(5));
        let config = BrokerConfig::new()
            .with_bind_address(settings.bind)
            .with_storage(storage)
            // The default announces a size that MQTT does not have, and strict clients refuse it.
            .with_max_packet_size(8 << 20)
            .with_sys_topics_enabled(false)
            .with_event_handler(Arc::clone(&hooks) as _);
        let users = Users::new(settings.users, link).holding(Arc::clone(&holding));
        let mut broker = MqttBroker::with_config(config).await?.with_auth_provider(Arc::new(users));
        let no_storage = || mqtt5::MqttError::Configuration("the broker has no session storage".to_owned());
        let (router, storage) = (broker.router(), broker.storage().ok_or_else(no_storage)?);
        let _ = hooks.storage.set(Arc::clone(&storage));
        port.set(Arc::clone(&router), Arc::clone(&storage));
        let tap = Some(Tap::open(&router, &hooks.gate).await?);
        let (address, shutdown) = (broker.local_addr().unwrap_or(settings.bind), broker.shutdown_handle());
        let mut ready = broker.ready_receiver();
        let run = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                error!(%error, "the broker has failed");
            }
        });
        let _ = ready.wait_for(|ready| *ready).await;
        let host = Arc::new(Mqtt5Host { router, storage, holding: Arc::clone(&holding) });
        let (transport, tasks) = (Arc::new(transport), vec![run]);
        Ok(Self { host, transport, hooks, holding, patience: None, tap, tasks, shutdown, address })
    }

    /// The host to start a linker with.
    pub fn host(&self) -> Arc<Mqtt5Host> {
        Arc::clone(&self.host)
    }

    /// The transport to start a linker with.
    pub fn transport(&self) -> Arc<MqttTransport> {
        Arc::clone(&self.transport)
    }

    /// Holds each SUBACK until the peers have acknowledged the subscription, for so long at most. To be called before
    /// [`connect`](Self::connect); without it no SUBACK is held.
    pub fn hold_suback(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    /// Connects the running linker: from now on it hears of subscriptions and publishes.
    pub fn connect(&mut self, linker: Linker) {
        let Some(mut tap) = self.tap.take() else { return };
        if let Some(patience) = self.patience {
            let _ = self.holding.set(Hold::new(linker.clone(), patience));
        }
        let to = linker.clone();
        let report: hooks::Report = Box::new(move |change| match change {
            Change::Subscribed(client, filter) => to.subscribe(&client, &filter),
            Change::Unsubscribed(client, filter) => to.unsubscribe(&client, &filter),
            Change::Gone(client) => to.remove_subscriber(&client),
        });
        let _ = self.hooks.report.set(report);
        let to = linker.clone();
        self.hooks.gate.set_wants(Box::new(move |topic| to.wants(topic)));
        self.tasks.push(tokio::spawn(async move {
            let mut patience = PATIENCE;
            while let Some((publisher, message)) = tap.next().await {
                if !linker.wants(message.topic.as_str()) {
                    continue;
                }
                let lossy = message.qos == QoS::AtMostOnce;
                let wait = if lossy { Duration::ZERO } else { patience };
                match linker.publish_patiently(&publisher, &message, wait).await {
                    Ok(published) if published.full == 0 => patience = PATIENCE,
                    Ok(_) => {
                        patience = if lossy { patience } else { Duration::ZERO };
                        warn!(topic = message.topic.as_str(), "a link's queue is full: a publish does not cross it");
                    }
                    // It has stopped.
                    Err(_) => break,
                }
            }
        }));
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the broker and waits for it.
    pub async fn stop(self) {
        self.shutdown.shutdown();
        for (n, task) in self.tasks.into_iter().enumerate() {
            if n > 0 {
                task.abort();
            }
            // An error is a task that was ended here.
            let _ = task.await;
        }
    }
}

/// The side of the broker that the linker calls.
pub struct Mqtt5Host {
    router: Arc<MessageRouter>,
    storage: Arc<DynamicStorage>,
    holding: Holding,
}

#[async_trait]
impl Host for Mqtt5Host {
    async fn deliver(&self, message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        self.router.route_message_local_only(&convert::to_packet(message), Some(TAP)).await;
        Ok(())
    }

    async fn subscriptions(&self) -> Option<Vec<(String, TopicFilter)>> {
        let held = self.holding.get().map(Hold::subscriptions).unwrap_or_default();
        let mut all = hooks::subscriptions(&self.storage)
            .await
            .inspect_err(|error| warn!(%error, "the sessions can't be read; nothing is reconciled this time"))
            .ok()?;
        all.extend(held);
        Some(all)
    }
}
