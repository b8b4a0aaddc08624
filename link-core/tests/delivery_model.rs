//! Both ends of a link over a connection that is cut at any point: exactly once, in order, nothing lost, and ledgers
//! that agree to the message.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    delivery::{Budget, Inbox, Outbox, Overflow, Received, cost},
    message::QoS,
    wire::{Ack, Batch, Frame, Limits, RefusedReason, decode},
};
use proptest::prelude::*;

const LIMIT: u64 = 6_000;
const WINDOW: usize = 2_000;
const MAX_FRAME: usize = 700;
const TARGET: usize = 600;
const LANES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Push { publisher: u8, qos: QoS, size: usize, ttl: Option<u64> },
    Fill(usize),
    CarryBatches { lane: usize, count: usize },
    CarryAcks(usize),
    Host { lane: usize, count: usize },
    Acknowledge,
    Cut,
    Reconnect { noticed: bool },
    Sweep(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    let step = prop_oneof![
        12 => (0u8..6, qos, 16usize..720, prop::option::weighted(0.3, 0u64..5_000))
            .prop_map(|(publisher, qos, size, ttl)| Step::Push { publisher, qos, size, ttl }),
        5 => (1usize..5).prop_map(Step::Fill),
        5 => (0..LANES, 1usize..4).prop_map(|(lane, count)| Step::CarryBatches { lane, count }),
        4 => (1usize..4).prop_map(Step::CarryAcks),
        4 => (0..LANES, 1usize..6).prop_map(|(lane, count)| Step::Host { lane, count }),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::Cut),
        2 => any::<bool>().prop_map(|noticed| Step::Reconnect { noticed }),
        1 => (1usize..20).prop_map(Step::Sweep),
        2 => (1u64..2_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..250)
}

/// What the model knows of one accepted message.
struct Sent {
    publisher: u8,
    /// Nothing but the host may keep it from arriving.
    sure: bool,
}

struct World {
    now: Duration,
    up: bool,
    overflow: Overflow,
    budget: Arc<Budget>,
    outbox: Outbox,
    inbox: Inbox,
    batches: Vec<VecDeque<Batch>>,
    acks: VecDeque<Ack>,
    /// The host's queue of each lane.
    host: Vec<VecDeque<(u64, u64)>>,
    accepted: BTreeMap<u64, Sent>,
    arrived: BTreeSet<u64>,
    last_of: BTreeMap<u8, u64>,
    next_id: u64,
}

impl World {
    fn new(overflow: Overflow) -> Self {
        let budget = Arc::new(Budget::new(LIMIT, overflow));
        Self {
            now: Duration::ZERO,
            up: false,
            overflow,
            outbox: Outbox::new(LANES as u8, Arc::clone(&budget)),
            budget,
            inbox: Inbox::new(WINDOW),
            batches: vec![VecDeque::new(); LANES],
            acks: VecDeque::new(),
            host: vec![VecDeque::new(); LANES],
            accepted: BTreeMap::new(),
            arrived: BTreeSet::new(),
            last_of: BTreeMap::new(),
            next_id: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push { publisher, qos, size, ttl } => self.push(publisher, qos, size, ttl),
            Step::Fill(count) => {
                for _ in 0..count {
                    self.fill();
                }
            }
            Step::CarryBatches { lane, count } => {
                for _ in 0..count {
                    self.carry_batch(lane);
                }
            }
            Step::CarryAcks(count) => {
                for ack in self.acks.drain(..count.min(self.acks.len())) {
                    self.outbox.ack(&ack).unwrap();
                }
            }
            Step::Host { lane, count } => {
                for _ in 0..count {
                    if let Some((seq, id)) = self.host[lane].pop_front() {
                        let refused = id.is_multiple_of(11).then_some(RefusedReason::Host);
                        self.inbox.finish(lane as u8, seq, refused);
                    }
                }
            }
            // Also while the link is down: then they are lost, as on a connection that breaks under them.
            Step::Acknowledge => {
                self.acks.extend(self.inbox.acks());
                if !self.up {
                    self.acks.clear();
                }
            }
            Step::Cut => {
                self.lose();
                self.outbox.link_down();
                self.up = false;
            }
            Step::Reconnect { noticed } => {
                if noticed {
                    self.step(&Step::Cut);
                }
                self.lose();
                self.inbox.resume(&self.outbox.bases());
                self.outbox.resume(Some(&self.inbox.watermarks()), WINDOW, MAX_FRAME).unwrap();
                self.up = true;
            }
            Step::Sweep(max) => self.outbox.sweep(self.now, max),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
        self.check();
    }

    fn push(&mut self, publisher: u8, qos: QoS, size: usize, ttl: Option<u64>) {
        if !self.budget.try_reserve(cost(size)) {
            return;
        }
        self.next_id += 1;
        let mut body = vec![0; size];
        body[..8].copy_from_slice(&self.next_id.to_le_bytes());
        let sure =
            qos != QoS::AtMostOnce && ttl.is_none() && size < MAX_FRAME - 100 && self.overflow != Overflow::DropOldest;
        self.accepted.insert(self.next_id, Sent { publisher, sure });
        let expires = ttl.map(|millis| self.now + Duration::from_millis(millis));
        self.outbox.push(publisher % LANES as u8, qos, Bytes::from(body), expires, self.now, self.up);
        assert!(self.budget.used() <= LIMIT || self.overflow != Overflow::Refuse);
    }

    fn fill(&mut self) -> bool {
        if !self.up {
            return false;
        }
        let Some((lane, frame)) = self.outbox.fill(self.now, TARGET, |_| true) else { return false };
        assert!(frame.len() <= MAX_FRAME);
        let Frame::Batch(batch) = decode(frame, &Limits::default()).unwrap() else { panic!("not a batch") };
        assert!(batch.lane == lane && !batch.entries.is_empty());
        self.batches[usize::from(lane)].push_back(batch);
        true
    }

    fn carry_batch(&mut self, lane: usize) {
        let Some(batch) = self.batches[lane].pop_front() else { return };
        let Self { inbox, host, arrived, last_of, accepted, .. } = self;
        let mut malformed = Vec::new();
        let take = |message: Received| {
            assert_ne!(message.expiry, Some(0), "an expired message was sent");
            let id = u64::from_le_bytes(message.body[..8].try_into().unwrap());
            let publisher = accepted[&id].publisher;
            assert!(arrived.insert(id), "message {id} came twice");
            assert!(last_of.insert(publisher, id).is_none_or(|last| last < id), "message {id} overtook one before");
            if id.is_multiple_of(13) {
                malformed.push(message.seq);
            } else {
                host[lane].push_back((message.seq, id));
            }
        };
        inbox.receive(batch, take).unwrap();
        for seq in malformed {
            inbox.finish(lane as u8, seq, Some(RefusedReason::Malformed));
        }
    }

    fn lose(&mut self) {
        self.batches.iter_mut().for_each(VecDeque::clear);
        self.acks.clear();
    }

    fn check(&self) {
        let (sent, received) = (self.outbox.ledger(), self.inbox.ledger());
        assert!(sent.balances(), "{sent:?}");
        assert!(received.balances(), "{received:?}");
        assert!(self.budget.used() <= 2 * LIMIT);
        assert_eq!(received.duplicates, 0, "what the receiver has is never sent again");
        assert_eq!(received.lost_by_rollback, 0);
    }

    /// Heals the link and lets everything run out.
    fn finish(&mut self) {
        self.step(&Step::Reconnect { noticed: true });
        loop {
            let mut moved = self.fill();
            for lane in 0..LANES {
                moved |= !self.batches[lane].is_empty() || !self.host[lane].is_empty();
                self.step(&Step::CarryBatches { lane, count: 9 });
                self.step(&Step::Host { lane, count: 9 });
            }
            self.step(&Step::Acknowledge);
            moved |= !self.acks.is_empty();
            self.step(&Step::CarryAcks(99));
            if !moved {
                break;
            }
        }
        let (sent, received) = (self.outbox.ledger(), self.inbox.ledger());
        assert_eq!((sent.queued, sent.in_flight, received.pending), (0, 0, 0));
        assert_eq!(sent.accepted, self.accepted.len() as u64);
        assert_eq!(sent.delivered, received.delivered);
        assert_eq!(sent.dropped.malformed + sent.dropped.refused_by_host, received.refused);
        assert_eq!(received.received, self.arrived.len() as u64);
        assert_eq!(self.budget.used(), 0);
        for (id, message) in &self.accepted {
            assert!(!message.sure || self.arrived.contains(id), "message {id} was lost");
        }
    }
}

fn run(overflow: Overflow, steps: &[Step]) {
    let mut world = World::new(overflow);
    for step in steps {
        world.step(step);
    }
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn refuse(steps in steps()) {
        run(Overflow::Refuse, &steps);
    }

    #[test]
    fn drop_oldest_qos0(steps in steps()) {
        run(Overflow::DropOldestQos0, &steps);
    }

    #[test]
    fn drop_oldest(steps in steps()) {
        run(Overflow::DropOldest, &steps);
    }
}
