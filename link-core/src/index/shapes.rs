//! Filters with wildcards told apart by where the wildcards are.

use std::collections::BTreeMap;

use super::{
    cell::Arc,
    hashed::{Candidates, Hashed, SIDE_BY_SIDE, same},
    key::{INDEXED, Key},
    leaf::Value,
};

/// Where a filter has wildcards, and how long it is. Of all filters of a shape at most one matches a topic, and the
/// hash of that one follows from the topic: it is made of the levels that are not `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    /// Levels, without the `#`.
    levels: u8,
    /// Whether there is a `#` behind them.
    open: bool,
    /// A bit for each level that is `+`.
    plus: u16,
}

impl Shape {
    /// `None` for a filter that has more levels than are indexed.
    pub(super) fn of(key: &Key<'_>) -> Option<Self> {
        let levels = u8::try_from(key.levels).ok().filter(|&levels| usize::from(levels) <= INDEXED)?;
        let plus = (0..levels).filter(|&level| key.literal(level.into()).is_none()).map(|level| 1 << level).sum();
        Some(Self { levels, open: key.open, plus })
    }

    /// The hash of a filter of this shape.
    pub(super) fn hash(self, key: &Key<'_>) -> u64 {
        finish(Sums::of(key).sums[usize::from(self.levels)], self.salt())
    }

    /// Whether its filters have a literal in a level.
    pub(super) fn is_literal(self, level: usize) -> bool {
        level < usize::from(self.levels) && self.plus >> level & 1 == 0
    }

    /// What stands for the shape in the hash of its filters.
    fn salt(self) -> u64 {
        let number = u64::from(self.plus) << 8 | u64::from(self.levels) << 1 | u64::from(self.open);
        (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Whether a wildcard in the first level keeps it from topics that begin with `$`.
    #[inline]
    fn begins_with_wildcard(self) -> bool {
        self.plus & 1 != 0 || (self.open && self.levels == 0)
    }

    /// Whether `text` is the filter of this shape that matches the topic of a key, which is long enough.
    #[inline]
    fn matches(self, text: &[u8], key: &Key<'_>) -> bool {
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

/// Sums of the hashes of the levels, each at its place.
pub(super) struct Sums {
    /// Of a level; 0 for `+`, and where there is none.
    parts: [u64; PLACES],
    /// Of so many levels.
    sums: [u64; PLACES],
}

/// More than there are levels, so that a number of five bits is a place.
const PLACES: usize = 32;

impl Sums {
    #[inline]
    pub(super) fn of(key: &Key<'_>) -> Self {
        let mut sums = Self { parts: [0; PLACES], sums: [0; PLACES] };
        let mut sum = 0_u64;
        for level in 0..key.indexed() {
            let part = key.hash(level).rotate_left(level as u32 * 3);
            sum = sum.wrapping_add(part);
            sums.parts[level] = part;
            sums.sums[level + 1] = sum;
        }
        sums
    }
}

#[inline]
fn finish(sum: u64, salt: u64) -> u64 {
    (sum ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A shape, prepared for topics.
#[derive(Debug, Clone, Copy)]
struct Live {
    shape: Shape,
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
    fn hash(&self, sums: &Sums) -> u64 {
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

/// The shapes whose filters are looked up by hash.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    /// Those without `#`, by their number of levels.
    closed: Vec<Group>,
    /// Those with `#`.
    open: Group,
}

/// So many shapes without `#` of each length, and so many with, are looked up by hash. It bounds what a topic costs.
const MOST: usize = u64::BITS as usize;

/// Shapes that a topic is asked for together, each with a bit.
#[derive(Debug, Clone, Default)]
struct Group {
    lives: Vec<Live>,
    /// For each level and some bits of the hash of a literal: the shapes of which some filter has such a literal there,
    /// and those that have none there. All others need no lookup. What was there once is not forgotten. Shared by the
    /// copies of the table. There is nothing as long as there are few shapes.
    seen: Vec<Arc<[u64; BUCKETS]>>,
}

const BUCKETS: usize = 64;
/// So many shapes are looked up without asking whether it is of use.
const SEVERAL: usize = 4;
/// Of no shapes.
const NO_SHAPES: &Group = &Group { lives: Vec::new(), seen: Vec::new() };

#[inline]
fn bucket(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// A level of [`Group::seen`] that was touched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    shape: Shape,
    level: u8,
}

impl Group {
    fn number(&self, shape: Shape) -> Option<usize> {
        self.lives.iter().position(|live| live.shape == shape)
    }

    fn add(&mut self, shape: Shape) {
        self.lives.push(Live::new(shape));
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
    fn reset(&mut self) {
        for (level, seen) in self.seen.iter_mut().enumerate() {
            let literal = (0..).zip(&self.lives).filter(|(_, live)| live.shape.is_literal(level));
            *seen = Arc::new([!literal.map(|(number, _)| 1 << number).sum::<u64>(); BUCKETS]);
        }
    }

    fn remove(&mut self, number: usize) {
        self.lives.swap_remove(number);
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

    /// Notes the literals of a filter.
    fn see(&mut self, shape: Shape, key: &Key<'_>, noted: &mut dyn FnMut(Seen)) {
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
    fn alive(&self, key: &Key<'_>) -> u64 {
        if self.lives.is_empty() {
            return 0;
        }
        let alive = u64::MAX >> (MOST - self.lives.len());
        let levels = self.seen.iter().enumerate().take(key.indexed());
        levels.fold(alive, |alive, (level, seen)| alive & seen[bucket(key.hash(level))])
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    fn heap(&self) -> (usize, usize) {
        let lists = self.seen.capacity() * size_of::<usize>() + self.lives.capacity() * size_of::<Live>();
        (lists, self.seen.len() * (size_of::<[u64; BUCKETS]>() + 2 * size_of::<usize>()))
    }
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

    /// Calls `found` with the values of each filter of these shapes that matches a topic, until it says `false`.
    #[inline]
    pub(super) fn search<V: Value>(
        &self,
        filters: &Hashed<V>,
        key: &Key<'_>,
        found: &mut impl FnMut(&[V]) -> bool,
    ) -> bool {
        let sums = Sums::of(key);
        let reserved = key.is_reserved();
        let mut candidates = Candidates::new();
        let closed = self.closed.get(key.levels as usize);
        for group in closed.into_iter().chain([&self.open]) {
            let mut alive = group.alive(key);
            while alive != 0 {
                let homes = std::iter::from_fn(|| {
                    let number = (alive != 0).then_some(alive.trailing_zeros() as u8)?;
                    alive &= alive - 1;
                    Some((number, filters.home(group.lives[usize::from(number)].hash(&sums))))
                });
                candidates.find(homes.take(SIDE_BY_SIDE));
                candidates.touch(filters);
                for (number, same, home) in candidates.iter() {
                    let shape = group.lives[number].shape;
                    if u32::from(shape.levels) > key.levels || reserved && shape.begins_with_wildcard() {
                        continue;
                    }
                    if !filters.check(home, same, |text| shape.matches(text, key), found) {
                        return false;
                    }
                }
            }
        }
        true
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

/// How many pairs there are of each shape. Only the writer needs it.
#[derive(Debug, Default)]
pub(super) struct Census {
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
    pub(super) fn choose(&mut self, shapes: &mut Shapes, all: impl Iterator<Item = (Shape, usize)>) {
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
        shapes.closed.iter_mut().chain([&mut shapes.open]).for_each(Group::reset);
    }

    /// Counts a pair that comes. Whether its shape is looked up by hash from now on, and was not.
    pub(super) fn add(&mut self, shapes: &mut Shapes, shape: Shape) -> bool {
        self.count(shape, 1);
        let turns = !shapes.contains(shape) && self.is_worth(shapes, shape);
        if turns {
            shapes.group_mut(shape).add(shape);
        }
        turns
    }

    /// Counts a pair that goes. Whether its shape is no longer looked up, for it was the last one.
    pub(super) fn remove(&mut self, shapes: &mut Shapes, shape: Shape) -> bool {
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
    pub(super) fn pairs(&self, shape: Shape) -> usize {
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
        let (pairs, others) = (self.pairs(shape), shapes.group(shape).lives.len());
        let length = self.lengths[usize::from(shape.open)][usize::from(shape.levels)];
        others < MOST && pairs >= others.clamp(1, WORTH) && (length.shapes <= FEW || pairs > length.pairs / FEW)
    }

    /// Bytes on the heap, about.
    pub(super) fn heap(&self) -> usize {
        self.pairs.len() * size_of::<(Shape, usize)>() * 3 / 2
    }
}
