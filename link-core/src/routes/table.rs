use hashbrown::HashTable;

use super::{RouteId, RouteKey};
use crate::topic::TopicFilter;

/// Filters with something about each, found by their [`RouteId`]s. No id is kept: the table is laid out by them, and the
/// hash of what is found tells.
///
/// A place takes 40 bytes with a small value, and the text is shared with others that have it. Finding, adding and removing
/// cost one hash and a look at a place or two.
pub(super) struct RouteTable<V> {
    key: RouteKey,
    entries: HashTable<(TopicFilter, V)>,
}

impl<V> RouteTable<V> {
    pub(super) fn new(key: RouteKey) -> Self {
        Self { key, entries: HashTable::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a filter that is not there.
    pub(super) fn insert(&mut self, id: RouteId, filter: TopicFilter, value: V) {
        let key = self.key;
        self.entries.insert_unique(spread(id), (filter, value), |(filter, _)| spread(id_of(&key, filter)));
    }

    pub(super) fn remove(&mut self, id: RouteId, filter: &TopicFilter) -> Option<(TopicFilter, V)> {
        Some(self.entries.find_entry(spread(id), |(other, _)| other == filter).ok()?.remove().0)
    }

    /// A filter with this id. Two filters can have one: the digest of the set tells.
    pub(super) fn by_id(&self, id: RouteId) -> Option<&(TopicFilter, V)> {
        self.entries.find(spread(id), |(filter, _)| id_of(&self.key, filter) == id)
    }

    /// A filter with this id for which `is` says so.
    pub(super) fn find(&self, id: RouteId, is: impl Fn(&TopicFilter) -> bool) -> Option<&TopicFilter> {
        self.entries.find(spread(id), |(filter, _)| is(filter)).map(|(filter, _)| filter)
    }

    /// All, in the order of the table, which the history of the table settles.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(TopicFilter, V)> {
        self.entries.iter()
    }
}

impl<V> std::fmt::Debug for RouteTable<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteTable({})", self.len())
    }
}

/// An id over 64 bits: the table looks at the highest and the lowest of them.
fn spread(id: RouteId) -> u64 {
    id.number().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub(super) fn id_of(key: &RouteKey, filter: &TopicFilter) -> RouteId {
    RouteId::from_hash(key.hash(filter.as_str()))
}
