use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    driver::{Linker, Stopped},
    host::{DeliverError, Host, Origin},
    message::Message,
    node::Published,
    topic::TopicFilter,
};

/// The smallest broker: clients, subscriptions, a scan for whom a message is. It is a [`Host`], and shows what a host
/// has to do, nothing more; there is no session, no retained message and no access control.
#[derive(Default)]
pub struct MemoryBroker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    linker: Option<Linker>,
    clients: BTreeMap<String, Client>,
}

struct Client {
    filters: Vec<TopicFilter>,
    inbox: mpsc::UnboundedSender<Message>,
}

impl MemoryBroker {
    /// A broker without clients.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Gives the broker the linker to report to, and reports what is there already.
    pub fn attach(&self, linker: &Linker) {
        let mut state = self.state();
        for (id, client) in &state.clients {
            for filter in &client.filters {
                linker.subscribe(id, filter);
            }
        }
        state.linker = Some(linker.clone());
    }

    /// Connects a client. An older one of the same id is gone, with its subscriptions.
    pub fn client(self: &Arc<Self>, id: &str) -> MemoryClient {
        let (inbox, messages) = mpsc::unbounded_channel();
        let mut state = self.state();
        let old = state.clients.insert(id.to_owned(), Client { filters: Vec::new(), inbox });
        if let (Some(_), Some(linker)) = (old, &state.linker) {
            linker.remove_subscriber(id);
        }
        MemoryClient { id: id.to_owned(), broker: self.clone(), messages }
    }

    /// Publishes as a local client would: to the local subscribers, and to the linker.
    ///
    /// # Errors
    /// [`Stopped`] if the linker no longer runs; local subscribers have got the message all the same.
    pub fn publish(&self, publisher: &str, message: &Message) -> Result<Published, Stopped> {
        self.route(message);
        let linker = self.state().linker.clone();
        linker.map_or(Ok(Published::default()), |linker| linker.publish(publisher, message))
    }

    fn route(&self, message: &Message) {
        for client in self.state().clients.values() {
            // One copy a client, however many of its filters match (MQTT 5, section 3.3.4 allows it).
            if client.filters.iter().any(|filter| filter.matches(&message.topic)) {
                let _ = client.inbox.send(message.clone());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Host for MemoryBroker {
    async fn deliver(&self, message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        // Routed locally only: a message of a peer is never offered to the linker again.
        self.route(&message);
        Ok(())
    }
}

/// A client of a [`MemoryBroker`]. Dropping it disconnects it.
pub struct MemoryClient {
    id: String,
    broker: Arc<MemoryBroker>,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl MemoryClient {
    /// Subscribes; a repeated filter changes nothing.
    pub fn subscribe(&self, filter: &TopicFilter) {
        let mut state = self.broker.state();
        if let Some(client) = state.clients.get_mut(&self.id)
            && !client.filters.contains(filter)
        {
            client.filters.push(filter.clone());
        }
        if let Some(linker) = &state.linker {
            linker.subscribe(&self.id, filter);
        }
    }

    /// Unsubscribes.
    pub fn unsubscribe(&self, filter: &TopicFilter) {
        let mut state = self.broker.state();
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.filters.retain(|f| f != filter);
        }
        if let Some(linker) = &state.linker {
            linker.unsubscribe(&self.id, filter);
        }
    }

    /// Publishes; see [`MemoryBroker::publish`].
    ///
    /// # Errors
    /// As there.
    pub fn publish(&self, message: &Message) -> Result<Published, Stopped> {
        self.broker.publish(&self.id, message)
    }

    /// The next message, or `None` once the client was replaced by another of the same id.
    pub async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// The next message if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        // Where a newer client took over the id, the only sender to this inbox is gone already.
        if self.messages.sender_strong_count() == 0 {
            return;
        }
        let mut state = self.broker.state();
        state.clients.remove(&self.id);
        if let Some(linker) = &state.linker {
            linker.remove_subscriber(&self.id);
        }
    }
}
