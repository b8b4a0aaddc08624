use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Deadlines, each with its reason `K`; at most one per reason.
///
/// Setting, clearing and finding the next one cost `O(log n)`; nothing ever walks them all.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    queue: BTreeSet<(Duration, K)>,
    by_key: BTreeMap<K, Duration>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { queue: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets the deadline of `key`, in place of the one it had.
    pub(crate) fn set(&mut self, key: K, at: Duration) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.queue.remove(&(old, key));
        }
        self.queue.insert((at, key));
    }

    /// Sets the deadline of `key` unless it has one already.
    pub(crate) fn set_if_clear(&mut self, key: K, at: Duration) {
        if !self.by_key.contains_key(&key) {
            self.set(key, at);
        }
    }

    pub(crate) fn clear(&mut self, key: K) {
        if let Some(old) = self.by_key.remove(&key) {
            self.queue.remove(&(old, key));
        }
    }

    /// Takes one reason whose deadline has come.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<K> {
        let &(at, key) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_setting_of_a_reason_counts_and_each_fires_once() {
        let ms = Duration::from_millis;
        let mut timers = Timers::new();
        timers.set('a', ms(10));
        timers.set('b', ms(5));
        timers.set('a', ms(3));
        timers.set_if_clear('b', ms(1));
        assert_eq!(timers.next(), Some(ms(3)));
        assert_eq!(timers.pop(ms(2)), None);
        assert_eq!(timers.pop(ms(9)), Some('a'));
        assert_eq!(timers.pop(ms(9)), Some('b'));
        assert_eq!(timers.pop(ms(99)), None);
        timers.set('c', ms(1));
        timers.clear('c');
        assert_eq!(timers.next(), None);
    }
}
