//! Two nodes in one thread, joined by nothing but their frames: what the core costs by itself.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, NodeName},
    message::{Message, QoS},
    node::{ConnectionId, Input, Node, NodeConfig, Output, Published, Publisher},
    topic::TopicFilter,
    transport::{Class, Identity},
};

use super::{Failure, Figure, link, median, message};

/// A node and what drives it.
struct Side {
    node: Node,
    publisher: Publisher,
    transmits: VecDeque<(Class, Bytes)>,
    delivered: u64,
}

const WIRE: ConnectionId = ConnectionId(0);

impl Side {
    fn new(cluster: &str, peer: &str, servers: &[String], seed: u8) -> Result<Self, Failure> {
        let name = NodeName::new(&format!("{cluster}-1"))?;
        let mut node = Node::new(NodeConfig::new(ClusterName::new(cluster)?, name), [seed; 32]);
        node.create_link(Duration::ZERO, link(peer, servers)?)?;
        let publisher = node.publisher();
        Ok(Self { node, publisher, transmits: VecDeque::new(), delivered: 0 })
    }

    /// Carries out what the node wants; says whether there was anything.
    fn drain(&mut self, now: Duration) -> bool {
        let mut any = false;
        while let Some(output) = self.node.poll_output() {
            any = true;
            match output {
                Output::Dial { dial, .. } => {
                    let identity = Identity::default();
                    let input = Input::Connected {
                        connection: WIRE,
                        dial: Some(dial),
                        identity,
                        channels: 1,
                        datagrams: 0,
                        max_frame: None,
                    };
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
                Output::Close { .. }
                | Output::CancelDial { .. }
                | Output::Forget { .. }
                | Output::BarrierDone { .. }
                | Output::Changed { .. } => {}
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
    ///
    /// # Errors
    /// If a filter is none.
    pub fn new(filters: &[String]) -> Result<Self, Failure> {
        let us = Side::new("us", "eu", &["memory://eu".to_owned()], 1)?;
        let mut eu = Side::new("eu", "us", &[], 2)?;
        let identity = Identity::default();
        eu.node.handle(
            Duration::ZERO,
            Input::Connected { connection: WIRE, dial: None, identity, channels: 1, datagrams: 0, max_frame: None },
        );
        let added = |text: &String| TopicFilter::new(text.clone()).map(InterestChange::Added);
        eu.node.handle(Duration::ZERO, Input::Interest(filters.iter().map(added).collect::<Result<_, _>>()?));
        let mut pair = Self { us, eu, start: Instant::now(), bytes: 0 };
        while filters.iter().any(|text| !pair.us.publisher.wants(&text.replace(['+', '#'], "x"))) {
            pair.settle();
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(pair)
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
///
/// # Errors
/// If a message was refused or lost: the figures would be worth nothing.
pub fn forward(qos: QoS, count: u64) -> Result<Vec<Figure>, Failure> {
    let mut rates = Vec::new();
    let mut bytes_a_message = 0.0;
    let message = message("bench/topic/7", qos)?;
    for _ in 0..5 {
        let mut pair = Pair::new(&["bench/#".to_owned()])?;
        let (start, before, delivered) = (Instant::now(), pair.bytes, pair.eu.delivered);
        for n in 0..count {
            if pair.publish(&message) != 1 {
                return Err("a message was not accepted".into());
            }
            if n % 64 == 63 {
                pair.settle();
            }
        }
        pair.settle();
        if pair.eu.delivered - delivered != count {
            return Err("messages were lost".into());
        }
        rates.push(count as f64 / start.elapsed().as_secs_f64());
        bytes_a_message = (pair.bytes - before) as f64 / count as f64;
    }
    let name = format!("core.qos{}", qos as u8);
    Ok(vec![
        Figure::new(format!("{name}.rate"), median(&mut rates), "msg/s"),
        Figure::new(format!("{name}.bytes_a_message"), bytes_a_message, "B"),
    ])
}

/// What a publish costs that nobody at the other side wants, with 10,000 routes in the table, in nanoseconds; and how
/// many allocations it makes.
///
/// # Errors
/// If somebody wants it after all.
pub fn unwanted(allocations: impl Fn() -> u64) -> Result<Vec<Figure>, Failure> {
    const PUBLISHES: u32 = 1_000_000;
    let filters: Vec<String> = (0..10_000).map(|n| format!("fleet/{n}/alarm")).collect();
    let pair = Pair::new(&filters)?;
    let message = message("fleet/77/speed", QoS::AtLeastOnce)?;
    let mut times = Vec::with_capacity(5);
    let (now, mut unwanted) = (pair.start.elapsed(), true);
    let before = allocations();
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..PUBLISHES {
            let published = pair.us.publisher.offer(now, "publisher", std::hint::black_box(&message), drop);
            unwanted &= published == Published::default();
        }
        times.push(start.elapsed().as_nanos() as f64 / f64::from(PUBLISHES));
    }
    let allocated = (allocations() - before) as f64 / f64::from(PUBLISHES * 5);
    if !unwanted {
        return Err("somebody wants what nobody should".into());
    }
    Ok(vec![
        Figure::new("publish_unwanted.time", median(&mut times), "ns"),
        Figure::new("publish_unwanted.allocations", allocated, "a publish"),
    ])
}
