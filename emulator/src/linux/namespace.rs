use std::{fs::File, net::Ipv4Addr, os::fd::AsFd, path::Path, process::Command, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::SetupError;

/// Name of the device in its namespace.
const DEVICE: &str = "wire";

/// A network namespace with one address, taken down when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
}

impl Namespace {
    pub(super) fn new(name: String, address: Ipv4Addr) -> Result<Self, SetupError> {
        ip(&["netns", "add", &name])?;
        let namespace = Self { name, address };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs `program` in the namespace. The process that it starts is the program itself: `ip` replaces
    /// itself by it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Moves the calling thread, and the threads that it starts later, into the namespace: for good, so call it in a
    /// thread of its own. Sockets that were opened before stay where they are.
    pub fn enter(&self) -> std::io::Result<()> {
        let file = File::open(Path::new("/run/netns").join(&self.name))?;
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Makes its device, made from within, with a route to `peer`.
    pub(super) fn device(&self, peer: Ipv4Addr, mtu: u16) -> Result<SyncDevice, SetupError> {
        let failed = |reason: String| SetupError { step: format!("a TUN device in {}", self.name), reason };
        let device = thread::scope(|scope| {
            let made = scope.spawn(|| {
                self.enter()?;
                DeviceBuilder::new().name(DEVICE).enable(false).build_sync()
            });
            made.join().map_err(|_| failed("the thread panicked".to_owned()))
        })?
        .map_err(|error| failed(error.to_string()))?;
        let (address, peer, mtu) = (self.address.to_string(), peer.to_string(), mtu.to_string());
        ip(&["-n", &self.name, "addr", "add", &address, "peer", &peer, "dev", DEVICE])?;
        // The queue of the path is the one that counts, so the device's never drops.
        ip(&["-n", &self.name, "link", "set", DEVICE, "mtu", &mtu, "txqueuelen", "10000", "up"])?;
        Ok(device)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and `ip netns` shows what is left.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), SetupError> {
    let failed = |reason| SetupError { step: format!("ip {}", arguments.join(" ")), reason };
    let output = Command::new("ip").args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
