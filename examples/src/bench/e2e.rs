//! Real MQTT 5 clients at both ends: the link beside a direct publish on one broker, in the same run.

use std::time::{Duration, Instant};

use link_core::link::Secret;

use super::{Failure, Figure, PATIENCE, PAYLOAD, link, median, quantile};
use crate::{
    client::{Client, Outgoing, QoS},
    two_regions::Region,
};

/// Messages a second between clients, and latency, over a link and directly.
///
/// # Errors
/// If a part does not start, or messages do not arrive.
pub async fn forward(count: usize, rounds: usize) -> Result<Vec<Figure>, Failure> {
    let users = [("user", "pass"), ("link", "secret")];
    let us = Region::start("us", ([127, 0, 0, 1], 0).into(), &users).await?;
    let eu = Region::start("eu", ([127, 0, 0, 1], 0).into(), &users).await?;
    eu.linker().create_link(link("us", &[])?).await?;
    let mut to_eu = link("eu", &[format!("mqtt://{}", eu.address())])?;
    to_eu.username = Some("link".to_owned());
    to_eu.password = Some(Secret::new("secret"));
    us.linker().create_link(to_eu).await?;
    us.live("eu").await?;
    let publisher = us.client("publisher").await?;
    let (near, far) = (us.client("near").await?, eu.client("far").await?);
    near.subscribe("direct/+", QoS::ExactlyOnce).await?;
    far.subscribe("linked/+", QoS::ExactlyOnce).await?;
    while !us.linker().wants("linked/1") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut figures = Vec::new();
    for (number, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
        let (mut linked, mut direct) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            linked.push(rate(&publisher, &far, "linked/1", qos, count).await?);
            direct.push(rate(&publisher, &near, "direct/1", qos, count).await?);
        }
        figures.push(Figure::new(format!("e2e.qos{number}.rate"), median(&mut linked), "msg/s"));
        figures.push(Figure::new(format!("e2e.qos{number}.direct_rate"), median(&mut direct), "msg/s"));
    }
    let (mut linked, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        linked.push(latency(&publisher, &far, "linked/1").await?);
        direct.push(latency(&publisher, &near, "direct/1").await?);
    }
    for (name, at) in [("p50", 0.5), ("p99", 0.99)] {
        let (linked, direct) = (quantile(&mut linked, at), quantile(&mut direct, at));
        figures.push(Figure::new(format!("e2e.latency.{name}"), linked, "ms"));
        figures.push(Figure::new(format!("e2e.latency.direct_{name}"), direct, "ms"));
        figures.push(Figure::new(format!("e2e.latency.added_{name}"), linked - direct, "ms"));
    }
    us.stop().await;
    eu.stop().await;
    Ok(figures)
}

/// Messages a second from one client to another. QoS 0 is sent in portions, each waited for: nobody promises to keep
/// more of it than that.
pub(super) async fn rate(from: &Client, to: &Client, topic: &str, qos: QoS, count: usize) -> Result<f64, Failure> {
    let portion = if qos == QoS::AtMostOnce { 500 } else { count };
    let start = Instant::now();
    for _ in 0..count / portion {
        let messages = (0..portion).map(|_| Outgoing::new(topic, vec![b'x'; PAYLOAD], qos));
        let (sent, received) = tokio::join!(from.publish_all(messages), to.receive_many(portion, PATIENCE));
        sent?;
        if received.len() != portion {
            return Err(format!("{} of {portion} messages of {qos:?} on {topic} arrived", received.len()).into());
        }
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Milliseconds from a publish of QoS 1 to its arrival, one at a time.
async fn latency(from: &Client, to: &Client, topic: &str) -> Result<f64, Failure> {
    let start = Instant::now();
    let message = Outgoing::new(topic, vec![b'x'; PAYLOAD], QoS::AtLeastOnce);
    let (sent, received) = tokio::join!(from.publish(message), async {
        to.receive(PATIENCE).await.map(|_| start.elapsed().as_secs_f64() * 1e3)
    });
    sent?;
    received.ok_or_else(|| format!("a message on {topic} did not arrive").into())
}
