use std::collections::BTreeMap;

use super::RouteLog;
use crate::{
    topic::TopicFilter,
    wire::{Incarnation, RoutePosition, RouteSnapshot},
};

/// Most filters in one part, well below what a frame may hold.
const MAX_FILTERS: usize = 16_384;

/// Sends a whole route set, part by part in the order of the filters, as it was when the cursor was made. Changes after
/// that follow as deltas.
///
/// ```text
///  log now      a     c  d     f        d was added and e removed since the cursor was made:
///  undone             .  -  +e .        that part of the set is read as c e f
///               └sent┘└─ to come ─┘
/// ```
///
/// It copies nothing ahead. It remembers what the changes since then undo of the part still to come, which the log's
/// ring bounds: once the ring has lost its beginning the cursor is void, as the deltas that have to follow it are gone
/// too.
#[derive(Debug)]
pub struct SnapshotCursor {
    to: RoutePosition,
    /// The last filter that was sent.
    after: Option<TopicFilter>,
    /// Changes up to here are known.
    read: u64,
    /// Of filters that have changed since `to`: whether they were in the set.
    undone: BTreeMap<TopicFilter, bool>,
    part: u32,
    done: bool,
}

impl SnapshotCursor {
    pub(super) fn new(to: RoutePosition) -> Self {
        Self { to, after: None, read: to.seq, undone: BTreeMap::new(), part: 0, done: false }
    }

    /// The next part, of about `max_bytes` of filters and never without one. The one that is `last` ends the snapshot.
    /// `log` is the log that made the cursor.
    ///
    /// `None` if the cursor is void: the log has begun a new life or lost the changes since the cursor was made, or the
    /// last part is out. Costs the filters of the part and the changes since the one before.
    pub fn next_part(&mut self, log: &RouteLog, max_bytes: usize) -> Option<RouteSnapshot> {
        if self.done || self.life(log) != self.to.incarnation || !log.keeps(self.to.seq) {
            return None;
        }
        for (filter, added) in log.ops_since(self.read)? {
            if self.after.as_ref().is_none_or(|after| filter > after) {
                // The first change of a filter says what it was.
                self.undone.entry(filter.clone()).or_insert(!added);
            }
        }
        self.read = log.position().seq;

        let mut filters = Vec::new();
        let mut bytes = 0;
        let mut last = true;
        for filter in self.rest(log) {
            bytes += filter.as_str().len() + 4;
            if !filters.is_empty() && (bytes > max_bytes || filters.len() >= MAX_FILTERS) {
                last = false;
                break;
            }
            filters.push(filter.clone());
        }
        self.done = last;
        if let Some(after) = filters.last() {
            self.undone = self.undone.split_off(after);
            self.undone.remove(after);
            self.after = Some(after.clone());
        }
        let part = self.part;
        self.part = self.part.saturating_add(1);
        Some(RouteSnapshot { to: self.to, part, last, filters })
    }

    /// The state that the snapshot gives.
    pub fn position(&self) -> RoutePosition {
        self.to
    }

    fn life(&self, log: &RouteLog) -> Incarnation {
        log.position().incarnation
    }

    /// What was in the set behind `after`, in order.
    fn rest<'a>(&'a self, log: &'a RouteLog) -> impl Iterator<Item = &'a TopicFilter> {
        let mut now = log.announced_after(self.after.as_ref()).peekable();
        let mut undone = self.undone.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let change = match now.peek() {
                    Some(filter) => undone.next_if(|(changed, _)| changed <= filter),
                    None => undone.next(),
                };
                let Some((changed, was_in)) = change else { return now.next() };
                now.next_if_eq(&changed);
                if *was_in {
                    return Some(changed);
                }
            }
        })
    }
}
