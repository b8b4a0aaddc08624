use thiserror::Error;

/// Why a text is not a topic name. Nothing changes state when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The text has no characters.
    #[error("a topic has at least one character")]
    Empty,
}

/// Why a text is not a topic filter. Nothing changes state when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicFilterError {
    /// The text has no characters.
    #[error("a topic filter has at least one character")]
    Empty,
}
