//! Pages of records: a text and its values, or where its values are.

use std::marker::PhantomData;

use zerocopy::{FromBytes, IntoBytes};

use super::super::{cell::Arc, leaf::Value, prefetch::prefetch};

/// Records begin at a multiple of that, or of the alignment of a value.
pub(super) const UNIT: usize = 4;
/// Bytes of most pages.
pub(super) const PAGE: usize = 8192;
/// The values of a text are in its record up to so many bytes, and in a list of their own above.
pub(super) const MOST_INLINE: usize = 512;

/// Records, one behind the other, and zeros.
///
/// ```text
/// record   length of the text, number of values | values         | text     u16 each
///          length of the text, LISTED           | number of list | text
/// ```
///
/// Values are aligned. No number of values is 0, so zeros are no record. Shared by the copies of the table until one
/// of them changes it, which only ever adds a record.
#[derive(Debug)]
pub(super) struct Page<V>(pub(super) Arc<[u128]>, PhantomData<V>);

impl<V> Clone for Page<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

/// Bytes that most records have.
const USUAL: usize = 40;
/// In place of the number of values.
const LISTED: u16 = u16::MAX;

/// Where the values of a text are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a, V> {
    Inline(&'a [V]),
    List(u32),
}

/// One text of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a, V> {
    text: &'a [u8],
    /// The values, or the number of a list.
    before: &'a [u8],
    count: u16,
    size: usize,
    values: PhantomData<V>,
}

/// Where the parts of a record are.
struct Layout {
    values: usize,
    text: usize,
    size: usize,
}

impl Layout {
    #[inline]
    fn new<V>(text: usize, count: u16) -> Self {
        let (values, bytes) = match count {
            LISTED => (UNIT, size_of::<u32>()),
            count => (UNIT.next_multiple_of(align_of::<V>()), usize::from(count) * size_of::<V>()),
        };
        let end = values + bytes + text;
        Self { values, text: values + bytes, size: end.next_multiple_of(UNIT.max(align_of::<V>())) }
    }
}

impl<'a, V: Value> Record<'a, V> {
    /// `bytes`: from its first one to the end of the page.
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        let (length, count) = bytes
            .first_chunk::<UNIT>()
            .map_or((0, 0), |&[a, b, c, d]| (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])));
        let layout = Layout::new::<V>(length.into(), count);
        let text = &bytes[layout.text..][..length.into()];
        Self { text, before: &bytes[layout.values..layout.text], count, size: layout.size, values: PhantomData }
    }

    #[inline]
    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    #[inline]
    pub(super) fn values(&self) -> Values<'a, V> {
        if self.count == LISTED {
            return Values::List(self.before.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)));
        }
        Values::Inline(<[V]>::ref_from_bytes(self.before).unwrap_or_default())
    }

    /// Bytes of the record.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// Bytes of a record to be.
pub(super) fn size<V: Value>(text: &str, values: Values<'_, V>) -> usize {
    Layout::new::<V>(text.len(), number(values)).size
}

fn number<V>(values: Values<'_, V>) -> u16 {
    match values {
        Values::Inline(values) => values.len() as u16,
        Values::List(_) => LISTED,
    }
}

impl<V: Value> Page<V> {
    pub(super) fn new(bytes: usize) -> Self {
        const { assert!(align_of::<V>() <= align_of::<u128>() && size_of::<V>() > 0) };
        Self(vec![0; bytes.div_ceil(size_of::<u128>())].into(), PhantomData)
    }

    #[inline]
    pub(super) fn record(&self, unit: usize) -> Record<'_, V> {
        Record::new(&self.0.as_bytes()[unit * UNIT..])
    }

    /// Fetches the lines in which a record begins and most end.
    #[inline]
    pub(super) fn prefetch(&self, unit: usize) {
        let bytes = self.0.as_bytes();
        for at in [unit * UNIT, unit * UNIT + USUAL] {
            if let Some(byte) = bytes.get(at) {
                prefetch(byte);
            }
        }
    }

    /// All records, with their places.
    pub(super) fn records(&self) -> impl Iterator<Item = (usize, Record<'_, V>)> {
        let bytes = self.0.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = bytes.get(at..).filter(|rest| matches!(rest, [_, _, c, d, ..] if c | d != 0))?;
            let record = Record::new(rest);
            let unit = at / UNIT;
            at += record.size();
            Some((unit, record))
        })
    }

    /// Writes a record where nothing is.
    pub(super) fn write(&mut self, unit: usize, text: &str, values: Values<'_, V>) {
        let layout = Layout::new::<V>(text.len(), number(values));
        let bytes = &mut Arc::make_mut(&mut self.0).as_mut_bytes()[unit * UNIT..];
        let mut put = |at: usize, from: &[u8]| bytes[at..at + from.len()].copy_from_slice(from);
        put(0, &(text.len() as u16).to_le_bytes());
        put(2, &number(values).to_le_bytes());
        match values {
            Values::Inline(values) => put(layout.values, values.as_bytes()),
            Values::List(list) => put(layout.values, &list.to_le_bytes()),
        }
        put(layout.text, text.as_bytes());
    }

    /// Bytes for records.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}
