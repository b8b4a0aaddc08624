use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU16, Ordering},
};

use bytes::Bytes;
use link_core::{
    link::{ClusterName, NodeName},
    transport::ConnectionError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{AcceptorLimits, ClientInfo};
use crate::{fate::Fate, gate::Gate, payload::body_limit};

/// Which connection: the dialler's names and its token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) cluster: ClusterName,
    pub(super) node: NodeName,
    pub(super) token: u64,
}

/// What the channels of one connection share.
pub(super) struct Bundle {
    pub(super) key: Key,
    pub(super) channels: u16,
    /// The client that came first; the others must be of the same user.
    pub(super) owner: ClientInfo,
    /// Its place in the order of opening.
    pub(super) opened: u64,
    pub(super) fate: Fate,
    inbox: mpsc::UnboundedSender<Inbound>,
    received: Mutex<Option<mpsc::UnboundedReceiver<Inbound>>>,
    members: Mutex<Vec<Option<Arc<Channel>>>>,
    credited: AtomicU16,
    open: AtomicBool,
}

/// A fragment that waits for the linker. Its permit is the room that it takes, so that the queue, which has no length
/// limit of its own, is bounded in bytes.
pub(super) struct Inbound {
    pub(super) channel: u16,
    pub(super) data: bool,
    pub(super) more: bool,
    pub(super) body: Bytes,
    pub(super) _room: OwnedSemaphorePermit,
}

/// Bytes that a waiting fragment costs beside its body.
const INBOUND_COST: usize = 128;

impl Bundle {
    pub(super) fn new(key: Key, channels: u16, owner: ClientInfo, opened: u64) -> Self {
        let (inbox, received) = mpsc::unbounded_channel();
        Self {
            key,
            channels,
            owner,
            opened,
            fate: Fate::new(),
            inbox,
            received: Mutex::new(Some(received)),
            members: Mutex::new(vec![None; channels.into()]),
            credited: AtomicU16::new(0),
            open: AtomicBool::new(false),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether all channels have granted credit, and this is the first call since.
    pub(super) fn opens_now(&self) -> bool {
        self.credited.load(Ordering::Acquire) == self.channels && !self.open.swap(true, Ordering::AcqRel)
    }

    pub(super) fn member(&self, channel: u16) -> Option<Arc<Channel>> {
        self.lock().get(usize::from(channel)).cloned().flatten()
    }

    pub(super) fn join(&self, channel: &Arc<Channel>) {
        if let Some(slot) = self.lock().get_mut(usize::from(channel.index)) {
            *slot = Some(channel.clone());
        }
    }

    /// Empties the bundle, which breaks its cycle with its channels; gives them.
    pub(super) fn leave(&self) -> Vec<Arc<Channel>> {
        self.lock().iter_mut().filter_map(Option::take).collect()
    }

    /// The channels that are there, in order.
    pub(super) fn members(&self) -> Vec<Arc<Channel>> {
        self.lock().iter().flatten().cloned().collect()
    }

    /// The receiving end; there is one.
    pub(super) fn received(&self) -> Option<mpsc::UnboundedReceiver<Inbound>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Arc<Channel>>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One channel, bound to one client.
pub(super) struct Channel {
    pub(super) bundle: Arc<Bundle>,
    pub(super) index: u16,
    pub(super) client_id: String,
    pub(super) up: String,
    pub(super) down: String,
    /// Slots of packets to the peer.
    pub(super) gate: Gate,
    credit: Mutex<Option<Credit>>,
    room: Arc<Semaphore>,
    inbound_bytes: u32,
}

/// What the peer has granted.
#[derive(Debug, Clone, Copy)]
struct Credit {
    limit: u32,
    /// Most bytes of a body to the peer.
    body_limit: usize,
}

impl Channel {
    pub(super) fn new(
        bundle: Arc<Bundle>,
        index: u16,
        client_id: String,
        topics: (String, String),
        inbound_bytes: u32,
    ) -> Self {
        Self {
            bundle,
            index,
            client_id,
            up: topics.0,
            down: topics.1,
            gate: Gate::new(0),
            credit: Mutex::new(None),
            room: Arc::new(Semaphore::new(inbound_bytes as usize)),
            inbound_bytes,
        }
    }

    /// Whether the client that opened it speaks.
    pub(super) fn is_of(&self, client: &ClientInfo) -> bool {
        self.client_id == client.client_id && same_user(&self.bundle.owner, client)
    }

    /// Takes a credit; an error says which rule it breaks.
    pub(super) fn credit(&self, limit: u32, max_packet: u32, limits: &AcceptorLimits) -> Result<(), String> {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let before = credit.map_or(0, |credit| credit.limit);
        let more = limit.wrapping_sub(before);
        if more > limits.max_inflight {
            return Err(format!(
                "the client granted {more} packets at once, over the limit of {}",
                limits.max_inflight
            ));
        }
        let body_limit = body_limit(max_packet.min(limits.max_packet), &self.down)?;
        if credit.replace(Credit { limit, body_limit }).is_none() {
            self.bundle.credited.fetch_add(1, Ordering::AcqRel);
        }
        drop(credit);
        self.gate.give(more as usize);
        Ok(())
    }

    /// Most bytes of a body to the peer.
    pub(super) fn body_limit(&self) -> usize {
        self.credit.lock().unwrap_or_else(PoisonError::into_inner).map_or(1, |credit| credit.body_limit)
    }

    /// Hands a fragment to the linker; waits for room.
    pub(super) async fn deliver(&self, data: bool, more: bool, body: Bytes) -> Result<(), ConnectionError> {
        let cost = u32::try_from(body.len() + INBOUND_COST).unwrap_or(u32::MAX).min(self.inbound_bytes);
        let room = tokio::select! {
            biased;
            error = self.bundle.fate.ended() => return Err(error),
            room = self.room.clone().acquire_many_owned(cost) => room,
        };
        let gone = || ConnectionError::Lost("the linker has dropped the connection".to_owned());
        let room = room.map_err(|_| gone())?;
        self.bundle.inbox.send(Inbound { channel: self.index, data, more, body, _room: room }).map_err(|_| gone())
    }
}

/// Whether two clients have proven to be the same user.
pub(super) fn same_user(a: &ClientInfo, b: &ClientInfo) -> bool {
    a.user == b.user && a.certificate_names == b.certificate_names
}
