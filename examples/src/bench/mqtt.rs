//! Two brokers in this process, linked over MQTT on loopback. Messages enter by [`Linker::publish`] and leave by
//! [`Host::deliver`]: what a broker sees of a link.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use link_core::{
    driver::Linker,
    host::{DeliverError, Host, Origin},
    link::{ClusterName, LinkState, NodeName, Secret},
    message::{Message, QoS},
    topic::TopicFilter,
};
use tokio::{sync::Notify, time::timeout};

use super::{Failure, Figure, PATIENCE, link, median, message};
use crate::mqtt5_host::{Mqtt5Broker, Settings};

/// Takes every message and counts it.
#[derive(Default)]
struct Counter {
    count: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

#[async_trait]
impl Host for Counter {
    async fn deliver(&self, _message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.target.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
        Ok(())
    }
}

/// A broker that carries a link, and its linker.
struct Side {
    broker: Mqtt5Broker,
    linker: Linker,
    counter: Arc<Counter>,
}

impl Side {
    async fn start(name: &str) -> Result<Self, Failure> {
        let users = vec![("link".to_owned(), Secret::new("secret"))];
        let broker = Mqtt5Broker::start(Settings { bind: ([127, 0, 0, 1], 0).into(), users }).await?;
        let counter = Arc::new(Counter::default());
        let linker = Linker::builder(ClusterName::new(name)?, NodeName::new(&format!("{name}-1"))?)
            .transport(broker.transport())
            .start(counter.clone())?;
        Ok(Self { broker, linker, counter })
    }
}

/// Messages a second from one host to the other, and how long a subscription takes to be known at the other side.
///
/// # Errors
/// If a part does not start, or messages do not arrive.
pub async fn forward(count: u64, rounds: usize) -> Result<Vec<Figure>, Failure> {
    let (us, eu) = (Side::start("us").await?, Side::start("eu").await?);
    eu.linker.create_link(link("us", &[])?).await?;
    let mut to_eu = link("eu", &[format!("mqtt://{}", eu.broker.address())])?;
    to_eu.username = Some("link".to_owned());
    to_eu.password = Some(Secret::new("secret"));
    us.linker.create_link(to_eu).await?;
    let name = ClusterName::new("eu")?;
    let live = us.linker.wait_for(&name, |status| status.state == LinkState::Live);
    timeout(PATIENCE, live).await?.ok_or("the link is gone")?;
    let mut figures = vec![Figure::new("mqtt.subscribe_to_first_publish", known_after(&us, &eu).await?, "ms")];
    eu.linker.subscribe("bench", &TopicFilter::new("bench/#")?);
    while !us.linker.wants("bench/topic/7") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut rates = Vec::new();
        let before = bytes_out(&us, &name).await?;
        for _ in 0..rounds {
            rates.push(round(&us, &eu, qos, count).await?);
        }
        let bytes = (bytes_out(&us, &name).await? - before) as f64 / (count * rounds as u64) as f64;
        figures.push(Figure::new(format!("mqtt.qos{}.rate", qos as u8), median(&mut rates), "msg/s"));
        figures.push(Figure::new(format!("mqtt.qos{}.bytes_a_message", qos as u8), bytes, "B"));
    }
    for side in [us, eu] {
        side.linker.shutdown().await;
        side.broker.stop().await;
    }
    Ok(figures)
}

async fn bytes_out(side: &Side, link: &ClusterName) -> Result<u64, Failure> {
    let status = side.linker.link(link).await.ok_or("the link is gone")?;
    Ok(status.peers.iter().map(|peer| peer.bytes_out).sum())
}

/// Messages a second of one round.
async fn round(us: &Side, eu: &Side, qos: QoS, count: u64) -> Result<f64, Failure> {
    let message = message("bench/topic/7", qos)?;
    let publishers: Vec<String> = (0..32).map(|n| format!("publisher-{n}")).collect();
    eu.counter.target.store(eu.counter.count.load(Ordering::Acquire) + count, Ordering::Release);
    let start = Instant::now();
    for (n, publisher) in (0..count).zip(publishers.iter().cycle()) {
        let published = us.linker.publish_patiently(publisher, &message, PATIENCE).await?;
        if published.accepted != 1 {
            return Err(format!("message {n} was not accepted: {published:?}").into());
        }
        if n % 256 == 255 {
            tokio::task::yield_now().await;
        }
    }
    timeout(PATIENCE, eu.counter.reached.notified()).await.map_err(|_| "messages did not arrive")?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Milliseconds from a subscription at `eu` to the first publish at `us` that crosses.
async fn known_after(us: &Side, eu: &Side) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for n in 0..50 {
        let topic = format!("known/{n}");
        let (filter, probe) = (TopicFilter::new(topic.clone())?, message(&topic, QoS::AtLeastOnce)?);
        let start = Instant::now();
        eu.linker.subscribe("bench", &filter);
        while us.linker.publish("probe", &probe)?.accepted == 0 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(7 * (n % 3))).await;
    }
    Ok(median(&mut times))
}
