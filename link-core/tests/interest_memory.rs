//! What a node keeps while a link is down does not grow with what changes meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, NodeName},
    node::{ConnectionId, Input, Node, NodeConfig, Output},
    topic::TopicFilter,
    transport::Identity,
};

/// Changes in an ordinary run, and the variable that says another number.
const CHANGES: usize = 1_000_000;
const VARIABLE: &str = "INTEREST_CHANGES";
/// Filters that are wanted at a time.
const LIVE: usize = 1_000;
/// By how much the heap may be larger in the end: tables that are a little fuller, at another point of their lives.
const MOST: i64 = 128 << 10;

const LINK: ConnectionId = ConnectionId(1);

fn node(own: &str, peer: &str, servers: &[&str]) -> Node {
    let mut config = NodeConfig::new(ClusterName::new(own).unwrap(), NodeName::new(own).unwrap());
    config.route_ring = 10_000;
    let mut node = Node::new(config, [servers.len() as u8; 32]);
    let mut link = LinkConfig::new(ClusterName::new(peer).unwrap());
    link.topics = vec![TopicFilter::new("#").unwrap()];
    link.servers = servers.iter().map(|server| server.parse().unwrap()).collect();
    node.create_link(Duration::ZERO, link).unwrap();
    node
}

/// Frames of the nodes to each other, until there are no more.
fn exchange(nodes: &mut [Node; 2]) {
    nodes[0].handle(Duration::ZERO, Input::Timeout);
    let mut frames = [VecDeque::new(), VecDeque::new()];
    loop {
        for side in 0..2 {
            while let Some(output) = nodes[side].poll_output() {
                match output {
                    Output::Transmit { class, frame, .. } => {
                        let sent = Input::Sent { connection: LINK, class, bytes: frame.len() };
                        nodes[side].handle(Duration::ZERO, sent);
                        frames[1 - side].push_back(frame);
                    }
                    Output::Dial { dial, .. } => {
                        for (node, dial) in nodes.iter_mut().zip([Some(dial), None]) {
                            let (identity, channels, datagrams, max_frame) = (Identity::default(), 1, 0, None);
                            let connected =
                                Input::Connected { connection: LINK, dial, identity, channels, datagrams, max_frame };
                            node.handle(Duration::ZERO, connected);
                        }
                    }
                    _ => {}
                }
            }
        }
        let Some(side) = (0..2).find(|side| !frames[*side].is_empty()) else { return };
        let frame = frames[side].pop_front().unwrap();
        nodes[side].handle(Duration::ZERO, Input::Frame { connection: LINK, frame });
    }
}

/// One client wants `LIVE` filters, and another one instead of the oldest at each turn; from time to time a cover of all
/// of them comes and goes.
struct Churn {
    node: Node,
    now: Duration,
    live: VecDeque<TopicFilter>,
    turn: usize,
}

impl Churn {
    fn go(&mut self, changes: usize) {
        let cover = TopicFilter::new("fleet/#").unwrap();
        let end = self.turn + changes / 2;
        while self.turn < end {
            let filter = TopicFilter::new(format!("fleet/{}/temperature", self.turn)).unwrap();
            let mut step = vec![InterestChange::Added(filter.clone())];
            self.live.push_back(filter);
            if self.live.len() > LIVE {
                step.extend(self.live.pop_front().map(InterestChange::Removed));
            }
            match self.turn % 10_000 {
                5_000 => step.push(InterestChange::Added(cover.clone())),
                5_100 => step.push(InterestChange::Removed(cover.clone())),
                _ => {}
            }
            self.node.handle(self.now, Input::Interest(step));
            self.turn += 1;
            // 1,000 turns a second.
            self.now += Duration::from_millis(1);
            while self.node.poll_timeout().is_some_and(|due| due <= self.now) {
                self.node.handle(self.now, Input::Timeout);
                while self.node.poll_output().is_some() {}
            }
            while self.node.poll_output().is_some() {}
        }
    }
}

/// The log keeps its latest changes and no more; nothing waits for the peer that is away.
#[test]
fn a_link_that_is_down_costs_no_memory() {
    let changes = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => {
            eprintln!("NOTE: {CHANGES} changes; for ten million run with {VARIABLE}=10000000, best with --release");
            CHANGES
        }
    };
    let mut nodes = [node("us", "eu", &["memory://eu"]), node("eu", "us", &[])];
    exchange(&mut nodes);
    let status = nodes[1].links(Duration::ZERO).remove(0);
    assert_eq!((status.state, status.peers.len()), (LinkState::Live, 1));
    let [_, mut eu] = nodes;
    eu.handle(Duration::ZERO, Input::Lost { connection: LINK, reason: "cut".to_owned() });
    let mut churn = Churn { node: eu, now: Duration::ZERO, live: VecDeque::new(), turn: 0 };
    // Until the ring is full.
    churn.go(60_000);
    let start = Instant::now();
    let grown = measure(|| churn.go(changes));
    println!(
        "{changes} changes: {} bytes more, {} at most, in {:?}",
        grown.bytes_current,
        grown.bytes_max,
        start.elapsed()
    );
    assert!(grown.bytes_current < MOST, "the heap has grown by {} bytes", grown.bytes_current);
    // Not even for a while.
    assert!((grown.bytes_max as i64) < 16 * MOST, "{} bytes more at a time", grown.bytes_max);
    let status = churn.node.links(churn.now).remove(0);
    assert_eq!(status.peers[0].queued_bytes, 0);
    assert!(status.peers[0].announced.seq > (changes / 2) as u64, "{:?}", status.peers[0].announced);
}

/// A log that keeps all its changes is found.
#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_found() {
    link_core::mutant::set(Some(link_core::mutant::Mutant::EndlessRing));
    let found = std::panic::catch_unwind(a_link_that_is_down_costs_no_memory).is_err();
    link_core::mutant::set(None);
    assert!(found);
}
