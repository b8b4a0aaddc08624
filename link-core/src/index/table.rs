//! Both trees, and every question to them.

use super::{
    Matches,
    block::Block,
    grow::Editor,
    key::{Hasher, Key},
    leaf::{Entry, Leaf, Value, group},
    page::Page,
    publish::Replay,
    tree::{self, Found, Slot, Tree},
};
use crate::topic::TopicFilter;

/// Filters without wildcards in one tree, those with in another.
#[derive(Debug, Clone)]
pub(super) struct Table<V> {
    hasher: Hasher,
    pub(super) exact: Tree<Page<V>>,
    pub(super) wild: Tree<Block<V>>,
    /// Number of pairs.
    len: usize,
}

/// One step of a change.
#[derive(Debug)]
pub(super) enum Step<V> {
    Exact(tree::Step<Page<V>>),
    Wild(tree::Step<Block<V>>),
    Len(usize),
}

impl<V: Value> Replay<Step<V>> for Table<V> {
    fn replay(&mut self, step: Step<V>) {
        match step {
            Step::Exact(step) => self.exact.replay(step),
            Step::Wild(step) => self.wild.replay(step),
            Step::Len(len) => self.len = len,
        }
    }
}

impl<V> Table<V> {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: Hasher::new(seed), exact: Tree::new(), wild: Tree::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.hasher
    }
}

impl<V: Value> Table<V> {
    /// A table of these pairs, of which some may be the same.
    pub(super) fn build(seed: u64, mut pairs: Vec<(TopicFilter, V)>) -> Self {
        let mut table = Self::new(seed);
        // What is alike lies together afterwards; the order is nobody's business.
        pairs.sort_by_cached_key(|(filter, value)| (table.hasher.filter(filter.pattern()).whole, *value));
        let (mut exact, mut wild) = (Vec::new(), Vec::new());
        for (filter, value) in &pairs {
            let entries = if filter.is_wildcard() { &mut wild } else { &mut exact };
            entries.push(Entry { text: filter.pattern(), values: std::slice::from_ref(value) });
        }
        let (mut exact_values, mut wild_values) = (Vec::new(), Vec::new());
        let (exact, wild) = (group(exact, &mut exact_values), group(wild, &mut wild_values));
        table.len = exact.iter().chain(&wild).map(|entry| entry.values.len()).sum();
        Editor { tree: &mut table.exact, hasher: &table.hasher, log: None }.fill(exact);
        Editor { tree: &mut table.wild, hasher: &table.hasher, log: None }.fill(wild);
        table
    }

    pub(super) fn insert(&mut self, filter: &TopicFilter, value: V, log: Option<&mut Vec<Step<V>>>) -> bool {
        self.change(filter, value, true, log)
    }

    pub(super) fn remove(&mut self, filter: &TopicFilter, value: &V, log: Option<&mut Vec<Step<V>>>) -> bool {
        self.change(filter, *value, false, log)
    }

    fn change(&mut self, filter: &TopicFilter, value: V, add: bool, log: Option<&mut Vec<Step<V>>>) -> bool {
        let Self { hasher, exact, wild, len } = self;
        let key = hasher.filter(filter.pattern());
        let done = if filter.is_wildcard() {
            edit(wild, hasher, &key, value, add, log, Step::Wild)
        } else {
            edit(exact, hasher, &key, value, add, log, Step::Exact)
        };
        let (changed, log) = done;
        if changed {
            *len = if add { *len + 1 } else { *len - 1 };
            log.into_iter().for_each(|log| log.push(Step::Len(*len)));
        }
        changed
    }

    pub(super) fn contains(&self, filter: &TopicFilter, value: &V) -> bool {
        let key = self.hasher.filter(filter.pattern());
        if filter.is_wildcard() {
            let editor = |leaf: &Block<V>| leaf.contains(&self.hasher, &key, value);
            self.wild.leaf_of(&self.hasher, &key, value).is_some_and(editor)
        } else {
            self.exact.leaf_of(&self.hasher, &key, value).is_some_and(|leaf| leaf.contains(&self.hasher, &key, value))
        }
    }

    #[inline]
    pub(super) fn is_match(&self, topic: &str) -> bool {
        !self.search(topic, |_| false)
    }

    /// Calls `found` with the values of each filter that matches, until it says `false`. Whether it never did.
    #[inline]
    pub(super) fn search(&self, topic: &str, mut found: impl FnMut(&[V]) -> bool) -> bool {
        if self.len == 0 {
            return true;
        }
        let key = self.hasher.topic(topic);
        self.search_exact(&key, &mut found) && self.search_wild(&key, &mut found)
    }

    /// The same for several topics. Looks far ahead in memory, so that the processor waits for all of them at once.
    pub(super) fn search_batch<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        for topics in topics.chunks(BATCH) {
            self.search_few(topics, matches);
        }
    }

    fn search_few<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        let mut keys: [Option<Key<'_>>; BATCH] = [const { None }; BATCH];
        let mut pages: [Found<'_, Page<V>>; BATCH] = [const { Found::Nowhere }; BATCH];
        for (key, topic) in keys.iter_mut().zip(topics) {
            *key = Some(self.hasher.topic(topic.as_ref()));
        }
        let keys = || keys.iter().flatten();
        for (page, key) in pages.iter_mut().zip(keys()) {
            *page = self.exact.find(key);
        }
        let mut seen = 0;
        for (page, key) in pages.iter().zip(keys()) {
            if let Found::Leaf(page) = page {
                seen ^= page.touch_slots(key);
            }
        }
        for (page, key) in pages.iter().zip(keys()) {
            if let Found::Leaf(page) = page {
                seen ^= u32::from(page.touch_text(key));
            }
        }
        std::hint::black_box(seen);
        for (page, key) in pages.iter().zip(keys()) {
            let mut found = |values: &[V]| {
                matches.add(values);
                true
            };
            in_pages(page, key, &mut found);
            self.search_wild(key, &mut found);
            matches.end_topic();
        }
    }

    #[inline]
    fn search_exact(&self, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        in_pages(&self.exact.find(key), key, found)
    }

    #[inline]
    fn search_wild(&self, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        self.wild.search(key, &mut |block: &Block<V>| block.search(key, found))
    }

    /// Bytes on the heap, without and with the leaves.
    pub(super) fn heap(&self) -> (usize, usize) {
        let trees = self.exact.heap() + self.wild.heap();
        (trees, self.exact.leaves_heap() + self.wild.leaves_heap())
    }
}

/// Topics that are looked up side by side.
const BATCH: usize = 16;

#[inline]
fn in_pages<V: Value>(pages: &Found<'_, Page<V>>, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
    match pages {
        Found::Nowhere => true,
        Found::Leaf(page) => page.find(key).is_none_or(found),
        Found::Leaves(slots) => slots.iter().all(|slot| match slot {
            Slot::Leaf(page) => page.find(key).is_none_or(&mut *found),
            Slot::Empty | Slot::Node(_) => true,
        }),
    }
}

/// Changes one tree, and writes down the steps as those of the table.
fn edit<'l, L: Leaf, S>(
    tree: &mut Tree<L>,
    hasher: &Hasher,
    key: &Key<'_>,
    value: L::Value,
    add: bool,
    log: Option<&'l mut Vec<S>>,
    step: impl Fn(tree::Step<L>) -> S,
) -> (bool, Option<&'l mut Vec<S>>) {
    let mut steps = Vec::new();
    let mut editor = Editor { tree, hasher, log: log.is_some().then_some(&mut steps) };
    let changed = if add { editor.insert(key, value) } else { editor.remove(key, &value) };
    let log = log.map(|log| {
        log.extend(steps.into_iter().map(step));
        log
    });
    (changed, log)
}
