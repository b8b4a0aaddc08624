//! The publish path: what runs on the host's own threads.

use std::{
    collections::BTreeMap,
    hash::Hasher,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::{
    delivery::{self, Budget},
    index,
    message::{Message, QoS},
    mutant::{self, Mutant},
    node::PeerId,
    topic::Topic,
    wire::{encode_message, message_len},
};

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Peer nodes for which it was accepted. None, and none full: nobody wants it.
    pub accepted: usize,
    /// Peer nodes that want it and whose queue is full: for them it was not accepted.
    pub full: usize,
}

/// A message that was let in for one peer, on its way to the node.
#[derive(Debug, Clone)]
pub struct Offered {
    pub(crate) peer: PeerId,
    pub(crate) lane: u8,
    pub(crate) qos: QoS,
    pub(crate) expires_at: Option<Duration>,
    pub(crate) accepted_at: Duration,
    pub(crate) body: Bytes,
}

impl Offered {
    /// The peer for which it was let in.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

/// The door of one peer: who may still enter its queue.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) budget: Arc<Budget>,
    pub(crate) live: AtomicBool,
    pub(crate) refused: AtomicU64,
}

impl Gate {
    /// Reserves room for a message with a body of `bytes`, or counts a refusal.
    fn admit(&self, bytes: usize) -> bool {
        let admitted = self.budget.try_reserve(delivery::cost(bytes));
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

pub(crate) type Gates = BTreeMap<PeerId, Arc<Gate>>;

/// Decides on the host's thread whether a message crosses a link, and lets it in.
///
/// A message that nobody wants costs one lookup in the shared route table: no allocation, no lock.
#[derive(Clone)]
pub struct Publisher {
    pub(crate) routes: index::Reader<PeerId>,
    pub(crate) gates: Arc<ArcSwap<Gates>>,
    pub(crate) lanes: u8,
}

impl Publisher {
    /// Whether any peer wants messages of `topic`. A text that is no topic name is wanted by nobody.
    pub fn wants(&self, topic: &str) -> bool {
        // In this order: the usual answer is no, and needs no check.
        self.routes.is_match(topic) && Topic::check(topic).is_ok()
    }

    /// Matches a message, and hands it to `accept` once for each peer node that wants it and has room.
    ///
    /// It is encoded once, here, so that the node only copies bytes.
    pub fn offer(
        &self,
        now: Duration,
        publisher: &str,
        message: &Message,
        mut accept: impl FnMut(Offered),
    ) -> Published {
        let peers = self.wanting(message);
        let mut published = Published::default();
        if peers.is_empty() {
            return published;
        }
        let body = encode_message(message);
        let lane = match message.payload.last() {
            Some(byte) if mutant::on(Mutant::AnyLane) => byte % self.lanes.max(1),
            _ => self.lane(publisher),
        };
        let expires_at = message.properties.message_expiry.map(|s| now + Duration::from_secs(u64::from(s)));
        let gates = self.gates.load();
        for peer in peers {
            let Some(gate) = gates.get(&peer) else { continue };
            if gate.admit(body.len()) {
                published.accepted += 1;
                accept(Offered { peer, lane, qos: message.qos, expires_at, accepted_at: now, body: body.clone() });
            } else {
                published.full += 1;
            }
        }
        published
    }

    /// Whether no peer that wants the message and is connected has a full queue.
    pub fn has_room(&self, message: &Message) -> bool {
        let gates = self.gates.load();
        self.wanting(message).iter().filter_map(|peer| gates.get(peer)).all(|gate| {
            !gate.live.load(Ordering::Relaxed) || gate.budget.has_room(delivery::cost(message_len(message)))
        })
    }

    fn wanting(&self, message: &Message) -> Vec<PeerId> {
        let mut peers = Vec::new();
        self.routes.for_each_match(message.topic.as_str(), |peer| peers.push(*peer));
        if peers.len() > 1 {
            peers.sort_unstable();
            peers.dedup();
        }
        peers
    }

    /// The lane of a publisher. A fixed hash: a client that picks its id to share a lane slows only itself.
    fn lane(&self, publisher: &str) -> u8 {
        let mut hasher = siphasher::sip::SipHasher13::new();
        hasher.write(publisher.as_bytes());
        (hasher.finish() % u64::from(self.lanes.max(1))) as u8
    }
}
