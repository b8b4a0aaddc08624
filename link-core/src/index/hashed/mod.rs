//! Texts with values, found by hash.

mod bloom;
mod edit;
mod lists;
mod lookups;
mod records;
mod segment;
mod slots;

#[cfg(test)]
pub(super) use self::slots::MOST_PAGES;
pub(super) use self::{
    bloom::Blooms,
    edit::{Edit, Space},
    lookups::{Lookup, Lookups},
    segment::Home,
    slots::tag,
};
use self::{
    lists::List,
    records::{Page, Record, Values},
    slots::{Place, Slots},
};
use super::leaf::{Entry, Value};

/// A multimap of texts and values, which knows only hashes of the texts.
///
/// ```text
///            Slots                     pages                         lists
/// hash ──▶ tag | page, place ──▶ text | value                    ┌▶ values values ...
///                                text | value value value        │
///                                text | number of a list ────────┘
/// ```
///
/// A lookup waits for memory twice: for the slot, and for the record. What the hash is of is the caller's business:
/// of the whole text, or of a part of it.
///
/// Segments of the slots, pages and parts of lists are shared by all copies. A second copy can
/// [`follow`](Self::follow) the [`Step`]s of the first.
#[derive(Debug, Clone)]
pub(super) struct Hashed<V> {
    slots: Slots,
    pages: Vec<Page<V>>,
    lists: Vec<List<V>>,
}

/// What a change has touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Slots(slots::Touched),
    Page(u32),
    List(u32),
    /// One part of a list.
    Part(u32, u32),
}

impl<V: Value> Hashed<V> {
    pub(super) const fn new() -> Self {
        Self { slots: Slots::new(false), pages: Vec::new(), lists: Vec::new() }
    }

    /// A table that is mostly asked for hashes that are not there, and tells so at once: see
    /// [`blooms`](Self::blooms).
    pub(super) const fn with_blooms() -> Self {
        Self { slots: Slots::new(true), pages: Vec::new(), lists: Vec::new() }
    }

    /// Number of texts.
    #[inline]
    pub(super) fn texts(&self) -> usize {
        self.slots.len()
    }

    /// Calls `found` with the values of a text, until it says `false`. Whether it never did.
    #[inline]
    pub(super) fn search(&self, hash: u64, text: &[u8], found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let mut record = None;
        self.slots.find(hash, |at| {
            let candidate = self.pages[at.page()].record(at.unit());
            let is = same(candidate.text(), text);
            if is {
                record = Some(candidate);
            }
            is
        });
        record.is_none_or(|record| self.hand_out(record, found))
    }

    /// The first value of a text.
    #[inline]
    pub(super) fn first(&self, hash: u64, text: &[u8]) -> Option<V> {
        let mut first = None;
        self.search(hash, text, &mut |values| {
            first = values.first().copied();
            false
        });
        first
    }

    pub(super) fn contains(&self, hash: u64, text: &str, value: &V) -> bool {
        self.locate(hash, text).is_some_and(|(_, record)| self.has(record, value))
    }

    fn locate(&self, hash: u64, text: &str) -> Option<(Place, Record<'_, V>)> {
        let (place, at) =
            self.slots.find(hash, |at| self.pages[at.page()].record(at.unit()).text() == text.as_bytes())?;
        Some((place, self.pages[at.page()].record(at.unit())))
    }

    #[inline]
    fn hand_out(&self, record: Record<'_, V>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        match record.values() {
            Values::Inline(values) => found(values),
            Values::List(list) => self.lists[list as usize].parts().all(found),
        }
    }

    /// What tells of most hashes that are not there, for a table that is not empty.
    #[inline]
    pub(super) fn blooms(&self) -> Blooms<'_> {
        self.slots.blooms()
    }

    /// Where to look for a hash. The table must not be empty.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> Home<'_> {
        self.slots.home(hash)
    }

    /// Fetches the record of a candidate.
    #[inline]
    pub(super) fn prefetch(&self, home: &Home<'_>, same: u8) {
        let at = home.record(same);
        self.pages[at.page()].prefetch(at.unit());
    }

    /// Calls `found` with the values of that record of a candidate's hash whose text passes, until it says `false`.
    #[inline]
    pub(super) fn check<N>(
        &self,
        Lookup { home, places, .. }: &Lookup<'_, N>,
        passes: impl Fn(&[u8]) -> bool,
        found: &mut impl FnMut(&[V]) -> bool,
    ) -> bool {
        let at = home.record(*places);
        let record = self.pages[at.page()].record(at.unit());
        if passes(record.text()) {
            return self.hand_out(record, found);
        }
        self.check_all(home, passes, found)
    }

    /// The same for all records of the hash.
    #[cold]
    fn check_all(&self, home: &Home<'_>, passes: impl Fn(&[u8]) -> bool, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let record = self.slots.find_from(home, |at| passes(self.pages[at.page()].record(at.unit()).text()));
        record.is_none_or(|(_, at)| self.hand_out(self.pages[at.page()].record(at.unit()), found))
    }

    /// Calls `found` with those texts of a hash that pass, and their values.
    pub(super) fn entries<'a>(&'a self, hash: u64, passes: impl Fn(&str) -> bool, found: &mut dyn FnMut(Entry<'a, V>)) {
        self.slots.find(hash, |at| {
            let record = self.pages[at.page()].record(at.unit());
            if passes(text(record)) {
                self.entry(record, found);
            }
            false
        });
    }

    /// Calls `found` with each text of a tag that has the value, until it says `false`.
    pub(super) fn of_tag(&self, tag: u32, value: &V, found: &mut dyn FnMut(&str) -> bool) {
        self.slots.find_tag(tag, |at| {
            let record = self.pages[at.page()].record(at.unit());
            self.has(record, value) && !found(text(record))
        });
    }

    fn has(&self, record: Record<'_, V>, value: &V) -> bool {
        match record.values() {
            Values::Inline(values) => values.binary_search(value).is_ok(),
            Values::List(list) => self.lists[list as usize].contains(value),
        }
    }

    fn entry<'a>(&'a self, record: Record<'a, V>, found: &mut dyn FnMut(Entry<'a, V>)) {
        let text = text(record);
        match record.values() {
            Values::Inline(values) => found(Entry { text, values }),
            Values::List(list) => self.lists[list as usize].parts().for_each(|values| found(Entry { text, values })),
        }
    }

    /// Calls `found` with each text of a part of the table, and its values, as several entries where they are many.
    /// `false` if there is no such part: parts are numbered from 0.
    pub(super) fn part<'a>(&'a self, part: usize, found: &mut dyn FnMut(Entry<'a, V>)) -> bool {
        let Some(records) = self.slots.segment(part) else { return false };
        for at in records {
            let record = self.pages[at.page()].record(at.unit());
            self.entry(record, found);
        }
        true
    }

    /// Makes what was touched as it is in `newest`.
    pub(super) fn follow(&mut self, newest: &Self, step: Step) {
        match step {
            Step::Slots(touched) => self.slots.follow(&newest.slots, touched),
            Step::Page(page) => follow(&mut self.pages, &newest.pages, page as usize),
            Step::List(list) => follow(&mut self.lists, &newest.lists, list as usize),
            Step::Part(list, part) => match (self.lists.get_mut(list as usize), newest.lists.get(list as usize)) {
                (Some(own), Some(new)) => own.follow(new, part as usize),
                _ => follow(&mut self.lists, &newest.lists, list as usize),
            },
        }
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let (own, shared) = self.slots.heap();
        let spines: usize = self.lists.iter().map(List::spine).sum();
        let vectors = self.pages.capacity() * size_of::<Page<V>>() + self.lists.capacity() * size_of::<List<V>>();
        let pages: usize = self.pages.iter().map(|page| page.size() + COUNTERS).sum();
        let lists: usize = self.lists.iter().map(List::heap).sum();
        (own + vectors + spines, shared + pages + lists)
    }
}

fn text<V: Value>(record: Record<'_, V>) -> &str {
    // It came in as text.
    std::str::from_utf8(record.text()).unwrap_or_default()
}

/// Bytes of the counters before what is shared.
const COUNTERS: usize = 2 * size_of::<usize>();

/// Adds one, and takes memory for a few more at most: what is large is not kept for nothing.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 1);
    }
    list.push(value);
}

/// Gives back what is not used, if that is an eighth or more.
fn shrink<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() - list.capacity() / 8 {
        list.shrink_to(list.len() + list.len() / 16);
    }
}

fn follow<T: Clone>(own: &mut Vec<T>, newest: &[T], at: usize) {
    own.truncate(newest.len());
    shrink(own);
    while own.len() < newest.len() {
        push(own, newest[own.len()].clone());
    }
    if let Some(new) = newest.get(at) {
        own[at] = new.clone();
    }
}

/// A hash that is made of a sum of parts that look random, each by itself.
#[inline]
pub(super) fn hash_of_sum(sum: u32) -> u64 {
    u64::from(sum) << (u64::BITS - segment::TAG_BITS)
}

/// Whether two texts are the same, eight bytes at a time: most are too short for a call to be worth it.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0;
    };
    let whole = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    whole.fold(word(a_last) ^ word(b_last), |different, (a, b)| different | (word(a) ^ word(b))) == 0
}
