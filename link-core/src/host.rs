//! The broker's side of a linker.

use async_trait::async_trait;
use thiserror::Error;

use crate::{
    link::{ClusterName, NodeName},
    message::Message,
    topic::TopicFilter,
};

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster in which it was published.
    pub cluster: ClusterName,
    /// The node of that cluster which sent it.
    pub node: NodeName,
}

/// Why a host did not take a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeliverError {
    /// Not now. The message is offered again, and nothing behind it in its lane is offered before.
    #[error("the host is busy: {0}")]
    Busy(String),
    /// Never. The peer's ledger counts it as dropped, with this reason.
    #[error("the host refused the message: {0}")]
    Refused(String),
}

/// The broker that embeds a linker.
///
/// The linker calls it from tasks of its own, one per link: a host that is slow for one link delays no other.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Hands a message of a peer to the local subscribers.
    ///
    /// `Ok` acknowledges it: from then on the peer forgets it. The host must not report it to
    /// [`Linker::publish`](crate::driver::Linker::publish).
    async fn deliver(&self, message: Message, origin: &Origin) -> Result<(), DeliverError>;

    /// Every subscription that exists now, as (subscriber, filter), or `None` where the host reports each change
    /// without fail. The linker asks at its start and every
    /// [`reconcile_every`](crate::driver::LinkerBuilder::reconcile_every), and repairs what it missed.
    async fn subscriptions(&self) -> Option<Vec<(String, TopicFilter)>> {
        None
    }
}
