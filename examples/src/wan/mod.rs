//! The parts of `wan_bench`: links over an emulated wide area network, beside plain streams over the same one.
//!
//! ```text
//!  namespace a                                             namespace b
//!  publishers ─▶ Linker ─▶ transport ══ emulated wire ══▶ transport ─▶ Linker ─▶ Sink (a Host)
//!          raw: a stream of quinn, or a TCP socket ══════▶ a counter
//! ```
//! Both ends run in this process, each with a runtime of its own whose threads are in its namespace. So they share a
//! clock, and the time of a message on its way is a difference.

mod cuts;
mod end;
mod links;
mod path;
mod raw;
mod routes;
mod run;
mod sink;
pub mod svg;
pub mod table;
mod way;

pub use cuts::measure_cuts;
pub use path::{Grid, Path};
pub use routes::{Reconnect, measure_routes};
pub use run::{Figures, Times, measure};
pub use way::Way;

/// What is done with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Bulk, small messages beside it, and a short cut.
    Load,
    /// Cuts that cost the connections.
    Cuts,
}

/// One path, one way to use it, and what came of it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Cell {
    /// The path.
    pub path: Path,
    /// What ran over it.
    pub way: Way,
    /// Medians of the rounds.
    pub figures: Figures,
    /// How many rounds gave figures; of [`Part::Load`], if that was run.
    pub rounds: usize,
}

impl Cell {
    /// Puts a cell to others: it replaces what they have of its path and way, and leaves what it has not.
    pub fn put(self, cells: &mut Vec<Self>) {
        let Some(old) = cells.iter_mut().find(|old| (old.path, old.way) == (self.path, self.way)) else {
            return cells.push(self);
        };
        let (new, had) = (self.figures, old.figures);
        if new.rate.is_some() || had.rate.is_none() {
            old.rounds = self.rounds;
        }
        old.figures = Figures {
            rate: new.rate.or(had.rate),
            p50: new.p50.or(had.p50),
            p99: new.p99.or(had.p99),
            back: new.back.or(had.back),
            live: new.live.or(had.live),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_replaces_what_it_has_and_leaves_the_rest() {
        let path = Path { rate: 50_000, rtt: 0, loss: 0.0 };
        let cell = |way, figures, rounds| Cell { path, way, figures, rounds };
        let load = Figures { rate: Some(1.0), p50: Some(2.0), ..Figures::default() };
        let cuts = Figures { live: Some(3.0), ..Figures::default() };
        let mut cells = Vec::new();
        cell(Way::QuicCubic, load, 3).put(&mut cells);
        cell(Way::QuicBbr, cuts, 1).put(&mut cells);
        cell(Way::QuicCubic, cuts, 1).put(&mut cells);
        cell(Way::QuicCubic, Figures { rate: Some(4.0), ..Figures::default() }, 2).put(&mut cells);
        assert_eq!(cells.len(), 2);
        let Figures { rate, p50, live, .. } = cells[0].figures;
        assert_eq!((rate, p50, live, cells[0].rounds), (Some(4.0), Some(2.0), Some(3.0), 2));
    }
}
