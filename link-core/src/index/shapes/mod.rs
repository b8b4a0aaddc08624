//! Filters with wildcards told apart by where the wildcards are.

mod census;
mod group;
mod shape;

pub(super) use self::{census::Census, group::Seen, shape::Shape};
use self::{
    group::{Group, Live, MOST, NO_SHAPES},
    shape::Sums,
};
use super::{
    cell::Arc,
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

/// The bits of a hash that are not used, in which its shape is noted.
const NUMBER: u64 = MOST as u64 - 1;

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

    /// Notes the literals of a filter that is added, and tells what was noted.
    pub(super) fn see(&mut self, shape: Shape, key: &Key<'_>, noted: &mut dyn FnMut(Seen)) {
        self.group_mut(shape).see(shape, key, noted);
    }

    /// Takes over all shapes that are looked up together with one.
    pub(super) fn follow(&mut self, newest: &Self, shape: Shape) {
        self.group_mut(shape).clone_from(newest.group(shape));
    }

    /// Takes over what was noted of a level.
    pub(super) fn follow_seen(&mut self, newest: &Self, Seen { shape, level }: Seen) {
        let (own, new) = (self.group_mut(shape), newest.group(shape));
        // They differ in more if shapes came or went since; then all of it is taken over as well.
        if let (Some(own), Some(new)) = (own.seen.get_mut(usize::from(level)), new.seen.get(usize::from(level))) {
            *own = Arc::clone(new);
        }
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let groups = (self.closed.capacity() * size_of::<Group>(), 0);
        let parts = self.closed.iter().chain([&self.open]).map(Group::heap);
        parts.fold(groups, |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    #[inline]
    pub(super) fn shape(&self, by: ByShape) -> Shape {
        let group = if by.open { &self.open } else { self.closed.get(usize::from(by.levels)).unwrap_or(NO_SHAPES) };
        group.lives[usize::from(by.number)].shape
    }

    /// Calls `found` with where to look for the filters of these shapes that match a topic, if there may be any.
    #[inline]
    pub(super) fn look_up<'a, V: Value>(
        &self,
        filters: &'a Hashed<V>,
        key: &Key<'_>,
        mut found: impl FnMut(ByShape, Home<'a>),
    ) {
        let sums = Sums::of(key);
        let mut may_have = [0_u64; MOST];
        let closed = self.closed.get(key.levels as usize);
        for group in closed.into_iter().chain([&self.open]) {
            let mut alive = group.alive(key);
            let mut len = 0;
            // No branch depends on whether there is a filter: nobody could guess it.
            while alive != 0 {
                let number = alive.trailing_zeros();
                alive &= alive - 1;
                let hash = group.lives[number as usize].hash(&sums);
                may_have[len % MOST] = hash & !NUMBER | u64::from(number);
                len += usize::from(filters.may_have(hash));
            }
            let (open, levels) = (std::ptr::eq(group, &self.open), key.levels as u8);
            for &hash in &may_have[..len.min(MOST)] {
                let number = (hash & NUMBER) as u8;
                found(ByShape { open, levels, number }, filters.home(hash));
            }
        }
    }

    /// The shapes of which one filter at most covers a given one, with the hash of that filter.
    pub(super) fn covering(&self, key: &Key<'_>) -> impl Iterator<Item = (Shape, u64)> {
        let sums = Sums::of(key);
        let levels = key.levels as usize;
        let closed = self.closed.get(levels).filter(|_| !key.open);
        let all = closed.into_iter().chain([&self.open]).flat_map(|group| &group.lives);
        // Where the given one has a wildcard or has ended, a filter that covers it has no literal.
        let fits = move |live: &&Live| {
            let shape = live.shape;
            usize::from(shape.levels) <= levels
                && (0..INDEXED).all(|level| !shape.is_literal(level) || key.literal(level).is_some())
        };
        all.filter(fits).map(move |live| (live.shape, live.hash(&sums)))
    }
}
