use std::{borrow::Borrow, fmt, str::FromStr};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Levels, MAX_BYTES, TopicError};

/// A valid topic name. Cloning shares the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(ByteString);

impl Topic {
    /// Parses a topic name, sharing the buffer of `text` where it can.
    pub fn new(text: impl Into<ByteString>) -> Result<Self, TopicError> {
        let text = text.into();
        Self::check(&text).map(|()| Self(text))
    }

    /// Parses a topic name out of a received buffer without copying it.
    ///
    /// The topic keeps the whole buffer alive of which `bytes` is a part.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TopicError> {
        let text = ByteString::try_from(bytes).map_err(|error| TopicError::NotUtf8 { at: error.valid_up_to() })?;
        Self::new(text)
    }

    /// Whether `text` is a topic name, without making one. Does not allocate.
    ///
    /// U+0000 is refused; control characters and non-characters, which section 1.5.4 leaves to the receiver, are
    /// accepted. So are names that begin with `$`.
    pub fn check(text: &str) -> Result<(), TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicError::TooLong { length: text.len() });
        }
        match text.bytes().position(|byte| matches!(byte, 0 | b'+' | b'#')) {
            None => Ok(()),
            Some(at) => Err(match text.as_bytes()[at] {
                0 => TopicError::Null { at },
                byte => TopicError::Wildcard { wildcard: char::from(byte), at },
            }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a shared text.
    pub fn as_byte_string(&self) -> &ByteString {
        &self.0
    }

    /// The levels of the name.
    pub fn levels(&self) -> Levels<'_> {
        Levels::new(&self.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    /// Copies the text if it is valid.
    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::check(text).map(|()| Self(text.into()))
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<Topic> for ByteString {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}
