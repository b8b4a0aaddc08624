//! Sees every publish of the broker once, after its ACL: a client that exists only inside the broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use link_core::message::Message;
use mqtt5::{
    QoS,
    broker::{
        router::{DeliveryLanes, LaneReceivers, MessageRouter, RoutableMessage, SubscriptionRequest, TakeoverNotice},
        storage::{QueueHandle, QueuedMessage},
    },
};
use tokio::sync::{OnceCell, oneshot};
use tracing::warn;

use super::convert::{from_queue, to_message};

/// Client id of the tap. Nobody can log in with it: [`Users`](super::Users) refuses ids that begin with `$`.
pub const TAP: &str = "$link-tap";

/// Messages that wait for the tap, per lane. A QoS 0 message that finds its lane full is lost (the broker never waits
/// for those), one of higher quality makes its publisher wait.
const LANE: usize = 65_536;

/// Messages taken at once from the session queue.
const BATCH: usize = 256;

/// The receiving end of the tap.
///
/// Messages of one publisher come out in its order. `#` does not match topics that begin with `$` (MQTT 4.7.2), so
/// neither `$SYS` nor `$LINK` is seen. With no-local, what is routed in the name of [`TAP`] does not come back.
pub(super) struct Tap {
    lanes: LaneReceivers,
    queue: QueueHandle,
    behind: std::vec::IntoIter<QueuedMessage>,
    skipped: Arc<AtomicU64>,
    turn: bool,
    /// The router ends the tap by it; held so that it does not.
    _takeover: oneshot::Receiver<TakeoverNotice>,
}

impl Tap {
    /// Registers the tap.
    pub(super) async fn open(router: &MessageRouter, gate: &Gate) -> mqtt5::Result<Self> {
        let (lanes, receivers) = DeliveryLanes::channel(LANE);
        let queue = router.queue_handle(TAP);
        let (disconnect, takeover) = oneshot::channel();
        router.register_client(TAP.to_owned(), lanes, Arc::clone(&queue), disconnect).await;
        let everything =
            SubscriptionRequest::new(TAP, "#", QoS::ExactlyOnce).with_no_local(true).with_retain_as_published(true);
        router.subscribe(everything).await?;
        let _ = gate.queue.set(Arc::clone(&queue));
        Ok(Self {
            lanes: receivers,
            queue,
            behind: Vec::new().into_iter(),
            skipped: Arc::clone(&gate.skipped),
            turn: false,
            _takeover: takeover,
        })
    }

    /// The next publish: the client id of its publisher, and the message. `None` when the broker has stopped.
    pub(super) async fn next(&mut self) -> Option<(String, Message)> {
        loop {
            let packet = if let Some(queued) = self.behind.next() {
                from_queue(&queued)
            } else if let Some(routed) = self.take() {
                routed.publish
            } else if !self.queue.is_empty() {
                // The router puts messages here while the lane is full for longer than it waits, and goes on doing so
                // until this queue is empty: they are younger than everything in the lane.
                self.behind = self.queue.take(BATCH).await.into_iter();
                continue;
            } else {
                self.queue.finish_drain();
                tokio::select! {
                    routed = self.lanes.recv() => routed?.publish,
                    () = self.queue.notified() => continue,
                }
            };
            match to_message(packet) {
                Ok(out) => return Some(out),
                Err(error) => {
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                    warn!(%error, "the broker routed a publish that is not valid");
                }
            }
        }
    }
}

impl Tap {
    /// What is in a lane now, both in turn: neither can starve the other.
    fn take(&mut self) -> Option<RoutableMessage> {
        self.turn = !self.turn;
        let LaneReceivers { qos0, qos1 } = &mut self.lanes;
        let (first, second) = if self.turn { (qos0, qos1) } else { (qos1, qos0) };
        first.try_recv().or_else(|_| second.try_recv()).ok()
    }
}

/// Holds publishers back while the tap is behind, before the broker drops anything.
///
/// The router waits two seconds for a full lane, then uses the session queue, which drops its oldest at a limit. A
/// publisher that waits here has no acknowledgement yet, so nothing that was accepted is lost.
#[derive(Default)]
pub(super) struct Gate {
    queue: OnceCell<QueueHandle>,
    pub(super) skipped: Arc<AtomicU64>,
    wants: OnceCell<Wants>,
}

/// Whether any peer wants messages of a topic.
type Wants = Box<dyn Fn(&str) -> bool + Send + Sync>;

impl Gate {
    /// Only publishes for which `wants` says yes have to wait.
    pub(super) fn set_wants(&self, wants: Wants) {
        let _ = self.wants.set(wants);
    }

    /// Returns when a publish of this quality may be routed.
    pub(super) async fn open(&self, qos: QoS, topic: &str) {
        let Some(queue) = self.queue.get() else { return };
        while queue.behind() && qos != QoS::AtMostOnce && self.wants.get().is_none_or(|wants| wants(topic)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
