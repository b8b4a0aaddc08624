//! Which filters of a block have a literal in some level.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A small hash table for each level in which some filter has a literal.
///
/// They are in the order in which a search asks for the levels, and have their entries one behind the other: 8 bytes
/// each, 0 if unused. A table has open addressing and linear probing, and is never full. With few literals it has a hash
/// function by which no two of them, or as few as possible, have the same place: that a search needs more than one look
/// is what the processor cannot foresee.
#[derive(Debug, Clone, Default)]
pub(super) struct Holders {
    levels: Vec<LevelTable>,
    entries: Vec<u64>,
}

/// Where the entries of a level are, and their hash function.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct LevelTable {
    start: u32,
    places: u32,
    factor: u32,
    level: u32,
}

/// The filters that have a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    None,
    One(usize),
    Two(usize, usize),
    /// Those of a row of the matrix that are not in the row of those to which the level says nothing.
    Row(usize),
}

/// A [`Held`], as it is in a table: the kind in the upper bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed(u32);

const KIND_SHIFT: u32 = 30;
const SLOT_BITS: u32 = 15;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// Of so many literals each gets a place of its own, if possible.
const FEW: usize = 16;
/// So many hash functions are tried for that.
const TRIES: u32 = 64;
const FACTOR: u32 = 0x9E37_79B1;

impl LevelTable {
    #[inline]
    pub(super) fn level(&self) -> usize {
        self.level as usize
    }

    /// The filters that have a literal in this level.
    #[inline]
    pub(super) fn find(&self, entries: &[u64], code: u32) -> Packed {
        let entries = &entries[self.range()];
        Packed(entries[self.place(entries, code)] as u32)
    }

    /// The place of a literal, or that where it would be.
    #[inline]
    fn place(&self, entries: &[u64], code: u32) -> usize {
        let mut at = self.home(code);
        loop {
            let entry = entries[at];
            if code_of(entry) == code || entry == 0 {
                return at;
            }
            at = if at + 1 < entries.len() { at + 1 } else { 0 };
        }
    }

    #[inline]
    fn home(&self, code: u32) -> usize {
        ((u64::from(code.wrapping_mul(self.factor)) * u64::from(self.places)) >> 32) as usize
    }

    #[inline]
    fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.places as usize
    }
}

impl Holders {
    pub(super) fn from_parts(levels: Vec<LevelTable>, entries: Vec<u64>) -> Self {
        Self { levels, entries }
    }

    pub(super) fn levels(&self) -> &[LevelTable] {
        &self.levels
    }

    pub(super) fn entries(&self) -> &[u64] {
        &self.entries
    }

    /// Adds the table of a level that has none.
    pub(super) fn push_level(&mut self, level: usize, held: &[(u32, Held)]) {
        let entries: Vec<u64> = held.iter().map(|&(code, held)| entry(code, held)).collect();
        let (table, entries) = table(level, self.entries.len(), &entries);
        self.levels.push(table);
        self.entries.extend(entries);
    }

    pub(super) fn get(&self, level: usize, code: u32) -> Held {
        self.of_level(level).map_or(Held::None, |table| table.find(&self.entries, code).held())
    }

    /// Sets the holders of a literal; none takes it out.
    pub(super) fn set(&mut self, level: usize, code: u32, held: Held) {
        let Some(at) = self.levels.iter().position(|table| table.level() == level) else {
            if held != Held::None {
                self.push_level(level, &[(code, held)]);
            }
            return;
        };
        let range = self.levels[at].range();
        let entries = &mut self.entries[range.clone()];
        let place = self.levels[at].place(entries, code);
        if entries[place] != 0 && held != Held::None {
            entries[place] = entry(code, held);
            return;
        }
        if entries[place] == 0 && held == Held::None {
            return;
        }
        entries[place] = if held == Held::None { 0 } else { entry(code, held) };
        let left: Vec<u64> = entries.iter().copied().filter(|&entry| entry != 0).collect();
        let level = if left.is_empty() { None } else { Some(table(level, range.start, &left)) };
        let (old, new) = (range.len(), level.as_ref().map_or(0, |(_, entries)| entries.len()));
        self.entries.splice(range, level.iter().flat_map(|(_, entries)| entries.iter().copied()));
        for later in &mut self.levels[at + 1..] {
            later.start = later.start + new as u32 - old as u32;
        }
        match level {
            Some((table, _)) => self.levels[at] = table,
            None => drop(self.levels.remove(at)),
        }
    }

    /// Changes the holders of every literal, which must leave some.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(usize, Held) -> Held) {
        for table in &self.levels {
            for entry in self.entries[table.range()].iter_mut().filter(|entry| **entry != 0) {
                let held = change(table.level(), Packed(*entry as u32).held());
                *entry = *entry >> 32 << 32 | u64::from(held.to_bits());
            }
        }
    }

    fn of_level(&self, level: usize) -> Option<&LevelTable> {
        self.levels.iter().find(|table| table.level() == level)
    }
}

#[inline]
fn entry(code: u32, held: Held) -> u64 {
    u64::from(code) << 32 | u64::from(held.to_bits())
}

#[inline]
fn code_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

/// A table for these entries, with room for one more at least.
fn table(level: usize, start: usize, entries: &[u64]) -> (LevelTable, Vec<u64>) {
    let few = entries.len() <= FEW;
    let places = if few { 2 * entries.len() } else { entries.len() * 4 / 3 };
    let with_factor =
        |factor: u32| LevelTable { start: start as u32, places: places as u32, factor, level: level as u32 };
    let clashes = |table: &LevelTable| {
        let taken = entries.iter().fold(0_u64, |taken, &entry| taken | 1 << (table.home(code_of(entry)) % 64));
        entries.len() - taken.count_ones() as usize
    };
    let mut best = with_factor(FACTOR);
    if few {
        let mut fewest = clashes(&best);
        for table in (1..TRIES).map(|other| with_factor(FACTOR.wrapping_mul(2 * other + 1))) {
            if fewest == 0 {
                break;
            }
            let clashes = clashes(&table);
            if clashes < fewest {
                (best, fewest) = (table, clashes);
            }
        }
    }
    let mut filled = vec![0; places];
    for &entry in entries {
        let place = best.place(&filled, code_of(entry));
        filled[place] = entry;
    }
    (best, filled)
}

impl Held {
    /// `None` if there are more than two, or one is too far behind to be written down in a table.
    pub(super) fn of(slots: &[usize]) -> Option<Self> {
        match *slots {
            [] => Some(Self::None),
            [slot] if slot <= SLOT_MASK as usize => Some(Self::One(slot)),
            [first, second] if first.max(second) <= SLOT_MASK as usize => Some(Self::Two(first, second)),
            _ => None,
        }
    }

    fn to_bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::One(slot) => Self::Two(slot, slot).to_bits(),
            Self::Two(first, second) => 2 << KIND_SHIFT | (second as u32) << SLOT_BITS | first as u32,
            Self::Row(row) => 3 << KIND_SHIFT | row as u32,
        }
    }
}

impl Packed {
    pub(super) fn held(self) -> Held {
        match (self.slots(), self.row()) {
            (Some([one, other]), _) if one == other => Held::One(usize::from(one)),
            (Some([first, second]), _) => Held::Two(usize::from(first), usize::from(second)),
            (None, Some(row)) => Held::Row(row as usize),
            (None, None) => Held::None,
        }
    }

    /// The row, of those with one.
    #[inline]
    pub(super) fn row(self) -> Option<u32> {
        (self.0 >> KIND_SHIFT == 3).then_some(self.0 & ((1 << KIND_SHIFT) - 1))
    }

    /// One column twice, or two columns.
    #[inline]
    pub(super) fn slots(self) -> Option<[u16; 2]> {
        let (first, second) = (self.0 & SLOT_MASK, self.0 >> SLOT_BITS & SLOT_MASK);
        (self.0 >> KIND_SHIFT == 2).then_some([first as u16, second as u16])
    }
}
