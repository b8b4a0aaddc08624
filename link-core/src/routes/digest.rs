use std::fmt;

use siphasher::sip128::SipHasher24;

use crate::{topic::TopicFilter, wire::Digest};

/// The key of a digest. Made at random by the writer of a log, told to its peers and to nobody else: clients choose
/// the filters, and without a key they could choose two sets with one digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RouteKey(pub [u8; 16]);

impl fmt::Debug for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteKey(******)")
    }
}

/// The digest of a changing set: the sum of SipHash-2-4-128 of each filter's text, modulo 2^128. Adding and removing
/// cost one hash each, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteDigest {
    key: RouteKey,
    sum: u128,
    count: u64,
}

impl RouteDigest {
    /// The digest of the empty set.
    pub fn new(key: RouteKey) -> Self {
        Self { key, sum: 0, count: 0 }
    }

    /// A filter that was not in the set enters.
    pub fn add(&mut self, filter: &TopicFilter) {
        self.sum = self.sum.wrapping_add(self.hash(filter));
        self.count += 1;
    }

    /// A filter that was in the set leaves.
    pub fn remove(&mut self, filter: &TopicFilter) {
        self.sum = self.sum.wrapping_sub(self.hash(filter));
        self.count = self.count.saturating_sub(1);
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        Digest(self.sum)
    }

    /// Number of filters in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The key.
    pub fn key(&self) -> &RouteKey {
        &self.key
    }

    fn hash(&self, filter: &TopicFilter) -> u128 {
        SipHasher24::new_with_key(&self.key.0).hash(filter.as_str().as_bytes()).as_u128()
    }
}
