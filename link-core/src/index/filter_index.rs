use std::{borrow::Borrow, collections::VecDeque, fmt};

use bytestring::ByteString;

use super::{
    Matches, Value,
    cell::{Arc, Published},
    handle::{Handle, Placed},
    publish::TwoCopies,
    scan::{Relation, Scan},
    table::{Books, Step, Table},
};
use crate::topic::TopicFilter;

/// Which of many topic filters match a topic: the writer's end.
///
/// It holds (filter, value) pairs, each once. Changes are made by one thread, at any time; [`Reader`]s on other threads
/// see them from the next [`publish`](Self::publish) on, all at once. The index itself shows them immediately.
///
/// Until the first [`reader`](Self::reader) there is one copy of everything. From then on there are two of the nodes,
/// which are about one fiftieth of the memory; the filters and their values are there once.
///
/// Costs: a change copies a segment of slots and a page of records, some KB each, or a block of up to some ten KB; see
/// docs/index.md for the whole table.
pub struct FilterIndex<V> {
    copies: TwoCopies<Table<V>, Step>,
    books: Books,
}

impl<V: Value> FilterIndex<V> {
    /// An index of nothing.
    ///
    /// `seed` goes into its hashes: peers choose the filters, so draw it at random where peers are real. Nothing depends
    /// on it but the time of a call, and the order of results.
    pub fn new(seed: u64) -> Self {
        Self { copies: TwoCopies::new(Table::new(seed)), books: Books::new(seed) }
    }

    /// An index of these pairs, some of which may be the same. Several times faster than to insert one after the other.
    pub fn build<F: Borrow<TopicFilter>>(seed: u64, pairs: impl IntoIterator<Item = (F, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(filter, value)| (filter.borrow().clone(), value)).collect();
        let mut books = Books::new(seed);
        Self { copies: TwoCopies::new(Table::build(seed, pairs, &mut books)), books }
    }

    /// Adds a pair. `false` if it was there, or if the index is full, which takes some GB of filters without wildcards;
    /// nothing has changed then.
    pub fn insert(&mut self, filter: &TopicFilter, value: V) -> bool {
        !self.contains(filter, &value) && self.place(filter, value) != Placed::Full
    }

    /// Adds a pair that is not there, and says how it is found again.
    pub(crate) fn place(&mut self, filter: &TopicFilter, value: V) -> Placed {
        let Self { copies, books } = self;
        copies.edit(|table, touched| table.insert(filter, value, books, touched))
    }

    /// The handle of a filter that was [placed](Self::place) where one finds it.
    pub(crate) fn handle_of(&self, filter: &TopicFilter) -> Option<Handle> {
        self.table().handle_of(filter)
    }

    /// Calls `found` with each filter of a handle that has the value, until it says `false`.
    pub(crate) fn of_handle(&self, handle: Handle, value: &V, mut found: impl FnMut(&str) -> bool) {
        self.table().of_handle(handle, value, &mut found);
    }

    /// Where something is in a table beside the index, whose places nobody may choose either.
    pub(crate) fn hash(&self, number: u64) -> u64 {
        self.table().hasher().value(&number)
    }

    /// Takes a pair out. `false` if it was not there.
    pub fn remove(&mut self, filter: &TopicFilter, value: &V) -> bool {
        if !self.contains(filter, value) {
            return false;
        }
        let Self { copies, books } = self;
        copies.edit(|table, touched| table.remove(filter, value, books, touched));
        true
    }

    /// Whether the pair is there.
    pub fn contains(&self, filter: &TopicFilter, value: &V) -> bool {
        self.table().contains(filter, value)
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, without what an allocator adds. Takes time in proportion to the index.
    ///
    /// Leaves that only snapshots and readers still hold don't count.
    pub fn memory_usage(&self) -> usize {
        let own: usize = self.copies.all().map(|copy| copy.heap().0).sum();
        own + self.table().heap().1 + self.copies.heap() + self.books.heap()
    }

    /// Shows all changes since the last time to the readers, at once. Then the other copy of the nodes follows, which
    /// takes time in proportion to what has changed.
    pub fn publish(&mut self) {
        self.copies.publish();
    }

    /// Whether there are changes that no reader sees yet. Never without a reader.
    pub fn has_pending(&self) -> bool {
        self.copies.has_pending()
    }

    /// A handle to read with, for another thread. The first one publishes, and costs a copy of the nodes.
    pub fn reader(&mut self) -> Reader<V> {
        Reader { published: Arc::clone(self.copies.published()) }
    }

    /// The index as it is now, which stays so while the index changes. Costs nothing at once; if the index changes while
    /// the snapshot is held, a copy of the nodes, which share all leaves.
    pub fn snapshot(&self) -> Snapshot<V> {
        Snapshot { table: Arc::clone(self.copies.current()) }
    }

    fn table(&self) -> &Table<V> {
        self.copies.current()
    }
}

/// Reads a [`FilterIndex`] from any thread, without ever waiting. Cloning shares the index, which may change between
/// two calls, but never during one.
pub struct Reader<V> {
    published: Arc<Published<Table<V>>>,
}

impl<V: Value> Reader<V> {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.published.load().len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any filter matches `topic`, which is taken for a valid topic name. Stops at the first.
    #[inline]
    pub fn is_match(&self, topic: impl AsRef<str>) -> bool {
        self.published.load().is_match(topic.as_ref())
    }

    /// Fills `matches` with the values of each filter that matches `topic`: twice with one value, if two of its filters
    /// match.
    #[inline]
    pub fn matches_into(&self, topic: impl AsRef<str>, matches: &mut Matches<V>) {
        matches.clear();
        self.published.load().search_one(topic.as_ref(), matches);
    }

    /// Fills `matches` with the values for each topic, of one state of the index. Faster than one topic after the
    /// other, where the index is larger than the caches of the processor.
    pub fn matches_batch<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        matches.clear();
        self.published.load().search_batch(topics, matches);
    }

    /// Calls `found` with each value of each filter that matches `topic`.
    ///
    /// What is read stays as it is while `found` runs. That costs the writer a copy of the nodes if it takes long.
    #[inline]
    pub fn for_each_match(&self, topic: impl AsRef<str>, mut found: impl FnMut(&V)) {
        self.for_each_slice(topic, |values| values.iter().for_each(&mut found));
    }

    /// As [`for_each_match`](Self::for_each_match), but with values that lie together in one call.
    #[inline]
    pub fn for_each_slice(&self, topic: impl AsRef<str>, found: impl FnMut(&[V])) {
        self.published.load().search(topic.as_ref(), found);
    }

    /// What is published now.
    pub fn snapshot(&self) -> Snapshot<V> {
        Snapshot { table: self.published.load_full() }
    }
}

/// An index as it was at one time.
pub struct Snapshot<V> {
    table: Arc<Table<V>>,
}

impl<V: Value> Snapshot<V> {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Reader::matches_into`].
    pub fn matches_into(&self, topic: impl AsRef<str>, matches: &mut Matches<V>) {
        matches.clear();
        self.table.search_one(topic.as_ref(), matches);
    }

    /// As [`Reader::matches_batch`].
    pub fn matches_batch<T: AsRef<str>>(&self, topics: &[T], matches: &mut Matches<V>) {
        matches.clear();
        self.table.search_batch(topics, matches);
    }

    /// As [`Reader::for_each_slice`].
    pub fn for_each_slice(&self, topic: impl AsRef<str>, found: impl FnMut(&[V])) {
        self.table.search(topic.as_ref(), found);
    }

    /// Goes through all pairs, a part at a time.
    pub fn cursor(&self) -> Cursor<V> {
        self.cursor_of(Relation::Any)
    }

    /// Goes through the filters that are covered by `filter`, a part at a time.
    pub fn cursor_covered_by(&self, filter: &TopicFilter) -> Cursor<V> {
        self.cursor_of(Relation::CoveredBy(filter.clone()))
    }

    /// Goes through the filters that cover `filter`, a part at a time.
    pub fn cursor_covering(&self, filter: &TopicFilter) -> Cursor<V> {
        self.cursor_of(Relation::Covering(filter.clone()))
    }

    /// Goes through the filters that match some topic which `filter` matches too, a part at a time.
    pub fn cursor_intersecting(&self, filter: &TopicFilter) -> Cursor<V> {
        self.cursor_of(Relation::Intersecting(filter.clone()))
    }

    fn cursor_of(&self, relation: Relation) -> Cursor<V> {
        Cursor { table: Arc::clone(&self.table), scan: Scan::new(relation) }
    }

    fn table(&self) -> &Table<V> {
        &self.table
    }
}

/// The questions that both ends answer from one table.
macro_rules! questions {
    ($($end:ident),*) => {$(
        impl<V: Value> $end<V> {
            /// Whether any filter matches `topic`, which is taken for a valid topic name. Stops at the first.
            pub fn is_match(&self, topic: impl AsRef<str>) -> bool {
                self.table().is_match(topic.as_ref())
            }

            /// Calls `found` with each value of each filter that matches `topic`: twice with one value, if two of its
            /// filters match.
            pub fn for_each_match(&self, topic: impl AsRef<str>, mut found: impl FnMut(&V)) {
                self.table().search(topic.as_ref(), |values| values.iter().for_each(&mut found));
            }

            /// Whether the filter of any pair covers `filter`; the same filter does.
            pub fn covers(&self, filter: &TopicFilter) -> bool {
                let mut scan = Scan::new(Relation::Covering(filter.clone()));
                let mut found = false;
                while !found && scan.step(self.table(), |_| found = true) {}
                found
            }

            /// Every pair, in no order.
            pub fn iter(&self) -> Pairs<'_, V> {
                Pairs::new(self.table(), Relation::Any)
            }

            /// The pairs whose filter covers `filter`, the filter itself among them.
            pub fn covering(&self, filter: &TopicFilter) -> Pairs<'_, V> {
                Pairs::new(self.table(), Relation::Covering(filter.clone()))
            }

            /// The pairs whose filter is covered by `filter`, the filter itself among them.
            pub fn covered_by(&self, filter: &TopicFilter) -> Pairs<'_, V> {
                Pairs::new(self.table(), Relation::CoveredBy(filter.clone()))
            }

            /// The pairs whose filter matches some topic that `filter` matches too.
            pub fn intersecting(&self, filter: &TopicFilter) -> Pairs<'_, V> {
                Pairs::new(self.table(), Relation::Intersecting(filter.clone()))
            }
        }

        impl<'a, V: Value> IntoIterator for &'a $end<V> {
            type Item = (TopicFilter, V);
            type IntoIter = Pairs<'a, V>;

            fn into_iter(self) -> Pairs<'a, V> {
                self.iter()
            }
        }
    )*};
}

questions!(FilterIndex, Snapshot);

/// Pairs of an index, one after the other, in no order.
///
/// The first one of each part (a segment or a block) takes time in proportion to the part: some ten microseconds.
pub struct Pairs<'a, V> {
    table: &'a Table<V>,
    scan: Scan,
    /// Of the part reached last.
    found: VecDeque<(TopicFilter, V)>,
}

impl<'a, V> Pairs<'a, V> {
    fn new(table: &'a Table<V>, relation: Relation) -> Self {
        Self { table, scan: Scan::new(relation), found: VecDeque::new() }
    }
}

impl<V: Value> Iterator for Pairs<'_, V> {
    type Item = (TopicFilter, V);

    fn next(&mut self) -> Option<(TopicFilter, V)> {
        let Self { table, scan, found } = self;
        while found.is_empty() {
            let more = scan.step(table, |entry| {
                let filter = TopicFilter::from_valid(ByteString::from(entry.text));
                found.extend(entry.values.iter().map(|&value| (filter.clone(), value)));
            });
            if !more {
                return None;
            }
        }
        found.pop_front()
    }
}

/// Goes through an index a part at a time, so that a million filters stall nobody. Holds a [`Snapshot`].
pub struct Cursor<V> {
    table: Arc<Table<V>>,
    scan: Scan,
}

impl<V: Value> Cursor<V> {
    /// Looks into up to `leaves` leaves, of at most some hundred filters each, and calls `found` with each filter that
    /// is looked for and some or all of its values. `false` if that was the end.
    pub fn step(&mut self, leaves: usize, mut found: impl FnMut(&str, &[V])) -> bool {
        (0..leaves).all(|_| self.scan.step(&self.table, |entry| found(entry.text, entry.values)))
    }
}

impl<V> Clone for Reader<V> {
    fn clone(&self) -> Self {
        Self { published: Arc::clone(&self.published) }
    }
}

impl<V> Clone for Snapshot<V> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for FilterIndex<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterIndex")
            .field("len", &self.len())
            .field("pending", &self.has_pending())
            .finish_non_exhaustive()
    }
}

impl<V: Value> fmt::Debug for Reader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<V: Value> fmt::Debug for Snapshot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("len", &self.len()).finish_non_exhaustive()
    }
}
