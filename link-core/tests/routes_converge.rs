//! A writer and a reader over a network that loses, repeats and reorders, with cut connections, new lives and new
//! keys. The network here is worse than a connection: it delivers late frames of earlier connections too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod routes_model;

use link_core::{
    index::FilterIndex,
    routes::{Resume, RouteFault, RouteReplica, SnapshotCursor},
    topic::TopicFilter,
    wire::{Incarnation, RouteDelta, RouteOp, RoutePosition, RouteSnapshot},
};
use proptest::prelude::*;
use routes_model::*;

#[derive(Debug, Clone)]
enum Step {
    Toggle(Vec<TopicFilter>),
    Imports(Vec<TopicFilter>),
    /// The writer sends what is due, at most so many frames of so many bytes.
    Send(usize, usize),
    /// The frame at that place of the queue arrives; `true` leaves it there, to arrive again.
    Deliver(prop::sample::Index, bool),
    /// The frames arrive in order, so many.
    Flow(usize),
    Lose(prop::sample::Index),
    /// `true`: what was under way is gone.
    Reconnect(bool),
    /// A new life, in which every so manieth filter is lost; `true` with a new key.
    Restart(usize, bool),
    /// The set of a frame is replaced by another: a writer that went wrong.
    Corrupt(prop::sample::Index),
}

#[derive(Debug, Clone)]
enum Frame {
    Delta(RouteDelta),
    Part(RouteSnapshot),
}

/// Small, so that peers fall out of it.
const RING: usize = 12;

struct World {
    writer: Writer,
    sent: u64,
    snapshot: Option<SnapshotCursor>,
    network: Vec<Frame>,
    replica: RouteReplica<u32>,
    index: FilterIndex<u32>,
    table: Table,
    highest: Option<(Incarnation, u64)>,
    refused: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            writer: Writer::new(log(&["#"], RING)),
            sent: 0,
            snapshot: None,
            network: Vec::new(),
            replica: RouteReplica::new(1, 1000),
            index: FilterIndex::new(7),
            table: Table::default(),
            highest: None,
            refused: 0,
        };
        world.reconnect();
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Toggle(filters) => self.writer.toggle(&filters),
            Step::Imports(imports) => self.writer.set_imports(imports),
            Step::Send(frames, bytes) => {
                for _ in 0..frames {
                    self.send(bytes);
                }
            }
            Step::Deliver(at, again) if !self.network.is_empty() => {
                let at = at.index(self.network.len());
                let frame = if again { self.network[at].clone() } else { self.network.remove(at) };
                self.deliver(frame);
            }
            Step::Flow(count) => {
                for _ in 0..count.min(self.network.len()) {
                    let frame = self.network.remove(0);
                    self.deliver(frame);
                }
            }
            Step::Lose(at) if !self.network.is_empty() => drop(self.network.remove(at.index(self.network.len()))),
            Step::Reconnect(clean) => {
                if clean {
                    self.network.clear();
                }
                self.reconnect();
            }
            Step::Restart(lost, new_key) => {
                let mut at = 0;
                let key = if new_key {
                    key(at as u8 + self.writer.log.key().0[0].wrapping_add(1))
                } else {
                    *self.writer.log.key()
                };
                let kept = |_: &TopicFilter| {
                    at += 1;
                    at % (lost + 1) != 0
                };
                self.writer.restart(key, kept, RING);
                self.reconnect();
            }
            Step::Corrupt(at) if !self.network.is_empty() => {
                let at = at.index(self.network.len());
                match &mut self.network[at] {
                    Frame::Delta(delta) => delta.ops.push(RouteOp::Add(filter("corrupt"))),
                    Frame::Part(part) => part.filters.push(filter("corrupt")),
                }
            }
            _ => {}
        }
        self.check();
    }

    /// HELLO both ways.
    fn reconnect(&mut self) {
        self.replica.set_key(&mut self.index, *self.writer.log.key());
        self.replica.interrupted();
        self.resume();
    }

    fn resume(&mut self) {
        self.snapshot = None;
        match self.writer.log.resume(self.replica.position().as_ref()) {
            Resume::UpToDate => self.sent = self.writer.log.position().seq,
            Resume::Tail { from } => self.sent = from,
            Resume::Snapshot => self.snapshot = Some(self.writer.log.snapshot()),
        }
    }

    fn send(&mut self, bytes: usize) -> bool {
        if let Some(snapshot) = &mut self.snapshot {
            let Some(part) = snapshot.next_part(&self.writer.log, bytes) else {
                self.snapshot = Some(self.writer.log.snapshot());
                return true;
            };
            if part.last {
                self.sent = part.to.seq;
                self.snapshot = None;
            }
            self.network.push(Frame::Part(part));
            return true;
        }
        if self.sent == self.writer.log.position().seq {
            return false;
        }
        match self.writer.log.since(self.sent, bytes) {
            Some(delta) => {
                self.sent = delta.to.seq;
                self.network.push(Frame::Delta(delta));
            }
            None => self.snapshot = Some(self.writer.log.snapshot()),
        }
        true
    }

    fn deliver(&mut self, frame: Frame) {
        let result = match frame {
            Frame::Delta(delta) => self.replica.apply_delta(&mut self.index, &delta),
            Frame::Part(part) => self.replica.apply_snapshot(&mut self.index, part),
        };
        match result {
            Ok(changes) => self.table.take(changes),
            Err(fault) => {
                self.refused += 1;
                let visible: Set = self.replica.visible(&self.index).into_iter().collect();
                assert_eq!(visible, self.table.0, "{fault} has changed what counts");
                assert!(!matches!(fault, RouteFault::TooMany { .. } | RouteFault::NoKey), "{fault}");
                if fault.is_fatal() { self.reconnect() } else { self.resume() }
            }
        }
    }

    fn check(&mut self) {
        let visible: Set = self.replica.visible(&self.index).into_iter().collect();
        assert_eq!(visible.len(), self.replica.visible(&self.index).len(), "each filter counts once");
        assert_eq!(visible, self.table.0, "the changes lead to what counts");
        let Some(held) = self.replica.position() else { return };
        // I1 and I9: what is held is the writer's set at that point, whole.
        let set = self.writer.at(&held);
        assert_eq!(held.count, set.len() as u64);
        assert!(visible.is_superset(set), "a certified route does not count: {visible:?} for {set:?}");
        // I5: never back.
        let point = (held.incarnation, held.seq);
        assert!(self.highest.is_none_or(|highest| highest <= point), "back from {:?} to {point:?}", self.highest);
        self.highest = Some(point);
    }

    /// I3: a lossless round after quiescence makes both sets equal.
    fn settle(&mut self) {
        self.network.clear();
        self.reconnect();
        for _ in 0..3 {
            while self.send(16) {
                while !self.network.is_empty() {
                    let frame = self.network.remove(0);
                    self.deliver(frame);
                    self.check();
                }
            }
        }
        assert_eq!(self.replica.position(), Some(self.writer.log.position()));
        assert!(!self.replica.is_loading());
        assert_eq!(self.table.0, self.writer.now());
    }
}

fn some() -> impl Strategy<Value = Vec<TopicFilter>> {
    prop::collection::vec(filters(), 1..5)
}

fn steps() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => some().prop_map(Step::Toggle),
        1 => some().prop_map(Step::Imports),
        6 => (1usize..6, 0usize..30).prop_map(|(frames, bytes)| Step::Send(frames, bytes)),
        5 => (index(), any::<bool>()).prop_map(|(at, again)| Step::Deliver(at, again)),
        5 => (1usize..8).prop_map(Step::Flow),
        2 => index().prop_map(Step::Lose),
        2 => any::<bool>().prop_map(Step::Reconnect),
        1 => (0usize..4, any::<bool>()).prop_map(|(lost, key)| Step::Restart(lost, key)),
        1 => index().prop_map(Step::Corrupt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_ends_agree_whatever_the_network_does(steps in prop::collection::vec(steps(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
    }

    /// On a connection that keeps its order, nothing is ever refused: each frame that is sent is a right one.
    #[test]
    fn in_order_nothing_is_refused(steps in prop::collection::vec(steps(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            let step = match step {
                Step::Deliver(..) | Step::Lose(_) | Step::Corrupt(_) => Step::Flow(2),
                Step::Reconnect(_) => Step::Reconnect(true),
                Step::Restart(..) => { world.network.clear(); step }
                step => step,
            };
            world.step(step);
        }
        prop_assert_eq!(world.refused, 0);
        world.settle();
        prop_assert_eq!(world.refused, 0);
    }

    /// I4: the frames of one history, in any order and any number, lead to a set of that history, and to its end where
    /// none is missing.
    #[test]
    fn deltas_in_any_order(
        calls in prop::collection::vec(some(), 1..12), bytes in 0usize..30,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut writer = Writer::new(log(&["#"], 1000));
        let (mut replica, mut index) = (RouteReplica::new(1, 1000), FilterIndex::new(7));
        replica.set_key(&mut index, key(1));
        let mut table = Table::default();
        table.take(replica.apply_snapshot(&mut index, writer.log.snapshot().next_part(&writer.log, 0).unwrap()).unwrap());
        let mut deltas = Vec::new();
        for call in calls {
            let from = writer.log.position().seq;
            writer.toggle(&call);
            let mut at = from;
            while at < writer.log.position().seq {
                let delta = writer.log.since(at, bytes).unwrap();
                at = delta.to.seq;
                deltas.push(delta);
            }
            // And longer ones, that overlap.
            deltas.extend(writer.log.since(from / 2, usize::MAX));
        }
        let mut take = |delta: &RouteDelta, held: RoutePosition| {
            let result = replica.apply_delta(&mut index, delta);
            match &result {
                Ok(_) => assert!(delta.from <= held.seq),
                Err(fault) => assert_eq!(*fault, RouteFault::Gap { from: delta.from, held: held.seq }),
            }
            table.take(result.unwrap_or_default());
            let now = replica.position().unwrap();
            assert_eq!(&table.0, writer.at(&now));
            now
        };
        let mut held = RoutePosition { incarnation: life(1), ..RoutePosition::default() };
        for index in order {
            held = take(&deltas[index.index(deltas.len())], held);
        }
        for delta in &deltas {
            held = take(delta, held);
        }
        prop_assert_eq!(held, writer.log.position());
    }
}
