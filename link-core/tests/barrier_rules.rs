//! What counts as an acknowledgement of an interest. Driven without a network: frames in, frames out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, NodeName},
    node::{AckError, AckFrom, Acked, BarrierId, ConnectionId, Input, Node, NodeConfig, Output, Unacked},
    routes::{RouteKey, RouteLog},
    topic::TopicFilter,
    transport::Identity,
    wire::{
        Digest, Frame, Heartbeat, Hello, Incarnation, LaneMark, Limits, Ready, RoutePosition, RouteResume, decode,
        encode,
    },
};

/// The node `us-1`, with a link to the cluster `eu` whose nodes the test plays.
struct Us {
    node: Node,
    now: Duration,
    said: Vec<(ConnectionId, Frame)>,
    done: Vec<(BarrierId, Result<Acked, AckError>)>,
}

fn name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap()
}

fn filter(text: &'static str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn life(counter: u64) -> Incarnation {
    Incarnation { counter, nonce: 42 }
}

fn lanes() -> Vec<LaneMark> {
    (0..8).map(|lane| LaneMark { lane, seq: 1 }).collect()
}

impl Us {
    fn new() -> Self {
        let mut config = NodeConfig::new(name("us"), NodeName::new("us-1").unwrap());
        config.max_barriers = 8;
        let mut node = Node::new(config, [1; 32]);
        let mut link = LinkConfig::new(name("eu"));
        link.topics = vec![filter("a/#")];
        node.create_link(Duration::ZERO, link).unwrap();
        Self { node, now: Duration::ZERO, said: Vec::new(), done: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit { connection, frame, .. } => {
                    self.said.push((connection, decode(frame, &Limits::default()).unwrap()));
                }
                Output::BarrierDone { barrier, result } => self.done.push((barrier, result)),
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

    fn hears(&mut self, connection: u32, frame: &Frame) {
        self.input(Input::Frame { connection: ConnectionId(connection), frame: encode(frame) });
    }

    /// A node of `eu` dials and goes live. It knows a life of `us-1`, and holds routes of it.
    fn accept(&mut self, number: u32, node: &str, knows: Option<Incarnation>, holds: Option<RoutePosition>) {
        let connection = ConnectionId(number);
        self.input(Input::Connected {
            connection,
            dial: None,
            identity: Identity::default(),
            channels: 1,
            datagrams: 0,
            max_frame: None,
        });
        let routes = RoutePosition { incarnation: life(1), ..RoutePosition::default() };
        self.hears(
            number,
            &Frame::Hello(Box::new(Hello {
                min_version: 1,
                max_version: 1,
                cluster: name("eu"),
                node: NodeName::new(node).unwrap(),
                expects: name("us"),
                about: knows.map(|_| NodeName::new("us-1").unwrap()),
                incarnation: life(1),
                knows,
                capabilities: 0,
                scope: link_core::link::Scope::Node,
                max_frame: 1 << 20,
                window: 1 << 20,
                imports: Vec::new(),
                route_key: [7; 16],
                routes,
                holds: None,
                lanes: lanes(),
                received: Vec::new(),
                kept_from: 0,
                cells: Vec::new(),
            })),
        );
        let Some((_, Frame::Hello(answer))) = self.said.last().cloned() else { panic!("no HELLO") };
        let knows = Some(answer.incarnation);
        self.hears(
            number,
            &Frame::Ready(Ready {
                incarnation: life(1),
                routes,
                lanes: lanes(),
                knows,
                holds,
                received: Vec::new(),
                cells: Vec::new(),
            }),
        );
    }

    fn lose(&mut self, connection: u32) {
        self.input(Input::Lost { connection: ConnectionId(connection), reason: "cut".to_owned() });
    }

    fn ack(&mut self, connection: u32, position: RoutePosition) {
        self.hears(connection, &Frame::RouteAck(position));
    }

    fn subscribe(&mut self, filter: TopicFilter) {
        self.input(Input::Interest(vec![InterestChange::Added(filter)]));
    }

    fn barrier(&mut self, number: u32, filter: TopicFilter) {
        let deadline = self.now + Duration::from_secs(2);
        self.input(Input::Barrier { barrier: BarrierId(number), filter, from: AckFrom::All, deadline });
    }

    /// What is announced to the `nth` peer.
    fn announced(&self, nth: usize) -> RoutePosition {
        self.node.links(self.now)[0].peers[nth].announced
    }

    /// The nodes that have acknowledged the only barrier that is done; none if none is.
    fn acked(&mut self) -> Vec<String> {
        let done = std::mem::take(&mut self.done);
        let nodes = done.into_iter().flat_map(|(_, result)| result.unwrap().by.remove(&name("eu")).unwrap());
        nodes.map(|node| node.to_string()).collect()
    }

    fn error(&mut self) -> AckError {
        self.done.pop().unwrap().1.unwrap_err()
    }
}

#[test]
fn only_the_position_or_a_later_one_of_this_life_with_the_right_digest_counts() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("a/0"));
    let before = us.announced(0);
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    let at = us.announced(0);
    assert_eq!((before.seq, at.seq), (1, 2));
    for wrong in [
        before,
        RoutePosition { digest: Digest(at.digest.0 ^ 1), ..at },
        RoutePosition { incarnation: life(9), ..at },
        RoutePosition { seq: 3, ..at },
    ] {
        us.ack(1, wrong);
        assert_eq!(us.acked(), [""; 0], "{wrong:?}");
    }
    us.subscribe(filter("a/2"));
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);
    // It is known already; and a route that a known one covers has nothing to wait for.
    us.subscribe(filter("a/+"));
    us.ack(1, us.announced(0));
    us.subscribe(filter("a/9"));
    us.barrier(2, filter("a/9"));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn a_hidden_route_is_acknowledged_with_its_cover() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("a/#"));
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    assert_eq!((us.acked(), us.announced(0).seq), (vec![], 1));
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn a_heartbeat_or_a_resume_acknowledges_too() {
    for resume in [false, true] {
        let mut us = Us::new();
        us.accept(1, "eu-1", None, None);
        us.subscribe(filter("a/1"));
        us.barrier(1, filter("a/1"));
        let (holds, routes) =
            (Some(us.announced(0)), RoutePosition { incarnation: life(1), ..RoutePosition::default() });
        let heartbeat = Heartbeat { routes, holds, sent: 0, echo: None, held: 0, datagrams: 0, warming: false };
        us.hears(
            1,
            &if resume {
                Frame::RouteResume(RouteResume { holds, cells: Vec::new() })
            } else {
                Frame::Heartbeat(heartbeat)
            },
        );
        assert_eq!(us.acked(), ["eu-1"]);
    }
}

#[test]
fn every_connected_node_counts_and_one_that_is_gone_does_not() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.accept(2, "eu-2", None, None);
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), [""; 0]);
    us.ack(2, us.announced(1));
    assert_eq!(us.acked(), ["eu-1", "eu-2"]);

    us.subscribe(filter("a/2"));
    us.barrier(2, filter("a/2"));
    us.ack(2, us.announced(1));
    us.lose(1);
    assert_eq!(us.acked(), ["eu-2"]);
    // None is connected: nobody has it.
    us.subscribe(filter("a/3"));
    us.barrier(3, filter("a/3"));
    us.lose(2);
    us.pass(Duration::from_secs(3));
    let error = us.error();
    let AckError::Timeout { waiting, .. } = &error else { panic!("{error}") };
    assert!(matches!(&waiting[..], [Unacked::NotConnected { reason, .. }] if reason.contains("cut")), "{error}");
}

#[test]
fn what_a_peer_held_before_it_restarted_does_not_count() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("a/1"));
    us.ack(1, us.announced(0));
    us.lose(1);
    us.accept(2, "eu-1", None, None);
    us.barrier(1, filter("a/1"));
    assert_eq!(us.acked(), [""; 0]);
    us.ack(2, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);
    // With its memory it has it still.
    us.lose(2);
    let (knows, holds) = (us.announced(0).incarnation, us.announced(0));
    us.accept(3, "eu-1", Some(knows), Some(holds));
    us.barrier(2, filter("a/1"));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn a_new_life_of_this_node_begins_with_no_acknowledgement() {
    let mut us = Us::new();
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    // The peer remembers a life that this node has forgotten, and a set of it at the same point.
    let old = RoutePosition {
        incarnation: life(5),
        ..us.node.links(us.now)[0]
            .peers
            .first()
            .map_or_else(|| RoutePosition { seq: 1, count: 1, ..RoutePosition::default() }, |peer| peer.announced)
    };
    us.accept(1, "eu-1", Some(life(5)), Some(old));
    assert_eq!((us.acked(), us.announced(0).incarnation.counter), (vec![], 6));
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn an_interest_that_ends_and_begins_again_is_another_one() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    let first = us.announced(0);
    us.input(Input::Interest(vec![InterestChange::Removed(filter("a/1"))]));
    assert_eq!(us.error(), AckError::Ended);
    us.subscribe(filter("a/1"));
    us.barrier(2, filter("a/1"));
    us.ack(1, first);
    assert_eq!(us.acked(), [""; 0]);
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn topics_that_grow_are_waited_for_and_a_link_that_goes_is_not() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("#"));
    us.barrier(1, filter("#"));
    let first = us.announced(0);
    let mut link = LinkConfig::new(name("eu"));
    link.topics = vec![filter("a/#"), filter("b/#")];
    us.node.update_link(us.now, link).unwrap();
    us.ack(1, first);
    assert_eq!(us.acked(), [""; 0]);
    us.ack(1, us.announced(0));
    assert_eq!(us.acked(), ["eu-1"]);

    us.subscribe(filter("b/#"));
    us.node
        .create_link(us.now, {
            let mut ap = LinkConfig::new(name("ap"));
            ap.topics = vec![filter("b/#")];
            ap
        })
        .unwrap();
    us.barrier(2, filter("b/#"));
    assert_eq!(us.done, []);
    let (barrier, from) = (BarrierId(3), AckFrom::Clusters([name("ap")].into()));
    us.input(Input::Barrier { barrier, filter: filter("b/#"), from, deadline: us.now + Duration::from_secs(9) });
    us.node.delete_link(us.now, &name("ap")).unwrap();
    us.input(Input::Timeout);
    us.done.sort_by_key(|(barrier, _)| *barrier);
    assert_eq!(us.error(), AckError::Unknown(name("ap")));
    assert_eq!(us.acked(), ["eu-1"]);
}

#[test]
fn a_node_that_comes_while_another_cluster_is_waited_for_has_to_acknowledge_too() {
    let mut us = Us::new();
    let mut ap = LinkConfig::new(name("ap"));
    ap.topics = vec![filter("a/#")];
    us.node.create_link(us.now, ap).unwrap();
    us.accept(1, "eu-1", None, None);
    us.subscribe(filter("a/1"));
    us.barrier(1, filter("a/1"));
    let at = us.node.links(us.now)[1].peers[0].announced;
    us.ack(1, at);
    us.lose(1);
    us.accept(2, "eu-1", None, None);
    us.node.delete_link(us.now, &name("ap")).unwrap();
    us.input(Input::Timeout);
    assert_eq!(us.acked(), [""; 0]);
    us.pass(Duration::from_secs(3));
    let AckError::Timeout { waiting, .. } = us.error() else { panic!() };
    assert!(matches!(&waiting[..], [Unacked::NotAcknowledged { node, .. }] if node.as_str() == "eu-1"));
}

#[test]
fn no_more_wait_than_may_and_those_that_are_cancelled_do_not_count() {
    let mut us = Us::new();
    us.subscribe(filter("a/1"));
    (0..9).for_each(|number| us.barrier(number, filter("a/1")));
    assert_eq!(us.error(), AckError::TooMany { limit: 8 });
    us.input(Input::CancelBarrier(BarrierId(0)));
    us.barrier(9, filter("a/1"));
    assert_eq!(us.done, []);
    us.pass(Duration::from_secs(3));
    assert_eq!(us.done.len(), 8);
    assert_eq!(us.node.poll_timeout(), None, "a barrier leaves a timer behind");
}

#[test]
fn a_step_is_in_force_before_it_is_acknowledged() {
    let mut us = Us::new();
    us.accept(1, "eu-1", None, None);
    let mut log = RouteLog::new(life(1), RouteKey([7; 16]), vec![filter("#")], 16);
    log.apply(&[InterestChange::Added(filter("t"))]);
    let part = log.snapshot().next_part(&log, 4096).unwrap();
    let (publisher, mut acked) = (us.node.publisher(), 0);
    us.node.handle(us.now, Input::Frame { connection: ConnectionId(1), frame: encode(&Frame::RouteSnapshot(part)) });
    while let Some(output) = us.node.poll_output() {
        let Output::Transmit { frame, .. } = output else { continue };
        if matches!(decode(frame, &Limits::default()), Ok(Frame::RouteAck(_))) {
            acked += 1;
            assert!(publisher.wants("t"), "acknowledged, and not in the table of the publishers");
        }
    }
    assert_eq!(acked, 1);
}
