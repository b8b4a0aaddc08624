//! One link with addresses of several carriers: where UDP is blocked it runs over MQTT, with TLS or without, and the session
//! goes along.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    net::{Ipv4Addr, SocketAddr},
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
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
/// The name in the certificate of `eu`, and its user at `us`: one identity, whatever it comes over.
const EU: &str = "eu";

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

/// Both regions, and what stands between them.
struct Path {
    us: Region,
    eu: Region,
    ca: DevelopmentCa,
    udp: Proxy,
    /// In front of a TLS listener of the broker of `us`.
    tls: Proxy,
    tcp: Proxy,
}

impl Path {
    /// `us` waits; nothing is dialled.
    async fn start() -> Self {
        let ca = DevelopmentCa::new().unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let certificate = ca.settings(&"us".parse().unwrap()).unwrap();
        let quic = QuicTransport::listen(any, &certificate, QuicSettings::default()).unwrap();
        let udp = Proxy::start_udp(quic.local_address().unwrap()).await.unwrap();
        let users = [("user", "pass"), (EU, "secret")];
        let us = Region::start_with("us", any, &users, Some(Arc::new(quic))).await.unwrap();
        let eu = Region::start_with("eu", any, &users, Some(Arc::new(QuicTransport::default()))).await.unwrap();
        let tcp = Proxy::start(us.address()).await.unwrap();
        let tls = Proxy::start(tls_listener(us.address(), &certificate).await).await.unwrap();
        let mut waiting = bench::link("eu", &[]).unwrap();
        waiting.heartbeat = Duration::from_millis(300);
        waiting.peer_identity = Some(EU.to_owned());
        us.linker().create_link(waiting).await.unwrap();
        Self { us, eu, ca, udp, tls, tcp }
    }

    /// `eu` dials these addresses, in this order.
    async fn dial(&self, servers: &[String]) {
        let mut tls = self.ca.settings(&EU.parse().unwrap()).unwrap();
        // In the certificate of `us` there is no address.
        tls.server_name = Some("us".to_owned());
        let link = LinkConfig {
            username: Some(EU.to_owned()),
            password: Some(Secret::new("secret")),
            tls: Some(tls),
            connect_timeout: Duration::from_secs(1),
            retry_first: Duration::from_millis(50),
            retry_max: Duration::from_millis(200),
            heartbeat: Duration::from_millis(300),
            return_after: Duration::from_secs(1),
            ..bench::link("us", servers).unwrap()
        };
        self.eu.linker().create_link(link).await.unwrap();
        self.us.live("eu").await.unwrap();
        self.eu.live("us").await.unwrap();
    }
}

/// A TLS listener in front of a broker: it takes the TLS off, and lets in whoever connects.
async fn tls_listener(broker: SocketAddr, tls: &TlsSettings) -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(tls.certificate.as_ref().unwrap()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_ref().unwrap().reveal().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, acceptor) = (listener.local_addr().unwrap(), TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Whatever fails ends the connection: that is all there is to do.
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(broker).await?;
                copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    address
}

/// Publishers and subscribers on both sides.
struct Traffic {
    stop: Arc<AtomicBool>,
    publishers: [JoinHandle<(Client, usize)>; 2],
    subscribers: [Client; 2],
}

impl Traffic {
    async fn start(Path { us, eu, .. }: &Path) -> Self {
        let (at_us, at_eu) = (us.client("c").await.unwrap(), eu.client("c").await.unwrap());
        at_us.subscribe("to-us", QoS::AtLeastOnce).await.unwrap();
        at_eu.subscribe("to-eu", QoS::AtLeastOnce).await.unwrap();
        until("both know what is wanted", || us.linker().wants("to-eu") && eu.linker().wants("to-us")).await;
        let stop = Arc::new(AtomicBool::new(false));
        let publishers = [
            tokio::spawn(publish(us.client("p").await.unwrap(), "to-eu", Arc::clone(&stop))),
            tokio::spawn(publish(eu.client("p").await.unwrap(), "to-us", Arc::clone(&stop))),
        ];
        Self { stop, publishers, subscribers: [at_eu, at_us] }
    }

    /// Each message has arrived once, in order.
    async fn finish(self) {
        self.stop.store(true, Ordering::SeqCst);
        for (publisher, subscriber) in self.publishers.into_iter().zip(self.subscribers) {
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
    }
}

async fn flowing() {
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_falls_back_from_quic_to_mqtt_and_loses_nothing() {
    let path = Path::start().await;
    let (udp, tcp) = (&path.udp, &path.tcp);
    // A firewall that lets no UDP through.
    udp.cut();
    path.dial(&[format!("quic://{}", udp.address()), format!("mqtt://{}", tcp.address())]).await;
    assert_eq!((udp.bytes().total(), tcp.connections()), (0, 1));
    let traffic = Traffic::start(&path).await;
    for _ in 0..2 {
        flowing().await;
        let dialled = udp.connections();
        udp.restore();
        tcp.cut();
        moved_to(udp, dialled, "QUIC").await;
        flowing().await;
        let dialled = tcp.connections();
        tcp.restore();
        udp.cut();
        moved_to(tcp, dialled, "MQTT").await;
    }
    // Nothing is cut: the link comes back to its first address by itself.
    let dialled = udp.connections();
    udp.restore();
    moved_to(udp, dialled, "QUIC").await;
    flowing().await;
    traffic.finish().await;
    path.us.stop().await;
    path.eu.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_falls_back_from_quic_to_tls_to_mqtt_and_comes_back() {
    let path = Path::start().await;
    let (udp, tls, tcp) = (&path.udp, &path.tls, &path.tcp);
    path.dial(&[
        format!("quic://{}", udp.address()),
        format!("mqtts://{}", tls.address()),
        format!("mqtt://{}", tcp.address()),
    ])
    .await;
    let traffic = Traffic::start(&path).await;
    flowing().await;
    assert_eq!((udp.connections(), tls.connections(), tcp.connections()), (1, 0, 0));

    for _ in 0..2 {
        let dialled = tls.connections();
        udp.cut();
        moved_to(tls, dialled, "MQTT with TLS").await;
        flowing().await;
        let dialled = tcp.connections();
        tls.cut();
        moved_to(tcp, dialled, "MQTT").await;
        flowing().await;
        let dialled = udp.connections();
        udp.restore();
        tls.restore();
        moved_to(udp, dialled, "QUIC").await;
        flowing().await;
    }
    // From its last address to the one before.
    udp.cut();
    tls.cut();
    moved_to(tcp, tcp.connections(), "MQTT").await;
    let dialled = tls.connections();
    tls.restore();
    tcp.cut();
    moved_to(tls, dialled, "MQTT with TLS").await;
    flowing().await;
    traffic.finish().await;
    path.us.stop().await;
    path.eu.stop().await;
}
