use hashbrown::HashMap;

use crate::topic::TopicFilter;

type Children = HashMap<Box<str>, u32, foldhash::fast::FixedState>;

/// A set of topic filters with values, as a tree of levels.
///
/// Share groups are left aside: `$share/g/a` is kept as `a`. The seed of the hash tables is given: peers choose the
/// filters.
#[derive(Debug, Clone)]
pub struct Trie<V> {
    /// Node 0 is the root. Links to node 0 stand for none: nothing links back to the root.
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    filters: usize,
    values: usize,
    hasher: foldhash::fast::FixedState,
}

#[derive(Debug, Clone)]
struct Node<V> {
    parent: u32,
    token: Box<str>,
    children: Option<Box<Children>>,
    /// Child `+`.
    plus: u32,
    /// Child `#`, always a leaf.
    hash: u32,
    filter: Option<TopicFilter>,
    values: Vec<V>,
}

impl<V> Node<V> {
    fn new(parent: u32, token: &str) -> Self {
        Self { parent, token: token.into(), children: None, plus: 0, hash: 0, filter: None, values: Vec::new() }
    }

    fn is_unused(&self) -> bool {
        self.values.is_empty() && self.plus == 0 && self.hash == 0 && self.children.is_none()
    }
}

impl<V: Copy + Eq> Trie<V> {
    /// An empty set.
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: vec![Node::new(0, "")],
            free: Vec::new(),
            filters: 0,
            values: 0,
            hasher: foldhash::fast::FixedState::with_seed(seed),
        }
    }

    /// Adds a value to a filter; `false` if it was there.
    pub fn insert(&mut self, filter: &TopicFilter, value: V) -> bool {
        let plain = filter.without_share();
        let mut node = 0;
        for token in plain.as_str().split('/') {
            node = self.child_or_new(node, token);
        }
        let Some(found) = self.nodes.get_mut(node as usize) else { return false };
        if found.values.contains(&value) {
            return false;
        }
        self.filters += usize::from(found.values.is_empty());
        self.values += 1;
        found.values.push(value);
        found.filter = Some(plain);
        true
    }

    /// Removes a value of a filter; `false` if it was not there.
    pub fn remove(&mut self, filter: &TopicFilter, value: &V) -> bool {
        let plain = filter.without_share();
        let mut at = 0;
        for token in plain.as_str().split('/') {
            at = self.child(at, token);
            if at == 0 {
                return false;
            }
        }
        let Some(node) = self.nodes.get_mut(at as usize) else { return false };
        let Some(position) = node.values.iter().position(|held| held == value) else { return false };
        node.values.swap_remove(position);
        self.values -= 1;
        if node.values.is_empty() {
            node.values = Vec::new();
            node.filter = None;
            self.filters -= 1;
        }
        self.prune(at);
        true
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.filters
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters == 0
    }

    /// Every filter with each of its values, ordered by filter. Sorts, so costs `O(n log n)`.
    pub fn entries(&self) -> Vec<(TopicFilter, V)> {
        let mut nodes: Vec<_> =
            self.nodes.iter().filter_map(|node| Some((node.filter.as_ref()?, &node.values))).collect();
        nodes.sort_by(|a, b| a.0.cmp(b.0));
        nodes
            .into_iter()
            .flat_map(|(filter, values)| values.iter().map(move |value| (filter.clone(), *value)))
            .collect()
    }

    /// Whether any filter matches `topic`. Stops at the first.
    pub fn is_match(&self, topic: &str) -> bool {
        !self.walk(topic, |_| false)
    }

    /// Gives every value of every filter that matches `topic`, once for each filter.
    pub fn for_each_match(&self, topic: &str, mut give: impl FnMut(&V)) {
        self.walk(topic, |values| {
            values.iter().for_each(&mut give);
            true
        });
    }

    /// Whether a filter of the set covers `filter`; the same filter does.
    pub fn covers(&self, filter: &TopicFilter) -> bool {
        let plain = filter.without_share();
        let text = plain.as_str();
        let mut stack = vec![(0u32, Some(0usize))];
        while let Some((at, from)) = stack.pop() {
            let Some(node) = self.nodes.get(at as usize) else { continue };
            let Some(from) = from else {
                // `a/#` covers `a`.
                if !node.values.is_empty() || node.hash != 0 {
                    return true;
                }
                continue;
            };
            let (token, next) = level(text, from);
            let hidden = from == 0 && token.starts_with('$');
            if node.hash != 0 && !hidden {
                return true;
            }
            if token == "#" {
                continue;
            }
            if node.plus != 0 && !hidden {
                stack.push((node.plus, next));
            }
            if token != "+"
                && let Some(child) = node.children.as_ref().and_then(|children| children.get(token))
            {
                stack.push((*child, next));
            }
        }
        false
    }

    /// Every filter of the set that `filter` covers, itself included, in no particular order.
    pub fn covered_by(&self, filter: &TopicFilter) -> Vec<TopicFilter> {
        let plain = filter.without_share();
        let text = plain.as_str();
        let mut found = Vec::new();
        let mut stack = vec![(0u32, Some(0usize))];
        while let Some((at, from)) = stack.pop() {
            let Some(node) = self.nodes.get(at as usize) else { continue };
            let Some(from) = from else {
                found.extend(node.filter.clone());
                continue;
            };
            let (token, next) = level(text, from);
            let visible = |child: &&u32| from != 0 || !self.starts_with_dollar(**child);
            let children = || node.children.iter().flat_map(|children| children.values()).filter(visible).copied();
            match token {
                "#" => {
                    if from != 0 {
                        found.extend(node.filter.clone());
                    }
                    let below = children().chain([node.plus, node.hash].into_iter().filter(|child| *child != 0));
                    below.for_each(|child| self.collect(child, &mut found));
                }
                "+" => stack.extend(children().chain((node.plus != 0).then_some(node.plus)).map(|child| (child, next))),
                _ => {
                    let child = node.children.as_ref().and_then(|children| children.get(token));
                    stack.extend(child.map(|child| (*child, next)));
                }
            }
        }
        found
    }

    /// Walks the nodes that match; `visit` gets the values of each matching filter and says whether to go on. `false`
    /// if it was stopped.
    fn walk(&self, topic: &str, mut visit: impl FnMut(&[V]) -> bool) -> bool {
        if self.filters == 0 {
            return true;
        }
        let mut stack = Stack::new();
        stack.push((0, 0));
        while let Some((at, from)) = stack.pop() {
            let Some(node) = self.nodes.get(at as usize) else { continue };
            let end = from == END;
            let (token, next) = if end { ("", END) } else { level_at(topic, from) };
            let hidden = from == 0 && token.starts_with('$');
            if node.hash != 0
                && !hidden
                && let Some(leaf) = self.nodes.get(node.hash as usize)
                && !visit(&leaf.values)
            {
                return false;
            }
            if end {
                if !node.values.is_empty() && !visit(&node.values) {
                    return false;
                }
                continue;
            }
            if node.plus != 0 && !hidden {
                stack.push((node.plus, next));
            }
            if let Some(child) = node.children.as_ref().and_then(|children| children.get(token)) {
                stack.push((*child, next));
            }
        }
        true
    }

    /// Every filter from a node on.
    fn collect(&self, top: u32, found: &mut Vec<TopicFilter>) {
        let mut stack = vec![top];
        while let Some(at) = stack.pop() {
            let Some(node) = self.nodes.get(at as usize) else { continue };
            found.extend(node.filter.clone());
            stack.extend([node.plus, node.hash].into_iter().filter(|child| *child != 0));
            stack.extend(node.children.iter().flat_map(|children| children.values()));
        }
    }

    fn starts_with_dollar(&self, node: u32) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| node.token.starts_with('$'))
    }

    fn child(&self, at: u32, token: &str) -> u32 {
        let Some(node) = self.nodes.get(at as usize) else { return 0 };
        match token {
            "+" => node.plus,
            "#" => node.hash,
            _ => node.children.as_ref().and_then(|children| children.get(token)).copied().unwrap_or(0),
        }
    }

    fn child_or_new(&mut self, at: u32, token: &str) -> u32 {
        let found = self.child(at, token);
        if found != 0 {
            return found;
        }
        let node = Node::new(at, token);
        let new = match self.free.pop() {
            Some(free) => {
                self.nodes[free as usize] = node;
                free
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        let hasher = self.hasher.clone();
        let parent = &mut self.nodes[at as usize];
        match token {
            "+" => parent.plus = new,
            "#" => parent.hash = new,
            _ => {
                let children = parent.children.get_or_insert_with(|| Box::new(Children::with_hasher(hasher)));
                children.insert(token.into(), new);
            }
        }
        new
    }

    /// Frees a node and its ancestors as far as nothing uses them.
    fn prune(&mut self, mut at: u32) {
        while at != 0 {
            let node = &mut self.nodes[at as usize];
            if !node.is_unused() {
                return;
            }
            let (parent, token) = (node.parent, std::mem::take(&mut node.token));
            self.free.push(at);
            let above = &mut self.nodes[parent as usize];
            match &*token {
                "+" => above.plus = 0,
                "#" => above.hash = 0,
                _ => {
                    if let Some(children) = &mut above.children {
                        children.remove(&token);
                        if children.is_empty() {
                            above.children = None;
                        } else if children.len() * 8 < children.capacity() {
                            children.shrink_to_fit();
                        }
                    }
                }
            }
            at = parent;
        }
    }
}

/// The level that begins at byte `from`, and where the next one begins.
fn level(text: &str, from: usize) -> (&str, Option<usize>) {
    let rest = text.get(from..).unwrap_or_default();
    match rest.bytes().position(|byte| byte == b'/') {
        Some(length) => (&rest[..length], Some(from + length + 1)),
        None => (rest, None),
    }
}

/// Stands for the end of a topic.
const END: u32 = u32::MAX;

fn level_at(text: &str, from: u32) -> (&str, u32) {
    let (token, next) = level(text, from as usize);
    (token, next.and_then(|next| u32::try_from(next).ok()).unwrap_or(END))
}

/// A stack that allocates only for topics of more levels than it has room for in place.
struct Stack {
    inline: [(u32, u32); 32],
    used: usize,
    spilled: Vec<(u32, u32)>,
}

impl Stack {
    fn new() -> Self {
        Self { inline: [(0, 0); 32], used: 0, spilled: Vec::new() }
    }

    fn push(&mut self, entry: (u32, u32)) {
        match self.inline.get_mut(self.used) {
            Some(place) => {
                *place = entry;
                self.used += 1;
            }
            None => self.spilled.push(entry),
        }
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        if let Some(entry) = self.spilled.pop() {
            return Some(entry);
        }
        self.used = self.used.checked_sub(1)?;
        self.inline.get(self.used).copied()
    }
}
