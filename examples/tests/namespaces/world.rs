//! Two regions, their clients, and the wire.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use emulator::{Emulator, Namespace};
use examples::two_regions::{Carrier, Certificates};

use crate::{
    clients::{Pace, Publisher, Subscriber, assert_exactly},
    process::Process,
};

/// Time for the link to come up again after a fault, and for what waited to arrive.
pub const HEALING: Duration = Duration::from_secs(30);
/// Time in which a duplicate would come.
const LULL: Duration = Duration::from_millis(700);
const PUBLISHERS: usize = 2;

/// `us` runs in namespace a, `eu` in namespace b and dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Us,
    Eu,
}

pub const SIDES: [Side; 2] = [Side::Us, Side::Eu];

impl Side {
    pub fn name(self) -> &'static str {
        if self == Self::Us { "us" } else { "eu" }
    }

    pub fn other(self) -> Self {
        if self == Self::Us { Self::Eu } else { Self::Us }
    }

    pub fn address(self) -> Ipv4Addr {
        if self == Self::Us { Ipv4Addr::new(10, 77, 0, 1) } else { Ipv4Addr::new(10, 77, 0, 2) }
    }

    pub fn namespace(self, net: &Emulator) -> &Namespace {
        if self == Self::Us { net.a() } else { net.b() }
    }

    /// Where its publishers publish.
    pub fn topics(self) -> &'static str {
        if self == Self::Us { "from/us" } else { "from/eu" }
    }

    fn start(self, net: &Emulator, trust: Option<&Trust>) -> Process {
        let dial = (self == Self::Eu).then(|| (Self::Us.address(), 1883).into());
        Process::start(self.namespace(net), self.name(), self.other().name(), dial, trust.map(|trust| &trust.0))
    }
}

/// Certificates of both regions, in a folder that goes with the value.
struct Trust(Certificates);

impl Trust {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("trust-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let certificates = Certificates::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let [us, eu] = SIDES.map(|side| side.name().parse().unwrap());
        certificates.make(&[&us, &eu]).unwrap();
        Self(certificates)
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        // Nothing reads what is left.
        let _ = fs::remove_dir_all(self.0.folder());
    }
}

/// Both regions with their clients, and the wire. `us` is first in every pair.
pub struct World {
    pub publishers: [Vec<Publisher>; 2],
    pub subscribers: [Option<Subscriber>; 2],
    pub regions: [Process; 2],
    pub net: Arc<Emulator>,
    trust: Option<Trust>,
    pace: Pace,
    name: &'static str,
    begin: Instant,
}

impl World {
    /// Brings all up over MQTT, and returns while publishers on both sides publish; `None`, and says so, if it can't be.
    pub fn start(name: &'static str, seed: u64, pace: Pace) -> Option<Self> {
        Self::over(Carrier::Mqtt, name, seed, pace)
    }

    /// The same, over this carrier.
    pub fn over(carrier: Carrier, name: &'static str, seed: u64, pace: Pace) -> Option<Self> {
        if let Err(missing) = Emulator::available() {
            eprintln!("\n!!! SKIPPED: {name}: no emulated network: {missing}\n");
            return None;
        }
        let (begin, net) = (Instant::now(), Arc::new(Emulator::new(seed).unwrap()));
        assert_eq!(SIDES.map(|side| side.namespace(&net).address()), SIDES.map(Side::address));
        let trust = (carrier == Carrier::Quic).then(Trust::new);
        let regions = SIDES.map(|side| side.start(&net, trust.as_ref()));
        let subscribers = SIDES.map(|side| Some(Subscriber::start(&net, side)));
        let mut world = Self { publishers: [vec![], vec![]], subscribers, regions, net, trust, pace, name, begin };
        for side in SIDES {
            world.region(side).until("live", HEALING);
            world.region(side).until_wanted(&format!("{}/x", side.topics()));
        }
        for side in SIDES {
            world.publish(side, 0);
        }
        thread::sleep(Duration::from_millis(500));
        Some(world)
    }

    pub fn region(&self, side: Side) -> &Process {
        &self.regions[side as usize]
    }

    /// Starts the region of a side that is gone.
    pub fn restart(&mut self, side: Side) {
        self.regions[side as usize] = side.start(&self.net, self.trust.as_ref());
    }

    /// Starts the publishers of a side.
    pub fn publish(&mut self, side: Side, first: u64) {
        let start = |n| Publisher::start(&self.net, side, &format!("{}-{n}", side.name()), self.pace, first);
        self.publishers[side as usize] = (0..PUBLISHERS).map(start).collect();
    }

    /// Waits until the link is live at both sides; gives how long it took.
    pub fn healed(&self) -> Duration {
        let begin = Instant::now();
        for side in SIDES {
            self.region(side).until("live", HEALING);
        }
        begin.elapsed()
    }

    /// Writes a line about how it goes.
    pub fn say(&self, line: impl std::fmt::Display) {
        eprintln!("{} {:.1} s: {line}", self.name, self.begin.elapsed().as_secs_f64());
    }

    /// Publishes on for a second, stops, and checks that each accepted message was received once and in order.
    pub fn finish(mut self) {
        thread::sleep(Duration::from_secs(1));
        let mut total = 0;
        for side in SIDES {
            let subscriber = self.subscribers[side.other() as usize].take().unwrap();
            let accepted: Vec<_> = std::mem::take(&mut self.publishers[side as usize])
                .into_iter()
                .map(|publisher| (publisher.id.clone(), publisher.stop()))
                .collect();
            for (publisher, count) in &accepted {
                assert!(*count > 50, "{publisher} had {count} messages accepted");
                subscriber.until(publisher, count - 1, HEALING);
            }
            thread::sleep(LULL);
            let received = subscriber.stop();
            assert_eq!(received.len(), accepted.len());
            for (publisher, count) in &accepted {
                assert_exactly(publisher, &received[publisher], 0..*count);
                total += count;
            }
        }
        self.say(format_args!("{total} messages, each received once and in order"));
    }
}
