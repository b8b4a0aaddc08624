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
//! - a replica never goes back: an older step changes nothing;
//! - a replica never clears to fill again: additions count at once, removals only in a step whose digest is right;
//! - a gap, a step of an older life, or a digest that differs changes nothing of what counts and asks for a resume;
//! - at each seq the set matches every topic that is wanted then: what a cover hid is added before the cover goes.
//!
//! `docs/algorithm.md` has them in mathematics, and why they hold.
//!
//! # Files
//!
//! | | |
//! |---|---|
//! | `log`, `view`, `covering`, `sharing` | the writer: what a link announces; the set that links of the same topics share; what hides what; the changes of all of them at once |
//! | `snapshot`, `difference`, `reconcile` | what it sends beside changes: all, what differs, and how it finds that out |
//! | `replica`, `fault` | the reader: how each step is proven, and why one is not taken |
//! | `held`, `places`, `marks` | what it holds: the filters, which are in the topic index; where each is, by its id; why it counts |
//! | `digest`, `outline`, `sketch`, `table` | of both: what is compared of a set, and filters found by their ids |
//!
//! ```
//! use link_core::{
//!     index::FilterIndex,
//!     interest::InterestChange,
//!     routes::{Resume, RouteKey, RouteLog, RouteReplica},
//!     topic::TopicFilter,
//!     wire::Incarnation,
//! };
//!
//! let filter = |text: &'static str| TopicFilter::new(text);
//! let mut log = RouteLog::new(Incarnation { counter: 1, nonce: 7 }, RouteKey([1; 16]), vec![filter("house/#")?], 1024);
//! log.apply(&[InterestChange::Added(filter("+/door")?), InterestChange::Added(filter("garden/gate")?)]);
//! assert_eq!(log.announced().map(TopicFilter::as_str).collect::<Vec<_>>(), ["house/door"]);
//!
//! let mut index = FilterIndex::new(0x5EED); // at random where peers are real
//! let mut replica = RouteReplica::new(1_u32, 1000);
//! replica.set_key(&mut index, *log.key());
//! assert_eq!(log.resume(replica.position().as_ref()), Resume::Snapshot);
//! let mut snapshot = log.snapshot();
//! while let Some(part) = snapshot.next_part(&log, 64 * 1024) {
//!     replica.apply_snapshot(&mut index, part)?;
//! }
//! log.apply(&[InterestChange::Added(filter("house/window")?)]);
//! if let Resume::Tail { from } = log.resume(replica.position().as_ref())
//!     && let Some(delta) = log.since(from, 64 * 1024)
//! {
//!     replica.apply_delta(&mut index, &delta)?;
//! }
//! assert_eq!(replica.position(), Some(log.position()));
//! assert!(index.is_match("house/window"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod covering;
mod difference;
mod digest;
mod fault;
mod held;
mod log;
mod marks;
mod outline;
mod places;
mod reconcile;
mod replica;
mod sharing;
mod sketch;
mod snapshot;
mod table;
mod view;

pub use covering::Covering;
pub use difference::DifferenceCursor;
pub use digest::{RouteDigest, RouteKey};
pub use fault::{RouteChange, RouteFault};
pub use log::{Resume, RouteLog};
pub use reconcile::{Comparison, FIRST_CELLS, MOST_FIRST_CELLS, Reconciling};
pub use replica::RouteReplica;
pub use sharing::SharedLogs;
#[cfg(test)]
pub(crate) use sketch::narrow;
pub use sketch::{
    Cell, Cells, Decoder, Difference, Estimator, MAINTAINED_CELLS, MAX_CELLS, RouteId, Sketch, SketchFault,
};
pub use snapshot::SnapshotCursor;

/// From so many routes on a set is compared by sketches, unless settings say otherwise: a smaller one is sent as quickly.
pub const SKETCH_FROM: usize = 256;
