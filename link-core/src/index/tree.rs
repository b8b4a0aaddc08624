//! The tree above the leaves: which few of them can hold what is looked for.

use super::{
    key::{Hasher, Key},
    leaf::Leaf,
};

/// A tree whose nodes tell filters apart by one level each.
///
/// ```text
///                node: by level 1
///              /        |         \
///     no literal   child 0 .. child n-1, by the hash of the level
///     in level 1
/// ```
///
/// A node grows by one child at a time (linear hashing: W. Litwin, VLDB 1980), so that no change ever costs more than a
/// few leaves. Its children are leaves, or nodes that look at another level where one level alone fills a leaf. Which
/// level a node looks at is chosen when a leaf is full, by what is in it: see [`grow`](super::grow).
///
/// A second copy of the nodes can [`follow`](Self::follow) the [`Step`]s of the first; they share the leaves.
#[derive(Debug, Clone)]
pub(super) struct Tree<L> {
    /// Node 0 is above the root: it has one child, in the place of those without a literal.
    nodes: Vec<Node<L>>,
    /// The first unused place in `nodes`.
    free: Option<u32>,
    /// Places that are used, without the first.
    used: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Node<L> {
    pub(super) by: By,
    /// For filters that have no literal in the level of the node.
    pub(super) rest: Slot<L>,
    pub(super) children: Vec<Slot<L>>,
    /// Weight of the children that are leaves.
    pub(super) load: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Slot<L> {
    #[default]
    Empty,
    Leaf(L),
    /// Several children of one node may be the same node: it was there when they were one child.
    Node(u32),
}

/// What the children of a node are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Nothing: there is one.
    Nothing,
    Level(u8),
    /// The whole text, of filters that differ in no level enough: its hash from some bit on.
    Text(u8),
    /// The value, of a filter that has many.
    Value,
    /// There is no node; the next unused place.
    Unused(Option<u32>),
}

/// What a change has touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A child of a node.
    Slot(Place),
    /// What a node looks at, and how many children it has.
    Node(u32),
}

/// A child of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) node: u32,
    /// [`REST`] or the number of a child.
    pub(super) child: u32,
}

pub(super) const TOP: u32 = 0;
pub(super) const REST: u32 = u32::MAX;
pub(super) const ROOT: Place = Place { node: TOP, child: REST };

/// Where to go on at a node that looks at some level.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Filters with the literal of that hash.
    Literal(u64),
    /// Filters without a literal.
    Rest,
    Both(u64),
    All,
}

impl<L> Tree<L> {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::new(By::Nothing)], free: None, used: 0 }
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node<L> {
        &self.nodes[node as usize]
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.node(TOP).rest, Slot::Empty)
    }

    pub(super) fn slot(&self, place: Place) -> &Slot<L> {
        self.node(place.node).slot(place.child)
    }

    /// Calls `found` with each leaf that may hold a filter which matches a topic, until it says `false`.
    #[inline]
    pub(super) fn search<'a>(&'a self, key: &Key<'_>, found: &mut impl FnMut(&'a L) -> bool) -> bool {
        self.visit(&self.node(TOP).rest, key, found)
    }

    /// Recurses once per node on a path: at most once for each indexed level, and twice below them.
    fn visit<'a>(&'a self, slot: &'a Slot<L>, key: &Key<'_>, found: &mut impl FnMut(&'a L) -> bool) -> bool {
        let mut slot = slot;
        loop {
            let node = match slot {
                Slot::Empty => return true,
                Slot::Leaf(leaf) => return found(leaf),
                Slot::Node(node) => self.node(*node),
            };
            match node.by {
                By::Level(level) => {
                    if key.levels > u32::from(level) && !self.visit(node.child(key.hash(level.into())), key, found) {
                        return false;
                    }
                    slot = &node.rest;
                }
                By::Nothing | By::Unused(_) => slot = &node.rest,
                By::Text(_) | By::Value => return node.distinct().all(|(_, slot)| self.visit(slot, key, found)),
            }
        }
    }

    /// Makes a node.
    pub(super) fn add(&mut self, by: By) -> u32 {
        self.used += 1;
        if let Some(at) = self.free
            && let By::Unused(next) = self.nodes[at as usize].by
        {
            self.free = next;
            self.nodes[at as usize].by = by;
            return at;
        }
        self.nodes.push(Node::new(by));
        (self.nodes.len() - 1) as u32
    }

    /// Takes a node away.
    pub(super) fn free(&mut self, node: u32) {
        self.nodes[node as usize] = Node::new(By::Unused(self.free));
        self.free = Some(node);
        self.used -= 1;
        if self.used == 0 {
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = None;
        }
    }

    /// Sets a child; one more than there are adds it.
    pub(super) fn set(&mut self, place: Place, slot: Slot<L>)
    where
        L: Leaf,
    {
        let node = &mut self.nodes[place.node as usize];
        if place.child == REST {
            node.rest = slot;
            return;
        }
        node.load += slot.weight();
        match node.children.get_mut(place.child as usize) {
            Some(old) => node.load -= std::mem::replace(old, slot).weight(),
            None => node.children.push(slot),
        }
    }

    /// Takes the last child of a node away.
    pub(super) fn pop(&mut self, node: u32)
    where
        L: Leaf,
    {
        let node = &mut self.nodes[node as usize];
        node.load -= node.children.pop().map_or(0, |slot| slot.weight());
        if node.children.len() < node.children.capacity() / 4 {
            node.children.shrink_to(node.children.len() * 2);
        }
    }

    /// Makes what was touched as it is in `newest`. Costs one slot each.
    pub(super) fn follow(&mut self, newest: &Self, step: Step)
    where
        L: Clone,
    {
        let (Step::Slot(Place { node: at, .. }) | Step::Node(at)) = step;
        (self.free, self.used) = (newest.free, newest.used);
        if newest.nodes.len() < self.nodes.len() {
            self.nodes.truncate(newest.nodes.len());
            self.nodes.shrink_to_fit();
        }
        // It may have been taken away since.
        let Some(new) = newest.nodes.get(at as usize) else { return };
        while self.nodes.len() < newest.nodes.len() {
            self.nodes.push(Node::new(By::Nothing));
        }
        let node = &mut self.nodes[at as usize];
        node.by = new.by;
        node.load = new.load;
        node.children.truncate(new.children.len());
        if node.children.len() < node.children.capacity() / 4 {
            node.children.shrink_to(node.children.len() * 2);
        }
        while node.children.len() < new.children.len() {
            node.children.push(new.children[node.children.len()].clone());
        }
        match step {
            Step::Slot(Place { child: REST, .. }) => node.rest = new.rest.clone(),
            // It may have been taken away since.
            Step::Slot(Place { child, .. }) => {
                if let Some(slot) = new.children.get(child as usize) {
                    node.children[child as usize] = slot.clone();
                }
            }
            Step::Node(_) => {
                if let Slot::Empty = new.rest {
                    node.rest = Slot::Empty;
                }
            }
        }
    }

    /// The leaf that has the value of a filter, if any has.
    pub(super) fn leaf_of(&self, hasher: &Hasher, key: &Key<'_>, value: &L::Value) -> Option<&L>
    where
        L: Leaf,
    {
        let mut slot = self.slot(ROOT);
        loop {
            slot = match slot {
                Slot::Empty => return None,
                Slot::Leaf(leaf) => return Some(leaf),
                Slot::Node(node) => {
                    let node = self.node(*node);
                    node.slot(node.child_of(hasher, key, value))
                }
            };
        }
    }

    /// Bytes on the heap of all leaves.
    pub(super) fn leaves_heap(&self) -> usize
    where
        L: Leaf,
    {
        let mut walk = Walk::new();
        std::iter::from_fn(|| walk.next(self, |_| Side::All)).map(L::heap).sum()
    }

    /// Bytes on the heap, those of the leaves aside.
    pub(super) fn heap(&self) -> usize {
        let children: usize = self.nodes.iter().map(|node| node.children.capacity()).sum();
        self.nodes.capacity() * size_of::<Node<L>>() + children * size_of::<Slot<L>>()
    }
}

impl<L> Node<L> {
    fn new(by: By) -> Self {
        Self { by, rest: Slot::Empty, children: Vec::new(), load: 0 }
    }

    pub(super) fn slot(&self, child: u32) -> &Slot<L> {
        if child == REST { &self.rest } else { &self.children[child as usize] }
    }

    #[inline]
    fn child(&self, hash: u64) -> &Slot<L> {
        &self.children[address(hash, self.children.len())]
    }

    /// The child for a filter and a value.
    pub(super) fn child_of(&self, hasher: &Hasher, key: &Key<'_>, value: &L::Value) -> u32
    where
        L: Leaf,
    {
        let hash = match self.by {
            By::Nothing | By::Unused(_) => None,
            By::Level(level) => key.literal(level.into()),
            By::Text(bit) => Some(key.whole >> bit),
            By::Value => Some(hasher.value(value)),
        };
        hash.map_or(REST, |hash| address(hash, self.children.len()) as u32)
    }

    /// Whether a child is the same node as the one that it was split from.
    pub(super) fn is_same_as_buddy(&self, child: u32) -> bool {
        let Some(at) = Some(child as usize).filter(|&at| at > 0 && child != REST) else { return false };
        matches!((&self.children[at], &self.children[buddy(at)]), (Slot::Node(a), Slot::Node(b)) if a == b)
    }

    /// Each child once, the one without a literal first.
    pub(super) fn distinct(&self) -> impl Iterator<Item = (u32, &Slot<L>)> {
        let children = (0..self.children.len() as u32).filter(|&child| !self.is_same_as_buddy(child));
        std::iter::once(REST).chain(children).map(|child| (child, self.slot(child)))
    }
}

impl<L> Slot<L> {
    /// Of a leaf; 0 of anything else.
    fn weight(&self) -> usize
    where
        L: Leaf,
    {
        match self {
            Self::Leaf(leaf) => leaf.weight(),
            Self::Empty | Self::Node(_) => 0,
        }
    }
}

/// Linear hashing: as many low bits of the hash as `width` needs, one less where that child is not there yet.
#[inline]
pub(crate) fn address(hash: u64, width: usize) -> usize {
    let bits = width.next_power_of_two();
    let at = hash as usize & (bits - 1);
    if at < width { at } else { at - bits / 2 }
}

/// The child that was split into itself and child `at`.
pub(crate) fn buddy(at: usize) -> usize {
    at - (1 << at.ilog2())
}

/// Finds leaves one after the other. Holds nothing of the tree, which must be the same one each time.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// What is next: a child of a node, or [`REST`].
    path: Vec<(u32, Option<u32>)>,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { path: vec![(TOP, None)] }
    }

    /// The next leaf on those sides of the nodes that `side` gives for their levels.
    pub(super) fn next<'t, L>(&mut self, tree: &'t Tree<L>, side: impl Fn(usize) -> Side) -> Option<&'t L> {
        while let Some((at, next)) = self.path.last_mut() {
            let node = tree.node(*at);
            let side = match node.by {
                By::Level(level) => side(level.into()),
                By::Nothing | By::Text(_) | By::Value | By::Unused(_) => Side::All,
            };
            let literal = |hash| address(hash, node.children.len()) as u32;
            // The one without a literal comes first.
            let (child, then) = match (side, *next) {
                (Side::Literal(hash), None) => (literal(hash), Some(REST)),
                (Side::Rest, None) => (REST, Some(REST)),
                (Side::Both(_) | Side::All, None) => (REST, Some(0)),
                (Side::Both(hash), Some(0)) => (literal(hash), Some(REST)),
                (Side::All, Some(child)) if (child as usize) < node.children.len() => (child, Some(child + 1)),
                _ => {
                    self.path.pop();
                    continue;
                }
            };
            *next = then;
            if matches!(side, Side::All) && node.is_same_as_buddy(child) {
                continue;
            }
            match node.slot(child) {
                Slot::Empty => {}
                Slot::Leaf(leaf) => return Some(leaf),
                Slot::Node(node) => self.path.push((*node, None)),
            }
        }
        None
    }
}
