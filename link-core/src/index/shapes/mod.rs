//! Filters with wildcards told apart by where the wildcards are.

mod census;
mod group;
mod shape;

pub(super) use self::{census::Census, shape::Shape};
use self::{
    group::{Group, NO_SHAPES},
    shape::Parts,
};
use super::{
    hashed::{Hashed, Home},
    key::{INDEXED, Key},
    leaf::Value,
};

/// The shapes whose filters are looked up by hash.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    /// Those without `#`, by their number of levels.
    closed: Vec<Group>,
    /// Those with `#`.
    open: Group,
}

/// A shape that a topic is looked up by.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByShape {
    open: bool,
    levels: u8,
    number: u8,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self { closed: Vec::new(), open: Group::default() }
    }

    fn group(&self, shape: Shape) -> &Group {
        if shape.open { &self.open } else { self.closed.get(usize::from(shape.levels)).unwrap_or(NO_SHAPES) }
    }

    fn group_mut(&mut self, shape: Shape) -> &mut Group {
        if shape.open {
            return &mut self.open;
        }
        let levels = usize::from(shape.levels);
        if self.closed.len() <= levels {
            self.closed.resize_with(levels + 1, Group::default);
        }
        &mut self.closed[levels]
    }

    pub(super) fn contains(&self, shape: Shape) -> bool {
        self.group(shape).number(shape).is_some()
    }

    /// Takes over all shapes that are looked up together with one.
    pub(super) fn follow(&mut self, newest: &Self, shape: Shape) {
        self.group_mut(shape).clone_from(newest.group(shape));
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        let groups = self.closed.iter().chain([&self.open]).map(Group::heap);
        self.closed.capacity() * size_of::<Group>() + groups.sum::<usize>()
    }

    #[inline]
    pub(super) fn shape(&self, by: ByShape) -> Shape {
        let group = if by.open { &self.open } else { self.closed.get(usize::from(by.levels)).unwrap_or(NO_SHAPES) };
        group.shapes()[usize::from(by.number)]
    }

    /// Calls `found` with where to look for the filters of these shapes that match a topic, if there may be any.
    #[inline]
    pub(super) fn look_up<'a, V: Value>(
        &self,
        filters: &'a Hashed<V>,
        key: &Key<'_>,
        mut found: impl FnMut(ByShape, Home<'a>),
    ) {
        let (parts, blooms) = (Parts::of(key), filters.blooms());
        let closed = self.closed.get(key.levels as usize);
        for group in closed.into_iter().chain([&self.open]) {
            let (open, levels) = (std::ptr::eq(group, &self.open), key.levels as u8);
            group.look_up(blooms, key, &parts, |number, hash| {
                found(ByShape { open, levels, number }, filters.home(hash));
            });
        }
    }

    /// The shapes of which one filter at most covers a given one, with the hash of that filter.
    pub(super) fn covering(&self, key: &Key<'_>) -> impl Iterator<Item = (Shape, u64)> {
        let levels = key.levels as usize;
        let closed = self.closed.get(levels).filter(|_| !key.open);
        let all = closed.into_iter().chain([&self.open]).flat_map(|group| group.shapes());
        // Where the given one has a wildcard or has ended, a filter that covers it has no literal.
        let fits = move |&&shape: &&Shape| {
            usize::from(shape.levels) <= levels
                && (0..INDEXED).all(|level| !shape.is_literal(level) || key.literal(level).is_some())
        };
        all.filter(fits).map(move |&shape| (shape, shape.hash(key)))
    }
}
