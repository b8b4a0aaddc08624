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
        if !(marks.loading && mutant::on(Mutant::PartialCells)) {
            self.outline.enter(hash);
        }
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
        let mut filter = self.wild.find(id, |filter| is(key.hash(filter.as_str()))).cloned();
        if filter.is_some() {
            return filter;
        }
        self.places.find(at.index.hash(id.number()), |handle| {
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
                let is_wild = || self.wild.find(RouteId::from_hash(hash), |wild| wild.as_str() == text).is_some();
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
    index.hash(RouteId::from_hash(hash).number())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const OWN: u32 = 1;

    /// Filters of every kind: without wildcards, of usual shapes, of rare ones, and too deep to be of any.
    fn filter(n: u32) -> TopicFilter {
        let text = match n % 8 {
            0..5 => format!("t/{n}"),
            5 => format!("t/+/{n}"),
            6 => {
                let levels = (0..8).map(|level| if n >> (level + 3) & 1 == 1 { "+".to_owned() } else { n.to_string() });
                levels.collect::<Vec<_>>().join("/")
            }
            _ => format!("{}{n}/#", "d/+/".repeat(10)),
        };
        TopicFilter::new(text).unwrap()
    }

    fn marks(n: u8) -> Marks {
        [Marks::CERTIFIED, Marks::LOADING, Marks { stale: true, ..Marks::LOADING }][usize::from(n) % 3]
    }

    fn check(held: &Held, index: &FilterIndex<u32>, model: &BTreeMap<TopicFilter, Marks>) {
        let key = *held.outline.key();
        let mut all = BTreeMap::new();
        held.for_each(index, &OWN, |text, hash| {
            assert_eq!(hash, key.hash(text));
            let filter = TopicFilter::new(text.to_owned()).unwrap();
            assert_eq!(all.insert(filter, held.marks.get(hash)), None, "each once");
        });
        assert_eq!(&all, model);
        assert_eq!(held.len(), model.len());
        assert!(index.iter().filter(|(_, value)| *value == OWN).all(|(filter, _)| model.contains_key(&filter)));
        let mut outline = Outline::new(key, 10);
        model.keys().for_each(|filter| outline.enter(key.hash(filter.as_str())));
        assert_eq!(held.outline.digest(), outline.digest());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_held_is_what_was_put_in_under_any_key(
            steps in prop::collection::vec((0u32..3_000, 1u32..900, 0u8..8, 0u8..3), 1..10)
        ) {
            let mut index = FilterIndex::new(7);
            (0..100).for_each(|n| assert!(index.insert(&filter(n), 2)));
            let (mut held, mut model) = (Held::new(RouteKey([0; 16]), 10, &index), BTreeMap::new());
            for (step, (from, count, what, mark)) in steps.into_iter().enumerate() {
                let key = *held.outline.key();
                let at = &mut Place { index: &mut index, value: OWN };
                match what {
                    0..5 => for filter in (from..from + count).map(filter) {
                        let hash = key.hash(filter.as_str());
                        prop_assert_eq!(held.marks_of(at, &filter, hash), model.get(&filter).copied());
                        if model.remove(&filter).is_some() {
                            prop_assert_eq!(held.by_id(at, RouteId::from_hash(hash)), Some(filter.clone()));
                            held.remove(at, &filter, hash);
                            prop_assert_eq!(held.by_id(at, RouteId::from_hash(hash)), None);
                        } else {
                            prop_assert!(held.enter(at, &filter, hash, marks(mark)).is_ok());
                            model.insert(filter, marks(mark));
                        }
                    },
                    5 => {
                        let gone = held.retain(at, |other| other != marks(mark));
                        let expected: Vec<_> = model.iter().filter(|(_, other)| **other == marks(mark)).collect();
                        prop_assert!(gone.iter().eq(expected.iter().map(|(filter, _)| *filter)));
                        model.retain(|_, other| *other != marks(mark));
                    }
                    6 => {
                        held.marks.update(|own| if own == marks(mark) { Marks::CERTIFIED } else { own });
                        model.values_mut().filter(|own| **own == marks(mark)).for_each(|own| *own = Marks::CERTIFIED);
                    }
                    _ => held = held.rekey(RouteKey([step as u8 + 1; 16]), 10, at),
                }
                check(&held, &index, &model);
            }
            (0..100).for_each(|n| assert!(index.contains(&filter(n), &2)));
        }
    }
}
