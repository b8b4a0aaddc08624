//! Which filters of a block match a topic.

use super::{
    Block, Value,
    bits::{ones, rank},
    deep_row, many_row,
    matrix::start,
};
use crate::{
    index::{dictionary::Codes, key::INDEXED},
    topic::{Levels, matches},
};

impl<V: Value> Block<V> {
    /// Calls `found` with the values of each filter that matches a topic, until it says `false`.
    pub(in crate::index) fn search(&self, codes: &Codes<'_>, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let picked = self.pick(codes);
        match usize::from(self.head().stride) {
            1 => self.search_part::<1>(codes, &picked, 0, found),
            2 => self.search_part::<2>(codes, &picked, 0, found),
            stride => {
                let lines = stride / 8 * 8;
                (0..lines).step_by(8).all(|first| self.search_part::<8>(codes, &picked, first, found))
                    && (lines == stride || self.search_part::<4>(codes, &picked, lines, found))
            }
        }
    }

    /// Which rows a topic takes.
    #[inline]
    fn pick(&self, codes: &Codes<'_>) -> Picked {
        let (head, entries) = (self.head(), self.table_entries());
        let levels = usize::from(head.levels);
        let length = codes.key().levels as usize;
        let mut picked = Picked { rows: [0; INDEXED + 1], len: 1, held: [[0; 2]; INDEXED + 1], several: false };
        picked.rows[0] = (levels + length.min(levels + 1)) as u32;
        // There are no more levels than rows, but the compiler does not know.
        for (table, at) in self.tables().iter().filter(|table| table.level() < length).zip(1..=INDEXED) {
            let level = table.level();
            let held = table.find(entries, codes.get(level));
            picked.len = at + 1;
            picked.rows[at] = held.row().unwrap_or(level as u32);
            if let Some(slots) = held.slots() {
                picked.held[at] = slots.map(|slot| slot + 1);
                picked.several = true;
            }
        }
        picked
    }

    /// Looks into some words of each row.
    #[inline]
    fn search_part<const W: usize>(
        &self,
        codes: &Codes<'_>,
        picked: &Picked,
        first: usize,
        found: &mut impl FnMut(&[V]) -> bool,
    ) -> bool {
        let (head, words) = (self.head(), self.words());
        let (rows, stride) = (&words[head.rows as usize + first..], usize::from(head.stride));
        let row = |row: usize| rows[row * stride..].first_chunk::<W>().unwrap_or(&[0; W]);
        let (key, levels) = (codes.key(), usize::from(head.levels));

        let mut bits = if picked.several {
            and_with(picked, first, row)
        } else {
            picked.rows().iter().fold([u64::MAX; W], |bits, &picked| and(bits, row(picked as usize)))
        };
        if bits.iter().fold(0, |any, bits| any | bits) == 0 {
            return true;
        }
        if key.is_reserved() {
            // What says nothing to the first level begins with a wildcard.
            let any = if levels > 0 { *row(0) } else { [u64::MAX; W] };
            for (bits, any) in bits.iter_mut().zip(any) {
                *bits &= !any;
            }
        }
        if head.deep != 0 {
            for (word, bits) in bits.iter_mut().enumerate() {
                let deep = *bits & row(deep_row(levels))[word];
                for slot in ones(&[deep]).map(|bit| (first + word) * 64 + bit) {
                    if !matches(Levels::new(self.text(slot)), Levels::new(key.text)) {
                        *bits &= !(1 << (slot % 64));
                    }
                }
            }
        }
        let mut many = *row(many_row(levels));
        let mut any = 0;
        for word in 0..W {
            many[word] &= bits[word];
            bits[word] &= !many[word];
            any |= many[word];
        }
        if any != 0 && !self.hand_out_many(&many, first * 64, found) {
            return false;
        }
        self.hand_out(&bits, first * 64, found)
    }

    /// Calls `found` with the values of each filter whose bit is set. They have many.
    #[inline(never)]
    fn hand_out_many(&self, words: &[u64], first: usize, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let (all, ends) = (self.many_bits(), self.many_ends());
        let mut before = rank(all, first);
        for (&all, &bits) in all[first / 64..].iter().zip(words) {
            let mut bits = bits;
            while bits != 0 {
                let at = before + (all & (bits - 1) & !bits).count_ones() as usize;
                bits &= bits - 1;
                let (start, end) = (start(ends, at), ends[at] as usize);
                if !found(&self.values_at(self.head().many, end)[start..]) {
                    return false;
                }
            }
            before += all.count_ones() as usize;
        }
        true
    }

    /// Calls `found` with the values of the filters whose bits are set, and have few.
    #[inline]
    fn hand_out(&self, words: &[u64], first: usize, found: &mut impl FnMut(&[V]) -> bool) -> bool {
        let values = self.column_values().get(first..).unwrap_or_default();
        let mut slots = [0; SLOTS];
        let mut len = 0;
        for (word, &bits) in words.iter().enumerate() {
            len = write_down(bits, (word * 64) as u16, &mut slots, len);
            if len > SLOTS - 64 - AT_ONCE {
                if !hand_out_slots(values, &slots[..len], found) {
                    return false;
                }
                len = 0;
            }
        }
        hand_out_slots(values, &slots[..len], found)
    }
}

/// Calls `found` with the values in some places, several at a time.
#[inline]
fn hand_out_slots<V: Copy>(values: &[V], slots: &[u16], found: &mut impl FnMut(&[V]) -> bool) -> bool {
    let (groups, rest) = slots.as_chunks::<8>();
    let all = groups.iter().all(|group| found(&group.map(|slot| values[usize::from(slot)])));
    if !all || rest.is_empty() {
        return all;
    }
    let last: [V; 8] = std::array::from_fn(|at| values[rest.get(at).map_or(0, |&slot| usize::from(slot))]);
    found(&last[..rest.len()])
}

/// The rows of a block that a topic takes.
struct Picked {
    rows: [u32; INDEXED + 1],
    len: usize,
    /// For each of them, columns that are to be taken as if they were in it: 1 more than their place, 0 for none.
    held: [[u16; 2]; INDEXED + 1],
    /// Whether there are such.
    several: bool,
}

impl Picked {
    #[inline]
    fn rows(&self) -> &[u32] {
        &self.rows[..self.len.min(self.rows.len())]
    }
}

#[inline]
fn and<const W: usize>(bits: [u64; W], row: &[u64; W]) -> [u64; W] {
    std::array::from_fn(|word| bits[word] & row[word])
}

/// AND of rows, to some of which filters are added.
#[inline]
fn and_with<'r, const W: usize>(picked: &Picked, first: usize, row: impl Fn(usize) -> &'r [u64; W]) -> [u64; W] {
    let mut bits = [u64::MAX; W];
    for (&picked_row, held) in picked.rows().iter().zip(picked.held) {
        let before = bits;
        bits = and(bits, row(picked_row as usize));
        for slot in held.into_iter().filter(|&slot| slot > 0).map(|slot| usize::from(slot) - 1) {
            let word = (slot / 64).wrapping_sub(first);
            if let Some(bits) = bits.get_mut(word) {
                *bits |= before[word] & 1 << (slot % 64);
            }
        }
    }
    bits
}

const SLOTS: usize = 128 + AT_ONCE;
/// So many places are written down at once: how many there are can't be foreseen, and a branch on it would cost more.
const AT_ONCE: usize = 4;

/// Writes the places of bits behind the first `len` slots. How many there are then.
#[inline]
fn write_down(mut bits: u64, first: u16, slots: &mut [u16; SLOTS], mut len: usize) -> usize {
    loop {
        let Some(next) = slots[len.min(SLOTS)..].first_chunk_mut::<AT_ONCE>() else { return len };
        let mut count = 0;
        for slot in next {
            *slot = first + bits.trailing_zeros() as u16;
            count += usize::from(bits != 0);
            bits &= bits.wrapping_sub(1);
        }
        len += count;
        if bits == 0 {
            return len;
        }
    }
}
