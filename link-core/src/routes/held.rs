//! All that counts of a copy, which lies in the topic index.

use super::{
    RouteId, RouteKey,
    marks::{MarkBook, Marks},
    outline::Outline,
    places::Places,
    table::RouteTable,
};
use crate::{
    index::{FilterIndex, Handle, Placed, Value},
    mutant::{self, Mutant},
    topic::TopicFilter,
};

/// All that counts of a copy. The index has the filters, each with the value of the copy; here is what else there is to
/// know of them.
///
/// ```text
///             Places                 FilterIndex
///  id ─hash─▶ print, handle ────────▶ filter ─┬─▶ the hash of it: whether it is the one
///                                             └─▶ MarkBook: why it counts
/// ```
#[derive(Debug)]
pub(super) struct Held {
    pub(super) outline: Outline,
    pub(super) marks: MarkBook,
    places: Places,
    /// Filters that no handle finds: those with wildcards where few have them.
    wild: RouteTable<()>,
}

/// Where a copy lies: the index, and the value that its filters have there.
pub(super) struct Place<'a, V> {
    pub(super) index: &'a mut FilterIndex<V>,
    pub(super) value: V,
}

/// There is no room in the index.
pub(super) struct Full;

impl Held {
    pub(super) fn new<V: Value>(key: RouteKey, sketch_from: usize, index: &FilterIndex<V>) -> Self {
        Self {
            outline: Outline::new(key, sketch_from),
            marks: MarkBook::new(index.hash(0)),
            places: Places::default(),
            wild: RouteTable::new(key),
        }
    }

    /// The same routes by another key. Costs a hash for each.
    pub(super) fn rekey<V: Value>(&self, key: RouteKey, sketch_from: usize, at: &Place<'_, V>) -> Self {
        let mut held = Self::new(key, sketch_from, at.index);
        held.marks.set_all(self.marks.usual());
        let mut entries = Vec::with_capacity(self.len());
        self.each(at.index, &at.value, |handle, text, old| {
            let hash = key.hash(text);
            held.outline.enter(hash);
            held.marks.set(hash, self.marks.get(old));
            match handle {
                Some(handle) => entries.push((spot(at.index, hash), handle)),
                None => held.wild.insert(RouteId::from_hash(hash), TopicFilter::from_valid(text.into()), ()),
            }
        });
        held.places = Places::of(&entries);
        held
    }

    /// Number of routes that count.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.outline.count()).unwrap_or(usize::MAX)
    }

    /// Why a filter counts, if it does.
    pub(super) fn marks_of<V: Value>(&self, at: &Place<'_, V>, filter: &TopicFilter, hash: u128) -> Option<Marks> {
        at.index.contains(filter, &at.value).then(|| self.marks.get(hash))
    }

    /// Adds a filter that does not count.
    pub(super) fn enter<V: Value>(
        &mut self,
        at: &mut Place<'_, V>,
        filter: &TopicFilter,
        hash: u128,
        marks: Marks,
    ) -> Result<(), Full> {
        if self.outline.count() == 0 {
            self.marks.set_all(marks);
        }
        match at.index.place(filter, at.value) {
            Placed::Found(handle) => {
                let (index, key) = (&*at.index, *self.outline.key());
                self.places.insert(spot(index, hash), handle, |handle: Handle, found: &mut dyn FnMut(u64)| {
                    index.of_handle(handle, &at.value, |text| {
                        found(spot(index, key.hash(text)));
                        true
                    });
                });
            }
            Placed::Wild => self.wild.insert(RouteId::from_hash(hash), filter.clone(), ()),
            Placed::Full => return Err(Full),
        }
        self.outline.enter(hash);
        self.marks.set(hash, marks);
        Ok(())
    }

    /// Takes a filter out that counts.
    pub(super) fn remove<V: Value>(&mut self, at: &mut Place<'_, V>, filter: &TopicFilter, hash: u128) {
        if self.wild.remove(RouteId::from_hash(hash), filter).is_none()
            && let Some(handle) = at.index.handle_of(filter)
        {
            self.places.remove(spot(at.index, hash), handle);
        }
        if !mutant::on(Mutant::PhantomRoute) {
            at.index.remove(filter, &at.value);
        }
        self.outline.leave(hash);
        self.marks.forget(hash);
    }

    /// A filter with this id. Two filters can have one: the digest of the set tells.
    pub(super) fn by_id<V: Value>(&self, at: &Place<'_, V>, id: RouteId) -> Option<TopicFilter> {
        self.find(at, id, |hash| RouteId::from_hash(hash) == id)
    }

    fn find<V: Value>(&self, at: &Place<'_, V>, id: RouteId, is: impl Fn(u128) -> bool) -> Option<TopicFilter> {
        let key = self.outline.key();
        let mut filter = self.wild.by_id(id).map(|(filter, ())| filter.clone());
        filter = filter.filter(|filter| is(key.hash(filter.as_str())));
        if filter.is_some() {
            return filter;
        }
        self.places.find(at.index.hash(id.0), |handle| {
            at.index.of_handle(handle, &at.value, |text| {
                if is(key.hash(text)) {
                    filter = Some(TopicFilter::from_valid(text.into()));
                }
                filter.is_none()
            });
            filter.is_none()
        });
        filter
    }

    /// Calls `found` with each filter that counts, and its hash, in no order.
    pub(super) fn for_each<V: Value>(&self, index: &FilterIndex<V>, value: &V, mut found: impl FnMut(&str, u128)) {
        self.each(index, value, |_, text, hash| found(text, hash));
    }

    fn each<V: Value>(&self, index: &FilterIndex<V>, value: &V, mut found: impl FnMut(Option<Handle>, &str, u128)) {
        let key = self.outline.key();
        for (filter, ()) in self.wild.iter() {
            found(None, filter.as_str(), key.hash(filter.as_str()));
        }
        self.places.for_each(|handle, is| {
            index.of_handle(handle, value, |text| {
                let hash = key.hash(text);
                // One of `wild` can have come to where a handle would find it.
                let is_wild =
                    || self.wild.by_id(RouteId::from_hash(hash)).is_some_and(|(wild, ())| wild.as_str() == text);
                if is(spot(index, hash)) && !is_wild() {
                    found(Some(handle), text, hash);
                }
                true
            });
        });
    }

    /// Takes those out of which `keep` says no by their marks, and gives them in order. Where most stay it costs time in
    /// proportion to the others.
    pub(super) fn retain<V: Value>(&mut self, at: &mut Place<'_, V>, keep: impl Fn(Marks) -> bool) -> Vec<TopicFilter> {
        let mut going = Vec::new();
        if keep(self.marks.usual()) {
            for (hash, _) in self.marks.others().filter(|(_, marks)| !keep(*marks)) {
                let filter = self.find(at, RouteId::from_hash(hash), |other| other == hash);
                going.extend(filter.map(|filter| (filter, hash)));
            }
        } else {
            self.for_each(at.index, &at.value, |text, hash| {
                if !keep(self.marks.get(hash)) {
                    going.push((TopicFilter::from_valid(text.into()), hash));
                }
            });
        }
        going.sort_unstable();
        going.iter().for_each(|(filter, hash)| self.remove(at, filter, *hash));
        going.into_iter().map(|(filter, _)| filter).collect()
    }
}

/// Where a route is among the places.
fn spot<V: Value>(index: &FilterIndex<V>, hash: u128) -> u64 {
    index.hash(RouteId::from_hash(hash).0)
}
