//! A block that is being made or changed: in parts that can grow.

use super::{
    Block, Leaf, Value,
    bits::{Bits, ones},
    holders::{HolderTable, Holders, Tag},
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
    /// The levels, those first that leave the fewest filters.
    pub(super) order: [u8; INDEXED],
    /// The rows of [`rows`](super::rows), then those of literals.
    pub(super) bits: Bits,
    pub(super) holders: HolderTable,
    /// The texts of the filters, one behind the other, and where each ends.
    pub(super) texts: String,
    pub(super) ends: Vec<u32>,
    /// The values of the filters, one filter behind the other.
    pub(super) values: Vec<V>,
    /// Where those of each filter end; empty if each has one.
    pub(super) value_ends: Vec<u32>,
}

impl<V: Value> Matrix<V> {
    /// A matrix of distinct filters, sorted.
    pub(super) fn build(dictionary: &Dictionary, entries: &[Entry<'_, V>]) -> Self {
        let keys: Vec<_> = entries.iter().map(|entry| dictionary.hasher.filter(entry.text)).collect();
        let levels = keys.iter().map(Key::indexed).max().unwrap_or(0);
        let mut bits = Bits::new(super::literal_rows(levels), entries.len());
        let mut held = Vec::with_capacity(keys.len() * levels);
        for (slot, key) in keys.iter().enumerate() {
            super::rows(key, levels).for_each(|row| bits.set(row, slot));
            for level in (0..levels).filter(|&level| key.literal(level).is_some()) {
                held.push((Tag::new(level, dictionary.code(key, level)), slot));
            }
        }
        held.sort_unstable();
        let mut holders = HolderTable::with_capacity(held.chunk_by(|left, right| left.0 == right.0).count());
        let mut pairs = [0; INDEXED];
        for same in held.chunk_by(|left, right| left.0 == right.0) {
            let tag = same[0].0;
            pairs[tag.level()] += same.len() * same.len();
            let slots: Vec<usize> = same.iter().map(|&(_, slot)| slot).collect();
            let of_literal = Holders::of(&slots).unwrap_or_else(|| {
                let row = bits.push_copy(tag.level());
                slots.into_iter().for_each(|slot| bits.set(row, slot));
                Holders::Row(row)
            });
            holders.set(tag, of_literal);
        }

        let mut matrix = Self {
            weight: entries.iter().map(Block::weigh).sum(),
            levels,
            order: order(&keys, levels, pairs),
            bits,
            holders,
            texts: String::new(),
            ends: Vec::with_capacity(entries.len()),
            values: Vec::new(),
            value_ends: Vec::new(),
        };
        let several = entries.iter().any(|entry| entry.values.len() != 1);
        for entry in entries {
            matrix.texts.push_str(entry.text);
            matrix.ends.push(matrix.texts.len() as u32);
            matrix.values.extend_from_slice(entry.values);
            if several {
                matrix.value_ends.push(matrix.values.len() as u32);
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
        self.holders.change_all(|tag, holders| match holders {
            Holders::None => holders,
            Holders::One(one) => Holders::One(up(one)),
            Holders::Two(first, second) => Holders::Two(up(first), up(second)),
            Holders::Row(row) => {
                if key.literal(tag.level()).is_none() {
                    bits.set(row, slot);
                }
                holders
            }
        });
        super::rows(key, self.levels).for_each(|row| self.bits.set(row, slot));
        for level in (0..self.levels).filter(|&level| key.literal(level).is_some()) {
            self.hold(Tag::new(level, dictionary.code(key, level)), slot);
        }

        let at = start(&self.ends, slot);
        self.texts.insert_str(at, key.text);
        self.ends.insert(slot, at as u32);
        self.ends[slot..].iter_mut().for_each(|end| *end += key.text.len() as u32);
        if self.value_ends.is_empty() {
            self.values.insert(slot, value);
        } else {
            self.value_ends.insert(slot, start(&self.value_ends, slot) as u32);
            self.put_value(slot, 0, value);
        }
    }

    /// Takes a filter with one value out.
    pub(super) fn remove(&mut self, slot: usize, key: &Key<'_>, dictionary: &Dictionary, value: V) {
        self.weight -= Block::weigh(&Entry { text: key.text, values: &[value] });
        for level in (0..self.levels).filter(|&level| key.literal(level).is_some()) {
            self.release(Tag::new(level, dictionary.code(key, level)), slot);
        }
        self.bits.remove_column(slot, self.ends.len() - 1);
        let down = |other: usize| other - usize::from(other > slot);
        self.holders.change_all(|_, holders| match holders {
            Holders::None | Holders::Row(_) => holders,
            Holders::One(one) => Holders::One(down(one)),
            Holders::Two(first, second) => Holders::Two(down(first), down(second)),
        });

        let at = start(&self.ends, slot);
        self.texts.replace_range(at..at + key.text.len(), "");
        self.ends.remove(slot);
        self.ends[slot..].iter_mut().for_each(|end| *end -= key.text.len() as u32);
        if self.value_ends.is_empty() {
            self.values.remove(slot);
        } else {
            self.take_value(slot, 0);
            self.value_ends.remove(slot);
            self.forget_ends();
        }
    }

    /// Adds a value to a filter.
    pub(super) fn insert_value(&mut self, slot: usize, at: usize, value: V) {
        if self.value_ends.is_empty() {
            self.value_ends = (1..=self.values.len() as u32).collect();
        }
        self.put_value(slot, at, value);
    }

    /// Takes a value from a filter that has others.
    pub(super) fn remove_value(&mut self, slot: usize, at: usize) {
        self.take_value(slot, at);
        self.forget_ends();
    }

    fn put_value(&mut self, slot: usize, at: usize, value: V) {
        self.values.insert(start(&self.value_ends, slot) + at, value);
        self.value_ends[slot..].iter_mut().for_each(|end| *end += 1);
    }

    fn take_value(&mut self, slot: usize, at: usize) {
        self.values.remove(start(&self.value_ends, slot) + at);
        self.value_ends[slot..].iter_mut().for_each(|end| *end -= 1);
    }

    /// If each filter has one value, nobody needs to know where it ends.
    fn forget_ends(&mut self) {
        if self.value_ends.iter().zip(1..).all(|(&end, at)| end == at) {
            self.value_ends = Vec::new();
        }
    }

    /// Notes that a filter has a literal.
    fn hold(&mut self, tag: Tag, slot: usize) {
        let slots = match self.holders.get(tag) {
            Holders::None => vec![slot],
            Holders::One(one) => vec![one, slot],
            Holders::Two(first, second) => vec![first, second, slot],
            Holders::Row(row) => return self.bits.set(row, slot),
        };
        let holders = Holders::of(&slots).unwrap_or_else(|| {
            let row = self.bits.push_copy(tag.level());
            slots.into_iter().for_each(|slot| self.bits.set(row, slot));
            Holders::Row(row)
        });
        self.holders.set(tag, holders);
    }

    /// Notes that a filter no longer has a literal.
    fn release(&mut self, tag: Tag, slot: usize) {
        let holders = match self.holders.get(tag) {
            Holders::Two(first, second) if first == slot => Holders::One(second),
            Holders::Two(first, second) if second == slot => Holders::One(first),
            Holders::None | Holders::One(_) | Holders::Two(..) => Holders::None,
            Holders::Row(row) => {
                self.bits.clear(row, slot);
                let any = self.bits.row(tag.level());
                let held: Vec<u64> = self.bits.row(row).iter().zip(any).map(|(row, any)| row & !any).collect();
                let slots: Vec<usize> = ones(&held).take(3).collect();
                let Some(holders) = Holders::of(&slots) else { return };
                let last = self.bits.rows() - 1;
                self.bits.swap_remove(row);
                self.holders.change_all(|_, holders| match holders {
                    Holders::Row(moved) if moved == last => Holders::Row(row),
                    holders => holders,
                });
                holders
            }
        };
        self.holders.set(tag, holders);
    }
}

/// The levels in the order of how many filters each leaves, of a topic that is like them. `pairs`: for each level, how
/// many pairs of filters have the same literal.
fn order(keys: &[Key<'_>], levels: usize, pairs: [usize; INDEXED]) -> [u8; INDEXED] {
    let left = |level: usize| {
        let literals = keys.iter().filter(|key| key.literal(level).is_some()).count();
        keys.len() - literals + pairs[level] / literals.max(1)
    };
    let mut sorted: Vec<usize> = (0..levels).collect();
    sorted.sort_by_cached_key(|&level| left(level));
    let mut order = [0; INDEXED];
    for (at, level) in sorted.into_iter().enumerate() {
        order[at] = level as u8;
    }
    order
}

/// Where the part of a slot begins.
#[inline]
pub(super) fn start(ends: &[u32], slot: usize) -> usize {
    if slot == 0 { 0 } else { ends[slot - 1] as usize }
}
