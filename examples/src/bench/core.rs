//! Two nodes in one thread, joined by nothing but their frames: what the core costs by itself.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, NodeName},
    message::{Message, QoS},
    node::{ConnectionId, Input, Node, NodeConfig, Output, Publisher},
    topic::TopicFilter,
    transport::{Class, Identity},
};

use super::{Figure, median, message};

/// A node and what drives it.
struct Side {
    node: Node,
    publisher: Publisher,
    transmits: VecDeque<(Class, Bytes)>,
    delivered: u64,
}

const WIRE: ConnectionId = ConnectionId(0);

impl Side {
    fn new(cluster: &str, peer: &str, dials: bool, seed: u8) -> Self {
        let name = |text| ClusterName::new(text).expect("a name");
        let node_name = NodeName::new(&format!("{cluster}-1")).expect("a name");
        let mut node = Node::new(NodeConfig::new(name(cluster), node_name), [seed; 32]);
        let mut link = LinkConfig::new(name(peer));
        link.topics = vec![TopicFilter::new("#").expect("a filter")];
        if dials {
            link.servers = vec!["memory://peer".parse().expect("an address")];
        }
        node.create_link(Duration::ZERO, link).expect("a link");
        let publisher = node.publisher();
        Self { node, publisher, transmits: VecDeque::new(), delivered: 0 }
    }

    /// Carries out what the node wants; says whether there was anything.
    fn drain(&mut self, now: Duration) -> bool {
        let mut any = false;
        while let Some(output) = self.node.poll_output() {
            any = true;
            match output {
                Output::Dial { dial, .. } => {
                    let identity = Identity::default();
                    let input = Input::Connected { connection: WIRE, dial: Some(dial), identity, channels: 1 };
                    self.node.handle(now, input);
                }
                Output::Transmit { class, frame, .. } => {
                    let bytes = frame.len();
                    self.transmits.push_back((class, frame));
                    self.node.handle(now, Input::Sent { connection: WIRE, class, bytes });
                }
                Output::Deliver { peer, ticket, message, .. } => {
                    std::hint::black_box(&message);
                    self.delivered += 1;
                    self.node.handle(now, Input::Delivered { peer, ticket, refused: None });
                }
                Output::Close { .. } => panic!("the link was closed: {:?}", self.node.links(now)),
                Output::CancelDial { .. } | Output::Changed { .. } => {}
            }
        }
        any
    }
}

/// Two linked nodes.
pub struct Pair {
    us: Side,
    eu: Side,
    start: Instant,
    /// Bytes of all frames so far, both ways.
    pub bytes: u64,
}

impl Pair {
    /// Links two nodes and subscribes `filters` at `eu`.
    pub fn new(filters: &[&str]) -> Self {
        let mut us = Side::new("us", "eu", true, 1);
        let mut eu = Side::new("eu", "us", false, 2);
        let identity = Identity::default();
        eu.node.handle(Duration::ZERO, Input::Connected { connection: WIRE, dial: None, identity, channels: 1 });
        us.drain(Duration::ZERO);
        let added = |text: &&str| InterestChange::Added(TopicFilter::new((*text).to_owned()).expect("a filter"));
        eu.node.handle(Duration::ZERO, Input::Interest(filters.iter().map(added).collect()));
        let mut pair = Self { us, eu, start: Instant::now(), bytes: 0 };
        while filters.iter().any(|text| !pair.us.publisher.wants(&text.replace(['+', '#'], "x"))) {
            pair.settle();
            std::thread::sleep(Duration::from_millis(1));
        }
        pair
    }

    /// Moves frames until neither side has anything to do.
    pub fn settle(&mut self) {
        let now = self.start.elapsed();
        for side in [&mut self.us, &mut self.eu] {
            side.node.handle(now, Input::Timeout);
        }
        loop {
            let mut any = self.us.drain(now) | self.eu.drain(now);
            any |= Self::carry(&mut self.us, &mut self.eu, now, &mut self.bytes);
            any |= Self::carry(&mut self.eu, &mut self.us, now, &mut self.bytes);
            if !any {
                return;
            }
        }
    }

    fn carry(from: &mut Side, to: &mut Side, now: Duration, bytes: &mut u64) -> bool {
        let any = !from.transmits.is_empty();
        while let Some((_, frame)) = from.transmits.pop_front() {
            *bytes += frame.len() as u64;
            to.node.handle(now, Input::Frame { connection: WIRE, frame });
        }
        any
    }

    fn publish(&mut self, message: &Message) -> usize {
        let now = self.start.elapsed();
        let Self { us, .. } = self;
        let mut offered = Vec::new();
        let published = us.publisher.offer(now, "publisher", message, |o| offered.push(o));
        for offered in offered {
            us.node.handle(now, Input::Publish(offered));
        }
        published.accepted
    }
}

/// Messages a second of one core through both nodes, and bytes a message on the wire.
pub fn forward(qos: QoS, count: u64) -> Vec<Figure> {
    let mut rates = Vec::new();
    let mut bytes_a_message = 0.0;
    let message = message("bench/topic/7", qos, 256);
    for _ in 0..5 {
        let mut pair = Pair::new(&["bench/#"]);
        let (start, before, delivered) = (Instant::now(), pair.bytes, pair.eu.delivered);
        for n in 0..count {
            assert_eq!(pair.publish(&message), 1, "not accepted");
            if n % 64 == 63 {
                pair.settle();
            }
        }
        pair.settle();
        assert_eq!(pair.eu.delivered - delivered, count, "lost messages");
        rates.push(count as f64 / start.elapsed().as_secs_f64());
        bytes_a_message = (pair.bytes - before) as f64 / count as f64;
    }
    let name = format!("core.qos{}", qos as u8);
    vec![
        Figure::new(&format!("{name}.rate"), median(&mut rates), "msg/s"),
        Figure::new(&format!("{name}.bytes_a_message"), bytes_a_message, "B"),
    ]
}

/// What a publish costs that nobody at the other side wants, with 10,000 routes in the table, in nanoseconds; and how
/// many allocations it makes.
pub fn unwanted(allocations: impl Fn() -> u64) -> Vec<Figure> {
    const PUBLISHES: u32 = 1_000_000;
    let filters: Vec<String> = (0..10_000).map(|n| format!("fleet/{n}/alarm")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let pair = Pair::new(&filters);
    let message = message("fleet/77/speed", QoS::AtLeastOnce, 256);
    let mut times = Vec::new();
    let before = allocations();
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..PUBLISHES {
            let wanted = pair.us.publisher.wants(std::hint::black_box(message.topic.as_str()));
            assert!(!std::hint::black_box(wanted));
        }
        times.push(start.elapsed().as_nanos() as f64 / f64::from(PUBLISHES));
    }
    // The five rounds push to a vector that holds them; nothing else may allocate.
    let allocated = (allocations() - before).saturating_sub(1) as f64 / f64::from(PUBLISHES * 5);
    vec![
        Figure::new("publish_unwanted.time", median(&mut times), "ns"),
        Figure::new("publish_unwanted.allocations", allocated, "a publish"),
    ]
}
