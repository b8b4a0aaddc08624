//! A peer that passed authentication and then breaks the rules loses its connection, with a code, and the status says
//! why; the other link stays live and what was accepted stays queued. Driven without a network: frames in, frames out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, LinkStatus, NodeName, Scope},
    message::{Message, QoS},
    node::{ConnectionId, Input, Node, NodeConfig, Output, Publisher, Ticket},
    routes::{RouteDigest, RouteKey},
    topic::{Topic, TopicFilter},
    transport::{DialError, Identity},
    wire::{
        Ack, Batch, Close, CloseCode, Digest, Entry, Frame, Heartbeat, Hello, Incarnation, LaneMark, Limits, Ready,
        RouteDelta, RouteOp, RoutePosition, RouteSnapshot, decode, encode, encode_message,
    },
};

const GOOD: ConnectionId = ConnectionId(1);
const EVIL: ConnectionId = ConnectionId(2);
const LIFE: Incarnation = Incarnation { counter: 1, nonce: 42 };

/// The node under attack, `us`, with a live link to `good`; `evil` is what the test plays.
struct Attacked {
    node: Node,
    publisher: Publisher,
    now: Duration,
    /// Frames for the hostile peer.
    said: Vec<Frame>,
    /// Connections that the node has closed.
    closed: Vec<ConnectionId>,
    deliveries: Vec<Ticket>,
    dials: usize,
}

fn name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

fn link(peer: &str) -> LinkConfig {
    let mut link = LinkConfig::new(name(peer));
    link.topics = vec![filter("in/#")];
    link
}

fn empty(incarnation: Incarnation) -> RoutePosition {
    RoutePosition { incarnation, ..RoutePosition::default() }
}

fn hello(cluster: &str) -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        cluster: name(cluster),
        node: NodeName::new(&format!("{cluster}-1")).unwrap(),
        expects: name("us"),
        about: None,
        incarnation: LIFE,
        knows: None,
        capabilities: 0,
        scope: Scope::Node,
        max_frame: 1 << 20,
        window: 1 << 20,
        imports: Vec::new(),
        route_key: [7; 16],
        routes: empty(LIFE),
        holds: None,
        lanes: (0..8).map(|lane| LaneMark { lane, seq: 1 }).collect(),
        received: Vec::new(),
        kept_from: 0,
        cells: Vec::new(),
    }
}

fn ready() -> Ready {
    let Hello { lanes, .. } = hello("x");
    Ready {
        incarnation: LIFE,
        routes: empty(LIFE),
        lanes,
        knows: None,
        holds: None,
        received: Vec::new(),
        cells: Vec::new(),
    }
}

fn body(topic: &str) -> Bytes {
    encode_message(&Message::new(Topic::new(topic.to_owned()).unwrap(), "x", QoS::AtLeastOnce))
}

fn batch(lane: u8, first: u64, topics: &[&str]) -> Frame {
    let entries = topics.iter().map(|topic| Entry::Message { expiry: None, body: body(topic) }).collect();
    Frame::Batch(Batch { lane, first, entries })
}

impl Attacked {
    fn new() -> Self {
        Self::with(|_| ())
    }

    /// `change` is applied to the link to `evil`.
    fn with(change: impl FnOnce(&mut LinkConfig)) -> Self {
        let mut node = Node::new(NodeConfig::new(name("us"), NodeName::new("us-1").unwrap()), [1; 32]);
        let mut evil = link("evil");
        change(&mut evil);
        node.create_link(Duration::ZERO, link("good")).unwrap();
        node.create_link(Duration::ZERO, evil).unwrap();
        let publisher = node.publisher();
        let mut attacked = Self {
            node,
            publisher,
            now: Duration::from_secs(1),
            said: Vec::new(),
            closed: Vec::new(),
            deliveries: Vec::new(),
            dials: 0,
        };
        attacked.live(GOOD, "good");
        assert_eq!(attacked.status("good").state, LinkState::Live);
        attacked
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit { connection, class, frame } => {
                    let bytes = frame.len();
                    if connection == EVIL {
                        self.said.push(decode(frame, &Limits::default()).unwrap());
                    }
                    self.node.handle(self.now, Input::Sent { connection, class, bytes });
                }
                Output::Close { connection } => self.closed.push(connection),
                Output::Deliver { ticket, .. } => self.deliveries.push(ticket),
                Output::Dial { .. } => self.dials += 1,
                Output::CancelDial { .. }
                | Output::Forget { .. }
                | Output::BarrierDone { .. }
                | Output::Changed { .. } => {}
            }
        }
    }

    fn connect(&mut self, connection: ConnectionId) {
        let identity =
            Identity { address: "10.0.0.9".to_owned(), user: Some("evil".to_owned()), ..Identity::default() };
        self.input(Input::Connected { connection, dial: None, identity, channels: 1, datagrams: 0, max_frame: None });
    }

    fn says(&mut self, connection: ConnectionId, frame: &Frame) {
        self.bytes(connection, encode(frame));
    }

    fn bytes(&mut self, connection: ConnectionId, frame: Bytes) {
        self.input(Input::Frame { connection, frame });
    }

    /// Connects and shakes hands, with an empty route set that is in sync.
    fn live(&mut self, connection: ConnectionId, cluster: &str) {
        self.connect(connection);
        self.says(connection, &Frame::Hello(Box::new(hello(cluster))));
        self.says(connection, &Frame::Ready(ready()));
        let first = RouteSnapshot { to: empty(LIFE), part: 0, last: true, filters: Vec::new() };
        self.says(connection, &Frame::RouteSnapshot(first));
        let ours = self.status(cluster).peers[0].announced;
        self.says(connection, &Frame::RouteAck(ours));
    }

    fn status(&self, link: &str) -> LinkStatus {
        self.node.links(self.now).into_iter().find(|status| status.name == name(link)).unwrap()
    }

    /// The hostile connection is closed with this code, and nothing else has suffered.
    #[track_caller]
    fn thrown_out(&self, code: CloseCode, reason: &str) {
        let Some(Frame::Close(Close { code: said, reason: why })) = self.said.last() else {
            panic!("no CLOSE was said, the last is {:?}", self.said.last())
        };
        assert_eq!((*said, why.contains(reason)), (code, true), "{why}");
        assert!(self.closed.contains(&EVIL), "the connection was not closed");
        assert!(!self.closed.contains(&GOOD), "the good connection was closed");
        assert_eq!(self.status("good").state, LinkState::Live);
        let status = self.status("evil");
        assert_ne!(status.state, LinkState::Live);
        assert!(status.reason.contains(reason), "the status says `{}`", status.reason);
    }
}

#[test]
fn an_honest_peer_becomes_live() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    assert_eq!(us.status("evil").state, LinkState::Live);
    assert!(us.closed.is_empty());
}

#[test]
fn bytes_that_are_no_frame_end_the_connection_at_every_stage() {
    for stage in 0..3 {
        let mut us = Attacked::new();
        match stage {
            0 => us.connect(EVIL),
            1 => {
                us.connect(EVIL);
                us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
            }
            _ => us.live(EVIL, "evil"),
        }
        us.bytes(EVIL, Bytes::from_static(b"\xff\x01nonsense"));
        if stage == 0 {
            // It has not said who it is: no link can show it.
            assert!(matches!(us.said.last(), Some(Frame::Close(close)) if close.code == CloseCode::Malformed));
            assert_eq!(us.closed, [EVIL]);
        } else {
            us.thrown_out(CloseCode::Malformed, "");
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_too_large() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.bytes(EVIL, Bytes::from(vec![0; (16 << 20) + 1]));
    us.thrown_out(CloseCode::TooLarge, "");
}

#[test]
fn nothing_comes_before_hello_and_nothing_but_batches_before_ready() {
    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &batch(0, 1, &["in/a"]));
    assert!(matches!(us.said.last(), Some(Frame::Close(close)) if close.code == CloseCode::Protocol));

    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    us.says(EVIL, &batch(0, 1, &["in/a"]));
    assert!(us.deliveries.is_empty(), "a batch counts before READY");
    us.says(EVIL, &Frame::Ready(ready()));
    assert_eq!(us.deliveries.len(), 1, "the batch that overtook READY is lost");

    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    us.says(EVIL, &Frame::RouteAck(empty(LIFE)));
    us.thrown_out(CloseCode::Protocol, "before READY");
}

#[test]
fn early_batches_stay_within_the_window() {
    let mut us = Attacked::with(|link| link.window = 2048);
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    for first in 1..4 {
        let entries = vec![Entry::Message { expiry: None, body: Bytes::from(vec![0; 1000]) }];
        us.says(EVIL, &Frame::Batch(Batch { lane: 0, first, entries }));
    }
    us.thrown_out(CloseCode::Window, "more than the window came before READY");
}

#[test]
fn a_second_hello_or_ready_is_out_of_turn() {
    for frame in [Frame::Hello(Box::new(hello("evil"))), Frame::Ready(ready())] {
        let mut us = Attacked::new();
        us.live(EVIL, "evil");
        us.says(EVIL, &frame);
        us.thrown_out(CloseCode::Protocol, "a second");
    }
}

#[test]
fn a_peer_speaks_only_for_its_own_cluster() {
    let mut us = Attacked::with(|link| link.peer_identity = Some("somebody-else".to_owned()));
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    us.thrown_out(CloseCode::Identity, "`evil` may not speak for cluster `evil`");

    for (cluster, code) in [("nobody", CloseCode::UnknownCluster), ("us", CloseCode::SelfLink)] {
        let mut us = Attacked::new();
        us.connect(EVIL);
        us.says(EVIL, &Frame::Hello(Box::new(hello(cluster))));
        assert!(matches!(us.said.last(), Some(Frame::Close(close)) if close.code == code), "{:?}", us.said);
        assert_eq!(us.status("good").state, LinkState::Live);
    }
    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(Hello { expects: name("mars"), ..hello("evil") })));
    us.thrown_out(CloseCode::WrongCluster, "expects cluster `mars` here, but this is `us`");

    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(Hello { min_version: 2, max_version: 9, ..hello("evil") })));
    us.thrown_out(CloseCode::Version, "speaks version 1");
}

#[test]
fn messages_with_a_gap_or_over_the_window_or_in_no_lane_end_the_connection() {
    let cases = [
        (batch(0, 2, &["in/a"]), CloseCode::Protocol, "2 came, but 1 is next"),
        (batch(9, 1, &["in/a"]), CloseCode::Protocol, "lane 9"),
        (batch(0, u64::MAX, &["in/a"]), CloseCode::Malformed, ""),
    ];
    for (frame, code, reason) in cases {
        let mut us = Attacked::new();
        us.live(EVIL, "evil");
        us.says(EVIL, &frame);
        us.thrown_out(code, reason);
        assert!(us.deliveries.is_empty());
    }
    let mut us = Attacked::with(|link| link.window = 1024);
    us.live(EVIL, "evil");
    us.says(EVIL, &batch(0, 1, &["in/a"; 200]));
    us.thrown_out(CloseCode::Window, "window");
}

#[test]
fn what_was_not_asked_for_is_refused_by_name_and_not_delivered() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.says(EVIL, &batch(0, 1, &["out/a", "in/a"]));
    assert_eq!(us.deliveries.len(), 1, "only what the link's topics match");
    assert_eq!(us.status("evil").state, LinkState::Live);
    assert_eq!(us.status("evil").peers[0].received.refused, 1);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_connection() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.says(EVIL, &Frame::Ack(Ack { lane: 0, up_to: 1, refused: Vec::new() }));
    us.thrown_out(CloseCode::Protocol, "");

    let mut us = Attacked::new();
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    let Some(Frame::Hello(ours)) = us.said.last() else { panic!("no HELLO") };
    let lie = Ready { knows: Some(ours.incarnation), received: vec![LaneMark { lane: 0, seq: u64::MAX }], ..ready() };
    us.says(EVIL, &Frame::Ready(lie));
    us.thrown_out(CloseCode::Protocol, "");
}

/// A route set of `evil` with the digest that makes it right.
fn routes(us: &mut Attacked, filters: &[&str]) {
    let key = link_core::routes::RouteKey([7; 16]);
    let mut digest = link_core::routes::RouteDigest::new(key);
    let filters: Vec<TopicFilter> = filters.iter().map(|text| filter(text)).collect();
    filters.iter().for_each(|filter| digest.add(filter));
    let to = RoutePosition { incarnation: LIFE, seq: 1, digest: digest.digest(), count: digest.count() };
    let ops = filters.into_iter().map(RouteOp::Add).collect();
    us.says(EVIL, &Frame::RouteDelta(RouteDelta { from: 0, to, ops }));
}

#[test]
fn what_was_accepted_for_a_peer_that_is_thrown_out_stays_and_is_sent_when_it_is_back() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    routes(&mut us, &["wanted"]);
    us.bytes(EVIL, Bytes::from_static(b"\xff\x01nonsense"));
    us.thrown_out(CloseCode::Malformed, "");
    let message = Message::new(Topic::new("wanted").unwrap(), "x", QoS::AtLeastOnce);
    let mut offered = Vec::new();
    assert_eq!(us.publisher.offer(us.now, "p", &message, |o| offered.push(o)).accepted, 1);
    offered.into_iter().for_each(|offered| us.input(Input::Publish(offered)));
    assert_eq!(us.status("evil").peers[0].sent.queued, 1);
    us.said.clear();
    us.live(EVIL, "evil");
    let sent = us.said.iter().filter(|frame| matches!(frame, Frame::Batch(batch) if batch.entries.len() == 1)).count();
    assert_eq!(sent, 1, "{:?}", us.said);
}

#[test]
fn a_watermark_above_what_was_sent_ends_the_connection_once_anything_was_queued() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    routes(&mut us, &["wanted"]);
    let message = Message::new(Topic::new("wanted").unwrap(), "x", QoS::AtLeastOnce);
    let mut offered = Vec::new();
    us.publisher.offer(us.now, "p", &message, |o| offered.push(o));
    offered.into_iter().for_each(|offered| us.input(Input::Publish(offered)));
    us.input(Input::Lost { connection: EVIL, reason: "gone".to_owned() });
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    let Some(Frame::Hello(ours)) = us.said.last() else { panic!("no HELLO") };
    let received = (0..8).map(|lane| LaneMark { lane, seq: 1 << 40 }).collect();
    us.says(EVIL, &Frame::Ready(Ready { knows: Some(ours.incarnation), received, ..ready() }));
    us.thrown_out(CloseCode::Protocol, "");
    assert_eq!(us.status("evil").peers[0].sent.queued, 1, "the lie has cost a message");
}

#[test]
fn a_route_set_over_the_limit_ends_the_connection_and_one_that_lies_is_never_taken_as_equal() {
    let mut us = Attacked::with(|link| link.max_routes = 2);
    us.live(EVIL, "evil");
    routes(&mut us, &["a", "b", "c"]);
    us.thrown_out(CloseCode::TooManyRoutes, "more than 2 routes");

    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    for seq in 1..20 {
        let to = RoutePosition { incarnation: LIFE, seq, digest: Digest(99), count: 1 };
        us.says(EVIL, &Frame::RouteDelta(RouteDelta { from: seq - 1, to, ops: vec![RouteOp::Add(filter("lie"))] }));
        let to = RoutePosition { incarnation: LIFE, seq, digest: Digest(99), count: 1 };
        let part = RouteSnapshot { to, part: 0, last: true, filters: vec![filter("lie")] };
        us.says(EVIL, &Frame::RouteSnapshot(part));
        assert!(!us.status("evil").peers.iter().any(|peer| peer.in_sync), "a lie counts as equal");
    }
    us.thrown_out(CloseCode::Protocol, "digest");
}

/// A tail of the route log that takes longer than a heartbeat interval is not asked for again while it moves.
#[test]
fn a_long_tail_is_asked_for_again_only_when_it_stands_still() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    let mut digest = RouteDigest::new(RouteKey([7; 16]));
    let mut deltas = Vec::new();
    for seq in 1..=3 {
        let added = filter(&format!("route/{seq}"));
        digest.add(&added);
        let to = RoutePosition { incarnation: LIFE, seq, digest: digest.digest(), count: seq };
        deltas.push((to, Frame::RouteDelta(RouteDelta { from: seq - 1, to, ops: vec![RouteOp::Add(added)] })));
    }
    let routes = deltas[2].0;
    let beat =
        Frame::Heartbeat(Heartbeat { routes, holds: None, sent: 0, echo: None, held: 0, datagrams: 0, warming: false });
    let asked = |us: &Attacked| us.said.iter().filter(|frame| matches!(frame, Frame::RouteResume(_))).count();
    us.says(EVIL, &beat);
    for (_, delta) in &deltas[..2] {
        us.says(EVIL, delta);
        us.says(EVIL, &beat);
        assert_eq!(asked(&us), 0, "{:?}", us.said);
    }
    us.says(EVIL, &beat);
    assert_eq!(asked(&us), 1, "a tail that stands still is not asked for");
    us.says(EVIL, &deltas[2].1);
    us.says(EVIL, &beat);
    us.says(EVIL, &beat);
    assert_eq!(asked(&us), 1, "what is equal is asked for");
}

/// An answer that could not be taken does not leave the routes different for the rest of the session.
#[test]
fn routes_are_asked_for_again_after_an_answer_of_another_life() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    let mut digest = RouteDigest::new(RouteKey([7; 16]));
    digest.add(&filter("route"));
    let routes = RoutePosition { incarnation: LIFE, seq: 1, digest: digest.digest(), count: 1 };
    let beat =
        Frame::Heartbeat(Heartbeat { routes, holds: None, sent: 0, echo: None, held: 0, datagrams: 0, warming: false });
    let asked = |us: &Attacked| us.said.iter().filter(|frame| matches!(frame, Frame::RouteResume(_))).count();
    us.says(EVIL, &beat);
    us.says(EVIL, &beat);
    assert_eq!(asked(&us), 1, "{:?}", us.said);
    let later = RoutePosition { incarnation: Incarnation { counter: 9, nonce: 9 }, ..routes };
    let ops = vec![RouteOp::Add(filter("route"))];
    us.says(EVIL, &Frame::RouteDelta(RouteDelta { from: 0, to: later, ops: ops.clone() }));
    (0..4).for_each(|_| us.says(EVIL, &beat));
    assert_eq!(asked(&us), 1, "asked again while an answer may be under way");
    us.says(EVIL, &beat);
    us.says(EVIL, &beat);
    assert_eq!(asked(&us), 2, "{:?}", us.said);
    us.says(EVIL, &Frame::RouteDelta(RouteDelta { from: 0, to: routes, ops }));
    assert!(us.node.publisher().wants("route"), "{:?}", us.status("evil"));
}

#[test]
fn strangers_and_nodes_of_one_cluster_are_limited() {
    let mut us = Attacked::new();
    for n in 100..300 {
        us.connect(ConnectionId(n));
    }
    assert_eq!(us.closed.len(), 200 - 64, "connections that never greet are not limited");
    us.now += Duration::from_secs(11);
    us.input(Input::Timeout);
    assert_eq!(us.closed.iter().filter(|id| id.0 >= 100).count(), 200, "strangers are not timed out");

    let mut us = Attacked::new();
    for n in 0..100 {
        let connection = ConnectionId(1000 + n);
        us.connect(connection);
        let node = NodeName::new(&format!("node-{n}")).unwrap();
        us.says(connection, &Frame::Hello(Box::new(Hello { node, ..hello("evil") })));
    }
    assert_eq!(us.status("evil").peers.len(), 32);
    assert_eq!(us.status("good").state, LinkState::Live);
}

#[test]
fn silence_is_a_timeout_and_heartbeats_are_life() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    for second in 2..60 {
        us.now = Duration::from_secs(second);
        us.input(Input::Timeout);
        let routes = empty(LIFE);
        let beat = Heartbeat {
            routes,
            holds: None,
            sent: 0,
            echo: Some(u64::MAX),
            held: u64::MAX,
            datagrams: u64::MAX,
            warming: false,
        };
        us.says(GOOD, &Frame::Heartbeat(beat));
    }
    let Some(Frame::Close(close)) = us.said.last() else { panic!("still there: {:?}", us.said.last()) };
    assert_eq!(close.code, CloseCode::Timeout);
    assert!(us.status("evil").reason.contains("nothing was heard for 15s"), "{}", us.status("evil").reason);
    assert!(!us.closed.contains(&GOOD));
}

#[test]
fn an_old_life_changes_nothing_and_the_highest_counter_does_not_overflow() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.input(Input::Lost { connection: EVIL, reason: "gone".to_owned() });
    us.connect(ConnectionId(7));
    let older = Incarnation { counter: 1, nonce: 43 };
    us.says(ConnectionId(7), &Frame::Hello(Box::new(Hello { incarnation: older, ..hello("evil") })));
    us.says(ConnectionId(7), &Frame::Ready(Ready { incarnation: older, ..ready() }));
    assert!(us.closed.contains(&ConnectionId(7)), "a life that is not above the known one was taken");

    let mut us = Attacked::new();
    us.connect(EVIL);
    let about = Some(NodeName::new("us-1").unwrap());
    let knows = Some(Incarnation { counter: u64::MAX, nonce: 1 });
    us.says(EVIL, &Frame::Hello(Box::new(Hello { about, knows, ..hello("evil") })));
    let highest = Incarnation { counter: u64::MAX, nonce: u64::MAX };
    us.says(EVIL, &Frame::Ready(Ready { incarnation: highest, routes: empty(highest), ..ready() }));
    assert_eq!(us.status("good").state, LinkState::Live);
}

#[test]
fn life_after_life_does_not_fill_the_memory() {
    let mut us = Attacked::new();
    for counter in 1..10 {
        let life = Incarnation { counter, nonce: counter };
        us.connect(EVIL);
        us.says(EVIL, &Frame::Hello(Box::new(Hello { incarnation: life, routes: empty(life), ..hello("evil") })));
        us.says(EVIL, &Frame::Ready(Ready { incarnation: life, routes: empty(life), ..ready() }));
        us.says(EVIL, &batch(0, 1, &["in/a"; 100]));
        us.input(Input::Lost { connection: EVIL, reason: "gone".to_owned() });
    }
    assert_eq!(us.deliveries.len(), 200, "the host holds more than two lives");
    // The host is done: the next life is welcome.
    for ticket in std::mem::take(&mut us.deliveries) {
        us.input(Input::Delivered { peer: link_core::node::PeerId(1), ticket, refused: None });
    }
    let life = Incarnation { counter: 20, nonce: 1 };
    us.connect(EVIL);
    us.says(EVIL, &Frame::Hello(Box::new(Hello { incarnation: life, routes: empty(life), ..hello("evil") })));
    us.says(EVIL, &Frame::Ready(Ready { incarnation: life, routes: empty(life), ..ready() }));
    us.says(EVIL, &batch(0, 1, &["in/a"]));
    assert_eq!(us.deliveries.len(), 1);
}

/// Of two connections that both sides dialled at once, the one of the cluster with the smaller name stays.
#[test]
fn crossing_dials_leave_the_connection_of_the_smaller_name() {
    const DIALLED: ConnectionId = ConnectionId(50);
    const ACCEPTED: ConnectionId = ConnectionId(51);
    // `us` is below `zed` and above `abc`.
    for (peer, loser) in [("zed", ACCEPTED), ("abc", DIALLED)] {
        for answer_first in [false, true] {
            let mut us = Attacked::new();
            let mut config = link(peer);
            config.servers = vec!["memory://peer".parse().unwrap()];
            us.node.create_link(us.now, config).unwrap();
            us.input(Input::Timeout);
            assert_eq!(us.dials, 1);
            let dial = Some(link_core::node::DialId(0));
            let identity = Identity::default();
            us.input(Input::Connected {
                connection: DIALLED,
                dial,
                identity,
                channels: 1,
                datagrams: 0,
                max_frame: None,
            });
            let answer = Frame::Hello(Box::new(hello(peer)));
            if answer_first {
                us.says(DIALLED, &answer);
            }
            us.connect(ACCEPTED);
            us.says(ACCEPTED, &answer);
            if !answer_first {
                us.says(DIALLED, &answer);
            }
            assert_eq!(us.closed, [loser], "with {peer}, answer first: {answer_first}");
        }
    }
}

#[test]
fn no_text_of_a_peer_forges_a_line() {
    let forged = "bye\r\n2026-11-27 INFO link `good` is down\u{1b}[31m";
    let in_status = |us: &Attacked| {
        let status = us.status("evil");
        let peers = status.peers.iter().map(|peer| peer.reason.clone());
        [status.reason.clone(), status.last_refusal.clone().unwrap_or_default()]
            .into_iter()
            .chain(peers)
            .collect::<Vec<_>>()
    };
    let check = |us: &Attacked| {
        let texts = in_status(us);
        assert!(texts.iter().any(|text| text.contains("bye\\r\\n2026")), "{texts:?}");
        assert!(!texts.iter().any(|text| text.contains(char::is_control)), "{texts:?}");
    };
    for code in [CloseCode::Shutdown, CloseCode::Identity] {
        let mut us = Attacked::new();
        us.live(EVIL, "evil");
        us.says(EVIL, &Frame::Close(Close { code, reason: forged.to_owned() }));
        check(&us);
    }
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.input(Input::Lost { connection: EVIL, reason: forged.to_owned() });
    check(&us);
    let mut us = Attacked::new();
    let identity = Identity { address: format!("from-evil-1 {forged}"), ..Identity::default() };
    us.input(Input::Refused { identity, reason: forged.to_owned() });
    check(&us);
    let mut us = Attacked::with(|link| link.peer_identity = Some("somebody".to_owned()));
    let identity = Identity { address: "10.0.0.9".to_owned(), user: Some(forged.to_owned()), ..Identity::default() };
    us.input(Input::Connected { connection: EVIL, dial: None, identity, channels: 1, datagrams: 0, max_frame: None });
    us.says(EVIL, &Frame::Hello(Box::new(hello("evil"))));
    check(&us);
    let mut us = Attacked::with(|link| link.servers = vec!["memory://evil".parse().unwrap()]);
    us.input(Input::Timeout);
    let (endpoint, reason) = ("memory://evil".parse().unwrap(), forged.to_owned());
    let dial = link_core::node::DialId(0);
    us.input(Input::DialFailed { dial, error: DialError::Refused { endpoint, reason } });
    check(&us);
}

#[test]
fn no_frame_of_a_connection_that_is_gone_is_answered() {
    for frame in [&b"\xff\x01nonsense"[..], b"", &encode(&Frame::Hello(Box::new(hello("evil"))))] {
        let mut us = Attacked::new();
        us.live(EVIL, "evil");
        us.says(EVIL, &Frame::Close(Close { code: CloseCode::Shutdown, reason: String::new() }));
        let (said, closed) = (us.said.len(), us.closed.clone());
        us.bytes(EVIL, Bytes::copy_from_slice(frame));
        us.bytes(ConnectionId(99), Bytes::copy_from_slice(frame));
        assert_eq!((us.said.len(), &us.closed), (said, &closed), "{frame:?}");
    }
}

#[test]
fn whatever_comes_for_what_is_gone_is_ignored() {
    let mut us = Attacked::new();
    us.live(EVIL, "evil");
    us.says(EVIL, &batch(0, 1, &["in/a"]));
    let ticket = us.deliveries[0];
    us.node.delete_link(us.now, &name("evil")).unwrap();
    us.input(Input::Interest(vec![InterestChange::Added(filter("in/x"))]));
    for id in 0..20 {
        us.input(Input::Delivered { peer: link_core::node::PeerId(id), ticket, refused: None });
        us.input(Input::Lost { connection: ConnectionId(id + 2), reason: String::new() });
    }
    us.says(EVIL, &batch(0, 2, &["in/b"]));
    us.now += Duration::from_secs(100_000);
    us.input(Input::Timeout);
    assert!(us.node.links(us.now).iter().all(|status| status.name != name("evil")));
}
