//! The broker's events, told to the linker.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use link_core::topic::TopicFilter;
use link_mqtt::{LinkPublish, MqttAcceptor};
use mqtt5::broker::{
    BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent, ClientSubscribeEvent,
    ClientUnsubscribeEvent, DynamicStorage, PublishAction, StorageBackend, SubAckReasonCode,
};
use tokio::sync::OnceCell;
use tracing::warn;

use super::{auth::client, hold::Holding, tap::Gate};

/// A change of what the local clients want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// (client, filter): a subscription was granted.
    Subscribed(String, TopicFilter),
    /// (client, filter): a subscription ended.
    Unsubscribed(String, TopicFilter),
    /// The client has no subscriptions any more.
    Gone(String),
}

/// Listens to the broker.
///
/// Invariant: what has been reported for a client is what the broker's storage says, or an event that will repair it
/// is still to come. Subscribe and unsubscribe events are applied as they are; where events leave the truth open
/// (a takeover can report the end of the old connection after the subscribe of the new one), the storage is asked,
/// under the same lock.
pub(super) struct Hooks {
    /// Set once the linker runs; what happens before is found by its first reconcile.
    pub(super) report: OnceCell<Report>,
    link: MqttAcceptor,
    holding: Holding,
    /// Set once the broker is built: it takes its event handler first.
    pub(super) storage: OnceCell<Arc<DynamicStorage>>,
    pub(super) gate: Arc<Gate>,
    /// Living connections of each client id: two while one takes the other over.
    connections: Mutex<BTreeMap<Arc<str>, u32>>,
    order: tokio::sync::Mutex<()>,
}

/// Told each change, in order. Must not block.
pub(super) type Report = Box<dyn Fn(Change) + Send + Sync>;

type Done<'a, T = ()> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Hooks {
    pub(super) fn new(link: MqttAcceptor, holding: Holding) -> Self {
        Self {
            report: OnceCell::new(),
            link,
            holding,
            storage: OnceCell::new(),
            gate: Arc::default(),
            connections: Mutex::default(),
            order: tokio::sync::Mutex::default(),
        }
    }

    /// Counts a connection more (1) or less (-1); gives how many there are.
    fn count(&self, client_id: &Arc<str>, change: i32) -> u32 {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.get(client_id).copied().unwrap_or_default().saturating_add_signed(change);
        match count {
            0 => connections.remove(client_id),
            _ => connections.insert(Arc::clone(client_id), count),
        };
        count
    }

    fn report(&self, change: Change) {
        if let Some(report) = self.report.get() {
            report(change);
        }
    }

    /// Reports a client as gone if its session holds nothing any more.
    async fn forget_if_empty(&self, client_id: &str) {
        let _order = self.order.lock().await;
        let Some(storage) = self.storage.get() else { return };
        match storage.get_session(client_id).await {
            Ok(Some(session)) if !session.subscriptions.is_empty() => {}
            Ok(_) => self.report(Change::Gone(client_id.to_owned())),
            Err(error) => warn!(client_id, %error, "the session can't be read; the next reconcile repairs it"),
        }
    }
}

impl BrokerEventHandler for Hooks {
    /// A clean start drops the old session without an event of its own, and the end of a connection that was taken
    /// over may be reported only after this.
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Done<'a> {
        Box::pin(async move {
            if self.count(&event.client_id, 1) > 1 {
                self.link.on_disconnect(&event.client_id);
            }
            self.forget_if_empty(&event.client_id).await;
        })
    }

    fn on_client_subscribe<'a>(&'a self, event: ClientSubscribeEvent) -> Done<'a> {
        Box::pin(async move {
            let _order = self.order.lock().await;
            let granted = event.subscriptions.iter().filter(|entry| {
                use SubAckReasonCode::{GrantedQoS0, GrantedQoS1, GrantedQoS2};
                matches!(entry.result, GrantedQoS0 | GrantedQoS1 | GrantedQoS2)
            });
            for filter in granted.filter_map(|entry| wanted(&entry.topic_filter)) {
                self.report(Change::Subscribed(event.client_id.to_string(), filter));
            }
            if let Some(hold) = self.holding.get() {
                for filter in event.subscriptions.iter().filter_map(|entry| wanted(&entry.topic_filter)) {
                    hold.settled(&event.client_id, &filter);
                }
            }
        })
    }

    fn on_client_unsubscribe<'a>(&'a self, event: ClientUnsubscribeEvent) -> Done<'a> {
        Box::pin(async move {
            let _order = self.order.lock().await;
            for filter in event.topic_filters.iter().filter_map(|text| wanted(text)) {
                self.report(Change::Unsubscribed(event.client_id.to_string(), filter));
            }
        })
    }

    /// Runs after the ACL and before routing.
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Done<'a, PublishAction> {
        Box::pin(async move {
            let client = client(&event.client_id, event.user_id.as_deref());
            match self.link.on_publish(&client, &event.topic, event.payload).await {
                LinkPublish::NotLink => {}
                LinkPublish::Taken => return PublishAction::Handled,
                LinkPublish::Refused(reason) => {
                    warn!(client = &*event.client_id, reason, "refused a publish to a link");
                    return PublishAction::Handled;
                }
            }
            self.gate.open(event.qos, &event.topic).await;
            PublishAction::Continue
        })
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Done<'a> {
        Box::pin(async move {
            if self.count(&event.client_id, -1) == 0 {
                self.link.on_disconnect(&event.client_id);
                if let Some(hold) = self.holding.get() {
                    hold.gone(&event.client_id);
                }
            }
            self.forget_if_empty(&event.client_id).await;
        })
    }
}

/// Every subscription of every session that has not expired.
pub(super) async fn subscriptions(storage: &DynamicStorage) -> mqtt5::Result<Vec<(String, TopicFilter)>> {
    let mut all = Vec::new();
    for client_id in storage.session_client_ids().await? {
        let Some(session) = storage.get_session(&client_id).await? else { continue };
        all.extend(session.subscriptions.keys().filter_map(|text| Some((client_id.clone(), wanted(text)?))));
    }
    Ok(all)
}

/// The filter, unless a link reads by it. `#` at another cluster does not match `$LINK/`, so leaving these out only
/// saves routes.
pub(super) fn wanted(text: &str) -> Option<TopicFilter> {
    if text.starts_with("$LINK/") {
        return None;
    }
    TopicFilter::new(text)
        .inspect_err(|error| warn!(text, %error, "the broker granted a filter that is not valid"))
        .ok()
}
