//! F14, F15: whole links over brokers that break off, repeat and refuse: each message arrives once, in order, and a
//! broker that can't be used is dialled with growing pauses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use link_core::{
    driver::Linker,
    link::{LinkConfig, LinkState, LinkStatus},
    memory::{MemoryBroker, MemoryClient},
    message::{Message, QoS},
    topic::{Topic, TopicFilter},
};
use link_mqtt::{AcceptorLimits, MqttTransport};
use rumqttc::v5::mqttbytes::v5::*;
use support::{broker::Broker, *};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const COUNT: u32 = 1_500;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_millis(600);
const CONNECT: Duration = Duration::from_millis(700);

fn link_to(peer: &str) -> LinkConfig {
    let mut link = LinkConfig::new(peer.parse().unwrap());
    link.topics = vec![TopicFilter::new("#").unwrap()];
    link.retry_first = RETRY_FIRST;
    link.retry_max = RETRY_MAX;
    link.connect_timeout = CONNECT;
    link
}

/// A cluster with one client that has subscribed to the peer's messages.
fn cluster(name: &str, peer: &str, transport: Arc<MqttTransport>, link: LinkConfig) -> (Linker, MemoryClient) {
    let host = MemoryBroker::new();
    let client = host.client("client");
    client.subscribe(&TopicFilter::new(format!("from/{peer}")).unwrap());
    let builder = Linker::builder(name.parse().unwrap(), name.parse().unwrap()).transport(transport);
    let linker = builder.link(link).start(host.clone()).unwrap();
    host.attach(&linker);
    (linker, client)
}

fn status(linker: &Linker, state: LinkState) -> impl Future<Output = LinkStatus> {
    let linker = linker.clone();
    async move {
        let name = linker.links().await[0].name.clone();
        match timeout(LONG, linker.wait_for(&name, |link| link.state == state)).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("not {state}: {:?}", linker.link(&name).await),
        }
    }
}

/// `us` accepts through the broker, `eu` dials it; messages cross both ways.
async fn exactly_once(hang_up_every: usize, repeats: bool) -> Broker {
    let mut broker = Broker::start(AcceptorLimits::default()).await;
    let accepting = std::mem::take(&mut broker.transport);
    let (us, us_client) = cluster("us", "eu", Arc::new(accepting), link_to("eu"));
    let mut link = link_to("us");
    link.servers = vec![endpoint("mqtt", broker.port)];
    let (eu, eu_client) = cluster("eu", "us", Arc::new(MqttTransport::new()), link);
    broker.sessions.faults.repeats.store(repeats, Ordering::SeqCst);
    for (linker, topic) in [(&us, "from/us"), (&eu, "from/eu")] {
        status(linker, LinkState::Live).await;
        timeout(LONG, async {
            while !linker.wants(topic) {
                sleep(Duration::from_millis(5)).await
            }
        })
        .await
        .unwrap();
    }
    broker.sessions.faults.hang_up_every.store(hang_up_every, Ordering::SeqCst);

    let crossing = [(us_client, "us", "eu"), (eu_client, "eu", "us")].map(|(mut client, own, peer)| {
        tokio::spawn(async move {
            for n in 0..COUNT {
                let topic = Topic::new(format!("from/{own}")).unwrap();
                let message = Message::new(topic, n.to_string(), QoS::AtLeastOnce);
                assert_eq!(client.publish(&message).unwrap().accepted, 1, "{message:?}");
                sleep(Duration::from_millis(1)).await;
            }
            let mut received = Vec::new();
            while received.len() < COUNT as usize {
                let next = timeout(LONG, client.recv()).await;
                let message = next.unwrap_or_else(|_| panic!("{own}: only {} came", received.len())).unwrap();
                received.push(String::from_utf8(message.payload.to_vec()).unwrap().parse::<u32>().unwrap());
            }
            assert!(received.into_iter().eq(0..COUNT), "from {peer}: not once each, in order");
            client
        })
    });
    let mut clients = Vec::new();
    for side in crossing {
        clients.push(timeout(LONG, side).await.unwrap().unwrap());
    }
    broker.sessions.faults.hang_up_every.store(0, Ordering::SeqCst);
    sleep(Duration::from_millis(500)).await;
    assert!(clients.iter_mut().all(|client| client.try_recv().is_none()), "a message came twice");
    for linker in [&us, &eu] {
        status(linker, LinkState::Live).await;
    }
    eu.shutdown().await;
    us.shutdown().await;
    broker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_up_before_its_pubacks_loses_and_doubles_nothing() {
    let broker = exactly_once(40, false).await;
    let hung_up = broker.sessions.faults.hung_up.load(Ordering::SeqCst);
    assert!(hung_up >= 3, "it hung up {hung_up} times only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_sends_everything_twice_doubles_nothing() {
    exactly_once(0, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_repeats_and_hangs_up_doubles_nothing() {
    exactly_once(40, true).await;
}

/// The times at which a broker that plays `script` to every client was dialled.
async fn dials<F>(lasts: Duration, script: fn(Wire<TcpStream>) -> F) -> (Vec<Instant>, LinkStatus)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut link = link_to("us");
    link.servers = vec![endpoint("mqtt", listener.local_addr().unwrap().port())];
    let (linker, _client) = cluster("eu", "us", Arc::new(MqttTransport::new()), link);
    let mut times = Vec::new();
    let _ = timeout(lasts, async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            times.push(Instant::now());
            tokio::spawn(script(Wire::new(stream)));
        }
    })
    .await;
    let status = linker.links().await.remove(0);
    linker.shutdown().await;
    (times, status)
}

/// Checks the pauses between dials, of which each attempt itself takes `attempt`.
fn assert_bounded(times: &[Instant], attempt: Duration, what: &str) {
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 3, "{what}: it gives up: {pauses:?}");
    // A pause is drawn from the upper half; a clock tick less is no matter.
    let least = |full: Duration| (attempt + full / 2).saturating_sub(Duration::from_millis(5));
    let slack = Duration::from_millis(700);
    for (n, pause) in pauses.iter().enumerate() {
        assert!(*pause >= least(RETRY_FIRST), "{what}, pause {n}: {pauses:?}");
        assert!(*pause <= attempt + RETRY_MAX + slack, "{what}, pause {n}: {pauses:?}");
    }
    assert!(pauses[3.min(pauses.len() - 1)..].iter().all(|pause| *pause >= least(RETRY_MAX)), "{what}: {pauses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_cannot_be_used_is_dialled_with_bounded_pauses_and_the_status_says_why() {
    let lasts = Duration::from_secs(5);
    let (closes, busy, refuses, hangs_up) = tokio::join!(
        dials(lasts, |mut wire| async move { drop(wire.packet().await) }),
        dials(lasts, |mut wire| async move { drop(wire.connect(connack(ConnectReturnCode::ServerBusy)).await) }),
        dials(lasts, |mut wire| async move {
            wire.connect(success()).await;
            wire.subscribe(SubscribeReasonCode::NotAuthorized).await;
        }),
        dials(lasts, |mut wire| async move { drop(wire.welcome(success()).await) }),
    );
    for ((times, status), what, reason) in [
        (closes, "closes", "the broker closed the socket"),
        (busy, "busy", "server busy (0x89)"),
        (refuses, "refuses", "the broker refused the subscription: not authorized (0x87)"),
        // What it has not read makes its kernel reset the connection, or not.
        (hangs_up, "hangs up", ""),
    ] {
        assert_bounded(&times, Duration::ZERO, what);
        assert!(status.reason.contains(reason), "{what}: {}", status.reason);
        assert!(!matches!(status.state, LinkState::Live | LinkState::Syncing), "{what}: {}", status.state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_is_left_and_dialled_again() {
    async fn silent(mut wire: Wire<TcpStream>) {
        while wire.read().await.is_some() {}
    }
    let lasts = Duration::from_secs(8);
    let (from_the_start, after_the_handshake) = tokio::join!(
        dials(lasts, silent),
        dials(lasts, |mut wire| async move {
            wire.welcome(success()).await;
            silent(wire).await;
        }),
    );
    for ((times, status), what) in [(from_the_start, "from the start"), (after_the_handshake, "after the handshake")] {
        assert_bounded(&times, CONNECT, what);
        assert!(!matches!(status.state, LinkState::Live | LinkState::Syncing), "{what}: {}", status.state);
    }
}
