//! Where choices come from: a seeded generator, or the bytes of a fuzzer.

use std::time::Duration;

/// Something that chooses. A world that is built from the same choices is the same world.
pub trait Source {
    /// A number below `n`; 0 where `n` is 0.
    fn below(&mut self, n: u64) -> u64;

    /// True `of` times in `all`.
    fn chance(&mut self, of: u64, all: u64) -> bool {
        self.below(all) < of
    }

    /// A duration from `from` to `to`, in whole microseconds.
    fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(u64::MAX - 1);
        from + Duration::from_micros(self.below(span.saturating_add(1)))
    }

    /// An index of something of that length; 0 if it is empty.
    fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// One of some things, or `None` if there are none.
    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T>
    where
        Self: Sized,
    {
        let index = self.index(of.len());
        of.get(index)
    }
}

/// SplitMix64. The same seed gives the same numbers, on every machine and in every version of this crate.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator with that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator for a purpose of its own: what is drawn from it does not shift what is drawn elsewhere.
    pub fn fork(&self, purpose: u64) -> Self {
        let mut fork = Self(self.0 ^ purpose.wrapping_mul(0xA24B_AED4_963E_E407));
        fork.word();
        fork
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Source for Rng {
    fn below(&mut self, n: u64) -> u64 {
        // The bias of the remainder is below 2^-40 for every n in use.
        if n == 0 { 0 } else { self.word() % n }
    }
}

/// Chooses by the bytes of a string, and always the first when they have run out.
#[derive(Debug, Clone)]
pub struct ByteSource<'a>(&'a [u8]);

impl<'a> ByteSource<'a> {
    /// Chooses by these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all bytes are used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Source for ByteSource<'_> {
    fn below(&mut self, n: u64) -> u64 {
        let mut limit = 1u64;
        let mut value = 0u64;
        while limit < n {
            let Some((first, rest)) = self.0.split_first() else { break };
            self.0 = rest;
            value = value << 8 | u64::from(*first);
            limit = limit.saturating_mul(256);
        }
        if n == 0 { 0 } else { value % n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_fixed() {
        let mut rng = Rng::new(7);
        assert_eq!([rng.word(), rng.word()], [7191089600892374487, 309689372594955804]);
        let fork = Rng::new(7).fork(1).word();
        assert_ne!(fork, Rng::new(7).fork(2).word());
    }

    #[test]
    fn bytes_choose_within_the_limit_and_then_the_first() {
        let mut bytes = ByteSource::new(&[200, 1, 2]);
        assert_eq!(bytes.below(7), 200 % 7);
        assert_eq!(bytes.below(1000), 258);
        assert_eq!((bytes.below(9), bytes.is_empty()), (0, true));
        assert_eq!(bytes.below(1), 0);
    }
}
