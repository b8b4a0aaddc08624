use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Class, Connection, ConnectionError, FrameReceiver, FrameSender, Identity};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

use super::{
    BrokerPort, Inner,
    channel::{Bundle, Channel, Inbound},
};
use crate::payload::{Assembler, Payload, fragments};

/// How long a closing connection waits for the peer.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Makes the connection of a bundle whose channels are all there; `None` if it has ended meanwhile.
pub(super) fn open(inner: &Arc<Inner>, bundle: &Arc<Bundle>) -> Option<Connection> {
    let members = bundle.members();
    let first = members.first().filter(|_| members.len() == usize::from(bundle.channels))?;
    let guard =
        Arc::new(Guard { inner: Arc::downgrade(inner), bundle: bundle.clone(), runtime: Handle::try_current().ok() });
    let limits = &inner.limits;
    let sender = |channel: &Arc<Channel>, data| -> Box<dyn FrameSender> {
        Box::new(Sender {
            guard: guard.clone(),
            broker: inner.broker.clone(),
            channel: channel.clone(),
            all: members.clone(),
            data,
            max_frame: limits.max_frame,
            cut: false,
        })
    };
    let assemblers = || (0..bundle.channels).map(|_| Assembler::new(limits.max_frame)).collect();
    Some(Connection {
        identity: Identity {
            address: bundle.owner.client_id.clone(),
            user: bundle.owner.user.clone(),
            certificate_names: bundle.owner.certificate_names.clone(),
            names_cluster: false,
            signed_by: None,
        },
        control: sender(first, false),
        data: members.iter().map(|channel| sender(channel, true)).collect(),
        datagrams: None,
        max_frame: Some(limits.max_frame),
        receiver: Box::new(Receiver {
            received: bundle.received(),
            control: Assembler::new(limits.max_frame),
            data: assemblers(),
            guard,
        }),
    })
}

/// Ends the connection when its last sender and its receiver are gone.
struct Guard {
    inner: Weak<Inner>,
    bundle: Arc<Bundle>,
    runtime: Option<Handle>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            let _entered = self.runtime.as_ref().map(Handle::enter);
            inner.end(&self.bundle, ConnectionError::Closed("the linker closed the connection".to_owned()));
        }
    }
}

struct Sender {
    guard: Arc<Guard>,
    broker: Arc<dyn BrokerPort>,
    channel: Arc<Channel>,
    all: Vec<Arc<Channel>>,
    data: bool,
    max_frame: usize,
    /// A send was cancelled between two fragments: the next frame would be read as its rest.
    cut: bool,
}

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        if let Some(error) = self.guard.bundle.fate.error() {
            return Err(error);
        }
        if self.cut {
            return Err(ConnectionError::Lost("a frame was cut off by a cancelled send".to_owned()));
        }
        if frame.len() > self.max_frame {
            return Err(ConnectionError::TooLarge { size: frame.len(), limit: self.max_frame });
        }
        for payload in fragments(frame, self.data, self.channel.body_limit()) {
            tokio::select! {
                biased;
                error = self.guard.bundle.fate.ended() => return Err(error),
                () = self.channel.gate.take(self.data) => {}
            }
            self.cut = true;
            self.publish(&self.channel, &payload).await?;
            self.cut = matches!(payload, Payload::Fragment { more: true, .. });
        }
        Ok(())
    }

    async fn close(&mut self) {
        let fate = &self.guard.bundle.fate;
        let orderly = async {
            for channel in &self.all {
                channel.gate.take(false).await;
                if self.publish(channel, &Payload::End).await.is_err() {
                    return;
                }
            }
            // The peer takes what is on its way, and then disconnects.
            fate.ended().await;
        };
        tokio::select! {
            _ = timeout(CLOSE_TIME, orderly) => {}
            _ = fate.ended() => {}
        }
        if let Some(inner) = self.guard.inner.upgrade() {
            inner.end(&self.guard.bundle, ConnectionError::Closed("this side closed the connection".to_owned()));
        }
    }
}

impl Sender {
    async fn publish(&self, channel: &Channel, payload: &Payload) -> Result<(), ConnectionError> {
        let published = self.broker.publish(&channel.down, payload.encode()).await;
        published.map_err(|reason| {
            let error = ConnectionError::Lost(format!("the host broker took no packet for the peer: {reason}"));
            if let Some(inner) = self.guard.inner.upgrade() {
                inner.end(&self.guard.bundle, error.clone());
            }
            error
        })
    }
}

struct Receiver {
    guard: Arc<Guard>,
    received: Option<mpsc::UnboundedReceiver<Inbound>>,
    control: Assembler,
    data: Vec<Assembler>,
}

#[async_trait]
impl FrameReceiver for Receiver {
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError> {
        let fate = self.guard.bundle.fate.clone();
        loop {
            let Some(received) = &mut self.received else {
                return Err(fate.ended().await);
            };
            let inbound = tokio::select! {
                biased;
                inbound = received.recv() => inbound,
                _ = fate.ended() => received.try_recv().ok(),
            };
            let Some(Inbound { channel, data, more, body, .. }) = inbound else {
                return Err(fate.ended().await);
            };
            let (class, assembler) = match self.data.get_mut(usize::from(channel)) {
                Some(assembler) if data => (Class::Data(channel), assembler),
                _ => (Class::Control, &mut self.control),
            };
            match assembler.push(more, body) {
                Ok(Some(frame)) => return Ok((class, frame)),
                Ok(None) => {}
                Err(error) => {
                    if let Some(inner) = self.guard.inner.upgrade() {
                        inner.end(&self.guard.bundle, error.clone());
                    }
                    return Err(error);
                }
            }
        }
    }
}
