use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use emulator::{Direction, Emulator};
use link_core::{
    driver::Linker,
    link::{ClusterName, LinkState},
    message::{Message, QoS},
    topic::Topic,
};
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use super::{
    end::Ends,
    links::Link,
    path::Path,
    raw,
    sink::{BULK, PROBE, Sink},
    way::Way,
};
use crate::bench::{Failure, quantile};

/// Bytes of payload of the bulk's messages, and of the probes.
const BULK_SIZE: usize = 4096;
const PROBE_SIZE: usize = 100;
/// The bulk's publisher is so many bytes ahead of the host at the other end: the queue is never empty, and never full.
const AHEAD: u64 = 12 << 20;
const CUT: Duration = Duration::from_secs(2);
/// The link's default: three of them are longer than the cut.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Longest wait for a link after a cut.
pub(super) const RETURN: Duration = Duration::from_secs(30);

/// What one run measures, or the medians of several. What was not measured is `None`.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Payload that arrived, in bytes a second.
    pub rate: Option<f64>,
    /// Milliseconds of a small message on its way beside the bulk: the median.
    pub p50: Option<f64>,
    /// The same: 99 of 100 are faster.
    pub p99: Option<f64>,
    /// Milliseconds from the end of a cut until the link is live and a message published after the cut has arrived.
    pub back: Option<f64>,
    /// The same after a cut that costs the link its connections.
    #[serde(default)]
    pub live: Option<f64>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the beginning of the bulk until it is measured.
    pub warm: Duration,
    /// How long it is measured.
    pub measured: Duration,
    /// Between two probes.
    pub every: Duration,
}

impl Times {
    /// Those for a path.
    pub fn of(path: &Path) -> Self {
        let seconds = Duration::from_secs;
        if path.is_slow() {
            Self { warm: seconds(12), measured: seconds(15), every: Duration::from_millis(500) }
        } else {
            Self { warm: seconds(3), measured: seconds(4), every: Duration::from_millis(50) }
        }
    }
}

/// One run over a path of its own: the bulk, small messages beside it, and a cut that the connections survive.
///
/// # Errors
/// If the path or what runs over it does not come up.
pub fn measure(path: &Path, way: Way, times: Times, seed: u64) -> Result<Figures, Failure> {
    let ends = Ends::new(path, way, seed)?;
    let begin = Instant::now();
    let sink = Arc::new(Sink::new(begin));
    if way.raw().is_none() {
        raw::start(&ends, way, Arc::clone(&sink))?;
        let rate = ends.a(async move { Ok(rate(&sink, times).await) })?;
        return Ok(Figures { rate: Some(rate), ..Figures::default() });
    }
    let link = Link::start(&ends, way, Arc::clone(&sink), HEARTBEAT)?;
    let (linker, name, net) = (link.near.clone(), link.name.clone(), Arc::clone(&ends.net));
    let figures = ends.a(async move { drive(Driven { linker, name, net, sink, begin }, times).await })?;
    link.stop(&ends)?;
    Ok(figures)
}

/// Bytes a second from one arrival to another: a link delivers whole frames, and on a slow path one takes seconds.
async fn rate(sink: &Sink, times: Times) -> f64 {
    sleep(times.warm).await;
    let (start, before) = arrival(sink).await;
    sleep(times.measured).await;
    let (end, after) = arrival(sink).await;
    (after - before) as f64 / (end - start).as_secs_f64()
}

/// The next time at which something has arrived, and how much has by then.
async fn arrival(sink: &Sink) -> (Instant, u64) {
    let (begin, before) = (Instant::now(), sink.bytes());
    while sink.bytes() == before && begin.elapsed() < RETURN {
        sleep(Duration::from_millis(1)).await;
    }
    // The messages of one frame arrive together.
    sleep(Duration::from_millis(10)).await;
    (Instant::now(), sink.bytes())
}

/// A live link, and what it runs over.
struct Driven {
    linker: Linker,
    name: ClusterName,
    net: Arc<Emulator>,
    sink: Arc<Sink>,
    begin: Instant,
}

async fn drive(driven: Driven, times: Times) -> Result<Figures, Failure> {
    let Driven { linker, name, net, sink, begin } = driven;
    // Dropping them ends the publishers.
    let mut publishers = JoinSet::new();
    publishers.spawn(publish_bulk(linker.clone(), Arc::clone(&sink)));
    publishers.spawn(publish_probes(linker.clone(), begin, times.every));
    let from = begin.elapsed() + times.warm;
    let rate = rate(&sink, times).await;
    let until = begin.elapsed();
    // Those that are on their way arrive before the cut, unless they take longer than this.
    sleep(Duration::from_secs(1)).await;
    net.change(Direction::Both, |path| path.cut = true);
    sleep(CUT).await;
    net.change(Direction::Both, |path| path.cut = false);
    let back = returned(&linker, &name, &sink, begin).await.unwrap_or(RETURN);
    let mut ways: Vec<f64> =
        sink.probes(from..until).iter().map(|p| (p.arrived.saturating_sub(p.sent)).as_secs_f64() * 1e3).collect();
    let mut at = |part| (!ways.is_empty()).then(|| quantile(&mut ways, part));
    let (p50, p99) = (at(0.5), at(0.99));
    Ok(Figures { rate: Some(rate), p50, p99, back: Some(back.as_secs_f64() * 1e3), live: None })
}

/// Time until the link is live and a probe that was published from now on has arrived.
pub(super) async fn returned(linker: &Linker, name: &ClusterName, sink: &Sink, begin: Instant) -> Option<Duration> {
    let healed = begin.elapsed();
    while begin.elapsed() - healed < RETURN {
        let arrived = sink.probes(healed..Duration::MAX).first().map(|probe| probe.arrived);
        if let Some(arrived) = arrived {
            let is_live = linker.link(name).await.is_some_and(|status| status.state == LinkState::Live);
            if is_live {
                return Some(arrived.saturating_sub(healed));
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    None
}

async fn publish_bulk(linker: Linker, sink: Arc<Sink>) -> Result<(), Failure> {
    let message = Message::new(Topic::new(BULK.to_owned())?, vec![b'x'; BULK_SIZE], QoS::AtLeastOnce);
    let mut published = 0;
    loop {
        while published < sink.bytes() + AHEAD {
            if linker.publish("bulk", &message)?.accepted == 0 {
                break;
            }
            published += BULK_SIZE as u64;
            if published % (16 * BULK_SIZE as u64) == 0 {
                tokio::task::yield_now().await;
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Each begins with the time at which it is published. Publishers `probe` and `bulk` have different lanes.
pub(super) async fn publish_probes(linker: Linker, begin: Instant, every: Duration) -> Result<(), Failure> {
    let topic = Topic::new(PROBE.to_owned())?;
    let mut turns = interval(every);
    loop {
        turns.tick().await;
        let mut payload = vec![b'p'; PROBE_SIZE];
        payload[..8].copy_from_slice(&(begin.elapsed().as_nanos() as u64).to_le_bytes());
        linker.publish("probe", &Message::new(topic.clone(), Bytes::from(payload), QoS::AtLeastOnce))?;
    }
}
