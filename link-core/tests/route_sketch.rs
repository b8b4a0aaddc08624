//! Route sets that are compared by sketches: two nodes without a network, frames counted and looked at.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, NodeName, PeerStatus, ResyncMethod},
    node::{ConnectionId, Input, Node, NodeConfig, Output},
    routes::{Cell, RouteId},
    topic::TopicFilter,
    transport::{Class, Identity},
    wire::{Frame, Limits, decode, encode, kind},
};

/// Node 0, the reader, dials node 1, the writer.
struct Pair {
    nodes: [Node; 2],
    ring: usize,
    starts: u64,
    now: Duration,
    up: Option<[ConnectionId; 2]>,
    next: u32,
    under_way: [VecDeque<Bytes>; 2],
    /// What has crossed since the last connect: who sent it, its kind and length.
    seen: Vec<(usize, u8, usize)>,
    /// May change a frame on its way to a side, or lose it.
    on_the_way: Box<dyn FnMut(usize, Frame) -> Option<Frame>>,
    /// Wanted at each moment.
    always: Vec<String>,
    interest: BTreeSet<TopicFilter>,
}

const READER: usize = 0;
const WRITER: usize = 1;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text.to_owned()).unwrap()
}

/// The filters of devices with these numbers.
fn fleet(numbers: impl IntoIterator<Item = usize>) -> Vec<TopicFilter> {
    numbers.into_iter().map(|number| filter(&format!("fleet/{number:05}/temp"))).collect()
}

fn node(side: usize, ring: usize, starts: u64, interest: &BTreeSet<TopicFilter>) -> Node {
    let names = ["us", "eu"];
    let own = ClusterName::new(names[side]).unwrap();
    let mut config = NodeConfig::new(own, NodeName::new(&format!("{}-1", names[side])).unwrap());
    (config.route_ring, config.starts) = (ring, starts);
    let mut node = Node::new(config, [side as u8 + 3 * starts as u8; 32]);
    let mut link = LinkConfig::new(ClusterName::new(names[1 - side]).unwrap());
    link.topics = vec![filter("#")];
    if side == READER {
        link.servers = vec!["memory://eu".parse().unwrap()];
    }
    node.handle(Duration::ZERO, Input::Interest(interest.iter().cloned().map(InterestChange::Added).collect()));
    node.create_link(Duration::ZERO, link).unwrap();
    node
}

impl Pair {
    /// The writer keeps `ring` changes, and wants `filters`.
    fn new(ring: usize, filters: Vec<TopicFilter>) -> Self {
        let interest: BTreeSet<TopicFilter> = filters.into_iter().collect();
        let mut pair = Self {
            nodes: [node(READER, 8, 1, &BTreeSet::new()), node(WRITER, ring, 1, &interest)],
            ring,
            starts: 1,
            now: Duration::from_secs(1),
            up: None,
            next: 1,
            under_way: Default::default(),
            seen: Vec::new(),
            on_the_way: Box::new(|_, frame| Some(frame)),
            always: Vec::new(),
            interest,
        };
        pair.settle();
        pair
    }

    fn input(&mut self, side: usize, input: Input) {
        self.nodes[side].handle(self.now, input);
    }

    /// Everything under way arrives, and what that brings about, until nothing is left.
    fn run(&mut self) {
        loop {
            let output = (0..2).find_map(|side| Some((side, self.nodes[side].poll_output()?)));
            if let Some((side, output)) = output {
                self.output(side, output);
                continue;
            }
            let publisher = self.nodes[READER].publisher();
            for topic in &self.always {
                assert!(publisher.wants(topic), "{topic} is not wanted for a moment, after {:?}", self.seen);
            }
            let Some(side) = (0..2).find(|side| !self.under_way[*side].is_empty()) else { return };
            let frame = self.under_way[side].pop_front().unwrap();
            let Some(up) = self.up else { continue };
            let decoded = decode(frame, &Limits::default()).unwrap();
            if let Some(frame) = (self.on_the_way)(side, decoded) {
                self.input(side, Input::Frame { connection: up[side], frame: encode(&frame) });
            }
        }
    }

    fn output(&mut self, side: usize, output: Output) {
        match output {
            Output::Transmit { connection, class, frame } => {
                self.input(side, Input::Sent { connection, class, bytes: frame.len() });
                if self.up.is_some_and(|up| up[side] == connection) && class == Class::Control {
                    self.seen.push((side, frame[0], frame.len()));
                    self.under_way[1 - side].push_back(frame);
                }
            }
            Output::Close { connection } if self.up.is_some_and(|up| up[side] == connection) => self.cut(),
            Output::Dial { dial, .. } => {
                let up = [ConnectionId(self.next), ConnectionId(self.next + 1)];
                self.next += 2;
                self.up = Some(up);
                self.seen.clear();
                for (side, dial) in [(READER, Some(dial)), (WRITER, None)] {
                    let identity = Identity::default();
                    self.input(
                        side,
                        Input::Connected {
                            connection: up[side],
                            dial,
                            identity,
                            channels: 1,
                            datagrams: 0,
                            max_frame: None,
                        },
                    );
                }
            }
            _ => {}
        }
    }

    fn cut(&mut self) {
        let Some(up) = self.up.take() else { return };
        self.under_way = Default::default();
        for (side, connection) in up.into_iter().enumerate() {
            self.input(side, Input::Lost { connection, reason: "cut".to_owned() });
        }
    }

    /// Time goes by until both sides say that the routes are equal; then they are.
    #[track_caller]
    fn settle(&mut self) {
        let end = self.now + Duration::from_secs(60);
        self.run();
        while !(0..2).all(|side| self.peer(side).is_some_and(|peer| peer.state == LinkState::Live && peer.in_sync)) {
            assert!(self.now < end, "after {:?}: {:#?}", self.seen, self.nodes[READER].links(self.now));
            let due = (0..2).filter_map(|side| self.nodes[side].poll_timeout()).min().unwrap();
            self.now = self.now.max(due);
            (0..2).for_each(|side| self.input(side, Input::Timeout));
            self.run();
        }
        let publisher = self.nodes[READER].publisher();
        for filter in &self.interest {
            assert!(publisher.wants(filter.as_str()), "{filter} is wanted");
        }
        let held = self.peer(READER).unwrap().held.unwrap();
        assert_eq!(held.count, self.interest.len() as u64);
    }

    fn peer(&self, side: usize) -> Option<PeerStatus> {
        let mut link = self.nodes[side].links(self.now).remove(0);
        (!link.peers.is_empty()).then(|| link.peers.remove(0))
    }

    /// The writer's clients change what they want.
    fn change(&mut self, remove: Vec<TopicFilter>, add: Vec<TopicFilter>) {
        for filter in &remove {
            assert!(self.interest.remove(filter), "{filter}");
        }
        self.interest.extend(add.iter().cloned());
        let changes = remove.into_iter().map(InterestChange::Removed).chain(add.into_iter().map(InterestChange::Added));
        self.input(WRITER, Input::Interest(changes.collect()));
    }

    /// The writer's node starts again, with another key and nothing remembered.
    fn restart_writer(&mut self) {
        self.cut();
        self.starts += 1;
        self.nodes[WRITER] = node(WRITER, self.ring, self.starts, &self.interest);
    }

    fn method(&self) -> ResyncMethod {
        let [reader, writer] = [READER, WRITER].map(|side| self.peer(side).unwrap());
        let [read, written] = [reader.routes_in.resync.unwrap(), writer.routes_out.resync.unwrap()];
        assert_eq!(read.method, written.method, "both sides say the same");
        written.method
    }

    /// Frames of a kind, and their bytes.
    fn count(&self, kind: u8) -> (usize, usize) {
        let frames = self.seen.iter().filter(|(_, seen, _)| *seen == kind);
        frames.fold((0, 0), |(count, bytes), (_, _, length)| (count + 1, bytes + length))
    }

    /// Bytes that the routes cost, beside two HELLOs and a READY of the usual 200 bytes.
    fn bytes(&self) -> usize {
        let routes = kind::ROUTE_RESUME..=kind::ROUTE_DIFFERENCE;
        let greetings = self.seen.iter().filter(|(_, seen, length)| *seen <= kind::READY && *length > 200);
        let greetings: usize = greetings.map(|(_, _, length)| length - 200).sum();
        greetings
            + self.seen.iter().filter(|(_, seen, _)| routes.contains(seen)).map(|(.., length)| length).sum::<usize>()
    }
}

/// `n` routes of which `d / 2` go and as many come while the link is cut, and the writer keeps none of those changes.
fn after_a_cut(n: usize, d: usize) -> Pair {
    let mut pair = Pair::new(0, fleet(0..n));
    pair.always = fleet(d / 2..n).iter().map(|filter| filter.as_str().to_owned()).collect();
    pair.cut();
    pair.change(fleet(0..d / 2), fleet(n..n + d.div_ceil(2)));
    if d == 0 {
        // Something happened that left no trace but the seq.
        pair.change(Vec::new(), fleet([n]));
        pair.change(fleet([n]), Vec::new());
    }
    pair.settle();
    pair
}

#[test]
fn the_cost_follows_the_change_and_not_the_table() {
    // Most bytes, and how often more cells are asked for.
    for (d, bytes, requests) in [(0, 900, 0), (1, 950, 0), (10, 1_300, 0), (300, 10_000, 0), (1_000, 30_000, 1)] {
        let mut costs = Vec::new();
        for n in [4_000, 16_000] {
            let pair = after_a_cut(n, d);
            assert_eq!(pair.method(), ResyncMethod::Sketch, "d = {d}, n = {n}: {:?}", pair.seen);
            assert!(pair.bytes() <= bytes, "d = {d}, n = {n}: {} bytes, {:?}", pair.bytes(), pair.seen);
            assert!(pair.count(kind::ROUTE_NEED).0 <= requests, "d = {d}, n = {n}: {:?}", pair.seen);
            assert_eq!(pair.count(kind::ROUTE_SNAPSHOT), (0, 0));
            costs.push(pair.bytes() as f64);
        }
        assert!((costs[0] / costs[1] - 1.0).abs() < 0.25, "d = {d}: {costs:?}");
    }
}

#[test]
fn a_set_that_is_mostly_another_one_is_sent_whole() {
    for (n, d) in [(4_000, 3_000), (300, 250)] {
        let pair = after_a_cut(n, d);
        assert_eq!(pair.method(), ResyncMethod::Snapshot, "{:?}", pair.seen);
    }
    // And a small one without further ado.
    let pair = after_a_cut(100, 10);
    assert_eq!(pair.method(), ResyncMethod::Snapshot);
    assert_eq!(pair.count(kind::ROUTE_NEED), (0, 0));
}

#[test]
fn changes_that_are_kept_are_sent_as_they_are() {
    let mut pair = Pair::new(100, fleet(0..2_000));
    pair.cut();
    pair.settle();
    assert_eq!((pair.method(), pair.bytes()), (ResyncMethod::UpToDate, pair.count(kind::ROUTE_ACK).1));
    pair.cut();
    pair.change(fleet(0..20), fleet(2_000..2_020));
    pair.settle();
    assert_eq!(pair.method(), ResyncMethod::Tail);
}

/// As many changes as the writer keeps, and one less and more: the sets are equal without a second question.
#[test]
fn a_log_that_has_just_lost_what_is_needed_compares() {
    for (changes, method) in [(99, ResyncMethod::Tail), (100, ResyncMethod::Tail), (101, ResyncMethod::Sketch)] {
        let mut pair = Pair::new(100, fleet(0..2_000));
        pair.cut();
        pair.change(Vec::new(), fleet(2_000..2_000 + changes));
        pair.settle();
        assert_eq!((pair.method(), pair.count(kind::ROUTE_RESUME)), (method, (0, 0)), "{changes}: {:?}", pair.seen);
    }
}

/// Another life of the writer with another key: what the reader holds is compared under the new one.
#[test]
fn a_writer_that_starts_again_sends_what_is_new() {
    let mut pair = Pair::new(65_536, fleet(0..5_000));
    pair.always = fleet(5..5_000).iter().map(|filter| filter.as_str().to_owned()).collect();
    pair.interest = fleet(5..5_003).into_iter().chain(fleet(5..5_000)).collect();
    pair.restart_writer();
    pair.settle();
    assert_eq!(pair.method(), ResyncMethod::Sketch, "{:?}", pair.seen);
    assert!(pair.bytes() < 1_300, "{} bytes: {:?}", pair.bytes(), pair.seen);
}

/// A snapshot that broke off: what came of it is not sent again.
#[test]
fn a_snapshot_that_broke_off_is_completed() {
    let mut pair = Pair::new(65_536, Vec::new());
    pair.cut();
    pair.interest = fleet(0..20_000).into_iter().collect();
    pair.restart_writer();
    pair.on_the_way = Box::new(|_, frame| {
        let lost = matches!(&frame, Frame::RouteSnapshot(part) if part.last);
        (!lost).then_some(frame)
    });
    pair.run();
    let due = (0..2).filter_map(|side| pair.nodes[side].poll_timeout()).min().unwrap();
    pair.now = pair.now.max(due);
    (0..2).for_each(|side| pair.input(side, Input::Timeout));
    pair.run();
    let held = pair.nodes[READER].publisher();
    let came = fleet(0..20_000).iter().filter(|filter| held.wants(filter.as_str())).count();
    assert!((14_400..20_000).contains(&came), "{came}");
    pair.cut();
    pair.on_the_way = Box::new(|_, frame| Some(frame));
    pair.settle();
    assert_eq!(pair.method(), ResyncMethod::Sketch, "{came} had come: {:?}", pair.seen);
}

/// The set goes on to change while it is compared, by the cells that are kept or by others that are made for it.
#[test]
fn changes_during_a_comparison_are_not_lost() {
    for (n, d) in [(5_000, 650), (20_000, 2_500)] {
        let mut pair = Pair::new(100, fleet(0..n));
        pair.cut();
        pair.change(fleet(0..d), fleet(n..n + d));
        pair.change(fleet(n..n + 10), fleet(0..10));
        // The writer has asked for cells; before they come it changes again.
        let mut asked = 0;
        for _ in 0..200 {
            pair.run_once();
            if pair.count(kind::ROUTE_NEED).0 > asked {
                asked += 1;
                pair.change(fleet([d + 1_000 * asked]), fleet([2 * n + asked, 10 + asked]));
            }
        }
        assert!(asked > 0, "{:?}", pair.seen);
        pair.settle();
        assert_eq!(pair.method(), ResyncMethod::Sketch, "{:?}", pair.seen);
        assert_eq!(pair.count(kind::ROUTE_RESUME), (0, 0), "{:?}", pair.seen);
    }
}

impl Pair {
    /// One frame arrives, or the next deadline.
    fn run_once(&mut self) {
        while let Some((side, output)) = (0..2).find_map(|side| Some((side, self.nodes[side].poll_output()?))) {
            self.output(side, output);
        }
        if let Some(side) = (0..2).find(|side| !self.under_way[*side].is_empty()) {
            let frame = self.under_way[side].pop_front().unwrap();
            if let Some(up) = self.up {
                self.input(side, Input::Frame { connection: up[side], frame });
            }
        } else if self.up.is_none() {
            self.now = self.now.max((0..2).filter_map(|side| self.nodes[side].poll_timeout()).min().unwrap());
            (0..2).for_each(|side| self.input(side, Input::Timeout));
        }
    }
}

/// One id is another one.
fn lie(cell: &mut Cell) {
    let mut bytes = cell.to_bytes();
    bytes[3] ^= 1 << 4;
    *cell = Cell::from_bytes(bytes);
}

/// A carrier, or a peer, that changes a cell, an id or a filter: nothing wrong counts, and in the end the whole set comes.
#[test]
fn what_is_wrong_is_found_and_mended() {
    for what in 0..4 {
        let mut pair = Pair::new(0, fleet(0..5_000));
        pair.always = fleet(100..5_000).iter().map(|filter| filter.as_str().to_owned()).collect();
        pair.cut();
        pair.change(fleet(0..100), fleet(5_000..5_100));
        let mut left = 2;
        pair.on_the_way = Box::new(move |_, mut frame| {
            if left > 0 {
                match (&mut frame, what) {
                    (Frame::Ready(ready), 0) if !ready.cells.is_empty() => lie(&mut ready.cells[7]),
                    (Frame::RouteCells(cells), 0) => lie(&mut cells.cells[7]),
                    (Frame::RouteDifference(part), 1) => {
                        part.removes[3] = RouteId::from_number(part.removes[3].number() ^ 1)
                    }
                    (Frame::RouteDifference(part), 2) => part.adds[3] = filter("something/else"),
                    (Frame::RouteDifference(part), 3) => part.to.digest.0 ^= 1,
                    _ => return Some(frame),
                }
                left -= 1;
            }
            Some(frame)
        });
        pair.settle();
        assert_eq!(pair.method(), ResyncMethod::Snapshot, "{what}: {:?}", pair.seen);
        assert!(!pair.nodes[READER].publisher().wants("something/else"));
    }
}

/// First cells are 1,416 at most, whatever the peer says that it knows.
#[test]
fn a_reader_that_sends_too_many_cells_at_once_is_thrown_out() {
    for (cells, refused) in [(1_416, false), (1_417, true)] {
        let mut pair = Pair::new(0, fleet(0..5_000));
        pair.cut();
        pair.change(fleet(0..400), fleet(5_000..5_400));
        let (mut left, connections) = (1, pair.next / 2);
        pair.on_the_way = Box::new(move |_, mut frame| {
            if let Frame::Ready(ready) = &mut frame
                && !ready.cells.is_empty()
                && left > 0
            {
                left -= 1;
                ready.cells.resize(cells, ready.cells[0]);
            }
            Some(frame)
        });
        pair.settle();
        assert_eq!(pair.next / 2 - connections, 1 + u32::from(refused), "{cells}: {:?}", pair.seen);
    }
}

/// A writer that asks and asks, or for what can be of no use, costs little and is thrown out.
#[test]
fn a_writer_that_asks_for_cells_again_and_again_is_thrown_out() {
    let mut pair = Pair::new(100, fleet(0..2_000));
    let reader = pair.up.unwrap()[READER];
    let need = |first, count| encode(&Frame::RouteNeed(link_core::wire::RouteNeed { first, count, estimator: true }));
    pair.seen.clear();
    pair.input(READER, Input::Frame { connection: reader, frame: need(0, 1 << 22) });
    pair.on_the_way = Box::new(|_, frame| (!matches!(frame, Frame::RouteCells(_))).then_some(frame));
    pair.run();
    let (answers, bytes) = pair.count(kind::ROUTE_CELLS);
    assert!(answers == 1 && bytes < 11_000, "{answers} answers of {bytes} bytes");
    let mut asked = 1;
    while pair.up == Some([reader, ConnectionId(reader.0 + 1)]) && asked < 1_000 {
        pair.input(READER, Input::Frame { connection: reader, frame: need(0, 64) });
        pair.run();
        asked += 1;
    }
    assert!((20..100).contains(&asked), "{asked}");
}

/// Each deliberate bug of a comparison breaks a test.
#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_found() {
    use link_core::mutant::{Mutant, set};
    let found_by: [(Mutant, fn()); 4] = [
        (Mutant::UncheckedDifference, what_is_wrong_is_found_and_mended),
        (Mutant::RingBase, a_log_that_has_just_lost_what_is_needed_compares),
        (Mutant::SetOfNow, changes_during_a_comparison_are_not_lost),
        (Mutant::CellsOfNow, changes_during_a_comparison_are_not_lost),
    ];
    for (mutant, test) in found_by {
        set(Some(mutant));
        let found = std::panic::catch_unwind(test).is_err();
        set(None);
        assert!(found, "nothing finds {mutant:?}");
    }
}
