//! A block that is being made or changed: in parts that can grow.

use std::iter::repeat_n;

use super::{
    Block, Leaf, Value,
    bits::{Bits, ones, rank},
    columns,
    holders::{Held, Holders},
    many_row,
};
use crate::index::{
    dictionary::Dictionary,
    key::{INDEXED, Key},
    leaf::Entry,
};

/// The parts of a [`Block`]. A change takes time in proportion to the block, at some words per nanosecond.
#[derive(Debug)]
pub(super) struct Matrix<'a, V> {
    pub(super) weight: usize,
    pub(super) levels: usize,
    /// The rows of [`rows`](super::rows), then those of literals.
    pub(super) bits: Bits,
    /// Of the levels, those first that leave the fewest filters.
    pub(super) holders: Holders,
    /// The texts of the filters, in pieces to be put together; one piece of a matrix that was not changed yet.
    pub(super) texts: Vec<&'a [u8]>,
    /// Where the text of each column ends. Columns of one filter have the same end.
    pub(super) ends: Vec<u32>,
    /// The value of each column; of filters with many values the first.
    pub(super) values: Vec<V>,
    /// All values of the filters that have many, one filter behind the other, and where those of each end.
    pub(super) many: Vec<V>,
    pub(super) many_ends: Vec<u32>,
}

impl<'a, V: Value> Matrix<'a, V> {
    /// A matrix of distinct filters, sorted.
    pub(super) fn build(dictionary: &Dictionary, entries: &[Entry<'a, V>]) -> Self {
        let keys: Vec<_> = entries.iter().map(|entry| dictionary.hasher.filter(entry.text)).collect();
        let levels = keys.iter().map(Key::indexed).max().unwrap_or(0);
        let columns = |entry: &Entry<'_, V>| columns(entry.values.len());
        let keys: Vec<_> = keys.iter().zip(entries).flat_map(|(key, entry)| repeat_n(key, columns(entry))).collect();
        let mut bits = Bits::new(super::literal_rows(levels), keys.len());
        let mut held: [Vec<(u32, usize)>; INDEXED] = [const { Vec::new() }; INDEXED];
        for (slot, key) in keys.iter().enumerate() {
            super::rows(key, levels).for_each(|row| bits.set(row, slot));
            for level in (0..levels).filter(|&level| key.literal(level).is_some()) {
                held[level].push((dictionary.code(key, level), slot));
            }
        }
        held.iter_mut().for_each(|held| held.sort_unstable());
        let mut order: Vec<usize> = (0..levels).filter(|&level| !held[level].is_empty()).collect();
        order.sort_by_cached_key(|&level| left(keys.len(), &held[level]));
        let mut holders = Holders::default();
        for level in order {
            let held = held[level].chunk_by(|left, right| left.0 == right.0).map(|same| {
                let slots: Vec<usize> = same.iter().map(|&(_, slot)| slot).collect();
                let held = Held::of(&slots).unwrap_or_else(|| {
                    let row = bits.push_copy(level);
                    slots.into_iter().for_each(|slot| bits.set(row, slot));
                    Held::Row(row)
                });
                (same[0].0, held)
            });
            holders.push_level(level, &held.collect::<Vec<_>>());
        }

        let mut matrix = Self {
            weight: entries.iter().map(Block::weigh).sum(),
            levels,
            bits,
            holders,
            texts: Vec::with_capacity(entries.len()),
            ends: Vec::with_capacity(keys.len()),
            values: Vec::with_capacity(keys.len()),
            many: Vec::new(),
            many_ends: Vec::new(),
        };
        let mut end = 0;
        for entry in entries {
            matrix.texts.push(entry.text.as_bytes());
            end += entry.text.len() as u32;
            let columns = columns(entry);
            matrix.values.extend_from_slice(&entry.values[..columns]);
            if columns < entry.values.len() {
                matrix.bits.set(many_row(levels), matrix.ends.len());
                matrix.many.extend_from_slice(entry.values);
                matrix.many_ends.push(matrix.many.len() as u32);
            }
            matrix.ends.extend(repeat_n(end, columns));
        }
        matrix
    }

    /// Adds a filter with one value at its place in the order. It must not have more levels than the matrix.
    pub(super) fn insert(&mut self, slot: usize, key: &Key<'a>, dictionary: &Dictionary, value: V) {
        self.insert_column(slot, key, dictionary);
        let at = start(&self.ends, slot);
        self.replace_text(at, 0, key.text.as_bytes());
        self.ends.insert(slot, at as u32);
        self.ends[slot..].iter_mut().for_each(|end| *end += key.text.len() as u32);
        self.values.insert(slot, value);
    }

    /// Takes a filter with one value out.
    pub(super) fn remove(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary) {
        self.remove_column(slot, key, dictionary);
        let at = start(&self.ends, slot);
        self.replace_text(at, key.text.len(), &[]);
        self.ends.remove(slot);
        self.ends[slot..].iter_mut().for_each(|end| *end -= key.text.len() as u32);
        self.values.remove(slot);
    }

    /// Adds a value to a filter, and a column for it.
    pub(super) fn insert_value(&mut self, slot: usize, at: usize, key: &Key<'_>, dictionary: &Dictionary, value: V) {
        self.insert_column(slot + 1, key, dictionary);
        self.ends.insert(slot, self.ends[slot]);
        self.values.insert(slot + at, value);
    }

    /// Takes a value from a filter that has others, each with a column.
    pub(super) fn remove_value(&mut self, slot: usize, at: usize, key: &Key<'_>, dictionary: &Dictionary) {
        self.remove_column(slot + 1, key, dictionary);
        self.ends.remove(slot);
        self.values.remove(slot + at);
    }

    /// Adds a value to a filter with many.
    pub(super) fn insert_of_many(&mut self, slot: usize, at: usize, value: V) {
        let rank = self.rank(slot);
        let start = start(&self.many_ends, rank);
        self.many.insert(start + at, value);
        self.many_ends[rank..].iter_mut().for_each(|end| *end += 1);
        self.values[slot] = self.many[start];
    }

    /// Takes a value from a filter with many. The last but one makes it one of those with few.
    pub(super) fn remove_of_many(&mut self, slot: usize, at: usize) {
        let rank = self.rank(slot);
        let start = start(&self.many_ends, rank);
        self.many.remove(start + at);
        self.many_ends[rank..].iter_mut().for_each(|end| *end -= 1);
        self.values[slot] = self.many[start];
        if self.many_ends[rank] as usize == start + 1 {
            self.many.remove(start);
            self.many_ends.remove(rank);
            self.many_ends[rank..].iter_mut().for_each(|end| *end -= 1);
            self.bits.clear(many_row(self.levels), slot);
        }
    }

    fn replace_text(&mut self, at: usize, len: usize, with: &'a [u8]) {
        let texts = self.texts.pop().unwrap_or_default();
        self.texts.extend([&texts[..at], with, &texts[at + len..]]);
    }

    /// How many filters before one have many values.
    fn rank(&self, slot: usize) -> usize {
        rank(self.bits.row(many_row(self.levels)), slot)
    }

    fn insert_column(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary) {
        self.bits.insert_column(slot, self.ends.len() + 1);
        let up = |other: usize| other + usize::from(other >= slot);
        let bits = &mut self.bits;
        self.holders.change_all(|level, held| match held {
            Held::None => held,
            Held::One(one) => Held::One(up(one)),
            Held::Two(first, second) => Held::Two(up(first), up(second)),
            Held::Row(row) => {
                if key.literal(level).is_none() {
                    bits.set(row, slot);
                }
                held
            }
        });
        super::rows(key, self.levels).for_each(|row| self.bits.set(row, slot));
        for level in (0..self.levels).filter(|&level| key.literal(level).is_some()) {
            self.hold(level, dictionary.code(key, level), slot);
        }
    }

    fn remove_column(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary) {
        for level in (0..self.levels).filter(|&level| key.literal(level).is_some()) {
            self.release(level, dictionary.code(key, level), slot);
        }
        self.bits.remove_column(slot, self.ends.len() - 1);
        let down = |other: usize| other - usize::from(other > slot);
        self.holders.change_all(|_, held| match held {
            Held::None | Held::Row(_) => held,
            Held::One(one) => Held::One(down(one)),
            Held::Two(first, second) => Held::Two(down(first), down(second)),
        });
    }

    /// Notes that a filter has a literal.
    fn hold(&mut self, level: usize, code: u32, slot: usize) {
        let slots = match self.holders.get(level, code) {
            Held::None => vec![slot],
            Held::One(one) => vec![one, slot],
            Held::Two(first, second) => vec![first, second, slot],
            Held::Row(row) => return self.bits.set(row, slot),
        };
        let held = Held::of(&slots).unwrap_or_else(|| {
            let row = self.bits.push_copy(level);
            slots.into_iter().for_each(|slot| self.bits.set(row, slot));
            Held::Row(row)
        });
        self.holders.set(level, code, held);
    }

    /// Notes that a filter no longer has a literal.
    fn release(&mut self, level: usize, code: u32, slot: usize) {
        let held = match self.holders.get(level, code) {
            Held::Two(first, second) if first == slot => Held::One(second),
            Held::Two(first, second) if second == slot => Held::One(first),
            Held::None | Held::One(_) | Held::Two(..) => Held::None,
            Held::Row(row) => {
                self.bits.clear(row, slot);
                let any = self.bits.row(level);
                let left: Vec<u64> = self.bits.row(row).iter().zip(any).map(|(row, any)| row & !any).collect();
                let slots: Vec<usize> = ones(&left).take(3).collect();
                let Some(held) = Held::of(&slots) else { return };
                let last = self.bits.rows() - 1;
                self.bits.swap_remove(row);
                self.holders.change_all(|_, held| match held {
                    Held::Row(moved) if moved == last => Held::Row(row),
                    held => held,
                });
                held
            }
        };
        self.holders.set(level, code, held);
    }
}

/// How many of some filters a level leaves, of a topic that is like them. `held`: the literals that they have there.
fn left(filters: usize, held: &[(u32, usize)]) -> usize {
    let same = held.chunk_by(|left, right| left.0 == right.0);
    filters - held.len() + same.map(|same| same.len() * same.len()).sum::<usize>() / held.len().max(1)
}

/// Where the part of a slot begins.
pub(super) fn start(ends: &[u32], slot: usize) -> usize {
    if slot == 0 { 0 } else { ends[slot - 1] as usize }
}
