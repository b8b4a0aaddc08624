//! The shell around [`Path`](crate::Path): namespaces, devices, threads.

mod namespace;
mod wire;

use std::{
    fs::OpenOptions,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

pub use namespace::Namespace;
use wire::Wire;

use crate::{Counts, Direction, Impairment, Missing, SetupError};

/// Addresses of the two ends. Each pair of namespaces is a world of its own, so all can have the same.
const ADDRESSES: [[u8; 4]; 2] = [[10, 77, 0, 1], [10, 77, 0, 2]];
const MTU: u16 = 1500;

/// Emulators that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Two namespaces and the wire between them.
///
/// Dropping it takes both down. Processes that run in them are their starter's to end.
pub struct Emulator {
    // Dropped in this order: the devices are closed before their namespaces go.
    to_b: Wire,
    to_a: Wire,
    a: Namespace,
    b: Namespace,
}

impl Emulator {
    /// Whether this machine can have an emulator: sets one up, if nothing simpler is missing.
    pub fn available() -> Result<(), Missing> {
        if !rustix::process::geteuid().is_root() {
            return Err(Missing::Root);
        }
        Command::new("ip").arg("-V").output().map_err(Missing::Ip)?;
        OpenOptions::new().read(true).write(true).open("/dev/net/tun").map_err(Missing::Tun)?;
        Ok(Self::new(0).map(drop)?)
    }

    /// Two new namespaces with a perfect wire between them. The seed decides what chance decides later.
    pub fn new(seed: u64) -> Result<Self, SetupError> {
        let name = format!("link-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let a = Namespace::new(format!("{name}a"), ADDRESSES[0].into())?;
        let b = Namespace::new(format!("{name}b"), ADDRESSES[1].into())?;
        let end_a = Arc::new(a.device(b.address(), MTU)?);
        let end_b = Arc::new(b.device(a.address(), MTU)?);
        let to_b = Wire::start(seed, Arc::clone(&end_a), Arc::clone(&end_b))?;
        let to_a = Wire::start(!seed, end_b, end_a)?;
        Ok(Self { to_b, to_a, a, b })
    }

    /// Replaces all settings of a direction.
    pub fn set(&self, direction: Direction, impairment: Impairment) {
        self.change(direction, |path| *path = impairment);
    }

    /// Changes some settings of a direction.
    pub fn change(&self, direction: Direction, change: impl Fn(&mut Impairment)) {
        if direction != Direction::BToA {
            self.to_b.change(&change);
        }
        if direction != Direction::AToB {
            self.to_a.change(&change);
        }
    }

    /// One end.
    pub fn a(&self) -> &Namespace {
        &self.a
    }

    /// The other end.
    pub fn b(&self) -> &Namespace {
        &self.b
    }

    /// What became of the packets from a to b, and of those from b to a.
    pub fn counts(&self) -> (Counts, Counts) {
        (self.to_b.counts(), self.to_a.counts())
    }
}
