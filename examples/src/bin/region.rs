//! One linked broker as a process: two of them, on machines or in network namespaces of their own, make two regions.
//!
//! ```sh
//! region --name us --peer eu --listen 127.0.0.1:1883
//! region --name eu --peer us --listen 127.0.0.1:1884 --dial mqtt://127.0.0.1:1883
//! ```
//! It prints `listening ADDRESS` when clients can connect, as user `us-user` with password `us-pass` at `us`. Then it
//! answers lines on its standard input: `status` with the state of the link and its reason, `wants TOPIC` with `true`
//! or `false`: whether the peer wants messages of that topic. It ends when its standard input does.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use examples::two_regions::{Failed, Region};
use link_core::{
    link::{ClusterName, LinkConfig, Secret},
    topic::TopicFilter,
    transport::Endpoint,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tracing_subscriber::EnvFilter;

/// Runs one broker with a link to another region.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Cluster name of this region.
    #[arg(long)]
    name: ClusterName,
    /// Cluster name of the other region.
    #[arg(long)]
    peer: ClusterName,
    /// Where clients, and the other region, connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The other region, for example `mqtt://127.0.0.1:1883`; without it this side waits to be dialled.
    #[arg(long)]
    dial: Option<Endpoint>,
    /// How often this side says that it lives, in milliseconds. Three missed in a row mean that the other is down.
    #[arg(long, default_value_t = 5_000)]
    heartbeat: u64,
    /// Seconds after which MQTT probes a silent connection.
    #[arg(long, default_value_t = 30)]
    keep_alive: u64,
    /// Longest pause between two attempts to connect, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    retry: u64,
}

impl Arguments {
    fn link(&self, topics: Vec<TopicFilter>) -> LinkConfig {
        let mut link = LinkConfig::new(self.peer.clone());
        link.topics = topics;
        match &self.dial {
            Some(server) => {
                let (user, password) = login_of(&self.name);
                link.servers = vec![server.clone()];
                link.username = Some(user);
                link.password = Some(Secret::new(password));
            }
            None => link.peer_identity = Some(login_of(&self.peer).0),
        }
        link.heartbeat = Duration::from_millis(self.heartbeat);
        link.keep_alive = Duration::from_secs(self.keep_alive);
        link.retry_max = Duration::from_millis(self.retry);
        link
    }
}

/// As whom a cluster logs in at its peers.
fn login_of(cluster: &ClusterName) -> (String, String) {
    (format!("link-{cluster}"), format!("link-{cluster}-pass"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("region: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failed> {
    let name = &arguments.name;
    let (user, password) = (format!("{name}-user"), format!("{name}-pass"));
    let (peer, secret) = login_of(&arguments.peer);
    let region = Region::start(name.as_str(), arguments.listen, &[(&user, &password), (&peer, &secret)]).await?;
    let everything = TopicFilter::new("#").map_err(|error| Failed::Wrong(error.to_string()))?;
    region.linker().create_link(arguments.link(vec![everything])).await?;
    say(&format!("listening {}", region.address()))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("status", _) => match region.linker().link(&arguments.peer).await {
                Some(status) => say(&format!("{}: {}", status.state, status.reason))?,
                None => say("there is no link")?,
            },
            ("wants", topic) => say(if region.linker().wants(topic) { "true" } else { "false" })?,
            _ => say("`status` or `wants TOPIC`")?,
        }
    }
    region.stop().await;
    Ok(())
}

/// Prints a line at once: scripts wait for it.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
