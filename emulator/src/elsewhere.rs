//! What the library is where there is no Linux: it compiles, and says so.

use std::{convert::Infallible, net::Ipv4Addr, process::Command};

use crate::{Counts, Direction, Impairment, Missing, SetupError};

/// Two namespaces and the wire between them: on Linux only, so there is none here.
pub struct Emulator(Infallible);

/// A network namespace: on Linux only, so there is none here.
#[derive(Debug)]
pub struct Namespace(Infallible);

impl Emulator {
    /// Never.
    pub fn available() -> Result<(), Missing> {
        Err(Missing::Linux)
    }

    /// Fails.
    pub fn new(_seed: u64) -> Result<Self, SetupError> {
        Err(SetupError { step: "network namespaces".to_owned(), reason: Missing::Linux.to_string() })
    }

    /// Replaces all settings of a direction.
    pub fn set(&self, _: Direction, _: Impairment) {
        match self.0 {}
    }

    /// Changes some settings of a direction.
    pub fn change(&self, _: Direction, _: impl Fn(&mut Impairment)) {
        match self.0 {}
    }

    /// One end.
    pub fn a(&self) -> &Namespace {
        match self.0 {}
    }

    /// The other end.
    pub fn b(&self) -> &Namespace {
        match self.0 {}
    }

    /// What became of the packets.
    pub fn counts(&self) -> (Counts, Counts) {
        match self.0 {}
    }
}

impl Namespace {
    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        match self.0 {}
    }

    /// A command that runs `program` in the namespace.
    pub fn command(&self, _: impl AsRef<std::ffi::OsStr>) -> Command {
        match self.0 {}
    }

    /// Moves the calling thread into the namespace.
    pub fn enter(&self) -> std::io::Result<()> {
        match self.0 {}
    }
}
