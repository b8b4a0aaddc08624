//! Filters found again by four bytes.

use super::hashed::tag;

/// By what a filter without wildcards, or a shaped one, is found again without its text: a part of its hash. It stays the
/// same while the pair is there, and few filters share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(u32);

/// Where a pair went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Where its handle finds it.
    Found(Handle),
    /// Where nothing but its text finds it.
    Wild,
    /// Nowhere: there is no room.
    Full,
}

/// Set for shaped filters: a tag has 31 bits.
const SHAPED: u32 = 1 << 31;

impl Handle {
    pub(super) fn exact(hash: u64) -> Self {
        Self(tag(hash))
    }

    pub(super) fn shaped(hash: u64) -> Self {
        Self(tag(hash) | SHAPED)
    }

    pub(super) fn is_exact(self) -> bool {
        self.0 & SHAPED == 0
    }

    pub(super) fn tag(self) -> u32 {
        self.0 & !SHAPED
    }

    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }
}
