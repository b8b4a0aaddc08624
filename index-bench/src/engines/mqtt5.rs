use std::collections::HashMap;

use mqtt5::validation::topic_matches_filter;

use super::Matcher;

/// How the router of the broker mqtt5 finds subscribers: exact filters by a map, all others one after the other by the
/// crate's own function. The router itself hands out no matches, so its two maps are made again here.
#[derive(Default)]
pub struct Scan {
    exact: HashMap<String, Vec<u32>>,
    wildcard: HashMap<String, Vec<u32>>,
}

impl Scan {
    fn of(&mut self, filter: &str) -> &mut HashMap<String, Vec<u32>> {
        if filter.contains(['+', '#']) { &mut self.wildcard } else { &mut self.exact }
    }
}

impl Matcher for Scan {
    fn insert(&mut self, filter: &str, value: u32) {
        let values = self.of(filter).entry(filter.to_owned()).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        let filters = self.of(filter);
        let Some(values) = filters.get_mut(filter) else { return false };
        let before = values.len();
        values.retain(|&other| other != value);
        let removed = values.len() < before;
        if values.is_empty() {
            filters.remove(filter);
        }
        removed
    }

    fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        let exact = self.exact.get(topic).into_iter();
        let wildcard = self.wildcard.iter().filter(|(filter, _)| topic_matches_filter(topic, filter));
        exact.chain(wildcard.map(|(_, values)| values)).flatten().for_each(|&value| found(value));
    }

    fn is_match(&self, topic: &str) -> bool {
        self.exact.contains_key(topic) || self.wildcard.keys().any(|filter| topic_matches_filter(topic, filter))
    }
}
