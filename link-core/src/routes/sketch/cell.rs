use std::ops::{BitXor, BitXorAssign};

use super::mix;
use crate::routes::{RouteId, RouteKey};

/// What a sketch knows of the routes that are in one of its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// The xor of their ids.
    pub ids: u64,
    /// The xor of the ids' checks.
    pub check: u32,
}

impl Cell {
    /// Bytes on the wire.
    pub const BYTES: usize = 12;

    /// The ids, then the check, both with the highest byte first.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        (u128::from(self.ids) << 32 | u128::from(self.check)).to_be_bytes()[4..].try_into().unwrap_or_default()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes). All bytes are the bytes of a cell.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (ids, check) = bytes.split_at(8);
        Self {
            ids: u64::from_be_bytes(ids.try_into().unwrap_or_default()),
            check: u32::from_be_bytes(check.try_into().unwrap_or_default()),
        }
    }

    /// Whether there is nothing in it; also if that cancels out, which for ids that nobody chose has a chance of 2^-96.
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

/// Computes the check of an id: `mix(mix(id xor a) + b) div 2^32`, where a is the low and b the high half of the
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
        let check = mix(mix(id.0 ^ self.a).wrapping_add(self.b)) >> 32;
        Cell { ids: id.0, check: check as u32 }
    }

    /// Whether the cell may have one id alone; with several it says so with a chance of 2^-32.
    #[inline]
    pub(super) fn is_single(self, cell: Cell) -> bool {
        !cell.is_zero() && self.cell(RouteId(cell.ids)) == cell
    }
}
