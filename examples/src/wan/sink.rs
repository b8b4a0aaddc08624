use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use link_core::{
    host::{DeliverError, Host, Origin},
    message::Message,
};

/// Topic of the bulk.
pub(super) const BULK: &str = "wan/bulk";
/// Topic of the small messages whose way is timed.
pub(super) const PROBE: &str = "wan/probe";

/// The host at the far end: it counts the bulk, and times the probes.
pub(super) struct Sink {
    begin: Instant,
    bytes: AtomicU64,
    probes: Mutex<Vec<Probe>>,
}

/// A small message that has arrived: times since the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub(super) sent: Duration,
    pub(super) arrived: Duration,
}

impl Sink {
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin, bytes: AtomicU64::new(0), probes: Mutex::default() }
    }

    /// Payload of the bulk that has arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The probes that were sent in some time and have arrived.
    pub(super) fn probes(&self, sent: std::ops::Range<Duration>) -> Vec<Probe> {
        self.lock().iter().copied().filter(|probe| sent.contains(&probe.sent)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Probe>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Host for Sink {
    async fn deliver(&self, message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        if message.topic.as_str() == PROBE {
            let mut sent = [0; 8];
            if let Some(head) = message.payload.get(..sent.len()) {
                sent.copy_from_slice(head);
            }
            let sent = Duration::from_nanos(u64::from_le_bytes(sent));
            self.lock().push(Probe { sent, arrived: self.begin.elapsed() });
        } else {
            self.count(message.payload.len());
        }
        Ok(())
    }
}
