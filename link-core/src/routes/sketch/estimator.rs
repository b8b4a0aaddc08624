use std::fmt;

use super::{RouteId, SketchFault, mix};

/// Tells about how much two sets differ, before it is known what.
///
/// A tug of war (Alon, Matias, Szegedy, "The space complexity of approximating the frequency moments", STOC 1996), with one
/// sum for each id, as in the count sketch of Charikar, Chen and Farach-Colton (ICALP 2002): an id pulls at one of 4,096
/// sums, up or down. What both sets have pulls at both, so that the sums differ by what differs: in a sum at which `m` of
/// those ids pull by the square root of `m`, as in a random walk. The squares of all differences add up to an estimate
/// without bias, whose root mean square error is `sqrt(2 / 4096)`, 2.2 %.
///
/// A sum is counted modulo 256. With more than some three million differences, for which a sketch has no cells, the
/// estimate is too low, but still more than that.
///
/// 4 KiB in memory and on the wire, whatever the size of the set.
#[derive(Clone, PartialEq, Eq)]
pub struct Estimator {
    sums: Vec<i8>,
}

impl Estimator {
    /// Number of the sums, and of their bytes on the wire.
    pub const BYTES: usize = 4_096;

    /// Of the empty set.
    pub fn new() -> Self {
        Self { sums: vec![0; Self::BYTES] }
    }

    /// An id that was not in the set enters it. Some ns.
    pub fn enter(&mut self, id: RouteId) {
        let (place, pull) = pull(id);
        self.sums[place] = self.sums[place].wrapping_add(pull);
    }

    /// An id that was in the set leaves it.
    pub fn leave(&mut self, id: RouteId) {
        let (place, pull) = pull(id);
        self.sums[place] = self.sums[place].wrapping_sub(pull);
    }

    /// About how many routes are in one of the two sets and not in the other. Some µs.
    ///
    /// Sums of a liar give some number; it is never more than 2^26.
    pub fn estimate(&self, there: &Self) -> u64 {
        let differences = self.sums.iter().zip(&there.sums).map(|(here, there)| i64::from(here.wrapping_sub(*there)));
        differences.map(|difference| difference.pow(2).unsigned_abs()).sum()
    }

    /// Its sums in order, each in two's complement.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sums.iter().map(|sum| sum.cast_unsigned()).collect()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`SketchFault::Length`] if there are not exactly [`BYTES`](Self::BYTES).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchFault> {
        if bytes.len() != Self::BYTES {
            return Err(SketchFault::Length { bytes: bytes.len(), expected: Self::BYTES });
        }
        Ok(Self { sums: bytes.iter().map(|sum| sum.cast_signed()).collect() })
    }
}

impl Default for Estimator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Estimator")
    }
}

/// The sum at which an id pulls, and 1 if upwards, -1 if not. Part of the protocol.
fn pull(id: RouteId) -> (usize, i8) {
    let drawn = mix(id.0 ^ 0x7475_675f_776f_7261);
    let up = drawn >> 63 == 0;
    (drawn as usize % Estimator::BYTES, if up { 1 } else { -1 })
}
