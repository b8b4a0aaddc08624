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
        self.entries.insert_unique(id.0, (filter, value), |(filter, _)| id_of(&key, filter).0);
    }

    pub(super) fn remove(&mut self, id: RouteId, filter: &TopicFilter) -> Option<(TopicFilter, V)> {
        Some(self.entries.find_entry(id.0, |(other, _)| other == filter).ok()?.remove().0)
    }

    /// A filter with this id. Two filters can have one: the digest of the set tells.
    pub(super) fn by_id(&self, id: RouteId) -> Option<&(TopicFilter, V)> {
        self.entries.find(id.0, |(filter, _)| id_of(&self.key, filter) == id)
    }

    /// A filter with this id for which `is` says so.
    pub(super) fn find(&self, id: RouteId, is: impl Fn(&TopicFilter) -> bool) -> Option<&TopicFilter> {
        self.entries.find(id.0, |(filter, _)| is(filter)).map(|(filter, _)| filter)
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

pub(super) fn id_of(key: &RouteKey, filter: &TopicFilter) -> RouteId {
    RouteId::from_hash(key.hash(filter.as_str()))
}
