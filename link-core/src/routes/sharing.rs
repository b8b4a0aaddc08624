//! Logs of links with the same topics share what is large about them: what is wanted, what is announced of it, what that
//! covers.
//!
//! ```text
//!  link a, key a, seq, ring ──┐
//!  link b, key b, seq, ring ──┼──▶ view of `fleet/#`: wanted and announced filters, with counts; index of covers
//!  link c, key c, seq, ring ──┘
//!  link d, key d, seq, ring ─────▶ view of `+/b`
//! ```
//!
//! Each log keeps a history and a key of its own, so that a log can come to a view, leave it and come back by ordinary
//! changes, and no peer knows the key of another one's digests.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    RouteLog,
    view::{View, breadth, reduce},
};
use crate::{interest::InterestChange, topic::TopicFilter, wire::RouteOp};

/// Logs that share one view, changed together: the work that does not depend on the key is done once.
#[derive(Debug)]
pub struct SharedLogs<'a> {
    first: &'a mut RouteLog,
    rest: Vec<&'a mut RouteLog>,
}

impl<'a> SharedLogs<'a> {
    /// Puts those together that share a view. Costs a comparison with each view.
    pub fn group(logs: impl IntoIterator<Item = &'a mut RouteLog>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for log in logs {
            match groups.iter_mut().find(|group| group.first.shares_with(log)) {
                Some(group) => group.rest.push(log),
                None => groups.push(Self { first: log, rest: Vec::new() }),
            }
        }
        groups
    }

    /// As [`RouteLog::apply`], at a time since any fixed start.
    pub fn apply(&mut self, now: Duration, changes: &[InterestChange]) {
        self.change(|view| {
            view.set_now(now);
            view.apply(changes)
        });
    }

    /// As [`RouteLog::advance`]. `acked`: what all connected peers of all these logs have acknowledged, as
    /// [`RouteLog::in_view`] says it; `None` if no log has any.
    pub fn advance(&mut self, now: Duration, acked: Option<u64>) {
        self.change(|view| view.advance(now, acked));
    }

    fn change(&mut self, change: impl FnOnce(&mut View) -> Vec<RouteOp>) {
        if !self.rest.is_empty() {
            // The others let go, so that the view is changed and not copied.
            let nothing = Arc::new(View::new(Vec::new(), 0));
            self.rest.iter_mut().for_each(|log| log.view = nothing.clone());
        }
        let ops = change(Arc::make_mut(&mut self.first.view));
        for log in &mut self.rest {
            log.view = self.first.view.clone();
            log.record(ops.clone());
        }
        self.first.record(ops);
    }
}

impl RouteLog {
    /// Whether both have the same view, and so the same set.
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view, &other.view)
    }

    /// Whether these topics come to the same as those of this log.
    pub fn has_imports(&self, imports: &[TopicFilter]) -> bool {
        self.imports() == reduce(imports.to_vec(), self.key().seed())
    }

    /// Takes the view of another log. The set moves there by ordinary changes, additions first.
    pub fn join(&mut self, other: &Self) {
        if self.shares_with(other) {
            return;
        }
        let (old, new) = (self.view.announced(), other.view.announced());
        let mut added: Vec<&TopicFilter> = new.keys().filter(|route| !old.contains_key(*route)).collect();
        added.sort_by_cached_key(|route| breadth(route));
        let removed: BTreeSet<&TopicFilter> = old.keys().filter(|route| !new.contains_key(*route)).collect();
        let ops = added.into_iter().cloned().map(RouteOp::Add);
        let ops = ops.chain(removed.into_iter().cloned().map(RouteOp::Remove)).collect();
        self.view = other.view.clone();
        self.ids = OnceLock::new();
        self.record(ops);
        self.joined = self.seq;
    }

    /// A seq of this log as its view counts; 0 for one before it has come to it.
    pub fn in_view(&self, seq: u64) -> u64 {
        if seq < self.joined {
            return 0;
        }
        // Both have counted the same changes since then.
        seq.saturating_add(self.view.made()).saturating_sub(self.seq)
    }
}
