//! Peers that passed authentication, and then break the rules.

use bytes::Bytes;
use link_core::{
    link::{ClusterName, NodeName, Scope},
    message::{Message, QoS},
    node::Input,
    topic::{Topic, TopicFilter},
    transport::Identity,
    wire::{
        Ack, Batch, Digest, Entry, Frame, Hello, Incarnation, LaneMark, Ready, RouteDelta, RouteOp, RoutePosition,
        RouteSnapshot, encode, encode_message,
    },
};

use super::{Event, World, site::HOSTILE};
use crate::{
    network::{End, Item, Party, Wire},
    plan::{Attack, Site},
    rng::{Rng, Source},
};

/// What a hostile peer says of itself.
struct Speaker {
    cluster: &'static str,
    node: String,
    expects: String,
    life: Incarnation,
}

impl World {
    /// A hostile peer connects to a node, and sends what it has prepared, whatever the node answers.
    pub(super) fn attack(&mut self, site: Site, attack: Attack, seed: u64) {
        let mut rng = Rng::new(seed);
        let impostor = attack == Attack::Impostor;
        // An impostor speaks for a real cluster; the others for one to which there is a link.
        let claimed = self.plan.topology.cluster_of(site).0.links.first().map_or(HOSTILE, |link| link.to);
        let cluster = if impostor { claimed } else { HOSTILE };
        let speaker = Speaker {
            cluster,
            node: format!("{cluster}-{}", 1 + rng.below(2)),
            expects: self.sites[site].cluster.to_owned(),
            // Mostly a new life, so that it is let in; now and then an older one.
            life: Incarnation {
                counter: if rng.chance(1, 6) { 1 } else { self.now.as_millis() as u64 },
                nonce: rng.below(3),
            },
        };
        let (window, max_routes) = (self.plan.settings.window as usize, self.plan.settings.max_routes);
        // The texts in them are valid.
        let frames = speaker.frames(attack, window, max_routes, &mut rng).unwrap_or_default();
        let life = self.sites[site].life;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let connection = running.numbers.connection();
        let nobody = End { open: false, ..End::new(Party::Hostile, connection) };
        let ends = [nobody, End::new(Party::Node(site, life), connection)];
        let id = self.network.add(Wire::new(ends, rng));
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.numbers.wires.insert(connection, (id, 1));
        let identity =
            Identity { address: "10.6.6.6".to_owned(), user: Some(HOSTILE.to_owned()), ..Identity::default() };
        let channels = self.plan.settings.channels;
        self.input(
            site,
            Input::Connected { connection, dial: None, identity, channels, datagrams: 0, max_frame: None },
        );
        for (line, frame) in frames {
            if let Some(wire) = self.network.wires.get_mut(&id) {
                wire.lines.entry((0, line)).or_default().push(Item::Frame(frame));
            }
            self.pump(id, 0, line);
        }
        // It goes away after a while, if it was not thrown out.
        self.queue.push(self.now + self.plan.settings.connect_timeout * 4, Event::Gone { wire: id, end: 1 });
    }
}

impl Speaker {
    /// What it sends, each with the line of the connection.
    fn frames(&self, attack: Attack, window: usize, max_routes: usize, rng: &mut Rng) -> Option<Vec<(u32, Bytes)>> {
        let mut frames: Vec<(u32, Bytes)> = Vec::new();
        if attack == Attack::Stranger {
            return Some(frames);
        }
        let control = |frame: &Frame| (0, encode(frame));
        frames.push(control(&self.hello(self.life)?));
        if matches!(attack, Attack::Mute | Attack::Impostor) {
            return Some(frames);
        }
        if attack == Attack::HelloTwice {
            frames.push(control(&self.hello(self.life)?));
            return Some(frames);
        }
        frames.push(control(&self.ready(self.life)));
        let first = RouteSnapshot { to: position(self.life, 0, 0), part: 0, last: true, filters: Vec::new() };
        frames.push(control(&Frame::RouteSnapshot(first)));
        match attack {
            Attack::Noise => {
                let bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.below(256) as u8).collect();
                frames.push((rng.below(2) as u32, Bytes::from(bytes)));
            }
            Attack::Truncated => {
                let whole = if rng.chance(1, 2) { batch(0, 1, &["evil/a"])? } else { encode(&self.hello(self.life)?) };
                let end = rng.index(whole.len());
                frames.push((1, whole.slice(..end)));
            }
            Attack::Gap => frames.push((1, batch(0, 2 + rng.below(100), &["evil/a"])?)),
            Attack::Flood => {
                let big = Message::new(topic("evil/flood")?, vec![0; 1 + window / 3], QoS::AtLeastOnce);
                for seq in 1..=8 {
                    frames.push((1, one(0, seq, encode_message(&big))));
                }
            }
            Attack::AckUnsent => {
                let refused = vec![(rng.below(9), link_core::wire::RefusedReason::Host)];
                frames.push(control(&Frame::Ack(Ack {
                    lane: rng.below(3) as u8,
                    up_to: 1 + rng.below(1 << 40),
                    refused,
                })));
            }
            Attack::WrongDigest => {
                for seq in 0..6 {
                    let ops = vec![RouteOp::Add(filter("#")?)];
                    let to = RoutePosition {
                        digest: Digest(u128::from(rng.word())),
                        ..position(self.life, seq + 1, seq + 1)
                    };
                    frames.push(control(&Frame::RouteDelta(RouteDelta { from: seq, to, ops })));
                }
            }
            Attack::TooManyRoutes => {
                let to = position(self.life, 7, max_routes as u64 + 1);
                let filters =
                    (0..=max_routes.min(2000)).map(|number| filter(&format!("r/{number}"))).collect::<Option<_>>()?;
                let part = RouteSnapshot { to, part: 0, last: false, filters };
                frames.push(control(&Frame::RouteSnapshot(part)));
            }
            Attack::EndlessSnapshot => {
                for turn in 0..20 {
                    let to = position(self.life, 9 + turn / 5, 500);
                    let filters = (0..20).map(|number| filter(&format!("s/{turn}/{number}"))).collect::<Option<_>>()?;
                    let part = RouteSnapshot { to, part: (turn % 5) as u32, last: false, filters };
                    frames.push(control(&Frame::RouteSnapshot(part)));
                }
            }
            Attack::Lives => {
                let next = Incarnation { counter: self.life.counter + 1 + rng.below(9), nonce: 7 };
                frames.push((1, batch(0, 1, &["evil/a", "evil/b"])?));
                frames.push(control(&self.ready(next)));
            }
            Attack::NotImported => {
                let topics = ["a/b", "$LINK/v1/us/us-1/up/0/0", "$SYS/x", "evil/ok", "a", "b/c"];
                frames.push((1, batch(0, 1, &topics)?));
                frames.push((1, one(0, 7, Bytes::from_static(b"\xff\xff"))));
            }
            Attack::Mute | Attack::Stranger | Attack::Impostor | Attack::HelloTwice => {}
        }
        Some(frames)
    }

    fn hello(&self, life: Incarnation) -> Option<Frame> {
        Some(Frame::Hello(Box::new(Hello {
            min_version: 1,
            max_version: 1,
            cluster: ClusterName::new(self.cluster).ok()?,
            node: NodeName::new(&self.node).ok()?,
            expects: ClusterName::new(&self.expects).ok()?,
            about: None,
            incarnation: life,
            knows: None,
            capabilities: u64::MAX,
            scope: Scope::Cluster,
            max_frame: 1 << 20,
            window: 1 << 20,
            imports: Vec::new(),
            route_key: [7; 16],
            routes: position(life, 0, 0),
            holds: None,
            lanes: (0..2).map(|lane| LaneMark { lane, seq: 1 }).collect(),
            received: Vec::new(),
            kept_from: 0,
            cells: Vec::new(),
        })))
    }

    fn ready(&self, life: Incarnation) -> Frame {
        let lanes = (0..2).map(|lane| LaneMark { lane, seq: 1 }).collect();
        let routes = position(life, 0, 0);
        Frame::Ready(Ready {
            incarnation: life,
            routes,
            lanes,
            knows: None,
            holds: None,
            received: Vec::new(),
            cells: Vec::new(),
        })
    }
}

fn position(incarnation: Incarnation, seq: u64, count: u64) -> RoutePosition {
    RoutePosition { incarnation, seq, digest: Digest::default(), count }
}

fn batch(lane: u8, first: u64, topics: &[&str]) -> Option<Bytes> {
    let body = |text: &&str| Some(encode_message(&Message::new(topic(text)?, "x", QoS::AtLeastOnce)));
    let bodies: Vec<Bytes> = topics.iter().map(body).collect::<Option<_>>()?;
    let entries = bodies.into_iter().map(|body| Entry::Message { expiry: None, body }).collect();
    Some(encode(&Frame::Batch(Batch { lane, first, entries })))
}

fn topic(text: &str) -> Option<Topic> {
    Topic::new(text.to_owned()).ok()
}

fn filter(text: &str) -> Option<TopicFilter> {
    TopicFilter::new(text.to_owned()).ok()
}

fn one(lane: u8, first: u64, body: Bytes) -> Bytes {
    encode(&Frame::Batch(Batch { lane, first, entries: vec![Entry::Message { expiry: None, body }] }))
}
