//! One node, `us`, between an honest peer, `good`, and a hostile one, `evil`.
//!
//! ```text
//!  good ◀── frames, in order ──▶ us ◀── anything, in any order ── evil, host, transport, operator
//! ```
//!
//! What evil does costs it its connections. The connection to good stays, ledgers balance, limits hold, a message
//! reaches the host once, in order and only if it was asked for; and in the end messages cross to good and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, NodeName},
    message::{Message, QoS},
    node::{ConnectionId, DialId, Input, Node, NodeConfig, Output, PeerId, Ticket, Way},
    topic::{Topic, TopicFilter},
    transport::{Class, Dial, DialError, Endpoint, Identity},
    wire::{Frame, Limits, RefusedReason, decode},
};
use link_sim::{ByteSource, Source};

use super::speaker::{Speaker, filter, message};

/// The link to evil: small limits, so that they are reached.
const ROUTES: usize = 4;
const QUEUE: u64 = 4_096;
const WINDOW: u32 = 2_048;
/// What one input may put out, and one second may wake: more is a loop.
const OUTPUTS: usize = 20_000;
const WAKES: usize = 2_000;

pub(super) fn siege(data: &[u8]) -> BTreeSet<String> {
    let mut siege = Siege::new(data);
    siege.settle();
    while !siege.bytes.is_empty() {
        siege.step();
        siege.check();
    }
    siege.end()
}

struct Siege<'a> {
    bytes: ByteSource<'a>,
    now: Duration,
    us: Node,
    good: Node,
    /// The connection of the two, as each of them numbers it.
    pipe: Option<(ConnectionId, ConnectionId)>,
    /// Frames under way in it: to us, and to good.
    under_way: [Vec<Bytes>; 2],
    next: u32,
    evil: Speaker,
    open: Vec<ConnectionId>,
    closed: BTreeSet<ConnectionId>,
    dials: Vec<(DialId, Dial)>,
    /// Transports take nothing over.
    stalled: bool,
    unsent: Vec<(ConnectionId, Class, usize)>,
    /// Several inputs come before the outputs are looked at.
    lazy: bool,
    /// What the host of us has in its hands.
    hands: Vec<(PeerId, Ticket)>,
    last: BTreeMap<(PeerId, u32, Way), u64>,
    from_evil: Option<TopicFilter>,
    arrived: [usize; 2],
    reached: BTreeSet<String>,
}

impl<'a> Siege<'a> {
    fn new(data: &'a [u8]) -> Self {
        let node = |cluster: &str| {
            let name = NodeName::new(&format!("{cluster}-1"));
            Node::new(NodeConfig::new(cluster_name(cluster), name.unwrap_or_else(|e| never(&e))), [1; 32])
        };
        let (mut us, mut good) = (node("us"), node("good"));
        let mut to_good = LinkConfig::new(cluster_name("good"));
        to_good.topics = topics("#");
        let mut to_us = LinkConfig::new(cluster_name("us"));
        to_us.topics = topics("#");
        to_us.servers = endpoint("us").into_iter().collect();
        made(us.create_link(Duration::ZERO, to_good));
        made(us.create_link(Duration::ZERO, to_evil()));
        made(good.create_link(Duration::ZERO, to_us));
        Self {
            bytes: ByteSource::new(data),
            now: Duration::from_secs(1),
            us,
            good,
            pipe: None,
            under_way: [Vec::new(), Vec::new()],
            next: 1,
            evil: Speaker::new(),
            open: Vec::new(),
            closed: BTreeSet::new(),
            dials: Vec::new(),
            stalled: false,
            unsent: Vec::new(),
            lazy: false,
            hands: Vec::new(),
            last: BTreeMap::new(),
            from_evil: topics("in/#").pop(),
            arrived: [0, 0],
            reached: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        match self.bytes.index(32) {
            0..8 => {
                let to = self.somewhere();
                if let Some(frame) = self.evil.says(&mut self.bytes) {
                    if self.open.contains(&to) {
                        self.reached.insert(format!("frame of kind {}", frame[0]));
                    }
                    self.input(Input::Frame { connection: to, frame });
                }
            }
            8 | 9 => {
                let connection = self.somewhere();
                let frame = (0..self.bytes.below(64)).map(|_| self.bytes.below(256) as u8).collect::<Vec<_>>();
                self.input(Input::Frame { connection, frame: frame.into() });
            }
            10 | 11 => {
                let connection = self.somewhere();
                let frame = self.evil.says(&mut self.bytes).map(|frame| self.harmed(frame)).unwrap_or_default();
                self.input(Input::Frame { connection, frame });
            }
            12..15 => self.connect(None),
            15 => self.answer_dial(),
            16 => {
                let connection = self.somewhere();
                self.open.retain(|open| *open != connection);
                self.input(Input::Lost { connection, reason: "evil is gone".to_owned() });
            }
            17 | 18 => {
                let pause = [1, 6, 1_000, 4_000][self.bytes.index(4)];
                self.pass(Duration::from_millis(pause));
            }
            19 => self.jump(),
            20 | 21 => {
                let changes = (0..1 + self.bytes.index(3)).filter_map(|_| {
                    let filter = filter(&mut self.bytes)?;
                    let added = self.bytes.chance(2, 3);
                    Some(if added { InterestChange::Added(filter) } else { InterestChange::Removed(filter) })
                });
                let changes = changes.collect();
                self.input(Input::Interest(changes));
            }
            22 | 23 => {
                for _ in 0..1 + self.bytes.index(4) {
                    let Some(message) = message(&mut self.bytes) else { break };
                    self.publish(0, &message);
                }
            }
            24 | 25 => self.host_is_done(),
            26 => {
                self.stalled = !self.stalled;
                self.sent();
            }
            27 => {
                let class =
                    if self.bytes.chance(1, 2) { Class::Control } else { Class::Data(self.bytes.below(4) as u16) };
                let (connection, bytes) = (self.somewhere(), self.bytes.below(1 << 40) as usize);
                self.input(Input::Sent { connection, class, bytes });
            }
            28 => {
                let reason = "a wrong password".to_owned();
                self.input(Input::Refused { identity: identity("evil"), reason });
            }
            29 => self.lazy = !self.lazy,
            30 => self.greet(),
            _ => self.reconfigure(),
        }
    }

    /// One of the connections of evil, or one that is not there.
    fn somewhere(&mut self) -> ConnectionId {
        match self.bytes.index(8) {
            0 => ConnectionId(1_000_000 + self.bytes.below(3) as u32),
            1 => self.closed.last().copied().unwrap_or(ConnectionId(0)),
            2 => self.open.first().copied().unwrap_or(ConnectionId(0)),
            _ => self.open.last().copied().unwrap_or(ConnectionId(0)),
        }
    }

    /// A frame with one byte changed, its end cut off, or more behind it.
    fn harmed(&mut self, frame: Bytes) -> Bytes {
        let mut frame = frame.to_vec();
        let at = self.bytes.index(frame.len().max(1));
        match self.bytes.index(3) {
            0 => frame.truncate(at),
            1 => frame.push(0),
            _ => frame.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.bytes.below(256) as u8),
        }
        // With the length made right the body is looked at, and not only the header.
        if frame.len() >= 6 && self.bytes.chance(3, 4) {
            let length = (frame.len() - 6) as u32;
            frame[2..6].copy_from_slice(&length.to_be_bytes());
        }
        frame.into()
    }

    fn connect(&mut self, dial: Option<DialId>) {
        let connection = self.number();
        let channels = 1 + self.bytes.below(3) as u16;
        let who = *self.bytes.pick(&["evil", "evil", "evil", "nobody"]).unwrap_or(&"evil");
        self.open.push(connection);
        self.input(Input::Connected {
            connection,
            dial,
            identity: identity(who),
            channels,
            datagrams: 0,
            max_frame: None,
        });
    }

    /// Evil does what an honest peer does, and is live if it may be.
    fn greet(&mut self) {
        let connection = self.number();
        self.open.push(connection);
        let connected = Input::Connected {
            connection,
            dial: None,
            identity: identity("evil"),
            channels: 1,
            datagrams: 0,
            max_frame: None,
        };
        self.input(connected);
        for frame in self.evil.greeting().into_iter().flatten() {
            self.input(Input::Frame { connection, frame });
        }
        for frame in self.evil.in_sync() {
            self.input(Input::Frame { connection, frame });
        }
    }

    fn answer_dial(&mut self) {
        let Some((dial, request)) = self.dials.pop() else { return self.connect(Some(DialId(77))) };
        let (endpoint, reason) = (request.endpoint, "evil says no".to_owned());
        let error = match self.bytes.index(5) {
            0 => DialError::Unreachable { endpoint, reason },
            1 => DialError::Refused { endpoint, reason },
            2 => DialError::Settings { endpoint, reason },
            _ => return self.connect(Some(dial)),
        };
        self.input(Input::DialFailed { dial, error });
    }

    /// The clocks of both jump, and their connection does not live through it.
    fn jump(&mut self) {
        let far = [60, 3_600, 10 * 24 * 3_600, 400 * 24 * 3_600][self.bytes.index(4)];
        self.drain();
        if let Some((at_us, at_good)) = self.pipe.take() {
            self.under_way = [Vec::new(), Vec::new()];
            let reason = "the jump".to_owned();
            self.us.handle(self.now, Input::Lost { connection: at_us, reason: reason.clone() });
            self.good.handle(self.now, Input::Lost { connection: at_good, reason });
        }
        self.now += Duration::from_secs(far);
        self.pass(Duration::ZERO);
    }

    /// The host is done with the oldest of a peer, or says so of something that it never had.
    fn host_is_done(&mut self) {
        let refused = [None, None, Some(RefusedReason::Host), Some(RefusedReason::Expired)][self.bytes.index(4)];
        if self.bytes.chance(1, 8) {
            let ticket = Ticket {
                epoch: self.bytes.below(3) as u32,
                way: Way::Lane(self.bytes.below(4) as u8),
                seq: self.bytes.below(5),
            };
            let peer = PeerId(self.bytes.below(4) as u32);
            // A host that lies about what it has in its hands may not, by the contract, do so for what it has.
            if !self.hands.iter().any(|(of, _)| *of == peer) {
                self.input(Input::Delivered { peer, ticket, refused });
            }
            return;
        }
        for _ in 0..1 + self.bytes.index(4) {
            if self.hands.is_empty() {
                return;
            }
            let (peer, ticket) = self.hands.remove(0);
            self.input(Input::Delivered { peer, ticket, refused });
        }
    }

    fn reconfigure(&mut self) {
        self.drain();
        let name = cluster_name("evil");
        let mut config = to_evil();
        match self.bytes.index(7) {
            0 => config.enabled = false,
            1 => config.topics = topics("in/+"),
            2 => config.topics = Vec::new(),
            3 => config.queue_bytes = 1_024,
            4 => config.peer_identity = Some("evil".to_owned()),
            5 => {
                // It may be gone already.
                let _ = self.us.delete_link(self.now, &name);
                return self.after();
            }
            _ => {}
        }
        self.from_evil = config.topics.first().cloned();
        if self.us.update_link(self.now, config.clone()).is_err() {
            made(self.us.create_link(self.now, config));
        }
        self.after();
    }

    fn publish(&mut self, at: usize, message: &Message) {
        let publisher = if at == 0 { self.us.publisher() } else { self.good.publisher() };
        let mut offered = Vec::new();
        publisher.offer(self.now, "client", message, |offer| offered.push(offer));
        for offer in offered {
            match at {
                0 => self.input(Input::Publish(offer)),
                _ => self.good.handle(self.now, Input::Publish(offer)),
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.us.handle(self.now, input);
        self.after();
    }

    fn after(&mut self) {
        if !self.lazy {
            self.drain();
        }
    }

    /// Carries out what both nodes want, until they want nothing.
    fn drain(&mut self) {
        for _ in 0..OUTPUTS {
            if let Some(output) = self.us.poll_output() {
                self.of_us(output);
            } else if let Some(output) = self.good.poll_output() {
                self.of_good(output);
            } else if let Some((side, frame)) = self.frame() {
                let Some((at_us, at_good)) = self.pipe else { continue };
                match side {
                    0 => self.us.handle(self.now, Input::Frame { connection: at_us, frame }),
                    _ => self.good.handle(self.now, Input::Frame { connection: at_good, frame }),
                }
            } else {
                return;
            }
        }
        assert!(self.us.poll_output().is_none(), "it never ends");
    }

    fn frame(&mut self) -> Option<(usize, Bytes)> {
        let side = (0..2).find(|side| !self.under_way[*side].is_empty())?;
        Some((side, self.under_way[side].remove(0)))
    }

    fn of_us(&mut self, output: Output) {
        match output {
            Output::Transmit { connection, class, frame } => {
                assert!(!self.closed.contains(&connection), "{connection} was closed, and a frame follows");
                let understood = decode(frame.clone(), &Limits::default());
                assert!(understood.is_ok(), "what it sends is no frame: {understood:?}");
                let bytes = frame.len();
                if self.pipe.is_some_and(|(at_us, _)| at_us == connection) {
                    self.under_way[1].push(frame);
                    self.us.handle(self.now, Input::Sent { connection, class, bytes });
                } else {
                    understood.iter().for_each(|frame| self.evil.hear(frame));
                    if let Ok(Frame::Close(close)) = &understood {
                        self.reached.insert(format!("{:?}", close.code));
                    }
                    self.unsent.push((connection, class, bytes));
                    self.sent();
                }
            }
            Output::Close { connection } => {
                assert!(self.pipe.is_none_or(|(at_us, _)| at_us != connection), "the honest peer is thrown out");
                self.closed.insert(connection);
                self.open.retain(|open| *open != connection);
            }
            Output::Deliver { peer, ticket, message, origin } => {
                if origin.cluster == cluster_name("good") {
                    self.arrived[0] += 1;
                    return self.us.handle(self.now, Input::Delivered { peer, ticket, refused: None });
                }
                let wanted = self.from_evil.as_ref().is_some_and(|filter| filter.matches(&message.topic));
                assert!(wanted, "{} was not asked for", message.topic.as_str());
                let last = self.last.insert((peer, ticket.epoch, ticket.way), ticket.seq);
                assert!(last.is_none_or(|last| last < ticket.seq), "{ticket:?} comes after {last:?}");
                self.hands.push((peer, ticket));
            }
            Output::Dial { dial, request } => self.dials.push((dial, request)),
            Output::CancelDial { dial } => self.dials.retain(|(id, _)| *id != dial),
            Output::Forget { peer } => self.hands.retain(|(of, _)| *of != peer),
            Output::BarrierDone { .. } | Output::Changed { .. } => {}
        }
    }

    fn of_good(&mut self, output: Output) {
        match output {
            Output::Transmit { connection, class, frame } => {
                let bytes = frame.len();
                self.under_way[0].push(frame);
                self.good.handle(self.now, Input::Sent { connection, class, bytes });
            }
            Output::Close { .. } => assert!(self.pipe.is_none(), "the honest peer hangs up"),
            Output::Deliver { peer, ticket, .. } => {
                self.arrived[1] += 1;
                self.good.handle(self.now, Input::Delivered { peer, ticket, refused: None });
            }
            Output::Dial { dial, .. } => {
                let (at_us, at_good) = (self.number(), self.number());
                self.pipe = Some((at_us, at_good));
                let connected = |connection, dial, who| Input::Connected {
                    connection,
                    dial,
                    identity: identity(who),
                    channels: 1,
                    datagrams: 0,
                    max_frame: None,
                };
                self.us.handle(self.now, connected(at_us, None, "good"));
                self.good.handle(self.now, connected(at_good, Some(dial), "us"));
            }
            Output::CancelDial { .. } | Output::Forget { .. } | Output::BarrierDone { .. } | Output::Changed { .. } => {
            }
        }
    }

    /// Transports have taken what they were given, unless they stand still.
    fn sent(&mut self) {
        if !self.stalled {
            for (connection, class, bytes) in std::mem::take(&mut self.unsent) {
                self.us.handle(self.now, Input::Sent { connection, class, bytes });
            }
        }
    }

    /// Time goes by, with every deadline kept.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..WAKES {
            self.drain();
            let due = self.us.poll_timeout().into_iter().chain(self.good.poll_timeout()).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.us.handle(self.now, Input::Timeout);
            self.good.handle(self.now, Input::Timeout);
            let next = self.us.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed is set again");
        }
        assert!(self.now >= end, "it wakes all the time");
    }

    fn check(&mut self) {
        for link in self.us.links(self.now) {
            for peer in &link.peers {
                assert!(peer.sent.balances(), "{}: {:?}", link.name, peer.sent);
                assert!(peer.received.balances(), "{}: {:?}", link.name, peer.received);
                if link.name == cluster_name("evil") {
                    assert!(peer.queued_bytes <= QUEUE, "{} bytes are queued", peer.queued_bytes);
                    assert!(peer.held.is_none_or(|held| held.count <= ROUTES as u64), "{:?}", peer.held);
                }
            }
        }
    }

    /// Both nodes have found each other, and hold each other's routes.
    fn settle(&mut self) {
        for _ in 0..60 {
            self.pass(Duration::from_secs(1));
            if [&self.us, &self.good].iter().all(|node| self.is_live(node)) {
                return;
            }
        }
        assert!(self.is_live(&self.us) && self.is_live(&self.good), "not live: {:#?}", self.us.links(self.now));
    }

    fn is_live(&self, node: &Node) -> bool {
        let links = node.links(self.now);
        let honest = links.iter().find(|link| link.name != cluster_name("evil"));
        honest.is_some_and(|link| link.state == LinkState::Live && link.peers.iter().any(|peer| peer.in_sync))
    }

    /// Whatever evil did: the honest peer gets what it asks for, and we get what we ask of it.
    fn end(mut self) -> BTreeSet<String> {
        self.lazy = false;
        let all = topics("end/#").pop();
        let asks = || all.iter().cloned().map(InterestChange::Added).collect();
        self.us.handle(self.now, Input::Interest(asks()));
        self.good.handle(self.now, Input::Interest(asks()));
        self.settle();
        self.pass(Duration::from_secs(1));
        self.arrived = [0, 0];
        if let Ok(topic) = Topic::new("end/of/it") {
            let message = Message::new(topic, "x", QoS::AtLeastOnce);
            self.publish(0, &message);
            self.publish(1, &message);
        }
        self.pass(Duration::from_secs(1));
        assert_eq!(self.arrived, [1, 1], "of one message each way");
        self.check();
        self.us.shut_down(self.now);
        self.pipe = None;
        self.drain();
        assert!(self.open.is_empty(), "{:?} stay open", self.open);
        self.reached
    }

    fn number(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId(self.next)
    }
}

fn to_evil() -> LinkConfig {
    let mut link = LinkConfig::new(cluster_name("evil"));
    link.topics = topics("in/#");
    link.servers = endpoint("evil").into_iter().collect();
    (link.max_routes, link.queue_bytes, link.window) = (ROUTES, QUEUE, WINDOW);
    link
}

fn identity(user: &str) -> Identity {
    Identity { address: "10.6.6.6".to_owned(), user: Some(user.to_owned()), ..Identity::default() }
}

fn cluster_name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap_or_else(|error| never(&error))
}

fn topics(text: &str) -> Vec<TopicFilter> {
    TopicFilter::new(text.to_owned()).into_iter().collect()
}

fn endpoint(host: &str) -> Option<Endpoint> {
    format!("memory://{host}").parse().ok()
}

fn made<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        never(&error)
    }
}

fn never(error: &dyn std::fmt::Display) -> ! {
    unreachable!("{error}")
}
