/// Which filters of a block have a literal in some level.
///
/// A hash table with open addressing and linear probing: 8 bytes an entry, 0 if unused, never full.
#[derive(Debug, Clone)]
pub(super) struct HolderTable {
    entries: Vec<u64>,
    used: usize,
}

/// The filters that have a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holders {
    None,
    One(usize),
    Two(usize, usize),
    /// Those of a row of the matrix that are not in the row of those to which the level says nothing.
    Row(usize),
}

/// A literal and the level that it is in: 36 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(u64);

impl Tag {
    #[inline]
    pub(super) fn new(level: usize, code: u32) -> Self {
        Self(u64::from(code) << 4 | level as u64)
    }

    pub(super) fn level(self) -> usize {
        (self.0 & 15) as usize
    }

    #[inline]
    fn home(self, mask: usize) -> usize {
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & mask
    }

    #[inline]
    fn of(entry: u64) -> Self {
        Self(entry >> HOLDER_BITS)
    }
}

const HOLDER_BITS: u32 = 28;
const KIND_SHIFT: u32 = 26;
const SLOT_BITS: u32 = 13;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

/// Finds a literal in the entries of a table.
#[inline]
pub(super) fn find(entries: &[u64], tag: Tag) -> Holders {
    let mask = entries.len() - 1;
    let mut at = tag.home(mask);
    loop {
        let entry = entries[at];
        if entry == 0 || Tag::of(entry) == tag {
            return Holders::of_entry(entry);
        }
        at = (at + 1) & mask;
    }
}

impl HolderTable {
    /// With room for so many literals.
    pub(super) fn with_capacity(literals: usize) -> Self {
        Self { entries: vec![0; places(literals)], used: 0 }
    }

    pub(super) fn from_entries(entries: Vec<u64>) -> Self {
        let used = entries.iter().filter(|&&entry| entry != 0).count();
        Self { entries, used }
    }

    pub(super) fn entries(&self) -> &[u64] {
        &self.entries
    }

    pub(super) fn get(&self, tag: Tag) -> Holders {
        find(&self.entries, tag)
    }

    /// Sets the holders of a literal; none takes it out.
    pub(super) fn set(&mut self, tag: Tag, holders: Holders) {
        if holders == Holders::None {
            return self.remove(tag);
        }
        if places(self.used + 1) > self.entries.len() {
            let grown = Self { entries: vec![0; places(self.used + 1)], used: 0 };
            for entry in std::mem::replace(self, grown).entries.into_iter().filter(|&entry| entry != 0) {
                self.put(entry);
            }
        }
        self.put(tag.0 << HOLDER_BITS | holders.to_bits());
    }

    /// Changes the holders of every literal, which must leave some.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(Tag, Holders) -> Holders) {
        for entry in self.entries.iter_mut().filter(|entry| **entry != 0) {
            let holders = change(Tag::of(*entry), Holders::of_entry(*entry));
            *entry = *entry >> HOLDER_BITS << HOLDER_BITS | holders.to_bits();
        }
    }

    fn put(&mut self, new: u64) {
        let tag = Tag::of(new);
        let mask = self.entries.len() - 1;
        let mut at = tag.home(mask);
        while self.entries[at] != 0 && Tag::of(self.entries[at]) != tag {
            at = (at + 1) & mask;
        }
        self.used += usize::from(self.entries[at] == 0);
        self.entries[at] = new;
    }

    fn remove(&mut self, tag: Tag) {
        let mask = self.entries.len() - 1;
        let mut hole = tag.home(mask);
        while Tag::of(self.entries[hole]) != tag || self.entries[hole] == 0 {
            if self.entries[hole] == 0 {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.used -= 1;
        // What would be found no more moves up.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry == 0 {
                break;
            }
            let home = Tag::of(entry).home(mask);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = 0;
    }
}

/// Places of a table for so many literals: at most three quarters are used.
fn places(literals: usize) -> usize {
    (literals + literals / 3 + 1).next_power_of_two()
}

impl Holders {
    /// `None` if there are more than two, or one is too far behind to be written down in the table.
    pub(super) fn of(slots: &[usize]) -> Option<Self> {
        match *slots {
            [] => Some(Self::None),
            [slot] if slot <= SLOT_MASK => Some(Self::One(slot)),
            [first, second] if first.max(second) <= SLOT_MASK => Some(Self::Two(first, second)),
            _ => None,
        }
    }

    #[inline]
    fn of_entry(entry: u64) -> Self {
        let payload = (entry & ((1 << KIND_SHIFT) - 1)) as usize;
        match entry >> KIND_SHIFT & 3 {
            0 => Self::None,
            1 => Self::One(payload),
            2 => Self::Two(payload & SLOT_MASK, payload >> SLOT_BITS),
            _ => Self::Row(payload),
        }
    }

    fn to_bits(self) -> u64 {
        match self {
            Self::None => 0,
            Self::One(slot) => 1 << KIND_SHIFT | slot as u64,
            Self::Two(first, second) => 2 << KIND_SHIFT | (second as u64) << SLOT_BITS | first as u64,
            Self::Row(row) => 3 << KIND_SHIFT | row as u64,
        }
    }
}
