//! The parts of `route_sync_bench`: what it costs to bring a peer's copy of a route set up to date.
//!
//! ```text
//!   us (holds the copy)                        eu (has the subscribers)
//!     HELLO            ──── flight 1 ────▶
//!                      ◀─── flight 2 ─────     HELLO
//!     READY (holds)    ──── flight 3 ────▶
//!                      ◀─── flight 4 ─────     what is missing: one round trip after the handshake
//! ```
//! Both nodes run in one thread without a transport, on a clock of their own, so that bytes and flights are exact and
//! the same in every run.

mod churn;
mod fleet;
mod others;
mod pair;
mod plot;
mod report;
mod run;

pub use churn::{Churn, churn};
pub use fleet::Fleet;
pub use others::{Others, lower_bound};
pub use pair::Pair;
pub use plot::draw;
pub use report::{Report, check, markdown};
pub use run::{Sync, Way, syncs};

use std::time::Duration;

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// What `work` takes of this thread's CPU, in milliseconds.
pub fn spent<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu();
    let done = work();
    (done, (cpu() - start).as_secs_f64() * 1e3)
}
