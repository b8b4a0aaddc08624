//! Route sets: which filters a cluster wants of a peer, and the peer's exact copy of them.
//!
//! ```text
//!  local interest ──∩── topics of the link ──▶ RouteLog ══ deltas ══▶ RouteReplica ──▶ shared route table
//!                                              (one writer)            (one reader each)
//!   seq      0 ─── 1 ─── 2 ─── 3 ─── 4                   2  ──── (2, 4] ────▶  4
//!                 +a    +b    -a    +c                 {a,b}                 {b,c}
//!                                                     digest                 digest
//! ```
//!
//! A route set has exactly one writer. Its states form a chain, ordered by (incarnation, seq); to merge is to move to
//! the later one. The invariants:
//!
//! - a replica that is certified at (incarnation, seq) holds exactly the log's set at that point: every step ends with
//!   the comparison of a keyed 128-bit digest and of the count;
//! - a replica never clears to fill again: additions count at once, removals only in a step whose digest is right;
//! - a gap, a step of an older life, or a digest that differs changes nothing and asks for a resume.

mod digest;
mod log;
mod replica;
mod snapshot;

pub use digest::{RouteDigest, RouteKey};
pub use log::{Resume, RouteLog};
pub use replica::{RouteChange, RouteFault, RouteReplica};
pub use snapshot::SnapshotCursor;
