//! Two linked brokers and everything a link promises, checked by real MQTT clients.
//!
//! `cargo run --release --bin two_regions`; the exit status is 0 only if every check held.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use examples::two_regions::{Carrier, Report, World};
use tracing_subscriber::EnvFilter;

/// Links two MQTT brokers in one process and checks what the link promises.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Keep both brokers running afterwards, for clients of your own.
    #[arg(long)]
    stay: bool,
    /// Skip the checks.
    #[arg(long, requires = "stay")]
    no_checks: bool,
    /// What carries the link.
    #[arg(long, value_enum, default_value_t)]
    transport: Carrier,
    /// Port of the broker `us`; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    us_port: u16,
    /// Port of the broker `eu`; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    eu_port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let mut report = Report::default();
    if arguments.transport == Carrier::Quic {
        eprintln!(
            "WARNING: the link is NOT protected: its certificates are of an authority that this process has made."
        );
    }
    let world = match World::start(arguments.transport, arguments.us_port, arguments.eu_port, &mut report).await {
        Ok(world) => world,
        Err(error) => {
            eprintln!("two_regions: {error}");
            return ExitCode::FAILURE;
        }
    };
    let held = arguments.no_checks || {
        world.check(&mut report).await;
        report.finish()
    };
    if arguments.stay {
        for (region, user) in [(&world.us, "us"), (&world.eu, "eu")] {
            println!("{} runs at {}, user {user}-user, password {user}-pass", region.name(), region.address());
        }
        println!("Subscribe at one, publish at the other. Ctrl-C ends.");
        // Scripts wait for these lines.
        let _ = io::stdout().flush();
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("two_regions: {error}");
        }
    }
    world.stop().await;
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
