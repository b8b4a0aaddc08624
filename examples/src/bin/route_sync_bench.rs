//! Measures what it costs to bring a peer's copy of a route set up to date; `docs/benchmarks.md` explains each figure.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use clap::Parser;
use examples::{
    bench::Failure,
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

/// Counts the bytes that are asked for and not given back.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

#[allow(unsafe_code, reason = "a counting allocator can't be had without")]
// SAFETY: every call is handed on unchanged to the system's allocator; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size as i64 - layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let live = || LIVE.load(Ordering::Relaxed);
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
