//! Which of many topic filters match a topic.
//!
//! ```text
//!  FilterIndex (one writer)                            Reader, Reader, … (any thread, never waiting)
//!       │ insert, remove                                     │ matches_into, is_match
//!       ▼                                                    ▼
//!  ┌ Table: back copy ────────────┐    publish      ┌ Table: front copy ───────────┐
//!  │ nodes of three trees         │ ◀─── swap ────▶ │ nodes of three trees         │
//!  └──┬──────────┬─────────┬──────┘                 └──┬──────────┬─────────┬──────┘
//!   exact       wild    literals                     exact       wild    literals
//!     └──────────┼─────────┼────────────┬──────────────┴──────────┼─────────┘
//!                └─────────┴────────────┤ shared by both copies   │
//!                                       ▼                         ▼
//!                        Page: filters without wildcards,   Block: filters with wildcards,
//!                        a hash table of whole texts        a bit matrix, 64 filters a word
//! ```
//!
//! A filter without wildcards matches one topic, its own text: it is found by one lookup in a hash table, and no trie is
//! gone through. Filters with wildcards lie in blocks of some hundred, and a block says for all of them at once which
//! match. A tree above each kind leads to the few pages or blocks that can hold what is looked for. `docs/index.md`
//! explains all of it to those who don't know the algorithms, with what everything costs.
//!
//! # Follow a publish
//!
//! [`Reader::matches_into`] loads the front copy; the topic becomes a `Key` (its levels hashed, once); `Tree::find`
//! leads to one page of the exact filters, and `Page::find` to the values of one; `Tree::search` leads to the blocks;
//! the literals of the topic become codes as the blocks ask for them; `Block::search` is an AND of one row for each
//! level; the values of the filters that are left are in [`Matches`].
//!
//! # Follow a subscription
//!
//! [`FilterIndex::insert`] works on the back copy; the `Editor` finds the leaf, makes a copy of it with the filter, and
//! puts that in its place, splitting it if it is full; each place that is touched is noted. [`FilterIndex::publish`]
//! swaps the copies; the one that comes back takes the leaves from the places that were touched, and is the same again.
//!
//! # Files
//!
//! | | |
//! |---|---|
//! | `filter_index` | the public ends: [`FilterIndex`], [`Reader`], [`Snapshot`], [`Cursor`], [`Pairs`] |
//! | `matches` | [`Matches`], a buffer for what is found |
//! | `table` | the trees of one copy, and every question to them |
//! | `key` | a topic or a filter, taken apart and hashed once |
//! | `tree` | the nodes: which leaves can hold what is looked for |
//! | `grow` | how a tree changes: leaves are split and merged |
//! | `leaf` | what pages and blocks have in common; [`Value`] |
//! | `page` | a leaf of texts that are looked up as a whole |
//! | `block` | a leaf of filters with wildcards; `matrix`: one that is being changed, `bits`: its rows, `holders`: which filters have a literal, `search`: which match a topic |
//! | `dictionary` | codes for the literals of filters with wildcards |
//! | `scan` | the filters that cover a given one, are covered by it or intersect it |
//! | `publish` | two copies, one writer, readers that never wait |
//! | `cell` | what publication is made of |
//!
//! # Invariants
//!
//! - What matches is what [`TopicFilter::matches`](crate::topic::TopicFilter::matches) says: [MQTT 5, section
//!   4.7](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html#_Toc3901241), `$` rule included. `$share/g/f` is
//!   taken as `f`.
//! - A pair is in one leaf of one tree, and each (filter, value) pair once.
//! - A leaf never changes once it is made; nodes change only in a copy that no reader sees.
//! - A reader sees one published state for the whole of a call, never a part of a batch.
//! - Hashes decide where to look, texts what is found: a collision costs time, never a wrong answer.
//!
//! # Example
//!
//! ```
//! use link_core::{
//!     index::{FilterIndex, Matches},
//!     topic::TopicFilter,
//! };
//!
//! let mut index = FilterIndex::new(0x5EED); // at random where peers are real
//! let reader = index.reader(); // for other threads
//!
//! index.insert(&TopicFilter::new("site/7/dev/42")?, 1_u32);
//! index.insert(&TopicFilter::new("site/+/dev/#")?, 2);
//! assert!(index.is_match("site/7/dev/42"));
//! assert!(!reader.is_match("site/7/dev/42"));
//! index.publish();
//!
//! let mut matches = Matches::new(); // to be used again and again
//! reader.matches_into("site/7/dev/42", &mut matches);
//! let mut values = matches.as_slice().to_vec();
//! values.sort_unstable(); // they come in no order
//! assert_eq!(values, [1, 2]);
//!
//! reader.matches_batch(&["site/8/dev", "site/8"], &mut matches);
//! assert_eq!(matches.of(0), [2]); // `#` takes the level above with it
//! assert!(matches.of(1).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod cell;
mod dictionary;
mod filter_index;
mod grow;
mod hashed;
mod key;
mod leaf;
mod matches;
mod publish;
mod scan;
mod shapes;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub use filter_index::{Cursor, FilterIndex, Pairs, Reader, Snapshot};
pub use leaf::Value;
pub use matches::Matches;
