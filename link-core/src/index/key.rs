//! A topic or a filter taken apart once, for every table that is asked about it.

use std::{
    hash::{Hash, Hasher as _},
    sync::Arc,
};

use foldhash::{SharedSeed, fast::FoldHasher};

use crate::topic::is_reserved;

/// How many levels are looked at one by one. What is below them is compared as text.
///
/// It bounds what one filter can cost: a filter of 65,536 levels takes no more tables than one of 16.
pub(super) const INDEXED: usize = 16;

/// Hashes levels and values, with a seed: who chooses the filters must not choose their places.
///
/// All constants of the hash come from the seed. With those that foldhash has for everybody there are texts whose
/// hashes collide under every seed.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    seed: u64,
    shared: Arc<SharedSeed>,
}

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, shared: Arc::new(SharedSeed::from_u64(seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15)) }
    }

    /// The key of a topic, in which `+` and `#` mean themselves.
    #[inline]
    pub(super) fn topic<'a>(&self, text: &'a str) -> Key<'a> {
        self.key::<false>(text)
    }

    pub(super) fn filter<'a>(&self, pattern: &'a str) -> Key<'a> {
        self.key::<true>(pattern)
    }

    /// The hash of a text as a whole: of a filter without wildcards, or of a level.
    #[inline]
    pub(super) fn text(&self, text: &str) -> u64 {
        self.bytes(text.as_bytes())
    }

    pub(super) fn value<V: Hash>(&self, value: &V) -> u64 {
        let mut hasher = self.start();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[inline]
    fn key<'a, const FILTER: bool>(&self, text: &'a str) -> Key<'a> {
        let bytes = text.as_bytes();
        let mut key = Key { text, ..Key::EMPTY };
        let mut start = 0;
        let mut count = 0;
        let mut level = |end: usize| {
            let level = &bytes[start..end];
            let hash = self.bytes(level);
            if FILTER {
                key.whole = mix(key.whole, hash);
            }
            if FILTER && level == b"#" {
                key.open = true;
                return false;
            }
            let wildcard = FILTER && level == b"+";
            key.hashes[count] = if wildcard { ANY } else { hash };
            start = end + 1;
            count += 1;
            key.starts[count] = start as u32;
            count < INDEXED
        };
        let whole = slashes(bytes, &mut level) && level(bytes.len());
        key.levels = count as u32;
        if !whole && !key.open && start <= bytes.len() {
            self.deep::<FILTER>(&mut key, &bytes[start..]);
        }
        key
    }

    /// What is below the indexed levels.
    #[cold]
    fn deep<const FILTER: bool>(&self, key: &mut Key<'_>, rest: &[u8]) {
        let levels = 1 + memchr::memchr_iter(b'/', rest).count();
        key.open = FILTER && (rest == b"#" || rest.ends_with(b"/#"));
        key.levels += levels as u32 - u32::from(key.open);
        key.whole = mix(key.whole, self.bytes(rest));
    }

    /// Never [`ANY`].
    #[inline]
    fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.start();
        hasher.write(bytes);
        let hash = hasher.finish();
        #[cfg(test)]
        let hash = if super::tests::POOR_HASHES.get() { 2 + (hash & 1) } else { hash };
        hash.max(1)
    }

    #[inline]
    fn start(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.seed, &self.shared)
    }
}

/// The levels of a topic or a filter, hashed.
#[derive(Debug, Clone)]
pub(super) struct Key<'a> {
    pub(super) text: &'a str,
    /// Number of levels, without the `#` of a filter.
    pub(super) levels: u32,
    /// Whether it is a filter that ends with `#`.
    pub(super) open: bool,
    /// Hash of the whole text of a filter.
    pub(super) whole: u64,
    hashes: [u64; INDEXED],
    /// Where each level begins, and the first one that is not there would.
    starts: [u32; INDEXED + 1],
}

impl<'a> Key<'a> {
    pub(super) const EMPTY: Key<'static> =
        Key { text: "", levels: 0, open: false, whole: 0, hashes: [ANY; INDEXED], starts: [0; INDEXED + 1] };

    /// The hash of a level; `None` for `+`, behind the end, and for levels too deep to be indexed.
    #[inline]
    pub(super) fn literal(&self, level: usize) -> Option<u64> {
        Some(self.hashes[level % INDEXED]).filter(|&hash| hash != ANY && level < INDEXED)
    }

    /// The hash of a level that is known to be there and no wildcard.
    #[inline]
    pub(super) fn hash(&self, level: usize) -> u64 {
        self.hashes[level % INDEXED]
    }

    /// Where an indexed level begins, or would behind the last one.
    #[inline]
    pub(super) fn start(&self, level: usize) -> usize {
        self.starts[level] as usize
    }

    /// The text of an indexed level.
    #[inline]
    pub(super) fn level(&self, level: usize) -> &'a [u8] {
        &self.text.as_bytes()[self.starts[level] as usize..self.starts[level + 1] as usize - 1]
    }

    pub(super) fn level_text(&self, level: usize) -> &'a str {
        &self.text[self.starts[level] as usize..self.starts[level + 1] as usize - 1]
    }

    /// Number of levels that are indexed.
    pub(super) fn indexed(&self) -> usize {
        (self.levels as usize).min(INDEXED)
    }

    /// Whether there are levels that are not indexed.
    pub(super) fn is_deep(&self) -> bool {
        self.levels as usize > INDEXED
    }

    /// Whether wildcards in the first level pass this topic by.
    #[inline]
    pub(super) fn is_reserved(&self) -> bool {
        is_reserved(self.text)
    }
}

const ANY: u64 = 0;

#[inline]
fn mix(sum: u64, hash: u64) -> u64 {
    let product = u128::from(sum ^ hash) * u128::from(0x9E37_79B9_7F4A_7C15_u64 ^ hash.rotate_left(32) | 1);
    (product >> 64) as u64 ^ product as u64
}

/// Calls `found` with the place of each `/`, until it says `false`. Whether it never did.
#[inline]
fn slashes(bytes: &[u8], found: impl FnMut(usize) -> bool) -> bool {
    same_bytes(bytes, b'/').all(found)
}

/// The places of a byte, eight bytes at a time.
#[inline]
pub(super) fn same_bytes(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    SameBytes { bytes, byte, at: 0, same: 0 }
}

struct SameBytes<'a> {
    bytes: &'a [u8],
    byte: u8,
    /// Where the bytes that are left begin.
    at: usize,
    /// The upper bit of each byte that is the same, of the eight bytes before.
    same: u64,
}

impl Iterator for SameBytes<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
        while self.same == 0 {
            let rest = self.bytes.get(self.at..)?;
            let word = match rest.first_chunk::<8>() {
                Some(word) => u64::from_le_bytes(*word),
                None if rest.is_empty() => return None,
                // What is not there is another byte.
                None => {
                    let mut word = [!self.byte; 8];
                    word[..rest.len()].copy_from_slice(rest);
                    u64::from_le_bytes(word)
                }
            };
            let other = word ^ u64::from_le_bytes([self.byte; 8]);
            self.same = !(((other & LOW) + LOW) | other | LOW);
            self.at += 8;
        }
        let at = self.at - 8 + self.same.trailing_zeros() as usize / 8;
        self.same &= self.same - 1;
        Some(at)
    }
}
