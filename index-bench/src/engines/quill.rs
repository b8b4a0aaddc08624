use quill::{Pattern, Registry, Topic};

use super::Matcher;

/// The registry of quill-pubsub, which has a lock of its own.
#[derive(Default)]
pub struct Quill(Registry<u32>);

impl Matcher for Quill {
    fn insert(&mut self, filter: &str, value: u32) {
        self.0.subscribe(parse(filter), value);
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        self.0.unsubscribe(&parse(filter), &value)
    }

    fn each(&self, topic: &str, found: impl FnMut(u32)) {
        let topic = Topic::parse(topic).expect("workloads have no topics that quill refuses");
        self.0.matching(&topic).into_iter().for_each(found);
    }
}

fn parse(filter: &str) -> Pattern {
    Pattern::parse(filter).expect("workloads have no filters that quill refuses")
}
