//! What local clients are subscribed to, and when that begins or ends to matter to a peer.
//!
//! ```text
//!  c1 subscribes t/1        t/1: 1   ──▶ Added(t/1)
//!  c2 subscribes t/1        t/1: 2
//!  c1 subscribes t/1 again  t/1: 2        a repetition counts once
//!  c1 is gone               t/1: 1
//!  c2 unsubscribes t/1      t/1: 0   ──▶ Removed(t/1)
//! ```
//!
//! The invariant: applying every [`InterestChange`] that was drained, in order, gives exactly the filters with at least
//! one subscriber at the last drain. Changes that undo each other between two drains do not appear, so what waits to be
//! drained is never more than the filters that differ.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::topic::TopicFilter;

/// A topic filter gained its first or lost its last local subscriber. Never has a share group: a message is wanted
/// whoever of a group gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterestChange {
    /// Somebody is subscribed now.
    Added(TopicFilter),
    /// Nobody is subscribed any more.
    Removed(TopicFilter),
}

/// Who is subscribed to what.
///
/// Filters under `$LINK/` are ignored: they belong to the links themselves. Each call costs `O(log n)` of one
/// subscriber's filters and a hash lookup.
#[derive(Debug, Default)]
pub struct Subscriptions {
    subscribers: HashMap<Box<str>, Subscriber, foldhash::fast::RandomState>,
    counts: HashMap<TopicFilter, usize, foldhash::fast::RandomState>,
    /// Filters whose interest differs from what was drained last, with what it was then.
    pending: BTreeMap<TopicFilter, bool>,
    calls: u64,
}

#[derive(Debug, Default)]
struct Subscriber {
    filters: BTreeSet<TopicFilter>,
    /// The call that touched it last.
    touched: u64,
}

/// A moment in the history of a [`Subscriptions`], from before a snapshot was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl Subscriptions {
    /// Nobody is subscribed to anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A subscriber has a filter from now on.
    pub fn subscribe(&mut self, subscriber: &str, filter: &TopicFilter) {
        if is_reserved(filter) {
            return;
        }
        self.calls += 1;
        let record = match self.subscribers.get_mut(subscriber) {
            Some(record) => record,
            None => self.subscribers.entry(subscriber.into()).or_default(),
        };
        record.touched = self.calls;
        if record.filters.insert(filter.clone()) {
            self.count(filter, true);
        }
    }

    /// A subscriber no longer has a filter.
    pub fn unsubscribe(&mut self, subscriber: &str, filter: &TopicFilter) {
        self.calls += 1;
        let Some(record) = self.subscribers.get_mut(subscriber) else { return };
        record.touched = self.calls;
        let removed = record.filters.remove(filter);
        if record.filters.is_empty() {
            self.subscribers.remove(subscriber);
        }
        if removed {
            self.count(filter, false);
        }
    }

    /// A subscriber is gone with all its filters.
    pub fn remove_subscriber(&mut self, subscriber: &str) {
        self.calls += 1;
        if let Some(record) = self.subscribers.remove(subscriber) {
            for filter in &record.filters {
                self.count(filter, false);
            }
        }
    }

    /// Marks the moment before a snapshot of the truth is taken.
    pub fn moment(&self) -> Moment {
        Moment(self.calls)
    }

    /// Replaces all that is known by `snapshot`, taken after `since`. A subscriber that was touched after `since` keeps
    /// what it has: the snapshot may be older.
    pub fn reconcile(&mut self, since: Moment, snapshot: impl IntoIterator<Item = (String, TopicFilter)>) {
        let mut truth: BTreeMap<String, BTreeSet<TopicFilter>> = BTreeMap::new();
        for (subscriber, filter) in snapshot {
            if !is_reserved(&filter) {
                truth.entry(subscriber).or_default().insert(filter);
            }
        }
        let known: BTreeMap<Box<str>, u64> =
            self.subscribers.iter().map(|(name, record)| (name.clone(), record.touched)).collect();
        for (name, touched) in known {
            if touched > since.0 {
                truth.remove(&*name);
                continue;
            }
            let wanted = truth.get(&*name);
            let held = self.subscribers.get(&name).map(|record| record.filters.clone()).unwrap_or_default();
            for filter in held.iter().filter(|filter| !wanted.is_some_and(|wanted| wanted.contains(*filter))) {
                self.unsubscribe(&name, filter);
            }
        }
        for (name, filters) in truth {
            for filter in filters {
                self.subscribe(&name, &filter);
            }
        }
    }

    /// What changed since the last drain, net, ordered by filter.
    pub fn drain(&mut self) -> Vec<InterestChange> {
        let change =
            |(filter, before)| if before { InterestChange::Removed(filter) } else { InterestChange::Added(filter) };
        std::mem::take(&mut self.pending).into_iter().map(change).collect()
    }

    /// Number of filters with a subscriber.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nobody is subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn count(&mut self, filter: &TopicFilter, add: bool) {
        let filter = filter.without_share();
        let turned = if add {
            let count = self.counts.entry(filter.clone()).or_default();
            *count += 1;
            *count == 1
        } else {
            match self.counts.get_mut(&filter) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    false
                }
                Some(_) => self.counts.remove(&filter).is_some(),
                None => false,
            }
        };
        // A second turn undoes the first.
        if turned && self.pending.remove(&filter).is_none() {
            self.pending.insert(filter, !add);
        }
    }
}

fn is_reserved(filter: &TopicFilter) -> bool {
    filter.without_share().as_str().split('/').next() == Some("$LINK")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_first_and_the_last_subscriber_matter() {
        let mut table = Subscriptions::new();
        table.subscribe("c1", &filter("t/1"));
        assert_eq!(table.drain(), [InterestChange::Added(filter("t/1"))]);
        table.subscribe("c1", &filter("t/1"));
        table.subscribe("c2", &filter("$share/g/t/1"));
        table.unsubscribe("c1", &filter("t/1"));
        table.unsubscribe("c1", &filter("t/1"));
        table.unsubscribe("nobody", &filter("t/1"));
        assert_eq!(table.drain(), []);
        table.remove_subscriber("c2");
        assert_eq!(table.drain(), [InterestChange::Removed(filter("t/1"))]);
        assert!(table.is_empty());
    }

    #[test]
    fn what_is_undone_before_the_drain_does_not_appear() {
        let mut table = Subscriptions::new();
        table.subscribe("c", &filter("a"));
        table.unsubscribe("c", &filter("a"));
        assert_eq!(table.drain(), []);
        table.subscribe("c", &filter("a"));
        table.drain();
        table.unsubscribe("c", &filter("a"));
        table.subscribe("c", &filter("a"));
        assert_eq!(table.drain(), []);
    }

    #[test]
    fn the_links_own_topics_are_no_interest() {
        let mut table = Subscriptions::new();
        table.subscribe("from-eu-1", &filter("$LINK/v1/eu/eu-1/down/0/0"));
        table.subscribe("from-eu-1", &filter("$share/g/$LINK/x"));
        assert_eq!(table.drain(), []);
    }

    #[test]
    fn a_snapshot_does_not_undo_what_came_after_it_was_begun() {
        let mut table = Subscriptions::new();
        table.subscribe("old", &filter("gone"));
        table.subscribe("kept", &filter("kept"));
        let moment = table.moment();
        let snapshot = vec![("kept".to_owned(), filter("kept")), ("missed".to_owned(), filter("missed"))];
        table.subscribe("late", &filter("late"));
        table.reconcile(moment, snapshot);
        let added = |text| InterestChange::Added(filter(text));
        assert_eq!(table.drain(), [added("kept"), added("late"), added("missed")]);
    }

    proptest! {
        #[test]
        fn drained_changes_add_up_to_the_filters_with_a_subscriber(
            calls in prop::collection::vec((0u8..4, 0u8..3, 0u8..4), 0..200)
        ) {
            let mut table = Subscriptions::new();
            let mut model: BTreeSet<(u8, u8)> = BTreeSet::new();
            let mut drained: BTreeSet<String> = BTreeSet::new();
            for (call, client, name) in calls {
                let (client_id, f) = (client.to_string(), filter(&name.to_string()));
                match call {
                    0 => { table.subscribe(&client_id, &f); model.insert((client, name)); }
                    1 => { table.unsubscribe(&client_id, &f); model.remove(&(client, name)); }
                    2 => { table.remove_subscriber(&client_id); model.retain(|(c, _)| *c != client); }
                    _ => for change in table.drain() {
                        match change {
                            InterestChange::Added(f) => prop_assert!(drained.insert(f.as_str().to_owned())),
                            InterestChange::Removed(f) => prop_assert!(drained.remove(f.as_str())),
                        }
                    }
                }
            }
            for change in table.drain() {
                match change {
                    InterestChange::Added(f) => prop_assert!(drained.insert(f.as_str().to_owned())),
                    InterestChange::Removed(f) => prop_assert!(drained.remove(f.as_str())),
                }
            }
            let expected: BTreeSet<String> = model.iter().map(|(_, name)| name.to_string()).collect();
            prop_assert_eq!(drained, expected);
        }
    }
}
