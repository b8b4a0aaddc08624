//! Which hashes there may be.

use wide::i32x8;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{
    segment::{Segment, TAG_BITS},
    slots::whole,
};

/// Which high bits of tags there are in a segment: a Bloom filter of one hash (B. H. Bloom, *Space/time trade-offs in
/// hash coding with allowable errors*, 1970). Of seven in eight tags that are not there it says so, and it stays in the
/// caches of the processor where the lines do not.
#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(transparent)]
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

/// Those of all segments.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Blooms<'a>(&'a [Bloom]);

impl<'a> Blooms<'a> {
    pub(super) fn new(all: &'a [Bloom]) -> Self {
        Self(all)
    }

    /// Of eight hashes [of sums](super::hash_of_sum): a bit for each of which there may be records.
    #[inline]
    pub(in super::super) fn may_have(self, sums: i32x8) -> u8 {
        let (width, words) = (self.0.len(), <[u64]>::ref_from_bytes(self.0.as_bytes()).unwrap_or_default());
        let (tags, whole) = (sums & i32x8::splat(i32::MAX), whole(width) as i32);
        // As `segment` does it.
        let segments = tags & i32x8::splat(whole);
        let is_there = segments.simd_lt(i32x8::splat(width as i32));
        let segments = segments & (is_there | i32x8::splat(whole >> 1));
        let bits = tags >> LOW_BITS;
        let at = (segments << WORDS.trailing_zeros()) | (bits >> u64::BITS.trailing_zeros());
        let lanes = at.to_array().into_iter().zip(bits.to_array()).enumerate();
        lanes.fold(0, |all, (lane, (at, bit))| all | ((words[at as usize] >> (bit % 64) & 1) as u8) << lane)
    }
}
