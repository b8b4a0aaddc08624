//! How a tree changes: leaves that fill up are split, leaves that empty are merged.

use super::{
    key::{Hasher, INDEXED, Key},
    leaf::{Entry, Leaf},
    tree::{By, Place, REST, ROOT, Slot, Step, Tree, address, buddy},
};

/// Children of a node, at least.
const NARROW: usize = 2;
/// So many filters are looked at to choose a level.
const SAMPLE: usize = 512;

/// Changes a tree, and writes down how.
pub(super) struct Editor<'a, L: Leaf> {
    pub(super) tree: &'a mut Tree<L>,
    pub(super) context: &'a L::Context,
    /// Told of everything that is touched, for a second copy to follow.
    pub(super) touched: &'a mut dyn FnMut(Step),
}

impl<'a, L: Leaf> Editor<'a, L> {
    /// Adds a value. `false` if it was there.
    pub(super) fn insert(&mut self, key: &Key<'_>, value: L::Value) -> bool {
        self.insert_below(ROOT, key, value)
    }

    /// Takes a value out. `false` if it was not there.
    pub(super) fn remove(&mut self, key: &Key<'_>, value: &L::Value) -> bool {
        let path = self.path(ROOT, key, value);
        let Some(&place) = path.last() else { return false };
        let Slot::Leaf(leaf) = self.tree.slot(place) else { return false };
        let mut leaf = leaf.clone();
        if !leaf.remove(self.context, key, value) {
            return false;
        }
        self.set(place, if leaf.filters() == 0 { Slot::Empty } else { Slot::Leaf(leaf) });
        for above in (1..path.len()).rev() {
            self.narrow(path[above].node, key.text);
            if !self.collapse(path[above].node, path[above - 1]) {
                break;
            }
        }
        true
    }

    /// Fills an empty tree.
    pub(super) fn fill(&mut self, entries: Vec<Entry<'_, L::Value>>) {
        let root = self.plant(entries, By::Nothing);
        self.set(ROOT, root);
    }

    fn insert_below(&mut self, top: Place, key: &Key<'_>, value: L::Value) -> bool {
        let Some(mut place) = self.path(top, key, &value).pop() else { return false };
        if self.tree.node(place.node).by == By::Value {
            place = self.beside(top, key, &value);
        }
        let mut leaf = match self.tree.slot(place) {
            Slot::Leaf(leaf) => leaf.clone(),
            Slot::Empty | Slot::Node(_) => L::build(self.context, Vec::new()),
        };
        if !leaf.insert(self.context, key, value) {
            return false;
        }
        let weight = leaf.weight();
        self.set(place, Slot::Leaf(leaf));
        if weight > L::FULL {
            self.burst(place);
        }
        let node = self.tree.node(place.node);
        if place.child != REST && node.load > node.children.len() * usual::<L>(node.by, key.text) {
            self.widen(place.node);
        }
        true
    }

    /// The place for a filter on the path to a node that has only the values of one filter. If that is another one, they
    /// are told apart first.
    fn beside(&mut self, top: Place, key: &Key<'_>, value: &L::Value) -> Place {
        let path = self.path(top, key, value);
        let (Some(&place), Some(&above)) = (path.last(), path.iter().rev().nth(1)) else { return top };
        let texts = self.tree.node(place.node).children.iter().filter_map(|slot| match slot {
            Slot::Leaf(leaf) => leaf.entries().next().map(|entry| entry.text.to_owned()),
            Slot::Empty | Slot::Node(_) => None,
        });
        let Some(other) = texts.into_iter().next().filter(|text| text != key.text) else { return place };
        let other = self.key(&other);
        // The node may be here only because it was when the parent had fewer children.
        if above.node != ROOT.node && self.tree.node(above.node).child_of(self.hasher(), &other, value) != above.child {
            self.set(above, Slot::Empty);
            return above;
        }
        let bit = (other.whole ^ key.whole).trailing_zeros().min(63);
        let node = self.add(By::Text(bit as u8));
        let place_of = |key: &Key<'_>| Place { node, child: address(key.whole >> bit, NARROW) as u32 };
        for child in 0..NARROW as u32 {
            self.set(Place { node, child }, Slot::Empty);
        }
        self.set(place_of(&other), Slot::Node(place.node));
        self.set(above, Slot::Node(node));
        place_of(key)
    }

    /// From a place to that of a leaf, or to where one would be.
    fn path(&self, top: Place, key: &Key<'_>, value: &L::Value) -> Vec<Place> {
        let mut path = vec![top];
        let mut place = top;
        while let Slot::Node(node) = *self.tree.slot(place) {
            place = Place { node, child: self.tree.node(node).child_of(self.hasher(), key, value) };
            path.push(place);
        }
        path
    }

    /// Splits a leaf that is full into a node, if there is a way to.
    fn burst(&mut self, place: Place) {
        let Slot::Leaf(leaf) = self.tree.slot(place) else { return };
        let leaf = leaf.clone();
        let above = self.tree.node(place.node).by;
        if let Ok(node) = self.split(leaf.entries().collect(), above) {
            self.set(place, Slot::Node(node));
        }
    }

    /// A leaf, or as many as it takes, below a node by `above`.
    fn plant(&mut self, entries: Vec<Entry<'_, L::Value>>, above: By) -> Slot<L> {
        if entries.iter().map(L::weigh).sum::<usize>() <= L::FULL {
            return self.leaf(entries);
        }
        match self.split(entries, above) {
            Ok(node) => Slot::Node(node),
            Err(entries) => self.leaf(entries),
        }
    }

    /// A node with these filters below it. Gives them back if nothing tells them apart.
    fn split<'e>(&mut self, entries: Vec<Entry<'e, L::Value>>, above: By) -> Result<u32, Vec<Entry<'e, L::Value>>> {
        let by = match &*entries {
            [] => return Err(entries),
            [entry] if size_of_val(entry.values) < usual::<L>(By::Value, entry.text) => return Err(entries),
            [_] => By::Value,
            _ => self.choose(&entries),
        };
        // The same hash would put all of them into one child again.
        if above == By::Value || matches!((above, by), (By::Text(_), By::Text(_))) {
            return Err(entries);
        }
        let node = self.add(by);

        let mut rest = Vec::new();
        let mut literals = Vec::with_capacity(entries.len());
        for entry in entries {
            match by {
                By::Nothing | By::Unused(_) => rest.push(entry),
                By::Value => literals.extend(
                    entry
                        .values
                        .chunks(1)
                        .map(|value| (self.hasher().value(&value[0]), Entry { values: value, ..entry })),
                ),
                By::Text(bit) => literals.push((self.key(entry.text).whole >> bit, entry)),
                By::Level(level) => match self.hasher().filter(entry.text).literal(level.into()) {
                    Some(hash) => literals.push((hash, entry)),
                    None => rest.push(entry),
                },
            }
        }
        let width = match (by, literals.first()) {
            (By::Value, Some((_, entry))) => {
                let values = literals.len() * size_of::<L::Value>();
                values.div_ceil(usual::<L>(by, entry.text)).max(NARROW)
            }
            _ => width::<L>(&literals),
        };
        let mut children: Vec<Vec<Entry<'_, L::Value>>> = vec![Vec::new(); width];
        for (hash, entry) in literals {
            children[address(hash, width)].push(entry);
        }
        for (child, entries) in children.into_iter().enumerate() {
            let slot = self.plant(entries, by);
            self.set(Place { node, child: child as u32 }, slot);
        }
        let rest = self.plant(rest, by);
        self.set(Place { node, child: REST }, rest);
        Ok(node)
    }

    /// What tells these filters best apart: the level that leaves the fewest of them to be looked at for a topic that is
    /// like them, and of levels that are about as good the first, which questions about whole subtrees name.
    fn choose(&self, entries: &[Entry<'_, L::Value>]) -> By {
        let stride = entries.len().div_ceil(SAMPLE);
        let keys: Vec<_> = entries.iter().step_by(stride).map(|entry| self.hasher().filter(entry.text)).collect();
        let deepest = keys.iter().map(|key| key.levels as usize).max().unwrap_or(0).min(INDEXED);
        let costs = (0..deepest).map(|level| {
            let mut sides = [0_usize; 2];
            for hash in keys.iter().filter_map(|key| key.literal(level)) {
                sides[(hash & 1) as usize] += 1;
            }
            let literals: usize = sides.iter().sum();
            let squares: usize = sides.iter().map(|side| side * side).sum();
            keys.len() - literals + squares / literals.max(1)
        });
        let costs: Vec<usize> = costs.collect();
        let best = costs.iter().copied().min().unwrap_or(keys.len());
        if best > keys.len() * 7 / 8 {
            return By::Text(0);
        }
        let level = costs.iter().position(|&cost| cost <= best + best / 8).unwrap_or(0);
        By::Level(level as u8)
    }

    /// Adds a child to a node, by splitting the one whose turn it is.
    fn widen(&mut self, node: u32) {
        let width = self.tree.node(node).children.len();
        let old = Place { node, child: buddy(width) as u32 };
        let new = Place { node, child: width as u32 };
        match self.tree.slot(old) {
            Slot::Empty => self.set(new, Slot::Empty),
            // It may hold filters of both.
            &Slot::Node(same) => self.set(new, Slot::Node(same)),
            Slot::Leaf(leaf) => {
                let leaf = leaf.clone();
                let by = self.tree.node(node).by;
                let (mut stay, mut go) = (Vec::new(), Vec::new());
                let mut sort = |hash, entry| {
                    if address(hash, width + 1) == width { go.push(entry) } else { stay.push(entry) }
                };
                for entry in leaf.entries() {
                    match by {
                        By::Value => {
                            for value in entry.values.chunks(1) {
                                sort(self.hasher().value(&value[0]), Entry { values: value, ..entry });
                            }
                        }
                        By::Text(bit) => sort(self.key(entry.text).whole >> bit, entry),
                        By::Level(level) => {
                            sort(self.hasher().filter(entry.text).literal(level.into()).unwrap_or(0), entry)
                        }
                        By::Nothing | By::Unused(_) => {}
                    }
                }
                for (place, entries) in [(old, stay), (new, go)] {
                    let slot = self.leaf(entries);
                    self.set(place, slot);
                }
            }
        }
    }

    /// Takes children away from a node, as long as it has too many.
    fn narrow(&mut self, node: u32, text: &str) {
        loop {
            let width = self.tree.node(node).children.len();
            let by = self.tree.node(node).by;
            if width <= NARROW || self.tree.node(node).load >= (width - 1) * (usual::<L>(by, text) / 4 * 3) {
                return;
            }
            let last = Place { node, child: (width - 1) as u32 };
            let into = Place { node, child: buddy(width - 1) as u32 };
            let mut homeless = None;
            match (self.tree.slot(into).clone(), self.tree.slot(last).clone()) {
                (_, Slot::Empty) => {}
                (Slot::Node(a), Slot::Node(b)) if a == b => {}
                // Two nodes would have to be merged.
                (Slot::Node(_), Slot::Node(_)) => return,
                (Slot::Empty, slot) => self.set(into, slot),
                (Slot::Node(_), Slot::Leaf(leaf)) => homeless = Some(leaf),
                (Slot::Leaf(leaf), slot @ Slot::Node(_)) => {
                    self.set(into, slot);
                    homeless = Some(leaf);
                }
                (Slot::Leaf(left), Slot::Leaf(right)) => {
                    let merged = L::build(self.context, left.entries().chain(right.entries()).collect());
                    self.set(into, Slot::Leaf(merged));
                }
            }
            self.tree.pop(node);
            (self.touched)(Step::Node(node));
            if let Some(leaf) = homeless {
                self.insert_all(into, &leaf);
            }
        }
    }

    fn insert_all(&mut self, top: Place, leaf: &L) {
        for entry in leaf.entries() {
            let key = self.key(entry.text);
            for &value in entry.values {
                self.insert_below(top, &key, value);
            }
        }
    }

    /// Puts a leaf in the place of a node that has little left. `false` if it has not.
    fn collapse(&mut self, node: u32, above: Place) -> bool {
        let mut leaves = Vec::new();
        if self.tree.node(node).children.len() > NARROW {
            return false;
        }
        for (_, slot) in self.tree.node(node).distinct() {
            match slot {
                Slot::Empty => {}
                Slot::Leaf(leaf) => leaves.push(leaf.clone()),
                Slot::Node(_) => return false,
            }
        }
        if leaves.iter().map(L::weight).sum::<usize>() > L::FULL / 4 {
            return false;
        }
        let entries: Vec<_> = leaves.iter().flat_map(L::entries).collect();
        let parent = self.tree.node(above.node);
        let places: Vec<u32> = match above.child {
            REST => vec![REST],
            _ => (0..parent.children.len() as u32)
                .filter(|&child| matches!(parent.slot(child), Slot::Node(same) if *same == node))
                .collect(),
        };
        let mut slots = Vec::with_capacity(places.len());
        for &child in &places {
            let entries: Vec<_> = match places.len() {
                1 => entries.clone(),
                _ => entries
                    .iter()
                    .flat_map(|entry| entry.values.chunks(1).map(|value| Entry { values: value, ..*entry }))
                    .filter(|entry| parent.child_of(self.hasher(), &self.key(entry.text), &entry.values[0]) == child)
                    .collect(),
            };
            slots.push(self.leaf(entries));
        }
        for (child, slot) in places.into_iter().zip(slots) {
            self.set(Place { node: above.node, child }, slot);
        }
        self.free(node);
        true
    }

    fn hasher(&self) -> &'a Hasher {
        L::hasher(self.context)
    }

    fn key<'t>(&self, text: &'t str) -> Key<'t> {
        self.hasher().filter(text)
    }

    /// A leaf, if there is anything to put into it.
    fn leaf(&self, entries: Vec<Entry<'_, L::Value>>) -> Slot<L> {
        if entries.is_empty() { Slot::Empty } else { Slot::Leaf(L::build(self.context, entries)) }
    }

    fn set(&mut self, place: Place, slot: Slot<L>) {
        self.tree.set(place, slot);
        (self.touched)(Step::Slot(place));
    }

    fn add(&mut self, by: By) -> u32 {
        let node = self.tree.add(by);
        (self.touched)(Step::Node(node));
        node
    }

    fn free(&mut self, node: u32) {
        self.tree.free(node);
        (self.touched)(Step::Node(node));
    }
}

/// The usual weight of a child. The values of one filter share its text with others that there is room for.
fn usual<L: Leaf>(by: By, text: &str) -> usize {
    match by {
        By::Value => L::USUAL.max(2 * text.len()),
        _ => L::USUAL,
    }
}

/// How many children filters with a literal need: as many as have room for all, those aside that one child holds by
/// itself because they share the literal.
fn width<L: Leaf>(literals: &[(u64, Entry<'_, L::Value>)]) -> usize {
    let needed = |weight: usize| weight.div_ceil(L::USUAL).max(NARROW);
    let all = needed(literals.iter().map(|(_, entry)| L::weigh(entry)).sum());
    let mut weights = vec![0; all];
    for (hash, entry) in literals {
        weights[address(*hash, all)] += L::weigh(entry);
    }
    needed(weights.into_iter().filter(|&weight| weight <= L::FULL).sum())
}
