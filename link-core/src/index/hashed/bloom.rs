//! Which hashes there may be.

use super::segment::{Segment, TAG_BITS};

/// Which high bits of tags there are in a segment: a Bloom filter of one hash (B. H. Bloom, *Space/time trade-offs in
/// hash coding with allowable errors*, 1970). Of seven in eight tags that are not there it says so, and it stays in the
/// caches of the processor where the lines do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bloom([u64; WORDS]);

/// Words for a segment: eight bits for each record of a usual one.
const WORDS: usize = 32;
/// Bits of a tag that tell nothing.
const LOW_BITS: u32 = TAG_BITS - (WORDS * 64).trailing_zeros();

impl Bloom {
    pub(super) fn of(segment: &Segment) -> Self {
        let mut bloom = Self([0; WORDS]);
        segment.entries().for_each(|(tag, _)| bloom.insert(tag));
        bloom
    }

    #[inline]
    pub(super) fn may_have(&self, tag: u32) -> bool {
        let bit = (tag >> LOW_BITS) as usize;
        self.0[bit / 64 % WORDS] >> (bit % 64) & 1 != 0
    }

    pub(super) fn insert(&mut self, tag: u32) {
        let bit = (tag >> LOW_BITS) as usize;
        self.0[bit / 64 % WORDS] |= 1 << (bit % 64);
    }

    /// Forgets a tag that the segment no longer has.
    pub(super) fn remove(&mut self, tag: u32, segment: &Segment) {
        let lowest = tag >> LOW_BITS << LOW_BITS;
        if !segment.has_between(lowest, lowest | ((1 << LOW_BITS) - 1)) {
            let bit = (tag >> LOW_BITS) as usize;
            self.0[bit / 64 % WORDS] &= !(1 << (bit % 64));
        }
    }
}
