use std::time::Duration;

use link_core::{delivery::Overflow, routes::Covering};

/// The numbers of a world: what the links are set to, and how good network and hosts are while nothing is wrong.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Heartbeat of every link.
    pub heartbeat: Duration,
    /// First pause between two attempts to connect.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_max: Duration,
    /// Most time for a dial and for a handshake.
    pub connect_timeout: Duration,
    /// Most bytes that wait for one peer.
    pub queue_bytes: u64,
    /// What happens at that limit.
    pub overflow: Overflow,
    /// Most bytes of messages under way to a node.
    pub window: u32,
    /// Most bytes of a frame that a node takes.
    pub max_frame: u32,
    /// Lanes of a node.
    pub lanes: u8,
    /// Data channels of a connection.
    pub channels: u16,
    /// Most bytes of a datagram; 0: links have none.
    pub datagrams: usize,
    /// Changes that a route log keeps.
    pub route_ring: usize,
    /// From so many routes on sets are compared by sketches.
    pub sketch_from: usize,
    /// Most routes of one peer.
    pub max_routes: usize,
    /// How long a peer that is away is remembered.
    pub retention: Duration,
    /// Time of a frame from one node to another.
    pub delay: Duration,
    /// What chance adds to it, at most.
    pub jitter: Duration,
    /// Bytes per second of each class of a connection, in each direction.
    pub rate: u64,
    /// Time that a host takes for one message.
    pub host: Duration,
    /// Every so manieth message is refused by the hosts; 0: none.
    pub refuse_every: u64,
    /// How fast covering follows what is wanted.
    pub covering: Covering,
    /// How long a node that has started announces additions only. Unless it is zero its host reports the sessions of durable
    /// clients some time after the start.
    pub warm_up: Duration,
    /// Filters of a device fleet that each node has from the beginning, of about 1,500 bytes each.
    pub fleet: usize,
}

impl Settings {
    /// Quick links over a good network.
    pub const USUAL: Self = Self {
        heartbeat: Duration::from_secs(5),
        retry_first: Duration::from_millis(200),
        retry_max: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        queue_bytes: 64 << 20,
        overflow: Overflow::Refuse,
        window: 4 << 20,
        max_frame: 16 << 20,
        lanes: 8,
        channels: 1,
        datagrams: 0,
        route_ring: 65_536,
        sketch_from: 256,
        max_routes: 10_000,
        retention: Duration::from_secs(24 * 3600),
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        rate: 12_500_000,
        host: Duration::from_micros(200),
        refuse_every: 0,
        covering: Covering { stable: Duration::from_secs(1), per_second: 1000 },
        warm_up: Duration::ZERO,
        fleet: 0,
    };

    /// Small limits: rings, windows and queues are full in no time.
    pub const TIGHT: Self = Self {
        heartbeat: Duration::from_secs(1),
        retry_max: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(3),
        queue_bytes: 16 << 10,
        window: 2 << 10,
        lanes: 2,
        channels: 3,
        datagrams: 1200,
        route_ring: 6,
        sketch_from: 0,
        covering: Covering { stable: Duration::from_millis(500), per_second: 11 },
        jitter: Duration::from_millis(30),
        host: Duration::from_millis(5),
        ..Self::USUAL
    };

    /// A far peer behind a thin line, with a route set of many parts.
    pub const FAR: Self = Self {
        heartbeat: Duration::from_secs(2),
        retry_max: Duration::from_secs(10),
        delay: Duration::from_millis(150),
        jitter: Duration::from_millis(20),
        rate: 125_000,
        channels: 2,
        window: 64 << 10,
        fleet: 100,
        ..Self::USUAL
    };

    /// A time in which a frame of control has surely arrived, where nothing is wrong.
    pub fn flight(&self) -> Duration {
        self.delay + self.jitter + self.written(64 << 10)
    }

    /// The time to write that many bytes of one class.
    pub fn written(&self, bytes: usize) -> Duration {
        Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / self.rate.max(1))
    }

    /// The window after which a peer must know what a node wants, and what it no longer wants, counted from the moment at
    /// which that began, or at which the connection became good, whichever is later.
    pub fn news(&self) -> Duration {
        self.flight() * 4 + self.written(self.fleet * 1600 * 2) + Duration::from_millis(100)
    }

    /// How long what nobody wants any more stays announced at most: a cover for what it hid to be announced first, and
    /// anything while its node is warming up.
    pub fn linger(&self) -> Duration {
        // Clients, and what their filters make with each of some topics.
        let hidden = 64 + self.fleet as u32;
        Duration::from_millis(100) * (hidden / (self.covering.per_second / 11).max(1) + 1) + self.warm_up
    }

    /// The time after the last fault within which every link is live and both route sets of each are equal.
    pub fn heal(&self) -> Duration {
        // A half that hears nothing, a handshake that hangs, the longest pause, and the routes.
        self.heartbeat * 4 + (self.connect_timeout + self.retry_max) * 3 + self.news() * 4 + self.warm_up
    }
}
