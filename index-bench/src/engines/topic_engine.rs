use std::collections::HashSet;

use mqtt_topic_engine::{TopicPath, TopicPatternPath, topic_matcher::TopicMatcherNode};

use super::Matcher;

/// The tree inside mqtt-topic-engine's router, without the router's table of subscriptions: the faster one.
#[derive(Default)]
pub struct Tree(TopicMatcherNode<HashSet<u32>>);

impl Matcher for Tree {
    fn insert(&mut self, filter: &str, value: u32) {
        self.0.get_or_create_subscription_table(&parse(filter)).insert(value);
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        let mut removed = false;
        let path = parse(filter).resolve_bound_segments();
        let _ = self.0.update_node(&path, |values| removed = values.remove(&value));
        removed
    }

    fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        let path = TopicPath::new(topic).expect("workloads have valid topics");
        for values in self.0.find_by_path(&path) {
            values.iter().for_each(|&value| found(value));
        }
    }
}

fn parse(filter: &str) -> TopicPatternPath {
    filter.try_into().expect("workloads have no filters that mqtt-topic-engine refuses")
}
