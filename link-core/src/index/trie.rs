use std::{fmt, ops::ControlFlow, sync::Arc};

use bytestring::ByteString;
use foldhash::fast::FixedState;

use super::{children::Children, relation::Related, stack::Stack};
use crate::topic::{Levels, TopicFilter};

/// An index of (filter, value) pairs: a tree of levels.
///
/// Its order depends only on the pairs in it, never on how they came in. Operations cost time in proportion to the
/// levels of a filter; finding the matches of a topic visits each node at most once. Nothing recurses, so that a
/// filter of 65,536 levels needs no stack.
#[derive(Clone)]
pub struct Trie<V> {
    /// Node 0 is the root and always there.
    nodes: Vec<Node<V>>,
    /// Unused places in `nodes`.
    free: Vec<usize>,
    len: usize,
    hasher: FixedState,
}

impl<V> Trie<V> {
    /// An index of nothing.
    ///
    /// `seed` goes into its hash tables: peers choose the keys, so draw it at random where peers are real. Nothing but
    /// the time of a lookup depends on it.
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { nodes: vec![Node::new(ROOT, None)], free: Vec::new(), len: 0, hasher }
    }

    /// How many (filter, value) pairs there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<V: Copy + Ord> Trie<V> {
    /// Adds a pair. `false` if it was there.
    pub fn insert(&mut self, filter: &TopicFilter, value: V) -> bool {
        let mut node = ROOT;
        let mut below = false;
        for level in filter.levels() {
            match level {
                "#" => below = true,
                "+" => node = self.nodes[node].plus.unwrap_or_else(|| self.add(node, None)),
                level => node = self.nodes[node].children.find(level).unwrap_or_else(|| self.add(node, Some(level))),
            }
        }
        let values = self.nodes[node].values_mut(below);
        match values.binary_search(&value) {
            Ok(_) => false,
            Err(at) => {
                values.insert(at, value);
                self.len += 1;
                true
            }
        }
    }

    /// Takes a pair out. `false` if it was not there.
    pub fn remove(&mut self, filter: &TopicFilter, value: &V) -> bool {
        let Some((node, below)) = self.find(filter) else { return false };
        let values = self.nodes[node].values_mut(below);
        let Ok(at) = values.binary_search(value) else { return false };
        values.remove(at);
        if values.len() < values.capacity() / 4 {
            values.shrink_to_fit();
        }
        self.len -= 1;
        self.prune(node);
        true
    }

    /// Whether the pair is there.
    pub fn contains(&self, filter: &TopicFilter, value: &V) -> bool {
        self.find(filter).is_some_and(|(node, below)| self.nodes[node].values(below).binary_search(value).is_ok())
    }

    /// Every pair, ordered by the levels of the filters: `#`, then `+`, then text.
    pub fn iter(&self) -> Related<'_, V> {
        Related::all(self)
    }

    /// Calls `found` with the value of each pair whose filter matches `topic`: twice with one value, if two of its
    /// filters match. Does not allocate for topics of up to 32 levels.
    ///
    /// `topic` is taken for a valid topic name.
    pub fn for_each_match(&self, topic: impl AsRef<str>, mut found: impl FnMut(&V)) {
        let _ = self.find_matches(topic.as_ref(), |values| {
            values.iter().for_each(&mut found);
            ControlFlow::Continue(())
        });
    }

    /// Whether any filter matches `topic`. Stops at the first.
    pub fn is_match(&self, topic: impl AsRef<str>) -> bool {
        self.find_matches(topic.as_ref(), |_| ControlFlow::Break(())).is_break()
    }

    /// Whether the filter of any pair covers `filter`; the same filter does.
    pub fn covers(&self, filter: &TopicFilter) -> bool {
        Related::covering(self, filter).any()
    }

    /// The pairs whose filter covers `filter`, the filter itself among them.
    pub fn covering<'a>(&'a self, filter: &'a TopicFilter) -> Related<'a, V> {
        Related::covering(self, filter)
    }

    /// The pairs whose filter is covered by `filter`, the filter itself among them.
    pub fn covered_by<'a>(&'a self, filter: &'a TopicFilter) -> Related<'a, V> {
        Related::covered_by(self, filter)
    }

    /// The pairs whose filter matches some topic that `filter` matches too.
    pub fn intersecting<'a>(&'a self, filter: &'a TopicFilter) -> Related<'a, V> {
        Related::intersecting(self, filter)
    }

    pub(super) fn node(&self, node: usize) -> &Node<V> {
        &self.nodes[node]
    }

    /// The filter of the values `here` or `below` a node.
    pub(super) fn filter(&self, mut node: usize, below: bool) -> TopicFilter {
        let mut levels = Vec::new();
        if below {
            levels.push("#");
        }
        while node != ROOT {
            levels.push(self.nodes[node].level().unwrap_or("+"));
            node = self.nodes[node].parent;
        }
        levels.reverse();
        TopicFilter::from_valid(ByteString::from(levels.join("/")))
    }

    /// The number of nodes, the root included.
    #[cfg(test)]
    pub(super) fn node_count(&self) -> (usize, usize) {
        (self.nodes.len() - self.free.len(), self.nodes.len())
    }

    fn find_matches(&self, topic: &str, mut found: impl FnMut(&[V]) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.is_empty() {
            return ControlFlow::Continue(());
        }
        let reserved = topic.starts_with('$');
        // At each level at most one branch waits while the other is followed.
        let mut waiting: Stack<(usize, Option<&str>), 32> = Stack::new();
        waiting.push((ROOT, Some(topic)));
        while let Some((node, rest)) = waiting.pop() {
            let wildcards = !(node == ROOT && reserved);
            let node = &self.nodes[node];
            if wildcards && !node.below.is_empty() {
                found(&node.below)?;
            }
            let Some(rest) = rest else {
                if !node.here.is_empty() {
                    found(&node.here)?;
                }
                continue;
            };
            let mut levels = Levels::new(rest);
            let child = levels.next().and_then(|level| node.children.find(level));
            let plus = node.plus.filter(|_| wildcards);
            for next in [plus, child].into_iter().flatten() {
                waiting.push((next, levels.rest()));
            }
        }
        ControlFlow::Continue(())
    }

    fn find(&self, filter: &TopicFilter) -> Option<(usize, bool)> {
        let mut node = ROOT;
        for level in filter.levels() {
            node = match level {
                "#" => return Some((node, true)),
                "+" => self.nodes[node].plus?,
                level => self.nodes[node].children.find(level)?,
            };
        }
        Some((node, false))
    }

    /// Adds an empty child; `level` `None` is `+`.
    fn add(&mut self, parent: usize, level: Option<&str>) -> usize {
        let level: Option<Arc<str>> = level.map(Arc::from);
        let child = Node::new(parent, level.clone());
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at] = child;
                at
            }
            None => {
                self.nodes.push(child);
                self.nodes.len() - 1
            }
        };
        match level {
            Some(level) => self.nodes[parent].children.insert(level, at, &self.hasher),
            None => self.nodes[parent].plus = Some(at),
        }
        at
    }

    /// Frees `node` and what is above it, as far as they hold nothing.
    fn prune(&mut self, mut node: usize) {
        while node != ROOT && self.nodes[node].is_empty() {
            let freed = std::mem::replace(&mut self.nodes[node], Node::new(ROOT, None));
            let parent = &mut self.nodes[freed.parent];
            match freed.level {
                Some(level) => parent.children.remove(&level),
                None => parent.plus = None,
            }
            self.free.push(node);
            node = freed.parent;
        }
        if self.free.len() > 64 && self.free.len() > self.nodes.len() / 4 * 3 {
            self.compact();
        }
    }

    /// Closes the gaps. Takes time in proportion to the places, and as many removals come between two of them.
    fn compact(&mut self) {
        for &at in &self.free {
            self.nodes[at].parent = FREE;
        }
        let mut moved_to = vec![ROOT; self.nodes.len()];
        let mut used = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            if node.parent != FREE {
                moved_to[at] = used;
                used += 1;
            }
        }
        self.nodes.retain(|node| node.parent != FREE);
        self.nodes.shrink_to_fit();
        self.free = Vec::new();
        for node in &mut self.nodes {
            node.parent = moved_to[node.parent];
            node.plus = node.plus.map(|plus| moved_to[plus]);
            node.children.for_each_node(|child| *child = moved_to[*child]);
        }
    }
}

impl<V: Copy + Ord + fmt::Debug> fmt::Debug for Trie<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, V: Copy + Ord> IntoIterator for &'a Trie<V> {
    type Item = (TopicFilter, V);
    type IntoIter = Related<'a, V>;

    fn into_iter(self) -> Related<'a, V> {
        self.iter()
    }
}

pub(super) const ROOT: usize = 0;
const FREE: usize = usize::MAX;

#[derive(Clone)]
pub(super) struct Node<V> {
    parent: usize,
    /// `None` is `+`.
    level: Option<Arc<str>>,
    pub(super) plus: Option<usize>,
    pub(super) children: Children,
    /// Values of the filter that ends here, sorted.
    pub(super) here: Vec<V>,
    /// Values of the filter that ends with `#` here, sorted.
    pub(super) below: Vec<V>,
}

impl<V> Node<V> {
    fn new(parent: usize, level: Option<Arc<str>>) -> Self {
        Self { parent, level, plus: None, children: Children::None, here: Vec::new(), below: Vec::new() }
    }

    /// `None` for `+` and for the root.
    pub(super) fn level(&self) -> Option<&str> {
        self.level.as_deref()
    }

    pub(super) fn values(&self, below: bool) -> &Vec<V> {
        if below { &self.below } else { &self.here }
    }

    fn values_mut(&mut self, below: bool) -> &mut Vec<V> {
        if below { &mut self.below } else { &mut self.here }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.below.is_empty() && self.plus.is_none() && self.children.is_empty()
    }
}
