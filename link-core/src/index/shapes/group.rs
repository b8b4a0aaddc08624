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
    /// Of eight shapes after the other, whose hashes are computed together: what is added for each shape, and then for
    /// each level all bits, or none, of the shapes that have a literal there.
    lanes: Vec<[i32; WIDTH]>,
    /// Levels of the longest shape.
    levels: usize,
    /// Of a topic of so many levels: the shapes that are no longer.
    fitting: [u64; INDEXED + 1],
    /// Those that begin with a wildcard.
    unreserved: u64,
}

const WIDTH: usize = 8;
/// Of no shapes.
pub(super) const NO_SHAPES: &Group =
    &Group { shapes: Vec::new(), lanes: Vec::new(), levels: 0, fitting: [0; INDEXED + 1], unreserved: 0 };

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
        self.levels = self.shapes.iter().map(|shape| shape.levels.into()).max().unwrap_or(0);
        self.lanes = self.shapes.chunks(WIDTH).flat_map(|shapes| lanes(shapes, self.levels)).collect();
    }

    /// Calls `found` with the number of each shape that may have a filter for a topic, and the hash of that filter.
    #[inline]
    pub(super) fn look_up(&self, filters: Blooms<'_>, key: &Key<'_>, parts: &Parts, mut found: impl FnMut(u8, u64)) {
        let levels = key.indexed();
        let mut sums = [[0; WIDTH]; MOST / WIDTH];
        let mut may_have = 0;
        // No branch depends on whether there is a filter: nobody could guess it.
        for (number, (lanes, sums)) in self.lanes.chunks_exact(self.levels + 1).zip(&mut sums).enumerate() {
            let [salts, literal @ ..] = lanes else { continue };
            let all = literal.iter().zip(parts.iter());
            let all = all
                .fold(i32x8::new(*salts), |sums, (literal, part)| sums + (i32x8::splat(part) & i32x8::new(*literal)));
            *sums = all.to_array();
            may_have |= u64::from(filters.may_have(all)) << (number * WIDTH);
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
        self.shapes.capacity() * size_of::<Shape>() + self.lanes.capacity() * size_of::<[i32; WIDTH]>()
    }
}

/// See [`Group::lanes`].
fn lanes(shapes: &[Shape], levels: usize) -> impl Iterator<Item = [i32; WIDTH]> {
    let lanes = |of: &dyn Fn(Shape) -> i32| std::array::from_fn(|at| shapes.get(at).map_or(0, |&shape| of(shape)));
    let literal = (0..levels).map(move |level| lanes(&|shape| -i32::from(shape.is_literal(level))));
    std::iter::once(lanes(&|shape| shape.salt().cast_signed())).chain(literal)
}
