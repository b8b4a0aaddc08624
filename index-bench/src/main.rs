//! The topic index of `link-core` beside other crates' topic matching, under seeded workloads. README.md says what is
//! measured and how.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that meets a surprise is worth nothing: it stops"
)]

mod check;
mod churn;
mod engines;
mod growth;
mod measure;
mod memory;
mod report;
mod suite;
mod svg;
#[path = "../../link-core/benches/workloads/mod.rs"]
mod workloads;

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;

use engines::{KINDS, Kind, Role};
use measure::Effort;
use report::{Presence, Report};
use workloads::{Texts, Workload};

/// Measures the topic index beside other crates' topic matching.
#[derive(Parser)]
struct Args {
    /// JSON on stdout, the tables on stderr.
    #[arg(long)]
    json: bool,
    /// A tenth of the filters, and fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// Some parts only: W1, W2 (with W2z), W3, W4, W5, fleet, fleet10 (ten times the filters), homes, presence, growth.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Other crates: all, none, or some of hashmap, rmqtt, zenoh, quill, topic-engine, mqtt5.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    peers: Vec<String>,
    /// Writes the JSON to this file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draws index-rates.svg and index-growth.svg into this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Room for all engines of a workload together, in GB. Those that don't fit are left out, and named.
    #[arg(long, default_value_t = 10.0)]
    memory: f64,
    /// Reading threads of W5.
    #[arg(long, default_value_t = 1)]
    readers: usize,
}

/// Makes a workload, a number of times smaller than in full.
type Make = fn(usize) -> Workload;

fn main() {
    let args = Args::parse();
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| args.wants(kind)).collect();
    let effort = if args.quick {
        Effort { rounds: 3, turn: Duration::from_millis(150), warm: Duration::from_millis(20) }
    } else {
        Effort { rounds: 5, turn: Duration::from_millis(500), warm: Duration::from_millis(50) }
    };
    let mut report = Report {
        machine: machine(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        quick: args.quick,
        rounds: effort.rounds,
        clock: memory::uncounted(measure::clock_overhead),
        tables: Vec::new(),
        presence: Vec::new(),
        growth: Vec::new(),
        churn: Vec::new(),
        thresholds: Vec::new(),
    };
    let scale = if args.quick { 10 } else { 1 };
    let suites: [(&str, Make); 7] = [
        ("W1", |scale| workloads::w1(1_000_000 / scale, 200_000, 1)),
        ("W2", |scale| workloads::w2(1_000_000 / scale, 200_000, 2)),
        ("W3", |scale| workloads::w3(100_000 / scale, 100_000, 3)),
        ("W4", |scale| workloads::w4(100_000 / scale, 100_000, 4)),
        ("homes", |scale| workloads::homes(1_000_000 / scale, 200_000, 6)),
        ("fleet", |scale| workloads::fleet("fleet", 1_000_000 / scale, 200_000, 7)),
        ("fleet10", |scale| workloads::fleet("fleet10", 10_000_000 / scale, 200_000, 7)),
    ];
    for (name, make) in suites.into_iter().filter(|(name, _)| args.does(name)) {
        eprintln!("{name}: making filters and topics");
        report.tables.extend(suite::run(&make(scale), &kinds, &effort, (args.memory * 1e9) as usize));
    }
    if args.does("presence") {
        report.presence = presence(1_000_000 / scale, &kinds, &effort);
    }
    if args.does("W5") {
        report.churn = churn::run(200_000 / scale, args.readers, &kinds, &effort);
    }
    if args.does("growth") {
        let sizes: Vec<_> =
            [10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|n| n * scale <= 10_000_000).collect();
        let effort = Effort { rounds: 3, ..effort };
        report.growth = growth::run(|filters, topics| workloads::w1(filters, topics, 1), &sizes, &kinds, &effort);
        report.growth.extend(growth::run(|filters, topics| workloads::w2(filters, topics, 2), &sizes, &kinds, &effort));
    }
    report.judge();
    let json = serde_json::to_string_pretty(&report).unwrap();
    if let Some(path) = &args.out {
        fs::write(path, &json).unwrap();
    }
    if let Some(folder) = &args.plot {
        svg::write(&report, folder).unwrap();
    }
    if args.json {
        eprintln!("\n{report}");
        println!("{json}");
    } else {
        println!("{report}");
    }
}

impl Args {
    fn does(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(part))
    }

    fn wants(&self, kind: &Kind) -> bool {
        kind.role == Role::Ours || self.peers.iter().any(|peer| peer == "all" || peer == kind.key)
    }
}

/// `is_match` of topics that nobody subscribed to.
fn presence(filters: usize, kinds: &[Kind], effort: &Effort) -> Vec<Presence> {
    let workload = workloads::w1(filters, 0, 1);
    let topics: Vec<_> = (0..64).map(workloads::stranger).collect();
    let presence = |kind: &Kind| {
        eprintln!("is_match: {}", kind.name);
        let (nothing, full) = ((kind.build)(&Texts::default()), (kind.build)(&workload.filters));
        memory::uncounted(|| Presence {
            engine: kind.name,
            role: kind.role,
            nothing: measure::presence(&*nothing, &topics, effort),
            miss: measure::presence(&*full, &topics, effort),
            filters,
        })
    };
    kinds.iter().map(presence).collect()
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, model)| model).to_owned()
}
