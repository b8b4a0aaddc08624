//! Measures links over an emulated wide area network; `docs/wan.md` explains each figure.

use std::{fs, path::PathBuf};

use clap::Parser;
use emulator::Emulator;
use examples::{
    bench::{Failure, median},
    wan::{Cell, Figures, Grid, Path, Times, Way, measure, svg, table},
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
    /// Runs of which the median is taken; 3 by default.
    #[arg(long)]
    rounds: Option<usize>,
    /// Adds the figures of earlier runs, from files that `--out` wrote. With `--rounds 0` nothing is measured.
    #[arg(long, value_delimiter = ',')]
    with: Vec<PathBuf>,
    /// Writes the JSON to this file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draws wan.svg into this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 });
    if rounds > 0
        && let Err(missing) = Emulator::available()
    {
        eprintln!("SKIPPED: there is no emulated network on this machine: {missing}");
        return Ok(());
    }
    let ways = if arguments.ways.is_empty() { Way::ALL.to_vec() } else { arguments.ways.clone() };
    let mut cells = Vec::new();
    for file in &arguments.with {
        cells.extend(serde_json::from_slice::<Vec<Cell>>(&fs::read(file)?)?);
    }
    for path in arguments.paths() {
        for &way in &ways {
            cells.extend(cell(path, way, rounds));
        }
    }
    cells.sort_by_key(|cell| (Grid::Full.paths().iter().position(|path| *path == cell.path), cell.way as u8));
    let (text, json) = (table::markdown(&cells), table::json(&cells)?);
    if let Some(file) = &arguments.out {
        fs::write(file, &json)?;
    }
    if let Some(folder) = &arguments.plot {
        fs::write(folder.join("wan.svg"), svg::draw(&cells))?;
    }
    if arguments.json {
        eprintln!("\n{text}");
        println!("{json}");
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
}

/// Rounds that fail are told and left out; nothing if all did.
fn cell(path: Path, way: Way, rounds: usize) -> Option<Cell> {
    let mut runs = Vec::new();
    for round in 0..rounds {
        match measure(&path, way, Times::of(&path), round as u64 + 1) {
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
    let figures =
        Figures { rate: all(|f| Some(f.rate))?, p50: all(|f| f.p50), p99: all(|f| f.p99), back: all(|f| f.back) };
    Some(Cell { path, way, figures, rounds: runs.len() })
}
