//! The literals of the filters with wildcards, coded.

use std::{cell::Cell, collections::BTreeMap};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{
    hashed::{Edit, Hashed, Space, Step},
    key::{Hasher, INDEXED, Key},
};

/// Codes for literals: filters are compared by them, so that a literal is compared as text once per topic.
#[derive(Debug, Clone)]
pub(super) struct Dictionary {
    pub(super) hasher: Hasher,
    pub(super) literals: Hashed<u32>,
}

/// The code of no literal.
pub(super) const UNKNOWN: u32 = u32::MAX;

impl Dictionary {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: Hasher::new(seed), literals: Hashed::new() }
    }

    /// The code of an indexed level.
    #[inline]
    pub(super) fn code(&self, key: &Key<'_>, level: usize) -> u32 {
        self.literals.first(key.hash(level), key.level(level)).unwrap_or(UNKNOWN)
    }
}

/// The numbers of the levels of one topic, each looked up when it is asked for.
pub(super) struct Codes<'a> {
    dictionary: &'a Dictionary,
    key: &'a Key<'a>,
    known: [Cell<u32>; INDEXED],
}

const NOT_ASKED: u32 = UNKNOWN - 1;

impl<'a> Codes<'a> {
    #[inline]
    pub(super) fn new(dictionary: &'a Dictionary, key: &'a Key<'a>) -> Self {
        Self { dictionary, key, known: [const { Cell::new(NOT_ASKED) }; INDEXED] }
    }

    #[inline]
    pub(super) fn get(&self, level: usize) -> u32 {
        let known = self.known[level].get();
        if known != NOT_ASKED {
            return known;
        }
        let code = self.dictionary.code(self.key, level);
        self.known[level].set(code);
        code
    }

    #[inline]
    pub(super) fn key(&self) -> &'a Key<'a> {
        self.key
    }
}

/// How many filters have each literal. Only the writer needs it.
#[derive(Debug)]
pub(super) struct Uses {
    /// Of the codes that are used.
    uses: HashMap<u32, u32, FixedState>,
    free: FreeCodes,
    space: Space,
}

impl Uses {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            uses: HashMap::with_hasher(FixedState::with_seed(seed)),
            free: FreeCodes::default(),
            space: Space::default(),
        }
    }

    /// Counts the literals of a filter that comes, and gives codes to those that are new.
    pub(super) fn take(&mut self, dictionary: &mut Dictionary, key: &Key<'_>, touched: &mut dyn FnMut(Step)) {
        for level in (0..key.indexed()).filter(|&level| key.literal(level).is_some()) {
            let code = match dictionary.code(key, level) {
                UNKNOWN => {
                    let code = self.free.take();
                    let Dictionary { hasher, literals } = dictionary;
                    let hash_of = &|text: &str| hasher.text(text);
                    let mut edit = Edit::new(literals, &mut self.space, hash_of, touched);
                    edit.insert(key.hash(level), key.level_text(level), code);
                    code
                }
                code => code,
            };
            *self.uses.entry(code).or_default() += 1;
        }
    }

    /// Counts the literals of a filter that goes, and forgets those that no other one has.
    pub(super) fn give(&mut self, dictionary: &mut Dictionary, key: &Key<'_>, touched: &mut dyn FnMut(Step)) {
        for level in (0..key.indexed()).filter(|&level| key.literal(level).is_some()) {
            let code = dictionary.code(key, level);
            let Some(uses) = self.uses.get_mut(&code) else { continue };
            *uses -= 1;
            if *uses == 0 {
                self.uses.remove(&code);
                let Dictionary { hasher, literals } = dictionary;
                let hash_of = &|text: &str| hasher.text(text);
                let mut edit = Edit::new(literals, &mut self.space, hash_of, touched);
                edit.remove(key.hash(level), key.level_text(level), &code);
                self.free.give(code);
            }
        }
        if self.uses.len() < self.uses.capacity() / 4 {
            self.uses.shrink_to(self.uses.len() * 2);
        }
    }

    pub(super) fn heap(&self) -> usize {
        let free = self.free.runs.len() * 2 * size_of::<(u32, u32)>();
        self.uses.allocation_size() + free + self.space.heap()
    }
}

/// The codes that are not used: in runs, of which there are no more than codes that are used, and one.
#[derive(Debug, Default)]
struct FreeCodes {
    /// By its first code the end of each run. None of them touches another one, or `next`.
    runs: BTreeMap<u32, u32>,
    /// All from here on are free.
    next: u32,
}

impl FreeCodes {
    fn take(&mut self) -> u32 {
        let Some((code, end)) = self.runs.pop_first() else {
            self.next += 1;
            return self.next - 1;
        };
        if code + 1 < end {
            self.runs.insert(code + 1, end);
        }
        code
    }

    fn give(&mut self, code: u32) {
        let end = self.runs.remove(&(code + 1)).unwrap_or(code + 1);
        let before = self.runs.range(..code).next_back().filter(|&(_, &end)| end == code);
        let start = before.map_or(code, |(&start, _)| start);
        if end == self.next {
            self.runs.remove(&start);
            self.next = start;
        } else {
            self.runs.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_codes_are_used_again_and_run_together() {
        let mut free = FreeCodes::default();
        assert_eq!((0..6).map(|_| free.take()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        for code in [1, 3, 2] {
            free.give(code);
        }
        assert_eq!(free.runs, BTreeMap::from([(1, 4)]));
        assert_eq!([free.take(), free.take()], [1, 2]);
        for code in [5, 4] {
            free.give(code);
        }
        assert_eq!((free.runs.len(), free.next), (0, 3));
        assert_eq!(free.take(), 3);
    }
}
