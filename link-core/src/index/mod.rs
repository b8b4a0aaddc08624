//! Which filters of a set match a topic.
//!
//! [`Trie`] is the structure, [`SharedIndex`] makes it readable from any thread without a lock while one writer changes
//! it.
//!
//! ```text
//!  filters a/b, a/+/c, a/#            match a/b
//!
//!        root                         root ──a──▶ ● ──b──▶ ● a/b      a hit at the end of the topic
//!         │ a                                     ├──#──▶ a/#         a hit at every level that has it
//!         ●──────#──▶ a/#                         └──+──▶ ●           no c behind it
//!       b │  \ +
//!         ▼    ▼ c
//!        a/b   ●──▶ a/+/c
//! ```
//!
//! The invariant: a filter is reached by exactly one path, so each value is reported once a match. A match looks at no
//! more nodes than the filters of the set have ways to agree with the topic: `O(levels)` for a set without `+`, and at
//! most `min(2^levels, nodes)` with it.

mod shared;
mod trie;

pub use shared::{Reader, SharedIndex};
pub use trie::Trie;
