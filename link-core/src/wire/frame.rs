//! What a frame says. One enum, [`Frame`]; the encoding lives beside it.

use bytes::Bytes;

use super::CloseCode;
use crate::{
    link::{ClusterName, NodeName, Scope},
    routes::{Cell, RouteId},
    topic::TopicFilter,
};

/// One life of a node's state towards a peer: a counter that only rises, and a random nonce that tells two lives with
/// the same counter apart. Never a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Incarnation {
    /// Rises with each life.
    pub counter: u64,
    /// Random per life.
    pub nonce: u64,
}

/// Sum of keyed 128-bit hashes of the filters of a set, modulo 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u128);

/// A point in the history of one route set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoutePosition {
    /// The writer's life.
    pub incarnation: Incarnation,
    /// Number of changes since its start.
    pub seq: u64,
    /// Digest of the set at `seq`.
    pub digest: Digest,
    /// Number of filters in the set at `seq`.
    pub count: u64,
}

/// One change of a route set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteOp {
    /// The filter is in the set from now on.
    Add(TopicFilter),
    /// The filter is no longer in the set.
    Remove(TopicFilter),
}

/// How far a lane is acknowledged, or where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneMark {
    /// The lane.
    pub lane: u8,
    /// A sequence number in it.
    pub seq: u64,
}

/// Bit of [`Hello::capabilities`]: the sender takes [`Datagram`] frames on this connection.
pub const DATAGRAMS: u64 = 1;

/// Bit of [`Hello::capabilities`]: the sender takes [`RoutePreadd`] frames.
pub const PREADD: u64 = 2;

/// Greets, on a new connection, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Lowest protocol version spoken.
    pub min_version: u16,
    /// Highest protocol version spoken.
    pub max_version: u16,
    /// Own cluster.
    pub cluster: ClusterName,
    /// Own node.
    pub node: NodeName,
    /// The cluster that the sender believes it talks to.
    pub expects: ClusterName,
    /// The node of that cluster to which `knows`, `holds` and `received` refer. A dialler does not know which node will
    /// answer; another one ignores the three.
    pub about: Option<NodeName>,
    /// Own life towards this peer.
    pub incarnation: Incarnation,
    /// The latest life of the peer that the sender knows.
    pub knows: Option<Incarnation>,
    /// Capability bits: [`DATAGRAMS`], [`PREADD`]; others are for versions to come.
    pub capabilities: u64,
    /// Whether the sender takes messages for itself or for its whole cluster.
    pub scope: Scope,
    /// Most bytes of a frame that the sender takes.
    pub max_frame: u32,
    /// Most bytes of messages that may be on their way to the sender, sent and not yet acknowledged.
    pub window: u32,
    /// Filters of the messages that the sender wants, as configured.
    pub imports: Vec<TopicFilter>,
    /// Key of the digest over the sender's route set.
    pub route_key: [u8; 16],
    /// The sender's route set now.
    pub routes: RoutePosition,
    /// What the sender holds of the peer's route set.
    pub holds: Option<RoutePosition>,
    /// For each lane of the sender, the first sequence number that is not acknowledged.
    pub lanes: Vec<LaneMark>,
    /// For each lane of the peer, the highest sequence number received here in the life `knows`, handed on or not.
    pub received: Vec<LaneMark>,
    /// The lowest seq of `routes` of which the sender has the changes since.
    pub kept_from: u64,
    /// As in [`RouteResume`]; an acceptor knows from the dialler's HELLO that `holds` is not enough.
    pub cells: Vec<Cell>,
}

/// The dialler accepts the HELLO of the accepting side; the link is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The dialler's life, raised above what the peer knew if it had to be.
    pub incarnation: Incarnation,
    /// The dialler's route set now, in that life.
    pub routes: RoutePosition,
    /// As in [`Hello`], in that life.
    pub lanes: Vec<LaneMark>,
    /// The latest life of the peer that the dialler knows.
    pub knows: Option<Incarnation>,
    /// What the dialler holds of the peer's route set.
    pub holds: Option<RoutePosition>,
    /// As in [`Hello`].
    pub received: Vec<LaneMark>,
    /// As in [`RouteResume`].
    pub cells: Vec<Cell>,
}

/// Ends a connection, with a reason for people and a code for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// A sentence for people.
    pub reason: String,
}

/// Says that the sender lives, and where both route sets stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Own route set.
    pub routes: RoutePosition,
    /// What the sender holds of the peer's route set.
    pub holds: Option<RoutePosition>,
    /// The sender's clock, in microseconds since any point.
    pub sent: u64,
    /// `sent` of the peer's last heartbeat.
    pub echo: Option<u64>,
    /// Microseconds between that heartbeat's arrival and this one.
    pub held: u64,
    /// The highest number of a [`Datagram`] that was sent on this connection, 0 for none.
    pub datagrams: u64,
    /// Whether the sender is warming up: it announces additions only, by [`RoutePreadd`].
    pub warming: bool,
}

/// Changes of the sender's route set from `from` (exclusive) to `to` (inclusive), net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDelta {
    /// State before.
    pub from: u64,
    /// State after.
    pub to: RoutePosition,
    /// Changes, at most one per filter; adds first where a remove depends on them.
    pub ops: Vec<RouteOp>,
}

/// A part of the sender's whole route set. All parts of one snapshot carry the same `to`; filters of parts count at
/// once, filters that are in no part go only when the last part's digest is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSnapshot {
    /// The state that the parts make together.
    pub to: RoutePosition,
    /// Number of this part, from 0.
    pub part: u32,
    /// Whether it is the last one.
    pub last: bool,
    /// Filters of this part.
    pub filters: Vec<TopicFilter>,
}

/// Asks the peer to bring the sender's copy of its routes up to date, from what the sender holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteResume {
    /// What was proven last.
    pub holds: Option<RoutePosition>,
    /// First cells of a sketch of all that counts of the peer's routes, proven or not; none if that is little.
    pub cells: Vec<Cell>,
}

/// Asks for cells of a sketch of what the peer holds of the sender's routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteNeed {
    /// The first of them.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Whether the estimator is wanted as well.
    pub estimator: bool,
}

/// Cells of a sketch of what the sender holds of the peer's routes. None: it can't help with that, the whole set is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCells {
    /// The number of the first.
    pub first: u32,
    /// The cells.
    pub cells: Vec<Cell>,
    /// An [`Estimator`](crate::routes::Estimator), with the first of several answers.
    pub estimator: Option<Bytes>,
}

/// A part of what a copy lacks of the sender's route set, and has too much. All parts carry the same `to`; what is added
/// counts at once, what is removed goes only when the digest after the last part is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDifference {
    /// The state to which the parts lead together.
    pub to: RoutePosition,
    /// Number of this part, from 0.
    pub part: u32,
    /// Whether it is the last one.
    pub last: bool,
    /// Filters that the copy lacks.
    pub adds: Vec<TopicFilter>,
    /// Routes that it has too much.
    pub removes: Vec<RouteId>,
}

/// Routes that the sender wants, before it knows all that it wants in its present life. They count beside all else, and
/// have no position: the next proven step says which of them stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePreadd {
    /// The sender's life.
    pub incarnation: Incarnation,
    /// What it wants, among others.
    pub filters: Vec<TopicFilter>,
}

/// A node of the sender's cluster has left it for good: nobody need wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRetire {
    /// The node, which is not the sender.
    pub node: NodeName,
    /// How long ago it left, in milliseconds, by the sender's clock. What is heard of it later is of a node that is back.
    pub ago: u64,
}

/// Where messages of one lane continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The lane.
    pub lane: u8,
    /// Sequence number of the first entry; each entry follows without a gap.
    pub first: u64,
    /// What the lane carries.
    pub entries: Vec<Entry>,
}

/// One place, or a run of places, in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A message.
    Message {
        /// Seconds until it expires, counted at the sender when it was sent.
        expiry: Option<u32>,
        /// The message itself, encoded by [`encode_message`](crate::wire::encode_message).
        body: Bytes,
    },
    /// Places whose messages will not come.
    Skip {
        /// How many places.
        count: u64,
    },
}

impl Entry {
    /// Bytes that it takes of a window.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Message { body, .. } => body.len(),
            Self::Skip { .. } => 0,
        }
    }
}

/// Everything in the lane up to `up_to` was handed to the host, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The lane.
    pub lane: u8,
    /// The watermark.
    pub up_to: u64,
    /// Messages since the last acknowledgement that the receiver did not hand on, and why.
    pub refused: Vec<(u64, RefusedReason)>,
}

/// A message of QoS 0 outside of all lanes, which may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its number among the datagrams of the connection, from 1.
    pub number: u64,
    /// Seconds until it expires, counted at the sender when it was sent.
    pub expiry: Option<u32>,
    /// The message itself, encoded by [`encode_message`](crate::wire::encode_message).
    pub body: Bytes,
}

/// What became of the datagrams of a connection up to a number, counted since its beginning. Those that are in no other
/// count did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramAck {
    /// The number up to which all are settled.
    pub settled: u64,
    /// Of those, taken by the host.
    pub delivered: u64,
    /// Refused: [`RefusedReason::NotImported`].
    pub not_imported: u64,
    /// Refused: [`RefusedReason::Host`].
    pub refused_by_host: u64,
    /// Refused: [`RefusedReason::Expired`].
    pub expired: u64,
    /// Refused: [`RefusedReason::Malformed`].
    pub malformed: u64,
}

/// Why a receiver did not hand a message on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RefusedReason {
    /// Its topic matches none of the receiver's link topics.
    NotImported = 1,
    /// The receiving host refused it.
    Host = 2,
    /// It expired before it was handed on.
    Expired = 3,
    /// It could not be decoded.
    Malformed = 4,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// See [`Hello`].
    Hello(Box<Hello>),
    /// See [`Ready`].
    Ready(Ready),
    /// See [`Close`].
    Close(Close),
    /// See [`Heartbeat`].
    Heartbeat(Heartbeat),
    /// See [`RouteResume`].
    RouteResume(RouteResume),
    /// See [`RouteDelta`].
    RouteDelta(RouteDelta),
    /// See [`RouteSnapshot`].
    RouteSnapshot(RouteSnapshot),
    /// The sender's copy of the peer's routes has reached this point.
    RouteAck(RoutePosition),
    /// See [`RouteNeed`].
    RouteNeed(RouteNeed),
    /// See [`RouteCells`].
    RouteCells(RouteCells),
    /// See [`RouteDifference`].
    RouteDifference(RouteDifference),
    /// See [`RoutePreadd`].
    RoutePreadd(RoutePreadd),
    /// See [`RouteRetire`].
    RouteRetire(RouteRetire),
    /// See [`Batch`].
    Batch(Batch),
    /// See [`Ack`].
    Ack(Ack),
    /// See [`Datagram`].
    Datagram(Datagram),
    /// See [`DatagramAck`].
    DatagramAck(DatagramAck),
    /// A frame of a kind that this version does not know and that may be ignored. It counts as a sign of life, nothing
    /// else.
    Unknown {
        /// The kind.
        kind: u8,
    },
}
