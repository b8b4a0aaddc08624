//! The literals of the filters with wildcards, coded.

use std::cell::Cell;

use super::{
    grow::Editor,
    key::{Hasher, INDEXED, Key},
    page::Page,
    tree::{Step, Tree},
};

/// Codes for literals: filters are compared by them, so that a literal is compared as text once per topic.
#[derive(Debug, Clone)]
pub(super) struct Dictionary {
    pub(super) hasher: Hasher,
    pub(super) tree: Tree<Page<u32, true>>,
}

/// The code of no literal.
pub(super) const UNKNOWN: u32 = u32::MAX;

impl Dictionary {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: Hasher::new(seed), tree: Tree::new() }
    }

    /// The code of an indexed level.
    #[inline]
    pub(super) fn code(&self, key: &Key<'_>, level: usize) -> u32 {
        let whole = key.hash(level);
        let code = self.tree.find_text(whole).and_then(|page| page.find(whole, key.level(level)));
        code.and_then(|code| code.first().copied()).unwrap_or(UNKNOWN)
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
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// By code; 0: the code is free.
    uses: Vec<u32>,
    free: Vec<u32>,
}

impl Uses {
    /// Counts the literals of a filter that comes, and numbers those that are new.
    pub(super) fn take(&mut self, dictionary: &mut Dictionary, key: &Key<'_>, touched: &mut dyn FnMut(Step)) {
        for level in (0..key.indexed()).filter(|&level| key.literal(level).is_some()) {
            let code = match dictionary.code(key, level) {
                UNKNOWN => {
                    let code = self.free.pop().unwrap_or(self.uses.len() as u32);
                    if code as usize == self.uses.len() {
                        self.uses.push(0);
                    }
                    let Dictionary { hasher, tree } = dictionary;
                    Editor { tree, context: hasher, touched }.insert(&hasher.level(key.level_text(level)), code);
                    code
                }
                code => code,
            };
            self.uses[code as usize] += 1;
        }
    }

    /// Counts the literals of a filter that goes, and forgets those that no other one has.
    pub(super) fn give(&mut self, dictionary: &mut Dictionary, key: &Key<'_>, touched: &mut dyn FnMut(Step)) {
        for level in (0..key.indexed()).filter(|&level| key.literal(level).is_some()) {
            let code = dictionary.code(key, level);
            let Some(uses) = self.uses.get_mut(code as usize) else { continue };
            *uses -= 1;
            if *uses == 0 {
                let Dictionary { hasher, tree } = dictionary;
                Editor { tree, context: hasher, touched }.remove(&hasher.level(key.level_text(level)), &code);
                self.free.push(code);
            }
        }
        if self.free.len() == self.uses.len() {
            *self = Self::default();
        }
    }

    pub(super) fn heap(&self) -> usize {
        (self.uses.capacity() + self.free.capacity()) * size_of::<u32>()
    }
}
