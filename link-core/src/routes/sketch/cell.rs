use std::ops::{BitXor, BitXorAssign};

use super::{RouteId, mix};
use crate::routes::RouteKey;

/// What a sketch knows of the routes that are in one of its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// The xor of their ids: 48 bits.
    pub(super) ids: u64,
    /// The xor of the ids' checks: 24 bits.
    pub(super) check: u32,
}

impl Cell {
    /// Bytes on the wire.
    pub const BYTES: usize = RouteId::BYTES + CHECK_BYTES;

    /// The ids, then the check, both with the highest byte first.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let both = u128::from(self.ids) << CHECK_BITS | u128::from(self.check);
        *both.to_be_bytes().last_chunk().unwrap_or(&[0; Self::BYTES])
    }

    /// The inverse of [`to_bytes`](Self::to_bytes). All bytes are the bytes of a cell.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let both = bytes.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
        Self { ids: (both >> CHECK_BITS) as u64, check: both as u32 & ((1 << CHECK_BITS) - 1) }
    }

    /// Whether there is nothing in it; also if that cancels out, which for ids that nobody chose has a chance of 2^-72.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl BitXorAssign for Cell {
    fn bitxor_assign(&mut self, other: Self) {
        self.ids ^= other.ids;
        self.check ^= other.check;
    }
}

impl BitXor for Cell {
    type Output = Self;

    fn bitxor(mut self, other: Self) -> Self {
        self ^= other;
        self
    }
}

const CHECK_BYTES: usize = 3;
const CHECK_BITS: usize = 8 * CHECK_BYTES;

/// Computes the check of an id: `mix(mix(id xor a) + b) div 2^40`, where a is the low and b the high half of the
/// [hash](RouteKey::hash) of a text that no filter can be, `NUL check`. Part of the protocol.
#[derive(Clone, Copy)]
pub(super) struct Checker {
    a: u64,
    b: u64,
}

impl Checker {
    pub(super) fn new(key: &RouteKey) -> Self {
        let hash = key.hash("\0check");
        Self { a: hash as u64, b: (hash >> 64) as u64 }
    }

    /// A cell with this id alone.
    #[inline]
    pub(super) fn cell(self, id: RouteId) -> Cell {
        let check = mix(mix(id.0 ^ self.a).wrapping_add(self.b)) >> (64 - CHECK_BITS);
        #[cfg(test)]
        let check = check & u64::from(super::narrow::CHECKS.get());
        Cell { ids: id.0, check: check as u32 }
    }

    /// Whether the cell may have one id alone; with several it says so with a chance of 2^-24.
    #[inline]
    pub(super) fn is_single(self, cell: Cell) -> bool {
        !cell.is_zero() && self.cell(RouteId(cell.ids)) == cell
    }
}
