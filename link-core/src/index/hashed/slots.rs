//! Where records are, by hash: ordered hash tables of some hundred words each.

use wide::i32x8;

use super::super::{cell::Arc, tree::buddy};
use super::shrink;

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
    len: usize,
}

#[derive(Debug, Clone)]
struct Segment {
    lines: Arc<[Line]>,
    homes: u32,
    used: u32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    tags: [u32; WIDTH],
    records: [u32; WIDTH],
}

const WIDTH: usize = 8;
/// Of an empty place: above every tag.
const EMPTY: u32 = u32::MAX;
/// Records of a segment, about, if there are several segments.
const USUAL: usize = 256;

/// A place in the table, until it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: usize,
    at: usize,
}

/// Where the search for a tag begins.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Home<'a> {
    line: &'a Line,
    tag: u32,
}

impl<'a> Home<'a> {
    pub(in super::super) const NONE: Self = Self { line: &Line::EMPTY, tag: 0 };

    /// Reads it, for nothing but to have it near.
    #[inline]
    pub(in super::super) fn near(&self) -> u32 {
        self.line.tags[0]
    }

    /// Whether the line tells all: if not, it is full, and all of it is before the tag.
    #[inline]
    pub(super) fn is_enough(&self) -> bool {
        self.line.tags[WIDTH - 1] >= self.tag
    }

    /// The places of the tag in the line, a bit each.
    #[inline(always)]
    pub(super) fn same(&self) -> u8 {
        let tags = i32x8::new(self.line.tags.map(u32::cast_signed));
        tags.simd_eq(i32x8::splat(self.tag.cast_signed())).to_bitmask() as u8
    }

    /// The record of the first of such places.
    #[inline]
    pub(super) fn record(&self, same: u8) -> Ref {
        Ref(self.line.records[same.trailing_zeros() as usize % WIDTH])
    }
}

/// The segment that was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Touched(u32);

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 33) as u32
}

/// The line in which the search for a tag begins.
#[inline]
fn home(tag: u32, homes: u32) -> usize {
    ((u64::from(tag) * u64::from(homes)) >> 31) as usize
}

/// As [`address`](super::super::tree::address), without a branch.
#[inline]
fn segment(tag: u32, width: usize) -> usize {
    let whole = usize::MAX >> (width - 1).leading_zeros().min(63);
    let at = tag as usize & whole;
    at & (if at < width { whole } else { whole >> 1 })
}

impl Line {
    const EMPTY: Self = Self { tags: [EMPTY; WIDTH], records: [0; WIDTH] };
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
    pub(super) fn home(&self, hash: u64) -> Home<'_> {
        let tag = tag(hash);
        let segment = &self.segments[segment(tag, self.segments.len())];
        Home { line: &segment.lines[home(tag, segment.homes)], tag }
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
        self.find_tag(home.tag, is)
    }

    #[inline]
    fn find_tag(&self, tag: u32, mut is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        if self.len == 0 {
            return None;
        }
        let number = segment(tag, self.segments.len());
        let segment = &self.segments[number];
        let first = home(tag, segment.homes);
        for (line, tags) in (first..).zip(&segment.lines[first..]) {
            let home = Home { line: tags, tag };
            let mut same = home.same();
            while same != 0 {
                let record = home.record(same);
                if is(record) {
                    let at = line * WIDTH + same.trailing_zeros() as usize;
                    return Some((Place { segment: number, at }, record));
                }
                same &= same - 1;
            }
            // Places of one tag may go on in the next line.
            if tags.tags[WIDTH - 1] > tag {
                break;
            }
        }
        None
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

    pub(super) fn replace(&mut self, place: Place, record: Ref, touched: &mut dyn FnMut(Touched)) {
        let at = place.at;
        let lines = Arc::make_mut(&mut self.segments[place.segment].lines);
        lines[at / WIDTH].records[at % WIDTH] = record.0;
        touched(Touched(place.segment as u32));
    }

    pub(super) fn remove(&mut self, place: Place, touched: &mut dyn FnMut(Touched)) {
        self.segments[place.segment].remove(place.at);
        self.len -= 1;
        touched(Touched(place.segment as u32));
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
        // The counters take a line of their own.
        let shared = self.segments.iter().map(|segment| size_of_val(&*segment.lines) + size_of::<Line>()).sum();
        (self.segments.capacity() * size_of::<Segment>(), shared)
    }
}

impl Segment {
    /// Of these tags, which are in order. Two thirds of the places are used.
    fn new(entries: &[(u32, Ref)]) -> Self {
        let homes = (entries.len() + entries.len() / 2).div_ceil(WIDTH).max(1) as u32;
        let mut lines = Vec::with_capacity(homes as usize + 1);
        lines.resize(homes as usize, Line::EMPTY);
        let mut next = 0;
        for &(tag, record) in entries {
            next = next.max(home(tag, homes) * WIDTH);
            if next / WIDTH == lines.len() {
                lines.push(Line::EMPTY);
            }
            let line = &mut lines[next / WIDTH];
            (line.tags[next % WIDTH], line.records[next % WIDTH]) = (tag, record.0);
            next += 1;
        }
        // The last line ends every search.
        if next == lines.len() * WIDTH {
            lines.push(Line::EMPTY);
        }
        Self { lines: lines.into(), homes, used: entries.len() as u32 }
    }

    #[inline]
    fn tag(&self, at: usize) -> u32 {
        self.lines[at / WIDTH].tags[at % WIDTH]
    }

    #[inline]
    fn get(&self, at: usize) -> (u32, Ref) {
        let line = &self.lines[at / WIDTH];
        (line.tags[at % WIDTH], Ref(line.records[at % WIDTH]))
    }

    fn entries(&self) -> impl Iterator<Item = (u32, Ref)> {
        (0..self.lines.len() * WIDTH).map(|at| self.get(at)).filter(|&(tag, _)| tag != EMPTY)
    }

    fn insert(&mut self, tag: u32, record: Ref) {
        let mut at = home(tag, self.homes) * WIDTH;
        while self.tag(at) < tag {
            at += 1;
        }
        let free = (at..).find(|&at| self.tag(at) == EMPTY).unwrap_or(at);
        if free + 1 == self.lines.len() * WIDTH || (self.used + 1) * 4 > self.homes * (WIDTH as u32 * 3) {
            let mut all: Vec<_> = self.entries().collect();
            all.insert(all.partition_point(|&(other, _)| other < tag), (tag, record));
            *self = Self::new(&all);
            return;
        }
        let lines = Arc::make_mut(&mut self.lines);
        let mut moved = (tag, record.0);
        for at in at..=free {
            let line = &mut lines[at / WIDTH];
            std::mem::swap(&mut line.tags[at % WIDTH], &mut moved.0);
            std::mem::swap(&mut line.records[at % WIDTH], &mut moved.1);
        }
        self.used += 1;
    }

    fn remove(&mut self, at: usize) {
        if self.homes > 8 && (self.used - 1) * 5 < self.homes * (WIDTH as u32 * 3) {
            let gone = self.get(at).1;
            let all: Vec<_> = self.entries().filter(|&(_, record)| record != gone).collect();
            *self = Self::new(&all);
            return;
        }
        let mut last = at;
        while self.tag(last + 1) != EMPTY && home(self.tag(last + 1), self.homes) * WIDTH <= last {
            last += 1;
        }
        let lines = Arc::make_mut(&mut self.lines);
        let mut moved = (EMPTY, 0);
        for at in (at..=last).rev() {
            let line = &mut lines[at / WIDTH];
            std::mem::swap(&mut line.tags[at % WIDTH], &mut moved.0);
            std::mem::swap(&mut line.records[at % WIDTH], &mut moved.1);
        }
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
