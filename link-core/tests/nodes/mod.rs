//! Some nodes without a network: what one sends is looked at, and arrives at the other at once.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "test code; each binary uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkStatus, NodeName, PeerStatus},
    message::{Message, QoS},
    node::{AckError, AckFrom, Acked, BarrierId, ConnectionId, Input, Node, NodeConfig, Output, Published},
    topic::{Topic, TopicFilter},
    transport::{DialError, Identity},
    wire::{Frame, Limits, decode, encode},
};

/// What happens to a frame on its way.
pub type Change = dyn FnMut(&str, &str, Frame) -> Option<Frame>;

/// Nodes by their names, `us-1` that of cluster `us`. Each dials the servers of its links by those names.
pub struct Nodes {
    pub now: Duration,
    pub nodes: BTreeMap<&'static str, Node>,
    /// What was sent, by whom and to whom.
    pub seen: Vec<(&'static str, &'static str, Frame)>,
    /// May change a frame on its way from a node to another, or lose it.
    pub on_the_way: Box<Change>,
    /// Topics that a node must want of another one at each moment.
    pub always: Vec<(&'static str, String)>,
    /// Nodes that hear nothing and are not heard, with connections that stay.
    pub silent: BTreeSet<&'static str>,
    /// What hosts got.
    pub got: Vec<(&'static str, String)>,
    pub done: Vec<Result<Acked, AckError>>,
    wires: BTreeMap<(&'static str, ConnectionId), (&'static str, ConnectionId)>,
    under_way: VecDeque<(&'static str, &'static str, ConnectionId, Bytes)>,
    next: u32,
    lives: u8,
}

pub fn name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap()
}

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

/// A link that wants all.
pub fn link(to: &str, servers: &[&str]) -> LinkConfig {
    let mut link = LinkConfig::new(name(to));
    link.topics = vec![filter("#")];
    link.servers = servers.iter().map(|server| format!("memory://{server}").parse().unwrap()).collect();
    link.retry_max = Duration::from_secs(1);
    link
}

impl Nodes {
    pub fn new() -> Self {
        Self {
            now: Duration::from_secs(1),
            nodes: BTreeMap::new(),
            seen: Vec::new(),
            on_the_way: Box::new(|_, _, frame| Some(frame)),
            always: Vec::new(),
            silent: BTreeSet::new(),
            got: Vec::new(),
            done: Vec::new(),
            wires: BTreeMap::new(),
            under_way: VecDeque::new(),
            next: 1,
            lives: 0,
        }
    }

    /// A node starts, in a life of its own, with clients that want `filters`.
    pub fn start(
        &mut self,
        node: &'static str,
        links: Vec<LinkConfig>,
        filters: &[TopicFilter],
        set: impl FnOnce(&mut NodeConfig),
    ) {
        let cluster = node.split('-').next().unwrap();
        let mut config = NodeConfig::new(name(cluster), NodeName::new(node).unwrap());
        set(&mut config);
        self.lives += 1;
        let mut started = Node::new(config, [self.lives; 32]);
        started.handle(self.now, Input::Interest(filters.iter().cloned().map(InterestChange::Added).collect()));
        for link in links {
            started.create_link(self.now, link).unwrap();
        }
        self.nodes.insert(node, started);
        self.run();
    }

    /// A node dies, and its peers notice.
    pub fn kill(&mut self, node: &'static str) {
        self.nodes.remove(node);
        let ends: Vec<_> =
            self.wires.iter().filter(|(end, _)| end.0 == node).map(|(end, other)| (*end, *other)).collect();
        for (end, (other, connection)) in ends {
            self.wires.remove(&end);
            self.wires.remove(&(other, connection));
            self.input(other, Input::Lost { connection, reason: "it died".to_owned() });
        }
    }

    /// Every connection of two nodes breaks, and both notice.
    pub fn cut(&mut self, a: &'static str, b: &'static str) {
        let ends: Vec<_> = self.wires.iter().filter(|(end, other)| (end.0, other.0) == (a, b)).collect();
        for ((a, here), (b, there)) in ends.into_iter().map(|(end, other)| (*end, *other)).collect::<Vec<_>>() {
            self.wires.remove(&(a, here));
            self.wires.remove(&(b, there));
            for (side, connection) in [(a, here), (b, there)] {
                self.input(side, Input::Lost { connection, reason: "cut".to_owned() });
            }
        }
    }

    pub fn input(&mut self, node: &'static str, input: Input) {
        self.tell(node, input);
        self.run();
    }

    fn tell(&mut self, node: &str, input: Input) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.handle(self.now, input);
        }
    }

    pub fn subscribe(&mut self, node: &'static str, filters: &[TopicFilter]) {
        self.input(node, Input::Interest(filters.iter().cloned().map(InterestChange::Added).collect()));
    }

    pub fn unsubscribe(&mut self, node: &'static str, filters: &[TopicFilter]) {
        self.input(node, Input::Interest(filters.iter().cloned().map(InterestChange::Removed).collect()));
    }

    pub fn barrier(&mut self, node: &'static str, number: u32, filter: &TopicFilter, patience: Duration) {
        let deadline = self.now + patience;
        let (barrier, filter) = (BarrierId(number), filter.clone());
        self.input(node, Input::Barrier { barrier, filter, from: AckFrom::All, deadline });
    }

    pub fn publish(&mut self, node: &'static str, topic: &str, payload: &str) -> Published {
        let message = Message::new(Topic::new(topic.to_owned()).unwrap(), payload.to_owned(), QoS::AtLeastOnce);
        let mut offers = Vec::new();
        let published = self.nodes[node].publisher().offer(self.now, "p", &message, |offered| offers.push(offered));
        offers.into_iter().for_each(|offered| self.input(node, Input::Publish(offered)));
        published
    }

    pub fn wants(&self, node: &str, topic: &str) -> bool {
        self.nodes[node].publisher().wants(topic)
    }

    pub fn link(&self, node: &str) -> LinkStatus {
        self.nodes[node].links(self.now).remove(0)
    }

    /// What a node says of another one.
    pub fn peer(&self, node: &str, peer: &str) -> Option<PeerStatus> {
        let mut peers = self.nodes[node].links(self.now).into_iter().flat_map(|link| link.peers);
        peers.find(|status| status.node.as_str() == peer)
    }

    /// Whether a connection of a node is to one of these.
    pub fn is_of(&self, node: &str, connection: u32, others: &[&str]) -> bool {
        let ends = self.wires.iter().find(|(end, _)| (end.0, end.1.0) == (node, connection));
        ends.is_some_and(|(_, other)| others.contains(&other.0))
    }

    /// The frames that a node has sent since the last look; the others are forgotten.
    pub fn sent(&mut self, by: &str) -> Vec<Frame> {
        std::mem::take(&mut self.seen).into_iter().filter(|(from, ..)| *from == by).map(|(.., frame)| frame).collect()
    }

    /// Time goes by.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.nodes.iter().filter_map(|(name, node)| Some((node.poll_timeout()?, *name))).min();
            let Some((due, node)) = due.filter(|(due, _)| *due <= end) else { break };
            self.now = self.now.max(due);
            self.input(node, Input::Timeout);
        }
        self.now = end;
    }

    /// Time goes by until all say that all routes are equal.
    #[track_caller]
    pub fn settle(&mut self) {
        let end = self.now + Duration::from_secs(30);
        let equal = |status: &LinkStatus| !status.peers.is_empty() && status.peers.iter().all(|peer| peer.in_sync);
        while !self.nodes.values().all(|node| node.links(self.now).iter().all(equal)) {
            let status: Vec<_> = self.nodes.values().flat_map(|node| node.links(self.now)).collect();
            assert!(self.now < end, "{status:#?}");
            self.pass(Duration::from_millis(100));
        }
    }

    /// Everything under way arrives, and what that brings about, until nothing is left.
    pub fn run(&mut self) {
        loop {
            let output = self.nodes.iter_mut().find_map(|(name, node)| Some((*name, node.poll_output()?)));
            if let Some((node, output)) = output {
                self.output(node, output);
                continue;
            }
            for (node, topic) in &self.always {
                let wants = self.nodes.get(node).is_none_or(|node| node.publisher().wants(topic));
                assert!(wants, "{node} does not send {topic} for a moment");
            }
            let Some((from, to, connection, frame)) = self.under_way.pop_front() else { return };
            if !self.wires.contains_key(&(to, connection)) || self.silent.contains(from) || self.silent.contains(to) {
                continue;
            }
            let decoded = decode(frame, &Limits::default()).unwrap();
            self.seen.push((from, to, decoded.clone()));
            if let Some(frame) = (self.on_the_way)(from, to, decoded) {
                self.tell(to, Input::Frame { connection, frame: encode(&frame) });
            }
        }
    }

    fn output(&mut self, node: &'static str, output: Output) {
        match output {
            Output::Transmit { connection, class, frame } => {
                self.tell(node, Input::Sent { connection, class, bytes: frame.len() });
                if let Some((to, there)) = self.wires.get(&(node, connection)) {
                    self.under_way.push_back((node, to, *there, frame));
                }
            }
            Output::Close { connection } => {
                if let Some((to, there)) = self.wires.remove(&(node, connection)) {
                    // What was sent before it arrives.
                    self.run_only();
                    if self.wires.remove(&(to, there)).is_some() {
                        let lost = Input::Lost { connection: there, reason: "closed".to_owned() };
                        self.tell(to, lost);
                    }
                }
            }
            Output::Dial { dial, request } => {
                let to = self.nodes.keys().copied().find(|name| *name == request.endpoint.host);
                let Some(to) = to.filter(|to| !self.silent.contains(to) && !self.silent.contains(node)) else {
                    let (endpoint, reason) = (request.endpoint, "nobody is there".to_owned());
                    let error = DialError::Unreachable { endpoint, reason };
                    return self.tell(node, Input::DialFailed { dial, error });
                };
                let (here, there) = (ConnectionId(self.next), ConnectionId(self.next + 1));
                self.next += 2;
                self.wires.insert((node, here), (to, there));
                self.wires.insert((to, there), (node, here));
                for (side, connection, dial) in [(to, there, None), (node, here, Some(dial))] {
                    let identity = Identity::default();
                    let (channels, datagrams, max_frame) = (1, 0, None);
                    let connected = Input::Connected { connection, dial, identity, channels, datagrams, max_frame };
                    self.tell(side, connected);
                }
            }
            Output::Deliver { peer, ticket, message, .. } => {
                self.got.push((node, String::from_utf8(message.payload.to_vec()).unwrap()));
                self.tell(node, Input::Delivered { peer, ticket, refused: None });
            }
            Output::BarrierDone { result, .. } => self.done.push(result),
            _ => {}
        }
    }

    /// What is under way arrives, before a connection closes.
    fn run_only(&mut self) {
        for (from, to, connection, frame) in std::mem::take(&mut self.under_way) {
            if self.wires.contains_key(&(to, connection)) && !self.silent.contains(from) && !self.silent.contains(to) {
                self.seen.push((from, to, decode(frame.clone(), &Limits::default()).unwrap()));
                self.tell(to, Input::Frame { connection, frame });
            }
        }
    }
}
