use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, NodeName, Scope},
    message::{Message, QoS},
    node::{ConnectionId, DialId, Input, Node, NodeConfig, Output, PeerId, Publisher, Ticket},
    topic::{Topic, TopicFilter},
    transport::{DialError, Identity},
};
use link_sim::{Rng, Source};

/// How bad it is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Cuts of a connection.
    pub cuts: usize,
    /// Ends of a node.
    pub deaths: usize,
    /// What a host takes for a message, at most.
    pub host: Duration,
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    /// Messages that were accepted.
    pub accepted: usize,
    /// Those that were handed to another node than the one they were let in for.
    pub moved: u64,
    /// Those that were taken again, after a host had died with them.
    pub again: usize,
    /// Those that came after a later one of their publisher.
    pub late: usize,
}

/// us-1, then eu-1 to eu-3.
const NODES: usize = 4;
const US: usize = 0;
const LENGTH: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);
const HEARTBEAT: Duration = Duration::from_millis(500);
const PUBLISHERS: usize = 6;

pub struct World {
    settings: Settings,
    rng: Rng,
    now: Duration,
    sites: Vec<Site>,
    events: BinaryHeap<Reverse<(Duration, u64)>>,
    what: BTreeMap<u64, Event>,
    /// Connections that are up: who dialled.
    up: BTreeMap<u32, usize>,
    /// When the latest frame of a connection arrives, by way.
    arrivals: BTreeMap<(u32, bool), Duration>,
    next: u32,
    /// Until then a node of eu reaches nobody.
    apart: [Duration; NODES],
    wanted: BTreeSet<&'static str>,
    accepted: BTreeMap<u64, Accepted>,
    published: u64,
    wrong: Option<String>,
    report: Report,
}

struct Site {
    node: Option<Node>,
    publisher: Option<Publisher>,
    life: u32,
    /// Since when it is connected.
    since: Duration,
    /// Messages in the hands of its host, by peer, in order.
    hosts: BTreeMap<PeerId, Vec<(Ticket, u64)>>,
    busy: bool,
}

struct Accepted {
    publisher: usize,
    at: Duration,
    /// By which node, in which life, when.
    taken: Vec<(usize, u32, Duration)>,
}

enum Event {
    Wake(usize),
    Publish,
    Dialled { site: usize, life: u32, dial: DialId },
    Frame { connection: u32, to: usize, frame: Bytes },
    Lost { connection: u32, site: usize },
    Host { site: usize, life: u32 },
    Interest,
    Cut,
    Death,
    Start(usize),
}

impl World {
    pub fn new(seed: u64, settings: Settings) -> Self {
        let site = || Site {
            node: None,
            publisher: None,
            life: 0,
            since: Duration::ZERO,
            hosts: BTreeMap::new(),
            busy: false,
        };
        Self {
            settings,
            rng: Rng::new(seed),
            now: Duration::ZERO,
            sites: (0..NODES).map(|_| site()).collect(),
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            up: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next: 0,
            apart: [Duration::ZERO; NODES],
            wanted: BTreeSet::from(["t/#"]),
            accepted: BTreeMap::new(),
            published: 0,
            wrong: None,
            report: Report { accepted: 0, moved: 0, again: 0, late: 0 },
        }
    }

    pub fn run(&mut self) {
        for site in 0..NODES {
            self.start(site);
        }
        let mut at = Duration::from_secs(2);
        while at < LENGTH {
            self.push(at, Event::Publish);
            at += self.between(MS, 80 * MS);
        }
        for _ in 0..8 {
            let at = self.between(Duration::from_secs(2), LENGTH);
            self.push(at, Event::Interest);
        }
        for (count, event) in [(self.settings.cuts, true), (self.settings.deaths, false)] {
            for _ in 0..count {
                let at = self.between(Duration::from_secs(2), LENGTH);
                self.push(at, if event { Event::Cut } else { Event::Death });
            }
        }
        self.go(LENGTH);
    }

    /// Everything heals, and all that was accepted must come.
    pub fn settle(&mut self) -> Result<Report, String> {
        self.apart = [Duration::ZERO; NODES];
        for site in 0..NODES {
            self.start(site);
        }
        let end = self.now + Duration::from_secs(120);
        loop {
            self.go(self.now + Duration::from_secs(1));
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
            let status = self.sites[US].node.as_ref().map(|node| node.links(self.now).remove(0));
            let peers = status.map(|status| status.peers).unwrap_or_default();
            let live = peers.iter().filter(|peer| peer.state == LinkState::Live && peer.in_sync).count();
            let queued: u64 = peers.iter().map(|peer| peer.sent.queued).sum();
            let missing: Vec<u64> =
                self.accepted.iter().filter(|(_, one)| one.taken.is_empty()).map(|(number, _)| *number).collect();
            if live == NODES - 1 && queued == 0 {
                if !missing.is_empty() {
                    return Err(format!("nothing waits, and nobody has taken {missing:?}: {peers:#?}"));
                }
                self.report.accepted = self.accepted.len();
                self.report.moved = peers.iter().map(|peer| peer.sent.moved).sum();
                return Ok(std::mem::replace(&mut self.report, Report { accepted: 0, moved: 0, again: 0, late: 0 }));
            }
            if self.now >= end {
                return Err(format!("{live} nodes are live, {queued} wait, {missing:?} are missing: {peers:#?}"));
            }
        }
    }

    fn go(&mut self, end: Duration) {
        while self.wrong.is_none() && self.events.peek().is_some_and(|Reverse((at, _))| *at <= end) {
            let Some(Reverse((at, number))) = self.events.pop() else { break };
            self.now = self.now.max(at);
            if let Some(event) = self.what.remove(&number) {
                self.happens(event);
            }
        }
        self.now = self.now.max(end);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Wake(site) => {
                let due = self.sites[site].node.as_ref().and_then(Node::poll_timeout);
                if due.is_some_and(|due| due <= self.now) {
                    self.input(site, Input::Timeout);
                }
            }
            Event::Publish => self.publish(),
            Event::Dialled { site, life, dial } => self.dialled(site, life, dial),
            Event::Frame { connection, to, frame } => {
                if self.up.contains_key(&connection) {
                    self.input(to, Input::Frame { connection: ConnectionId(connection), frame });
                }
            }
            Event::Lost { connection, site } => {
                let connection = ConnectionId(connection);
                self.input(site, Input::Lost { connection, reason: "cut".to_owned() });
            }
            Event::Host { site, life } => self.host(site, life),
            Event::Interest => self.interest(),
            Event::Cut => {
                let site = 1 + self.rng.index(NODES - 1);
                // Shorter or longer than it is waited for.
                let time = self.between(50 * MS, 4_000 * MS);
                self.apart[site] = self.now + time;
                let told = self.rng.chance(1, 2);
                self.part(site, told);
            }
            Event::Death => self.die(),
            Event::Start(site) => self.start(site),
        }
    }

    fn start(&mut self, site: usize) {
        if self.sites[site].node.is_some() {
            return;
        }
        let (own, peer, name) =
            if site == US { ("us", "eu", "us-1".to_owned()) } else { ("eu", "us", format!("eu-{site}")) };
        let mut config = NodeConfig::new(ClusterName::new(own).unwrap(), NodeName::new(&name).unwrap());
        config.scope = if site == US { Scope::Node } else { Scope::Cluster };
        config.starts = self.sites[site].life.into();
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.rng.word().to_be_bytes()));
        let mut node = Node::new(config, seed);
        let mut link = LinkConfig::new(ClusterName::new(peer).unwrap());
        link.topics = vec![TopicFilter::new("#").unwrap()];
        link.servers = if site == US { Vec::new() } else { vec!["sim://us:1".parse().unwrap()] };
        (link.heartbeat, link.retry_first, link.retry_max) = (HEARTBEAT, 20 * MS, 400 * MS);
        if site != US {
            let wanted = self.wanted.iter().map(|text| InterestChange::Added(TopicFilter::new(*text).unwrap()));
            node.handle(self.now, Input::Interest(wanted.collect()));
        }
        node.create_link(self.now, link).unwrap();
        let state = &mut self.sites[site];
        state.publisher = Some(node.publisher());
        state.node = Some(node);
        state.life += 1;
        self.drain(site);
    }

    /// A node of eu ends: by order, or without a word.
    fn die(&mut self) {
        let site = 1 + self.rng.index(NODES - 1);
        let alive = (1..NODES).filter(|site| self.sites[*site].node.is_some()).count();
        let Some(node) = self.sites[site].node.as_mut().filter(|_| alive > 1) else { return };
        let orderly = self.rng.chance(1, 3);
        if orderly {
            node.shut_down(self.now);
            self.drain(site);
        } else if self.rng.chance(1, 2) {
            // Its host has taken what it had in its hands, and nobody will know.
            self.take_first(site);
        }
        self.part(site, true);
        let state = &mut self.sites[site];
        (state.node, state.publisher, state.busy) = (None, None, false);
        state.hosts.clear();
        let back = self.now + self.between(10 * MS, 5_000 * MS);
        self.push(back, Event::Start(site));
    }

    /// The connections of a node of eu end; `told`: the other side hears of it.
    fn part(&mut self, site: usize, told: bool) {
        let gone: Vec<u32> = self.up.iter().filter(|(_, dialler)| **dialler == site).map(|(id, _)| *id).collect();
        for connection in gone {
            self.up.remove(&connection);
            if told {
                for end in [site, US] {
                    self.push(self.now + 10 * MS, Event::Lost { connection, site: end });
                }
            }
        }
    }

    fn interest(&mut self) {
        let filter = ["t/1", "t/2/#", "other/+"][self.rng.index(3)];
        let parsed = TopicFilter::new(filter).unwrap();
        let change = if self.wanted.remove(filter) {
            InterestChange::Removed(parsed)
        } else {
            self.wanted.insert(filter);
            InterestChange::Added(parsed)
        };
        for site in 1..NODES {
            self.input(site, Input::Interest(vec![change.clone()]));
        }
    }

    /// `t/#` is wanted all the time: from the moment at which a node was ready on, each message is accepted for one.
    fn publish(&mut self) {
        let Some(publisher) = self.sites[US].publisher.clone() else { return };
        let who = self.rng.index(PUBLISHERS);
        for _ in 0..1 + self.rng.index(4) {
            self.published += 1;
            let number = self.published;
            let topic = Topic::new(format!("t/{}", self.rng.index(3))).unwrap();
            let message = Message::new(topic, number.to_be_bytes().to_vec(), QoS::AtLeastOnce);
            let mut offers = Vec::new();
            publisher.offer(self.now, &format!("p{who}"), &message, |offered| offers.push(offered));
            if offers.len() != 1 {
                self.wrong = Some(format!("message {number} is accepted {} times", offers.len()));
                return;
            }
            self.accepted.insert(number, Accepted { publisher: who, at: self.now, taken: Vec::new() });
            offers.into_iter().for_each(|offer| self.input(US, Input::Publish(offer)));
        }
    }

    fn dialled(&mut self, site: usize, life: u32, dial: DialId) {
        if self.sites[site].life != life || self.sites[site].node.is_none() {
            return;
        }
        if self.apart[site] > self.now {
            let error =
                DialError::Unreachable { endpoint: "sim://us:1".parse().unwrap(), reason: "it is cut".to_owned() };
            return self.input(site, Input::DialFailed { dial, error });
        }
        let number = self.next;
        self.next += 1;
        self.up.insert(number, site);
        self.sites[site].since = self.now;
        for (end, dial) in [(site, Some(dial)), (US, None)] {
            let (connection, identity) = (ConnectionId(number), Identity::default());
            let (channels, datagrams, max_frame) = (1, 0, None);
            self.input(end, Input::Connected { connection, dial, identity, channels, datagrams, max_frame });
        }
    }

    fn host(&mut self, site: usize, life: u32) {
        if self.sites[site].life != life || self.sites[site].node.is_none() {
            return;
        }
        self.sites[site].busy = false;
        if let Some((peer, ticket)) = self.take_first(site) {
            self.input(site, Input::Delivered { peer, ticket, refused: None });
        }
        self.work(site);
    }

    /// The host has taken the first message that it has.
    fn take_first(&mut self, site: usize) -> Option<(PeerId, Ticket)> {
        let life = self.sites[site].life;
        let (peer, queue) = self.sites[site].hosts.iter_mut().find(|(_, queue)| !queue.is_empty())?;
        let (peer, (ticket, number)) = (*peer, queue.remove(0));
        self.taken(site, life, number);
        Some((peer, ticket))
    }

    fn taken(&mut self, site: usize, life: u32, number: u64) {
        let now = self.now;
        let Some(one) = self.accepted.get_mut(&number) else {
            self.wrong = Some(format!("nobody has published {number}"));
            return;
        };
        // Again only by the node that had it when it died, in another life.
        if one.taken.iter().any(|(other, before, _)| *other != site || *before == life) {
            self.wrong = Some(format!("message {number} came to eu-{site}, and {:?} had taken it", one.taken));
            return;
        }
        self.report.again += usize::from(!one.taken.is_empty());
        let again = !one.taken.is_empty();
        one.taken.push((site, life, now));
        let (publisher, at) = (one.publisher, one.at);
        let later = self
            .accepted
            .range(number + 1..)
            .find(|(_, other)| other.publisher == publisher && !other.taken.is_empty());
        let Some((later, other)) = later.filter(|_| !again) else { return };
        self.report.late += 1;
        // It was on its way to a node that went away meanwhile.
        let away = self.sites[site].since >= at;
        let same = other.taken.iter().any(|(other, in_life, _)| (*other, *in_life) == (site, life));
        if !away || same {
            let (taken, since, now) = (&other.taken, self.sites[site].since, self.now);
            self.wrong = Some(format!(
                "message {number} of p{publisher}, accepted at {at:?}, comes to eu-{site}, connected since {since:?}, at {now:?}, \
                 and {later} was taken before: {taken:?}"
            ));
        }
    }

    fn work(&mut self, site: usize) {
        let state = &self.sites[site];
        if !state.busy && state.hosts.values().any(|queue| !queue.is_empty()) {
            self.sites[site].busy = true;
            let (life, time) = (self.sites[site].life, self.between(Duration::ZERO, self.settings.host));
            self.push(self.now + time, Event::Host { site, life });
        }
    }

    fn input(&mut self, site: usize, input: Input) {
        if let Some(node) = &mut self.sites[site].node {
            node.handle(self.now, input);
            self.drain(site);
        }
    }

    fn drain(&mut self, site: usize) {
        while let Some(output) = self.sites[site].node.as_mut().and_then(Node::poll_output) {
            match output {
                Output::Dial { dial, .. } => {
                    let life = self.sites[site].life;
                    self.push(self.now + 10 * MS, Event::Dialled { site, life, dial });
                }
                Output::Transmit { connection, class, frame } => {
                    let bytes = frame.len();
                    self.send(connection.0, site, frame);
                    if let Some(node) = &mut self.sites[site].node {
                        node.handle(self.now, Input::Sent { connection, class, bytes });
                    }
                }
                Output::Close { connection } => {
                    // What was said before it arrives.
                    if let Some(dialler) = self.up.get(&connection.0).copied() {
                        let other = if site == US { dialler } else { US };
                        let way = (connection.0, site == US);
                        let at = self.arrivals.get(&way).copied().unwrap_or(self.now).max(self.now) + MS;
                        self.push(at, Event::Lost { connection: connection.0, site: other });
                    }
                }
                Output::Deliver { peer, ticket, message, .. } => {
                    let number = u64::from_be_bytes(message.payload.as_ref().try_into().unwrap());
                    self.sites[site].hosts.entry(peer).or_default().push((ticket, number));
                    self.work(site);
                }
                Output::Forget { .. }
                | Output::CancelDial { .. }
                | Output::BarrierDone { .. }
                | Output::Changed { .. } => {}
            }
        }
        if let Some(due) = self.sites[site].node.as_ref().and_then(Node::poll_timeout) {
            self.push(due.max(self.now), Event::Wake(site));
        }
    }

    fn send(&mut self, connection: u32, from: usize, frame: Bytes) {
        let Some(dialler) = self.up.get(&connection).copied() else { return };
        let to = if from == US { dialler } else { US };
        let way = (connection, from == US);
        let flight = self.between(5 * MS, 15 * MS);
        // In order, however late.
        let at = (self.now + flight).max(self.arrivals.get(&way).copied().unwrap_or_default());
        self.arrivals.insert(way, at);
        self.push(at, Event::Frame { connection, to, frame });
    }

    fn push(&mut self, at: Duration, event: Event) {
        let number = self.what.last_key_value().map_or(0, |(last, _)| last + 1).max(self.events.len() as u64);
        self.events.push(Reverse((at, number)));
        self.what.insert(number, event);
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        self.rng.between(least, most)
    }
}
