use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Bound, Range},
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    Cells, Covering, RouteId, RouteKey, SKETCH_FROM, SnapshotCursor,
    outline::Outline,
    table::{RouteTable, id_of},
    view::View,
};
use crate::{
    interest::InterestChange,
    mutant::{self, Mutant},
    topic::TopicFilter,
    wire::{Digest, Incarnation, RouteDelta, RouteOp, RoutePosition},
};

/// The set that this side announces to one peer cluster, and its latest changes. The single writer of that set.
///
/// What is wanted is each filter that local interest and the link's topics have in common, counted by how many filters
/// of interest make it. What is announced of it leaves out a filter that another announced one covers (`a/#` hides
/// `a/b`), lazily: a covered filter that comes later is not announced, one that was announced before its cover stays, for
/// a while at least. When a cover goes, the filters that it hid are announced before it is withdrawn, so that a reader of
/// the log never misses one. With a [`Covering`] both are done little by little.
///
/// One change of interest costs `O(topics · levels · log n)`, and beside that a bounded walk over what covers hide;
/// without a [`Covering`] a walk over all that may be hidden by a withdrawn cover.
/// A kept change costs about 100 bytes; the texts of filters are shared. Logs of the same topics can share the set, see
/// [`SharedLogs`](super::SharedLogs); one that is changed alone has its own from then on.
#[derive(Debug)]
pub struct RouteLog {
    incarnation: Incarnation,
    pub(super) seq: u64,
    outline: Outline,
    pub(super) view: Arc<View>,
    /// Where it came to a view that another log had.
    pub(super) joined: u64,
    /// The announced filters, by their ids. A log that shares its view makes it when it is first asked for.
    pub(super) ids: OnceLock<RouteTable<()>>,
    /// The changes `(seq - ring.len(), seq]`.
    ring: VecDeque<Change>,
    capacity: usize,
}

/// One change, and the set's digest and count after it.
#[derive(Debug)]
struct Change {
    op: RouteOp,
    digest: Digest,
    count: u64,
}

/// How a peer's copy is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// It is.
    UpToDate,
    /// By the changes [since](RouteLog::since) this seq.
    Tail {
        /// What the peer holds.
        from: u64,
    },
    /// By the whole set.
    Snapshot,
}

/// Most changes in one delta, well below what a frame may hold.
const MAX_OPS: usize = 16_384;

/// So many changes beyond the size of the set are still sent one by one; with more the whole set is shorter.
const SHORT_TAIL: u64 = 64;

impl RouteLog {
    /// An empty log. `imports`: the topics of the link; `ring`: most changes that are kept for a [`Resume::Tail`].
    pub fn new(incarnation: Incarnation, key: RouteKey, imports: Vec<TopicFilter>, ring: usize) -> Self {
        Self {
            incarnation,
            seq: 0,
            outline: Outline::new(key, SKETCH_FROM),
            view: Arc::new(View::new(imports, key.seed())),
            joined: 0,
            ids: OnceLock::from(RouteTable::new(key)),
            ring: VecDeque::new(),
            capacity: ring,
        }
    }

    /// From so many routes on it follows a sketch of the set; [`SKETCH_FROM`] if this is not called. To be called while the
    /// set is empty.
    pub fn set_sketch_from(&mut self, routes: usize) {
        self.outline = Outline::new(*self.key(), routes);
    }

    /// Takes changes of local interest as one step. The changes of the set that follow are in the log in an order in
    /// which each addition comes before each removal.
    pub fn apply(&mut self, changes: &[InterestChange]) {
        let ops = Arc::make_mut(&mut self.view).apply(changes);
        self.record(ops);
    }

    /// Changes the topics of the link; `interest` is exactly what the applied changes add up to. Costs one pass over
    /// it. The set moves to its new state by ordinary changes, additions first.
    pub fn set_imports<'a>(&mut self, imports: Vec<TopicFilter>, interest: impl IntoIterator<Item = &'a TopicFilter>) {
        let seed = self.key().seed();
        let ops = Arc::make_mut(&mut self.view).set_imports(imports, interest, seed);
        self.record(ops);
    }

    /// Sets how fast covering follows what is wanted. Without it, what a withdrawn cover hid is announced at once, and what
    /// was announced before its cover stays; with it, both go on bit by bit, in [`advance`](Self::advance).
    pub fn set_covering(&mut self, covering: Covering) {
        Arc::make_mut(&mut self.view).set_covering(covering);
    }

    /// It is so late, since any fixed start: what covering may do by [`apply`](Self::apply) depends on it.
    pub fn set_now(&mut self, now: Duration) {
        Arc::make_mut(&mut self.view).set_now(now);
    }

    /// Goes on with what covering has to do. `acked`: the seq that every connected peer has acknowledged, `None` without
    /// one.
    pub fn advance(&mut self, now: Duration, acked: Option<u64>) {
        let acked = acked.map(|seq| self.in_view(seq));
        let ops = Arc::make_mut(&mut self.view).advance(now, acked);
        self.record(ops);
    }

    /// When [`advance`](Self::advance) is due, if nothing else happens. An acknowledgement may make it due earlier.
    pub fn next_advance(&self) -> Option<Duration> {
        self.view.next_advance()
    }

    /// Whether [`advance`](Self::advance) has something to do once peers have acknowledged more.
    pub fn awaits_acknowledgement(&self) -> bool {
        self.view.awaits_acknowledgement()
    }

    /// Begins a new life with the same set: peers that hold an older one compare anew.
    pub fn raise(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.ring.clear();
    }

    /// Says how a peer that holds `holds` is brought up to date. A peer that holds a later life than this log's is
    /// helped by none of it: [`raise`](Self::raise) above that life first.
    pub fn resume(&self, holds: Option<&RoutePosition>) -> Resume {
        let Some(holds) = holds.filter(|holds| holds.incarnation == self.incarnation || mutant::on(Mutant::OtherLife))
        else {
            return Resume::Snapshot;
        };
        if *holds == self.position() {
            return Resume::UpToDate;
        }
        let here = holds.seq < self.seq && self.keeps(holds.seq);
        // The same point with another digest is divergence: only the whole set mends it.
        let same = self.after(holds.seq).is_none_or(|at| at.digest == holds.digest && at.count == holds.count);
        let short = self.seq.saturating_sub(holds.seq) <= self.outline.count().saturating_add(SHORT_TAIL);
        if here && same && short { Resume::Tail { from: holds.seq } } else { Resume::Snapshot }
    }

    /// The changes after `seq`, as far as about `max_bytes` of filters go, net: one for each filter, with additions
    /// first. Always one change at least; where they end says `to`. `None` if they are no longer kept.
    ///
    /// A filter that was added and removed again is in it as removed, so that the delta holds from each seq in between.
    pub fn since(&self, seq: u64, max_bytes: usize) -> Option<RouteDelta> {
        let mut to = self.position();
        let mut last: BTreeMap<&TopicFilter, bool> = BTreeMap::new();
        let mut bytes = 0;
        for (taken, change) in self.changes_since(seq)?.enumerate() {
            let (filter, added) = parts(&change.op);
            bytes += filter.as_str().len() + 4;
            if taken > 0 && (bytes > max_bytes || taken >= MAX_OPS) {
                break;
            }
            last.insert(filter, added);
            to = RoutePosition { seq: seq + taken as u64 + 1, digest: change.digest, count: change.count, ..to };
        }
        // Additions first: a withdrawn cover stands behind what it hid.
        let adds = last.iter().filter(|(_, added)| **added).map(|(filter, _)| RouteOp::Add((*filter).clone()));
        let removes = last.iter().filter(|(_, added)| !**added).map(|(filter, _)| RouteOp::Remove((*filter).clone()));
        Some(RouteDelta { from: seq, to, ops: adds.chain(removes).collect() })
    }

    /// Whether the changes after `seq` are kept.
    pub fn keeps(&self, seq: u64) -> bool {
        self.back(seq).is_some()
    }

    /// Whether what a peer holds is a point of this log. A point that is no longer kept is taken on trust.
    pub fn agrees(&self, holds: &RoutePosition) -> bool {
        let there = match self.after(holds.seq) {
            _ if holds.seq == self.seq => (self.outline.digest(), self.outline.count()),
            Some(at) => (at.digest, at.count),
            None => return holds.seq < self.seq && holds.incarnation == self.incarnation,
        };
        holds.incarnation == self.incarnation && (holds.digest, holds.count) == there
    }

    /// The lowest seq of which the changes since are kept.
    pub fn kept_from(&self) -> u64 {
        self.seq - self.ring.len() as u64
    }

    /// Cells of a sketch of the set as it was at `seq`, since when the changes are kept. Costs a look at each route.
    pub(super) fn cells_at(&self, seq: u64, range: Range<usize>) -> Cells {
        let mut cells =
            Cells::build(self.key(), range, self.view.announced().keys().map(|route| id_of(self.key(), route)));
        let since = self.changes_since(seq).into_iter().flatten().filter(|_| !mutant::on(Mutant::CellsOfNow));
        cells.toggle_all(since.map(|change| id_of(self.key(), parts(&change.op).0)));
        cells
    }

    fn ids(&self) -> &RouteTable<()> {
        self.ids.get_or_init(|| {
            let mut ids = RouteTable::new(*self.key());
            for route in self.view.announced().keys() {
                ids.insert(id_of(self.key(), route), route.clone(), ());
            }
            ids
        })
    }

    /// The set as it was at `seq`; `None` if the changes since are not kept.
    pub(super) fn past(&self, seq: u64) -> Option<Past<'_>> {
        let mut changed = BTreeMap::new();
        for change in self.changes_since(seq)? {
            let (filter, added) = parts(&change.op);
            // The first change of a filter says what it was.
            changed.entry(id_of(self.key(), filter)).or_insert((!added).then_some(filter));
        }
        Some(Past { log: self, changed })
    }

    pub(super) fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Begins to send the whole set.
    pub fn snapshot(&self) -> SnapshotCursor {
        SnapshotCursor::new(self.position())
    }

    /// Where the set stands.
    pub fn position(&self) -> RoutePosition {
        RoutePosition {
            incarnation: self.incarnation,
            seq: self.seq,
            digest: self.outline.digest(),
            count: self.outline.count(),
        }
    }

    /// The key of the digests.
    pub fn key(&self) -> &RouteKey {
        self.outline.key()
    }

    /// The topics of the link, without those that another one covers.
    pub fn imports(&self) -> &[TopicFilter] {
        self.view.imports()
    }

    /// The announced filters, in order.
    pub fn announced(&self) -> impl Iterator<Item = &TopicFilter> {
        self.view.announced().keys()
    }

    /// Number of filters that are wanted and not announced, because an announced one covers them.
    pub fn hidden(&self) -> usize {
        self.view.hidden()
    }

    /// Number of filters that nobody wants any more, and that stay announced until what they hid is.
    pub fn lingering(&self) -> usize {
        self.view.lingering()
    }

    /// The announced filters behind `after`, in order.
    pub(super) fn announced_after(&self, after: Option<&TopicFilter>) -> impl Iterator<Item = &TopicFilter> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.view.announced().range::<TopicFilter, _>((from, Bound::Unbounded)).map(|(filter, _)| filter)
    }

    /// The changes after `seq` one by one, each with whether it is an addition.
    pub(super) fn ops_since(&self, seq: u64) -> Option<impl Iterator<Item = (&TopicFilter, bool)>> {
        Some(self.changes_since(seq)?.map(|change| parts(&change.op)))
    }

    fn changes_since(&self, seq: u64) -> Option<impl Iterator<Item = &Change>> {
        Some(self.ring.range(self.ring.len() - self.back(seq)?..))
    }

    /// How many kept changes come after `seq`.
    fn back(&self, seq: u64) -> Option<usize> {
        let back = usize::try_from(self.seq.checked_sub(seq)?).ok()?;
        if mutant::on(Mutant::RingBase) && back == self.ring.len() + 1 {
            return Some(self.ring.len());
        }
        Some(back).filter(|back| *back <= self.ring.len())
    }

    /// The change that made `seq`, if it is kept.
    fn after(&self, seq: u64) -> Option<&Change> {
        self.ring.get(self.ring.len().checked_sub(self.back(seq)?)?.checked_sub(1)?)
    }

    pub(super) fn record(&mut self, ops: Vec<RouteOp>) {
        for op in ops {
            let (RouteOp::Add(filter) | RouteOp::Remove(filter)) = &op;
            let hash = self.key().hash(filter.as_str());
            match &op {
                RouteOp::Add(filter) => {
                    self.outline.enter(hash);
                    if let Some(ids) = self.ids.get_mut() {
                        ids.insert(RouteId::from_hash(hash), filter.clone(), ());
                    }
                }
                RouteOp::Remove(filter) => {
                    self.outline.leave(hash);
                    if let Some(ids) = self.ids.get_mut() {
                        ids.remove(RouteId::from_hash(hash), filter);
                    }
                }
            }
            self.seq += 1;
            self.ring.push_back(Change { op, digest: self.outline.digest(), count: self.outline.count() });
            if self.ring.len() > self.capacity && !mutant::on(Mutant::EndlessRing) {
                self.ring.pop_front();
            }
        }
    }
}

/// A log as it was.
pub(super) struct Past<'a> {
    log: &'a RouteLog,
    /// Of routes that have changed since: the filter, if it was in the set.
    changed: BTreeMap<RouteId, Option<&'a TopicFilter>>,
}

impl Past<'_> {
    /// The filter with this id, if one was in the set.
    pub(super) fn filter(&self, id: RouteId) -> Option<&TopicFilter> {
        match self.changed.get(&id) {
            Some(filter) => *filter,
            None => self.log.ids().by_id(id).map(|(filter, ())| filter),
        }
    }
}

fn parts(op: &RouteOp) -> (&TopicFilter, bool) {
    match op {
        RouteOp::Add(filter) => (filter, true),
        RouteOp::Remove(filter) => (filter, false),
    }
}
