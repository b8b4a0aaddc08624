use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::Trie;
use crate::topic::TopicFilter;

/// An index that one thread changes while any number of threads read.
///
/// There are two copies. Readers see the published one; changes go to the other, and [`publish`](Self::publish) swaps
/// them. So a reader never waits and never sees a part of a batch:
///
/// ```text
///              insert, remove                          insert, remove
///                    |                                       |
///   writer      [ copy B ]  --publish-->  [ copy B ]    [ copy A ]  first catches up with B
///   readers     [ copy A ]                 readers
/// ```
///
/// It costs twice the memory of a [`Trie`] and each change twice. Only if some reader is still at work in the copy that
/// the writer gets back, a whole copy is made instead, in time and memory of the table: no reader is waited for.
pub struct SharedIndex<V> {
    published: Arc<ArcSwap<Trie<V>>>,
    /// The published copy.
    front: Arc<Trie<V>>,
    /// What the writer works on.
    back: Arc<Trie<V>>,
    /// Changes in `back` that are not published. If there are any, no reader has ever seen `back`.
    pending: Vec<Change<V>>,
    /// Published changes that `back` lacks. One of the two lists is always empty.
    missing: Vec<Change<V>>,
}

impl<V> SharedIndex<V> {
    /// An index of nothing. The seed is that of [`Trie::new`].
    pub fn new(seed: u64) -> Self {
        let front = Arc::new(Trie::new(seed));
        let published = Arc::new(ArcSwap::new(Arc::clone(&front)));
        Self { published, front, back: Arc::new(Trie::new(seed)), pending: Vec::new(), missing: Vec::new() }
    }

    /// A handle to read with.
    pub fn reader(&self) -> Reader<V> {
        Reader { published: Arc::clone(&self.published) }
    }

    /// Whether there are changes that no reader sees yet.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl<V: Copy + Ord> SharedIndex<V> {
    /// Adds a pair, for readers from the next [`publish`](Self::publish) on. `false` if it was there.
    pub fn insert(&mut self, filter: &TopicFilter, value: V) -> bool {
        self.change(Change { filter: filter.without_share(), value, add: true })
    }

    /// Takes a pair out, for readers from the next [`publish`](Self::publish) on. `false` if it was not there.
    pub fn remove(&mut self, filter: &TopicFilter, value: &V) -> bool {
        self.change(Change { filter: filter.without_share(), value: *value, add: false })
    }

    /// Shows all changes since the last time to the readers, at once.
    pub fn publish(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.published.store(Arc::clone(&self.back));
        std::mem::swap(&mut self.front, &mut self.back);
        self.missing = std::mem::take(&mut self.pending);
    }

    /// The index as the writer sees it, with the changes that are not published yet.
    pub fn trie(&self) -> &Trie<V> {
        if self.pending.is_empty() { &self.front } else { &self.back }
    }

    fn change(&mut self, change: Change<V>) -> bool {
        let back = self.catch_up();
        if !change.apply(back) {
            return false;
        }
        self.pending.push(change);
        true
    }

    /// Brings the back copy up to the published one.
    fn catch_up(&mut self) -> &mut Trie<V> {
        if Arc::get_mut(&mut self.back).is_none() {
            self.back = Arc::new(Trie::clone(&self.front));
            self.missing.clear();
        }
        let back = Arc::make_mut(&mut self.back);
        for change in self.missing.drain(..) {
            change.apply(back);
        }
        back
    }
}

impl<V> fmt::Debug for SharedIndex<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedIndex")
            .field("published", &self.front.len())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// Reads a [`SharedIndex`] from any thread, without ever waiting. Cloning shares the index, which may change between
/// two calls, but never during one.
pub struct Reader<V> {
    published: Arc<ArcSwap<Trie<V>>>,
}

impl<V> Reader<V> {
    /// How many (filter, value) pairs there are.
    pub fn len(&self) -> usize {
        self.published.load().len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.published.load().is_empty()
    }
}

impl<V: Copy + Ord> Reader<V> {
    /// As [`Trie::is_match`].
    pub fn is_match(&self, topic: impl AsRef<str>) -> bool {
        self.published.load().is_match(topic)
    }

    /// As [`Trie::for_each_match`]. While `found` runs the copy that is read can't be reused by the writer: be quick.
    pub fn for_each_match(&self, topic: impl AsRef<str>, found: impl FnMut(&V)) {
        self.published.load().for_each_match(topic, found);
    }
}

impl<V> Clone for Reader<V> {
    fn clone(&self) -> Self {
        Self { published: Arc::clone(&self.published) }
    }
}

impl<V> fmt::Debug for Reader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("len", &self.len()).finish_non_exhaustive()
    }
}

struct Change<V> {
    filter: TopicFilter,
    value: V,
    add: bool,
}

impl<V: Copy + Ord> Change<V> {
    fn apply(&self, trie: &mut Trie<V>) -> bool {
        if self.add { trie.insert(&self.filter, self.value) } else { trie.remove(&self.filter, &self.value) }
    }
}
