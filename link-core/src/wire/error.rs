use thiserror::Error;

use super::CloseCode;
use crate::{
    link::NameError,
    topic::{TopicError, TopicFilterError},
};

/// Why bytes are not a frame, or not a message. Nothing changes state when it is returned.
///
/// A bad frame ends the connection it came on, with [`close_code`](Self::close_code); a message that can't be decoded
/// is refused alone, since its sender would send the same bytes again on the next connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{frame}: `{field}` at byte {at}: {problem}")]
pub struct DecodeError {
    /// The kind of frame, or `message` for the body of one.
    pub frame: &'static str,
    /// The field.
    pub field: &'static str,
    /// Byte offset, from the start of the frame or of the message body, of what is wrong; of what is wrong *in* a packed
    /// list, from the start of the list.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

impl DecodeError {
    /// The code with which a connection is closed for it.
    pub fn close_code(&self) -> CloseCode {
        match self.problem {
            Problem::TooLong { .. } | Problem::TooMany { .. } => CloseCode::TooLarge,
            _ => CloseCode::Malformed,
        }
    }
}

/// What is wrong with a part of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes end too early. For a count, `needed` is the least that so many items take.
    #[error("{needed} bytes are needed, {left} are left")]
    Truncated {
        /// Bytes needed.
        needed: u64,
        /// Bytes left.
        left: usize,
    },
    /// Bytes are left where there should be none.
    #[error("{left} bytes too many")]
    Trailing {
        /// Bytes left.
        left: usize,
    },
    /// The length in the header is not that of the rest.
    #[error("the header says {declared} bytes follow, {actual} do")]
    Length {
        /// What the header says.
        declared: u64,
        /// What is there.
        actual: usize,
    },
    /// A kind that is not known and may not be ignored.
    #[error("the kind {kind} is not known and may not be ignored")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// Something is longer than allowed.
    #[error("{length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Its bytes.
        length: u64,
        /// Most bytes allowed.
        limit: u64,
    },
    /// There are more than allowed.
    #[error("{count} items, at most {limit} are allowed")]
    TooMany {
        /// How many.
        count: u64,
        /// Most allowed.
        limit: u64,
    },
    /// A number does not fit into 64 bits, or takes more than ten bytes.
    #[error("the number takes more than 64 bits")]
    VarintOverflow,
    /// A number is not in its shortest form.
    #[error("the number is not in its shortest form")]
    VarintNotShortest,
    /// A value that is not allowed there.
    #[error("the value {value} is not allowed here")]
    Value {
        /// The value.
        value: u64,
    },
    /// A required field is not there.
    #[error("the field is missing (tag {tag})")]
    Missing {
        /// Its tag.
        tag: u64,
    },
    /// A field is there twice.
    #[error("the field is there twice (tag {tag})")]
    Duplicate {
        /// Its tag.
        tag: u64,
    },
    /// A field comes after one with a higher tag.
    #[error("the field with tag {tag} comes after the one with tag {after}")]
    OutOfOrder {
        /// Its tag.
        tag: u64,
        /// The tag before.
        after: u64,
    },
    /// A list is there both plain and packed.
    #[error("the list is there a second time, plain (tag {tag})")]
    Both {
        /// Tag of the plain one.
        tag: u64,
    },
    /// A packed list is not one zstd frame as the protocol asks for.
    #[error("the packed list can't be read: {what}")]
    Packed {
        /// What it is instead.
        what: &'static str,
    },
    /// A packed list does not unfold to the length that is declared.
    #[error("the packed list is declared with {declared} bytes, it has {actual}")]
    PackedLength {
        /// What the field says.
        declared: u64,
        /// What is there, as far as it is known.
        actual: u64,
    },
    /// A lane is listed twice.
    #[error("the lane {lane} is listed twice")]
    LaneTwice {
        /// The lane.
        lane: u8,
    },
    /// A filter shares more bytes with the one before than that has.
    #[error("{shared} bytes are shared with a text of {previous} bytes")]
    Shared {
        /// Bytes shared, as the frame says.
        shared: u64,
        /// Bytes of the text before.
        previous: usize,
    },
    /// The sequence numbers of a batch run over.
    #[error("the sequence numbers do not fit into 64 bits")]
    SequenceOverflow,
    /// A text is not UTF-8.
    #[error("the text is not UTF-8 from its byte {valid_up_to} on")]
    Utf8 {
        /// Bytes that are UTF-8.
        valid_up_to: usize,
    },
    /// A text holds the null character (MQTT 5, section 1.5.4).
    #[error("the text holds a null character at its byte {index}")]
    Null {
        /// Byte offset in the text.
        index: usize,
    },
    /// A name of a cluster or node is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A topic is not valid.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A topic filter is not valid.
    #[error(transparent)]
    Filter(#[from] TopicFilterError),
}
