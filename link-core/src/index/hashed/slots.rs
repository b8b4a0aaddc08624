//! Where records are, by hash: ordered hash tables of some hundred words each.

use super::{
    super::tree::buddy,
    bloom::{Bloom, Blooms},
    segment::{Home, Segment, TAG_BITS},
    shrink,
};

/// Where a record is: a page and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref(pub(super) u32);

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
/// Pages that a [`Ref`] can name; few of them in tests.
pub(in super::super) const MOST_PAGES: usize = if cfg!(test) { 64 } else { 1 << (32 - OFFSET_BITS) };

/// A hash table of [`Ref`]s in segments of lines.
///
/// ```text
/// segment   line line line ...                    64 bytes each: a line of the processor's cache
/// line      tag tag tag tag tag tag tag EMPTY | Ref Ref Ref Ref Ref Ref Ref 0
/// ```
///
/// A tag is 31 bits of the hash. Its low bits say which segment, by linear hashing; the high ones, which line a search
/// begins with: its home. Tags of a segment are in order, from the beginning of their home on or behind it, and what is
/// not used of a line is at its end (O. Amble, D. E. Knuth, *Ordered hash tables*, The Computer Journal 1974). So one
/// line tells nearly always, also of a hash that is not there. Nothing but the tag is needed to split a segment.
///
/// A segment is shared by the copies of the table until one of them changes it.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    segments: Vec<Segment>,
    /// Of each segment. None of any, if nobody asks.
    blooms: Vec<Bloom>,
    has_blooms: bool,
    len: usize,
}

/// Records of a segment, about, if there are several segments.
const USUAL: usize = 256;

/// A place in the table, until it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: usize,
    at: usize,
}

/// The segment that was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Touched(u32);

/// The part of a hash by which records are found.
#[inline]
pub(in super::super) fn tag(hash: u64) -> u32 {
    (hash >> (u64::BITS - TAG_BITS)) as u32
}

/// As [`address`](super::super::tree::address), without a branch.
#[inline]
fn segment(tag: u32, width: usize) -> usize {
    let whole = whole(width);
    let at = tag as usize & whole;
    at & (if at < width { whole } else { whole >> 1 })
}

/// The bits of a tag that tell a segment.
#[inline]
pub(super) fn whole(width: usize) -> usize {
    usize::MAX >> (width - 1).leading_zeros().min(63)
}

impl Slots {
    pub(super) const fn new(has_blooms: bool) -> Self {
        Self { segments: Vec::new(), blooms: Vec::new(), has_blooms, len: 0 }
    }

    /// Puts all that is to be there into a table in which nothing is.
    pub(super) fn fill(&mut self, mut all: Vec<(u64, Ref)>) {
        let width = all.len().div_ceil(USUAL);
        all.sort_unstable_by_key(|&(hash, at)| (segment(tag(hash), width), tag(hash), at));
        self.segments.reserve_exact(width);
        let mut rest = &*all;
        for at in 0..width {
            let (these, others) = rest.split_at(rest.partition_point(|&(hash, _)| segment(tag(hash), width) == at));
            self.push(Segment::new(&these.iter().map(|&(hash, at)| (tag(hash), at)).collect::<Vec<_>>()));
            rest = others;
        }
        self.len = all.len();
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Which hashes there may be. There must be some record.
    #[inline]
    pub(super) fn blooms(&self) -> Blooms<'_> {
        Blooms::new(&self.blooms)
    }

    /// Where the search for a hash begins. There must be some record.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> Home<'_> {
        let tag = tag(hash);
        self.segments[segment(tag, self.segments.len())].home(tag)
    }

    /// What is in a place that is used.
    #[inline]
    pub(super) fn record(&self, place: Place) -> Ref {
        self.segments[place.segment].get(place.at).1
    }

    /// The first record of the hash for which `is` says so.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        self.find_tag(tag(hash), is)
    }

    /// The first record of the tag of a home for which `is` says so.
    pub(super) fn find_from(&self, home: &Home<'_>, is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        self.find_tag(home.tag(), is)
    }

    /// The same, by the tag of a hash.
    #[inline]
    pub(super) fn find_tag(&self, tag: u32, is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        if self.len == 0 {
            return None;
        }
        let segment = segment(tag, self.segments.len());
        let (at, record) = self.segments[segment].find(tag, is)?;
        Some((Place { segment, at }, record))
    }

    /// All records of a segment; `None` behind the last one.
    pub(super) fn segment(&self, at: usize) -> Option<impl Iterator<Item = Ref>> {
        Some(self.segments.get(at)?.entries().map(|(_, record)| record))
    }

    pub(super) fn insert(&mut self, hash: u64, at: Ref, touched: &mut dyn FnMut(Touched)) {
        let tag = tag(hash);
        if self.segments.is_empty() {
            self.push(Segment::new(&[]));
        }
        let of = segment(tag, self.segments.len());
        self.segments[of].insert(tag, at);
        if let Some(bloom) = self.blooms.get_mut(of) {
            bloom.insert(tag);
        }
        self.len += 1;
        touched(Touched(of as u32));
        if self.len > self.segments.len() * (USUAL + USUAL / 8) {
            self.widen(touched);
        }
    }

    pub(super) fn replace(&mut self, place: Place, record: Ref, touched: &mut dyn FnMut(Touched)) {
        self.segments[place.segment].replace(place.at, record);
        touched(Touched(place.segment as u32));
    }

    pub(super) fn remove(&mut self, place: Place, touched: &mut dyn FnMut(Touched)) {
        let segment = &mut self.segments[place.segment];
        let tag = segment.get(place.at).0;
        segment.remove(place.at);
        if let Some(bloom) = self.blooms.get_mut(place.segment) {
            bloom.remove(tag, segment);
        }
        self.len -= 1;
        touched(Touched(place.segment as u32));
        if self.len == 0 {
            *self = Self::new(self.has_blooms);
        } else if self.segments.len() > 1 && self.len < (self.segments.len() - 1) * (USUAL - USUAL / 8) {
            self.narrow(touched);
        }
    }

    fn widen(&mut self, touched: &mut dyn FnMut(Touched)) {
        let new = self.segments.len();
        let old = buddy(new);
        let (go, stay): (Vec<_>, Vec<_>) =
            self.segments[old].entries().partition(|&(tag, _)| segment(tag, new + 1) == new);
        self.set(old, Segment::new(&stay));
        self.push(Segment::new(&go));
        touched(Touched(old as u32));
    }

    fn narrow(&mut self, touched: &mut dyn FnMut(Touched)) {
        let Some(last) = self.segments.pop() else { return };
        self.blooms.pop();
        let into = buddy(self.segments.len());
        let mut all: Vec<_> = self.segments[into].entries().chain(last.entries()).collect();
        all.sort_unstable();
        self.set(into, Segment::new(&all));
        touched(Touched(into as u32));
        shrink(&mut self.segments);
        shrink(&mut self.blooms);
    }

    fn set(&mut self, at: usize, segment: Segment) {
        if let Some(bloom) = self.blooms.get_mut(at) {
            *bloom = Bloom::of(&segment);
        }
        self.segments[at] = segment;
    }

    fn push(&mut self, segment: Segment) {
        if self.has_blooms {
            super::push(&mut self.blooms, Bloom::of(&segment));
        }
        super::push(&mut self.segments, segment);
    }

    /// Makes what was touched as it is in `newest`.
    pub(super) fn follow(&mut self, newest: &Self, Touched(at): Touched) {
        self.len = newest.len;
        super::follow(&mut self.segments, &newest.segments, at as usize);
        super::follow(&mut self.blooms, &newest.blooms, at as usize);
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let shared = self.segments.iter().map(Segment::heap).sum();
        (self.segments.capacity() * size_of::<Segment>() + self.blooms.capacity() * size_of::<Bloom>(), shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let hash = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = |n: u64| Ref::new((n / 100) as u32, (n % 100) as u32);
        let mut slots = Slots::new(true);
        let mut copy = Slots::new(true);
        for round in 0..3 {
            for n in 0..5_000 {
                let mut steps = Vec::new();
                slots.insert(hash(n), at(n), &mut |step| steps.push(step));
                steps.into_iter().for_each(|step| copy.follow(&slots, step));
            }
            assert_eq!((slots.len(), copy.len()), (5_000, 5_000));
            let mut filled = Slots::new(true);
            filled.fill((0..5_000).map(|n| (hash(n), at(n))).collect());
            for slots in [&slots, &copy, &filled] {
                assert!((0..5_000).all(|n| slots.find(hash(n), |found| found == at(n)).is_some()), "round {round}");
                let may_have = |n: u64| {
                    let sums = std::array::from_fn(|lane| (hash(n + lane as u64) >> 33) as i32);
                    slots.blooms().may_have(wide::i32x8::new(sums)).count_ones()
                };
                assert!((0..5_000).step_by(8).all(|n| may_have(n) == 8));
                let passed: u32 = (5_000..9_000).step_by(8).map(may_have).sum();
                assert!(passed < 1_000, "{passed} of 4,000");
                assert!((5_000..9_000).all(|n| slots.find(hash(n), |found| found == at(n)).is_none()));
                let all: usize = (0..).map_while(|at| slots.segment(at)).map(Iterator::count).sum();
                assert_eq!(all, 5_000);
                let probed =
                    (0..5_000).filter(|&n| slots.home(hash(n)).same() != 0 || !slots.home(hash(n)).is_enough());
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
        let mut slots = Slots::new(true);
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
