//! One copy of everything, and how it changes.

use super::{
    block::Block,
    dictionary::{Dictionary, Uses},
    grow::Editor,
    handle::{Handle, Placed},
    hashed::{self, Edit, Hashed, Space},
    key::{Hasher, Key},
    leaf::{Entry, Leaf, Value, group},
    publish::Follow,
    shapes::{Census, Shape, Shapes},
    tree::{self, Side, Tree, Walk},
};
use crate::topic::TopicFilter;

/// Filters by their kinds.
#[derive(Debug, Clone)]
pub(super) struct Table<V> {
    /// Those without wildcards, by the hash of the whole text.
    pub(super) exact: Hashed<V>,
    /// Those with wildcards in places where many filters have them, by the hash of the other levels.
    pub(super) shaped: Hashed<V>,
    pub(super) shapes: Shapes,
    /// All others.
    pub(super) wild: Tree<Block<V>>,
    /// Of `wild`.
    pub(super) dictionary: Dictionary,
    /// Number of pairs.
    len: usize,
}

/// What only the writer needs to know.
#[derive(Debug)]
pub(super) struct Books {
    exact: Space,
    shaped: Space,
    census: Census,
    uses: Uses,
}

/// What a change has touched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Exact(hashed::Step),
    Shaped(hashed::Step),
    Shapes(Shape),
    Wild(tree::Step),
    Literal(hashed::Step),
}

impl<V: Value> Follow<Step> for Table<V> {
    fn follow(&mut self, newest: &Self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Exact(step) => self.exact.follow(&newest.exact, step),
                Step::Shaped(step) => self.shaped.follow(&newest.shaped, step),
                Step::Shapes(shape) => self.shapes.follow(&newest.shapes, shape),
                Step::Wild(step) => self.wild.follow(&newest.wild, step),
                Step::Literal(step) => self.dictionary.literals.follow(&newest.dictionary.literals, step),
            }
        }
        self.len = newest.len;
    }

    fn most_steps(&self) -> usize {
        MOST_STEPS.max(self.len / 64)
    }
}

impl Books {
    pub(super) fn new(seed: u64) -> Self {
        Self { exact: Space::default(), shaped: Space::default(), census: Census::default(), uses: Uses::new(seed) }
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.exact.heap() + self.shaped.heap() + self.census.heap() + self.uses.heap()
    }
}

impl<V: Value> Table<V> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            exact: Hashed::new(),
            shaped: Hashed::with_blooms(),
            shapes: Shapes::new(),
            wild: Tree::new(),
            dictionary: Dictionary::new(seed),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.dictionary.hasher
    }

    /// A table of these pairs, of which some may be the same.
    pub(super) fn build(seed: u64, pairs: Vec<(TopicFilter, V)>, books: &mut Books) -> Self {
        let mut table = Self::new(seed);
        let hasher = table.hasher().clone();
        let (mut exact, mut wild) = (Vec::new(), Vec::new());
        for (filter, value) in &pairs {
            let entries = if filter.is_wildcard() { &mut wild } else { &mut exact };
            entries.push(Entry { text: filter.pattern(), values: std::slice::from_ref(value) });
        }
        let (mut exact_values, mut wild_values) = (Vec::new(), Vec::new());
        let (exact, wild) = (group(exact, &mut exact_values), group(wild, &mut wild_values));
        table.len = exact.iter().chain(&wild).map(|entry| entry.values.len()).sum();
        let shape = |entry: &Entry<'_, V>| Shape::of(&hasher.filter(entry.text));
        let all = wild.iter().filter_map(|entry| Some((shape(entry)?, entry.values.len())));
        books.census.choose(&mut table.shapes, all);
        let is_shaped = |entry: &Entry<'_, V>| shape(entry).is_some_and(|shape| table.shapes.contains(shape));
        let (shaped, wild): (Vec<_>, Vec<_>) = wild.into_iter().partition(is_shaped);
        edit_exact(&mut table, &hasher, books, &mut |_| {}, |edit| edit.fill(&exact));
        edit_shaped(&mut table, &hasher, books, &mut |_| {}, |edit| edit.fill(&shaped));
        for entry in &wild {
            for _ in entry.values {
                books.uses.take(&mut table.dictionary, &hasher.filter(entry.text), &mut |_| {});
            }
        }
        Editor { tree: &mut table.wild, context: &table.dictionary, touched: &mut |_| {} }.fill(wild);
        table
    }

    /// Adds a pair that is not there.
    pub(super) fn insert(&mut self, filter: &TopicFilter, value: V, books: &mut Books, touched: Touched<'_>) -> Placed {
        let (text, hasher) = (filter.pattern(), self.hasher().clone());
        if !filter.is_wildcard() {
            let hash = hasher.text(text);
            let inserted = edit_exact(self, &hasher, books, touched, |edit| edit.insert(hash, text, value));
            self.len += usize::from(inserted);
            return if inserted { Placed::Found(Handle::exact(hash)) } else { Placed::Full };
        }
        self.len += 1;
        let key = hasher.filter(text);
        if let Some(shape) = Shape::of(&key) {
            if books.census.add(&mut self.shapes, shape) {
                touched(Step::Shapes(shape));
                self.move_to_shaped(shape, books, touched);
            }
            if self.shapes.contains(shape) && self.insert_shaped(shape, &key, value, books, touched) {
                return Placed::Found(Handle::shaped(shape.hash(&key)));
            }
        }
        self.insert_wild(&key, value, books, touched);
        Placed::Wild
    }

    /// Takes a pair out that is there.
    pub(super) fn remove(&mut self, filter: &TopicFilter, value: &V, books: &mut Books, touched: Touched<'_>) {
        self.len -= 1;
        let (text, hasher) = (filter.pattern(), self.hasher().clone());
        if !filter.is_wildcard() {
            return edit_exact(self, &hasher, books, touched, |edit| edit.remove(hasher.text(text), text, value));
        }
        let key = hasher.filter(text);
        let shape = Shape::of(&key);
        let hash = shape.map(|shape| shape.hash(&key));
        match hash.filter(|&hash| self.shaped.contains(hash, text, value)) {
            Some(hash) => edit_shaped(self, &hasher, books, touched, |edit| edit.remove(hash, text, value)),
            None => self.remove_wild(&key, value, books, touched),
        }
        if let Some(shape) = shape
            && books.census.remove(&mut self.shapes, shape)
        {
            touched(Step::Shapes(shape));
        }
    }

    fn insert_shaped(
        &mut self,
        shape: Shape,
        key: &Key<'_>,
        value: V,
        books: &mut Books,
        touched: Touched<'_>,
    ) -> bool {
        let hasher = self.hasher().clone();
        edit_shaped(self, &hasher, books, touched, |edit| edit.insert(shape.hash(key), key.text, value))
    }

    fn insert_wild(&mut self, key: &Key<'_>, value: V, books: &mut Books, touched: Touched<'_>) {
        let Self { wild, dictionary, .. } = self;
        books.uses.take(dictionary, key, &mut |step| touched(Step::Literal(step)));
        Editor { tree: wild, context: &*dictionary, touched: &mut |step| touched(Step::Wild(step)) }.insert(key, value);
    }

    fn remove_wild(&mut self, key: &Key<'_>, value: &V, books: &mut Books, touched: Touched<'_>) {
        let Self { wild, dictionary, .. } = self;
        Editor { tree: wild, context: &*dictionary, touched: &mut |step| touched(Step::Wild(step)) }.remove(key, value);
        books.uses.give(dictionary, key, &mut |step| touched(Step::Literal(step)));
    }

    /// Moves the filters of a shape, which is looked up by hash from now on. If there are many, they stay: a pair may be
    /// in either place.
    fn move_to_shaped(&mut self, shape: Shape, books: &mut Books, touched: Touched<'_>) {
        if self.wild.is_empty() || books.census.pairs(shape) > MOST_MOVED {
            return;
        }
        let hasher = self.hasher().clone();
        let (mut walk, mut pairs) = (Walk::new(), Vec::new());
        let side = |level: usize| if shape.is_literal(level) { Side::All } else { Side::Rest };
        while let Some(block) = walk.next(&self.wild, side) {
            for entry in block.entries().filter(|entry| Shape::of(&hasher.filter(entry.text)) == Some(shape)) {
                pairs.extend(entry.values.iter().map(|&value| (entry.text.to_owned(), value)));
            }
        }
        for (text, value) in pairs {
            let key = hasher.filter(&text);
            if self.insert_shaped(shape, &key, value, books, touched) {
                self.remove_wild(&key, &value, books, touched);
            }
        }
    }

    pub(super) fn contains(&self, filter: &TopicFilter, value: &V) -> bool {
        let (text, hasher) = (filter.pattern(), self.hasher());
        if !filter.is_wildcard() {
            return self.exact.contains(hasher.text(text), text, value);
        }
        let key = hasher.filter(text);
        Shape::of(&key).is_some_and(|shape| self.shaped.contains(shape.hash(&key), text, value))
            || self.wild.leaf_of(hasher, &key, value).is_some_and(|block| block.contains(&key, value))
    }

    /// The handle of a filter, by which it is found if it is exact, or lies among the shaped ones.
    pub(super) fn handle_of(&self, filter: &TopicFilter) -> Option<Handle> {
        let (text, hasher) = (filter.pattern(), self.hasher());
        if !filter.is_wildcard() {
            return Some(Handle::exact(hasher.text(text)));
        }
        let key = hasher.filter(text);
        Shape::of(&key).map(|shape| Handle::shaped(shape.hash(&key)))
    }

    /// Calls `found` with each filter of a handle that has the value, until it says `false`.
    pub(super) fn of_handle(&self, handle: Handle, value: &V, found: &mut dyn FnMut(&str) -> bool) {
        let hashed = if handle.is_exact() { &self.exact } else { &self.shaped };
        hashed.of_tag(handle.tag(), value, found);
    }

    /// Bytes on the heap: of what each copy has, and of what they share.
    pub(super) fn heap(&self) -> (usize, usize) {
        let hashed = [self.exact.heap(), self.shaped.heap(), self.dictionary.literals.heap(), (self.shapes.heap(), 0)];
        let wild = (self.wild.heap(), self.wild.leaves_heap());
        hashed.into_iter().fold(wild, |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}

/// Told of everything that a change touches, for a second copy to follow.
type Touched<'a> = &'a mut dyn FnMut(Step);

/// So many changes are followed one by one, at least.
const MOST_STEPS: usize = 4096;
/// Pairs that are moved from one place to another at once, at most.
const MOST_MOVED: usize = 512;

fn edit_exact<V: Value, R>(
    table: &mut Table<V>,
    hasher: &Hasher,
    books: &mut Books,
    touched: Touched<'_>,
    change: impl FnOnce(&mut Edit<'_, V>) -> R,
) -> R {
    let hash_of = &|text: &str| hasher.text(text);
    let touched = &mut |step| touched(Step::Exact(step));
    change(&mut Edit::new(&mut table.exact, &mut books.exact, hash_of, touched))
}

fn edit_shaped<V: Value, R>(
    table: &mut Table<V>,
    hasher: &Hasher,
    books: &mut Books,
    touched: Touched<'_>,
    change: impl FnOnce(&mut Edit<'_, V>) -> R,
) -> R {
    let hash_of = &|text: &str| {
        let key = hasher.filter(text);
        Shape::of(&key).map_or(0, |shape| shape.hash(&key))
    };
    let touched = &mut |step| touched(Step::Shaped(step));
    change(&mut Edit::new(&mut table.shaped, &mut books.shaped, hash_of, touched))
}
