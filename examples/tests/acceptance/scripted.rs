//! A transport whose first dials go as a test wants.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use link_core::{
    memory::MemoryNetwork,
    transport::{Accepted, Connection, Dial, DialError, Transport},
};

use crate::network::Network;

/// How a scripted dial goes.
#[derive(Clone, Copy, PartialEq)]
pub enum Step {
    Unreachable,
    Refused,
    /// Never answers.
    Hang,
    /// Connects to something that reads and never says a word.
    Mute,
    /// Connects to something that answers with bytes that are no frame.
    Garbage,
    Through,
}

/// Follows a script for its first dials, and counts them.
pub struct Scripted {
    inner: Arc<dyn Transport>,
    mute: MemoryNetwork,
    steps: Vec<Step>,
    dials: AtomicUsize,
}

impl Scripted {
    pub async fn new(network: &Network, node: &str, steps: &[Step]) -> Arc<Self> {
        let (inner, mute) = (network.transport(node).await, MemoryNetwork::new());
        Arc::new(Self { inner, mute, steps: steps.to_vec(), dials: AtomicUsize::new(0) })
    }

    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Transport for Scripted {
    fn schemes(&self) -> &[&'static str] {
        self.inner.schemes()
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        let n = self.dials.fetch_add(1, Ordering::SeqCst);
        let endpoint = dial.endpoint.clone();
        match self.steps.get(n).copied().unwrap_or(Step::Through) {
            Step::Unreachable => Err(DialError::Unreachable { endpoint, reason: "nobody listens".to_owned() }),
            Step::Refused => Err(DialError::Refused { endpoint, reason: "SUBSCRIBE was refused".to_owned() }),
            Step::Hang => std::future::pending().await,
            Step::Through => self.inner.dial(dial).await,
            step => {
                let listener = self.mute.transport(&endpoint.host);
                let dialler = self.mute.transport("dialler");
                tokio::spawn(async move {
                    let Accepted::Connection(mut connection) = listener.accept().await else { return };
                    while connection.receiver.recv().await.is_ok() {
                        if step == Step::Garbage {
                            let _ = connection.control.send(bytes::Bytes::from_static(b"\xff\xffnonsense")).await;
                        }
                    }
                });
                dialler.dial(dial).await
            }
        }
    }

    async fn accept(&self) -> Accepted {
        self.inner.accept().await
    }
}
