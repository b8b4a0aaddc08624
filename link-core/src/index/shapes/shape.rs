//! Where a filter has wildcards.

use crate::index::{
    hashed::{hash_of_sum, same},
    key::{INDEXED, Key},
};

/// Where a filter has wildcards, and how long it is. Of all filters of a shape at most one matches a topic, and the
/// hash of that one follows from the topic: it is made of the levels that are not `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Shape {
    /// Levels, without the `#`.
    pub(super) levels: u8,
    /// Whether there is a `#` behind them.
    pub(super) open: bool,
    /// A bit for each level that is `+`.
    pub(super) plus: u16,
}

impl Shape {
    /// `None` for a filter that has more levels than are indexed.
    pub(in super::super) fn of(key: &Key<'_>) -> Option<Self> {
        let levels = u8::try_from(key.levels).ok().filter(|&levels| usize::from(levels) <= INDEXED)?;
        let plus = (0..levels).filter(|&level| key.literal(level.into()).is_none()).map(|level| 1 << level).sum();
        Some(Self { levels, open: key.open, plus })
    }

    /// The hash of a filter of this shape, or of the one that matches a topic: the sum of its literals, each of which
    /// looks random, as the seed is secret, and of something for the shape.
    pub(in super::super) fn hash(self, key: &Key<'_>) -> u64 {
        let parts = Parts::of(key);
        let literals = parts.0.iter().enumerate().filter(|&(level, _)| self.is_literal(level));
        hash_of_sum(literals.fold(self.salt(), |sum, (_, part)| sum.wrapping_add(*part)))
    }

    /// Whether its filters have a literal in a level.
    pub(in super::super) fn is_literal(self, level: usize) -> bool {
        level < usize::from(self.levels) && self.plus >> level & 1 == 0
    }

    /// What stands for the shape in the hash of its filters.
    pub(super) fn salt(self) -> u32 {
        let number = u64::from(self.plus) << 8 | u64::from(self.levels) << 1 | u64::from(self.open);
        ((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    /// Whether a wildcard in the first level keeps it from topics that begin with `$`.
    #[inline]
    pub(super) fn begins_with_wildcard(self) -> bool {
        self.plus & 1 != 0 || (self.open && self.levels == 0)
    }

    /// Whether `text` is the filter of this shape that matches the topic of a key, which is long enough.
    #[inline]
    pub(in super::super) fn matches(self, text: &[u8], key: &Key<'_>) -> bool {
        let topic = key.text.as_bytes();
        let (mut rest, mut level, mut plus) = (text, 0, self.plus);
        while plus != 0 {
            let at = plus.trailing_zeros() as usize;
            plus &= plus - 1;
            let run = &topic[key.start(level)..key.start(at)];
            let Some((head, tail)) = rest.split_at_checked(run.len()) else { return false };
            let Some((b'+', tail)) = tail.split_first() else { return false };
            if !same(head, run) {
                return false;
            }
            level = at + 1;
            rest = match tail {
                [b'/', tail @ ..] => tail,
                tail => return level == usize::from(self.levels) && !self.open && tail.is_empty(),
            };
        }
        if self.open {
            let Some((b'#', head)) = rest.split_last() else { return false };
            if level == usize::from(self.levels) {
                return head.is_empty();
            }
            let Some((b'/', head)) = head.split_last() else { return false };
            return same(head, &topic[key.start(level)..key.start(self.levels.into()) - 1]);
        }
        level < usize::from(self.levels) && same(rest, &topic[key.start(level)..])
    }
}

/// What each level adds to the hash of a filter; nothing for `+`, and where there is none.
pub(super) struct Parts([u32; INDEXED]);

impl Parts {
    #[inline]
    pub(super) fn of(key: &Key<'_>) -> Self {
        let mut parts = [0; INDEXED];
        for (level, part) in parts.iter_mut().enumerate().take(key.indexed()) {
            // The same text adds something else in each level.
            *part = (key.hash(level).rotate_left(level as u32 * 3) >> 32) as u32;
        }
        Self(parts)
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = i32> {
        self.0.iter().map(|part| part.cast_signed())
    }
}
