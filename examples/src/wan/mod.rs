//! The parts of `wan_bench`: links over an emulated wide area network, beside plain streams over the same one.
//!
//! ```text
//!  namespace a                                             namespace b
//!  publishers ─▶ Linker ─▶ transport ══ emulated wire ══▶ transport ─▶ Linker ─▶ Sink (a Host)
//!          raw: a stream of quinn, or a TCP socket ══════▶ a counter
//! ```
//! Both ends run in this process, each with a runtime of its own whose threads are in its namespace. So they share a
//! clock, and the time of a message on its way is a difference.

mod end;
mod links;
mod path;
mod raw;
mod run;
mod sink;
pub mod svg;
pub mod table;
mod way;

pub use path::{Grid, Path};
pub use run::{Figures, Times, measure};
pub use way::Way;

/// One path, one way to use it, and what came of it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Cell {
    /// The path.
    pub path: Path,
    /// What ran over it.
    pub way: Way,
    /// Medians of the rounds.
    pub figures: Figures,
    /// How many rounds gave figures.
    pub rounds: usize,
}
