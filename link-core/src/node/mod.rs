//! The node: every decision of a linker, as one state machine without clock, thread, socket or randomness of its own.
//!
//! One door in, one drain out, one deadline:
//!
//! ```text
//!  wait for an input or the deadline --> node.handle(now, input) --> node.poll_output() until None --> node.poll_timeout()
//! ```
//!
//! ```text
//!              host A        Node A         link A         wire    link B         Node B             host B
//!  1 interest                 routes.apply   <-- Frame      <====   <-- Transmit   routes.insert      <-- subscribe
//!  2 message    publish -->   match          Transmit -->   ====>   Frame -->      dedup              Deliver -->
//!  3 repair     Timeout -->   digest         Transmit -->   ====>   Frame -->      what A lacks:      sent as row 1
//! ```
//!
//! Row 1 is in `routing.rs`, row 2 in `messages.rs` (its first step in `publisher.rs`), row 3 in `liveness.rs`. How
//! connections come to be is in `dialling.rs` and `handshake.rs`, which node of a cluster gets a message in `scope.rs`, how
//! a life of a node begins and ends at its peers in `warming.rs` and `retiring.rs`.

mod barrier;
mod changes;
#[cfg(test)]
mod collisions;
mod dialling;
mod handshake;
mod input;
mod liveness;
mod messages;
mod publisher;
mod reconciling;
mod retiring;
mod returning;
mod rng;
mod routing;
mod scope;
mod status;
mod timers;
mod warming;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;

pub use barrier::{AckError, AckFrom, Acked, AckedNodes, Unacked};
pub use input::{BarrierId, ConnectionId, DialId, Input, Output, PeerId, Ticket, Way};
pub use publisher::{Offered, Published, Publisher};

use self::{
    barrier::Barriers,
    handshake::{Carrier, Greeting},
    publisher::Gates,
    timers::Timers,
};
pub(crate) use self::{
    publisher::{Gate, LaneHolders},
    rng::Rng,
};
use crate::{
    index::{self, FilterIndex},
    link::{Backoff, ClusterName, Link, LinkId, NodeName, Peer, Phase, Scope},
    routes::Covering,
    topic::TopicFilter,
    transport::Class,
    wire::{Close, CloseCode, Frame, Limits, encode},
};

/// The settings of a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Its name in that cluster.
    pub node: NodeName,
    /// For whom it takes messages. All nodes of a cluster have the same.
    pub scope: Scope,
    /// How often it has been started before, if somebody keeps count on disk; else 0.
    pub starts: u64,
    /// Ordered message streams per peer, 1 to 255. More lanes let more publishers go on when one has to wait.
    pub lanes: u8,
    /// What it takes from a peer at most.
    pub limits: Limits,
    /// Most connections that have not said who they are.
    pub max_strangers: usize,
    /// Most nodes of one peer cluster.
    pub max_peers: usize,
    /// Changes of the route set that are kept for a quick resume, per link.
    pub route_ring: usize,
    /// From so many routes on two copies of a set are compared by sketches; [`SKETCH_FROM`](crate::routes::SKETCH_FROM) by
    /// default.
    pub sketch_from: usize,
    /// How fast covering follows what is wanted.
    pub covering: Covering,
    /// Most barriers that wait at a time.
    pub max_barriers: usize,
    /// Shortest time between two route frames to one peer: what comes meanwhile goes into one.
    pub route_batch: Duration,
    /// How long after its start it announces additions only, so that peers go on to count what they hold of its life
    /// before: as long as sessions that outlived the restart may take to be back. [`Input::Warm`] ends it earlier. Zero by
    /// default: what is not reported when a link connects is withdrawn there.
    pub warm_up: Duration,
}

impl NodeConfig {
    /// The defaults for a node of a cluster.
    pub fn new(cluster: ClusterName, node: NodeName) -> Self {
        Self {
            cluster,
            node,
            scope: Scope::Node,
            starts: 0,
            lanes: 8,
            limits: Limits::default(),
            max_strangers: 64,
            max_peers: 32,
            route_ring: 65_536,
            sketch_from: crate::routes::SKETCH_FROM,
            covering: Covering::default(),
            max_barriers: 4096,
            route_batch: Duration::from_millis(5),
            warm_up: Duration::ZERO,
        }
    }
}

/// The state machine of one broker node.
///
/// Mutate once with [`handle`](Self::handle) or one of the link calls, then drain [`poll_output`](Self::poll_output)
/// until it is empty, then wait until [`poll_timeout`](Self::poll_timeout).
pub struct Node {
    config: NodeConfig,
    rng: Rng,
    links: BTreeMap<LinkId, Link>,
    names: BTreeMap<ClusterName, LinkId>,
    next_link: u32,
    peers: BTreeMap<PeerId, Peer>,
    next_peer: u32,
    connections: BTreeMap<ConnectionId, Owner>,
    dials: BTreeMap<DialId, LinkId>,
    next_dial: u32,
    /// Every filter that a local client is subscribed to.
    interest: BTreeSet<TopicFilter>,
    table: FilterIndex<PeerId>,
    /// Of `table`.
    routes: index::Reader<PeerId>,
    table_changed: bool,
    gates: Arc<ArcSwap<Gates>>,
    barriers: Barriers,
    /// It announces additions only.
    warming: bool,
    /// Nodes of the own cluster that have left it, the latest last, and when they did.
    retired: VecDeque<(NodeName, Duration)>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    /// Peers that may have something to send.
    dirty: BTreeSet<PeerId>,
    now: Duration,
}

/// To whom a connection belongs.
enum Owner {
    /// Nobody has greeted on it yet, or the answer to our greeting is still to come.
    Greeting(Greeting),
    Peer(PeerId),
}

/// Most bytes of control frames that may wait for a transport: far above what an honest peer can cause.
const CONTROL_MOST: usize = 32 << 20;

/// Deadlines, by their reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The pause before the next attempt is over.
    Dial(LinkId),
    /// A link that is connected at a later address tries its first one, or looks for a node that is away.
    Return(LinkId),
    /// The handshake takes too long.
    Handshake(ConnectionId),
    /// It is time to say that we live.
    Heartbeat(PeerId),
    /// Nothing was heard for too long.
    Silence(PeerId),
    /// Changes of the route set have been collected for long enough.
    Routes(PeerId),
    /// Covering has something to do.
    Covering(LinkId),
    /// A peer has been away for too long.
    Retention(PeerId),
    /// A peer has been away for long enough that another node of its cluster takes over.
    Replace(PeerId),
    /// Expired messages are to be taken out of the queue.
    Sweep(PeerId),
    /// Who waits for acknowledgements waits no longer.
    Barrier(BarrierId),
    /// Sessions have had enough time to come back.
    Warm,
}

impl Node {
    /// A node without links. `seed` is its only source of randomness: nonces, keys and jitter come from it.
    pub fn new(config: NodeConfig, seed: [u8; 32]) -> Self {
        let word = |at: usize| seed[at..at + 8].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let rng = Rng::new(word(0) ^ word(8).rotate_left(17) ^ word(16).rotate_left(34));
        let mut table = FilterIndex::new(word(24));
        Self {
            warming: !config.warm_up.is_zero(),
            retired: VecDeque::new(),
            config,
            rng,
            links: BTreeMap::new(),
            names: BTreeMap::new(),
            next_link: 0,
            peers: BTreeMap::new(),
            next_peer: 0,
            connections: BTreeMap::new(),
            dials: BTreeMap::new(),
            next_dial: 0,
            interest: BTreeSet::new(),
            routes: table.reader(),
            table,
            table_changed: false,
            gates: Arc::default(),
            barriers: Barriers::default(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            dirty: BTreeSet::new(),
            now: Duration::ZERO,
        }
    }

    /// The handle with which the host's threads publish.
    pub fn publisher(&self) -> Publisher {
        Publisher { routes: self.routes.clone(), gates: self.gates.clone(), lanes: self.config.lanes }
    }

    /// Lets something happen at `now`, a time since any fixed start that never goes back.
    pub fn handle(&mut self, now: Duration, input: Input) {
        self.now = self.now.max(now);
        self.begin_warm_up();
        match input {
            Input::Interest(changes) => self.on_interest(changes),
            Input::Publish(offered) => self.on_publish(offered),
            Input::Connected { connection, dial, identity, channels, datagrams, max_frame } => {
                let carrier = Carrier { identity, channels: channels.max(1), datagrams, max_frame };
                self.on_connected(connection, dial, carrier);
            }
            Input::DialFailed { dial, error } => self.on_dial_failed(dial, &error),
            Input::Refused { identity, reason } => self.on_refused(&identity, &reason),
            Input::Frame { connection, frame } => self.on_frame(connection, frame),
            Input::Sent { connection, class, bytes } => self.on_sent(connection, class, bytes),
            Input::Lost { connection, reason } => self.on_lost(connection, &reason),
            Input::Delivered { peer, ticket, refused } => self.on_delivered(peer, ticket, refused),
            Input::Barrier { barrier, filter, from, deadline } => self.on_barrier(barrier, &filter, from, deadline),
            Input::CancelBarrier(barrier) => self.on_cancel_barrier(barrier),
            Input::Warm => self.on_warm(),
            Input::Timeout => self.on_timeout(),
        }
    }

    /// What is to be done next, or `None` when all is done for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            // Before any output: who reads that a route was acknowledged may rely on it.
            if self.table_changed {
                self.table_changed = false;
                self.table.publish();
            }
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let peer = self.dirty.pop_first()?;
            self.flush(peer);
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn on_timeout(&mut self) {
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Dial(link) => self.dial(link),
                Timer::Return(link) => self.try_another(link),
                Timer::Handshake(connection) => {
                    let patience = "the handshake took too long";
                    self.close(connection, CloseCode::Timeout, patience);
                }
                Timer::Heartbeat(peer) => self.send_heartbeat(peer),
                Timer::Silence(peer) => self.on_silence(peer),
                Timer::Routes(peer) => drop(self.dirty.insert(peer)),
                Timer::Covering(link) => self.advance_covering(link),
                Timer::Retention(peer) => self.retire(peer),
                Timer::Replace(peer) => self.replace(peer),
                Timer::Sweep(peer) => self.sweep(peer),
                Timer::Barrier(barrier) => self.barrier_is_due(barrier),
                Timer::Warm => self.on_warm(),
            }
        }
    }

    fn on_frame(&mut self, connection: ConnectionId, bytes: Bytes) {
        if !self.connections.contains_key(&connection) {
            return;
        }
        let length = bytes.len();
        let frame = match crate::wire::decode(bytes, &self.config.limits) {
            Ok(frame) => frame,
            Err(error) => return self.close(connection, error.close_code(), &error.to_string()),
        };
        self.heard(connection, length);
        match self.connections.get(&connection) {
            None => {}
            Some(Owner::Greeting(_)) => self.on_greeting_frame(connection, frame),
            Some(Owner::Peer(peer)) => {
                let peer = *peer;
                self.on_peer_frame(connection, peer, frame, length);
            }
        }
    }

    fn on_peer_frame(&mut self, connection: ConnectionId, peer: PeerId, frame: Frame, length: usize) {
        if self.session(peer).is_some_and(|session| session.control_queued > CONTROL_MOST) {
            return self.close(connection, CloseCode::Window, "the peer asks for answers and does not read them");
        }
        let live = self.session(peer).is_some_and(|session| session.phase == Phase::Live);
        match frame {
            Frame::Close(close) => self.on_close(connection, &close),
            Frame::Unknown { .. } => {}
            // It overtook READY: it counts as lost.
            Frame::Datagram(_) if !live => {}
            Frame::Batch(batch) if !live => self.on_early_batch(connection, peer, batch),
            Frame::Ready(ready) if !live => self.on_ready(connection, peer, ready),
            _ if !live => self.close(connection, CloseCode::Protocol, "a frame came before READY"),
            Frame::Heartbeat(heartbeat) => self.on_heartbeat(peer, heartbeat),
            Frame::RouteResume(resume) => self.on_route_resume(connection, peer, resume),
            Frame::RouteNeed(need) => self.on_route_need(connection, peer, need),
            Frame::RouteCells(cells) => self.on_route_cells(connection, peer, &cells),
            Frame::RouteDifference(part) => self.on_route_difference(connection, peer, part, length),
            Frame::RouteDelta(delta) => self.on_route_delta(connection, peer, delta, length),
            Frame::RouteSnapshot(part) => self.on_route_snapshot(connection, peer, part, length),
            Frame::RoutePreadd(preadd) => self.on_route_preadd(connection, peer, preadd, length),
            Frame::RouteRetire(retire) => self.on_route_retire(peer, &retire),
            Frame::RouteAck(position) => self.on_route_ack(peer, position),
            Frame::Batch(batch) => self.on_batch(connection, peer, batch),
            Frame::Ack(ack) => self.on_ack(connection, peer, &ack),
            Frame::Datagram(datagram) => self.on_datagram(connection, peer, datagram),
            Frame::DatagramAck(ack) => self.on_datagram_ack(connection, peer, &ack),
            Frame::Hello(_) => self.close(connection, CloseCode::Protocol, "a second HELLO came"),
            Frame::Ready(_) => self.close(connection, CloseCode::Protocol, "a second READY came"),
        }
    }

    /// Sends what a peer may have waiting: routes, acknowledgements, messages.
    fn flush(&mut self, peer: PeerId) {
        self.flush_routes(peer);
        self.flush_acks(peer);
        self.flush_messages(peer);
    }

    fn send(&mut self, connection: ConnectionId, frame: &Frame) {
        self.transmit(connection, Class::Control, encode(frame));
    }

    fn transmit(&mut self, connection: ConnectionId, class: Class, frame: Bytes) {
        let length = frame.len();
        if let Some(Owner::Peer(id)) = self.connections.get(&connection)
            && let Some(peer) = self.peers.get_mut(id)
        {
            peer.bytes_out += length as u64;
            if let Some(session) = &mut peer.session {
                *session.queued(class) += length;
            }
        }
        self.outputs.push_back(Output::Transmit { connection, class, frame });
    }

    fn on_sent(&mut self, connection: ConnectionId, class: Class, bytes: usize) {
        let Some(Owner::Peer(id)) = self.connections.get(&connection) else { return };
        let id = *id;
        if let Some(session) = self.session_mut(id) {
            let queued = session.queued(class);
            *queued = queued.saturating_sub(bytes);
            self.dirty.insert(id);
        }
    }

    /// Refuses or ends a connection from this side, and says why to the peer and in the status.
    fn close(&mut self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.send(connection, &Frame::Close(Close { code, reason: reason.to_owned() }));
        self.outputs.push_back(Output::Close { connection });
        self.gone(connection, Some(code), &format!("closed here: {reason}"));
    }

    fn session(&self, peer: PeerId) -> Option<&crate::link::Session> {
        self.peers.get(&peer)?.session.as_ref()
    }

    fn session_mut(&mut self, peer: PeerId) -> Option<&mut crate::link::Session> {
        self.peers.get_mut(&peer)?.session.as_mut()
    }

    fn backoff(config: &crate::link::LinkConfig) -> Backoff {
        Backoff::new(config.retry_first, config.retry_max)
    }
}
