//! One link with addresses of two transports: where UDP is blocked it runs over MQTT, and the session goes along.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use examples::{
    bench,
    client::{Client, Outgoing, QoS},
    proxy::Proxy,
    two_regions::Region,
};
use link_core::link::{LinkConfig, Secret, TlsSettings};
use link_quic::{QuicSettings, QuicTransport, development::DevelopmentCa};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// The name in the certificate of `eu`, and its user at `us`: one identity, whatever it comes over.
const EU: &str = "eu";

/// The link of `eu`: QUIC first.
fn to_us(udp: &Proxy, tcp: &Proxy, tls: TlsSettings) -> LinkConfig {
    let servers = [format!("quic://{}", udp.address()), format!("mqtt://{}", tcp.address())];
    LinkConfig {
        username: Some(EU.to_owned()),
        password: Some(Secret::new("secret")),
        tls: Some(tls),
        connect_timeout: Duration::from_secs(1),
        retry_first: Duration::from_millis(50),
        retry_max: Duration::from_millis(200),
        heartbeat: Duration::from_millis(300),
        return_after: Duration::from_secs(1),
        ..bench::link("us", &servers).unwrap()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not so"));
}

/// Waits until messages cross here, over a connection that is new.
async fn moved_to(wire: &Proxy, dialled: u64, carrier: &str) {
    until(&format!("{carrier} is dialled"), || wire.connections() > dialled).await;
    let before = wire.bytes();
    until(&format!("messages cross over {carrier}"), || {
        let now = wire.bytes().since(before);
        now.up > 20_000 && now.down > 20_000
    })
    .await;
}

/// Publishes numbers until it is told to stop; gives how many.
async fn publish(client: Client, topic: &'static str, stop: Arc<AtomicBool>) -> (Client, usize) {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        let ten = (count..count + 10).map(|n| Outgoing::new(topic, n.to_string(), QoS::AtLeastOnce));
        client.publish_all(ten).await.unwrap();
        count += 10;
        sleep(Duration::from_millis(10)).await;
    }
    (client, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_falls_back_from_quic_to_mqtt_and_loses_nothing() {
    let ca = DevelopmentCa::new().unwrap();
    let tls = |name: &str| ca.settings(&name.parse().unwrap()).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let quic = QuicTransport::listen(any, &tls("us"), QuicSettings::default()).unwrap();
    let udp = Proxy::start_udp(quic.local_address().unwrap()).await.unwrap();
    let users = [("user", "pass"), (EU, "secret")];
    let us = Region::start_with("us", any, &users, Some(Arc::new(quic))).await.unwrap();
    let eu = Region::start_with("eu", any, &users, Some(Arc::new(QuicTransport::default()))).await.unwrap();
    let tcp = Proxy::start(us.address()).await.unwrap();
    let mut waiting = bench::link("eu", &[]).unwrap();
    waiting.heartbeat = Duration::from_millis(300);
    waiting.peer_identity = Some(EU.to_owned());
    us.linker().create_link(waiting).await.unwrap();

    // A firewall that lets no UDP through.
    udp.cut();
    eu.linker().create_link(to_us(&udp, &tcp, tls("eu"))).await.unwrap();
    us.live("eu").await.unwrap();
    eu.live("us").await.unwrap();
    assert_eq!((udp.bytes().total(), tcp.connections()), (0, 1));

    let (at_us, at_eu) = (us.client("c").await.unwrap(), eu.client("c").await.unwrap());
    at_us.subscribe("to-us", QoS::AtLeastOnce).await.unwrap();
    at_eu.subscribe("to-eu", QoS::AtLeastOnce).await.unwrap();
    until("both know what is wanted", || us.linker().wants("to-eu") && eu.linker().wants("to-us")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let publishers = [
        tokio::spawn(publish(us.client("p").await.unwrap(), "to-eu", Arc::clone(&stop))),
        tokio::spawn(publish(eu.client("p").await.unwrap(), "to-us", Arc::clone(&stop))),
    ];
    let flowing = || sleep(Duration::from_millis(300));

    for _ in 0..2 {
        flowing().await;
        let dialled = udp.connections();
        udp.restore();
        tcp.cut();
        moved_to(&udp, dialled, "QUIC").await;
        flowing().await;
        let dialled = tcp.connections();
        tcp.restore();
        udp.cut();
        moved_to(&tcp, dialled, "MQTT").await;
    }
    // Nothing is cut: the link comes back to its first address by itself.
    let dialled = udp.connections();
    udp.restore();
    moved_to(&udp, dialled, "QUIC").await;
    flowing().await;
    stop.store(true, Ordering::SeqCst);
    for (publisher, subscriber) in publishers.into_iter().zip([at_eu, at_us]) {
        let (publisher, count) = publisher.await.unwrap();
        let got = subscriber.receive_many(count, PATIENCE).await;
        assert_eq!(got.len(), count, "lost some");
        for (n, message) in got.iter().enumerate() {
            assert_eq!(message.payload, n.to_string(), "at place {n} of {count}");
        }
        assert!(subscriber.receive(Duration::from_millis(300)).await.is_none(), "a message came twice");
        for client in [publisher, subscriber] {
            client.disconnect().await;
        }
    }
    us.stop().await;
    eu.stop().await;
}
