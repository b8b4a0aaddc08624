//! A leaf of filters with wildcards: a bit matrix.

use std::sync::Arc;

use super::{
    key::{Hasher, INDEXED, Key},
    leaf::{Entry, Leaf, Value, group},
    tree::Side,
};
use crate::topic::{Levels, matches};

/// Filters with wildcards, each with its values. Immutable: a change makes another block.
///
/// Each filter is a column, each level has rows: one of the filters to which the level says nothing, and one for each
/// literal that some filter has there, in which the filters of the first are too. Which filters match a topic is the
/// AND of one row per level, 64 filters at a time, whatever the wildcards are:
///
/// ```text
///                 a/+/c   a/#   +/b/c   b/+                    topic a/b/c
/// ends             0      1      0      0    length 3:          1 1 1 0
/// level 0   any    0      0      1      0
///             a    1      1      1      0    <-- level 0 is a:  1 1 1 0
///             b    0      0      1      1
/// level 1   any    1      1      0      1
///             b    1      1      1      1    <-- level 1 is b:  1 1 1 1
/// level 2   any    0      1      0      1
///             c    1      1      1      1    <-- level 2 is c:  1 1 1 1
///                                                        AND =  1 1 1 0
/// ```
///
/// A literal that only one or two filters have takes no row. Levels are looked up by their hash; that it was the right
/// one is told by comparing the text of one filter that has it.
#[derive(Debug, Clone)]
pub(super) struct Block<V>(Arc<Matrix<V>>);

#[derive(Debug)]
struct Matrix<V> {
    weight: usize,
    /// 64-bit words of a row: 1, 2, 4, or a multiple of 8.
    words: usize,
    /// Levels that have rows.
    levels: usize,
    /// For each level those to which it says nothing; then for each length of a topic, up to one more than there are
    /// levels, those that may end so; then those of literals.
    rows: Box<[u64]>,
    /// Of literals: hash, and which filters: see [`Holders`]. Open addressing, linear probing, 0 is unused.
    table: Box<[u64]>,
    /// For each filter, which levels are literals. Of a filter that must be compared by itself: [`ALONE`] too.
    literals: Box<[u32]>,
    /// The texts of the filters one behind the other, and where each ends.
    texts: Box<str>,
    ends: Box<[u32]>,
    values: Box<[V]>,
    /// Where the values of each filter end; empty if each has one.
    value_ends: Box<[u32]>,
}

/// Beyond the bits of the indexed levels.
const ALONE: u32 = 1 << INDEXED;

/// Which filters have a literal in some level.
#[derive(Clone, Copy)]
enum Holders {
    None,
    One(usize),
    Two(usize, usize),
    Row(usize),
}

const KIND_SHIFT: u32 = 30;
const SLOT_BITS: u32 = 15;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

impl Holders {
    #[inline]
    fn from_bits(bits: u32) -> Self {
        let payload = (bits & ((1 << KIND_SHIFT) - 1)) as usize;
        match bits >> KIND_SHIFT {
            0 => Self::None,
            1 => Self::One(payload),
            2 => Self::Two(payload & SLOT_MASK, payload >> SLOT_BITS),
            _ => Self::Row(payload),
        }
    }

    fn to_bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::One(slot) => 1 << KIND_SHIFT | slot as u32,
            Self::Two(first, second) => 2 << KIND_SHIFT | (second as u32) << SLOT_BITS | first as u32,
            Self::Row(row) => 3 << KIND_SHIFT | row as u32,
        }
    }
}

/// The level, and what of the hash of its literal is kept.
#[inline]
fn tag(level: usize, hash: u64) -> u32 {
    #[cfg(test)]
    let hash = if super::tests::POOR_HASHES.get() { hash & 1 << 63 } else { hash };
    (hash >> 32) as u32 & !(INDEXED as u32 - 1) | level as u32
}

/// Where in a table of this mask the search for a tag begins.
#[inline]
fn home(tag: u32, mask: usize) -> usize {
    (tag ^ tag >> 16) as usize & mask
}

impl<V: Value> Block<V> {
    /// Calls `found` with the values of each filter that matches the topic of this key, until it says `false`.
    #[inline]
    pub(super) fn search(&self, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        match self.0.words {
            1 => self.0.search::<1>(key, 0, found),
            2 => self.0.search::<2>(key, 0, found),
            4 => self.0.search::<4>(key, 0, found),
            words => (0..words / 8).all(|part| self.0.search::<8>(key, part, found)),
        }
    }

    /// Filters that may be on the given sides of all levels.
    pub(super) fn on_sides(&self, side: impl Fn(usize) -> Side) -> impl Iterator<Item = Entry<'_, V>> {
        let matrix = &*self.0;
        let mut bits = vec![u64::MAX; matrix.words];
        for level in 0..matrix.levels {
            let any = matrix.row(level);
            let (hash, any_too) = match side(level) {
                Side::All => continue,
                Side::Rest => (None, true),
                Side::Literal(hash) => (Some(hash), false),
                Side::Both(hash) => (Some(hash), true),
            };
            let holders = hash.map_or(Holders::None, |hash| matrix.holders(level, hash));
            for (word, bits) in bits.iter_mut().enumerate() {
                let held = match holders {
                    Holders::None => 0,
                    Holders::One(slot) => bit(word, slot),
                    Holders::Two(first, second) => bit(word, first) | bit(word, second),
                    Holders::Row(row) => matrix.row(row)[word] & !any[word],
                };
                *bits &= held | if any_too { any[word] } else { 0 };
            }
        }
        (0..matrix.ends.len())
            .filter(move |slot| bits[slot / 64] >> (slot % 64) & 1 == 1)
            .map(|slot| matrix.entry(slot))
    }

    fn find(&self, key: &Key<'_>) -> Option<usize> {
        let matrix = &*self.0;
        let mut low = 0;
        let mut high = matrix.ends.len();
        while low < high {
            let middle = (low + high) / 2;
            match matrix.text(middle).cmp(key.text) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

impl<V: Value> Matrix<V> {
    #[inline]
    fn search<const W: usize>(&self, key: &Key<'_>, part: usize, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let rows = self.rows.as_chunks::<W>().0;
        let parts = self.words / W;
        let row = |row: usize| &rows[row * parts + part];
        let depth = (key.levels as usize).min(self.levels);
        let mut bits = *row(self.levels + (key.levels as usize).min(self.levels + 1));
        for level in 0..depth {
            let any = row(level);
            match self.holders(level, key.hash(level)) {
                Holders::None => and(&mut bits, any),
                Holders::Row(literal) => and(&mut bits, row(literal)),
                Holders::One(slot) => and_with(&mut bits, any, part, [slot, slot]),
                Holders::Two(first, second) => and_with(&mut bits, any, part, [first, second]),
            }
        }
        if key.is_reserved() {
            let any = if self.levels > 0 { *row(0) } else { [u64::MAX; W] };
            for (bits, any) in bits.iter_mut().zip(any) {
                *bits &= !any;
            }
        }

        // Which levels are known to be the same text, not only the same hash.
        let mut sure = 0;
        for (word, mut bits) in bits.into_iter().enumerate() {
            while bits != 0 {
                let slot = (part * W + word) * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let literals = self.literals[slot];
                if literals & !sure != 0 {
                    if !matches(Levels::new(self.text(slot)), Levels::new(key.text)) {
                        continue;
                    }
                    if literals & ALONE == 0 {
                        sure |= literals;
                    }
                }
                if !found(self.values(slot)) {
                    return false;
                }
            }
        }
        true
    }

    #[inline]
    fn row(&self, row: usize) -> &[u64] {
        &self.rows[row * self.words..(row + 1) * self.words]
    }

    #[inline]
    fn holders(&self, level: usize, hash: u64) -> Holders {
        let tag = tag(level, hash);
        let mask = self.table.len() - 1;
        let mut at = home(tag, mask);
        loop {
            let entry = self.table[at];
            if (entry >> 32) as u32 == tag || entry == 0 {
                return Holders::from_bits(entry as u32);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn text(&self, slot: usize) -> &str {
        let start = if slot == 0 { 0 } else { self.ends[slot - 1] };
        &self.texts[start as usize..self.ends[slot] as usize]
    }

    #[inline]
    fn values(&self, slot: usize) -> &[V] {
        if self.value_ends.is_empty() {
            return &self.values[slot..=slot];
        }
        let start = if slot == 0 { 0 } else { self.value_ends[slot - 1] };
        &self.values[start as usize..self.value_ends[slot] as usize]
    }

    fn entry(&self, slot: usize) -> Entry<'_, V> {
        Entry { text: self.text(slot), values: self.values(slot) }
    }

    /// Of distinct filters, sorted.
    fn build(hasher: &Hasher, entries: &[Entry<'_, V>]) -> Self {
        let keys: Vec<_> = entries.iter().map(|entry| hasher.filter(entry.text)).collect();
        let levels = keys.iter().map(|key| key.levels as usize).max().unwrap_or(0).min(INDEXED);
        let words = match entries.len().div_ceil(64) {
            few @ 0..=2 => few.max(1),
            3..=4 => 4,
            many => many.next_multiple_of(8),
        };
        let mut rows = vec![0; (levels + levels + 2) * words];
        let mut literals = Vec::with_capacity(keys.len());
        // Level, hash, filter.
        let mut held = Vec::with_capacity(keys.len() * levels);
        for (slot, key) in keys.iter().enumerate() {
            let mut set = |row: usize| rows[row * words + slot / 64] |= 1 << (slot % 64);
            let mut mask = if key.is_deep() { ALONE } else { 0 };
            for level in 0..levels {
                match key.literal(level) {
                    Some(hash) => {
                        mask |= 1 << level;
                        held.push((tag(level, hash), slot as u32, level as u32));
                    }
                    None => set(level),
                }
            }
            let length = (key.levels as usize).min(levels + 1);
            for length in length..=if key.open { levels + 1 } else { length } {
                set(levels + length);
            }
            literals.push(mask);
        }
        held.sort_unstable();

        let distinct = held.chunk_by(|left, right| left.0 == right.0).count();
        let mut table = vec![0; (distinct + distinct / 2 + 1).next_power_of_two()];
        for same in held.chunk_by(|left, right| left.0 == right.0) {
            let (tag, first, level) = same[0];
            // Two literals with one tag: those of the second are compared one by one.
            let text = |slot: u32| entries[slot as usize].text.split('/').nth(level as usize);
            let mut odd = false;
            for &(_, slot, _) in &same[1..] {
                if text(slot) != text(first) {
                    literals[slot as usize] |= ALONE;
                    odd = true;
                }
            }
            let slots: Vec<usize> = same.iter().map(|&(_, slot, _)| slot as usize).collect();
            let holders = match *slots {
                [slot] if slot <= SLOT_MASK => Holders::One(slot),
                [first, second] if second <= SLOT_MASK && !odd => Holders::Two(first, second),
                _ => {
                    let row = rows.len() / words;
                    rows.extend_from_within(level as usize * words..(level as usize + 1) * words);
                    for slot in slots {
                        rows[row * words + slot / 64] |= 1 << (slot % 64);
                    }
                    Holders::Row(row)
                }
            };
            let mask = table.len() - 1;
            let mut at = home(tag, mask);
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = u64::from(tag) << 32 | u64::from(holders.to_bits());
        }

        let mut texts = String::with_capacity(entries.iter().map(|entry| entry.text.len()).sum());
        let mut values = Vec::with_capacity(entries.iter().map(|entry| entry.values.len()).sum());
        let single = entries.iter().all(|entry| entry.values.len() == 1);
        let mut ends = Vec::with_capacity(entries.len());
        let mut value_ends = Vec::with_capacity(if single { 0 } else { entries.len() });
        for entry in entries {
            texts.push_str(entry.text);
            ends.push(texts.len() as u32);
            values.extend_from_slice(entry.values);
            if !single {
                value_ends.push(values.len() as u32);
            }
        }
        Self {
            weight: entries.iter().map(Block::weigh).sum(),
            words,
            levels,
            rows: rows.into(),
            table: table.into(),
            literals: literals.into(),
            texts: texts.into(),
            ends: ends.into(),
            values: values.into(),
            value_ends: value_ends.into(),
        }
    }
}

impl<V: Value> Leaf for Block<V> {
    type Value = V;

    const FULL: usize = 512 * FILTER;
    const USUAL: usize = 256 * FILTER;

    fn build(hasher: &Hasher, entries: Vec<Entry<'_, V>>) -> Self {
        let mut spare = Vec::new();
        Self(Arc::new(Matrix::build(hasher, &group(entries, &mut spare))))
    }

    fn weight(&self) -> usize {
        self.0.weight
    }

    fn weigh(entry: &Entry<'_, V>) -> usize {
        (entry.text.len() + size_of_val(entry.values)).max(FILTER)
    }

    fn filters(&self) -> usize {
        self.0.ends.len()
    }

    fn insert(&mut self, hasher: &Hasher, key: &Key<'_>, value: V) -> bool {
        let added = [value];
        let mut entries: Vec<_> = self.entries().collect();
        if let Some(slot) = self.find(key)
            && entries[slot].values.binary_search(&value).is_ok()
        {
            return false;
        }
        entries.push(Entry { text: key.text, values: &added });
        let block = Self::build(hasher, entries);
        *self = block;
        true
    }

    fn remove(&mut self, hasher: &Hasher, key: &Key<'_>, value: &V) -> bool {
        let Some(slot) = self.find(key) else { return false };
        let mut entries: Vec<_> = self.entries().collect();
        let old = entries[slot].values;
        let Ok(at) = old.binary_search(value) else { return false };
        let values = [&old[..at], &old[at + 1..]].concat();
        if values.is_empty() {
            entries.remove(slot);
        } else {
            entries[slot].values = &values;
        }
        let block = Self::build(hasher, entries);
        *self = block;
        true
    }

    fn contains(&self, _: &Hasher, key: &Key<'_>, value: &V) -> bool {
        self.find(key).is_some_and(|slot| self.0.values(slot).binary_search(value).is_ok())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_, V>> {
        (0..self.0.ends.len()).map(|slot| self.0.entry(slot))
    }

    fn heap(&self) -> usize {
        let matrix = &*self.0;
        size_of::<Matrix<V>>()
            + 2 * size_of::<usize>()
            + size_of_val(&*matrix.rows)
            + size_of_val(&*matrix.table)
            + size_of_val(&*matrix.literals)
            + size_of_val(&*matrix.ends)
            + size_of_val(&*matrix.values)
            + size_of_val(&*matrix.value_ends)
            + matrix.texts.len()
    }
}

/// The least weight of a filter.
const FILTER: usize = 128;

#[inline]
fn bit(word: usize, slot: usize) -> u64 {
    if slot / 64 == word { 1 << (slot % 64) } else { 0 }
}

#[inline]
fn and<const W: usize>(bits: &mut [u64; W], row: &[u64; W]) {
    for (bits, row) in bits.iter_mut().zip(row) {
        *bits &= row;
    }
}

/// AND of a row to which two filters are added.
#[inline]
fn and_with<const W: usize>(bits: &mut [u64; W], row: &[u64; W], part: usize, slots: [usize; 2]) {
    let kept = slots.map(|slot| {
        let word = (slot / 64).wrapping_sub(part * W);
        (word, bits.get(word).map_or(0, |bits| bits & 1 << (slot % 64)))
    });
    and(bits, row);
    for (word, kept) in kept {
        if let Some(bits) = bits.get_mut(word) {
            *bits |= kept;
        }
    }
}
