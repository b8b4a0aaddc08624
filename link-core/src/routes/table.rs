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

    pub(super) fn get(&self, id: RouteId, filter: &TopicFilter) -> Option<&V> {
        self.entries.find(id.0, |(other, _)| other == filter).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, id: RouteId, filter: &TopicFilter) -> Option<&mut V> {
        self.entries.find_mut(id.0, |(other, _)| other == filter).map(|(_, value)| value)
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

    /// All, in the order of the table, which the history of the table settles.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(TopicFilter, V)> {
        self.entries.iter()
    }

    /// The ids of all.
    pub(super) fn ids(&self) -> impl Iterator<Item = RouteId> {
        self.iter().map(|(filter, _)| id_of(&self.key, filter))
    }

    /// Changes each value.
    pub(super) fn update(&mut self, mut change: impl FnMut(&mut V)) {
        self.entries.iter_mut().for_each(|(_, value)| change(value));
    }

    /// Changes each value; what gives `false` is taken out, in the order of the table.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&TopicFilter, &mut V) -> bool) -> Vec<TopicFilter> {
        let mut gone = Vec::new();
        self.entries.retain(|(filter, value)| {
            let stays = keep(filter, value);
            if !stays {
                gone.push(filter.clone());
            }
            stays
        });
        gone
    }

    /// The same filters by another key. Costs a hash for each.
    pub(super) fn rekey(self, key: RouteKey) -> Self {
        let mut entries = HashTable::with_capacity(self.entries.len());
        for (filter, value) in self.entries {
            entries.insert_unique(id_of(&key, &filter).0, (filter, value), |(filter, _)| id_of(&key, filter).0);
        }
        Self { key, entries }
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
