//! What a hostile peer says: frames that are right but for a detail, so that they come far.

use std::collections::BTreeMap;

use bytes::Bytes;
use link_core::{
    link::{ClusterName, NodeName, Scope},
    message::{Message, QoS},
    routes::{Cell, Estimator, RouteDigest, RouteId, RouteKey},
    topic::{Topic, TopicFilter},
    wire::{
        Ack, Batch, Close, CloseCode, Entry, Frame, Heartbeat, Hello, Incarnation, LaneMark, Ready, RefusedReason,
        RouteCells, RouteDelta, RouteDifference, RouteNeed, RouteOp, RoutePosition, RoutePreadd, RouteResume,
        RouteRetire, RouteSnapshot, encode, encode_message,
    },
};
use link_sim::Source;

/// Lanes that it says it has.
const LANES: u8 = 3;

/// What the peer would know if it were honest: where its routes and lanes stand, and what it was told.
pub(super) struct Speaker {
    life: Incarnation,
    routes: RouteDigest,
    seq: u64,
    filters: Vec<TopicFilter>,
    /// The next number of each of its lanes.
    next: BTreeMap<u8, u64>,
    /// The latest that the node said of itself.
    told: Option<Hello>,
    told_routes: RoutePosition,
    /// The last number that came in each lane of the node.
    came: BTreeMap<u8, u64>,
    part: u32,
}

impl Speaker {
    pub(super) fn new() -> Self {
        Self {
            life: Incarnation { counter: 1, nonce: 42 },
            routes: RouteDigest::new(RouteKey([7; 16])),
            seq: 0,
            filters: Vec::new(),
            next: BTreeMap::new(),
            told: None,
            told_routes: RoutePosition::default(),
            came: BTreeMap::new(),
            part: 0,
        }
    }

    /// Takes note of what the node sends.
    pub(super) fn hear(&mut self, frame: &Frame) {
        match frame {
            Frame::Hello(hello) => {
                self.told_routes = hello.routes;
                self.told = Some(Hello::clone(hello));
            }
            Frame::Heartbeat(heartbeat) => self.told_routes = heartbeat.routes,
            Frame::RouteDelta(delta) => self.told_routes = delta.to,
            Frame::RouteSnapshot(part) => self.told_routes = part.to,
            Frame::Batch(batch) => {
                let places = |entry: &Entry| if let Entry::Skip { count } = entry { *count } else { 1 };
                let last = batch.first + batch.entries.iter().map(places).sum::<u64>();
                self.came.insert(batch.lane, last.saturating_sub(1));
            }
            _ => {}
        }
    }

    /// The next frame, of a kind that the source chooses.
    pub(super) fn says(&mut self, source: &mut impl Source) -> Option<Bytes> {
        let frame = match source.index(14) {
            0 | 1 => Frame::Hello(Box::new(self.hello(source)?)),
            2 | 3 => Frame::Ready(self.ready(source)),
            4 => self.snapshot(source),
            5 | 6 => self.delta(source)?,
            7 => Frame::RouteResume(RouteResume {
                holds: source.chance(1, 2).then(|| self.held(source)),
                cells: if source.chance(1, 4) { cells(source) } else { Vec::new() },
            }),
            8 => Frame::RouteAck(self.held(source)),
            9 => {
                let (routes, holds) = (self.position(source), source.chance(1, 2).then(|| self.held(source)));
                let (sent, echo, held) = (number(source), source.chance(1, 2).then(|| number(source)), number(source));
                let datagrams = if source.chance(1, 4) { number(source) } else { 0 };
                Frame::Heartbeat(Heartbeat { routes, holds, sent, echo, held, datagrams, warming: sent == 7 })
            }
            10 => {
                let code = CloseCode::from_code(source.below(70) as u16);
                Frame::Close(Close { code, reason: "the peer says so".to_owned() })
            }
            11 => self.ack(source),
            12 => self.batch(source),
            _ => self.sketch(source),
        };
        Some(encode(&frame))
    }

    /// A frame of a comparison by sketches, asked for or not, or one of lives.
    fn sketch(&mut self, source: &mut impl Source) -> Frame {
        match source.index(5) {
            3 | 4 => self.of_lives(source),
            0 => Frame::RouteNeed(RouteNeed {
                first: source.below(2048) as u32,
                count: source.below(1 << 22) as u32,
                estimator: source.chance(1, 2),
            }),
            1 => {
                let estimator = source.chance(1, 2).then(|| vec![source.below(256) as u8; Estimator::BYTES].into());
                Frame::RouteCells(RouteCells { first: source.below(128) as u32, cells: cells(source), estimator })
            }
            _ => Frame::RouteDifference(RouteDifference {
                to: self.position(source),
                part: source.below(2) as u32,
                last: source.chance(1, 2),
                adds: (0..source.index(4)).filter_map(|_| filter(source)).collect(),
                removes: (0..source.index(4)).map(|_| RouteId::from_number(number(source))).collect(),
            }),
        }
    }

    /// Additions while it warms up, or that a node has left.
    fn of_lives(&mut self, source: &mut impl Source) -> Frame {
        if source.chance(1, 3) {
            let node = NodeName::new(&format!("evil-{}", source.below(3)));
            if let Ok(node) = node {
                return Frame::RouteRetire(RouteRetire { node, ago: number(source) });
            }
        }
        let filters = (0..source.index(6)).filter_map(|_| filter(source)).collect();
        Frame::RoutePreadd(RoutePreadd { incarnation: self.life(source), filters })
    }

    /// What an honest peer says until it is live: HELLO, READY, its routes, and that it has those of the node.
    pub(super) fn greeting(&self) -> Option<[Bytes; 2]> {
        let hello = self.honest()?;
        let Hello { incarnation, routes, lanes, .. } = hello.clone();
        let ready =
            Ready { incarnation, routes, lanes, knows: None, holds: None, received: Vec::new(), cells: Vec::new() };
        Some([encode(&Frame::Hello(Box::new(hello))), encode(&Frame::Ready(ready))])
    }

    /// Its routes as one snapshot, and that it has those of the node.
    pub(super) fn in_sync(&self) -> [Bytes; 2] {
        let (to, filters) = (self.own(), self.filters.clone());
        let snapshot = RouteSnapshot { to, part: 0, last: true, filters };
        [encode(&Frame::RouteSnapshot(snapshot)), encode(&Frame::RouteAck(self.told_routes))]
    }

    fn honest(&self) -> Option<Hello> {
        Some(Hello {
            min_version: 1,
            max_version: 1,
            cluster: ClusterName::new("evil").ok()?,
            node: NodeName::new("evil-0").ok()?,
            expects: ClusterName::new("us").ok()?,
            about: None,
            incarnation: self.life,
            knows: None,
            capabilities: 0,
            scope: Scope::Node,
            max_frame: 1 << 20,
            window: 1 << 20,
            imports: Vec::new(),
            route_key: self.routes.key().0,
            routes: self.own(),
            holds: None,
            lanes: self.first_unacknowledged(),
            received: Vec::new(),
            kept_from: 0,
            cells: Vec::new(),
        })
    }

    fn hello(&mut self, source: &mut impl Source) -> Option<Hello> {
        let incarnation = self.life(source);
        let mut hello = Hello { incarnation, knows: self.knows(source), ..self.honest()? };
        if source.chance(1, 2) {
            hello.cluster = ClusterName::new(source.pick(&["evil", "evil", "us", "good", "nobody"])?).ok()?;
            hello.expects = ClusterName::new(source.pick(&["us", "us", "us", "mars"])?).ok()?;
            (hello.min_version, hello.max_version) = *source.pick(&[(1, 1), (1, 9), (0, 1), (2, 9), (9, 0)])?;
            hello.node = NodeName::new(&format!("evil-{}", source.below(3))).ok()?;
        }
        if source.chance(1, 4) {
            (hello.capabilities, hello.scope) = (u64::MAX, Scope::Cluster);
            (hello.max_frame, hello.window) = (source.below(300) as u32, source.below(300) as u32);
            hello.imports = vec![filter(source)?];
        }
        if source.chance(1, 2) {
            hello.about = NodeName::new("us-1").ok();
            hello.holds = source.chance(1, 2).then(|| self.held(source));
            hello.received = self.received(source);
        }
        hello.routes = self.position(source);
        hello.lanes = self.lanes(source);
        Some(hello)
    }

    fn ready(&mut self, source: &mut impl Source) -> Ready {
        Ready {
            incarnation: self.life(source),
            routes: self.position(source),
            lanes: self.lanes(source),
            knows: self.knows(source),
            holds: source.chance(1, 2).then(|| self.held(source)),
            received: self.received(source),
            cells: Vec::new(),
        }
    }

    /// Mostly the life it has; else a new one, with everything begun again.
    fn life(&mut self, source: &mut impl Source) -> Incarnation {
        let Incarnation { counter, nonce } = self.life;
        let other = match source.index(12) {
            0 => Incarnation { counter: counter.saturating_add(1), nonce: source.below(3) },
            1 => Incarnation { counter: counter.saturating_sub(1), nonce },
            2 => Incarnation { counter, nonce: source.below(3) },
            3 => Incarnation { counter: u64::MAX - source.below(2), nonce: 9 },
            _ => return self.life,
        };
        if source.chance(1, 2) {
            let told = self.told.take();
            *self = Self { life: other, told, told_routes: self.told_routes, ..Self::new() };
        }
        other
    }

    fn knows(&self, source: &mut impl Source) -> Option<Incarnation> {
        let told = self.told.as_ref().map(|hello| hello.incarnation);
        match source.index(8) {
            0 => None,
            1 => Some(Incarnation { counter: number(source), nonce: source.below(3) }),
            _ => told,
        }
    }

    /// Where its routes stand, mostly.
    fn position(&self, source: &mut impl Source) -> RoutePosition {
        let mut position = self.own();
        match source.index(12) {
            0 => position.seq = number(source),
            1 => position.digest.0 ^= 1,
            2 => position.count = number(source),
            3 => position.incarnation.counter = number(source),
            _ => {}
        }
        position
    }

    fn own(&self) -> RoutePosition {
        let (digest, count) = (self.routes.digest(), self.routes.count());
        RoutePosition { incarnation: self.life, seq: self.seq, digest, count }
    }

    /// What it holds of the node's routes, mostly.
    fn held(&self, source: &mut impl Source) -> RoutePosition {
        let mut position = self.told_routes;
        match source.index(12) {
            0 => position.seq = number(source),
            1 => position.seq = position.seq.saturating_sub(source.below(4)),
            2 => position.digest.0 ^= 1,
            3 => position.incarnation.nonce ^= 1,
            4 => position.count = number(source),
            _ => {}
        }
        position
    }

    fn first_unacknowledged(&self) -> Vec<LaneMark> {
        let mark = |lane| LaneMark { lane, seq: self.next.get(&lane).copied().unwrap_or(1) };
        (0..LANES).map(mark).collect()
    }

    fn lanes(&self, source: &mut impl Source) -> Vec<LaneMark> {
        let mut lanes = self.first_unacknowledged();
        if source.chance(1, 8) {
            lanes.iter_mut().for_each(|mark| mark.seq = number(source));
        }
        lanes
    }

    fn received(&self, source: &mut impl Source) -> Vec<LaneMark> {
        let odd = source.chance(1, 8);
        let mark = |(lane, seq): (&u8, &u64)| LaneMark { lane: *lane, seq: if odd { number(source) } else { *seq } };
        self.came.iter().map(mark).collect()
    }

    fn snapshot(&mut self, source: &mut impl Source) -> Frame {
        self.part = match source.index(6) {
            0 => self.part.saturating_add(1),
            1 => source.below(1 << 32) as u32,
            _ => 0,
        };
        let mut filters = self.filters.clone();
        if source.chance(1, 6) {
            filters.extend(filter(source));
        }
        let (part, last) = (self.part, source.chance(3, 4));
        Frame::RouteSnapshot(RouteSnapshot { to: self.position(source), part, last, filters })
    }

    fn delta(&mut self, source: &mut impl Source) -> Option<Frame> {
        let from = if source.chance(1, 8) { number(source) } else { self.seq };
        let mut ops = Vec::new();
        for _ in 0..1 + source.index(3) {
            let filter = filter(source)?;
            match self.filters.iter().position(|held| *held == filter) {
                Some(at) => {
                    self.routes.remove(&filter);
                    self.filters.swap_remove(at);
                    ops.push(RouteOp::Remove(filter));
                }
                None => {
                    self.routes.add(&filter);
                    self.filters.push(filter.clone());
                    ops.push(RouteOp::Add(filter));
                }
            }
            self.seq = self.seq.saturating_add(1);
        }
        Some(Frame::RouteDelta(RouteDelta { from, to: self.position(source), ops }))
    }

    fn ack(&self, source: &mut impl Source) -> Frame {
        let lane = source.below(8) as u8;
        let came = self.came.get(&lane).copied().unwrap_or_default();
        let up_to = match source.index(6) {
            0 => number(source),
            1 => came.saturating_add(1),
            2 => came.saturating_sub(source.below(3)),
            _ => came,
        };
        let reasons =
            [RefusedReason::NotImported, RefusedReason::Host, RefusedReason::Expired, RefusedReason::Malformed];
        let mut refused = Vec::new();
        for _ in 0..source.index(3) {
            let seq = if source.chance(1, 4) { number(source) } else { up_to };
            refused.extend(source.pick(&reasons).map(|reason| (seq, *reason)));
        }
        Frame::Ack(Ack { lane, up_to, refused })
    }

    fn batch(&mut self, source: &mut impl Source) -> Frame {
        let lane = source.below(u64::from(LANES) + 1) as u8;
        let next = self.next.get(&lane).copied().unwrap_or(1);
        let first = match source.index(10) {
            0 => number(source),
            1 => next.saturating_sub(1),
            2 => next.saturating_add(1),
            _ => next,
        };
        let mut entries = Vec::new();
        let mut places = 0u64;
        for _ in 0..source.index(4) {
            let (entry, more) = self.entry(source);
            places = places.saturating_add(more);
            entries.push(entry);
        }
        self.next.insert(lane, next.saturating_add(places));
        Frame::Batch(Batch { lane, first, entries })
    }

    fn entry(&self, source: &mut impl Source) -> (Entry, u64) {
        match source.index(8) {
            0 => {
                let count = if source.chance(1, 2) { number(source) } else { source.below(9) };
                (Entry::Skip { count }, count)
            }
            1 => {
                let body = (0..source.below(40)).map(|_| source.below(256) as u8).collect::<Vec<_>>();
                (Entry::Message { expiry: Some(source.below(3) as u32), body: body.into() }, 1)
            }
            _ => {
                let expiry = source.chance(1, 4).then(|| source.below(3) as u32);
                let body = message(source).map(|message| encode_message(&message)).unwrap_or_default();
                (Entry::Message { expiry, body }, 1)
            }
        }
    }
}

fn cells(source: &mut impl Source) -> Vec<Cell> {
    let count = source.index(80);
    let mut cell = || {
        let (ids, check) = (number(source).to_be_bytes(), source.below(1 << 24).to_be_bytes());
        Cell::from_bytes(std::array::from_fn(|at| if at < 6 { ids[at + 2] } else { check[at - 1] }))
    };
    (0..count).map(|_| cell()).collect()
}

/// Small, or one that may overflow.
fn number(source: &mut impl Source) -> u64 {
    match source.index(4) {
        0 => u64::MAX - source.below(2),
        1 => source.below(1 << 40),
        _ => source.below(8),
    }
}

pub(super) fn filter(source: &mut impl Source) -> Option<TopicFilter> {
    let texts = ["#", "in/#", "in/a", "+/a", "out/b", "$share/g/in/a", "$SYS/#", "$LINK/v1/#", "/", "in/+/c"];
    TopicFilter::new(*source.pick(&texts)?).ok()
}

pub(super) fn message(source: &mut impl Source) -> Option<Message> {
    let texts = ["in/a", "in/a", "in/b", "out/b", "a", "$SYS/x", "$LINK/v1/us/us-1/up/0/0", "/", "in/b/c"];
    let topic = Topic::new(*source.pick(&texts)?).ok()?;
    let qos = *source.pick(&[QoS::AtLeastOnce, QoS::AtMostOnce, QoS::ExactlyOnce])?;
    let size = *source.pick(&[1, 1, 0, 100, 1_000, 3_000])?;
    let mut message = Message::new(topic, vec![b'x'; size], qos);
    message.properties.message_expiry = source.chance(1, 4).then(|| source.below(4) as u32);
    message.retain = source.chance(1, 4);
    Some(message)
}
