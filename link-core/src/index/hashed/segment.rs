//! A part of the table of references: lines of tags in order.

use wide::i32x8;

use super::{
    super::{cell::Arc, prefetch::prefetch},
    slots::Ref,
};

/// A part of the table: the tags that have some low bits.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    lines: Arc<[Line]>,
    homes: u32,
    used: u32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    tags: [u32; WIDTH],
    records: [u32; WIDTH],
}

/// References of a line.
pub(super) const WIDTH: usize = 8;
/// Of an empty place: above every tag.
const EMPTY: u32 = u32::MAX;

/// Where the search for a tag begins.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Home<'a> {
    line: &'a Line,
    tag: u32,
}

impl<'a> Home<'a> {
    #[inline]
    pub(super) fn tag(&self) -> u32 {
        self.tag
    }

    /// Fetches the line.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(self.line);
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

/// Bits of a tag.
pub(super) const TAG_BITS: u32 = 31;

/// The line in which the search for a tag begins.
#[inline]
fn home(tag: u32, homes: u32) -> usize {
    ((u64::from(tag) * u64::from(homes)) >> TAG_BITS) as usize
}

impl Line {
    const EMPTY: Self = Self { tags: [EMPTY; WIDTH], records: [0; WIDTH] };
}

impl Segment {
    /// Of these tags, which are in order. Two thirds of the places are used.
    pub(super) fn new(entries: &[(u32, Ref)]) -> Self {
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
    pub(super) fn home(&self, tag: u32) -> Home<'_> {
        Home { line: &self.lines[home(tag, self.homes)], tag }
    }

    /// The first reference of a tag for which `is` says so, and its place.
    #[inline]
    pub(super) fn find(&self, tag: u32, mut is: impl FnMut(Ref) -> bool) -> Option<(usize, Ref)> {
        let first = home(tag, self.homes);
        for (line, tags) in (first..).zip(&self.lines[first..]) {
            let home = Home { line: tags, tag };
            let mut same = home.same();
            while same != 0 {
                let record = home.record(same);
                if is(record) {
                    return Some((line * WIDTH + same.trailing_zeros() as usize, record));
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

    #[inline]
    fn tag(&self, at: usize) -> u32 {
        self.lines[at / WIDTH].tags[at % WIDTH]
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> (u32, Ref) {
        let line = &self.lines[at / WIDTH];
        (line.tags[at % WIDTH], Ref(line.records[at % WIDTH]))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, Ref)> {
        (0..self.lines.len() * WIDTH).map(|at| self.get(at)).filter(|&(tag, _)| tag != EMPTY)
    }

    pub(super) fn insert(&mut self, tag: u32, record: Ref) {
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

    pub(super) fn replace(&mut self, at: usize, record: Ref) {
        Arc::make_mut(&mut self.lines)[at / WIDTH].records[at % WIDTH] = record.0;
    }

    pub(super) fn remove(&mut self, at: usize) {
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

    /// Whether there is a tag between two, which count as well.
    pub(super) fn has_between(&self, lowest: u32, highest: u32) -> bool {
        let lines = &self.lines[home(lowest, self.homes)..];
        let mut tags = lines.iter().flat_map(|line| line.tags).filter(|&tag| tag != EMPTY);
        tags.find(|&tag| tag >= lowest).is_some_and(|tag| tag <= highest)
    }

    /// Bytes on the heap, which copies share. The counters take a line of their own.
    pub(super) fn heap(&self) -> usize {
        size_of_val(&*self.lines) + size_of::<Line>()
    }
}
