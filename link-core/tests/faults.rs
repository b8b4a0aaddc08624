//! Two nodes, and one frame of their exchange that is cut, lost or repeated; and clocks that jump. Each frame and each
//! byte has its turn: the simulator draws them, and this leaves none out.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{LinkConfig, LinkState, PeerStatus},
    message::{Message, QoS},
    node::{ConnectionId, Input, Node, NodeConfig, Output},
    topic::{Topic, TopicFilter},
    transport::Identity,
    wire::kind,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The frame of this number arrives without what is behind this byte, and the connection breaks.
    Cut(usize, usize),
    /// The frame is lost; when nothing follows any more, the connection breaks.
    Lose(usize),
    /// The frame comes twice.
    Repeat(usize),
}

/// `us`, which dials and publishes, and `eu`, which subscribes.
struct Pair {
    nodes: [Node; 2],
    now: Duration,
    /// How far the clock of each side is ahead.
    ahead: [Duration; 2],
    /// How far both have gone back.
    back: Duration,
    /// The connection, as each side numbers it.
    up: Option<[ConnectionId; 2]>,
    next: u32,
    /// Frames on their way to each side.
    under_way: [VecDeque<Bytes>; 2],
    fault: Fault,
    /// Kind and length of each frame so far.
    seen: Vec<(u8, usize)>,
    taken: Vec<String>,
}

impl Pair {
    fn new(fault: Fault) -> Self {
        let node = |own: &str, peer: &str, servers: &[&str]| {
            let config = NodeConfig::new(own.parse().unwrap(), format!("{own}-1").parse().unwrap());
            let mut node = Node::new(config, [own.len() as u8 + own.as_bytes()[0]; 32]);
            let mut link = LinkConfig::new(peer.parse().unwrap());
            link.servers = servers.iter().map(|server| server.parse().unwrap()).collect();
            link.topics = vec![TopicFilter::new("#").unwrap()];
            node.create_link(Duration::ZERO, link).unwrap();
            node
        };
        Self {
            nodes: [node("us", "eu", &["memory://eu"]), node("eu", "us", &[])],
            now: Duration::from_secs(1),
            ahead: [Duration::ZERO; 2],
            back: Duration::ZERO,
            up: None,
            next: 1,
            under_way: [VecDeque::new(), VecDeque::new()],
            fault,
            seen: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn handle(&mut self, side: usize, input: Input) {
        let now = self.clock(side);
        self.nodes[side].handle(now, input);
    }

    fn clock(&self, side: usize) -> Duration {
        self.now + self.ahead[side] - self.back
    }

    fn input(&mut self, side: usize, input: Input) {
        self.handle(side, input);
        self.drain();
    }

    fn timeout(&mut self) {
        (0..2).for_each(|side| self.handle(side, Input::Timeout));
    }

    fn drain(&mut self) {
        loop {
            let side = (0..2).find_map(|side| Some((side, self.nodes[side].poll_output()?)));
            if let Some((side, output)) = side {
                self.output(side, output);
            } else if let Some(side) = (0..2).find(|side| !self.under_way[*side].is_empty()) {
                let frame = self.under_way[side].pop_front().unwrap();
                let Some(up) = self.up else { continue };
                self.handle(side, Input::Frame { connection: up[side], frame });
            } else if matches!(self.fault, Fault::Lose(at) if at < self.seen.len()) {
                self.fault = Fault::None;
                self.lose();
            } else {
                return;
            }
        }
    }

    fn output(&mut self, side: usize, output: Output) {
        match output {
            Output::Transmit { connection, class, frame } => {
                self.handle(side, Input::Sent { connection, class, bytes: frame.len() });
                if self.up.is_some_and(|up| up[side] == connection) {
                    self.transmit(1 - side, frame);
                }
            }
            Output::Close { connection } => {
                if self.up.is_some_and(|up| up[side] == connection) {
                    // What was said before the end arrives.
                    while let Some(frame) = self.under_way[1 - side].pop_front() {
                        let connection = self.up.unwrap()[1 - side];
                        self.handle(1 - side, Input::Frame { connection, frame });
                    }
                    self.lose();
                }
            }
            Output::Dial { dial, .. } => {
                let up = [ConnectionId(self.next), ConnectionId(self.next + 1)];
                self.next += 2;
                self.up = Some(up);
                let connected = |side: usize, dial| Input::Connected {
                    connection: up[side],
                    dial,
                    identity: Identity::default(),
                    channels: 1,
                    datagrams: 0,
                    max_frame: None,
                };
                self.handle(0, connected(0, Some(dial)));
                self.handle(1, connected(1, None));
            }
            Output::Deliver { peer, ticket, message, .. } => {
                self.taken.push(String::from_utf8(message.payload.to_vec()).unwrap());
                self.handle(side, Input::Delivered { peer, ticket, refused: None });
            }
            Output::CancelDial { .. } | Output::Forget { .. } | Output::BarrierDone { .. } | Output::Changed { .. } => {
            }
        }
    }

    fn transmit(&mut self, to: usize, frame: Bytes) {
        let number = self.seen.len();
        self.seen.push((frame[0], frame.len()));
        match self.fault {
            Fault::Cut(at, byte) if at == number => {
                let connection = self.up.unwrap()[to];
                while let Some(frame) = self.under_way[to].pop_front() {
                    self.handle(to, Input::Frame { connection, frame });
                }
                if byte > 0 {
                    self.handle(to, Input::Frame { connection, frame: frame.slice(..byte) });
                }
                self.lose();
            }
            Fault::Lose(at) if at == number => {}
            Fault::Repeat(at) if at == number => self.under_way[to].extend([frame.clone(), frame]),
            _ => self.under_way[to].push_back(frame),
        }
    }

    fn lose(&mut self) {
        let Some(up) = self.up.take() else { return };
        self.under_way.iter_mut().for_each(VecDeque::clear);
        for (side, connection) in up.into_iter().enumerate() {
            self.handle(side, Input::Lost { connection, reason: "broken".to_owned() });
        }
    }

    /// Time goes by until both sides are in sync and nothing waits.
    #[track_caller]
    fn settle(&mut self) {
        let end = self.now + Duration::from_secs(300);
        self.drain();
        while !self.is_settled() {
            assert!(self.now < end, "{:?} after {:?}: {:#?}", self.fault, self.seen, self.nodes[0].links(self.now));
            self.step();
        }
    }

    /// The next deadline of either side.
    fn step(&mut self) {
        let due = (0..2).filter_map(|side| Some(self.nodes[side].poll_timeout()?.saturating_sub(self.ahead[side])));
        self.now = self.now.max(due.min().unwrap());
        self.timeout();
        self.drain();
    }

    fn is_settled(&self) -> bool {
        (0..2).all(|side| {
            let link = self.nodes[side].links(self.clock(side)).remove(0);
            link.state == LinkState::Live && link.peers.iter().all(|peer| peer.in_sync && peer.sent.queued == 0)
        })
    }

    fn publish(&mut self, text: &str) {
        self.publish_until(text, None);
    }

    fn publish_until(&mut self, text: &str, expiry: Option<u32>) {
        let mut message = Message::new(Topic::new("a/b").unwrap(), text.to_owned(), QoS::AtLeastOnce);
        message.properties.message_expiry = expiry;
        let mut offered = Vec::new();
        self.nodes[0].publisher().offer(self.clock(0), "client", &message, |offer| offered.push(offer));
        assert_eq!(offered.len(), 1, "{:?}: nobody wants it", self.fault);
        offered.into_iter().for_each(|offer| self.input(0, Input::Publish(offer)));
    }

    fn interest(&mut self, change: InterestChange) {
        self.input(1, Input::Interest(vec![change]));
    }

    fn peer(&self, side: usize) -> PeerStatus {
        self.nodes[side].links(self.now).remove(0).peers.remove(0)
    }
}

/// Connects, announces, publishes, changes interest, publishes, idles; then both ends agree on everything.
fn exchange(fault: Fault) -> Vec<(u8, usize)> {
    let mut pair = Pair::new(fault);
    pair.interest(InterestChange::Added(TopicFilter::new("a/+").unwrap()));
    pair.settle();
    pair.publish("one");
    pair.publish("two");
    pair.settle();
    pair.interest(InterestChange::Added(TopicFilter::new("+/b").unwrap()));
    pair.interest(InterestChange::Removed(TopicFilter::new("a/+").unwrap()));
    pair.now += Duration::from_secs(6);
    pair.timeout();
    pair.settle();
    pair.publish("three");
    pair.settle();
    assert_eq!(pair.taken, ["one", "two", "three"], "{fault:?}");
    let (sent, received) = (pair.peer(0).sent, pair.peer(1).received);
    assert_eq!((sent.accepted, sent.delivered, sent.queued), (3, 3, 0), "{fault:?}");
    assert_eq!((received.received, received.delivered, received.pending), (3, 3, 0), "{fault:?}");
    assert!(sent.balances() && received.balances(), "{fault:?}");
    pair.seen
}

#[test]
fn a_frame_cut_at_any_byte_costs_the_connection_and_no_message() {
    let frames = exchange(Fault::None);
    for (number, (_, length)) in frames.iter().enumerate() {
        for byte in 0..*length {
            exchange(Fault::Cut(number, byte));
        }
    }
}

#[test]
fn any_frame_may_be_lost_or_come_twice() {
    let frames = exchange(Fault::None);
    for number in 0..frames.len() {
        exchange(Fault::Lose(number));
        exchange(Fault::Repeat(number));
    }
}

/// What the two tests above go through: each kind of frame but those that ask anew or end.
#[test]
fn the_exchange_has_every_kind_of_frame_that_an_undisturbed_link_sends() {
    let kinds: BTreeSet<u8> = exchange(Fault::None).into_iter().map(|(kind, _)| kind).collect();
    let all = [
        kind::HELLO,
        kind::READY,
        kind::HEARTBEAT,
        kind::ROUTE_DELTA,
        kind::ROUTE_SNAPSHOT,
        kind::ROUTE_ACK,
        kind::BATCH,
        kind::ACK,
    ];
    assert_eq!(kinds, BTreeSet::from(all));
}

#[test]
fn a_clock_that_jumps_costs_the_connection_and_what_outlived_its_retention() {
    for side in 0..2 {
        for (jump, kept) in [(3_600, true), (10 * 24 * 3_600, side == 1)] {
            let mut pair = Pair::new(Fault::None);
            pair.interest(InterestChange::Added(TopicFilter::new("a/+").unwrap()));
            pair.settle();
            pair.lose();
            pair.publish("one");
            pair.ahead[side] = Duration::from_secs(jump);
            pair.settle();
            pair.publish("two");
            pair.settle();
            let taken: &[&str] = if kept { &["one", "two"] } else { &["two"] };
            assert_eq!(pair.taken, taken, "a jump of {jump} s at side {side}");
        }
    }
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    for back in [1, 60, 3_600] {
        let mut pair = Pair::new(Fault::None);
        pair.interest(InterestChange::Added(TopicFilter::new("a/+").unwrap()));
        pair.now += Duration::from_secs(7_200);
        pair.settle();
        let connections = pair.next;
        pair.back = Duration::from_secs(back);
        pair.publish("one");
        pair.interest(InterestChange::Added(TopicFilter::new("+/b").unwrap()));
        pair.timeout();
        pair.back = Duration::ZERO;
        let end = pair.now + Duration::from_secs(60);
        while pair.now < end {
            pair.step();
        }
        assert_eq!((pair.next, &pair.taken[..]), (connections, &["one".to_owned()][..]), "{back} s back");
        // A pause that begins while the clock is behind is not over when it is right again.
        pair.back = Duration::from_secs(back);
        pair.lose();
        pair.back = Duration::ZERO;
        assert!(pair.nodes[0].poll_timeout() > Some(pair.now), "{back} s back");
        pair.publish("two");
        pair.settle();
        assert_eq!(pair.taken, ["one", "two"]);
    }
}

#[test]
fn a_message_that_expires_at_once_is_counted_and_not_sent() {
    let mut pair = Pair::new(Fault::None);
    pair.interest(InterestChange::Added(TopicFilter::new("a/+").unwrap()));
    pair.settle();
    pair.publish_until("nothing", Some(0));
    pair.publish_until("one", Some(1));
    pair.settle();
    assert_eq!(pair.taken, ["one"]);
    let sent = pair.peer(0).sent;
    assert_eq!((sent.accepted, sent.expired, sent.delivered), (2, 1, 1));
}
