//! A block that is being made or changed: in parts that can grow.

use super::{
    Block, Leaf, Value,
    bits::{Bits, ones, rank},
    holders::{Held, Holders},
    several_row,
};
use crate::index::{
    dictionary::Dictionary,
    key::{INDEXED, Key},
    leaf::Entry,
};

/// The parts of a [`Block`]. A change takes time in proportion to the block, at some words per nanosecond.
#[derive(Debug)]
pub(super) struct Matrix<V> {
    pub(super) weight: usize,
    pub(super) levels: usize,
    /// The rows of [`rows`](super::rows), then those of literals.
    pub(super) bits: Bits,
    /// Of the levels, those first that leave the fewest filters.
    pub(super) holders: Holders,
    /// The texts of the filters, one behind the other, and where each ends.
    pub(super) texts: String,
    pub(super) ends: Vec<u32>,
    /// The first value of each filter.
    pub(super) values: Vec<V>,
    /// All values of the filters that have several, one filter behind the other, and where those of each end.
    pub(super) more: Vec<V>,
    pub(super) more_ends: Vec<u32>,
}

impl<V: Value> Matrix<V> {
    /// A matrix of distinct filters, sorted.
    pub(super) fn build(dictionary: &Dictionary, entries: &[Entry<'_, V>]) -> Self {
        let keys: Vec<_> = entries.iter().map(|entry| dictionary.hasher.filter(entry.text)).collect();
        let levels = keys.iter().map(Key::indexed).max().unwrap_or(0);
        let mut bits = Bits::new(super::literal_rows(levels), entries.len());
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
            texts: String::new(),
            ends: Vec::with_capacity(entries.len()),
            values: Vec::with_capacity(entries.len()),
            more: Vec::new(),
            more_ends: Vec::new(),
        };
        for (slot, entry) in entries.iter().enumerate() {
            matrix.texts.push_str(entry.text);
            matrix.ends.push(matrix.texts.len() as u32);
            matrix.values.extend(entry.values.first());
            if entry.values.len() > 1 {
                matrix.bits.set(several_row(levels), slot);
                matrix.more.extend_from_slice(entry.values);
                matrix.more_ends.push(matrix.more.len() as u32);
            }
        }
        matrix
    }

    /// Adds a filter with one value at its place in the order. It must not have more levels than the matrix.
    pub(super) fn insert(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary, value: V) {
        self.weight += Block::weigh(&Entry { text: key.text, values: &[value] });
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

        let at = start(&self.ends, slot);
        self.texts.insert_str(at, key.text);
        self.ends.insert(slot, at as u32);
        self.ends[slot..].iter_mut().for_each(|end| *end += key.text.len() as u32);
        self.values.insert(slot, value);
    }

    /// Takes a filter with one value out.
    pub(super) fn remove(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary, value: V) {
        self.weight -= Block::weigh(&Entry { text: key.text, values: &[value] });
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

        let at = start(&self.ends, slot);
        self.texts.replace_range(at..at + key.text.len(), "");
        self.ends.remove(slot);
        self.ends[slot..].iter_mut().for_each(|end| *end -= key.text.len() as u32);
        self.values.remove(slot);
    }

    /// Adds a value to a filter.
    pub(super) fn insert_value(&mut self, slot: usize, at: usize, value: V) {
        let (row, rank) = (several_row(self.levels), self.rank(slot));
        let start = start(&self.more_ends, rank);
        if !self.bits.get(row, slot) {
            self.bits.set(row, slot);
            self.more.insert(start, self.values[slot]);
            self.more_ends.insert(rank, start as u32);
            self.more_ends[rank..].iter_mut().for_each(|end| *end += 1);
        }
        self.more.insert(start + at, value);
        self.more_ends[rank..].iter_mut().for_each(|end| *end += 1);
        self.values[slot] = self.more[start];
    }

    /// Takes a value from a filter that has others.
    pub(super) fn remove_value(&mut self, slot: usize, at: usize) {
        let rank = self.rank(slot);
        let start = start(&self.more_ends, rank);
        self.more.remove(start + at);
        self.more_ends[rank..].iter_mut().for_each(|end| *end -= 1);
        self.values[slot] = self.more[start];
        if self.more_ends[rank] as usize == start + 1 {
            self.more.remove(start);
            self.more_ends.remove(rank);
            self.more_ends[rank..].iter_mut().for_each(|end| *end -= 1);
            self.bits.clear(several_row(self.levels), slot);
        }
    }

    /// How many filters before one have several values.
    fn rank(&self, slot: usize) -> usize {
        rank(self.bits.row(several_row(self.levels)), slot)
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
#[inline]
pub(super) fn start(ends: &[u32], slot: usize) -> usize {
    if slot == 0 { 0 } else { ends[slot - 1] as usize }
}
