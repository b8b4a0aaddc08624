//! Measures a link in four ways; `docs/benchmarks.md` explains each figure.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use examples::bench::{Failure, Figure, bridge, core, e2e, heap::CountingAllocator, idle, mqtt};
use link_core::message::QoS;
use serde_json::json;

/// Measures a link.
#[derive(Parser)]
struct Arguments {
    /// What to measure; all of it if none is named.
    #[arg(value_enum)]
    modes: Vec<Mode>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A tenth of the messages and one round: to see that it works.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Two nodes in one thread, joined by their frames.
    Core,
    /// Two brokers in this process; messages enter and leave through the host API.
    Mqtt,
    /// Real MQTT clients at both ends.
    E2e,
    /// Links that carry nothing.
    Idle,
    /// A Mosquitto bridge between the same clients, where it is installed.
    Bridge,
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> Result<(), Failure> {
    let Arguments { mut modes, json, quick } = Arguments::parse();
    if modes.is_empty() {
        modes = vec![Mode::Core, Mode::Mqtt, Mode::E2e, Mode::Idle, Mode::Bridge];
    }
    let (part, rounds) = if quick { (10, 1) } else { (1, 5) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = Vec::new();
    for mode in modes {
        match mode {
            Mode::Core => {
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    figures.extend(core::forward(qos, 1_000_000 / part)?);
                }
                figures.extend(core::unwanted(CountingAllocator::allocations)?);
            }
            Mode::Mqtt => figures.extend(runtime.block_on(mqtt::forward(500_000 / part, rounds))?),
            Mode::E2e => figures.extend(runtime.block_on(e2e::forward(20_000 / part as usize, rounds))?),
            Mode::Idle => {
                let time = Duration::from_secs(20 / part);
                figures.push(runtime.block_on(idle::idle(1, time))?);
                figures.push(runtime.block_on(idle::idle(100, time))?);
            }
            Mode::Bridge => match runtime.block_on(bridge::forward(20_000 / part as usize, rounds))? {
                Some(measured) => figures.extend(measured),
                None => eprintln!("SKIPPED: no mosquitto is installed, so there is no bridge to compare with"),
            },
        }
    }
    if json {
        print_json(&figures)?
    } else {
        print_table(&figures)
    }
    Ok(())
}

fn print_json(figures: &[Figure]) -> Result<(), Failure> {
    let rows: serde_json::Map<_, _> =
        figures.iter().map(|f| (f.name.clone(), json!({ "value": f.value, "unit": f.unit }))).collect();
    println!("{}", serde_json::to_string_pretty(&rows)?);
    Ok(())
}

fn print_table(figures: &[Figure]) {
    println!("| figure | value | unit |\n|---|--:|---|");
    for Figure { name, value, unit } in figures {
        let digits = if *value >= 100.0 { 0 } else { 3 };
        println!("| {name} | {value:.digits$} | {unit} |");
    }
}
