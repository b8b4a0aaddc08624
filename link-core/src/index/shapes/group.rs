//! Shapes that a topic is asked for together.

use super::shape::{PLACES, Shape, Sums, finish};
use crate::index::{
    cell::Arc,
    key::{INDEXED, Key},
};

/// So many shapes without `#` of each length, and so many with, are looked up by hash. It bounds what a topic costs.
pub(super) const MOST: usize = u64::BITS as usize;

/// Shapes that a topic is asked for together, each with a bit.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) lives: Vec<Live>,
    /// Of a topic of so many levels: the shapes that are no longer.
    fitting: [u64; INDEXED + 1],
    /// Those that begin with a wildcard.
    unreserved: u64,
    /// For each level and some bits of the hash of a literal: the shapes of which some filter has such a literal there,
    /// and those that have none there. All others need no lookup. What was there once is not forgotten. Shared by the
    /// copies of the table. There is nothing as long as there are few shapes.
    pub(super) seen: Vec<Arc<[u64; BUCKETS]>>,
}

const BUCKETS: usize = 64;
/// So many shapes are looked up without asking whether it is of use.
const SEVERAL: usize = 4;
/// Of no shapes.
pub(super) const NO_SHAPES: &Group =
    &Group { lives: Vec::new(), fitting: [0; INDEXED + 1], unreserved: 0, seen: Vec::new() };

#[inline]
fn bucket(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// A shape, prepared for topics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    pub(super) shape: Shape,
    /// The first two levels that are `+`, or one that never is there.
    first: [u8; 2],
    /// The other ones.
    others: u16,
    salt: u64,
}

impl Live {
    fn new(shape: Shape) -> Self {
        let mut others = shape.plus;
        let first = [(); 2].map(|()| {
            let level = others.trailing_zeros().min(INDEXED as u32);
            others &= others.wrapping_sub(1);
            level as u8
        });
        Self { shape, first, others, salt: shape.salt() }
    }

    /// The hash of the filter of this shape that matches the topic.
    #[inline]
    pub(super) fn hash(&self, sums: &Sums) -> u64 {
        let [first, second] = self.first.map(|level| sums.parts[usize::from(level) % PLACES]);
        let mut sum = sums.sums[usize::from(self.shape.levels) % PLACES].wrapping_sub(first).wrapping_sub(second);
        let mut others = self.others;
        while others != 0 {
            sum = sum.wrapping_sub(sums.parts[others.trailing_zeros() as usize]);
            others &= others - 1;
        }
        finish(sum, self.salt)
    }
}

/// A level of [`Group::seen`] that was touched.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Seen {
    pub(super) shape: Shape,
    pub(super) level: u8,
}

impl Group {
    pub(super) fn number(&self, shape: Shape) -> Option<usize> {
        self.lives.iter().position(|live| live.shape == shape)
    }

    pub(super) fn add(&mut self, shape: Shape) {
        self.lives.push(Live::new(shape));
        self.sort_out();
        if self.lives.len() < SEVERAL {
            return;
        }
        // Of those that were looked up in any case it is not known what they have.
        let levels = self.lives.iter().map(|live| live.shape.levels.into()).max().unwrap_or(0);
        self.seen.resize_with(self.seen.len().max(levels), || Arc::new([u64::MAX; BUCKETS]));
        let bit = 1 << (self.lives.len() - 1);
        for (level, seen) in self.seen.iter_mut().enumerate() {
            let is_literal = shape.is_literal(level);
            Arc::make_mut(seen).iter_mut().for_each(|seen| *seen = if is_literal { *seen & !bit } else { *seen | bit });
        }
    }

    /// Begins to note literals anew, before there are filters.
    pub(super) fn reset(&mut self) {
        for (level, seen) in self.seen.iter_mut().enumerate() {
            let literal = (0..).zip(&self.lives).filter(|(_, live)| live.shape.is_literal(level));
            *seen = Arc::new([!literal.map(|(number, _)| 1 << number).sum::<u64>(); BUCKETS]);
        }
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.lives.swap_remove(number);
        self.sort_out();
        if self.lives.len() < SEVERAL {
            self.seen = Vec::new();
        }
        // The last one has its number now.
        let last = self.lives.len();
        for seen in self.seen.iter_mut().flat_map(|seen| Arc::make_mut(seen).iter_mut()) {
            *seen = *seen & !(1 << number) | (*seen >> last & 1) << number | 1 << last;
        }
        if self.lives.len() < self.lives.capacity() / 4 {
            self.lives.shrink_to(self.lives.len() * 2);
        }
    }

    /// Notes which shapes are for which topics.
    fn sort_out(&mut self) {
        let all = |is: &dyn Fn(Shape) -> bool| {
            (0..).zip(&self.lives).filter(|(_, live)| is(live.shape)).map(|(number, _)| 1 << number).sum()
        };
        self.unreserved = all(&|shape| shape.begins_with_wildcard());
        self.fitting = std::array::from_fn(|levels| all(&|shape| usize::from(shape.levels) <= levels));
    }

    /// Notes the literals of a filter.
    pub(super) fn see(&mut self, shape: Shape, key: &Key<'_>, noted: &mut dyn FnMut(Seen)) {
        let Some(number) = self.number(shape) else { return };
        for (level, seen) in self.seen.iter_mut().enumerate() {
            let Some(hash) = key.literal(level).filter(|_| shape.is_literal(level)) else { continue };
            if seen[bucket(hash)] >> number & 1 == 0 {
                Arc::make_mut(seen)[bucket(hash)] |= 1 << number;
                noted(Seen { shape, level: level as u8 });
            }
        }
    }

    /// The shapes that may have a filter for a topic.
    #[inline]
    pub(super) fn alive(&self, key: &Key<'_>) -> u64 {
        let fitting = self.fitting[key.indexed()];
        let fitting = if key.is_reserved() { fitting & !self.unreserved } else { fitting };
        let levels = self.seen.iter().enumerate().take(key.indexed());
        levels.fold(fitting, |alive, (level, seen)| alive & seen[bucket(key.hash(level))])
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let lists = self.seen.capacity() * size_of::<usize>() + self.lives.capacity() * size_of::<Live>();
        (lists, self.seen.len() * (size_of::<[u64; BUCKETS]>() + 2 * size_of::<usize>()))
    }
}
