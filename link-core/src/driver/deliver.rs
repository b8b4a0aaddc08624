//! The task that hands the messages of one peer to the host, in order.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use crate::{
    host::{DeliverError, Host, Origin},
    message::Message,
    node::{Input, PeerId, Ticket},
    wire::RefusedReason,
};

/// One message on its way to the host.
pub(super) struct Delivery {
    pub(super) ticket: Ticket,
    pub(super) message: Message,
    pub(super) origin: Arc<Origin>,
}

const BUSY_FIRST: Duration = Duration::from_millis(2);
const BUSY_MAX: Duration = Duration::from_secs(1);

pub(super) async fn deliver(
    peer: PeerId,
    host: Arc<dyn Host>,
    mut deliveries: mpsc::UnboundedReceiver<Delivery>,
    inputs: mpsc::Sender<Input>,
) {
    while let Some(Delivery { ticket, message, origin }) = deliveries.recv().await {
        let refused = offer(host.as_ref(), message, &origin).await;
        if inputs.send(Input::Delivered { peer, ticket, refused }).await.is_err() {
            return;
        }
    }
}

/// Offers a message until the host takes or refuses it.
async fn offer(host: &dyn Host, message: Message, origin: &Origin) -> Option<RefusedReason> {
    let mut pause = BUSY_FIRST;
    loop {
        // Cloning shares topic and payload.
        match host.deliver(message.clone(), origin).await {
            Ok(()) => return None,
            Err(DeliverError::Refused(reason)) => {
                tracing::debug!(topic = message.topic.as_str(), reason, "host refused a message");
                return Some(RefusedReason::Host);
            }
            Err(DeliverError::Busy(reason)) => {
                tracing::trace!(topic = message.topic.as_str(), reason, "host is busy");
                sleep(pause).await;
                pause = (pause * 2).min(BUSY_MAX);
            }
        }
    }
}
