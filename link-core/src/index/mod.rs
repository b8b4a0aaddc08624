//! Which of many topic filters match a topic.

mod block;
mod cell;
mod dictionary;
mod filter_index;
mod grow;
mod key;
mod leaf;
mod matches;
mod page;
mod publish;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub use filter_index::{Cursor, FilterIndex, Pairs, Reader, Snapshot};
pub use leaf::Value;
pub use matches::Matches;
