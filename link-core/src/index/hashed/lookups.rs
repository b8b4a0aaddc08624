//! Lookups of several hashes side by side.

use arrayvec::ArrayVec;

use super::{Hashed, segment::Home};
use crate::index::leaf::Value;

/// Lookups that wait for memory together: the processor does so for all of them at once.
///
/// ```text
/// push, push, ...            find                                  iter
/// line of each is fetched    which have the tag, and their records   those
/// ```
#[derive(Debug)]
pub(in super::super) struct Lookups<'a, N, const MOST: usize>(ArrayVec<Lookup<'a, N>, MOST>);

#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Lookup<'a, N> {
    pub(in super::super) name: N,
    pub(in super::super) home: Home<'a>,
    /// The places of the tag in the home.
    pub(in super::super) places: u8,
}

/// In place of the places of a tag: they are elsewhere.
const ELSEWHERE: u8 = 1;

impl<'a, N: Copy, const MOST: usize> Lookups<'a, N, MOST> {
    #[inline]
    pub(in super::super) fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    pub(in super::super) fn has_room(&self, lookups: usize) -> bool {
        self.0.remaining_capacity() >= lookups
    }

    /// Adds a lookup, and fetches its line. There must be room.
    #[inline]
    pub(in super::super) fn push(&mut self, name: N, home: Home<'a>) {
        home.prefetch();
        self.0.push(Lookup { name, home, places: 0 });
    }

    pub(in super::super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Drops those for which there is nothing, and fetches the records of the others.
    #[inline]
    pub(in super::super) fn find<V: Value>(&mut self, table: &Hashed<V>) {
        let mut found = 0;
        // No branch depends on whether there is a record: nobody could guess it.
        for at in 0..self.0.len() {
            let Lookup { name, home, .. } = self.0[at];
            let places = if home.is_enough() { home.same() } else { ELSEWHERE };
            self.0[found] = Lookup { name, home, places };
            found += usize::from(places != 0);
        }
        self.0.truncate(found);
        self.0.iter().for_each(|lookup| table.prefetch(&lookup.home, lookup.places));
    }

    /// Those that may have a record.
    #[inline]
    pub(in super::super) fn iter(&self) -> std::slice::Iter<'_, Lookup<'a, N>> {
        self.0.iter()
    }
}
