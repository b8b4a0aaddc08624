use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use link_core::{
    interest::InterestChange,
    link::{ClusterName, NodeName, PeerStatus},
    node::{ConnectionId, Input, Node, NodeConfig, Output, Publisher},
    transport::{Class, Identity},
};

use super::cpu;
use crate::bench::{Failure, link};

/// Two nodes joined by nothing but their frames: `us` holds a copy of what `eu` wants.
pub struct Pair {
    us: Side,
    eu: Side,
    now: Duration,
    connection: ConnectionId,
    live_bytes: fn() -> i64,
}

/// What moved between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    /// Bytes of HELLO and READY, both ways.
    pub handshake: u64,
    /// Bytes of frames about routes, both ways.
    pub routes: u64,
    /// Bytes of all other frames, both ways.
    pub other: u64,
    /// Frames about routes.
    pub frames: u64,
    /// Flights, of either side, until `us` knew that it holds what `eu` wants.
    pub flights: u32,
}

struct Side {
    node: Node,
    transmits: VecDeque<(Class, Bytes)>,
    dials: VecDeque<link_core::node::DialId>,
    cpu: Duration,
    /// Heap that it holds.
    heap: i64,
}

impl Pair {
    /// Two nodes that have not met. `ring`: changes that `eu` keeps; `live_bytes`: of the heap of this process.
    ///
    /// # Errors
    /// None: the names are fit.
    pub fn new(ring: usize, live_bytes: fn() -> i64) -> Result<Self, Failure> {
        let us = Side::new("us", "eu", &["memory://eu".to_owned()], ring, 1)?;
        let eu = Side::new("eu", "us", &[], ring, 0)?;
        Ok(Self { us, eu, now: Duration::ZERO, connection: ConnectionId(0), live_bytes })
    }

    /// Ends the life of `eu`; another one begins, which wants nothing yet.
    ///
    /// # Errors
    /// None: the names are fit.
    pub fn restart(&mut self, ring: usize, starts: u64) -> Result<(), Failure> {
        self.eu = Side::new("eu", "us", &[], ring, starts)?;
        Ok(())
    }

    /// Changes what `eu` wants.
    pub fn change(&mut self, changes: Vec<InterestChange>) {
        self.eu.node.handle(self.now, Input::Interest(changes));
    }

    /// The same, and counts its CPU.
    pub fn timed_change(&mut self, changes: Vec<InterestChange>) {
        let start = cpu();
        self.change(changes);
        self.eu.cpu += cpu() - start;
    }

    /// Cuts the connection.
    pub fn cut(&mut self) {
        for side in [&mut self.us, &mut self.eu] {
            side.node.handle(self.now, Input::Lost { connection: self.connection, reason: "cut".to_owned() });
            side.drain(self.now, self.connection);
            side.transmits.clear();
        }
        self.connection.0 += 1;
    }

    /// Connects the two, and goes on until both know that `us` holds what `eu` wants.
    ///
    /// # Errors
    /// If that does not come.
    pub fn sync(&mut self) -> Result<Moved, Failure> {
        let dial = loop {
            self.us.drain(self.now, self.connection);
            match self.us.dials.pop_front() {
                Some(dial) => break dial,
                None => self.wait()?,
            }
        };
        for (side, dial) in [(&mut self.us, Some(dial)), (&mut self.eu, None)] {
            let (connection, identity) = (self.connection, Identity::default());
            side.node.handle(
                self.now,
                Input::Connected { connection, dial, identity, channels: 1, datagrams: 0, max_frame: None },
            );
        }
        self.settle()
    }

    /// Moves frames until `us` holds what `eu` wants and both know it, and then until nothing is left to say.
    ///
    /// # Errors
    /// If that does not come.
    pub fn settle(&mut self) -> Result<Moved, Failure> {
        let mut moved = Moved::default();
        let mut equal = false;
        for _ in 0..100_000 {
            let flew = self.fly(true, &mut moved);
            equal |= self.note(flew, equal, &mut moved);
            let back = self.fly(false, &mut moved);
            equal |= self.note(back, equal, &mut moved);
            match (flew || back, equal) {
                (true, _) => {}
                (false, true) => return Ok(moved),
                (false, false) => self.wait()?,
            }
        }
        Err("the two do not come to terms".into())
    }

    /// A handle for publishers at `us`.
    pub fn publisher(&self) -> Publisher {
        self.us.node.publisher()
    }

    /// CPU that `us` and `eu` took so far.
    pub fn cpu(&self) -> (Duration, Duration) {
        (self.us.cpu, self.eu.cpu)
    }

    /// Bytes on the heap that `us` holds.
    pub fn heap(&self) -> i64 {
        self.us.heap
    }

    /// Sends on what is due; both are at `now` then.
    pub fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        for side in [&mut self.us, &mut self.eu] {
            let start = cpu();
            side.node.handle(self.now, Input::Timeout);
            side.cpu += cpu() - start;
        }
    }

    fn note(&mut self, flew: bool, equal: bool, moved: &mut Moved) -> bool {
        moved.flights += u32::from(flew && !equal);
        !equal && self.is_equal()
    }

    /// Waits for the next deadline of either side.
    fn wait(&mut self) -> Result<(), Failure> {
        let deadlines = [&self.us, &self.eu].map(|side| side.node.poll_timeout());
        let next = deadlines.into_iter().flatten().min().ok_or("nobody has anything to do")?;
        self.advance(next);
        Ok(())
    }

    /// All that one side has to say reaches the other one; whether there was anything.
    fn fly(&mut self, from_us: bool, moved: &mut Moved) -> bool {
        let (from, to) = if from_us { (&mut self.us, &mut self.eu) } else { (&mut self.eu, &mut self.us) };
        let before = (self.live_bytes)();
        from.drain(self.now, self.connection);
        from.heap += (self.live_bytes)() - before;
        let any = !from.transmits.is_empty();
        loop {
            // What a side holds is what it made itself: the frame is copied on its way.
            let before = (self.live_bytes)();
            let Some((_, frame)) = from.transmits.pop_front() else { return any };
            let bytes = frame.len() as u64;
            match frame.first() {
                Some(1 | 2) => moved.handshake += bytes,
                Some(16..=31) => {
                    moved.routes += bytes;
                    moved.frames += 1;
                }
                _ => moved.other += bytes,
            }
            let mut copy = frame.to_vec();
            copy.shrink_to_fit();
            drop(frame);
            let copied = copy.capacity() as i64;
            from.heap += (self.live_bytes)() - before - copied;
            let (start, before) = (cpu(), (self.live_bytes)() - copied);
            to.node.handle(self.now, Input::Frame { connection: self.connection, frame: copy.into() });
            to.cpu += cpu() - start;
            to.heap += (self.live_bytes)() - before;
        }
    }

    fn is_equal(&self) -> bool {
        let (Some(us), Some(eu)) = (self.us.peer(self.now), self.eu.peer(self.now)) else { return false };
        us.in_sync && us.held == Some(eu.announced)
    }
}

impl Side {
    fn new(cluster: &str, peer: &str, servers: &[String], ring: usize, starts: u64) -> Result<Self, Failure> {
        let name = NodeName::new(&format!("{cluster}-1"))?;
        let mut config = NodeConfig::new(ClusterName::new(cluster)?, name);
        (config.route_ring, config.starts) = (ring, starts);
        let mut node = Node::new(config, [cluster.as_bytes()[0] ^ starts as u8; 32]);
        let link = link(peer, servers)?;
        node.create_link(Duration::ZERO, link)?;
        Ok(Self { node, transmits: VecDeque::new(), dials: VecDeque::new(), cpu: Duration::ZERO, heap: 0 })
    }

    /// Carries out what the node wants.
    fn drain(&mut self, now: Duration, connection: ConnectionId) {
        let start = cpu();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Dial { dial, .. } => self.dials.push_back(dial),
                Output::Transmit { class, frame, .. } => {
                    let bytes = frame.len();
                    self.transmits.push_back((class, frame));
                    self.node.handle(now, Input::Sent { connection, class, bytes });
                }
                Output::Deliver { peer, ticket, .. } => {
                    self.node.handle(now, Input::Delivered { peer, ticket, refused: None });
                }
                Output::CancelDial { .. } => self.dials.clear(),
                Output::Close { .. } | Output::Forget { .. } | Output::BarrierDone { .. } | Output::Changed { .. } => {}
            }
        }
        self.cpu += cpu() - start;
    }

    fn peer(&self, now: Duration) -> Option<PeerStatus> {
        self.node.links(now).pop()?.peers.pop()
    }
}
