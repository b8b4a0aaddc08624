//! A topic or a filter taken apart once, for every table that is asked about it.

use std::hash::{BuildHasher, Hash, Hasher as _};

use foldhash::fast::FixedState;

use crate::topic::is_reserved;

/// How many levels are looked at one by one. What is below them is compared as text.
///
/// It bounds what one filter can cost: a filter of 65,536 levels takes no more tables than one of 16.
pub(super) const INDEXED: usize = 16;

/// Hashes levels and values, with a seed: who chooses the filters must not choose their places.
#[derive(Debug, Clone)]
pub(super) struct Hasher(FixedState);

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    /// The key of a topic, in which `+` and `#` mean themselves.
    #[inline]
    pub(super) fn topic<'a>(&self, text: &'a str) -> Key<'a> {
        self.key::<false>(text)
    }

    pub(super) fn filter<'a>(&self, pattern: &'a str) -> Key<'a> {
        self.key::<true>(pattern)
    }

    pub(super) fn value<V: Hash>(&self, value: &V) -> u64 {
        self.0.hash_one(value)
    }

    #[inline]
    fn key<'a, const FILTER: bool>(&self, text: &'a str) -> Key<'a> {
        let bytes = text.as_bytes();
        let mut key = Key { text, levels: 0, open: false, whole: 0, hashes: [ANY; INDEXED] };
        let mut start = 0;
        for end in memchr::memchr_iter(b'/', bytes) {
            if key.levels as usize == INDEXED {
                break;
            }
            self.level::<FILTER>(&mut key, &bytes[start..end]);
            start = end + 1;
        }
        if (key.levels as usize) < INDEXED {
            self.level::<FILTER>(&mut key, &bytes[start..]);
        } else {
            let rest = &bytes[start..];
            let count = memchr::memchr_iter(b'/', rest).count() + 1;
            key.open = FILTER && (rest == b"#" || rest.ends_with(b"/#"));
            key.levels += count as u32 - u32::from(key.open);
            key.whole = mix(key.whole, self.bytes(rest));
        }
        key
    }

    #[inline]
    fn level<const FILTER: bool>(&self, key: &mut Key<'_>, level: &[u8]) {
        let hash = self.bytes(level);
        key.whole = mix(key.whole, hash);
        if FILTER && level == b"#" {
            key.open = true;
            return;
        }
        if !(FILTER && level == b"+") {
            key.hashes[key.levels as usize % INDEXED] = hash;
        }
        key.levels += 1;
    }

    /// Never [`ANY`].
    #[inline]
    fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        // The length too: a table of short texts must not take "a" and "a\0" for one.
        (hasher.finish() ^ bytes.len() as u64).max(1)
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
    /// Hash of the whole text.
    pub(super) whole: u64,
    hashes: [u64; INDEXED],
}

impl Key<'_> {
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
