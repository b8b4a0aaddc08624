//! A leaf of filters without wildcards: a small sorted table in one piece of memory.

use std::sync::Arc;

use super::{
    key::{Hasher, Key},
    leaf::{Entry, Leaf, Value, group},
};

/// Filters without wildcards, each with its values. Immutable: a change makes another page.
///
/// ```text
/// bytes:   count | slots, sorted          | starts (only if some filter has several values) | texts
///          u32     fingerprint 12, place 20  u32 each, one more than filters                  u16 length, text
/// values:  of the first slot, of the second slot, ...
/// ```
///
/// Fingerprints are uniform, so that the place of one among the slots can be guessed: a lookup reads one cache line of
/// slots and the text that it compares.
#[derive(Debug, Clone)]
pub(super) struct Page<V> {
    bytes: Arc<[u8]>,
    values: Arc<[V]>,
}

const FINGERPRINT_BITS: u32 = 12;
const PLACE_BITS: u32 = 32 - FINGERPRINT_BITS;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;
const HEADER: usize = 4;
/// In the count: some filter has several values.
const SEVERAL: u32 = 1 << 31;
/// In the count: places are in units of that power of two.
const UNIT_SHIFT: u32 = 24;
const COUNT_MASK: u32 = (1 << UNIT_SHIFT) - 1;

fn fingerprint(key: &Key<'_>) -> u32 {
    (key.whole >> (64 - FINGERPRINT_BITS)) as u32
}

impl<V: Value> Page<V> {
    /// The values of the filter that is the topic of this key.
    #[inline]
    pub(super) fn find(&self, key: &Key<'_>) -> Option<&[V]> {
        let head = self.head();
        let slots = self.slots(head);
        let wanted = fingerprint(key);
        let mut at = (wanted as usize * slots.len()) >> FINGERPRINT_BITS;
        while at > 0 && slot(slots, at - 1) >> PLACE_BITS >= wanted {
            at -= 1;
        }
        while at < slots.len() {
            let slot = slot(slots, at);
            let found = slot >> PLACE_BITS;
            if found == wanted && self.text_bytes(head, slot) == key.text.as_bytes() {
                return Some(self.values_at(head, at));
            }
            if found > wanted {
                break;
            }
            at += 1;
        }
        None
    }

    /// Reads what [`find`](Self::find) will read first, for nothing but to have it near.
    #[inline]
    pub(super) fn touch_slots(&self, key: &Key<'_>) -> u32 {
        let slots = self.slots(self.head());
        slots
            .get((fingerprint(key) as usize * slots.len()) >> FINGERPRINT_BITS)
            .map_or(0, |slot| u32::from_le_bytes(*slot))
    }

    /// Reads what [`find`](Self::find) will read next, when the slots are near.
    #[inline]
    pub(super) fn touch_text(&self, key: &Key<'_>) -> u8 {
        let head = self.head();
        let slots = self.slots(head);
        let wanted = fingerprint(key);
        let mut at = (wanted as usize * slots.len()) >> FINGERPRINT_BITS;
        while at > 0 && slot(slots, at - 1) >> PLACE_BITS >= wanted {
            at -= 1;
        }
        while at < slots.len() && slot(slots, at) >> PLACE_BITS < wanted {
            at += 1;
        }
        if at == slots.len() {
            return 0;
        }
        let start = ((slot(slots, at) & PLACE_MASK) as usize) << head.unit;
        self.bytes.get(start).copied().unwrap_or(0)
    }

    #[inline]
    fn head(&self) -> Head {
        let word = self.bytes.first_chunk::<HEADER>().map_or(0, |head| u32::from_le_bytes(*head));
        Head {
            count: (word & COUNT_MASK) as usize,
            several: word & SEVERAL != 0,
            unit: (word & !SEVERAL) >> UNIT_SHIFT,
        }
    }

    #[inline]
    fn slots(&self, head: Head) -> &[[u8; 4]] {
        words(&self.bytes, HEADER, head.count)
    }

    #[inline]
    fn values_at(&self, head: Head, at: usize) -> &[V] {
        if !head.several {
            return &self.values[at..=at];
        }
        let starts = words(&self.bytes, HEADER + 4 * head.count, head.count + 1);
        &self.values[slot(starts, at) as usize..slot(starts, at + 1) as usize]
    }

    #[inline]
    fn text_bytes(&self, head: Head, slot: u32) -> &[u8] {
        let start = ((slot & PLACE_MASK) as usize) << head.unit;
        let length = u16::from_le_bytes([self.bytes[start], self.bytes[start + 1]]);
        &self.bytes[start + 2..start + 2 + usize::from(length)]
    }

    fn encode(mut entries: Vec<(u32, Entry<'_, V>)>) -> Self {
        entries.sort_unstable_by(|(a, left), (b, right)| (a, left.text).cmp(&(b, right.text)));
        let count = entries.len();
        let several = entries.iter().any(|(_, entry)| entry.values.len() != 1);
        let tables = HEADER + 4 * count + if several { 4 * (count + 1) } else { 0 };
        let texts: usize = entries.iter().map(|(_, entry)| 2 + entry.text.len()).sum();
        // Only a page of very long texts needs more than units of one byte.
        let unit = (0..8).find(|unit| (tables + texts + (count << unit)) >> unit <= PLACE_MASK as usize).unwrap_or(8);
        let mut bytes = Vec::with_capacity(tables + texts);
        let mut values = Vec::with_capacity(entries.iter().map(|(_, entry)| entry.values.len()).sum());
        bytes.resize(tables, 0);
        put(&mut bytes, 0, count as u32 | (unit as u32) << UNIT_SHIFT | if several { SEVERAL } else { 0 });
        for (at, (fingerprint, entry)) in entries.iter().enumerate() {
            while bytes.len() & ((1 << unit) - 1) != 0 {
                bytes.push(0);
            }
            let place = (bytes.len() >> unit) as u32;
            put(&mut bytes, HEADER + 4 * at, fingerprint << PLACE_BITS | place);
            if several {
                put(&mut bytes, HEADER + 4 * (count + at), values.len() as u32);
            }
            bytes.extend_from_slice(&(entry.text.len() as u16).to_le_bytes());
            bytes.extend_from_slice(entry.text.as_bytes());
            values.extend_from_slice(entry.values);
        }
        if several {
            put(&mut bytes, HEADER + 8 * count, values.len() as u32);
        }
        Self { bytes: bytes.into(), values: values.into() }
    }

    /// With the fingerprints.
    fn slots_and_entries(&self) -> impl Iterator<Item = (u32, Entry<'_, V>)> {
        let head = self.head();
        (0..head.count).map(move |at| {
            let slot = slot(self.slots(head), at);
            // The text came in as text.
            let text = std::str::from_utf8(self.text_bytes(head, slot)).unwrap_or_default();
            (slot >> PLACE_BITS, Entry { text, values: self.values_at(head, at) })
        })
    }

    /// The page with another list of values for a filter; none: without the filter.
    fn with(&self, key: &Key<'_>, values: &[V]) -> Self {
        let mut entries = Vec::with_capacity(self.filters() + 1);
        entries.extend(self.slots_and_entries().filter(|(_, entry)| entry.text != key.text));
        if !values.is_empty() {
            entries.push((fingerprint(key), Entry { text: key.text, values }));
        }
        Self::encode(entries)
    }
}

impl<V: Value> Leaf for Page<V> {
    type Value = V;

    const FULL: usize = 4096;
    const USUAL: usize = 1280;

    fn build(hasher: &Hasher, entries: Vec<Entry<'_, V>>) -> Self {
        let mut spare = Vec::new();
        let entries = group(entries, &mut spare);
        Self::encode(entries.into_iter().map(|entry| (fingerprint(&hasher.filter(entry.text)), entry)).collect())
    }

    fn weight(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.values)
    }

    fn weigh(entry: &Entry<'_, V>) -> usize {
        entry.text.len() + 6 + size_of_val(entry.values)
    }

    fn filters(&self) -> usize {
        self.head().count
    }

    fn insert(&mut self, _: &Hasher, key: &Key<'_>, value: V) -> bool {
        let old = self.find(key).unwrap_or_default();
        let Err(at) = old.binary_search(&value) else { return false };
        let values = [&old[..at], &[value], &old[at..]].concat();
        *self = self.with(key, &values);
        true
    }

    fn remove(&mut self, _: &Hasher, key: &Key<'_>, value: &V) -> bool {
        let old = self.find(key).unwrap_or_default();
        let Ok(at) = old.binary_search(value) else { return false };
        let values = [&old[..at], &old[at + 1..]].concat();
        *self = self.with(key, &values);
        true
    }

    fn contains(&self, _: &Hasher, key: &Key<'_>, value: &V) -> bool {
        self.find(key).is_some_and(|values| values.binary_search(value).is_ok())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_, V>> {
        self.slots_and_entries().map(|(_, entry)| entry)
    }

    fn heap(&self) -> usize {
        // Two counters before each.
        self.bytes.len() + size_of_val(&*self.values) + 4 * size_of::<usize>()
    }
}

#[derive(Clone, Copy)]
struct Head {
    count: usize,
    several: bool,
    unit: u32,
}

#[inline]
fn words(bytes: &[u8], start: usize, count: usize) -> &[[u8; 4]] {
    bytes[start..start + 4 * count].as_chunks().0
}

#[inline]
fn slot(words: &[[u8; 4]], at: usize) -> u32 {
    u32::from_le_bytes(words[at])
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}
