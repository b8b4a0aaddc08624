//! What the accepting side of a link asks of the broker: send to a client, end a client.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use link_mqtt::BrokerPort;
use mqtt5::{
    QoS,
    broker::{
        DynamicStorage, StorageBackend,
        router::{DeliveryLanes, MessageRouter},
    },
    packet::publish::PublishPacket,
};
use tokio::{
    sync::{OnceCell, oneshot},
    time::Instant,
};
use tracing::{info, warn};

/// How long a client that reads nothing holds up its link before the broker would put frames into the session queue.
/// The link's own heartbeat ends such a connection long before.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The broker as the link's transport sees it. It exists before the broker, which needs the transport's other half.
#[derive(Default)]
pub struct Port {
    broker: OnceCell<(Arc<MessageRouter>, Arc<DynamicStorage>)>,
}

impl Port {
    pub(super) fn set(&self, router: Arc<MessageRouter>, storage: Arc<DynamicStorage>) {
        let _ = self.broker.set((router, storage));
    }
}

#[async_trait]
impl BrokerPort for Port {
    /// Publishes to the subscriber of a link topic at QoS 1.
    ///
    /// Waits while that client's delivery lane is full: the broker fills it while the client's Receive Maximum and
    /// its socket let nothing out, so this is the back-pressure of the connection. `route_message` and
    /// `route_message_local_only` wait for two seconds only and then queue with a limit of 10,000 messages or
    /// 64 MiB, beyond which they drop the oldest.
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), String> {
        let (router, _) = self.broker.get().ok_or("the broker has not started")?;
        let packet = PublishPacket::new(topic, payload, QoS::AtLeastOnce);
        router.route_message_with_deadline(&packet, None, Instant::now() + PATIENCE).await;
        Ok(())
    }

    /// Ends the connection of a client and its session.
    ///
    /// The broker has no call for this: what ends a client cleanly is a newer connection of the same id, so one is
    /// registered and released. The client sees DISCONNECT 0x8E (session taken over).
    async fn disconnect(&self, client_id: &str, reason: &str) {
        let Some((router, storage)) = self.broker.get() else { return };
        if !router.is_connected(client_id).await {
            return;
        }
        info!(client_id, reason, "disconnecting");
        let (lanes, _receivers) = DeliveryLanes::channel(1);
        let (takeover, _taken_over) = oneshot::channel();
        let queue = router.queue_handle(client_id);
        let mine = router.register_session(client_id.to_owned(), lanes, queue, takeover, true).await;
        if let Some(released) = mine.released {
            // An error says that the old connection is gone already, which is as good.
            let _ = tokio::time::timeout(Duration::from_secs(5), released).await;
        }
        if let Err(error) = storage.remove_session(client_id).await {
            warn!(client_id, %error, "the session of a disconnected client stays until the broker's sweep");
        }
        router.release_client(client_id, mine.generation, false).await;
    }
}
