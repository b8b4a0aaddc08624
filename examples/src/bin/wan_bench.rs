//! Measures links over an emulated wide area network; `docs/wan.md` explains each figure.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError, RwLock},
    thread,
};

use clap::Parser;
use emulator::Emulator;
use examples::{
    bench::{Failure, median},
    wan::{Cell, Figures, Grid, Part, Path, Times, Way, measure, measure_cuts, svg, table},
};

/// Measures links over an emulated wide area network.
#[derive(Parser)]
struct Arguments {
    /// JSON on stdout, the table on stderr.
    #[arg(long)]
    json: bool,
    /// Two paths and one round: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Only the paths whose names begin so, as in `100M/200ms` or `10M/0ms/1%`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// What runs over each path; all of it if none is named.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Way>,
    /// What is done: `load` is bulk, small messages and a short cut, `cuts` are cuts that cost the connections.
    #[arg(long, value_delimiter = ',', default_values = ["load", "cuts"])]
    parts: Vec<Part>,
    /// Runs of which the median is taken.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Runs at a time. A load on a path of more than 10 Mbit/s runs alone whatever it is.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Adds the figures of earlier runs, from files that `--out` wrote. With `--rounds 0` nothing is measured.
    #[arg(long, value_delimiter = ',')]
    with: Vec<PathBuf>,
    /// Writes the JSON to this file, again after each run: what is interrupted has kept what was done.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draws wan.svg into this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if arguments.rounds > 0
        && let Err(missing) = Emulator::available()
    {
        eprintln!("SKIPPED: there is no emulated network on this machine: {missing}");
        return Ok(());
    }
    let cells = Mutex::new(Vec::new());
    for file in &arguments.with {
        for cell in serde_json::from_slice::<Vec<Cell>>(&fs::read(file)?)? {
            cell.put(&mut cells.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
    let (runs, alone) = (Mutex::new(arguments.runs().into_iter()), RwLock::new(()));
    // A lock of its own for each run: a guard in the condition of a loop would last for all of its body.
    let next = || runs.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while let Some(run) = next() {
                    let cell = if run.is_heavy() {
                        let _alone = alone.write();
                        run.cell(arguments.rounds)
                    } else {
                        let _beside = alone.read();
                        run.cell(arguments.rounds)
                    };
                    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(cell) = cell {
                        cell.put(&mut cells);
                    }
                    if let Err(error) = arguments.save(&mut cells) {
                        eprintln!("the figures so far are not written: {error}");
                    }
                }
            });
        }
    });
    let mut cells = cells.into_inner().unwrap_or_else(PoisonError::into_inner);
    arguments.save(&mut cells)?;
    if let Some(folder) = &arguments.plot {
        fs::write(folder.join("wan.svg"), svg::draw(&cells))?;
    }
    let text = table::markdown(&cells);
    if arguments.json {
        eprintln!("\n{text}");
        println!("{}", table::json(&cells)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

impl Arguments {
    fn paths(&self) -> Vec<Path> {
        let grid = if self.quick { Grid::Quick } else { Grid::Full };
        let mut paths = grid.paths();
        paths.retain(|path| self.only.is_empty() || self.only.iter().any(|only| path.to_string().starts_with(only)));
        paths
    }

    fn runs(&self) -> Vec<Run> {
        let ways = if self.ways.is_empty() { &Way::ALL[..] } else { &self.ways };
        let mut runs = Vec::new();
        for path in self.paths() {
            for &way in ways {
                // A plain stream does not come back after such a cut.
                let parts = self.parts.iter().filter(|part| **part == Part::Load || way.raw().is_some());
                runs.extend(parts.map(|&part| Run { path, way, part }));
            }
        }
        runs
    }

    /// Puts the cells in order, and writes them if that is asked for.
    fn save(&self, cells: &mut [Cell]) -> Result<(), Failure> {
        cells.sort_by_key(|cell| (Grid::Full.paths().iter().position(|path| *path == cell.path), cell.way as u8));
        if let Some(file) = &self.out {
            fs::write(file, table::json(cells)?)?;
        }
        Ok(())
    }
}

/// One part of one way over one path.
struct Run {
    path: Path,
    way: Way,
    part: Part,
}

impl Run {
    /// Whether it needs the machine for itself.
    fn is_heavy(&self) -> bool {
        self.part == Part::Load && self.path.rate > 10_000_000
    }

    /// Rounds that fail are told and left out; nothing if all did.
    fn cell(&self, rounds: usize) -> Option<Cell> {
        let Self { path, way, part } = *self;
        let mut runs = Vec::new();
        for round in 0..rounds {
            let run = if part == Part::Load { measure } else { measure_cuts };
            match run(&path, way, Times::of(&path), round as u64 + 1) {
                Ok(figures) => {
                    eprintln!("{path}, {}: {figures:?}", way.name());
                    runs.push(figures);
                }
                Err(error) => eprintln!("{path}, {}: FAILED: {error}", way.name()),
            }
        }
        let all = |of: fn(&Figures) -> Option<f64>| -> Option<f64> {
            // What one round did not see has no median.
            let mut values: Vec<_> = runs.iter().map(of).collect::<Option<_>>()?;
            (!values.is_empty()).then(|| median(&mut values))
        };
        let (rate, p50, p99) = (all(|f| f.rate), all(|f| f.p50), all(|f| f.p99));
        let figures = Figures { rate, p50, p99, back: all(|f| f.back), live: all(|f| f.live) };
        (!runs.is_empty()).then_some(Cell { path, way, figures, rounds: runs.len() })
    }
}
