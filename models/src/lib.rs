//! Models of what threads do to each other while a topic index is published. There is nothing here but tests:
//!
//! ```sh
//! cargo test -p models
//! ```
//!
//! | | What runs | In which orders of steps |
//! |---|---|---|
//! | `tests/loom` | `link-core/src/index/publish.rs`, the file itself, over a value of two numbers | all that matter; with more than two threads, those with up to three preemptions |
//! | `tests/shuttle.rs` | a `FilterIndex` with its readers and snapshots | 2,000 random ones |
//!
//! What they claim: readers see whole batches only, in their order; what a reader holds, or anybody to whom the writer
//! has given a copy, never changes; the writer waits for nobody; both copies end equal, whether the one that is behind
//! is told what was touched or cloned; the first reader may come at any time; `has_pending` tells the truth.
//!
//! Both take `arc_swap` at its word: a load and a store each happen at one moment. For [`loom`](https://docs.rs/loom) a
//! lock stands in its place, in `tests/loom/cell.rs`; under [`shuttle`](https://docs.rs/shuttle) no other thread runs
//! during a call.
//!
//! `LOOM_MAX_PREEMPTIONS=4 cargo test --release -p models --test loom` looks further. When the other one fails it prints
//! a seed: `SHUTTLE_RANDOM_SEED=… cargo test -p models --test shuttle` begins with the order that failed.
