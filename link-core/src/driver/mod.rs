//! The tokio event loop around the node.

mod linker;

pub use linker::{Linker, LinkerBuilder};
