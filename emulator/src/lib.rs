//! Two network namespaces with a bad network between them.
//!
//! ```text
//!  namespace a                        this process                        namespace b
//!  10.77.0.1 -- TUN device --read--> [ path a to b ] --write--> TUN device -- 10.77.0.2
//!                          <--write- [ path b to a ] <--read---
//! ```
//! What runs in a namespace is real: processes, sockets, the kernel's TCP. Only the wire is emulated, in user space, so
//! that it needs no `netem` in the kernel: [`Path`] is a pure function of time, packets and a seed.
//!
//! It needs Linux, root, `/dev/net/tun` and `ip`; [`Emulator::available`] says what is missing.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use emulator::{Direction, Emulator, Impairment};
//!
//! let net = Emulator::new(7)?;
//! net.set(Direction::Both, Impairment { delay: Duration::from_millis(40), loss: 0.01, ..Impairment::default() });
//! let mut server = net.b().command("nc").args(["-l", "7000"]).spawn()?;
//! net.change(Direction::AToB, |path| path.cut = true);
//! server.kill()?; // `net` takes its namespaces down when it is dropped, and no process
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod error;
mod impairment;
#[cfg(target_os = "linux")]
mod linux;
mod path;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Emulator, Namespace};
pub use error::{Missing, SetupError};
pub use impairment::{Command, CommandError, Direction, Impairment};
#[cfg(target_os = "linux")]
pub use linux::{Emulator, Namespace};
pub use path::{Counts, Path};
