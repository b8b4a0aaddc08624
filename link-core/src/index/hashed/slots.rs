//! Where records are, by hash: ordered hash tables of some hundred words each.

use super::super::{
    cell::Arc,
    tree::{address, buddy},
};
use super::{COUNTERS, shrink};

/// Where a record is: a page and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref(u32);

impl Ref {
    pub(super) fn new(page: u32, unit: u32) -> Self {
        Self(page << OFFSET_BITS | unit)
    }

    #[inline]
    pub(super) fn page(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    /// In units of [`UNIT`](super::records::UNIT) bytes.
    #[inline]
    pub(super) fn unit(self) -> usize {
        self.0 as usize & ((1 << OFFSET_BITS) - 1)
    }
}

const OFFSET_BITS: u32 = 12;
/// Pages that a [`Ref`] can name.
pub(super) const MOST_PAGES: usize = 1 << (32 - OFFSET_BITS);

/// A hash table of [`Ref`]s in segments.
///
/// ```text
/// segment   tag tag ... tag EMPTY EMPTY EMPTY EMPTY | Ref Ref ... Ref 0 0 0 0
/// ```
///
/// A tag is 32 bits of the hash. Its low bits say which segment, by linear hashing; the high ones, where a search begins
/// in it: its home. Tags of a segment are in order, at their home or behind it, with empty places between (O. Amble,
/// D. E. Knuth, *Ordered hash tables*, The Computer Journal 1974), so a search for what is not there ends as early as
/// one for what is. Nothing but the tag is needed to split a segment, and nothing but tags is read where a hash is not
/// found: they take half of the memory, and a search looks at four of them at once.
///
/// A segment is shared by the copies of the table until one of them changes it.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    segments: Vec<Segment>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Segment {
    /// As many tags as references.
    words: Arc<[u32]>,
    homes: u32,
    used: u32,
}

/// Of an empty place: above every tag.
const EMPTY: u32 = u32::MAX;
/// Records of a segment, about, if there are several segments.
const USUAL: usize = 256;
/// Places behind the last home that are always empty, so that a search can look at four at once.
const TAIL: usize = 4;

/// A place in the table, until it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u32,
    at: u32,
}

/// Where the search for a tag begins.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Home {
    tag: u32,
    segment: u32,
    at: u32,
}

impl Home {
    pub(in super::super) const NONE: Self = Self { tag: 0, segment: 0, at: 0 };
}

/// The segment that was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Touched(u32);

#[inline]
fn tag(hash: u64) -> u32 {
    ((hash >> 32) as u32).min(EMPTY - 1)
}

#[inline]
fn home(tag: u32, homes: u32) -> usize {
    ((u64::from(tag) * u64::from(homes)) >> 32) as usize
}

#[inline]
fn segment(tag: u32, width: usize) -> usize {
    address(tag.into(), width)
}

impl Place {
    pub(super) const NONE: Self = Self { segment: 0, at: 0 };
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    pub(super) fn build(mut all: Vec<(u64, Ref)>) -> Self {
        let width = all.len().div_ceil(USUAL);
        all.sort_unstable_by_key(|&(hash, at)| (segment(tag(hash), width), tag(hash), at));
        let mut segments = Vec::with_capacity(width);
        let mut rest = &*all;
        for at in 0..width {
            let (these, others) = rest.split_at(rest.partition_point(|&(hash, _)| segment(tag(hash), width) == at));
            segments.push(Segment::new(&these.iter().map(|&(hash, at)| (tag(hash), at)).collect::<Vec<_>>()));
            rest = others;
        }
        Self { segments, len: all.len() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the search for a hash begins. There must be some record.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> Home {
        let tag = tag(hash);
        let segment = segment(tag, self.segments.len());
        Home { tag, segment: segment as u32, at: home(tag, self.segments[segment].homes) as u32 }
    }

    /// The tag in a home.
    #[inline]
    pub(super) fn near(&self, home: &Home) -> u32 {
        self.segments[home.segment as usize].words[home.at as usize]
    }

    /// The first place whose tag is not below the one that is looked for, and whether it is the same.
    #[inline]
    pub(super) fn probe(&self, home: &Home) -> (Place, bool) {
        let Home { tag, segment, at } = *home;
        let tags = &self.segments[segment as usize].words[at as usize..];
        let below = tags.first_chunk::<4>().map_or(0, |four| four.iter().map(|&other| u32::from(other < tag)).sum());
        let mut below: u32 = below;
        // Seldom.
        while tags[below as usize] < tag {
            below += 1;
        }
        (Place { segment, at: at + below }, tags[below as usize] == tag)
    }

    /// What is in a place that is used.
    #[inline]
    pub(super) fn record(&self, place: Place) -> Ref {
        let words = &self.segments[place.segment as usize].words;
        Ref(words[words.len() / 2 + place.at as usize])
    }

    /// The first record of the hash for which `is` says so.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        if self.len == 0 {
            return None;
        }
        let tag = tag(hash);
        let of = segment(tag, self.segments.len());
        let segment = &self.segments[of];
        let mut at = home(tag, segment.homes);
        while segment.words[at] < tag {
            at += 1;
        }
        while segment.words[at] == tag {
            let place = Place { segment: of as u32, at: at as u32 };
            let record = self.record(place);
            if is(record) {
                return Some((place, record));
            }
            at += 1;
        }
        None
    }

    /// The next place, if it has the same tag.
    #[inline]
    pub(super) fn next(&self, Place { segment, at }: Place) -> Option<Place> {
        let words = &self.segments[segment as usize].words;
        let (this, next) = (words[at as usize], words[at as usize + 1]);
        (this == next).then_some(Place { segment, at: at + 1 })
    }

    /// All records of a segment; `None` behind the last one.
    pub(super) fn segment(&self, at: usize) -> Option<impl Iterator<Item = Ref>> {
        Some(self.segments.get(at)?.entries().map(|(_, record)| record))
    }

    pub(super) fn insert(&mut self, hash: u64, at: Ref, touched: &mut dyn FnMut(Touched)) {
        let tag = tag(hash);
        if self.segments.is_empty() {
            self.segments.push(Segment::new(&[]));
        }
        let of = segment(tag, self.segments.len());
        self.segments[of].insert(tag, at);
        self.len += 1;
        touched(Touched(of as u32));
        if self.len > self.segments.len() * (USUAL + USUAL / 8) {
            self.widen(touched);
        }
    }

    pub(super) fn replace(&mut self, place: Place, at: Ref, touched: &mut dyn FnMut(Touched)) {
        let words = Arc::make_mut(&mut self.segments[place.segment as usize].words);
        let middle = words.len() / 2;
        words[middle + place.at as usize] = at.0;
        touched(Touched(place.segment));
    }

    pub(super) fn remove(&mut self, place: Place, touched: &mut dyn FnMut(Touched)) {
        self.segments[place.segment as usize].remove(place.at as usize);
        self.len -= 1;
        touched(Touched(place.segment));
        if self.len == 0 {
            *self = Self::new();
        } else if self.segments.len() > 1 && self.len < (self.segments.len() - 1) * (USUAL - USUAL / 8) {
            self.narrow(touched);
        }
    }

    fn widen(&mut self, touched: &mut dyn FnMut(Touched)) {
        let new = self.segments.len();
        let old = buddy(new);
        let (go, stay): (Vec<_>, Vec<_>) =
            self.segments[old].entries().partition(|&(tag, _)| segment(tag, new + 1) == new);
        self.segments[old] = Segment::new(&stay);
        self.segments.push(Segment::new(&go));
        touched(Touched(old as u32));
    }

    fn narrow(&mut self, touched: &mut dyn FnMut(Touched)) {
        let Some(last) = self.segments.pop() else { return };
        let into = buddy(self.segments.len());
        let mut all: Vec<_> = self.segments[into].entries().chain(last.entries()).collect();
        all.sort_unstable();
        self.segments[into] = Segment::new(&all);
        touched(Touched(into as u32));
        shrink(&mut self.segments);
    }

    /// Makes what was touched as it is in `newest`.
    pub(super) fn follow(&mut self, newest: &Self, Touched(at): Touched) {
        self.len = newest.len;
        super::follow(&mut self.segments, &newest.segments, at as usize);
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let shared = self.segments.iter().map(|segment| size_of_val(&*segment.words) + COUNTERS).sum();
        (self.segments.capacity() * size_of::<Segment>(), shared)
    }
}

impl Segment {
    /// Of these tags, which are in order. Two thirds of the homes are used.
    fn new(entries: &[(u32, Ref)]) -> Self {
        let homes = (entries.len() + entries.len() / 2 + 2) as u32;
        let mut tags = vec![EMPTY; homes as usize + TAIL];
        let mut places = Vec::with_capacity(entries.len());
        let mut next = 0;
        for &(tag, _) in entries {
            next = next.max(home(tag, homes));
            if next + TAIL >= tags.len() {
                tags.resize(next + TAIL + 1, EMPTY);
            }
            tags[next] = tag;
            places.push(next);
            next += 1;
        }
        let middle = tags.len();
        tags.resize(2 * middle, 0);
        for (place, (_, record)) in places.into_iter().zip(entries) {
            tags[middle + place] = record.0;
        }
        Self { words: tags.into(), homes, used: entries.len() as u32 }
    }

    fn entries(&self) -> impl Iterator<Item = (u32, Ref)> {
        let (tags, records) = self.words.split_at(self.words.len() / 2);
        tags.iter().zip(records).filter(|(tag, _)| **tag != EMPTY).map(|(&tag, &record)| (tag, Ref(record)))
    }

    fn insert(&mut self, tag: u32, record: Ref) {
        let middle = self.words.len() / 2;
        let mut at = home(tag, self.homes);
        while self.words[at] < tag {
            at += 1;
        }
        let free = at + self.words[at..middle].iter().take_while(|&&other| other != EMPTY).count();
        if free + TAIL >= middle || (self.used + 1) * 32 > self.homes * 25 {
            let mut all: Vec<_> = self.entries().collect();
            all.insert(all.partition_point(|&(other, _)| other < tag), (tag, record));
            *self = Self::new(&all);
            return;
        }
        let words = Arc::make_mut(&mut self.words);
        words.copy_within(at..free, at + 1);
        words.copy_within(middle + at..middle + free, middle + at + 1);
        (words[at], words[middle + at]) = (tag, record.0);
        self.used += 1;
    }

    fn remove(&mut self, at: usize) {
        if self.homes > 64 && (self.used - 1) * 5 < self.homes * 3 {
            let record = Ref(self.words[self.words.len() / 2 + at]);
            let all: Vec<_> = self.entries().filter(|&(_, other)| other != record).collect();
            *self = Self::new(&all);
            return;
        }
        let words = Arc::make_mut(&mut self.words);
        let middle = words.len() / 2;
        let behind = &words[at + 1..middle];
        let moved = behind.iter().zip(at..).take_while(|&(&tag, at)| tag != EMPTY && home(tag, self.homes) <= at);
        let last = at + moved.count();
        words.copy_within(at + 1..last + 1, at);
        words.copy_within(middle + at + 1..middle + last + 1, middle + at);
        (words[last], words[middle + last]) = (EMPTY, 0);
        self.used -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let hash = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = |n: u64| Ref::new((n / 100) as u32, (n % 100) as u32);
        let mut slots = Slots::new();
        let mut copy = Slots::new();
        for round in 0..3 {
            for n in 0..5_000 {
                let mut steps = Vec::new();
                slots.insert(hash(n), at(n), &mut |step| steps.push(step));
                steps.into_iter().for_each(|step| copy.follow(&slots, step));
            }
            assert_eq!((slots.len(), copy.len()), (5_000, 5_000));
            for slots in [&slots, &copy, &Slots::build((0..5_000).map(|n| (hash(n), at(n))).collect())] {
                assert!((0..5_000).all(|n| slots.find(hash(n), |found| found == at(n)).is_some()), "round {round}");
                assert!((5_000..9_000).all(|n| slots.find(hash(n), |found| found == at(n)).is_none()));
                let all: usize = (0..).map_while(|at| slots.segment(at)).map(Iterator::count).sum();
                assert_eq!(all, 5_000);
                let probed = (0..5_000).filter(|&n| slots.probe(&slots.home(hash(n))).1);
                assert_eq!(probed.count(), 5_000);
            }
            for n in 0..5_000 {
                let mut steps = Vec::new();
                let (place, _) = slots.find(hash(n), |found| found == at(n)).unwrap();
                slots.remove(place, &mut |step| steps.push(step));
                steps.into_iter().for_each(|step| copy.follow(&slots, step));
            }
            assert_eq!((slots.segments.len(), copy.segments.len()), (0, 0));
        }
    }

    #[test]
    fn slots_of_one_hash_are_all_found() {
        let mut slots = Slots::new();
        for n in 0..700 {
            slots.insert(u64::MAX, Ref::new(n, 5), &mut |_| {});
        }
        for n in 0..700 {
            let (place, _) = slots.find(u64::MAX, |found| found.page() == n as usize).unwrap();
            slots.remove(place, &mut |_| {});
            assert!(slots.find(u64::MAX, |found| found.page() == n as usize).is_none());
        }
    }
}
