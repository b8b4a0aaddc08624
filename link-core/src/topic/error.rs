use thiserror::Error;

/// Why a text is not a topic name. Nothing changes state when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The text has no characters.
    #[error("a topic has at least one character")]
    Empty,
    /// The text is too long.
    #[error("a topic has at most 65535 bytes, this has {length}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
    /// The bytes are no UTF-8 text.
    #[error("a topic is UTF-8 text, this is not at byte {at}")]
    NotUtf8 {
        /// Byte offset of the first byte that is no part of a character.
        at: usize,
    },
    /// The text has the character U+0000.
    #[error("the null character at byte {at} is not allowed in a topic")]
    Null {
        /// Its byte offset.
        at: usize,
    },
    /// The text has a wildcard, which only a topic filter may have.
    #[error("the wildcard `{wildcard}` at byte {at} is not allowed in a topic, only in a topic filter")]
    Wildcard {
        /// `+` or `#`.
        wildcard: char,
        /// Its byte offset.
        at: usize,
    },
}

/// Why a text is not a topic filter. Nothing changes state when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicFilterError {
    /// The text has no characters.
    #[error("a topic filter has at least one character")]
    Empty,
    /// The text is too long.
    #[error("a topic filter has at most 65535 bytes, this has {length}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
    /// The bytes are no UTF-8 text.
    #[error("a topic filter is UTF-8 text, this is not at byte {at}")]
    NotUtf8 {
        /// Byte offset of the first byte that is no part of a character.
        at: usize,
    },
    /// The text has the character U+0000.
    #[error("the null character at byte {at} is not allowed in a topic filter")]
    Null {
        /// Its byte offset.
        at: usize,
    },
    /// A `#` is followed by another level.
    #[error("`#` at byte {at} is not the last level of the topic filter")]
    HashNotLast {
        /// Its byte offset.
        at: usize,
    },
    /// A `#` shares its level with other characters.
    #[error("`#` at byte {at} is not alone in its level")]
    HashNotAlone {
        /// Its byte offset.
        at: usize,
    },
    /// A `+` shares its level with other characters.
    #[error("`+` at byte {at} is not alone in its level")]
    PlusNotAlone {
        /// Its byte offset.
        at: usize,
    },
    /// `$share/` without the name of a group behind it.
    #[error("`$share/` needs a group: `$share/group/filter`")]
    ShareGroupMissing,
    /// The name of a share group has a wildcard.
    #[error("`{wildcard}` at byte {at} is not allowed in the group of a shared subscription")]
    ShareGroupWildcard {
        /// `+` or `#`.
        wildcard: char,
        /// Its byte offset.
        at: usize,
    },
    /// A share group without a topic filter behind it.
    #[error("a shared subscription needs a topic filter after its group: `$share/group/filter`")]
    ShareFilterMissing,
    /// The filter of a shared subscription is itself a shared subscription.
    #[error("`$share/` at byte {at} is inside another shared subscription")]
    ShareNested {
        /// Byte offset of the inner `$share/`.
        at: usize,
    },
}
