//! The filters of an index that stand in some relation to a given one, found by walking down both side by side.

use super::trie::{ROOT, Trie};
use crate::topic::{TopicFilter, is_reserved};

/// Pairs of an index, one after the other, in the order of [`Trie::iter`].
///
/// Made by [`Trie::iter`], [`Trie::covering`], [`Trie::covered_by`] and [`Trie::intersecting`]. Each filter is written
/// down when its first pair is reached, which takes time in proportion to its length.
pub struct Related<'a, V> {
    trie: &'a Trie<V>,
    relation: Relation,
    /// The levels of the given filter, without a `#`.
    levels: Vec<&'a str>,
    /// Whether the given filter ends with `#`.
    hash: bool,
    /// What to do next, last one first.
    steps: Vec<Step>,
    /// The filter reached last, and the values left of it.
    current: Option<(TopicFilter, std::slice::Iter<'a, V>)>,
}

impl<'a, V: Copy + Ord> Related<'a, V> {
    pub(super) fn all(trie: &'a Trie<V>) -> Self {
        Self::new(trie, Relation::Any, None)
    }

    pub(super) fn covering(trie: &'a Trie<V>, given: &'a TopicFilter) -> Self {
        Self::new(trie, Relation::Covering, Some(given))
    }

    pub(super) fn covered_by(trie: &'a Trie<V>, given: &'a TopicFilter) -> Self {
        Self::new(trie, Relation::CoveredBy, Some(given))
    }

    pub(super) fn intersecting(trie: &'a Trie<V>, given: &'a TopicFilter) -> Self {
        Self::new(trie, Relation::Intersecting, Some(given))
    }

    fn new(trie: &'a Trie<V>, relation: Relation, given: Option<&'a TopicFilter>) -> Self {
        let mut levels: Vec<_> = given.into_iter().flat_map(TopicFilter::levels).collect();
        let hash = levels.pop_if(|level| *level == "#").is_some();
        Self { trie, relation, levels, hash, steps: vec![Step::Visit { node: ROOT, depth: 0 }], current: None }
    }

    /// Whether there is any pair, without writing its filter down.
    pub(super) fn any(mut self) -> bool {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Visit { node, depth } => self.visit(node, depth),
                Step::Take { node, below } if self.trie.node(node).values(below).is_empty() => {}
                Step::Take { .. } => return true,
            }
        }
        false
    }

    /// Plans what is to be done at a node whose path goes together with the first `depth` given levels.
    fn visit(&mut self, at: usize, depth: usize) {
        let trie = self.trie;
        let node = trie.node(at);
        let rest = self.levels.get(depth..).unwrap_or_default();
        let place = Place::new(at, rest, self.hash);
        // Levels so far that make one empty level are no topic: see `TopicFilter::intersect`.
        let given_is_empty = depth == 1 && self.levels.first() == Some(&"");
        let path_is_empty = depth == 1 && node.level() == Some("");

        let (below, here) = match self.relation {
            Relation::Any => (true, true),
            Relation::Covering => (!place.reserved, place.exhausted),
            Relation::CoveredBy => {
                let one_or_more = place.rest == ["+"] && self.hash && (place.is_root || path_is_empty);
                (place.at_hash || one_or_more, place.exhausted || place.at_hash)
            }
            Relation::Intersecting => (
                !(place.reserved || place.exhausted && path_is_empty),
                place.exhausted || place.at_hash && !given_is_empty,
            ),
        };

        let next = |node| Step::Visit { node, depth: depth + 1 };
        match (self.relation, place.rest.first()) {
            (Relation::Any, _) => {
                self.steps.extend(node.children.sorted().into_iter().rev().map(|(_, child)| next(child)));
                self.steps.extend(node.plus.map(next));
            }
            (Relation::Covering, None) => {
                // `+/#` covers `#` where none of its levels are no topic.
                let covers = place.at_hash && (place.is_root || given_is_empty);
                self.steps.extend(node.plus.filter(|_| covers).map(|node| Step::Take { node, below: true }));
            }
            (Relation::Covering, Some(&"+")) => self.steps.extend(node.plus.map(next)),
            (Relation::CoveredBy | Relation::Intersecting, None) if !place.at_hash => {}
            (Relation::CoveredBy | Relation::Intersecting, None | Some(&"+")) => {
                let closed = |level: &str| place.is_root && is_reserved(level);
                let open = node.children.sorted().into_iter().rev().filter(|(level, _)| !closed(level));
                self.steps.extend(open.map(|(_, child)| next(child)));
                self.steps.extend(node.plus.map(next));
            }
            (relation, Some(level)) => {
                self.steps.extend(node.children.find(level).map(next));
                let plus = node.plus.filter(|_| relation != Relation::CoveredBy && !place.reserved);
                self.steps.extend(plus.map(next));
            }
        }
        if here {
            self.steps.push(Step::Take { node: at, below: false });
        }
        if below {
            self.steps.push(Step::Take { node: at, below: true });
        }
    }
}

impl<V: Copy + Ord> Iterator for Related<'_, V> {
    type Item = (TopicFilter, V);

    fn next(&mut self) -> Option<(TopicFilter, V)> {
        loop {
            if let Some((filter, values)) = &mut self.current
                && let Some(value) = values.next()
            {
                return Some((filter.clone(), *value));
            }
            self.current = None;
            match self.steps.pop()? {
                Step::Visit { node, depth } => self.visit(node, depth),
                Step::Take { node, below } => {
                    let values = self.trie.node(node).values(below);
                    if !values.is_empty() {
                        self.current = Some((self.trie.filter(node, below), values.iter()));
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Any,
    Covering,
    CoveredBy,
    Intersecting,
}

enum Step {
    Visit { node: usize, depth: usize },
    Take { node: usize, below: bool },
}

/// Where the given filter stands at a node.
struct Place<'l, 'a> {
    is_root: bool,
    /// The given levels that are left, without a `#`.
    rest: &'l [&'a str],
    /// The given filter has ended, without a `#`.
    exhausted: bool,
    /// The given filter has only its `#` left.
    at_hash: bool,
    /// The next given level is one that wildcards at this node pass by.
    reserved: bool,
}

impl<'l, 'a> Place<'l, 'a> {
    fn new(at: usize, rest: &'l [&'a str], hash: bool) -> Self {
        let is_root = at == ROOT;
        let reserved = is_root && rest.first().is_some_and(|level| is_reserved(level));
        Self { is_root, rest, exhausted: rest.is_empty() && !hash, at_hash: rest.is_empty() && hash, reserved }
    }
}
