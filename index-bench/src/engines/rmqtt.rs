use rmqtt::{topic::Topic, trie::TopicTree};

use super::Matcher;

/// The tree with which the broker rmqtt routes.
#[derive(Default)]
pub struct Tree(TopicTree<u32>);

impl Matcher for Tree {
    fn insert(&mut self, filter: &str, value: u32) {
        self.0.insert(&parse(filter), value);
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        self.0.remove(&parse(filter), &value)
    }

    fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        for (_, values) in self.0.matches(&parse(topic)).iter() {
            values.into_iter().for_each(|&value| found(value));
        }
    }

    fn is_match(&self, topic: &str) -> bool {
        self.0.is_match(&parse(topic))
    }
}

fn parse(text: &str) -> Topic {
    text.parse().expect("workloads have no texts that rmqtt refuses")
}
