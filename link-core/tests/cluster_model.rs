//! Two clusters of two nodes in virtual time, with connections that are cut at any moment and hosts that take their
//! time: whatever happens, each message comes into the other cluster once, and by each node in order.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{LinkConfig, NodeName, Scope},
    message::{Message, QoS},
    node::{ConnectionId, Input, Node, NodeConfig, Output, PeerId, Ticket},
    topic::{Topic, TopicFilter},
    transport::{DialError, Identity},
};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["us-1", "us-2", "eu-1", "eu-2"];

struct World {
    now: Duration,
    nodes: Vec<Node>,
    /// The other end of each end of a connection, with what is under way to it.
    ends: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    under_way: BTreeMap<(usize, ConnectionId), VecDeque<Bytes>>,
    next: u32,
    cut: BTreeSet<(usize, usize)>,
    hosts: Vec<VecDeque<(PeerId, Ticket, String, String)>>,
    /// What came: the message, the node from which, the node by which.
    came: Vec<(String, String, usize)>,
    published: [u64; 4],
}

#[derive(Debug, Clone)]
enum Act {
    Publish(usize, u8),
    Cut(usize, usize),
    Heal(usize, usize),
    /// A connection is lost, and nothing else.
    Reset(usize, usize),
    /// Frames arrive.
    Carry(u8),
    /// Hosts take messages.
    Take(usize, u8),
    Wait(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let pair = || (0..2usize, 2..4usize);
    prop_oneof![
        8 => (0..4usize, 0..4u8).prop_map(|(at, by)| Act::Publish(at, by)),
        2 => pair().prop_map(|(a, b)| Act::Cut(a, b)),
        2 => pair().prop_map(|(a, b)| Act::Heal(a, b)),
        1 => pair().prop_map(|(a, b)| Act::Reset(a, b)),
        6 => (1..60u8).prop_map(Act::Carry),
        4 => (0..4usize, 1..6u8).prop_map(|(at, n)| Act::Take(at, n)),
        4 => (1..3000u16).prop_map(Act::Wait),
    ]
}

impl World {
    fn new(both_dial: bool) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            nodes: Vec::new(),
            ends: BTreeMap::new(),
            under_way: BTreeMap::new(),
            next: 0,
            cut: BTreeSet::new(),
            hosts: vec![VecDeque::new(); 4],
            came: Vec::new(),
            published: [0; 4],
        };
        for (at, name) in NAMES.iter().enumerate() {
            let (own, other) = if at < 2 { ("us", "eu") } else { ("eu", "us") };
            let mut config = NodeConfig::new(own.parse().unwrap(), NodeName::new(name).unwrap());
            (config.scope, config.lanes) = (Scope::Cluster, 3);
            let mut node = Node::new(config, [at as u8 + 1; 32]);
            let mut link = LinkConfig::new(other.parse().unwrap());
            link.topics = vec![TopicFilter::new("#").unwrap()];
            (link.heartbeat, link.return_after) = (Duration::from_secs(1), Duration::from_secs(3));
            (link.retry_max, link.window) = (Duration::from_secs(2), 1024);
            if at < 2 || both_dial {
                let first = 2 - at / 2 * 2 + at % 2;
                link.servers = [first, first ^ 1].map(|to| format!("memory://{}", NAMES[to]).parse().unwrap()).to_vec();
            }
            node.create_link(Duration::ZERO, link).unwrap();
            let all = InterestChange::Added(TopicFilter::new("t/#").unwrap());
            node.handle(Duration::ZERO, Input::Interest(vec![all]));
            world.nodes.push(node);
        }
        world.drain();
        world
    }

    fn handle(&mut self, at: usize, input: Input) {
        self.nodes[at].handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some((at, output)) = (0..4).find_map(|at| Some((at, self.nodes[at].poll_output()?))) {
            match output {
                Output::Transmit { connection, class, frame } => {
                    let bytes = frame.len();
                    if let Some(to) = self.ends.get(&(at, connection)) {
                        self.under_way.entry(*to).or_default().push_back(frame);
                    }
                    self.nodes[at].handle(self.now, Input::Sent { connection, class, bytes });
                }
                Output::Deliver { peer, ticket, message, origin } => {
                    let text = String::from_utf8(message.payload.to_vec()).unwrap().trim().to_owned();
                    self.hosts[at].push_back((peer, ticket, text, origin.node.to_string()));
                }
                Output::Dial { dial, request } => {
                    let to = NAMES.iter().position(|name| *name == request.endpoint.host).unwrap();
                    if self.cut.contains(&(at.min(to), at.max(to))) {
                        let reason = "cut".to_owned();
                        let error = DialError::Unreachable { endpoint: request.endpoint, reason };
                        self.nodes[at].handle(self.now, Input::DialFailed { dial, error });
                        continue;
                    }
                    let (here, there) = ((at, ConnectionId(self.next)), (to, ConnectionId(self.next + 1)));
                    self.next += 2;
                    self.ends.extend([(here, there), (there, here)]);
                    for ((at, connection), dial) in [(there, None), (here, Some(dial))] {
                        let identity = Identity::default();
                        let input =
                            Input::Connected { connection, dial, identity, channels: 1, datagrams: 0, max_frame: None };
                        self.nodes[at].handle(self.now, input);
                    }
                }
                // What was said before the end arrives before the end.
                Output::Close { connection } => {
                    if let Some((to, end)) = self.ends.get(&(at, connection)).copied() {
                        while let Some(frame) = self.under_way.get_mut(&(to, end)).and_then(VecDeque::pop_front) {
                            self.nodes[to].handle(self.now, Input::Frame { connection: end, frame });
                        }
                        self.lose((at, connection));
                    }
                }
                _ => {}
            }
        }
    }

    /// Both ends learn that a connection is gone, and what was under way is gone too.
    fn lose(&mut self, end: (usize, ConnectionId)) {
        let Some(other) = self.ends.remove(&end) else { return };
        self.ends.remove(&other);
        for (at, connection) in [end, other] {
            self.under_way.remove(&(at, connection));
            self.nodes[at].handle(self.now, Input::Lost { connection, reason: "lost".to_owned() });
        }
    }

    fn reset(&mut self, a: usize, b: usize) {
        let between = |((from, _), (to, _)): &(&(usize, ConnectionId), &(usize, ConnectionId))| (*from, *to) == (a, b);
        let ends: Vec<_> = self.ends.iter().filter(between).map(|(end, _)| *end).collect();
        ends.into_iter().for_each(|end| self.lose(end));
        self.drain();
    }

    fn carry(&mut self, frames: usize) {
        for _ in 0..frames {
            // Round the connections, for fairness.
            let (key, _) = match self.under_way.iter().find(|(_, queue)| !queue.is_empty()) {
                Some((key, queue)) => (*key, queue.len()),
                None => return,
            };
            let mut queue = self.under_way.remove(&key).unwrap();
            let frame = queue.pop_front().unwrap();
            self.under_way.insert(key, queue);
            self.handle(key.0, Input::Frame { connection: key.1, frame });
        }
    }

    fn take(&mut self, at: usize, messages: usize) {
        for _ in 0..messages {
            let Some((peer, ticket, text, from)) = self.hosts[at].pop_front() else { return };
            self.came.push((text, from, at));
            self.handle(at, Input::Delivered { peer, ticket, refused: None });
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((due, at)) = (0..4).filter_map(|at| Some((self.nodes[at].poll_timeout()?, at))).min() {
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.handle(at, Input::Timeout);
        }
        self.now = end;
    }

    fn publish(&mut self, at: usize, publisher: u8) {
        let n = self.published.iter().sum::<u64>();
        let text = format!("{publisher} {n}");
        let message = Message::new(Topic::new("t/x").unwrap(), format!("{text:250}").into_bytes(), QoS::AtLeastOnce);
        let mut offers = Vec::new();
        let (now, by) = (self.now, format!("{at}/{publisher}"));
        let published = self.nodes[at].publisher().offer(now, &by, &message, |offered| offers.push(offered));
        assert!(published.accepted <= 1 && published.full == 0, "{published:?}");
        self.published[at] += offers.len() as u64;
        offers.into_iter().for_each(|offered| self.handle(at, Input::Publish(offered)));
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Publish(at, by) => self.publish(at, by),
            Act::Cut(a, b) => {
                self.cut.insert((a, b));
                self.reset(a, b);
            }
            Act::Heal(a, b) => drop(self.cut.remove(&(a, b))),
            Act::Reset(a, b) => self.reset(a, b),
            Act::Carry(frames) => self.carry(frames.into()),
            Act::Take(at, messages) => self.take(at, messages.into()),
            Act::Wait(ms) => self.wait(Duration::from_millis(ms.into())),
        }
    }

    /// All is well for a while.
    fn settle(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.carry(usize::MAX);
            (0..4).for_each(|at| self.take(at, usize::MAX));
            if self.under_way.values().all(VecDeque::is_empty) {
                let due = (0..4).filter_map(|at| self.nodes[at].poll_timeout()).min();
                self.wait(due.map_or(time, |due| due.saturating_sub(self.now)));
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<(&str, usize, &str), u64> = BTreeMap::new();
        for (text, from, by) in &self.came {
            prop_assert!(seen.insert(text), "{text} came twice, the second time by {}", NAMES[*by]);
            let (publisher, n) = text.split_once(' ').unwrap();
            let n: u64 = n.parse().unwrap();
            let before = last.insert((from, *by, publisher), n);
            prop_assert!(before.is_none_or(|before| before < n), "{text} came from {from} by {} late", NAMES[*by]);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn each_message_comes_once_into_a_cluster(both in any::<bool>(), acts in prop::collection::vec(act(), 1..150)) {
        let mut world = World::new(both);
        world.settle(Duration::from_secs(4));
        for act in &acts {
            world.act(act);
            world.check()?;
        }
        world.cut.clear();
        world.settle(Duration::from_secs(60));
        world.check()?;
        for (node, name) in world.nodes.iter().zip(NAMES) {
            for peer in node.links(world.now).into_iter().flat_map(|link| link.peers) {
                prop_assert!(peer.sent.balances(), "{name}: {:?}", peer.sent);
                prop_assert_eq!(peer.sent.queued, 0, "{} still has messages for {}: {:?}", name, peer.node, peer.sent);
            }
        }
        prop_assert_eq!(world.came.len() as u64, world.published.iter().sum::<u64>());
    }
}
