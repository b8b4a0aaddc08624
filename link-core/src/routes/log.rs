use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use super::{RouteDigest, RouteKey, SnapshotCursor};
use crate::{
    index::Trie,
    interest::InterestChange,
    topic::TopicFilter,
    wire::{Incarnation, RouteDelta, RouteOp, RoutePosition},
};

/// The set that this side announces to one peer cluster, and its latest changes. The single writer of that set.
///
/// What is wanted is each filter that local interest and the link's topics have in common, counted by how many pairs
/// make it. What is announced of it leaves out a filter that another announced one covers (`a/#` hides `a/b`), lazily:
/// a covered filter that comes later is not announced, one that was announced before its cover stays. When a cover
/// goes, the filters that it hid are announced before it is withdrawn, so that a reader of the log never misses one.
///
/// One change of interest costs `O(topics · levels · log n)`, and once more for each filter that a withdrawn cover hid.
#[derive(Debug)]
pub struct RouteLog {
    incarnation: Incarnation,
    seq: u64,
    digest: RouteDigest,
    imports: Vec<TopicFilter>,
    wanted: HashMap<TopicFilter, usize, foldhash::fast::RandomState>,
    announced: BTreeSet<TopicFilter>,
    announced_index: Trie<()>,
    hidden: Trie<()>,
    /// The changes `(seq - ring.len(), seq]`.
    ring: VecDeque<RouteOp>,
    capacity: usize,
}

/// How a peer's copy is brought up to date.
#[derive(Debug, PartialEq, Eq)]
pub enum Resume {
    /// It is.
    UpToDate,
    /// By these changes.
    Tail(RouteDelta),
    /// By the whole set.
    Snapshot,
}

impl RouteLog {
    /// An empty log. `imports`: the topics of the link; `ring`: most changes that are kept for a [`Resume::Tail`].
    pub fn new(incarnation: Incarnation, key: RouteKey, imports: Vec<TopicFilter>, ring: usize) -> Self {
        let seed = u64::from_le_bytes([key.0[0], key.0[1], key.0[2], key.0[3], key.0[4], key.0[5], key.0[6], key.0[7]]);
        Self {
            incarnation,
            seq: 0,
            digest: RouteDigest::new(key),
            imports,
            wanted: HashMap::default(),
            announced: BTreeSet::new(),
            announced_index: Trie::new(seed),
            hidden: Trie::new(seed),
            ring: VecDeque::new(),
            capacity: ring,
        }
    }

    /// Takes a change of local interest.
    pub fn apply(&mut self, change: &InterestChange) {
        for at in 0..self.imports.len() {
            match change {
                InterestChange::Added(filter) => {
                    if let Some(route) = self.imports[at].intersect(filter) {
                        self.want(route);
                    }
                }
                InterestChange::Removed(filter) => {
                    if let Some(route) = self.imports[at].intersect(filter) {
                        self.unwant(&route);
                    }
                }
            }
        }
    }

    /// Changes the topics of the link; `interest` is all local interest. Costs one pass over it. The set moves to its
    /// new state by ordinary changes, additions first.
    pub fn set_imports(&mut self, imports: Vec<TopicFilter>, interest: &BTreeSet<TopicFilter>) {
        let old = std::mem::replace(&mut self.imports, imports);
        let gained: Vec<TopicFilter> = self.imports.iter().filter(|import| !old.contains(import)).cloned().collect();
        let lost: Vec<TopicFilter> = old.into_iter().filter(|import| !self.imports.contains(import)).collect();
        for import in &gained {
            for route in interest.iter().filter_map(|filter| import.intersect(filter)) {
                self.want(route);
            }
        }
        for import in &lost {
            for route in interest.iter().filter_map(|filter| import.intersect(filter)) {
                self.unwant(&route);
            }
        }
    }

    /// Begins a new life with the same set: peers that hold an older one compare anew.
    pub fn raise(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.ring.clear();
    }

    /// Brings a peer that holds `holds` up to date.
    pub fn resume(&self, holds: Option<&RoutePosition>) -> Resume {
        let now = self.position();
        match holds {
            Some(holds) if *holds == now => Resume::UpToDate,
            // An equal seq with another digest is divergence: only the whole set mends it.
            Some(holds) if holds.incarnation == self.incarnation && holds.seq < self.seq => {
                self.since(holds.seq).map_or(Resume::Snapshot, Resume::Tail)
            }
            _ => Resume::Snapshot,
        }
    }

    /// The net changes after `seq`, at most one for each filter, or `None` if they are no longer kept.
    pub fn since(&self, seq: u64) -> Option<RouteDelta> {
        let count = usize::try_from(self.seq.checked_sub(seq)?).ok().filter(|count| *count <= self.ring.len())?;
        // A filter that appears twice is in or out as its last change says. Additions go first: a withdrawn cover
        // stands behind what it hid.
        let mut last: BTreeMap<&TopicFilter, bool> = BTreeMap::new();
        for op in self.ring.range(self.ring.len() - count..) {
            match op {
                RouteOp::Add(filter) => last.insert(filter, true),
                RouteOp::Remove(filter) => last.insert(filter, false),
            };
        }
        let (adds, removes): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, added)| *added);
        let ops = adds.into_iter().map(|(filter, _)| RouteOp::Add(filter.clone()));
        let ops = ops.chain(removes.into_iter().map(|(filter, _)| RouteOp::Remove(filter.clone()))).collect();
        Some(RouteDelta { from: seq, to: self.position(), ops })
    }

    /// Begins to send the whole set.
    pub fn snapshot(&self) -> SnapshotCursor {
        SnapshotCursor::new(self.position(), self.announced.iter().cloned().collect())
    }

    /// Where the set stands.
    pub fn position(&self) -> RoutePosition {
        RoutePosition {
            incarnation: self.incarnation,
            seq: self.seq,
            digest: self.digest.digest(),
            count: self.digest.count(),
        }
    }

    /// The key of the digests.
    pub fn key(&self) -> &RouteKey {
        self.digest.key()
    }

    /// The topics of the link.
    pub fn imports(&self) -> &[TopicFilter] {
        &self.imports
    }

    /// The announced filters, in order.
    pub fn announced(&self) -> impl Iterator<Item = &TopicFilter> {
        self.announced.iter()
    }

    /// Number of filters that are wanted and not announced, because an announced one covers them.
    pub fn hidden(&self) -> usize {
        self.hidden.len()
    }

    fn want(&mut self, route: TopicFilter) {
        let count = self.wanted.entry(route.clone()).or_default();
        *count += 1;
        if *count > 1 {
            return;
        }
        if self.announced_index.covers(&route) {
            self.hidden.insert(&route, ());
        } else {
            self.announce(route);
        }
    }

    fn unwant(&mut self, route: &TopicFilter) {
        match self.wanted.get_mut(route) {
            None => return,
            Some(count) if *count > 1 => {
                *count -= 1;
                return;
            }
            Some(_) => drop(self.wanted.remove(route)),
        }
        if self.hidden.remove(route, &()) {
            return;
        }
        if !self.announced.contains(route) {
            return;
        }
        self.announced_index.remove(route, &());
        let mut uncovered: Vec<_> = self.hidden.covered_by(route).map(|(filter, ())| filter).collect();
        // The widest first, so that one which hides others of them is announced before them.
        uncovered
            .sort_by_cached_key(|filter| (!filter.as_str().ends_with('#'), filter.levels().count(), filter.clone()));
        for filter in uncovered {
            if !self.announced_index.covers(&filter) {
                self.hidden.remove(&filter, &());
                self.announce(filter);
            }
        }
        self.announced.remove(route);
        self.digest.remove(route);
        self.record(RouteOp::Remove(route.clone()));
    }

    fn announce(&mut self, route: TopicFilter) {
        self.announced_index.insert(&route, ());
        self.announced.insert(route.clone());
        self.digest.add(&route);
        self.record(RouteOp::Add(route));
    }

    fn record(&mut self, op: RouteOp) {
        self.seq += 1;
        self.ring.push_back(op);
        if self.ring.len() > self.capacity {
            self.ring.pop_front();
        }
    }
}
