use std::{collections::BTreeMap, sync::Arc};

/// The children of a node by their level, in the order of the text.
///
/// Most nodes have one child: it needs no allocation of its own, which also bounds what a filter of thousands of levels
/// costs.
#[derive(Debug, Clone, Default)]
pub(super) enum Children {
    #[default]
    None,
    One(Arc<str>, usize),
    Many(BTreeMap<Arc<str>, usize>),
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
    pub(super) fn insert(&mut self, level: Arc<str>, node: usize) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(level, node),
            Self::One(only, other) => Self::Many(BTreeMap::from([(only, other), (level, node)])),
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
                    *self = map.pop_first().map_or(Self::None, |(only, node)| Self::One(only, node));
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, usize)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(only, node) => (Some((&**only, *node)), None),
            Self::Many(map) => (None, Some(map.iter().map(|(level, node)| (&**level, *node)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn for_each_node(&mut self, mut change: impl FnMut(&mut usize)) {
        match self {
            Self::None => {}
            Self::One(_, node) => change(node),
            Self::Many(map) => map.values_mut().for_each(change),
        }
    }
}
