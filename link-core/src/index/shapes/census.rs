//! Which shapes are worth a lookup.

use std::collections::BTreeMap;

use super::{Shapes, group::MOST, shape::Shape};
use crate::index::key::INDEXED;

/// How many pairs there are of each shape. Only the writer needs it.
#[derive(Debug, Default)]
pub(in super::super) struct Census {
    pairs: BTreeMap<Shape, usize>,
    /// By length, without `#` and with.
    lengths: [[Length; INDEXED + 1]; 2],
}

/// All shapes of one length.
#[derive(Debug, Default, Clone, Copy)]
struct Length {
    shapes: usize,
    pairs: usize,
}

/// So many pairs of a shape are worth one more hash that is looked up, also if there are other shapes.
const WORTH: usize = 4;
/// Of a length that has more shapes than that, only those with more than an equal part of the pairs are worth it.
const FEW: usize = 64;

impl Census {
    /// Decides which shapes of an empty table are looked up by hash.
    pub(in super::super) fn choose(&mut self, shapes: &mut Shapes, all: impl Iterator<Item = (Shape, usize)>) {
        for (shape, pairs) in all {
            self.count(shape, pairs);
        }
        let mut order: Vec<_> = self.pairs.iter().map(|(&shape, &pairs)| (pairs, shape)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        for (_, shape) in order {
            if self.is_worth(shapes, shape) {
                shapes.group_mut(shape).add(shape);
            }
        }
    }

    /// Counts a pair that comes. Whether its shape is looked up by hash from now on, and was not.
    pub(in super::super) fn add(&mut self, shapes: &mut Shapes, shape: Shape) -> bool {
        self.count(shape, 1);
        let turns = !shapes.contains(shape) && self.is_worth(shapes, shape);
        if turns {
            shapes.group_mut(shape).add(shape);
        }
        turns
    }

    /// Counts a pair that goes. Whether its shape is no longer looked up, for it was the last one.
    pub(in super::super) fn remove(&mut self, shapes: &mut Shapes, shape: Shape) -> bool {
        let Some(pairs) = self.pairs.get_mut(&shape) else { return false };
        *pairs -= 1;
        let is_last = *pairs == 0;
        let length = &mut self.lengths[usize::from(shape.open)][usize::from(shape.levels)];
        length.pairs -= 1;
        length.shapes -= usize::from(is_last);
        if is_last {
            self.pairs.remove(&shape);
        }
        let number = shapes.group(shape).number(shape).filter(|_| is_last);
        if let Some(number) = number {
            shapes.group_mut(shape).remove(number);
        }
        number.is_some()
    }

    /// Pairs of a shape.
    pub(in super::super) fn pairs(&self, shape: Shape) -> usize {
        self.pairs.get(&shape).copied().unwrap_or_default()
    }

    fn count(&mut self, shape: Shape, pairs: usize) {
        let of_shape = self.pairs.entry(shape).or_default();
        let length = &mut self.lengths[usize::from(shape.open)][usize::from(shape.levels)];
        length.shapes += usize::from(*of_shape == 0);
        length.pairs += pairs;
        *of_shape += pairs;
    }

    fn is_worth(&self, shapes: &Shapes, shape: Shape) -> bool {
        let (pairs, others) = (self.pairs(shape), shapes.group(shape).shapes().len());
        let length = self.lengths[usize::from(shape.open)][usize::from(shape.levels)];
        others < MOST && pairs >= others.clamp(1, WORTH) && (length.shapes <= FEW || pairs > length.pairs / FEW)
    }

    /// Bytes on the heap, about.
    pub(in super::super) fn heap(&self) -> usize {
        self.pairs.len() * size_of::<(Shape, usize)>() * 3 / 2
    }
}
