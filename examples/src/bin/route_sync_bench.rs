//! Measures what it costs to bring a peer's copy of a route set up to date; `docs/benchmarks.md` explains each figure.

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;
use emulator::Emulator;
use examples::{
    bench::{Failure, heap::CountingAllocator, quantile},
    route_sync::{Fleet, Others, Report, check, churn, draw, markdown, syncs},
    wan::{Path, Way, measure_routes},
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
    /// Nothing but reconnects over a path of 100 Mbit/s and 100 ms, of 1,000,000 routes of which 1,000 have changed: real
    /// links over QUIC and over MQTT between two network namespaces, for which it needs root.
    #[arg(long)]
    wan: bool,
    /// Draws route-sync.svg into this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if arguments.wan {
        return wan(arguments.json);
    }
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

/// Reconnects over an emulated path.
fn wan(json: bool) -> Result<(), Failure> {
    if let Err(missing) = Emulator::available() {
        eprintln!("SKIPPED: there is no emulated network on this machine: {missing}");
        return Ok(());
    }
    let path = Path { rate: 100_000_000, rtt: 100, loss: 0.0 };
    let mut rows = Vec::new();
    println!(
        "| over | what there was | n | d | by | both know, ms: median (least to most) | the reader knows, ms | resync, ms |"
    );
    println!("|---|---|--:|--:|---|--:|--:|--:|");
    for (way, history) in
        [(Way::QuicCubic, true), (Way::QuicCubic, false), (Way::MqttCubic, true), (Way::MqttCubic, false)]
    {
        let row = measure_routes(path, way, history, (1_000_000, 1_000), 5)?;
        let of = |times: &[f64], at| quantile(&mut times.to_vec(), at);
        println!(
            "| {} | {} history | {} | {} | {} | {:.0} ({:.0} to {:.0}) | {:.0} | {:.0} |",
            way.name(),
            if history { "with" } else { "without" },
            row.n,
            row.d,
            row.method,
            of(&row.took, 0.5),
            of(&row.took, 0.0),
            of(&row.took, 1.0),
            of(&row.reader, 0.5),
            of(&row.resync, 0.5),
        );
        rows.push(row);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}
