//! One linked broker as a process: two of them, on machines or in network namespaces of their own, make two regions.
//!
//! ```sh
//! region --name us --peer eu --listen 127.0.0.1:1883
//! region --name eu --peer us --listen 127.0.0.1:1884 --dial mqtt://127.0.0.1:1883
//! ```
//! The same over QUIC, on the UDP port of that number. The first command makes certificates for trials, which protect
//! nothing:
//!
//! ```sh
//! region --name us --peer eu --certificates trial --make-certificates
//! region --name us --peer eu --listen 127.0.0.1:1883 --transport quic --certificates trial
//! region --name eu --peer us --listen 127.0.0.1:1884 --transport quic --certificates trial --dial quic://127.0.0.1:1883
//! ```
//! It prints `listening ADDRESS` when clients can connect, as user `us-user` with password `us-pass` at `us`. Then it
//! answers lines on its standard input: `status` with the state of the link and its reason, `wants TOPIC` with `true`
//! or `false`: whether the peer wants messages of that topic. It ends when its standard input does.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use examples::two_regions::{Carrier, Certificates, Failed, Region};
use link_core::{
    link::{ClusterName, LinkConfig, Secret, TlsSettings},
    topic::TopicFilter,
    transport::{Endpoint, Transport},
};
use link_quic::{ListenError, QuicSettings, QuicTransport};
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
    /// What carries the link. The side that waits takes QUIC on the UDP port of the same number.
    #[arg(long, value_enum, default_value_t, requires_if("quic", "certificates"))]
    transport: Carrier,
    /// Folder with `ca.pem`, `NAME.pem` and `NAME.key`, for QUIC.
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// Makes certificates of both regions in that folder, and ends. They are for trials, and protect nothing.
    #[arg(long, requires = "certificates")]
    make_certificates: bool,
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
    fn link(&self, topics: Vec<TopicFilter>, tls: Option<TlsSettings>) -> LinkConfig {
        let mut link = LinkConfig::new(self.peer.clone());
        link.topics = topics;
        link.servers.extend(self.dial.clone());
        match (&self.dial, self.transport) {
            (Some(_), Carrier::Mqtt) => {
                let (user, password) = login_of(&self.name);
                link.username = Some(user);
                link.password = Some(Secret::new(password));
            }
            (Some(_), Carrier::Quic) => link.tls = tls,
            (None, Carrier::Mqtt) => link.peer_identity = Some(login_of(&self.peer).0),
            // The name in its certificate.
            (None, Carrier::Quic) => link.peer_identity = Some(self.peer.to_string()),
        }
        link.heartbeat = Duration::from_millis(self.heartbeat);
        link.keep_alive = Duration::from_secs(self.keep_alive);
        link.retry_max = Duration::from_millis(self.retry);
        link
    }

    /// What it needs beside the transport of its broker.
    fn quic(&self, tls: Option<&TlsSettings>) -> Result<Option<Arc<dyn Transport>>, ListenError> {
        let Some(tls) = tls else { return Ok(None) };
        let settings = QuicSettings { keep_alive: Duration::from_secs(self.keep_alive), ..QuicSettings::default() };
        let transport = match self.dial {
            Some(_) => QuicTransport::new(settings),
            None => QuicTransport::listen(self.listen, tls, settings)?,
        };
        Ok(Some(Arc::new(transport)))
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
    if arguments.make_certificates {
        let folder = arguments.certificates.clone().unwrap_or_default();
        return Certificates::at(folder).make(&[name, &arguments.peer]);
    }
    let (user, password) = (format!("{name}-user"), format!("{name}-pass"));
    let (peer, secret) = login_of(&arguments.peer);
    let users = [(&*user, &*password), (&*peer, &*secret)];
    let tls = match &arguments.certificates {
        Some(folder) if arguments.transport == Carrier::Quic => Some(Certificates::at(folder).of(name)?),
        _ => None,
    };
    let quic = arguments.quic(tls.as_ref()).map_err(|error| Failed::Wrong(error.to_string()))?;
    let region = Region::start_with(name.as_str(), arguments.listen, &users, quic).await?;
    let everything = TopicFilter::new("#").map_err(|error| Failed::Wrong(error.to_string()))?;
    region.linker().create_link(arguments.link(vec![everything], tls)).await?;
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
