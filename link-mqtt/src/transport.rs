use std::sync::Arc;

use async_trait::async_trait;
use link_core::transport::{Accepted, Connection, Dial, DialError, Transport};
use tokio::sync::{Mutex, mpsc};

use crate::accept::{AcceptorLimits, BrokerPort, MqttAcceptor};

/// Most bytes of a frame in either direction, if nothing else is set.
pub(crate) const MAX_FRAME: usize = 16 << 20;

/// Dials links over MQTT 5, and accepts them from a host broker.
pub struct MqttTransport {
    accepted: Option<Mutex<mpsc::Receiver<Accepted>>>,
    max_frame: usize,
}

impl MqttTransport {
    /// A transport that only dials.
    pub fn new() -> Self {
        Self { accepted: None, max_frame: MAX_FRAME }
    }

    /// A transport that dials, and accepts what the host broker hands to the [`MqttAcceptor`].
    pub fn accepting(broker: Arc<dyn BrokerPort>) -> (Self, MqttAcceptor) {
        Self::accepting_within(broker, AcceptorLimits::default())
    }

    /// As [`accepting`](Self::accepting), with other limits.
    pub fn accepting_within(broker: Arc<dyn BrokerPort>, limits: AcceptorLimits) -> (Self, MqttAcceptor) {
        let (accepted, receiver) = mpsc::channel(limits.backlog.max(1));
        let acceptor = MqttAcceptor::new(broker, limits, accepted);
        (Self { accepted: Some(Mutex::new(receiver)), max_frame: MAX_FRAME }, acceptor)
    }

    /// Sets the most bytes of a frame on connections that this side dials. 16 MiB if it is not called.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }
}

impl Default for MqttTransport {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for MqttTransport {
    fn schemes(&self) -> &[&'static str] {
        &["mqtt", "mqtts"]
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        crate::dial::dial(dial, self.max_frame).await
    }

    async fn accept(&self) -> Accepted {
        if let Some(accepted) = &self.accepted
            && let Some(accepted) = accepted.lock().await.recv().await
        {
            return accepted;
        }
        std::future::pending().await
    }
}
