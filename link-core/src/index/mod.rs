//! Which of many topic filters match a topic.
//!
//! ```text
//!  FilterIndex (one writer)                            Reader, Reader, … (any thread, never waiting)
//!       │ insert, remove                                     │ matches_into, is_match
//!       ▼                                                    ▼
//!  ┌ Table: back copy ────────────┐    publish      ┌ Table: front copy ───────────┐
//!  │ exact   shaped   wild        │ ◀─── swap ────▶ │ exact   shaped   wild        │
//!  └──┬────────┬────────┬─────────┘                 └──┬────────┬────────┬─────────┘
//!     └────────┼────────┼──────┬───────────────────────┴────────┼────────┘
//!              └────────┴──────┤       shared by both copies    │
//!                              ▼                                ▼
//!                 segments of slots, pages of records    blocks: bit matrices
//! ```
//!
//! A filter lies in one of three places, by where its wildcards are:
//!
//! | | Filters | Found by |
//! |---|---|---|
//! | exact | without wildcards | one lookup of the hash of the topic |
//! | shaped | with `+` and `#` in places where others have them too: most | one lookup of a hash for each such *shape* |
//! | wild | all others | an AND of bit rows, 64 filters at a time |
//!
//! `docs/index.md` explains all of it to those who don't know the algorithms, with what everything costs.
//!
//! # Follow a publish
//!
//! [`Reader::matches_into`] loads the front copy. Without wildcards in it, `Hashed::search` finds the record of the topic:
//! a slot, then a text to compare and values. Else a `Round` is made (`search`): the topic becomes a `Key`, its levels
//! hashed, once; `Shapes::look_up` makes one hash of it for each shape; `Lookups` looks all of them up side by side, that
//! of the whole topic among them; `Tree::search` leads to the blocks, where `Block::search` is an AND of one row for each
//! level. The values that are found are in [`Matches`].
//!
//! # Follow a subscription
//!
//! [`FilterIndex::insert`] works on the back copy. `hashed::Edit` adds a record behind the last one of a page, and a slot;
//! or the `Editor` of the tree finds a block, makes a copy of it with the filter, and puts that in its place. Each part
//! that is touched is noted. [`FilterIndex::publish`] swaps the copies; the one that comes back takes the parts that were
//! touched, and is the same again.
//!
//! # Files
//!
//! | | |
//! |---|---|
//! | `filter_index` | the public ends: [`FilterIndex`], [`Reader`], [`Snapshot`], [`Cursor`], [`Pairs`] |
//! | `matches` | [`Matches`], a buffer for what is found |
//! | `table` | one copy of everything, and how it changes |
//! | `search` | which filters match: all of a table is asked side by side |
//! | `handle` | filters found again by four bytes, for who keeps count of them by other names |
//! | `key` | a topic or a filter, taken apart and hashed once |
//! | `hashed` | texts with values, found by hash; `slots`: where a record is, `segment`: a part of those, `bloom`: what is not there, `records`: pages of them, `lists`: many values, `lookups`: many at once, `edit`: how it changes |
//! | `shapes` | filters told apart by where their wildcards are; `shape`: one, `group`: those that a topic is asked for together, `census`: which are worth it |
//! | `tree` | the nodes above the blocks: which of them can hold what is looked for |
//! | `grow` | how the tree changes: blocks are split and merged |
//! | `leaf` | what the tree knows of a block; [`Value`] |
//! | `block` | filters with wildcards as a bit matrix; `matrix`: one that is being changed, `bits`: its rows, `holders`: which filters have a literal, `search`: which match |
//! | `dictionary` | codes for the literals of the blocks |
//! | `scan` | the filters that cover a given one, are covered by it or intersect it |
//! | `publish` | two copies, one writer, readers that never wait |
//! | `cell` | what publication is made of |
//! | `prefetch` | memory that is needed soon |
//!
//! # Invariants
//!
//! - What matches is what [`TopicFilter::matches`](crate::topic::TopicFilter::matches) says: [MQTT 5, section
//!   4.7](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html#_Toc3901241), `$` rule included. `$share/g/f` is
//!   taken as `f`.
//! - Each (filter, value) pair is there once, in one place of one of the three.
//! - What copies share never changes; nodes and directories change only in a copy that no reader sees.
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
mod handle;
mod hashed;
mod key;
mod leaf;
mod matches;
mod prefetch;
mod publish;
mod scan;
mod search;
mod shapes;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub use filter_index::{Cursor, FilterIndex, Pairs, Reader, Snapshot};
pub(crate) use handle::{Handle, Placed};
pub use leaf::Value;
pub use matches::Matches;
pub(crate) use tree::{address, buddy};
