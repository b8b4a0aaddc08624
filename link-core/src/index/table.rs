//! Both trees, and every question to them.

use super::{
    Matches,
    block::Block,
    dictionary::{Codes, Dictionary, Uses},
    grow::Editor,
    key::{Hasher, Key},
    leaf::{Entry, Leaf, Value, group},
    page::Page,
    publish::Follow,
    tree::{self, Found, Slot, Tree},
};
use crate::topic::TopicFilter;

/// Filters without wildcards in one tree, those with in another.
#[derive(Debug, Clone)]
pub(super) struct Table<V> {
    pub(super) exact: Tree<Page<V, false>>,
    pub(super) wild: Tree<Block<V>>,
    /// Of the filters with wildcards.
    pub(super) dictionary: Dictionary,
    /// Number of pairs.
    len: usize,
}

/// What a change has touched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Exact(tree::Step),
    Wild(tree::Step),
    Literal(tree::Step),
}

impl<V: Value> Follow<Step> for Table<V> {
    fn follow(&mut self, newest: &Self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Exact(step) => self.exact.follow(&newest.exact, step),
                Step::Wild(step) => self.wild.follow(&newest.wild, step),
                Step::Literal(step) => self.dictionary.tree.follow(&newest.dictionary.tree, step),
            }
        }
        self.len = newest.len;
    }

    fn most_steps(&self) -> usize {
        MOST_STEPS.max(self.len / 64)
    }
}

impl<V> Table<V> {
    pub(super) fn new(seed: u64) -> Self {
        Self { exact: Tree::new(), wild: Tree::new(), dictionary: Dictionary::new(seed), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.dictionary.hasher
    }
}

impl<V: Value> Table<V> {
    /// A table of these pairs, of which some may be the same.
    pub(super) fn build(seed: u64, mut pairs: Vec<(TopicFilter, V)>, uses: &mut Uses) -> Self {
        let mut table = Self::new(seed);
        // What is alike lies together afterwards; the order is nobody's business.
        pairs.sort_by_cached_key(|(filter, value)| (table.hasher().filter(filter.pattern()).whole, *value));
        let (mut exact, mut wild) = (Vec::new(), Vec::new());
        for (filter, value) in &pairs {
            let entries = if filter.is_wildcard() { &mut wild } else { &mut exact };
            entries.push(Entry { text: filter.pattern(), values: std::slice::from_ref(value) });
        }
        let (mut exact_values, mut wild_values) = (Vec::new(), Vec::new());
        let (exact, wild) = (group(exact, &mut exact_values), group(wild, &mut wild_values));
        table.len = exact.iter().chain(&wild).map(|entry| entry.values.len()).sum();
        let hasher = table.hasher().clone();
        for entry in &wild {
            for _ in entry.values {
                uses.take(&mut table.dictionary, &hasher.filter(entry.text), &mut |_| {});
            }
        }
        let Self { exact: exact_tree, wild: wild_tree, dictionary, .. } = &mut table;
        Editor { tree: exact_tree, context: &dictionary.hasher, touched: &mut |_| {} }.fill(exact);
        Editor { tree: wild_tree, context: &*dictionary, touched: &mut |_| {} }.fill(wild);
        table
    }

    /// Adds a pair that is not there.
    pub(super) fn insert(&mut self, filter: &TopicFilter, value: V, uses: &mut Uses, touched: Touched<'_>) {
        let Self { exact, wild, dictionary, len } = self;
        let hasher = dictionary.hasher.clone();
        let key = hasher.filter(filter.pattern());
        if filter.is_wildcard() {
            uses.take(dictionary, &key, &mut |step| touched(Step::Literal(step)));
            let touched = &mut |step| touched(Step::Wild(step));
            Editor { tree: wild, context: &*dictionary, touched }.insert(&key, value);
        } else {
            let touched = &mut |step| touched(Step::Exact(step));
            Editor { tree: exact, context: &hasher, touched }.insert(&key, value);
        }
        *len += 1;
    }

    /// Takes a pair out that is there.
    pub(super) fn remove(&mut self, filter: &TopicFilter, value: &V, uses: &mut Uses, touched: Touched<'_>) {
        let Self { exact, wild, dictionary, len } = self;
        let hasher = dictionary.hasher.clone();
        let key = hasher.filter(filter.pattern());
        if filter.is_wildcard() {
            let of_wild = &mut |step| touched(Step::Wild(step));
            Editor { tree: wild, context: &*dictionary, touched: of_wild }.remove(&key, value);
            uses.give(dictionary, &key, &mut |step| touched(Step::Literal(step)));
        } else {
            let touched = &mut |step| touched(Step::Exact(step));
            Editor { tree: exact, context: &hasher, touched }.remove(&key, value);
        }
        *len -= 1;
    }

    pub(super) fn contains(&self, filter: &TopicFilter, value: &V) -> bool {
        let hasher = self.hasher();
        let key = hasher.filter(filter.pattern());
        if filter.is_wildcard() {
            self.wild.leaf_of(hasher, &key, value).is_some_and(|block| block.contains(&key, value))
        } else {
            self.exact.leaf_of(hasher, &key, value).is_some_and(|page| page.contains(&key, value))
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
        let key = self.hasher().topic(topic);
        in_pages(&self.exact.find(&key), &key, &mut found) && self.search_wild(&key, &mut found)
    }

    #[inline]
    fn search_wild(&self, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        if self.wild.is_empty() {
            return true;
        }
        let codes = Codes::new(&self.dictionary, key);
        self.wild.search(key, &mut |block: &Block<V>| block.search(&codes, found))
    }

    /// The same for several topics. Looks far ahead in memory, so that the processor waits for all of them at once.
    pub(super) fn search_batch<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        for topics in topics.chunks(BATCH) {
            self.search_few(topics, matches);
        }
    }

    fn search_few<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        let mut keys: [Key<'_>; BATCH] = [const { Key::EMPTY }; BATCH];
        let keys = &mut keys[..topics.len()];
        let mut pages: [Found<'_, Page<V, false>>; BATCH] = [const { Found::Nowhere }; BATCH];
        for (key, topic) in keys.iter_mut().zip(topics) {
            *key = self.hasher().topic(topic.as_ref());
        }
        let keys = &*keys;
        for (page, key) in pages.iter_mut().zip(keys) {
            *page = self.exact.find(key);
        }
        let mut seen = 0;
        for page in &pages {
            if let Found::Leaf(page) = page {
                seen ^= page.touch();
            }
        }
        for (page, key) in pages.iter().zip(keys) {
            if let Found::Leaf(page) = page {
                seen ^= page.touch_record(key.whole);
            }
        }
        std::hint::black_box(seen);
        for (page, key) in pages.iter().zip(keys) {
            let mut found = |values: &[V]| {
                matches.add(values);
                true
            };
            in_pages(page, key, &mut found);
            self.search_wild(key, &mut found);
            matches.end_topic();
        }
    }

    /// Bytes on the heap: of the nodes, and of the leaves.
    pub(super) fn heap(&self) -> (usize, usize) {
        let nodes = self.exact.heap() + self.wild.heap() + self.dictionary.tree.heap();
        (nodes, self.exact.leaves_heap() + self.wild.leaves_heap() + self.dictionary.tree.leaves_heap())
    }
}

/// Told of everything that a change touches, for a second copy to follow.
type Touched<'a> = &'a mut dyn FnMut(Step);

/// So many changes are followed one by one, at least.
const MOST_STEPS: usize = 4096;

/// Topics that are looked up side by side.
const BATCH: usize = 16;

#[inline]
fn in_pages<V: Value>(pages: &Found<'_, Page<V, false>>, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
    let mut in_page = |page: &Page<V, false>| page.find(key.whole, key.text.as_bytes()).is_none_or(&mut *found);
    match pages {
        Found::Nowhere => true,
        Found::Leaf(page) => in_page(page),
        Found::Leaves(slots) => slots.iter().all(|slot| match slot {
            Slot::Leaf(page) => in_page(page),
            Slot::Empty | Slot::Node(_) => true,
        }),
    }
}
