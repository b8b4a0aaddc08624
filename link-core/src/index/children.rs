use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The children of a node by their level.
///
/// Most nodes have one child: it needs no allocation of its own, which also bounds what a filter of thousands of levels
/// costs.
#[derive(Debug, Clone, Default)]
pub(super) enum Children {
    #[default]
    None,
    One(Arc<str>, usize),
    Many(HashMap<Arc<str>, usize, FixedState>),
}

impl Children {
    pub(super) fn find(&self, level: &str) -> Option<usize> {
        match self {
            Self::None => None,
            Self::One(only, node) => (**only == *level).then_some(*node),
            Self::Many(map) => map.get(level).copied(),
        }
    }

    /// Adds a child under a level that has none.
    pub(super) fn insert(&mut self, level: Arc<str>, node: usize, hasher: &FixedState) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(level, node),
            Self::One(only, other) => {
                let mut map = HashMap::with_capacity_and_hasher(2, hasher.clone());
                map.insert(only, other);
                map.insert(level, node);
                Self::Many(map)
            }
            Self::Many(mut map) => {
                map.insert(level, node);
                Self::Many(map)
            }
        };
    }

    pub(super) fn remove(&mut self, level: &str) {
        match self {
            Self::None => {}
            Self::One(only, _) if **only == *level => *self = Self::None,
            Self::One(..) => {}
            Self::Many(map) => {
                map.remove(level);
                if map.len() <= 1 {
                    let last = std::mem::take(map).into_iter().next();
                    *self = last.map_or(Self::None, |(only, node)| Self::One(only, node));
                } else if map.len() < map.capacity() / 8 {
                    map.shrink_to_fit();
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The children in the order of the text, the order of the hash table being nobody's business.
    pub(super) fn sorted(&self) -> Vec<(&str, usize)> {
        match self {
            Self::None => Vec::new(),
            Self::One(only, node) => vec![(only, *node)],
            Self::Many(map) => {
                let mut all: Vec<_> = map.iter().map(|(level, node)| (&**level, *node)).collect();
                all.sort_unstable();
                all
            }
        }
    }

    pub(super) fn for_each_node(&mut self, change: impl FnMut(&mut usize)) {
        match self {
            Self::None => {}
            Self::One(_, node) => std::iter::once(node).for_each(change),
            Self::Many(map) => map.values_mut().for_each(change),
        }
    }
}
