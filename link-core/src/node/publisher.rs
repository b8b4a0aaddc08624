//! The publish path: what runs on the host's own threads.

use std::{
    collections::BTreeMap,
    hash::Hasher,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::{
    delivery::{self, Budget},
    index,
    link::LinkId,
    message::{Message, QoS},
    mutant::{self, Mutant},
    node::PeerId,
    topic::Topic,
    wire::{encode_message, message_len},
};

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Copies that were accepted: one for each peer node that wants it, or for a cluster of which any node is enough.
    /// None, and none full: nobody wants it.
    pub accepted: usize,
    /// Copies that were not accepted, since the queue is full.
    pub full: usize,
}

/// A message that was let in for one peer, on its way to the node.
#[derive(Debug, Clone)]
pub struct Offered {
    pub(crate) peer: PeerId,
    /// Chosen since it holds the lane: by the time the node gets the message that may be another one.
    pub(crate) by_lane: bool,
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
    link: LinkId,
    /// Whether what it wants is to be sent to it.
    routed: AtomicBool,
    /// Whether one copy is enough for it and all others of its cluster that say so.
    one_copy: AtomicBool,
    holders: Arc<LaneHolders>,
}

/// For each lane of a link, which node of the peer's cluster it goes to, of those of which any one is enough.
#[derive(Debug)]
pub(crate) struct LaneHolders(Box<[AtomicU32]>);

/// What a node that wants a message is to it, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It gets a copy of its own.
    Own,
    /// It is of a cluster of which any node is enough, and is not connected.
    Away,
    Connected,
    HoldsLane,
}

/// A copy of a message, for a node.
struct Copy<'a> {
    peer: PeerId,
    gate: &'a Gate,
    rank: Rank,
}

impl LaneHolders {
    const NOBODY: u32 = u32::MAX;

    pub(crate) fn new(lanes: u8) -> Self {
        Self((0..lanes.max(1)).map(|_| AtomicU32::new(Self::NOBODY)).collect())
    }

    pub(crate) fn set(&self, lane: u8, holder: Option<PeerId>) {
        if let Some(place) = self.0.get(usize::from(lane)) {
            place.store(holder.map_or(Self::NOBODY, |peer| peer.0), Ordering::Relaxed);
        }
    }

    pub(crate) fn at(&self, lane: u8) -> Option<PeerId> {
        let holder = self.0.get(usize::from(lane))?.load(Ordering::Relaxed);
        (holder != Self::NOBODY).then_some(PeerId(holder))
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = u8> + use<> {
        (0..=u8::MAX).take(self.0.len())
    }
}

impl Gate {
    pub(crate) fn new(budget: Arc<Budget>, link: LinkId, holders: Arc<LaneHolders>) -> Self {
        let [live, routed, one_copy] = [false; 3].map(AtomicBool::new);
        Self { budget, live, refused: AtomicU64::new(0), link, routed, one_copy, holders }
    }

    pub(crate) fn set_routed(&self, routed: bool) {
        self.routed.store(routed, Ordering::Relaxed);
    }

    fn is_routed(&self) -> bool {
        self.routed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_one_copy(&self, one_copy: bool) {
        self.one_copy.store(one_copy, Ordering::Relaxed);
    }

    fn rank(&self, own: PeerId, lane: u8) -> Rank {
        if !self.one_copy.load(Ordering::Relaxed) {
            Rank::Own
        } else if self.holders.at(lane) == Some(own) {
            Rank::HoldsLane
        } else if self.live.load(Ordering::Relaxed) {
            Rank::Connected
        } else {
            Rank::Away
        }
    }

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
        self.routes.is_match(topic) && Topic::check(topic).is_ok() && !self.wanting(topic).is_empty()
    }

    /// Matches a message, and hands it to `accept` once for each peer node that wants it and has room, and once for all
    /// nodes of a cluster of which any one is enough.
    ///
    /// It is encoded once, here, so that the node only copies bytes.
    pub fn offer(
        &self,
        now: Duration,
        publisher: &str,
        message: &Message,
        mut accept: impl FnMut(Offered),
    ) -> Published {
        let peers = self.wanting(message.topic.as_str());
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
        for Copy { peer, gate, rank } in copies(&gates, &peers, lane) {
            if gate.admit(body.len()) {
                published.accepted += 1;
                let by_lane = rank == Rank::HoldsLane;
                let (qos, body) = (message.qos, body.clone());
                accept(Offered { peer, by_lane, lane, qos, expires_at, accepted_at: now, body });
            } else {
                published.full += 1;
            }
        }
        published
    }

    /// Whether no connected peer that is to get the message has a full queue.
    pub fn has_room(&self, publisher: &str, message: &Message) -> bool {
        let gates = self.gates.load();
        copies(&gates, &self.wanting(message.topic.as_str()), self.lane(publisher)).iter().all(
            |Copy { gate, .. }| {
                !gate.live.load(Ordering::Relaxed) || gate.budget.has_room(delivery::cost(message_len(message)))
            },
        )
    }

    /// The peers that want messages of a topic, of those that they are to be sent to.
    fn wanting(&self, topic: &str) -> Vec<PeerId> {
        let mut peers = Vec::new();
        self.routes.for_each_match(topic, |peer| peers.push(*peer));
        if peers.is_empty() {
            return peers;
        }
        let gates = self.gates.load();
        peers.retain(|peer| gates.get(peer).is_some_and(|gate| gate.is_routed()));
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

/// Who gets a copy: each node for itself, and of the nodes of a cluster of which any one is enough the best.
fn copies<'a>(gates: &'a Gates, wanting: &[PeerId], lane: u8) -> Vec<Copy<'a>> {
    let mut copies: Vec<Copy<'a>> = Vec::with_capacity(wanting.len());
    for peer in wanting {
        let Some(gate) = gates.get(peer) else { continue };
        let copy = Copy { peer: *peer, gate, rank: gate.rank(*peer, lane) };
        let same = |other: &&mut Copy<'_>| other.rank > Rank::Own && other.gate.link == gate.link;
        match copies.iter_mut().find(same).filter(|_| copy.rank > Rank::Own) {
            Some(other) if other.rank < copy.rank => *other = copy,
            Some(_) => {}
            None => copies.push(copy),
        }
    }
    copies
}
