//! Routes of one id: the digest tells, and both ends agree in the end.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{ConnectionId, Input, Node, NodeConfig, Output};
use crate::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, NodeName, PeerStatus, ResyncMethod},
    routes::narrow::MASK,
    topic::TopicFilter,
    transport::Identity,
    wire::kind,
};

/// `us` dials, and holds what `eu` wants.
struct Pair {
    nodes: [Node; 2],
    now: Duration,
    connection: u32,
    under_way: [VecDeque<Bytes>; 2],
    /// Kinds of the frames since the last connect.
    seen: Vec<u8>,
    wanted: BTreeSet<TopicFilter>,
}

impl Pair {
    fn new(seed: u8, ring: usize) -> Self {
        let node = |side: usize| {
            let names = ["us", "eu"];
            let own = ClusterName::new(names[side]).unwrap();
            let mut config = NodeConfig::new(own, NodeName::new(names[side]).unwrap());
            config.route_ring = ring;
            let mut node = Node::new(config, [seed ^ side as u8; 32]);
            let mut link = LinkConfig::new(ClusterName::new(names[1 - side]).unwrap());
            link.topics = vec![TopicFilter::new("#").unwrap()];
            link.servers = if side == 0 { vec!["memory://eu".parse().unwrap()] } else { Vec::new() };
            node.create_link(Duration::ZERO, link).unwrap();
            node
        };
        let nodes = [node(0), node(1)];
        let (under_way, wanted) = (Default::default(), BTreeSet::new());
        Self { nodes, now: Duration::ZERO, connection: 0, under_way, seen: Vec::new(), wanted }
    }

    fn change(&mut self, changes: Vec<InterestChange>) {
        for change in &changes {
            match change {
                InterestChange::Added(filter) => assert!(self.wanted.insert(filter.clone())),
                InterestChange::Removed(filter) => assert!(self.wanted.remove(filter)),
            }
        }
        self.nodes[1].handle(self.now, Input::Interest(changes));
    }

    fn cut(&mut self) {
        let connection = ConnectionId(self.connection);
        for node in &mut self.nodes {
            node.handle(self.now, Input::Lost { connection, reason: "cut".to_owned() });
        }
        self.under_way = Default::default();
        self.connection += 1;
        self.seen.clear();
    }

    /// Time goes by until both know that the sets are equal. `stays`: what has to be wanted all the time.
    fn settle(&mut self, stays: &BTreeSet<TopicFilter>) {
        let end = self.now + Duration::from_secs(60);
        loop {
            self.run();
            let publisher = self.nodes[0].publisher();
            let lost = stays.iter().find(|filter| !publisher.wants(filter.as_str()));
            assert_eq!(lost, None, "not wanted for a moment: {:?}", self.seen);
            if (0..2).all(|side| self.peer(side).is_some_and(|peer| peer.in_sync && peer.state == LinkState::Live)) {
                break;
            }
            assert!(self.now < end, "no end: {:?}", self.seen);
            self.now = self.nodes.iter().filter_map(Node::poll_timeout).min().unwrap().max(self.now);
            self.nodes.iter_mut().for_each(|node| node.handle(self.now, Input::Timeout));
        }
        let peer = self.nodes[0].peers.values().next().unwrap();
        let held: BTreeSet<_> = peer.replica.visible(&self.nodes[0].table).into_iter().collect();
        assert_eq!(held, self.wanted, "{:?}", self.seen);
    }

    fn run(&mut self) {
        loop {
            let connection = ConnectionId(self.connection);
            let mut idle = true;
            for side in 0..2 {
                while let Some(output) = self.nodes[side].poll_output() {
                    idle = false;
                    match output {
                        Output::Transmit { class, frame, .. } => {
                            let bytes = frame.len();
                            self.seen.push(frame[0]);
                            self.under_way[1 - side].push_back(frame);
                            self.nodes[side].handle(self.now, Input::Sent { connection, class, bytes });
                        }
                        Output::Dial { dial, .. } => {
                            for (node, dial) in self.nodes.iter_mut().zip([Some(dial), None]) {
                                let (identity, channels, datagrams, max_frame) = (Identity::default(), 1, 0, None);
                                let up =
                                    Input::Connected { connection, dial, identity, channels, datagrams, max_frame };
                                node.handle(self.now, up);
                            }
                        }
                        Output::Close { connection: closed } if closed == connection => {
                            panic!("closed: {:?}", self.seen)
                        }
                        _ => {}
                    }
                }
                if let Some(frame) = self.under_way[side].pop_front() {
                    idle = false;
                    self.nodes[side].handle(self.now, Input::Frame { connection, frame });
                }
            }
            if idle {
                return;
            }
        }
    }

    fn peer(&self, side: usize) -> Option<PeerStatus> {
        self.nodes[side].links(self.now).pop()?.peers.pop()
    }
}

/// 600 routes with ids of 12 bits: 44 pairs have one id. While the link is cut some go and others come, again and again.
#[test]
fn routes_of_one_id_are_told_apart_in_the_end() {
    MASK.set(0xfff);
    let filter = |number: usize| TopicFilter::new(format!("fleet/{number}")).unwrap();
    let (mut by_sketch, mut by_snapshot, mut faults) = (0, 0, 0);
    for seed in 0..8 {
        let mut pair = Pair::new(seed, 0);
        pair.change((0..600).map(|number| InterestChange::Added(filter(number))).collect());
        pair.settle(&BTreeSet::new());
        for round in 0..25 {
            pair.cut();
            // Few enough to be found by the first cells, or more.
            let count = if round % 5 == 4 { 20 } else { 2 };
            let first = round * 20;
            let goes = (first..first + count).map(|number| InterestChange::Removed(filter(number)));
            let comes = (first..first + count).map(|number| InterestChange::Added(filter(1_000 + number)));
            let before = pair.wanted.clone();
            pair.change(goes.chain(comes).collect());
            let stays = before.intersection(&pair.wanted).cloned().collect();
            pair.settle(&stays);
            match pair.peer(1).unwrap().routes_out.resync.unwrap().method {
                ResyncMethod::Sketch => by_sketch += 1,
                ResyncMethod::Snapshot => by_snapshot += 1,
                other => panic!("{other:?}"),
            }
            faults += pair.seen.iter().filter(|seen| **seen == kind::ROUTE_RESUME).count();
        }
    }
    MASK.set(u64::MAX);
    // Where no two of one id are concerned sketches do; where they are the digest says so, and the whole set comes.
    assert!(by_sketch > 50 && by_snapshot > 5 && faults >= by_snapshot, "{by_sketch} {by_snapshot} {faults}");
}
