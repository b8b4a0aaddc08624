//! Where records are, by hash: ordered hash tables of some hundred words each.

use super::super::{
    cell::Arc,
    tree::{address, buddy},
};

/// Where a record is: a page and a place in it, 34 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ref(u64);

impl Ref {
    pub(super) fn new(page: u32, unit: u32) -> Self {
        Self(u64::from(page) << OFFSET_BITS | u64::from(unit))
    }

    #[inline]
    pub(super) fn page(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    /// As the slot of no hash in particular.
    pub(super) fn as_slot(self) -> u64 {
        self.0
    }

    /// In units of [`UNIT`](super::records::UNIT) bytes.
    #[inline]
    pub(super) fn unit(self) -> usize {
        self.0 as usize & ((1 << OFFSET_BITS) - 1)
    }
}

const OFFSET_BITS: u32 = 12;
const REF_BITS: u32 = 34;
const TAG_BITS: u32 = 64 - REF_BITS;
/// Pages that a [`Ref`] can name. One less than fit, so that no slot looks like an empty one.
pub(super) const MOST_PAGES: usize = (1 << (REF_BITS - OFFSET_BITS)) - 1;
/// Above every slot that is used.
const EMPTY: u64 = u64::MAX;

/// A hash table of [`Ref`]s in segments.
///
/// ```text
/// segment   count, homes | slot slot ... slot EMPTY EMPTY EMPTY EMPTY
/// slot      tag: 30 bits of the hash | Ref: 34 bits
/// ```
///
/// The low bits of the tag say which segment, by linear hashing; the high ones, where a search begins in it: its home.
/// Slots of a segment are in the order of their tags, at their home or behind it, with empty ones between (O. Amble,
/// D. E. Knuth, *Ordered hash tables*, The Computer Journal 1974), so a search for what is not there ends as early as
/// one for what is. Nothing but the tag is needed to split a segment.
///
/// A segment is shared by the copies of the table until one of them changes it.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    segments: Vec<Arc<[u64]>>,
    len: usize,
}

/// Records of a segment, about, if there are several segments.
const USUAL: usize = 256;
/// Slots behind the last home that are always empty, so that a search can look at four at once.
const TAIL: usize = 4;

/// A place in the table, until it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: usize,
    slot: usize,
}

/// What was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Touched(u32);

#[inline]
fn tag(hash: u64) -> u64 {
    hash >> REF_BITS
}

#[inline]
fn homes(segment: &[u64]) -> u64 {
    segment[0] >> 32
}

fn count(segment: &[u64]) -> usize {
    segment[0] as u32 as usize
}

#[inline]
fn home(tag: u64, homes: u64) -> usize {
    1 + ((tag * homes) >> TAG_BITS) as usize
}

impl Place {
    pub(super) const NONE: Self = Self { segment: 0, slot: 0 };
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    pub(super) fn build(mut all: Vec<(u64, Ref)>) -> Self {
        let width = all.len().div_ceil(USUAL);
        let segment = |hash: u64| address(tag(hash), width);
        all.sort_unstable_by_key(|&(hash, at)| (segment(hash), tag(hash), at.0));
        let mut segments: Vec<Arc<[u64]>> = Vec::with_capacity(width);
        let mut rest = &*all;
        for at in 0..width {
            let (these, others) = rest.split_at(rest.partition_point(|&(hash, _)| segment(hash) == at));
            segments.push(pack(&these.iter().map(|&(hash, at)| word(hash, at)).collect::<Vec<_>>()));
            rest = others;
        }
        Self { segments, len: all.len() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first slot that is not below those of the hash, looked for among four; `None` if there are more to look at.
    #[inline]
    pub(super) fn probe(&self, hash: u64) -> Option<(Place, u64)> {
        let segment = address(tag(hash), self.segments.len());
        let slots = &*self.segments[segment];
        let (home, low) = (home(tag(hash), homes(slots)), tag(hash) << REF_BITS);
        let four = slots[home..].first_chunk::<4>()?;
        let below = four.iter().map(|&slot| usize::from(slot < low)).sum::<usize>();
        four.get(below).map(|&slot| (Place { segment, slot: home + below }, slot))
    }

    /// Whether a slot of [`probe`](Self::probe) has the tag of the hash.
    #[inline]
    pub(super) fn is_tagged(slot: u64, hash: u64) -> bool {
        tag(slot) == tag(hash)
    }

    #[inline]
    pub(super) fn record(slot: u64) -> Ref {
        Ref(slot & ((1 << REF_BITS) - 1))
    }

    /// The record of the hash for which `is` says so.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(Ref) -> bool) -> Option<(Place, Ref)> {
        if self.len == 0 {
            return None;
        }
        let segment = address(tag(hash), self.segments.len());
        let slots = &*self.segments[segment];
        let low = tag(hash) << REF_BITS;
        let mut at = home(tag(hash), homes(slots));
        while slots[at] < low {
            at += 1;
        }
        while Self::is_tagged(slots[at], hash) && slots[at] != EMPTY {
            let record = Self::record(slots[at]);
            if is(record) {
                return Some((Place { segment, slot: at }, record));
            }
            at += 1;
        }
        None
    }

    /// What is in a place.
    pub(super) fn at(&self, place: Place) -> Option<(Place, Ref)> {
        let slot = *self.segments.get(place.segment)?.get(place.slot)?;
        (slot != EMPTY).then(|| (place, Self::record(slot)))
    }

    /// The next slot, if it is of the same hash.
    #[inline]
    pub(super) fn next(&self, place: Place, hash: u64) -> Option<(Place, Ref)> {
        let place = Place { slot: place.slot + 1, ..place };
        let slot = *self.segments[place.segment].get(place.slot)?;
        (Self::is_tagged(slot, hash) && slot != EMPTY).then(|| (place, Self::record(slot)))
    }

    /// All records of a segment; `None` behind the last one.
    pub(super) fn segment(&self, at: usize) -> Option<impl Iterator<Item = Ref>> {
        Some(entries(self.segments.get(at)?).map(Self::record))
    }

    pub(super) fn insert(&mut self, hash: u64, at: Ref, touched: &mut dyn FnMut(Touched)) {
        let slot = word(hash, at);
        if self.segments.is_empty() {
            self.segments.push(pack(&[]));
        }
        let segment = address(tag(hash), self.segments.len());
        put(&mut self.segments[segment], slot);
        self.len += 1;
        touched(Touched(segment as u32));
        if self.len > self.segments.len() * (USUAL + USUAL / 8) {
            self.widen(touched);
        }
    }

    pub(super) fn replace(&mut self, place: Place, hash: u64, at: Ref, touched: &mut dyn FnMut(Touched)) {
        // Slots of one tag are in no order.
        Arc::make_mut(&mut self.segments[place.segment])[place.slot] = word(hash, at);
        touched(Touched(place.segment as u32));
    }

    pub(super) fn remove(&mut self, place: Place, touched: &mut dyn FnMut(Touched)) {
        take(&mut self.segments[place.segment], place.slot);
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
        let old = if new == 0 { 0 } else { buddy(new) };
        let (go, stay): (Vec<u64>, Vec<u64>) =
            entries(&self.segments[old]).partition(|&slot| address(tag(slot), new + 1) == new);
        self.segments[old] = pack(&stay);
        self.segments.push(pack(&go));
        touched(Touched(old as u32));
    }

    fn narrow(&mut self, touched: &mut dyn FnMut(Touched)) {
        let Some(last) = self.segments.pop() else { return };
        let into = buddy(self.segments.len());
        let mut all: Vec<u64> = entries(&self.segments[into]).chain(entries(&last)).collect();
        all.sort_unstable();
        self.segments[into] = pack(&all);
        touched(Touched(into as u32));
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to(self.segments.len() * 2);
        }
    }

    /// Makes what was touched as it is in `newest`.
    pub(super) fn follow(&mut self, newest: &Self, Touched(at): Touched) {
        self.len = newest.len;
        self.segments.truncate(newest.segments.len());
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to(self.segments.len() * 2);
        }
        while self.segments.len() < newest.segments.len() {
            self.segments.push(Arc::clone(&newest.segments[self.segments.len()]));
        }
        if let Some(segment) = newest.segments.get(at as usize) {
            self.segments[at as usize] = Arc::clone(segment);
        }
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let shared = self.segments.iter().map(|segment| size_of_val(&**segment) + 2 * size_of::<usize>()).sum();
        (self.segments.capacity() * size_of::<Arc<[u64]>>(), shared)
    }
}

fn word(hash: u64, at: Ref) -> u64 {
    tag(hash) << REF_BITS | at.0
}

fn entries(segment: &[u64]) -> impl Iterator<Item = u64> {
    segment[1..].iter().copied().filter(|&slot| slot != EMPTY)
}

/// A segment of these slots, which are in order: two thirds of the homes are used.
fn pack(slots: &[u64]) -> Arc<[u64]> {
    let homes = slots.len() + slots.len() / 2 + 2;
    let mut words = vec![EMPTY; 1 + homes + TAIL];
    words[0] = (homes as u64) << 32 | slots.len() as u64;
    let mut next = 0;
    for &slot in slots {
        next = next.max(home(tag(slot), homes as u64));
        if next + TAIL >= words.len() {
            words.resize(next + TAIL + 1, EMPTY);
        }
        words[next] = slot;
        next += 1;
    }
    words.into()
}

fn put(segment: &mut Arc<[u64]>, slot: u64) {
    let (used, homes) = (count(segment), homes(segment));
    let mut at = home(tag(slot), homes);
    while segment[at] < slot {
        at += 1;
    }
    let free = at + segment[at..].iter().take_while(|&&other| other != EMPTY).count();
    if free + TAIL >= segment.len() || (used + 1) * 32 > homes as usize * 25 {
        let mut all: Vec<u64> = entries(segment).collect();
        all.insert(all.partition_point(|&other| other < slot), slot);
        *segment = pack(&all);
        return;
    }
    let words = Arc::make_mut(segment);
    words.copy_within(at..free, at + 1);
    words[at] = slot;
    words[0] += 1;
}

fn take(segment: &mut Arc<[u64]>, slot: usize) {
    let (used, homes) = (count(segment), homes(segment));
    if (used - 1) * 5 < homes as usize * 3 && homes > 64 {
        let all: Vec<u64> = segment[1..]
            .iter()
            .enumerate()
            .filter(|&(at, &other)| at + 1 != slot && other != EMPTY)
            .map(|(_, &other)| other)
            .collect();
        *segment = pack(&all);
        return;
    }
    let words = Arc::make_mut(segment);
    let mut at = slot;
    while words[at + 1] != EMPTY && home(tag(words[at + 1]), homes) <= at {
        words[at] = words[at + 1];
        at += 1;
    }
    words[at] = EMPTY;
    words[0] -= 1;
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
                let probed = (0..5_000)
                    .filter(|&n| slots.probe(hash(n)).is_none_or(|(_, slot)| Slots::is_tagged(slot, hash(n))));
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
            let (place, _) = slots.find(u64::MAX, |found| found.page() == n).unwrap();
            slots.remove(place, &mut |_| {});
            assert!(slots.find(u64::MAX, |found| found.page() == n).is_none());
        }
    }
}
