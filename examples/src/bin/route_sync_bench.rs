//! Measures what it costs to bring a peer's copy of a route set up to date; `docs/benchmarks.md` explains each figure.

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;
use examples::{
    bench::{Failure, heap::CountingAllocator},
    route_sync::{Fleet, Others, Report, check, churn, draw, markdown, syncs},
};

/// Measures route synchronisation.
#[derive(Parser)]
struct Arguments {
    /// JSON on stdout, the tables on stderr.
    #[arg(long)]
    json: bool,
    /// 10,000 and 100,000 routes, no churn, and a failure where bytes follow the table and not the change.
    #[arg(long)]
    quick: bool,
    /// Draws route-sync.svg into this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let live = CountingAllocator::live_bytes;
    let (sizes, changes): (&[usize], &[usize]) = if arguments.quick {
        (&[10_000, 100_000], &[0, 1, 10, 1_000])
    } else {
        (&[10_000, 100_000, 1_000_000], &[0, 1, 10, 100, 1_000, 10_000, 100_000])
    };
    let mut report = Report::default();
    for &n in sizes {
        report.syncs.extend(syncs(n, changes, live)?);
        report.others.push(Others::measure(Fleet::new(n)?.filters())?);
    }
    if !arguments.quick {
        report.churn = Some(churn(300_000, Duration::from_secs(3), live)?);
    }
    if let Some(folder) = &arguments.plot {
        fs::write(folder.join("route-sync.svg"), draw(&report))?;
    }
    let (text, json) = (markdown(&report), serde_json::to_string_pretty(&report)?);
    if arguments.json {
        eprintln!("{text}");
        println!("{json}");
    } else {
        println!("{text}");
    }
    check(&report.syncs)
}
