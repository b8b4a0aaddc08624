//! What differs between two route sets, in bytes in proportion to the difference and whatever the size of the sets.
//!
//! ```text
//!   routes here    a b c d            a b c e    routes there
//!                     │                  │
//!   Sketch         ▣ ▣ ▣ ▣ ▣ ▣ ⋯      ▣ ▣ ▣ ▣ ▣ ▣ ⋯    each cell: the xor of the ids of some routes
//!                     └────────┬─────────┘
//!                             xor                        what both have is gone
//!                              ▼
//!   Decoder        d⊕e  d  ·  d⊕e  e  ⋯                  a cell of one id shows it; taken out of its other cells,
//!                              ▼                         it leaves more cells of one id
//!   Difference     only here: d    only there: e
//! ```
//!
//! A rateless invertible Bloom lookup table: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM
//! 2024 (arXiv 2402.02668). Every prefix of the cells is a sketch, 1.35 to 1.8 cells for each route that differs; who
//! needs more asks for the cells that follow. Three things are not as in the paper:
//!
//! - A cell has no count: which side a route is on is what the decoder's own set says. Nine bytes on the wire.
//! - Which cells an id is in is drawn anew in each *epoch*, `[0, 4096)`, `[4096, 16384)` and so on four times as many,
//!   so that one pass over the ids computes any epoch without those before it. The chances are as in the paper.
//! - They are exactly 1 in 1 + i/2, where the paper's are close to it.
//!
//! The invariants:
//!
//! - the same ids in any order give the same cells, and an id that enters twice is not there: a [`Sketch`] that follows
//!   changes is one that is built anew;
//! - a [`Decoder`] that ends without a fault has found the whole difference of the cells that it was given, and
//!   nothing else;
//! - cells that lie cost work and memory in proportion to their number, and end with a [`SketchFault`], or in a
//!   difference that the digest of the sets refutes.
//!
//! Ids and checks are keyed with the [`RouteKey`], which clients don't know: none of them can choose filters whose ids
//! are equal, cancel out, or are in each other's cells.
//!
//! ```
//! use link_core::routes::{Decoder, RouteId, RouteKey, Sketch};
//!
//! let key = RouteKey([7; 16]);
//! let id = |text| RouteId::from_hash(key.hash(text));
//! let (mut here, mut there) = (Sketch::new(&key), Sketch::new(&key));
//! for text in ["house/door", "house/+/light", "garden/#"] {
//!     here.toggle(id(text));
//!     there.toggle(id(text));
//! }
//! here.toggle(id("attic/light"));
//! there.toggle(id("garden/#"));
//!
//! let mut decoder = Decoder::new(&key);
//! decoder.extend(here.cells(0..64), there.cells(0..64))?;
//! // Only asked about what differs.
//! let difference = decoder.difference(|id_| [id("garden/#"), id("attic/light")].contains(&id_))?;
//! assert_eq!(difference.here.len(), 2);
//! assert!(difference.there.is_empty());
//! # Ok::<(), link_core::routes::SketchFault>(())
//! ```

mod cell;
mod cells;
mod decoder;
mod estimator;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

pub use cell::Cell;
pub use cells::{Cells, Sketch};
pub use decoder::{Decoder, Difference, SketchFault};
pub use estimator::Estimator;
pub use walk::{MAINTAINED_CELLS, MAX_CELLS};

/// A route in a sketch: the low 48 bits of its filter's [hash](super::RouteKey::hash).
///
/// A route of which another one of a million has the id is one in 3·10^8. If it is one of those that differ, the comparison
/// finds another set than there is: the digest of the sets, which is of the whole hash, tells. Who knows ids and filters learns
/// about the key, so that an id does not print.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u64);

impl RouteId {
    /// Bytes on the wire.
    pub const BYTES: usize = 6;

    /// The id of a filter with this hash.
    pub fn from_hash(hash: u128) -> Self {
        #[cfg(test)]
        let hash = hash & u128::from(narrow::MASK.get());
        Self::from_number(hash as u64)
    }

    /// The low 48 bits of a number.
    pub const fn from_number(number: u64) -> Self {
        Self(number & ((1 << (8 * Self::BYTES)) - 1))
    }

    /// The id as a number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its number, with the highest byte first.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        *self.0.to_be_bytes().last_chunk().unwrap_or(&[0; Self::BYTES])
    }

    /// The inverse of [`to_bytes`](Self::to_bytes). All bytes are the bytes of an id.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }
}

impl fmt::Debug for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteId(******)")
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; the
/// constants are Stafford's variant 13). Part of the protocol.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Ids of few bits, so that two routes have one; checks of few bits, so that many cells pass for what they are not.
#[cfg(test)]
pub(crate) mod narrow {
    use std::cell::Cell;

    thread_local! {
        /// The bits that are left, in this thread.
        pub(crate) static MASK: Cell<u64> = const { Cell::new(u64::MAX) };
        /// The bits of checks that are left, in this thread.
        pub(crate) static CHECKS: Cell<u32> = const { Cell::new(u32::MAX) };
    }
}
