//! Are the answers right?

use std::time::{Duration, Instant};

use crate::{
    engines::{BATCH, Engine},
    workloads::Texts,
};

/// Answers to a sample of topics by asking every filter.
pub struct Sample<'a> {
    topics: Vec<&'a str>,
    answers: Vec<Vec<u32>>,
}

impl<'a> Sample<'a> {
    pub fn new(filters: &Texts, topics: impl Iterator<Item = &'a str>) -> Self {
        let topics: Vec<_> = topics.collect();
        let answer = |topic: &&str| {
            let pairs = filters.iter().zip(0..).filter(|(filter, _)| matches(filter, topic));
            pairs.map(|(_, value)| value).collect()
        };
        let answers = topics.iter().map(answer).collect();
        Self { topics, answers }
    }

    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// How many topics an engine answers wrongly, one way or the other, of those that it could be asked in time.
    pub fn wrong(&self, engine: &dyn Engine, budget: Duration) -> usize {
        let start = Instant::now();
        let mut wrong = 0;
        for (topics, answers) in self.topics.chunks(BATCH).zip(self.answers.chunks(BATCH)) {
            if start.elapsed() > budget {
                break;
            }
            for &way in engine.ways() {
                let mut found = engine.answers(way, topics);
                found.iter_mut().for_each(|values| values.sort_unstable());
                wrong += found.iter().zip(answers).filter(|(found, right)| found != right).count();
            }
            wrong +=
                topics.iter().zip(answers).filter(|(topic, found)| engine.is_match(topic) == found.is_empty()).count();
        }
        wrong
    }
}

/// Whether a filter matches a topic, by the words of MQTT 5, section 4.7.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn agrees_with_the_topics_of_link_core() {
        let filters = ["a", "a/b", "a/+", "+/b", "a/#", "#", "+", "+/#", "a/+/c", "$x/#", "a//b", "/+", "a/+/#", "/"];
        let topics = ["a", "a/b", "a/b/c", "a/", "/", "/b", "$x", "$x/b", "a//b", "b"];
        for filter in filters {
            for topic in topics {
                let ours = link_core::topic::TopicFilter::new(filter).unwrap();
                let expected = ours.matches(&link_core::topic::Topic::new(topic).unwrap());
                assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
            }
        }
    }
}
