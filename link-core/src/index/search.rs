//! Which filters match a topic: all tables are asked side by side.

use arrayvec::ArrayVec;

use super::{
    block::Block,
    dictionary::Codes,
    hashed::{Lookups, same},
    key::Key,
    leaf::Value,
    matches::{Each, First, Sink},
    shapes::ByShape,
    table::Table,
};

/// Topics that are asked for side by side, and the lookups of all their shapes, at most.
const TOPICS: usize = 16;
const SHAPES: usize = 256;
/// Lookups by shape of one topic, at most.
const SHAPES_OF_ONE: usize = 128;
/// Topics that are asked for side by side where there are no wildcards.
const EXACT_TOPICS: usize = 32;

impl<V: Value> Table<V> {
    #[inline]
    pub(super) fn is_match(&self, topic: &str) -> bool {
        // Most publishes find their subscribers, if they have any, without a wildcard.
        let mut first = First(false);
        self.exact.search(self.hasher().text(topic), topic.as_bytes(), &mut |_| {
            first.0 = true;
            false
        });
        if !first.0 && self.has_wildcards() {
            self.search_wildcards(topic, &mut first);
        }
        first.0
    }

    #[inline]
    fn has_wildcards(&self) -> bool {
        self.shaped.texts() > 0 || !self.wild.is_empty()
    }

    fn search_wildcards(&self, topic: &str, sink: &mut impl Sink<V>) {
        let mut round = Round::<V, 1, SHAPES_OF_ONE>::new(self);
        round.add(topic);
        round.finish(sink);
    }

    /// Calls `found` with the values of each filter that matches.
    #[inline]
    pub(super) fn search(&self, topic: &str, found: impl FnMut(&[V])) {
        self.search_one(topic, &mut Each(found));
    }

    #[inline]
    pub(super) fn search_one(&self, topic: &str, sink: &mut impl Sink<V>) {
        if !self.has_wildcards() {
            self.exact.search(self.hasher().text(topic), topic.as_bytes(), &mut |values| sink.values(values));
            sink.end_topic();
            return;
        }
        let mut round = Round::<V, 1, SHAPES_OF_ONE>::new(self);
        round.add_exact(topic);
        round.add(topic);
        round.finish(sink);
    }

    /// The same for several topics. Looks far ahead in memory, so that the processor waits for all of them at once.
    pub(super) fn search_batch<T: AsRef<str>>(&self, topics: &[T], sink: &mut impl Sink<V>) {
        if !self.has_wildcards() {
            topics.chunks(EXACT_TOPICS).for_each(|topics| self.search_exact(topics, sink));
            return;
        }
        let mut round = Round::<V, TOPICS, SHAPES>::new(self);
        for topic in topics {
            if !round.has_room() {
                round.finish(sink);
            }
            round.add_exact(topic.as_ref());
            round.add(topic.as_ref());
        }
        round.finish(sink);
    }

    fn search_exact<T: AsRef<str>>(&self, topics: &[T], sink: &mut impl Sink<V>) {
        let mut lookups = Lookups::<usize, EXACT_TOPICS>::new();
        if self.exact.texts() > 0 {
            for (number, topic) in topics.iter().enumerate() {
                lookups.push(number, self.exact.home(self.hasher().text(topic.as_ref())));
            }
        }
        lookups.find(&self.exact);
        let mut lookups = lookups.iter().peekable();
        for (number, topic) in topics.iter().enumerate() {
            if let Some(lookup) = lookups.next_if(|lookup| lookup.name == number) {
                let is = |text: &[u8]| same(text, topic.as_ref().as_bytes());
                self.exact.check(lookup, is, &mut |values| sink.values(values));
            }
            sink.end_topic();
        }
    }
}

/// Topics that are asked for side by side.
struct Round<'a, V, const TOPICS: usize, const SHAPES: usize> {
    table: &'a Table<V>,
    keys: ArrayVec<Key<'a>, TOPICS>,
    exact: Lookups<'a, u8, TOPICS>,
    shaped: Lookups<'a, (u8, ByShape), SHAPES>,
}

impl<'a, V: Value, const TOPICS: usize, const SHAPES: usize> Round<'a, V, TOPICS, SHAPES> {
    #[inline]
    fn new(table: &'a Table<V>) -> Self {
        Self { table, keys: ArrayVec::new_const(), exact: Lookups::new(), shaped: Lookups::new() }
    }

    /// Whether there is room for one more topic.
    fn has_room(&self) -> bool {
        !self.keys.is_full() && self.shaped.has_room(SHAPES_OF_ONE)
    }

    /// Looks for the filter that is the same as the topic that is added next.
    #[inline]
    fn add_exact(&mut self, topic: &str) {
        if self.table.exact.texts() > 0 {
            self.exact.push(self.keys.len() as u8, self.table.exact.home(self.table.hasher().text(topic)));
        }
    }

    /// Adds a topic.
    #[inline]
    fn add(&mut self, topic: &'a str) {
        let key = self.table.hasher().topic(topic);
        if self.table.shaped.texts() > 0 {
            let of = self.keys.len() as u8;
            self.table.shapes.look_up(&self.table.shaped, &key, |lookup, home| self.shaped.push((of, lookup), home));
        }
        self.keys.push(key);
    }

    /// Gives the values of all filters that match the topics, and begins anew.
    #[inline]
    fn finish(&mut self, sink: &mut impl Sink<V>) {
        self.exact.find(&self.table.exact);
        self.shaped.find(&self.table.shaped);
        self.check(sink);
        self.exact.clear();
        self.shaped.clear();
        self.keys.clear();
    }

    #[inline]
    fn check(&self, sink: &mut impl Sink<V>) -> bool {
        let Table { exact, shaped, shapes, wild, dictionary, .. } = self.table;
        let (mut in_exact, mut in_shaped) = (self.exact.iter().peekable(), self.shaped.iter().peekable());
        for (of, key) in (0_u8..).zip(&self.keys) {
            let mut found = |values: &[V]| sink.values(values);
            if let Some(lookup) = in_exact.next_if(|lookup| lookup.name == of)
                && !exact.check(lookup, |text| same(text, key.text.as_bytes()), &mut found)
            {
                return false;
            }
            while let Some(lookup) = in_shaped.next_if(|lookup| lookup.name.0 == of) {
                let shape = shapes.shape(lookup.name.1);
                if !shaped.check(lookup, |text| shape.matches(text, key), &mut found) {
                    return false;
                }
            }
            if !wild.is_empty() {
                let codes = Codes::new(dictionary, key);
                if !wild.search(key, &mut |block: &Block<V>| block.search(&codes, &mut found)) {
                    return false;
                }
            }
            sink.end_topic();
        }
        true
    }
}
