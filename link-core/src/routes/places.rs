//! Where in the topic index each route of a copy is, by its id.

use crate::index::{Handle, address, buddy};

/// The handles of routes, found by hashes of their ids. Neither ids nor filters are kept: the index has the filters, and
/// the hash of what a handle finds tells.
///
/// ```text
///  hash of the id   low bits: which segment, by linear hashing (W. Litwin, VLDB 1980)      high byte: the print
///  segment          print handle | print handle | ...                                      5 bytes each, in no order
/// ```
///
/// A segment has 64 entries, or thereabouts: one in four lookups meets a print that is another's. A route takes 6 bytes.
/// Adding one costs some 50 ns, and a look at what one handle finds on the average, as a segment is split for every 64.
#[derive(Debug, Default)]
pub(super) struct Places {
    segments: Vec<Vec<Entry>>,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    print: u8,
    handle: [u8; 4],
}

impl Entry {
    fn new(hash: u64, handle: Handle) -> Self {
        Self { print: print(hash), handle: handle.to_bytes() }
    }
}

/// Entries of a segment, about.
const USUAL: usize = 64;
/// Entries for which room is made at once.
const ROOM: usize = 8;

/// Gives the hashes of all that a handle finds.
pub(super) trait Hashes: Fn(Handle, &mut dyn FnMut(u64)) {}

impl<F: Fn(Handle, &mut dyn FnMut(u64))> Hashes for F {}

impl Places {
    /// Has all these entries.
    pub(super) fn of(entries: &[(u64, Handle)]) -> Self {
        let width = entries.len().div_ceil(USUAL);
        let mut segments = vec![Vec::new(); width];
        for (hash, handle) in entries {
            add(&mut segments[address(*hash, width)], Entry::new(*hash, *handle));
        }
        Self { segments, len: entries.len() }
    }

    /// Adds an entry. `hashes` gives the hashes of all entries of a handle, this one among them.
    pub(super) fn insert(&mut self, hash: u64, handle: Handle, hashes: impl Hashes) {
        if self.segments.is_empty() {
            self.segments.push(Vec::new());
        }
        let segment = address(hash, self.segments.len());
        add(&mut self.segments[segment], Entry::new(hash, handle));
        self.len += 1;
        if self.len > self.segments.len() * USUAL {
            self.split(hashes);
        }
    }

    /// Takes an entry out. `false` if there is none.
    pub(super) fn remove(&mut self, hash: u64, handle: Handle) -> bool {
        if self.segments.is_empty() {
            return false;
        }
        let (at, gone) = (address(hash, self.segments.len()), Entry::new(hash, handle));
        let segment = &mut self.segments[at];
        let Some(place) = segment.iter().position(|entry| *entry == gone) else { return false };
        segment.swap_remove(place);
        if segment.len() + 2 * ROOM < segment.capacity() {
            segment.shrink_to(segment.len() + ROOM);
        }
        self.len -= 1;
        if self.segments.len() > 1 && self.len < (self.segments.len() - 1) * (USUAL - USUAL / 4) {
            self.merge();
        }
        true
    }

    /// Calls `found` with the handles that may be of a hash, until it says `false`.
    pub(super) fn find(&self, hash: u64, mut found: impl FnMut(Handle) -> bool) {
        if self.segments.is_empty() {
            return;
        }
        let (segment, print) = (&self.segments[address(hash, self.segments.len())], print(hash));
        let mut same = segment.iter().filter(|entry| entry.print == print);
        let _ = same.all(|entry| found(Handle::from_bytes(entry.handle)));
    }

    /// Calls `found` with each handle that there is, once for all entries of it that nothing here tells apart, and with
    /// what tells whether a hash is that of one of them.
    pub(super) fn for_each(&self, mut found: impl FnMut(Handle, &dyn Fn(u64) -> bool)) {
        let width = self.segments.len();
        let mut entries = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            entries.clone_from(segment);
            entries.sort_unstable();
            entries.dedup();
            for entry in &entries {
                let is = |hash: u64| print(hash) == entry.print && address(hash, width) == at;
                found(Handle::from_bytes(entry.handle), &is);
            }
        }
    }

    /// Divides a segment into two.
    fn split(&mut self, hashes: impl Hashes) {
        let new = self.segments.len();
        let old = buddy(new);
        let mut entries = std::mem::take(&mut self.segments[old]);
        entries.sort_unstable();
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for same in entries.chunk_by(|one, other| one == other) {
            let entry = same[0];
            let mut going = 0;
            hashes(Handle::from_bytes(entry.handle), &mut |hash| {
                let is = print(hash) == entry.print && address(hash, new) == old;
                going += usize::from(is && address(hash, new + 1) == new);
            });
            let (these, others) = same.split_at(going.min(same.len()));
            go.extend_from_slice(these);
            stay.extend_from_slice(others);
        }
        for segment in [&mut stay, &mut go] {
            segment.shrink_to(segment.len() + ROOM);
        }
        self.segments[old] = stay;
        if new == self.segments.capacity() {
            self.segments.reserve_exact(new / 8 + 1);
        }
        self.segments.push(go);
    }

    /// Puts the last segment back to where it came from.
    fn merge(&mut self) {
        let Some(last) = self.segments.pop() else { return };
        let into = buddy(self.segments.len());
        let segment = &mut self.segments[into];
        segment.reserve_exact(last.len() + ROOM);
        segment.extend(last);
        if self.segments.len() < self.segments.capacity() / 4 * 3 {
            self.segments.shrink_to(self.segments.len() + self.segments.len() / 8);
        }
    }
}

fn add(segment: &mut Vec<Entry>, entry: Entry) {
    if segment.len() == segment.capacity() {
        segment.reserve_exact(ROOM);
    }
    segment.push(entry);
}

fn print(hash: u64) -> u8 {
    (hash >> 56) as u8
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Few handles and fewer prints, so that entries have both in common.
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0x03FF_FFFF_FFFF_FFFF
    }

    fn handle(n: u64) -> Handle {
        Handle::from_bytes(((n % 50) as u32).to_le_bytes())
    }

    fn check(places: &Places, held: &BTreeSet<u64>) {
        assert_eq!(places.segments.iter().map(Vec::len).sum::<usize>(), places.len);
        assert_eq!(places.len, held.len());
        for n in held {
            let mut found = false;
            places.find(hash(*n), |candidate| {
                found = candidate == handle(*n);
                !found
            });
            assert!(found);
        }
        let mut all: Vec<&u64> = Vec::new();
        places.for_each(|candidate, is| all.extend(held.iter().filter(|n| handle(**n) == candidate && is(hash(**n)))));
        all.sort_unstable();
        assert!(all.into_iter().eq(held), "each once");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_added_is_found_until_it_is_taken_out(steps in prop::collection::vec((0u64..2_000, 0usize..400), 1..8)) {
            let (mut places, mut held) = (Places::default(), BTreeSet::new());
            for (from, count) in steps {
                for n in from..from + count as u64 {
                    if held.remove(&n) {
                        prop_assert!(places.remove(hash(n), handle(n)));
                        continue;
                    }
                    held.insert(n);
                    places.insert(hash(n), handle(n), |of: Handle, found: &mut dyn FnMut(u64)| {
                        held.iter().filter(|n| handle(**n) == of).for_each(|n| found(hash(*n)));
                    });
                }
                check(&places, &held);
                let entries: Vec<_> = held.iter().map(|n| (hash(*n), handle(*n))).collect();
                check(&Places::of(&entries), &held);
            }
            for n in &held {
                prop_assert!(places.remove(hash(*n), handle(*n)));
                prop_assert!(!places.remove(hash(*n) ^ 1 << 63, handle(*n)));
            }
            prop_assert_eq!((places.len, places.segments.len()), (0, 1));
        }
    }
}
