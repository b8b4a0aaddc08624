//! Lives and connections of a link to a cluster of several nodes. Driven without a network: frames in, frames out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{collections::BTreeMap, time::Duration};

use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, NodeName, Scope},
    node::{ConnectionId, DialId, Input, Node, NodeConfig, Output},
    topic::TopicFilter,
    transport::Identity,
    wire::{Close, CloseCode, Frame, Hello, Incarnation, LaneMark, Limits, Ready, RoutePosition, decode, encode},
};

/// The node `us-1`, with a link to the cluster `eu` whose nodes the test plays.
struct Us {
    node: Node,
    now: Duration,
    said: BTreeMap<ConnectionId, Vec<Frame>>,
    dials: Vec<(DialId, String)>,
}

fn name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap()
}

fn position(incarnation: Incarnation) -> RoutePosition {
    RoutePosition { incarnation, ..RoutePosition::default() }
}

fn life(counter: u64) -> Incarnation {
    Incarnation { counter, nonce: 42 }
}

fn lanes() -> Vec<LaneMark> {
    (0..8).map(|lane| LaneMark { lane, seq: 1 }).collect()
}

/// The HELLO of a node of `eu` in a life, which knows one of `us-1`.
fn hello(node: &str, incarnation: Incarnation, knows: Option<Incarnation>) -> Frame {
    Frame::Hello(Box::new(Hello {
        min_version: 1,
        max_version: 1,
        cluster: name("eu"),
        node: NodeName::new(node).unwrap(),
        expects: name("us"),
        about: knows.map(|_| NodeName::new("us-1").unwrap()),
        incarnation,
        knows,
        capabilities: 0,
        scope: Scope::Node,
        max_frame: 1 << 20,
        window: 1 << 20,
        imports: Vec::new(),
        route_key: [7; 16],
        routes: position(incarnation),
        holds: None,
        lanes: lanes(),
        received: Vec::new(),
        kept_from: 0,
        cells: Vec::new(),
    }))
}

fn ready(incarnation: Incarnation, knows: Incarnation) -> Frame {
    let routes = position(incarnation);
    Frame::Ready(Ready {
        incarnation,
        routes,
        lanes: lanes(),
        knows: Some(knows),
        holds: None,
        received: Vec::new(),
        cells: Vec::new(),
    })
}

impl Us {
    fn new(servers: &[&str]) -> Self {
        let mut node = Node::new(NodeConfig::new(name("us"), NodeName::new("us-1").unwrap()), [1; 32]);
        let mut link = LinkConfig::new(name("eu"));
        link.servers = servers.iter().map(|server| format!("memory://{server}").parse().unwrap()).collect();
        link.topics = vec![TopicFilter::new("#").unwrap()];
        node.create_link(Duration::ZERO, link).unwrap();
        let mut us = Self { node, now: Duration::ZERO, said: BTreeMap::new(), dials: Vec::new() };
        us.input(Input::Timeout);
        us
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit { connection, frame, .. } => {
                    self.said.entry(connection).or_default().push(decode(frame, &Limits::default()).unwrap());
                }
                Output::Dial { dial, request } => self.dials.push((dial, request.endpoint.host)),
                _ => {}
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    fn connect(&mut self, number: u32, dial: Option<DialId>) -> ConnectionId {
        let connection = ConnectionId(number);
        self.input(Input::Connected {
            connection,
            dial,
            identity: Identity::default(),
            channels: 1,
            datagrams: 0,
            max_frame: None,
        });
        connection
    }

    fn hears(&mut self, connection: ConnectionId, frame: &Frame) {
        self.input(Input::Frame { connection, frame: encode(frame) });
    }

    /// A node of `eu` dials and goes live. Gives the connection, and the life in which `us-1` greets it.
    fn accept(&mut self, number: u32, node: &str, knows: Option<Incarnation>) -> (ConnectionId, Incarnation) {
        let connection = self.connect(number, None);
        self.hears(connection, &hello(node, life(1), knows));
        let Some(Frame::Hello(answer)) = self.said[&connection].last().cloned() else { panic!("no HELLO") };
        self.hears(connection, &ready(life(1), answer.incarnation));
        (connection, answer.incarnation)
    }
}

#[test]
fn what_one_node_remembers_begins_no_new_life_towards_another() {
    let mut us = Us::new(&[]);
    let (first, ours) = us.accept(1, "eu-1", None);
    // The second one remembers a life that this node has forgotten.
    let (_, raised) = us.accept(2, "eu-2", Some(life(5)));
    assert_eq!((ours.counter, raised.counter), (1, 6));
    us.input(Input::Interest(vec![InterestChange::Added(TopicFilter::new("a").unwrap())]));
    us.pass(Duration::from_secs(6));
    for frame in &us.said[&first] {
        match frame {
            Frame::RouteDelta(delta) => assert_eq!(delta.to.incarnation, ours),
            Frame::RouteSnapshot(part) => assert_eq!(part.to.incarnation, ours),
            Frame::Heartbeat(heartbeat) => assert_eq!(heartbeat.routes.incarnation, ours),
            _ => {}
        }
    }
    let announced =
        us.node.links(us.now)[0].peers.iter().map(|peer| peer.announced.incarnation.counter).collect::<Vec<_>>();
    assert_eq!(announced, [1, 6]);
}

#[test]
fn a_dialler_goes_back_to_the_node_that_has_forgotten_its_life() {
    let mut us = Us::new(&["one", "two"]);
    // Both nodes are known in later lives than those in which they come back.
    for (number, node) in [(1, "eu-1"), (2, "eu-2")] {
        let connection = us.connect(number, None);
        us.hears(connection, &hello(node, life(9), None));
        let Some(Frame::Hello(answer)) = us.said[&connection].last().cloned() else { panic!("no HELLO") };
        us.hears(connection, &ready(life(9), answer.incarnation));
        us.input(Input::Lost { connection, reason: String::new() });
    }
    let mut number = 10;
    let mut asked = Vec::new();
    while asked.len() < 8 {
        us.pass(Duration::from_secs(31));
        for (dial, server) in std::mem::take(&mut us.dials) {
            number += 1;
            let connection = us.connect(number, Some(dial));
            let node = if server == "one" { "eu-1" } else { "eu-2" };
            let Some(Frame::Hello(greeting)) = us.said[&connection].first().cloned() else { panic!("no HELLO") };
            asked.push((node, greeting.about.is_some_and(|about| about.as_str() == node)));
            us.hears(connection, &hello(node, life(1), None));
        }
    }
    for node in ["eu-1", "eu-2"] {
        assert!(asked.contains(&(node, true)), "{node} never hears what is known of it: {asked:?}");
    }
}

#[test]
fn a_superseded_dialler_is_content_with_the_peers_connection() {
    let mut us = Us::new(&["one"]);
    let (dial, _) = us.dials.remove(0);
    let ours = us.connect(1, Some(dial));
    let (theirs, _) = us.accept(2, "eu-1", None);
    us.hears(ours, &Frame::Close(Close { code: CloseCode::Superseded, reason: String::new() }));
    us.pass(Duration::from_secs(14));
    assert!(us.dials.is_empty(), "it dials beside the connection that serves the link: {:?}", us.dials);
    us.input(Input::Lost { connection: theirs, reason: String::new() });
    us.pass(Duration::from_secs(1));
    assert_eq!(us.dials.len(), 1, "it dials again when that connection is gone");
}

#[test]
fn route_frames_keep_to_the_largest_frame_that_the_peer_takes() {
    let mut us = Us::new(&[]);
    let filters = (0..100).map(|n| TopicFilter::new(format!("{n:03}/{}", "x".repeat(1000))).unwrap());
    us.input(Input::Interest(filters.map(InterestChange::Added).collect()));
    let connection = us.connect(1, None);
    let Frame::Hello(mut greeting) = hello("eu-1", life(1), None) else { panic!() };
    greeting.max_frame = 4096;
    us.hears(connection, &Frame::Hello(greeting));
    let Some(Frame::Hello(answer)) = us.said[&connection].last().cloned() else { panic!("no HELLO") };
    us.hears(connection, &ready(life(1), answer.incarnation));
    let more = (0..100).map(|n| TopicFilter::new(format!("{n:03}/{}", "y".repeat(1000))).unwrap());
    us.input(Input::Interest(more.map(InterestChange::Added).collect()));
    us.pass(Duration::from_secs(1));
    let said = &us.said[&connection];
    assert!(said.iter().all(|frame| encode(frame).len() <= 4096));
    let last = |frame: &Frame| matches!(frame, Frame::RouteSnapshot(part) if part.last);
    assert!(said.iter().any(last) && said.iter().any(|frame| matches!(frame, Frame::RouteDelta(_))));
}
