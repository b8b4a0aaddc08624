use super::{
    Block, Leaf, Value,
    bits::{Bits, and, bit, ones},
    literals::{Holders, Literals, Tag},
};
use crate::{
    index::{
        key::{Hasher, INDEXED, Key},
        leaf::Entry,
        tree::Side,
    },
    topic::{Levels, matches},
};

/// Filters in columns, what they say to each level in rows.
///
/// Each level has a row of the filters to which it says nothing, and one for each literal that some filter has there,
/// in which the filters of the first are too. Which filters match a topic is the AND of one row per level, 64 filters at
/// a time, wherever the wildcards are:
///
/// ```text
///                 +/b/c   a/#   a/+/c   b/+                    topic a/b/c
/// length 3         1      1      1      0                       1 1 1 0
/// level 0   any    1      0      0      0
///             a    1      1      1      0    <-- level 0 is a:  1 1 1 0
///             b    1      0      0      1
/// level 1   any    0      1      1      1
///             b    1      1      1      1    <-- level 1 is b:  1 1 1 1
/// level 2   any    0      1      0      1
///             c    1      1      1      1    <-- level 2 is c:  1 1 1 1
///                                                        AND =  1 1 1 0
/// ```
///
/// A literal that only one or two filters have takes no row. Literals are found by a hash of 28 bits; that it was the
/// right one is told by comparing the text of one filter that has it.
///
/// The columns are in the order of the texts.
#[derive(Debug, Clone)]
pub(super) struct Matrix<V> {
    pub(super) weight: usize,
    levels: usize,
    /// For each level those to which it says nothing; then for each length of a topic, up to one more than there are
    /// levels, those that may end so; then those of literals.
    pub(super) bits: Bits,
    pub(super) literals: Literals,
    /// For each filter, which levels are literals; and [`ALONE`], if it is to be compared by itself.
    pub(super) masks: Vec<u32>,
    /// The texts of the filters, one behind the other.
    texts: String,
    ends: Vec<u32>,
    /// The values of the filters, one filter behind the other.
    values: Vec<V>,
    /// Where those of each filter end; empty if each has one.
    value_ends: Vec<u32>,
}

/// Beyond the bits of the indexed levels: the filter has a deep level, or a literal that some other one has the hash of.
pub(super) const ALONE: u32 = 1 << INDEXED;

impl<V: Value> Matrix<V> {
    /// A matrix of distinct filters, sorted.
    pub(super) fn build(hasher: &Hasher, entries: &[Entry<'_, V>]) -> Self {
        let keys: Vec<_> = entries.iter().map(|entry| hasher.filter(entry.text)).collect();
        let levels = keys.iter().map(Key::indexed).max().unwrap_or(0);
        let mut bits = Bits::new(levels + levels + 2, entries.len());
        let mut masks = Vec::with_capacity(keys.len());
        let mut held = Vec::with_capacity(keys.len() * levels);
        for (slot, key) in keys.iter().enumerate() {
            let mut mask = if key.is_deep() { ALONE } else { 0 };
            for level in 0..levels {
                match key.literal(level) {
                    Some(hash) => {
                        mask |= 1 << level;
                        held.push((Tag::new(level, hash), slot));
                    }
                    None => bits.set(level, slot),
                }
            }
            for length in Self::lengths(key, levels) {
                bits.set(levels + length, slot);
            }
            masks.push(mask);
        }
        held.sort_unstable();

        let mut literals = Literals::with_capacity(held.chunk_by(|left, right| left.0 == right.0).count());
        for same in held.chunk_by(|left, right| left.0 == right.0) {
            let (tag, first) = same[0];
            let level = |slot: usize| entries[slot].text.split('/').nth(tag.level());
            for &(_, slot) in &same[1..] {
                if level(slot) != level(first) {
                    masks[slot] |= ALONE;
                }
            }
            let slots: Vec<usize> = same.iter().map(|&(_, slot)| slot).collect();
            let holders = Holders::of(&slots).unwrap_or_else(|| {
                let row = bits.push_copy(tag.level());
                slots.into_iter().for_each(|slot| bits.set(row, slot));
                Holders::Row(row)
            });
            literals.set(tag, holders);
        }

        let mut matrix = Self {
            weight: entries.iter().map(Block::weigh).sum(),
            levels,
            bits,
            literals,
            masks,
            texts: String::with_capacity(entries.iter().map(|entry| entry.text.len()).sum()),
            ends: Vec::with_capacity(entries.len()),
            values: Vec::with_capacity(entries.iter().map(|entry| entry.values.len()).sum()),
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

    /// Calls `found` with the values of each filter that matches the topic of this key, until it says `false`.
    #[inline]
    pub(super) fn search(&self, key: &Key<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        match self.bits.words() {
            1 => self.search_part::<1>(key, 0, found),
            2 => self.search_part::<2>(key, 0, found),
            4 => self.search_part::<4>(key, 0, found),
            words => (0..words / 8).all(|part| self.search_part::<8>(key, part, found)),
        }
    }

    #[inline]
    fn search_part<const W: usize>(&self, key: &Key<'_>, part: usize, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let rows = self.bits.chunks::<W>();
        let parts = self.bits.words() / W;
        let row = |row: usize| &rows[row * parts + part];
        let depth = (key.levels as usize).min(self.levels);
        let mut bits = *row(self.levels + (key.levels as usize).min(self.levels + 1));
        for level in 0..depth {
            let any = row(level);
            match self.literals.get(Tag::new(level, key.hash(level))) {
                Holders::None => and(&mut bits, any),
                Holders::Row(literal) => and(&mut bits, row(literal)),
                Holders::One(slot) => and_with(&mut bits, any, part, [slot, slot]),
                Holders::Two(first, second) => and_with(&mut bits, any, part, [first, second]),
            }
        }
        if key.is_reserved() {
            // What says nothing to the first level begins with a wildcard.
            let any = if self.levels > 0 { *row(0) } else { [u64::MAX; W] };
            for (bits, any) in bits.iter_mut().zip(any) {
                *bits &= !any;
            }
        }

        // The levels in which the literals are known to be those of the topic, not only to have their hash.
        let mut sure = 0;
        for (word, mut bits) in bits.into_iter().enumerate() {
            while bits != 0 {
                let slot = (part * W + word) * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let mask = self.masks[slot];
                if mask & !sure != 0 {
                    if !self.has_literals(slot, mask, key) {
                        continue;
                    }
                    if mask & ALONE == 0 {
                        sure |= mask;
                    }
                }
                if !found(self.values(slot)) {
                    return false;
                }
            }
        }
        true
    }

    /// Whether the literals of a filter are those of a topic that it matches by their hashes.
    #[inline]
    fn has_literals(&self, slot: usize, mask: u32, key: &Key<'_>) -> bool {
        let text = self.text(slot);
        if mask & ALONE != 0 {
            return matches(Levels::new(text), Levels::new(key.text));
        }
        let text = text.as_bytes();
        let mut at = 0;
        let mut left = mask;
        let mut level = 0;
        while left != 0 {
            let plain = left.trailing_zeros() as usize;
            // Each `+` and its `/`.
            at += 2 * plain;
            level += plain;
            let literal = key.level(level);
            let end = at + literal.len();
            if text.get(at..end) != Some(literal) || text.get(end).is_some_and(|&next| next != b'/') {
                return false;
            }
            at = end + 1;
            level += 1;
            left >>= plain + 1;
        }
        true
    }

    /// Filters that may be on the given sides of all levels.
    pub(super) fn on_sides(&self, side: impl Fn(usize) -> Side) -> impl Iterator<Item = Entry<'_, V>> {
        let mut bits = vec![u64::MAX; self.bits.words()];
        for level in 0..self.levels {
            let any = self.bits.row(level);
            let (hash, any_too) = match side(level) {
                Side::All => continue,
                Side::Rest => (None, true),
                Side::Literal(hash) => (Some(hash), false),
                Side::Both(hash) => (Some(hash), true),
            };
            let holders = hash.map_or(Holders::None, |hash| self.literals.get(Tag::new(level, hash)));
            for (word, bits) in bits.iter_mut().enumerate() {
                let held = match holders {
                    Holders::None => 0,
                    Holders::One(slot) => bit(word, slot),
                    Holders::Two(first, second) => bit(word, first) | bit(word, second),
                    Holders::Row(row) => self.bits.row(row)[word] & !any[word],
                };
                *bits &= held | if any_too { any[word] } else { 0 };
            }
        }
        let slots: Vec<usize> = ones(&bits).take_while(|&slot| slot < self.filters()).collect();
        slots.into_iter().map(|slot| self.entry(slot))
    }

    /// Where a filter is, or where it would have to be.
    pub(super) fn find(&self, text: &str) -> Result<usize, usize> {
        let mut low = 0;
        let mut high = self.filters();
        while low < high {
            let middle = (low + high) / 2;
            match self.text(middle).cmp(text) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    pub(super) fn entry(&self, slot: usize) -> Entry<'_, V> {
        Entry { text: self.text(slot), values: self.values(slot) }
    }

    #[inline]
    pub(super) fn values(&self, slot: usize) -> &[V] {
        if self.value_ends.is_empty() {
            return &self.values[slot..=slot];
        }
        &self.values[range(&self.value_ends, slot)]
    }

    /// A level of a filter.
    pub(super) fn level(&self, slot: usize, level: usize) -> Option<&str> {
        self.text(slot).split('/').nth(level)
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn filters(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    pub(super) fn heap(&self) -> usize {
        self.bits.heap()
            + self.literals.heap()
            + size_of_val(&*self.masks)
            + self.texts.len()
            + size_of_val(&*self.ends)
            + size_of_val(&*self.values)
            + size_of_val(&*self.value_ends)
    }

    /// The lengths of the topics that a filter can match, of those that have a row.
    pub(super) fn lengths(key: &Key<'_>, levels: usize) -> impl Iterator<Item = usize> + use<V> {
        let shortest = (key.levels as usize).min(levels + 1);
        shortest..=if key.open { levels + 1 } else { shortest }
    }

    #[inline]
    fn text(&self, slot: usize) -> &str {
        &self.texts[range(&self.ends, slot)]
    }

    pub(super) fn insert_text(&mut self, slot: usize, text: &str) {
        let at = range_start(&self.ends, slot);
        self.texts.reserve_exact(text.len());
        self.texts.insert_str(at, text);
        self.ends.reserve_exact(1);
        self.ends.insert(slot, at as u32);
        self.ends[slot..].iter_mut().for_each(|end| *end += text.len() as u32);
    }

    pub(super) fn remove_text(&mut self, slot: usize) {
        let range = range(&self.ends, slot);
        let length = range.len() as u32;
        self.texts.replace_range(range, "");
        self.ends.remove(slot);
        self.ends[slot..].iter_mut().for_each(|end| *end -= length);
    }

    /// The values of a new filter: one.
    pub(super) fn insert_values(&mut self, slot: usize, value: V) {
        if self.value_ends.is_empty() {
            self.values.reserve_exact(1);
            self.values.insert(slot, value);
        } else {
            self.value_ends.reserve_exact(1);
            self.value_ends.insert(slot, range_start(&self.value_ends, slot) as u32);
            self.put_value(slot, 0, value);
        }
    }

    pub(super) fn remove_values(&mut self, slot: usize) {
        if self.value_ends.is_empty() {
            self.values.remove(slot);
        } else {
            self.take_value(slot, 0);
            self.value_ends.remove(slot);
        }
    }

    pub(super) fn put_value(&mut self, slot: usize, at: usize, value: V) {
        if self.value_ends.is_empty() {
            self.value_ends = (1..=self.values.len() as u32).collect();
        }
        self.values.reserve_exact(1);
        self.values.insert(range_start(&self.value_ends, slot) + at, value);
        self.value_ends[slot..].iter_mut().for_each(|end| *end += 1);
    }

    pub(super) fn take_value(&mut self, slot: usize, at: usize) {
        self.values.remove(range_start(&self.value_ends, slot) + at);
        self.value_ends[slot..].iter_mut().for_each(|end| *end -= 1);
        if self.values.len() == self.filters() && self.value_ends.iter().zip(1..).all(|(&end, at)| end == at) {
            self.value_ends = Vec::new();
        }
    }
}

fn range_start(ends: &[u32], slot: usize) -> usize {
    if slot == 0 { 0 } else { ends[slot - 1] as usize }
}

#[inline]
fn range(ends: &[u32], slot: usize) -> std::ops::Range<usize> {
    range_start(ends, slot)..ends[slot] as usize
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
