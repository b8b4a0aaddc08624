//! Two network namespaces with a wire between them, for other tools: `cargo run -p emulator`, as root.
//!
//! Prints the namespaces with their addresses, then takes commands on its standard input until that ends, and answers
//! each with a line; see [`emulator::Command`]. `counts` shows what became of the packets.

use std::{
    error::Error,
    io::{self, BufRead, Write},
    process::ExitCode,
};

use clap::Parser;
use emulator::{Command, Emulator};

/// Two network namespaces with a bad network between them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Decides what chance decides.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emulate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    Emulator::available()?;
    let net = Emulator::new(arguments.seed)?;
    let mut out = io::stdout().lock();
    for (end, namespace) in [("a", net.a()), ("b", net.b())] {
        writeln!(out, "{end} {} {}", namespace.name(), namespace.address())?;
    }
    writeln!(out, "ready")?;
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "counts" => {
                let (to_b, to_a) = net.counts();
                writeln!(out, "ab {to_b:?}\nba {to_a:?}")?;
            }
            line => match line.parse::<Command>() {
                Ok(command) => {
                    net.change(command.direction, |path| command.apply(path));
                    writeln!(out, "ok {line}")?;
                }
                Err(error) => writeln!(out, "error {error}")?,
            },
        }
    }
    Ok(())
}
