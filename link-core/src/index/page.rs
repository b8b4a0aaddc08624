//! A leaf of texts that are looked up as a whole: a small hash table in one piece of memory.

use std::{marker::PhantomData, sync::Arc};

use zerocopy::{FromBytes, IntoBytes};

use super::{
    key::{Hasher, Key, same_bytes},
    leaf::{Entry, Leaf, Value, group},
};

/// Texts, each with its values: filters without wildcards, or levels. Shared: a change makes another page.
///
/// ```text
/// count  unit  flags     | fingerprints | places       | records
/// u32    u8    u8, 2 × 0 | u8 each      | u8 each,     | length of the text u16, number of values u32 (if several),
///                        |              | in 2^unit    | text, values (aligned)
/// ```
///
/// The first part of a page of up to 28 texts is one cache line: a lookup reads that line and the record. Places of more
/// than 200 texts, which have the same hash, are u32 each.
///
/// `FLAT`: the texts are levels, which are told apart by nothing but the whole text.
#[derive(Debug, Clone)]
pub(super) struct Page<V, const FLAT: bool>(Arc<[u128]>, PhantomData<V>);

const HEADER: usize = 8;
/// In the flags: some text has several values.
const SEVERAL: u8 = 1;
/// In the flags: places are u32.
const WIDE: u8 = 2;

/// Of the bits that a node does not use to choose the page.
#[inline]
fn fingerprint(whole: u64) -> u8 {
    (whole >> 56) as u8
}

impl<V: Value, const FLAT: bool> Page<V, FLAT> {
    /// The values of a text.
    #[inline]
    pub(super) fn find(&self, whole: u64, text: &[u8]) -> Option<&[V]> {
        let bytes = self.bytes();
        let place = candidates(bytes, whole).find(|&place| {
            let length = usize::from(u16::from_le_bytes([bytes[place], bytes[place + 1]]));
            let start = place + text_start(bytes);
            length == text.len() && bytes[start..start + length] == *text
        })?;
        Some(self.entry(place).values)
    }

    /// Reads what a search reads first, for nothing but to have it near.
    #[inline]
    pub(super) fn touch(&self) -> u8 {
        self.bytes()[0]
    }

    /// Reads what a search reads then, when the first is near.
    #[inline]
    pub(super) fn touch_record(&self, whole: u64) -> u8 {
        let bytes = self.bytes();
        bytes[candidates(bytes, whole).next().unwrap_or(0)]
    }

    #[inline]
    fn entry(&self, place: usize) -> Entry<'_, V> {
        let bytes = self.bytes();
        let length = usize::from(u16::from_le_bytes([bytes[place], bytes[place + 1]]));
        let start = place + text_start(bytes);
        let count = if bytes[5] & SEVERAL == 0 { 1 } else { read_u32(&bytes[place + 2..]) };
        let values = (start + length).next_multiple_of(align_of::<V>());
        Entry {
            // It came in as text.
            text: std::str::from_utf8(&bytes[start..start + length]).unwrap_or_default(),
            values: <[V]>::ref_from_bytes(&bytes[values..values + count * size_of::<V>()]).unwrap_or_default(),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// With their fingerprints.
    fn records(&self) -> impl Iterator<Item = (u8, Entry<'_, V>)> {
        let bytes = self.bytes();
        (0..count(bytes)).map(move |at| (bytes[HEADER + at], self.entry(place(bytes, at))))
    }

    fn encode(entries: &[(u8, Entry<'_, V>)]) -> Self {
        const { assert!(align_of::<V>() <= align_of::<u128>() && size_of::<V>() > 0) };
        let count = entries.len();
        let several = entries.iter().any(|(_, entry)| entry.values.len() != 1);
        let align = align_of::<V>();
        let text_start = if several { 6 } else { 2 };
        let size = |unit: u8, entry: &Entry<'_, V>| {
            let text = text_start + entry.text.len();
            (text.next_multiple_of(align) + size_of_val(entry.values)).next_multiple_of(1 << unit)
        };
        let wide = count > MOST_NARROW;
        let head = HEADER + count * if wide { 5 } else { 2 };
        let total = |unit: u8| {
            head.next_multiple_of(1 << unit) + entries.iter().map(|(_, entry)| size(unit, entry)).sum::<usize>()
        };
        // Records begin where values may be. Up to 200 of them always fit into 256 units of some size.
        let least = align.max(4).trailing_zeros() as u8;
        let unit = (least..20).find(|&unit| wide || total(unit) >> unit <= 256).unwrap_or(20);

        let mut words = vec![0_u128; total(unit).div_ceil(size_of::<u128>())];
        let bytes = words.as_mut_bytes();
        put(bytes, 0, &(count as u32).to_le_bytes());
        bytes[4] = unit;
        bytes[5] = if several { SEVERAL } else { 0 } | if wide { WIDE } else { 0 };
        let mut place = head.next_multiple_of(1 << unit);
        for (at, (fingerprint, entry)) in entries.iter().enumerate() {
            bytes[HEADER + at] = *fingerprint;
            if wide {
                put(bytes, HEADER + count + 4 * at, &((place >> unit) as u32).to_le_bytes());
            } else {
                bytes[HEADER + count + at] = (place >> unit) as u8;
            }
            put(bytes, place, &(entry.text.len() as u16).to_le_bytes());
            if several {
                put(bytes, place + 2, &(entry.values.len() as u32).to_le_bytes());
            }
            put(bytes, place + text_start, entry.text.as_bytes());
            let values = (place + text_start + entry.text.len()).next_multiple_of(align);
            put(bytes, values, entry.values.as_bytes());
            place += size(unit, entry);
        }
        Self(words.into(), PhantomData)
    }

    /// The page with another list of values for a text; none: without the text.
    fn with(&self, key: &Key<'_>, values: &[V]) -> Self {
        let mut entries: Vec<_> = self.records().filter(|(_, entry)| entry.text != key.text).collect();
        if !values.is_empty() {
            entries.push((fingerprint(key.whole), Entry { text: key.text, values }));
        }
        Self::encode(&entries)
    }

    fn values(&self, key: &Key<'_>) -> &[V] {
        self.find(key.whole, key.text.as_bytes()).unwrap_or_default()
    }
}

/// Where the records with the fingerprint of a text begin.
#[inline]
fn candidates(bytes: &[u8], whole: u64) -> impl Iterator<Item = usize> {
    let fingerprints = &bytes[HEADER..HEADER + count(bytes)];
    same_bytes(fingerprints, fingerprint(whole)).map(move |at| place(bytes, at))
}

#[inline]
fn count(bytes: &[u8]) -> usize {
    read_u32(bytes)
}

/// Where a record begins.
#[inline]
fn place(bytes: &[u8], at: usize) -> usize {
    let places = HEADER + count(bytes);
    let place =
        if bytes[5] & WIDE == 0 { usize::from(bytes[places + at]) } else { read_u32(&bytes[places + 4 * at..]) };
    place << bytes[4]
}

/// Where the text begins in a record.
#[inline]
fn text_start(bytes: &[u8]) -> usize {
    if bytes[5] & SEVERAL == 0 { 2 } else { 6 }
}

#[inline]
fn read_u32(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    bytes[at..at + from.len()].copy_from_slice(from);
}

impl<V: Value, const FLAT: bool> Leaf for Page<V, FLAT> {
    type Value = V;
    type Context = Hasher;

    const FULL: usize = 4096;
    const USUAL: usize = 1408;
    const FLAT: bool = FLAT;

    fn build(hasher: &Hasher, entries: Vec<Entry<'_, V>>) -> Self {
        let mut spare = Vec::new();
        let whole = |text| if FLAT { hasher.level(text).whole } else { hasher.filter(text).whole };
        let entries: Vec<_> =
            group(entries, &mut spare).into_iter().map(|entry| (fingerprint(whole(entry.text)), entry)).collect();
        Self::encode(&entries)
    }

    fn hasher(hasher: &Hasher) -> &Hasher {
        hasher
    }

    fn weight(&self) -> usize {
        size_of_val(&*self.0).max(self.filters() * RECORD)
    }

    fn weigh(entry: &Entry<'_, V>) -> usize {
        (entry.text.len() + 6 + size_of_val(entry.values)).max(RECORD)
    }

    fn filters(&self) -> usize {
        count(self.bytes())
    }

    fn insert(&mut self, _: &Hasher, key: &Key<'_>, value: V) -> bool {
        let old = self.values(key);
        let Err(at) = old.binary_search(&value) else { return false };
        let values = [&old[..at], &[value], &old[at..]].concat();
        *self = self.with(key, &values);
        true
    }

    fn remove(&mut self, _: &Hasher, key: &Key<'_>, value: &V) -> bool {
        let old = self.values(key);
        let Ok(at) = old.binary_search(value) else { return false };
        let values = [&old[..at], &old[at + 1..]].concat();
        *self = self.with(key, &values);
        true
    }

    fn contains(&self, key: &Key<'_>, value: &V) -> bool {
        self.values(key).binary_search(value).is_ok()
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_, V>> {
        self.records().map(|(_, entry)| entry)
    }

    fn heap(&self) -> usize {
        // Two counters before it.
        size_of_val(&*self.0) + 2 * size_of::<u64>()
    }
}

/// The least weight of a text: the first part of a page stays within two cache lines.
const RECORD: usize = 40;
/// So many texts have places of one byte, at most.
const MOST_NARROW: usize = 200;
