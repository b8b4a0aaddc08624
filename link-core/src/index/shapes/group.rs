//! Shapes that a topic is asked for together.

use wide::i32x8;

use super::shape::{Parts, Shape};
use crate::index::{
    hashed::{Blooms, hash_of_sum},
    key::{INDEXED, Key},
};

/// So many shapes without `#` of each length, and so many with, are looked up by hash. It bounds what a topic costs.
pub(super) const MOST: usize = u64::BITS as usize;

/// Shapes that a topic is asked for together, each with a bit.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    shapes: Vec<Shape>,
    eights: Vec<Eight>,
    /// Of a topic of so many levels: the shapes that are no longer.
    fitting: [u64; INDEXED + 1],
    /// Those that begin with a wildcard.
    unreserved: u64,
}

/// Eight shapes, whose hashes are computed together.
#[derive(Debug, Clone, Copy)]
struct Eight {
    /// For each level: all bits, or none, of the shapes that have a literal there.
    literal: [[i32; WIDTH]; INDEXED],
    salts: [i32; WIDTH],
}

const WIDTH: usize = 8;
/// Of no shapes.
pub(super) const NO_SHAPES: &Group =
    &Group { shapes: Vec::new(), eights: Vec::new(), fitting: [0; INDEXED + 1], unreserved: 0 };

impl Eight {
    fn new(shapes: &[Shape]) -> Self {
        let lane = |of: &dyn Fn(Shape) -> i32| std::array::from_fn(|at| shapes.get(at).map_or(0, |&shape| of(shape)));
        Self {
            literal: std::array::from_fn(|level| lane(&|shape| -i32::from(shape.is_literal(level)))),
            salts: lane(&|shape| shape.salt().cast_signed()),
        }
    }

    /// What the hash of each of these shapes is made of: see [`Shape::hash`].
    #[inline]
    fn sums(&self, parts: &Parts, levels: usize) -> i32x8 {
        let all = self.literal.iter().zip(parts.iter()).take(levels);
        all.fold(i32x8::new(self.salts), |sums, (literal, part)| sums + (i32x8::splat(part) & i32x8::new(*literal)))
    }
}

impl Group {
    pub(super) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    pub(super) fn number(&self, shape: Shape) -> Option<usize> {
        self.shapes.iter().position(|&other| other == shape)
    }

    pub(super) fn add(&mut self, shape: Shape) {
        self.shapes.push(shape);
        self.prepare();
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.shapes.swap_remove(number);
        if self.shapes.len() < self.shapes.capacity() / 4 {
            self.shapes.shrink_to(self.shapes.len() * 2);
        }
        self.prepare();
    }

    /// Notes what is to be known of each shape.
    fn prepare(&mut self) {
        let all = |is: &dyn Fn(Shape) -> bool| {
            (0..).zip(&self.shapes).filter(|&(_, &shape)| is(shape)).map(|(number, _)| 1 << number).sum()
        };
        self.unreserved = all(&Shape::begins_with_wildcard);
        self.fitting = std::array::from_fn(|levels| all(&|shape| usize::from(shape.levels) <= levels));
        self.eights = self.shapes.chunks(WIDTH).map(Eight::new).collect();
    }

    /// Calls `found` with the number of each shape that may have a filter for a topic, and the hash of that filter.
    #[inline]
    pub(super) fn look_up(&self, filters: Blooms<'_>, key: &Key<'_>, parts: &Parts, mut found: impl FnMut(u8, u64)) {
        let levels = key.indexed();
        let mut sums = [[0; WIDTH]; MOST / WIDTH];
        let mut may_have = 0;
        // No branch depends on whether there is a filter: nobody could guess it.
        for (number, (eight, sums)) in self.eights.iter().zip(&mut sums).enumerate() {
            let eight = eight.sums(parts, levels);
            *sums = eight.to_array();
            may_have |= u64::from(filters.may_have(eight)) << (number * WIDTH);
        }
        may_have &= self.fitting[levels];
        if key.is_reserved() {
            may_have &= !self.unreserved;
        }
        while may_have != 0 {
            let number = may_have.trailing_zeros();
            may_have &= may_have - 1;
            found(number as u8, hash_of_sum(sums.as_flattened()[number as usize].cast_unsigned()));
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.shapes.capacity() * size_of::<Shape>() + self.eights.capacity() * size_of::<Eight>()
    }
}
