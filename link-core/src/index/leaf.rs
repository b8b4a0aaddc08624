//! What the leaves of a tree have in common.

use std::hash::Hash;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::key::{Hasher, Key};

/// A filter and some or all of its values: sorted, each once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a, V> {
    pub(super) text: &'a str,
    pub(super) values: &'a [V],
}

/// What an index can hold for a filter: a small id, or a set of bits.
///
/// Integers and arrays of them are values, and so is what derives the traits, such as
/// `#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable)] struct Peer(u32)` with
/// the derives of `zerocopy`. Not those of no size, and not those aligned to more than 16 bytes.
pub trait Value: Copy + Ord + Hash + FromBytes + IntoBytes + Immutable {}

impl<V: Copy + Ord + Hash + FromBytes + IntoBytes + Immutable> Value for V {}

/// A bounded number of filters in a few pieces of memory, cheap to clone.
pub(super) trait Leaf: Clone {
    type Value: Value;
    /// What it takes to make a leaf.
    type Context;

    /// The weight above which a leaf is to be split.
    const FULL: usize;
    /// The weight of most leaves.
    const USUAL: usize;

    /// A leaf of these filters. One that is there several times gets the values of all.
    fn build(context: &Self::Context, entries: Vec<Entry<'_, Self::Value>>) -> Self;

    fn hasher(context: &Self::Context) -> &Hasher;

    /// What the leaf takes of [`FULL`](Self::FULL).
    fn weight(&self) -> usize;

    /// What a filter with its values takes, about.
    fn weigh(entry: &Entry<'_, Self::Value>) -> usize;

    fn filters(&self) -> usize;

    /// `false` if the value was there.
    fn insert(&mut self, context: &Self::Context, key: &Key<'_>, value: Self::Value) -> bool;

    /// `false` if the value was not there.
    fn remove(&mut self, context: &Self::Context, key: &Key<'_>, value: &Self::Value) -> bool;

    fn contains(&self, key: &Key<'_>, value: &Self::Value) -> bool;

    fn entries(&self) -> impl Iterator<Item = Entry<'_, Self::Value>>;

    /// Bytes on the heap.
    fn heap(&self) -> usize;
}

/// Sorts entries by text, and makes one of those that have the same. `spare` holds the values of such.
pub(super) fn group<'a, V: Copy + Ord>(mut entries: Vec<Entry<'a, V>>, spare: &'a mut Vec<V>) -> Vec<Entry<'a, V>> {
    entries.sort_unstable_by(|left, right| left.text.cmp(right.text));
    if entries.windows(2).all(|pair| pair[0].text != pair[1].text) {
        return entries;
    }
    let mut ranges = Vec::with_capacity(entries.len());
    for same in entries.chunk_by(|left, right| left.text == right.text) {
        let start = spare.len();
        spare.extend(same.iter().flat_map(|entry| entry.values));
        spare[start..].sort_unstable();
        let mut kept = start;
        for at in start..spare.len() {
            if at == start || spare[at] != spare[kept - 1] {
                spare[kept] = spare[at];
                kept += 1;
            }
        }
        spare.truncate(kept);
        ranges.push((same[0].text, start..kept));
    }
    let spare = &*spare;
    ranges.into_iter().map(|(text, range)| Entry { text, values: &spare[range] }).collect()
}
