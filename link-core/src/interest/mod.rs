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

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Who left, and in which call; the latest [`MAX_LEFT`], from the first [`Moment`] on.
    left: VecDeque<(u64, Box<str>)>,
    watched: bool,
    calls: u64,
}

/// Most subscribers whose leaving is remembered, for the snapshots that are on their way.
const MAX_LEFT: usize = 16_384;

#[derive(Debug, Default)]
struct Subscriber {
    filters: BTreeSet<TopicFilter>,
    /// The call that touched it last.
    touched: u64,
}

/// A moment in the history of a [`Subscriptions`], from before a snapshot was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

/// Every subscription that exists at one moment. Making one is the sorting, which needs no access to the
/// [`Subscriptions`] that it will replace.
#[derive(Debug, Clone, Default)]
pub struct Snapshot(BTreeMap<String, BTreeSet<TopicFilter>>);

impl FromIterator<(String, TopicFilter)> for Snapshot {
    fn from_iter<I: IntoIterator<Item = (String, TopicFilter)>>(subscriptions: I) -> Self {
        let mut truth: BTreeMap<String, BTreeSet<TopicFilter>> = BTreeMap::new();
        for (subscriber, filter) in subscriptions {
            if !is_reserved(&filter) {
                truth.entry(subscriber).or_default().insert(filter);
            }
        }
        Self(truth)
    }
}

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
            self.leave(subscriber.into());
        }
        if removed {
            self.count(filter, false);
        }
    }

    /// A subscriber is gone with all its filters.
    pub fn remove_subscriber(&mut self, subscriber: &str) {
        self.calls += 1;
        self.leave(subscriber.into());
        if let Some(record) = self.subscribers.remove(subscriber) {
            for filter in &record.filters {
                self.count(filter, false);
            }
        }
    }

    /// Marks the moment before a snapshot of the truth is taken.
    pub fn moment(&mut self) -> Moment {
        self.watched = true;
        Moment(self.calls)
    }

    /// Replaces all that is known by `snapshot`, taken after `since`. A subscriber that was touched after `since` keeps
    /// what it has, and one that left does not come back: the snapshot may be older.
    ///
    /// Costs one pass over both. If more than 16,384 subscribers left after `since`, some may come back, until the next
    /// snapshot: to want too much for a while loses no message.
    pub fn reconcile(&mut self, since: Moment, snapshot: Snapshot) {
        self.calls += 1;
        let mut truth = snapshot.0;
        for (_, name) in self.left.iter().rev().take_while(|(call, _)| *call > since.0) {
            if !self.subscribers.contains_key(name) {
                truth.remove(&**name);
            }
        }
        let mut turned = Vec::new();
        let mut left = BTreeSet::new();
        // The order of the hash map does not show: counts add up in any order.
        for (name, record) in &mut self.subscribers {
            let wanted = truth.remove(&**name).unwrap_or_default();
            if record.touched > since.0 || record.filters == wanted {
                continue;
            }
            if wanted.is_empty() {
                left.insert(name.clone());
            }
            let held = std::mem::replace(&mut record.filters, wanted);
            record.touched = self.calls;
            turned.extend(held.difference(&record.filters).map(|filter| (filter.clone(), false)));
            turned.extend(record.filters.difference(&held).map(|filter| (filter.clone(), true)));
        }
        for name in left {
            self.subscribers.remove(&name);
            self.leave(name);
        }
        for (name, filters) in truth {
            turned.extend(filters.iter().map(|filter| (filter.clone(), true)));
            self.subscribers.insert(name.into(), Subscriber { filters, touched: self.calls });
        }
        for (filter, add) in turned {
            self.count(&filter, add);
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

    fn leave(&mut self, subscriber: Box<str>) {
        if !self.watched {
            return;
        }
        if self.left.len() >= MAX_LEFT {
            self.left.pop_front();
        }
        self.left.push_back((self.calls, subscriber));
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
    filter.levels().next() == Some("$LINK")
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
        table.subscribe("late", &filter("late"));
        table.reconcile(moment, snapshot(&[("kept", "kept"), ("missed", "missed")]));
        let added = |text| InterestChange::Added(filter(text));
        assert_eq!(table.drain(), [added("kept"), added("late"), added("missed")]);
    }

    #[test]
    fn who_left_after_a_snapshot_was_begun_does_not_come_back() {
        let mut table = Subscriptions::new();
        let old = snapshot(&[("c1", "a"), ("c2", "b"), ("c3", "c"), ("never heard of", "d")]);
        table.subscribe("c1", &filter("a"));
        table.subscribe("c2", &filter("b"));
        table.subscribe("c3", &filter("c"));
        let moment = table.moment();
        table.remove_subscriber("c1");
        table.unsubscribe("c2", &filter("b"));
        table.remove_subscriber("c3");
        table.remove_subscriber("never heard of");
        table.subscribe("c3", &filter("c/again"));
        table.drain();
        table.reconcile(moment, old.clone());
        assert_eq!(table.drain(), []);
        // A snapshot that was begun later knows better.
        let moment = table.moment();
        table.reconcile(moment, old);
        let added = ["a", "b", "c"].map(|text| InterestChange::Added(filter(text)));
        let (again, d) = (InterestChange::Removed(filter("c/again")), InterestChange::Added(filter("d")));
        assert_eq!(table.drain(), added.into_iter().chain([again, d]).collect::<Vec<_>>());
    }

    #[test]
    fn an_older_snapshot_does_not_undo_a_newer_one() {
        let mut table = Subscriptions::new();
        table.subscribe("c1", &filter("a"));
        table.subscribe("c2", &filter("b"));
        let (older, newer) = (table.moment(), table.moment());
        table.reconcile(newer, snapshot(&[("c1", "x"), ("c3", "c")]));
        table.drain();
        table.reconcile(older, snapshot(&[("c1", "a"), ("c2", "b")]));
        assert_eq!(table.drain(), []);
    }

    #[test]
    fn who_left_is_remembered_within_limits() {
        let mut table = Subscriptions::new();
        table.remove_subscriber("before any snapshot");
        assert!(table.left.is_empty());
        table.moment();
        (0..MAX_LEFT + 10).for_each(|n| table.remove_subscriber(&n.to_string()));
        assert_eq!(table.left.len(), MAX_LEFT);
    }

    fn snapshot(pairs: &[(&str, &str)]) -> Snapshot {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), filter(text))).collect()
    }

    proptest! {
        #[test]
        fn drained_changes_add_up_to_the_filters_with_a_subscriber(
            calls in prop::collection::vec((0u8..6, 0u8..3, 0u8..4), 0..200)
        ) {
            let mut table = Subscriptions::new();
            let mut model: BTreeSet<(u8, u8)> = BTreeSet::new();
            let mut drained: BTreeSet<String> = BTreeSet::new();
            let mut begun = None;
            for (call, client, name) in calls {
                let (client_id, f) = (client.to_string(), filter(&name.to_string()));
                match call {
                    0 => { table.subscribe(&client_id, &f); model.insert((client, name)); }
                    1 => { table.unsubscribe(&client_id, &f); model.remove(&(client, name)); }
                    2 => { table.remove_subscriber(&client_id); model.retain(|(c, _)| *c != client); }
                    3 => begun = Some((table.moment(), model.clone())),
                    // A snapshot of what was true when it was begun: nothing was missed, so it changes nothing.
                    4 => if let Some((moment, then)) = begun.take() {
                        let then = then.into_iter().map(|(c, name): (u8, u8)| (c.to_string(), filter(&name.to_string())));
                        table.reconcile(moment, then.collect());
                    },
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
