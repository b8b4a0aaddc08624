use std::collections::HashMap;

use super::Matcher;

/// What exact filters alone would cost: one lookup of the whole topic.
#[derive(Default)]
pub struct Floor(HashMap<String, u32>);

impl Matcher for Floor {
    fn insert(&mut self, filter: &str, value: u32) {
        self.0.insert(filter.to_owned(), value);
    }

    fn remove(&mut self, filter: &str, _: u32) -> bool {
        self.0.remove(filter).is_some()
    }

    fn each(&self, topic: &str, found: impl FnMut(u32)) {
        self.0.get(topic).copied().into_iter().for_each(found);
    }
}
