#![allow(clippy::todo, unused_variables, missing_docs)]
use std::{sync::Arc, time::Duration};

use crate::{
    host::Host,
    link::{ClusterName, LinkConfig, NodeName},
    message::Message,
    topic::TopicFilter,
    transport::Transport,
};

/// A running linker. Cloning shares it.
#[derive(Clone)]
pub struct Linker {}

/// Makes a [`Linker`].
pub struct LinkerBuilder {}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// No peer wants it.
    NotWanted,
    /// Accepted for that many peers.
    Accepted(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the outbox of link {0} is full")]
    Full(ClusterName),
    #[error("the linker has stopped")]
    Stopped,
}

impl LinkerBuilder {
    pub fn transport(self, transport: Arc<dyn Transport>) -> Self {
        todo!()
    }
    pub fn link(self, link: LinkConfig) -> Self {
        todo!()
    }
    /// How often the host's subscriptions are compared with what the linker knows.
    pub fn reconcile_every(self, interval: Duration) -> Self {
        todo!()
    }
    /// Spawns the event loop on the current tokio runtime.
    pub fn start(self, host: Arc<dyn Host>) -> Result<Linker, StartError> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {}

impl Linker {
    pub fn builder(cluster: ClusterName, node: NodeName) -> LinkerBuilder {
        todo!()
    }
    /// Whether any peer wants messages of this topic. No allocation, no lock.
    pub fn wants(&self, topic: &str) -> bool {
        todo!()
    }
    /// Offers a message of a local publisher to the peers that want it. Never blocks.
    /// `publisher` (for instance the client id) keeps the order of one publisher.
    pub fn publish(&self, publisher: &str, message: &Message) -> Result<Published, PublishError> {
        todo!()
    }
    /// As `publish`, and waits while an outbox is full.
    pub async fn publish_wait(&self, publisher: &str, message: &Message) -> Result<Published, PublishError> {
        todo!()
    }
    /// A local client subscribed. Repeating it changes nothing.
    pub fn subscribe(&self, subscriber: &str, filter: &TopicFilter) {
        todo!()
    }
    pub fn unsubscribe(&self, subscriber: &str, filter: &TopicFilter) {
        todo!()
    }
    /// A local client is gone with all its subscriptions.
    pub fn remove_subscriber(&self, subscriber: &str) {
        todo!()
    }
    /// Replaces all that is known of local subscriptions.
    pub fn reconcile(&self, subscriptions: Vec<(String, TopicFilter)>) {
        todo!()
    }
    pub async fn shutdown(&self) {
        todo!()
    }
}
