use std::{fmt, sync::Arc};

use thiserror::Error;

/// Why a text is not a name of a cluster or node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text has no characters.
    #[error("a name has at least one character")]
    Empty,
    /// The text is too long.
    #[error("a name has at most {limit} bytes, this has {length}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A character that is not allowed.
    #[error(
        "`{character}` at byte {at} is not allowed in a name: use letters, digits, `-`, `_`, `.` and `@`, a letter or digit first"
    )]
    Character {
        /// The character.
        character: char,
        /// Its byte offset.
        at: usize,
    },
}

const LIMIT: usize = 128;

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > LIMIT {
        return Err(NameError::TooLong { length: text.len(), limit: LIMIT });
    }
    for (at, character) in text.char_indices() {
        let ok = character.is_ascii_alphanumeric() || (at > 0 && matches!(character, '-' | '_' | '.' | '@'));
        if !ok {
            return Err(NameError::Character { character, at });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 128 bytes of ASCII letters, digits, `-`, `_`, `.` and `@`, a letter or digit first: safe inside a
        /// topic, a client id, a log line and a URL. Cloning shares the text.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

name! {
    /// The name of a cluster. A link is called by the name of the cluster at its other end.
    ClusterName
}
name! {
    /// The name of one broker node inside its cluster.
    NodeName
}
