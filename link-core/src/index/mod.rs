//! Which of many topic filters match a topic, and how a filter relates to the filters of a set.
//!
//! [`Trie`] is the index itself, [`SharedIndex`] lets any number of threads read it while one writes. An index holds
//! (filter, value) pairs; a value is a small id, such as the number of a peer. Share groups don't count: an index takes
//! `$share/g/f` for `f`.
//!
//! Invariant: an index answers as if it asked [`TopicFilter`](crate::topic::TopicFilter) about each pair in turn, and
//! holds memory only for the pairs that are in it now.
//!
//! ```text
//! a/b -> 1   a/+/c -> 2   a/# -> 3       (root)
//!                                           |
//!                                           a   below: 3
//!                                          / \
//!                                 here: 1 b   +
//!                                             |
//!                                             c   here: 2
//! ```
//!
//! ```
//! use link_core::{index::Trie, topic::TopicFilter};
//!
//! let mut index = Trie::new(7);
//! index.insert(&TopicFilter::new("a/+")?, 1);
//! index.insert(&TopicFilter::new("a/#")?, 2);
//!
//! let mut found = Vec::new();
//! index.for_each_match("a/b", |&value| found.push(value));
//! found.sort();
//! assert_eq!(found, [1, 2]);
//! assert!(index.covers(&TopicFilter::new("a/b/+")?));
//! # Ok::<(), link_core::topic::TopicFilterError>(())
//! ```

mod children;
mod relation;
mod shared;
mod stack;
#[cfg(test)]
mod tests;
mod trie;

pub use relation::Related;
pub use shared::{Reader, SharedIndex};
pub use trie::Trie;
