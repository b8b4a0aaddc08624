//! The main job: two brokers, `us` and `eu`, linked, and checks of what a link promises, by real MQTT clients.
//!
//! ```text
//!  us-client ── us broker ◀──── counting proxy ◀──── eu broker ── eu-client
//!                  │            (bytes, cuts)            │
//!                linker ═══════ one connection ═══════ linker
//! ```
//!
//! `eu` dials `us`, over MQTT or QUIC; the one connection carries both directions. Each check is a module; it says what it does in the
//! transcript as it goes, and gives one line for the table at the end.

mod asymmetric;
mod bridge;
mod carrier;
mod certificates;
mod cut;
mod exchange;
mod faithful;
mod refused;
mod region;
mod report;
mod savings;

use std::{io, net::SocketAddr, time::Duration};

use link_core::{driver::StartError, link::LinkError, topic::TopicFilter};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

pub use carrier::Carrier;
pub use certificates::Certificates;
pub use region::Region;
pub use report::Report;

use crate::{
    client::{Client, ClientError, QoS},
    proxy::Proxy,
};

/// Longest wait for something that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a check did not hold.
#[derive(Debug, Error)]
pub enum Failed {
    /// What was seen is not what was promised.
    #[error("{0}")]
    Wrong(String),
    /// A client could not do its part.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A link could not be changed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A linker could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A broker could not be started.
    #[error("the broker did not start: {0}")]
    Broker(String),
    /// The network.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One line about what held, or what did not.
pub type Outcome = Result<String, Failed>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::Wrong(otherwise())) }
}

/// Two linked regions, with the wire between them in hand.
pub struct World {
    /// The region that is dialled.
    pub us: Region,
    /// The region that dials.
    pub eu: Region,
    /// What stands between them.
    pub wire: Proxy,
    means: carrier::Means,
}

/// Users of the links. Clients have users of their own: who may speak for a cluster is a right apart.
const EU_AT_US: (&str, &str) = ("link-eu", "link-eu-pass");

impl World {
    /// Starts both brokers on the loopback, links them, and waits until the link is live.
    pub async fn start(carrier: Carrier, us_port: u16, eu_port: u16, report: &mut Report) -> Result<Self, Failed> {
        let users = [("us-user", "us-pass"), EU_AT_US, refused::USER];
        let (means, us) = carrier::Means::start(carrier, "us", loopback(us_port), &users).await?;
        let eu = means.dialling("eu", &[("eu-user", "eu-pass")], eu_port).await?;
        let wire = means.wire().await?;
        us.linker().create_link(means.us_to_eu(vec![everything()?])).await?;
        eu.linker().create_link(means.eu_to_us(wire.address())?).await?;
        let start = Instant::now();
        for (region, peer) in [(&us, &eu), (&eu, &us)] {
            region.live(peer.name()).await?;
        }
        report.say(format!("both brokers run, the link is live after {} ms", start.elapsed().as_millis()));
        Ok(Self { us, eu, wire, means })
    }

    /// Runs every check.
    pub async fn check(&self, report: &mut Report) {
        report.title("Two clients in two regions");
        let outcome = exchange::each_to_the_other(self, report).await;
        report.row("a message crosses in each direction", outcome);
        let outcome = exchange::one_topic_in_both(self, report).await;
        report.row("one publish reaches both regions, once each", outcome);

        report.title("Only what somebody wants crosses");
        let outcome = savings::unwanted(self, report).await;
        report.row("a topic that nobody wants crosses zero times", outcome);
        let outcome = savings::against_a_bridge(self, report).await;
        report.row("1,000 messages, 5 wanted: link against bridge", outcome);

        report.title("An asymmetrical link, switched while it runs");
        let outcome = asymmetric::check(self, report).await;
        report.row("empty topics at us: us receives nothing, eu does", outcome);

        report.title("The connection is cut in the middle of 10,000 publishes");
        let outcome = cut::check(self, report).await;
        report.row("all 10,000 arrive, once, in order", outcome);
        if self.over_quic() {
            report.title("The path loses everything for half a second");
            let outcome = cut::short(self, report).await;
            report.row("nothing is lost, nor the connection", outcome);
        }

        report.title("Messages arrive as they were sent");
        let outcome = faithful::qualities_and_properties(self, report).await;
        report.row("QoS 0, 1, 2, all properties, retain flag", outcome);
        let outcome = faithful::will(self, report).await;
        report.row("a will published at us arrives at eu", outcome);

        report.title("Links with wrong settings are refused, and say why");
        let outcome = refused::wrong_credential(self, report).await;
        report.row(if self.over_quic() { "a wrong certificate" } else { "a wrong password" }, outcome);
        let outcome = refused::wrong_name(self, report).await;
        report.row("another cluster expected", outcome);
        if self.over_quic() {
            let outcome = refused::wrong_authority(self, report).await;
            report.row("a certificate of an unknown authority", outcome);
        }
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.eu.stop().await;
        self.us.stop().await;
    }

    fn over_quic(&self) -> bool {
        matches!(self.means, carrier::Means::Quic { .. })
    }

    async fn clients(&self) -> Result<(Client, Client), Failed> {
        Ok((self.us.client("us-client").await?, self.eu.client("eu-client").await?))
    }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn everything() -> Result<TopicFilter, Failed> {
    filter("#")
}

fn filter(text: &str) -> Result<TopicFilter, Failed> {
    TopicFilter::new(text).map_err(|error| Failed::Wrong(error.to_string()))
}

/// Waits until `holds`; gives how long it took.
async fn until(what: &str, holds: impl AsyncFn() -> bool) -> Result<Duration, Failed> {
    let start = Instant::now();
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.map_err(|_| Failed::Wrong(format!("{what}: not within {} s", PATIENCE.as_secs())))?;
    Ok(start.elapsed())
}

/// Subscribes, and waits until the peer knows that its messages are wanted.
async fn subscribe(client: &Client, filter: &str, peer: &Region, report: &mut Report) -> Result<(), Failed> {
    // What an earlier check left behind would prove nothing.
    ensure(!peer.linker().wants(filter), || format!("{filter} is wanted before anybody subscribed"))?;
    client.subscribe(filter, QoS::ExactlyOnce).await?;
    let what = format!("{} hears that {filter} is wanted", peer.name());
    let took = until(&what, async || peer.linker().wants(filter)).await?;
    report.say(format!(
        "{} subscribes {filter}; {} knows after {:.1} ms",
        client.id(),
        peer.name(),
        took.as_secs_f64() * 1e3
    ));
    Ok(())
}

/// Waits until the wire is quiet, so that bytes can be compared.
async fn quiet(wire: &Proxy) {
    let mut before = wire.bytes();
    loop {
        sleep(Duration::from_millis(300)).await;
        let now = wire.bytes();
        // A heartbeat may pass.
        if now.since(before).total() < 600 {
            return;
        }
        before = now;
    }
}
