use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Trie;
use crate::topic::TopicFilter;

/// An index with one writer and any number of readers that never wait.
///
/// ```text
///   readers ──load──▶ front           publish: swap, then the old front catches up
///   writer  ──────────▶ back ◀──ops behind──┘
/// ```
///
/// Two copies of the set: readers use the front one, the writer changes the back one and swaps. What readers see is
/// always a whole state between two calls of [`publish`](Self::publish). Memory is that of two tries.
#[derive(Debug)]
pub struct SharedIndex<V> {
    front: Arc<ArcSwap<Trie<V>>>,
    back: Arc<Trie<V>>,
    /// What the front has and the back has not yet.
    behind: Vec<Change<V>>,
    /// What the back has and the front has not yet.
    ahead: Vec<Change<V>>,
}

#[derive(Debug)]
enum Change<V> {
    Insert(TopicFilter, V),
    Remove(TopicFilter, V),
}

impl<V: Copy + Eq> SharedIndex<V> {
    /// An empty index. The seed is that of [`Trie::new`].
    pub fn new(seed: u64) -> Self {
        let empty = || Arc::new(Trie::new(seed));
        let front = Arc::new(ArcSwap::new(empty()));
        Self { front, back: empty(), behind: Vec::new(), ahead: Vec::new() }
    }

    /// A handle for reading. Cheap to clone, and to use from any thread.
    pub fn reader(&self) -> Reader<V> {
        Reader { front: self.front.clone() }
    }

    /// Adds a value to a filter, for the next [`publish`](Self::publish); `false` if it was there.
    pub fn insert(&mut self, filter: &TopicFilter, value: V) -> bool {
        let changed = self.back().insert(filter, value);
        if changed {
            self.ahead.push(Change::Insert(filter.clone(), value));
        }
        changed
    }

    /// Removes a value of a filter, for the next [`publish`](Self::publish); `false` if it was not there.
    pub fn remove(&mut self, filter: &TopicFilter, value: &V) -> bool {
        let changed = self.back().remove(filter, value);
        if changed {
            self.ahead.push(Change::Remove(filter.clone(), *value));
        }
        changed
    }

    /// Shows readers what changed since the last time.
    pub fn publish(&mut self) {
        if self.ahead.is_empty() {
            return;
        }
        self.back();
        self.back = self.front.swap(self.back.clone());
        self.behind = std::mem::take(&mut self.ahead);
    }

    /// Number of filters, those not published yet included.
    pub fn len(&self) -> usize {
        if self.behind.is_empty() { self.back.len() } else { self.front.load().len() }
    }

    /// Whether there is no filter, those not published yet included.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The back copy, caught up. It is copied whole only if a reader has held on to it since the last swap.
    fn back(&mut self) -> &mut Trie<V> {
        let back = Arc::make_mut(&mut self.back);
        for change in self.behind.drain(..) {
            match change {
                Change::Insert(filter, value) => drop(back.insert(&filter, value)),
                Change::Remove(filter, value) => drop(back.remove(&filter, &value)),
            }
        }
        back
    }
}

/// Reads a [`SharedIndex`].
#[derive(Debug)]
pub struct Reader<V> {
    front: Arc<ArcSwap<Trie<V>>>,
}

impl<V> Clone for Reader<V> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone() }
    }
}

impl<V: Copy + Eq> Reader<V> {
    /// Whether any filter matches `topic`. No lock, and no allocation for topics of up to 32 levels.
    pub fn is_match(&self, topic: &str) -> bool {
        self.front.load().is_match(topic)
    }

    /// Gives every value of every filter that matches `topic`, once for each filter.
    pub fn for_each_match(&self, topic: &str, give: impl FnMut(&V)) {
        self.front.load().for_each_match(topic, give);
    }
}
