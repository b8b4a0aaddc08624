//! A leaf of filters with wildcards: a bit matrix.

mod bits;
mod holders;
mod matrix;
mod search;

use std::{marker::PhantomData, sync::Arc};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use self::{
    bits::{Bits, bit, ones, rank},
    holders::{Held, Holders, LevelTable},
    matrix::{Matrix, start},
};
use super::{
    dictionary::Dictionary,
    key::{Hasher, Key},
    leaf::{Entry, Leaf, Value, group},
    tree::Side,
};

/// Filters with wildcards, each with its values. Shared: a change makes another block.
///
/// Filters are columns, in the order of their texts; what they say to each level is in rows. A level has a row of the
/// filters to which it says nothing, and one for each literal that some filter has there, in which the filters of the
/// first are too. Which filters match a topic is the AND of one row per level, 64 filters at a time, wherever the
/// wildcards are:
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
/// A literal that only one or two columns have takes no row. Literals are compared by their codes. A filter of a few
/// values has a column for each, one beside the other; one of many has one column, and is in a row of such.
///
/// It is one piece of memory, what every search reads first:
///
/// ```text
/// head | tables of the levels | their entries | rows | values | values of those with many | their ends | ends of the texts | texts
/// ```
#[derive(Debug, Clone)]
pub(super) struct Block<V>(Arc<[Line]>, PhantomData<V>);

/// A line of the processor's cache.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(64))]
struct Line([u64; WORDS]);

const WORDS: usize = 8;
/// Words that the head of a table takes.
const TABLE: usize = size_of::<LevelTable>() / size_of::<u64>();

/// The first line. Parts are told by the word that they begin at.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Head {
    weight: u64,
    columns: u32,
    rows: u32,
    values: u32,
    many: u32,
    many_ends: u32,
    ends: u32,
    texts: u32,
    /// Bytes of the texts.
    text: u32,
    /// Filters that have many values.
    many_values: u32,
    /// Number of rows.
    height: u32,
    /// Entries of the tables, all together.
    entries: u32,
    /// Words of a row.
    stride: u16,
    levels: u8,
    /// Whether some filter has deep levels.
    deep: u8,
    /// Levels in which some filter has a literal.
    tables: u8,
    spare: [u8; 7],
}

impl Head {
    const EMPTY: Self = Self {
        weight: 0,
        columns: 0,
        rows: 0,
        values: 0,
        many: 0,
        many_ends: 0,
        ends: 0,
        texts: 0,
        text: 0,
        many_values: 0,
        height: 0,
        entries: 0,
        stride: 0,
        levels: 0,
        deep: 0,
        tables: 0,
        spare: [0; 7],
    };
}

/// The row of those to which some deep level says something: they are compared as text.
const fn deep_row(levels: usize) -> usize {
    2 * levels + 2
}

/// The row of those that have many values.
const fn many_row(levels: usize) -> usize {
    deep_row(levels) + 1
}

/// The first row of a literal.
const fn literal_rows(levels: usize) -> usize {
    many_row(levels) + 1
}

/// The rows that a filter is in, those of literals aside: for each level to which it says nothing, for each length of a
/// topic that it can match, up to one more than there are levels, and for deep levels.
fn rows(key: &Key<'_>, levels: usize) -> impl Iterator<Item = usize> {
    let shortest = (key.levels as usize).min(levels + 1);
    let longest = if key.open { levels + 1 } else { shortest };
    (0..levels)
        .filter(|&level| key.literal(level).is_none())
        .chain((shortest..=longest).map(move |length| levels + length))
        .chain(key.is_deep().then_some(deep_row(levels)))
}

impl<V: Value> Block<V> {
    /// Filters that may be on the given sides of all levels. `key`: of what the sides were made.
    pub(super) fn on_sides(
        &self,
        dictionary: &Dictionary,
        key: &Key<'_>,
        side: impl Fn(usize) -> Side,
    ) -> impl Iterator<Item = Entry<'_, V>> {
        let (head, words) = (self.head(), self.words());
        let stride = usize::from(head.stride);
        let row = |row: usize| &words[head.rows as usize + row * stride..][..stride];
        let mut bits = vec![u64::MAX; stride];
        for level in 0..usize::from(head.levels) {
            let any = row(level);
            let (literal, any_too) = match side(level) {
                Side::All => continue,
                Side::Rest => (false, true),
                Side::Literal(_) => (true, false),
                Side::Both(_) => (true, true),
            };
            let held = match self.tables().iter().find(|table| table.level() == level) {
                Some(table) if literal => table.find(self.table_entries(), dictionary.code(key, level)).held(),
                _ => Held::None,
            };
            for (word, bits) in bits.iter_mut().enumerate() {
                let held = match held {
                    Held::None => 0,
                    Held::One(slot) => bit(word, slot),
                    Held::Two(first, second) => bit(word, first) | bit(word, second),
                    Held::Row(literal) => row(literal)[word] & !any[word],
                };
                *bits &= held | if any_too { any[word] } else { 0 };
            }
        }
        let slots = ones(&bits).take_while(|&slot| slot < self.columns()).filter(|&slot| self.is_first(slot));
        let slots: Vec<usize> = slots.collect();
        slots.into_iter().map(|slot| self.entry(slot))
    }

    /// The first column of a filter, or where it would have to be.
    fn find(&self, text: &str) -> Result<usize, usize> {
        let mut low = 0;
        let mut high = self.columns();
        while low < high {
            let middle = (low + high) / 2;
            match self.text_bytes(middle).cmp(text.as_bytes()) {
                std::cmp::Ordering::Equal => return Ok(self.first(middle)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn columns(&self) -> usize {
        self.head().columns as usize
    }

    /// The first column of the same filter.
    fn first(&self, slot: usize) -> usize {
        let ends = self.ends();
        (1..=slot).rev().find(|&slot| ends[slot - 1] != ends[slot]).unwrap_or(0)
    }

    fn is_first(&self, slot: usize) -> bool {
        let ends = self.ends();
        slot == 0 || ends[slot - 1] != ends[slot]
    }

    /// Of a filter, by its first column.
    fn entry(&self, slot: usize) -> Entry<'_, V> {
        Entry { text: self.text(slot), values: self.values(slot) }
    }

    /// The text of the filter of a column.
    fn text(&self, slot: usize) -> &str {
        // It came in as text.
        std::str::from_utf8(self.text_bytes(slot)).unwrap_or_default()
    }

    fn text_bytes(&self, slot: usize) -> &[u8] {
        let ends = self.ends();
        let start_of_all = self.head().texts as usize * size_of::<u64>();
        &self.0.as_bytes()[start_of_all + start(ends, self.first(slot))..start_of_all + ends[slot] as usize]
    }

    /// All values of a filter, by its first column.
    fn values(&self, slot: usize) -> &[V] {
        if self.has_many(slot) {
            let (ends, rank) = (self.many_ends(), rank(self.many_bits(), slot));
            return &self.many()[start(ends, rank)..ends[rank] as usize];
        }
        let ends = self.ends();
        let columns = ends[slot..].iter().take_while(|&&end| end == ends[slot]).count();
        &self.column_values()[slot..slot + columns]
    }

    fn has_many(&self, slot: usize) -> bool {
        self.many_bits()[slot / 64] >> (slot % 64) & 1 != 0
    }

    /// The row of those that have many values.
    fn many_bits(&self) -> &[u64] {
        let head = self.head();
        let (row, stride) = (many_row(usize::from(head.levels)), usize::from(head.stride));
        &self.words()[head.rows as usize + row * stride..][..stride]
    }

    #[inline]
    fn head(&self) -> &Head {
        const { assert!(size_of::<Head>() == WORDS * size_of::<u64>()) };
        // There is a first line, and it has the size.
        Head::ref_from_prefix(self.0.as_bytes()).map_or(&Head::EMPTY, |(head, _)| head)
    }

    #[inline]
    fn words(&self) -> &[u64] {
        <[u64]>::ref_from_bytes(self.0.as_bytes()).unwrap_or_default()
    }

    /// Of the levels in which some filter has a literal, in the order of the search.
    #[inline]
    fn tables(&self) -> &[LevelTable] {
        let bytes = self.words()[WORDS..][..usize::from(self.head().tables) * TABLE].as_bytes();
        <[LevelTable]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    #[inline]
    fn table_entries(&self) -> &[u64] {
        let head = self.head();
        &self.words()[WORDS + usize::from(head.tables) * TABLE..][..head.entries as usize]
    }

    /// Of each column.
    #[inline]
    fn column_values(&self) -> &[V] {
        self.values_at(self.head().values, self.columns())
    }

    /// Of the filters that have many.
    fn many(&self) -> &[V] {
        self.values_at(self.head().many, self.many_ends().last().map_or(0, |&end| end as usize))
    }

    fn many_ends(&self) -> &[u32] {
        self.numbers(self.head().many_ends, self.head().many_values as usize)
    }

    #[inline]
    fn values_at(&self, word: u32, count: usize) -> &[V] {
        let bytes = &self.0.as_bytes()[word as usize * size_of::<u64>()..][..count * size_of::<V>()];
        <[V]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    #[inline]
    fn ends(&self) -> &[u32] {
        self.numbers(self.head().ends, self.columns())
    }

    #[inline]
    fn numbers(&self, word: u32, count: usize) -> &[u32] {
        let start = word as usize * size_of::<u64>();
        <[u32]>::ref_from_bytes(&self.0.as_bytes()[start..start + count * size_of::<u32>()]).unwrap_or_default()
    }

    fn pack(matrix: &Matrix<'_, V>) -> Self {
        const { assert!(align_of::<V>() <= 16 && size_of::<V>() > 0) };
        let in_words = |bytes: usize| bytes.div_ceil(size_of::<u64>());
        let (tables, entries) = (matrix.holders.levels(), matrix.holders.entries());
        let stride = matrix.bits.words();
        // Rows of a line each begin where a line does, values where they may.
        let rows = (WORDS + tables.len() * TABLE + entries.len()).next_multiple_of(stride.min(WORDS));
        let values = (rows + matrix.bits.all().len()).next_multiple_of(2);
        let many = (values + in_words(size_of_val(&*matrix.values))).next_multiple_of(2);
        let many_ends = many + in_words(size_of_val(&*matrix.many));
        let ends = many_ends + in_words(size_of_val(&*matrix.many_ends));
        let texts = ends + in_words(size_of_val(&*matrix.ends));
        let text: usize = matrix.texts.iter().map(|text| text.len()).sum();
        let total = texts + in_words(text);

        let head = Head {
            weight: matrix.weight as u64,
            columns: matrix.ends.len() as u32,
            rows: rows as u32,
            values: values as u32,
            many: many as u32,
            many_ends: many_ends as u32,
            ends: ends as u32,
            texts: texts as u32,
            text: text as u32,
            many_values: matrix.many_ends.len() as u32,
            height: matrix.bits.rows() as u32,
            entries: matrix.holders.entries().len() as u32,
            stride: stride as u16,
            levels: matrix.levels as u8,
            deep: u8::from(matrix.bits.row(deep_row(matrix.levels)).iter().any(|&bits| bits != 0)),
            tables: matrix.holders.levels().len() as u8,
            spare: [0; 7],
        };
        let parts = [
            (0, head.as_bytes()),
            (WORDS, tables.as_bytes()),
            (WORDS + tables.len() * TABLE, entries.as_bytes()),
            (rows, matrix.bits.all().as_bytes()),
            (values, matrix.values.as_bytes()),
            (many, matrix.many.as_bytes()),
            (many_ends, matrix.many_ends.as_bytes()),
            (ends, matrix.ends.as_bytes()),
            (texts, &[]),
        ];
        // Put together where the processor has the memory at hand, and then copied at once.
        let mut bytes: Vec<u8> = Vec::with_capacity((total.div_ceil(WORDS) + 1) * size_of::<Line>());
        let first = bytes.as_ptr().addr().wrapping_neg() % align_of::<Line>();
        for (word, part) in parts {
            bytes.resize(first + word * size_of::<u64>(), 0);
            bytes.extend_from_slice(part);
        }
        matrix.texts.iter().for_each(|text| bytes.extend_from_slice(text));
        bytes.resize(first + total.div_ceil(WORDS) * size_of::<Line>(), 0);
        // They begin where a line does: there was room for all of it.
        Self(<[Line]>::ref_from_bytes(&bytes[first..]).unwrap_or_default().into(), PhantomData)
    }

    fn unpack(&self) -> Matrix<'_, V> {
        let (head, words) = (self.head(), self.words());
        let (rows, stride) = (head.rows as usize, usize::from(head.stride));
        let texts = &self.0.as_bytes()[head.texts as usize * size_of::<u64>()..][..head.text as usize];
        Matrix {
            weight: head.weight as usize,
            levels: usize::from(head.levels),
            bits: Bits::from_words(stride, words[rows..rows + head.height as usize * stride].to_vec()),
            holders: Holders::from_parts(self.tables().to_vec(), self.table_entries().to_vec()),
            texts: vec![texts],
            ends: self.ends().to_vec(),
            values: self.column_values().to_vec(),
            many: self.many().to_vec(),
            many_ends: self.many_ends().to_vec(),
        }
    }
}

impl<V: Value> Leaf for Block<V> {
    type Value = V;
    type Context = Dictionary;

    const FULL: usize = 2048 * FILTER;
    const USUAL: usize = 400 * FILTER;

    fn build(dictionary: &Dictionary, entries: Vec<Entry<'_, V>>) -> Self {
        let mut spare = Vec::new();
        Self::pack(&Matrix::build(dictionary, &group(entries, &mut spare)))
    }

    fn hasher(dictionary: &Dictionary) -> &Hasher {
        &dictionary.hasher
    }

    fn weight(&self) -> usize {
        self.head().weight as usize
    }

    fn weigh(entry: &Entry<'_, V>) -> usize {
        (entry.text.len() + size_of_val(entry.values)).max(FILTER * columns(entry.values.len()))
    }

    fn filters(&self) -> usize {
        self.columns()
    }

    fn insert(&mut self, dictionary: &Dictionary, key: &Key<'_>, value: V) -> bool {
        let slot = self.find(key.text);
        let levels = usize::from(self.head().levels);
        *self = match slot {
            Ok(slot) => {
                let old = self.values(slot);
                let Err(at) = old.binary_search(&value) else { return false };
                let values = [&old[..at], &[value], &old[at..]].concat();
                let entry = Entry { text: key.text, values: &values };
                if !self.has_many(slot) && old.len() == COLUMNS {
                    let others = self.entries().filter(|entry| entry.text != key.text);
                    Self::build(dictionary, others.chain([entry]).collect())
                } else {
                    let mut matrix = self.unpack();
                    matrix.weight = matrix.weight - Self::weigh(&self.entry(slot)) + Self::weigh(&entry);
                    if self.has_many(slot) {
                        matrix.insert_of_many(slot, at, value);
                    } else {
                        matrix.insert_value(slot, at, key, dictionary, value);
                    }
                    Self::pack(&matrix)
                }
            }
            Err(slot) if levels > 0 && key.indexed() <= levels => {
                let mut matrix = self.unpack();
                matrix.weight += Self::weigh(&Entry { text: key.text, values: &[value] });
                matrix.insert(slot, key, dictionary, value);
                Self::pack(&matrix)
            }
            // There are no rows for the levels of the filter.
            Err(_) => {
                let entry = Entry { text: key.text, values: &[value] };
                Self::build(dictionary, self.entries().chain([entry]).collect())
            }
        };
        true
    }

    fn remove(&mut self, dictionary: &Dictionary, key: &Key<'_>, value: &V) -> bool {
        let Ok(slot) = self.find(key.text) else { return false };
        let old = self.values(slot);
        let Ok(at) = old.binary_search(value) else { return false };
        let mut matrix = self.unpack();
        matrix.weight -= Self::weigh(&self.entry(slot));
        if old.len() > 1 {
            let left = [&old[..at], &old[at + 1..]].concat();
            matrix.weight += Self::weigh(&Entry { text: key.text, values: &left });
        }
        match old.len() {
            1 => matrix.remove(slot, key, dictionary),
            _ if self.has_many(slot) => matrix.remove_of_many(slot, at),
            _ => matrix.remove_value(slot, at, key, dictionary),
        }
        *self = Self::pack(&matrix);
        true
    }

    fn contains(&self, key: &Key<'_>, value: &V) -> bool {
        self.find(key.text).is_ok_and(|slot| self.values(slot).binary_search(value).is_ok())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_, V>> {
        (0..self.columns()).filter(|&slot| self.is_first(slot)).map(|slot| self.entry(slot))
    }

    fn heap(&self) -> usize {
        // Two counters before it.
        size_of_val(&*self.0) + align_of::<Line>()
    }
}

/// The least weight of a column.
const FILTER: usize = 128;
/// A filter with up to so many values has a column for each.
const COLUMNS: usize = 4;

/// The columns of a filter with so many values.
fn columns(values: usize) -> usize {
    if values <= COLUMNS { values } else { 1 }
}
