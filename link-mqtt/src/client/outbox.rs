use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use link_core::transport::ConnectionError;
use rumqttc::v5::{AsyncClient, mqttbytes::QoS};
use tokio::sync::Notify;

use crate::{gate::Gate, payload::Payload};

/// The way out of one client: a sliding window of QoS 1 publishes.
///
/// ```text
///          oldest not acknowledged        newest
/// span     [ 7 . ] [ 8 ack ] [ 9 . ] [ 1 . ]  | queued: not yet given an id
///          slots come back from the left only
/// ```
/// The invariant: span and queue together never exceed the slots of the gate, so that an id comes round again only
/// after everything that was sent since its last use, and before, is acknowledged.
pub(crate) struct Outbox {
    client: AsyncClient,
    topic: String,
    gate: Gate,
    window: Mutex<Window>,
    changed: Notify,
}

#[derive(Default)]
struct Window {
    span: VecDeque<(u16, bool)>,
    queued: usize,
    /// A credit that waits for a slot; a newer one replaces it.
    credit: Option<Payload>,
}

impl Outbox {
    pub(crate) fn new(client: AsyncClient, topic: String, slots: usize) -> Self {
        Self { client, topic, gate: Gate::new(slots), window: Mutex::default(), changed: Notify::new() }
    }

    /// Publishes when the window has a slot. Safe to cancel: a cancelled call has sent nothing.
    pub(crate) async fn send(&self, payload: &Payload, data: bool) -> Result<(), ConnectionError> {
        self.gate.take(data).await;
        self.publish(&mut self.lock(), payload)
    }

    /// Publishes a credit now, or as soon as a slot is free, before all else.
    pub(crate) fn grant(&self, credit: Payload) {
        let mut window = self.lock();
        if self.gate.try_take() {
            // A lost connection is told by its fate.
            let _ = self.publish(&mut window, &credit);
        } else {
            window.credit = Some(credit);
        }
    }

    /// The event loop has given a publish this id.
    pub(super) fn sent(&self, id: u16) {
        let mut window = self.lock();
        window.queued = window.queued.saturating_sub(1);
        window.span.push_back((id, false));
    }

    /// The broker has acknowledged this id.
    pub(super) fn acknowledged(&self, id: u16) {
        let mut window = self.lock();
        if let Some(entry) = window.span.iter_mut().find(|(sent, acknowledged)| *sent == id && !acknowledged) {
            entry.1 = true;
        }
        let mut slots = 0;
        while window.span.pop_front_if(|(_, acknowledged)| *acknowledged).is_some() {
            slots += 1;
        }
        if slots > 0
            && let Some(credit) = window.credit.take()
            && self.publish(&mut window, &credit).is_ok()
        {
            slots -= 1;
        }
        drop(window);
        if slots > 0 {
            self.gate.give(slots);
        }
        self.changed.notify_one();
    }

    /// Waits until all is acknowledged. For one caller at a time.
    pub(crate) async fn idle(&self) {
        loop {
            {
                let window = self.lock();
                if window.span.is_empty() && window.queued == 0 {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Says goodbye to the broker, behind all that was sent.
    pub(crate) fn disconnect(&self) {
        let _ = self.client.try_disconnect();
    }

    fn publish(&self, window: &mut Window, payload: &Payload) -> Result<(), ConnectionError> {
        // The request channel has room for the whole window, so this fails only when the event loop is gone.
        self.client
            .try_publish(self.topic.as_str(), QoS::AtLeastOnce, false, payload.encode())
            .map_err(|_| ConnectionError::Lost("the MQTT client has stopped".to_owned()))?;
        window.queued += 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
