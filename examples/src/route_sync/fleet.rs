use std::collections::BTreeSet;

use link_core::{interest::InterestChange, topic::TopicFilter};

use crate::bench::Failure;

/// The subscriptions of a fleet: a filter of 31 bytes for each device, as in `t0417/s8340/dev/09c1f2e88a/temp`.
///
/// 1,000 tenants and 20,000 sites, however many devices: so what changes looks the same beside few and beside many.
pub struct Fleet {
    filters: BTreeSet<TopicFilter>,
    random: u64,
}

const SITES: u64 = 20_000;
const TENANTS: u64 = 1_000;

impl Fleet {
    /// A fleet of `n` devices, the same in every run.
    ///
    /// # Errors
    /// None: each text is a filter.
    pub fn new(n: usize) -> Result<Self, Failure> {
        let mut fleet = Self { filters: BTreeSet::new(), random: 0x9e37_79b9_7f4a_7c15 };
        while fleet.filters.len() < n {
            fleet.grow()?;
        }
        Ok(fleet)
    }

    /// All that there is, as changes of nothing.
    pub fn all(&self) -> Vec<InterestChange> {
        self.filters.iter().cloned().map(InterestChange::Added).collect()
    }

    /// Its filters, in order.
    pub fn filters(&self) -> &BTreeSet<TopicFilter> {
        &self.filters
    }

    /// `d` changes of different filters: devices that come, and as many that go, or one less.
    ///
    /// # Errors
    /// None: each text is a filter.
    pub fn change(&mut self, d: usize) -> Result<Vec<InterestChange>, Failure> {
        let goes = d / 2;
        let mut changes = Vec::with_capacity(d);
        // Every so manieth of them goes, from a random one on.
        let step = (self.filters.len() / goes.max(1)).max(1);
        let from = self.next() as usize % step;
        let gone: Vec<TopicFilter> = self.filters.iter().skip(from).step_by(step).take(goes).cloned().collect();
        for filter in gone {
            self.filters.remove(&filter);
            changes.push(InterestChange::Removed(filter));
        }
        while changes.len() < d {
            changes.push(InterestChange::Added(self.grow()?));
        }
        Ok(changes)
    }

    fn grow(&mut self) -> Result<TopicFilter, Failure> {
        loop {
            let site = self.next() % SITES;
            let device = self.next() >> 24;
            let filter = TopicFilter::new(format!("t{:04}/s{site}/dev/{device:010x}/temp", site % TENANTS))?;
            if self.filters.insert(filter.clone()) {
                return Ok(filter);
            }
        }
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
