use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use emulator::Direction;
use link_core::{
    driver::Linker,
    interest::InterestChange,
    link::{ClusterName, LinkConfig, LinkState, LinkStatus, NodeName, ResyncMethod, Secret},
    memory::MemoryBroker,
    transport::{Connection, Dial, DialError, Transport},
};
use link_mqtt::MqttTransport;
use link_quic::{QuicSettings, QuicTransport, development::DevelopmentCa};
use tokio::time::{sleep, timeout};

use super::{end::Ends, path::Path, way::Way};
use crate::{
    bench::{Failure, link},
    mqtt5_host::{Mqtt5Broker, Settings},
    route_sync::Fleet,
};

/// How often either side says that it lives, so that a cut is noticed soon.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest wait for a link, with all its routes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a reconnect costs, over real sockets and an emulated path.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Reconnect {
    /// The path.
    pub path: Path,
    /// What carries the link.
    pub way: Way,
    /// Whether the writer has kept the changes.
    pub history: bool,
    /// Number of routes.
    pub n: usize,
    /// Number of changes during the cut.
    pub d: usize,
    /// From the moment at which the dialler's connection was up until both ends knew that the sets are equal, in
    /// milliseconds, of each cut. It is dialled when the path is there again: one that began before has lost packets, and
    /// sends less at first.
    pub took: Vec<f64>,
    /// The same until the reader, which dials, knew it.
    pub reader: Vec<f64>,
    /// What the reader's status says that the resync took: without connecting and the HELLOs.
    pub resync: Vec<f64>,
    /// How the copy was brought up to date, the last time.
    pub method: String,
}

/// Cuts a link of which `eu`, in namespace b, wants `n` filters, so many times; `d` of them change each time; it comes back.
///
/// # Errors
/// If it does not.
pub fn measure_routes(
    path: Path,
    way: Way,
    history: bool,
    (n, d): (usize, usize),
    cuts: usize,
) -> Result<Reconnect, Failure> {
    let ends = Ends::new(&path, way, 7)?;
    let mut fleet = Fleet::new(n)?;
    let wire = Wire::default();
    let pair = Pair::start(&ends, way, history, &fleet, wire.clone())?;
    let mut reconnect =
        Reconnect { path, way, history, n, d, took: vec![], reader: vec![], resync: vec![], method: String::new() };
    for _ in 0..cuts {
        wire.cut.store(true, Ordering::Relaxed);
        ends.net.change(Direction::Both, |path| path.cut = true);
        pair.both(&ends, |status| status.state != LinkState::Live)?;
        change(&pair.far, fleet.change(d)?);
        // All that waits at the writer is done when it answers.
        let far = pair.far.clone();
        ends.b(async move {
            sleep(Duration::from_millis(500)).await;
            far.links().await;
            Ok(())
        })?;
        ends.net.change(Direction::Both, |path| path.cut = false);
        wire.cut.store(false, Ordering::Relaxed);
        let count = n as u64;
        let (near, far) = pair.both(&ends, move |status| {
            let peer = status.peers.first();
            status.state == LinkState::Live && peer.is_some_and(|peer| peer.routes_out.equal && peer.routes_in.equal)
        })?;
        let up = wire.connected.lock().unwrap_or_else(PoisonError::into_inner).ok_or("nothing was dialled")?;
        let since = |at: Instant| at.saturating_duration_since(up).as_secs_f64() * 1e3;
        let peer = near.1.peers.first().ok_or("no peer")?;
        if peer.held.is_none_or(|held| held.count != count) {
            return Err(format!("the reader holds {:?}, not {count} routes", peer.held).into());
        }
        let resync = peer.routes_in.resync.and_then(|resync| resync.took).ok_or("the resync has no end")?;
        reconnect.resync.push(resync.as_secs_f64() * 1e3);
        reconnect.reader.push(since(near.0));
        reconnect.took.push(since(near.0.max(far.0)));
        let method = far.1.peers.first().and_then(|peer| peer.routes_out.resync).map(|resync| resync.method);
        reconnect.method = match method {
            Some(ResyncMethod::Tail) => "changes".to_owned(),
            Some(ResyncMethod::Sketch) => "sketches".to_owned(),
            other => format!("{other:?}"),
        };
        // The round trip is known, and the transport is at rest.
        ends.a(async {
            sleep(3 * HEARTBEAT).await;
            Ok(())
        })?;
    }
    pair.stop(&ends)?;
    Ok(reconnect)
}

/// A status, and when it was seen.
type Seen = (Instant, LinkStatus);

/// `us`, which dials and holds the copy, and `eu`.
struct Pair {
    near: Linker,
    far: Linker,
    broker: Option<Mqtt5Broker>,
}

impl Pair {
    fn start(ends: &Ends, way: Way, history: bool, fleet: &Fleet, wire: Wire) -> Result<Self, Failure> {
        let address = SocketAddr::from((ends.net.b().address(), 14567));
        let is_quic = matches!(way, Way::QuicCubic | Way::QuicBbr);
        let scheme = if is_quic { "quic" } else { "mqtt" };
        let (mut from, mut to) = (link("us", &[])?, link("eu", &[format!("{scheme}://{address}")])?);
        let settings = QuicSettings { congestion: way.congestion(), ..QuicSettings::default() };
        for link in [&mut from, &mut to] {
            link.heartbeat = HEARTBEAT;
        }
        to.username = Some("link".to_owned());
        to.password = Some(Secret::new("secret"));
        let ca = DevelopmentCa::new()?;
        let tls = ca.settings(&ClusterName::new("eu")?)?;
        if is_quic {
            (from.tls, to.tls) = (Some(tls.clone()), Some(ca.settings(&ClusterName::new("us")?)?));
        }
        let listener = settings.clone();
        let (far, broker) = ends.b(async move {
            if is_quic {
                let transport = Arc::new(QuicTransport::listen(address, &tls, listener)?);
                return Ok((start("eu", transport, from, history)?, None));
            }
            let users = vec![("link".to_owned(), Secret::new("secret"))];
            let broker = Mqtt5Broker::start(Settings { bind: address, users }).await?;
            Ok((start("eu", broker.transport(), from, history)?, Some(broker)))
        })?;
        change(&far, fleet.all());
        let inner: Arc<dyn Transport> =
            if is_quic { Arc::new(QuicTransport::new(settings)) } else { Arc::new(MqttTransport::new()) };
        let transport = Arc::new(Timed { inner, wire });
        let near = ends.a(async move { start("us", transport, to, history) })?;
        let pair = Self { near, far, broker };
        let n = fleet.filters().len() as u64;
        pair.both(ends, move |status| {
            let peer = status.peers.first();
            status.state == LinkState::Live && peer.is_some_and(|peer| peer.announced.count.max(held(status)) == n)
        })?;
        Ok(pair)
    }

    /// Waits until both ends satisfy it, and says when each did.
    fn both(
        &self,
        ends: &Ends,
        condition: impl Fn(&LinkStatus) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<(Seen, Seen), Failure> {
        let wait = |linker: &Linker, peer: &str| {
            let (linker, name, condition) = (linker.clone(), ClusterName::new(peer), condition.clone());
            async move {
                let status = timeout(PATIENCE, linker.wait_for(&name?, condition)).await?.ok_or("the link is gone")?;
                Ok((Instant::now(), status))
            }
        };
        let (near, far) = (wait(&self.near, "eu"), wait(&self.far, "us"));
        std::thread::scope(|scope| {
            let far = scope.spawn(|| ends.b(far));
            let near = ends.a(near);
            Ok((near?, far.join().map_err(|_| "the far end has failed")??))
        })
    }

    fn stop(self, ends: &Ends) -> Result<(), Failure> {
        let Self { near, far, broker } = self;
        let patience = Duration::from_secs(3);
        ends.a(async move {
            let _ = timeout(patience, near.shutdown()).await;
            Ok(())
        })?;
        ends.b(async move {
            let _ = timeout(patience, far.shutdown()).await;
            if let Some(broker) = broker {
                let _ = timeout(patience, broker.stop()).await;
            }
            Ok(())
        })
    }
}

fn held(status: &LinkStatus) -> u64 {
    status.peers.first().and_then(|peer| peer.held).map_or(0, |held| held.count)
}

fn change(linker: &Linker, changes: Vec<InterestChange>) {
    for change in changes {
        match change {
            InterestChange::Added(filter) => linker.subscribe("fleet", &filter),
            InterestChange::Removed(filter) => linker.unsubscribe("fleet", &filter),
        }
    }
}

fn start(name: &str, transport: Arc<dyn Transport>, link: LinkConfig, history: bool) -> Result<Linker, Failure> {
    let mut builder = Linker::builder(ClusterName::new(name)?, NodeName::new(&format!("{name}-1"))?);
    if !history {
        builder = builder.route_ring(0);
    }
    Ok(builder.transport(transport).link(link).start(MemoryBroker::new())?)
}

/// What a transport and the measurement tell each other.
#[derive(Clone, Default)]
struct Wire {
    cut: Arc<AtomicBool>,
    /// When the last dial led to a connection.
    connected: Arc<Mutex<Option<Instant>>>,
}

/// A transport that does not dial during a cut.
struct Timed {
    inner: Arc<dyn Transport>,
    wire: Wire,
}

#[async_trait]
impl Transport for Timed {
    fn schemes(&self) -> &[&'static str] {
        self.inner.schemes()
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        if self.wire.cut.load(Ordering::Relaxed) {
            let reason = "the path is cut".to_owned();
            return Err(DialError::Unreachable { endpoint: dial.endpoint.clone(), reason });
        }
        let connection = self.inner.dial(dial).await?;
        *self.wire.connected.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(connection)
    }
}
