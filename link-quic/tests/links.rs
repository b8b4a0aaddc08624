//! Whole links over QUIC.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::Duration;

use link_core::{link::LinkState, transport::Transport};
use link_quic::{QuicSettings, QuicTransport};
use support::*;
use tokio::net::UdpSocket;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_cross_in_both_directions_in_order_and_once() {
    let authority = Authority::new();
    let us = Node::listening("us", "eu", &authority);
    let eu = Node::dialling("eu", "us", us.address(), authority.settings(&["eu"]));
    let (mut at_us, mut at_eu) = (us.subscriber("c", &["to-us"]), eu.subscriber("c", &["to-eu"]));
    us.wants("to-eu").await;
    eu.wants("to-us").await;
    publish(&us, "p", "to-eu", 0..2_000).await;
    publish(&eu, "p", "to-us", 0..2_000).await;
    assert_eq!(numbers(&mut at_eu, 2_000).await, (0..2_000).collect::<Vec<_>>());
    assert_eq!(numbers(&mut at_us, 2_000).await, (0..2_000).collect::<Vec<_>>());
    assert!(at_eu.try_recv().is_none() && at_us.try_recv().is_none());
}

/// Frames of more than 256 KiB go on streams of their own, and keep their place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_keep_their_place_among_small_ones() {
    let authority = Authority::new();
    let us = Node::listening("us", "eu", &authority);
    let eu = Node::dialling("eu", "us", us.address(), authority.settings(&["eu"]));
    let mut client = us.subscriber("c", &["t"]);
    eu.wants("t").await;
    for n in 0..60_u64 {
        let mut payload = if n % 3 == 0 { vec![b'.'; 900_000] } else { Vec::new() };
        payload.extend(n.to_string().bytes());
        eu.linker.publish_patiently("p", &message("t", payload), PATIENCE).await.unwrap();
    }
    assert_eq!(numbers(&mut client, 60).await, (0..60).collect::<Vec<_>>());
}

/// Eight publishers whose messages each go on a stream of their own, in both directions, and what arrives of them.
async fn large_burst(settings: QuicSettings, window: u32, size: usize, each: u64) {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let wide = |mut link: link_core::link::LinkConfig| {
        (link.window, link.queue_bytes) = (window, 256 << 20);
        link
    };
    let transport = QuicTransport::listen(LOOPBACK, &tls, settings.clone()).unwrap();
    let us = Node::start("us", transport, vec![wide(link("eu", None, tls))]);
    let to = link("us", Some(us.address()), authority.settings(&["eu"]));
    let eu = Node::start("eu", QuicTransport::new(settings), vec![wide(to)]);
    for (from, to, peer) in [(&eu, &us, "us"), (&us, &eu, "eu")] {
        let mut client = to.subscriber("c", &["t"]);
        from.wants("t").await;
        from.wait_live(peer).await;
        let live = std::time::Instant::now();
        let payload = vec![b'.'; size];
        for n in 0..8 * each {
            let publisher = format!("p{}", n % 8);
            from.linker.publish_patiently(&publisher, &message("t", payload.clone()), PATIENCE).await.unwrap();
        }
        for n in 0..8 * each {
            let came = tokio::time::timeout(PATIENCE, client.recv()).await;
            assert!(came.is_ok(), "{n} of {} came to {}: {:?}", 8 * each, peer, from.linker.link(&cluster(peer)).await);
        }
        let lived = live.elapsed();
        assert!(from.wait_live(peer).await.since >= lived, "the connection was lost meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_large_messages_than_streams_wait_for_each_other() {
    large_burst(QuicSettings::default(), 16 << 20, 300_000, 24).await;
}

/// Frames of which only a few have room at the receiver while they come in: none of them holds up the others for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_larger_together_than_what_the_receiver_sets_aside_all_come() {
    let settings = QuicSettings {
        max_frame: 2 << 20,
        stream_window: 256 << 10,
        connection_window: 512 << 10,
        ..QuicSettings::default()
    };
    large_burst(settings, 64 << 20, 1_900_000, 2).await;
}

/// Where the transport takes less than the node: the node knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_transport_does_not_take_holds_up_none_behind_it() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let small = QuicSettings { max_frame: 1 << 20, ..QuicSettings::default() };
    for (at_us, at_eu) in [(small.clone(), QuicSettings::default()), (QuicSettings::default(), small)] {
        let transport = QuicTransport::listen(LOOPBACK, &tls, at_us).unwrap();
        let us = Node::start("us", transport, vec![link("eu", None, tls.clone())]);
        let to = link("us", Some(us.address()), authority.settings(&["eu"]));
        let eu = Node::start("eu", QuicTransport::new(at_eu), vec![to]);
        for (from, to) in [(&eu, &us), (&us, &eu)] {
            let mut client = to.subscriber("c", &["t"]);
            from.wants("t").await;
            from.linker.publish_patiently("p", &message("t", vec![b'.'; 2 << 20]), PATIENCE).await.unwrap();
            publish(from, "p", "t", 1..2).await;
            let came = tokio::time::timeout(PATIENCE, client.recv()).await.unwrap().unwrap();
            // The side that takes large ones sends them to none that does not.
            let first = if came.payload.len() > 1 { client.recv().await.unwrap() } else { came };
            assert_eq!(&first.payload[..], b"1");
        }
    }
}

/// A connection window that is smaller than a message: the frames behind that message take no credit from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_is_not_starved_by_those_behind_it() {
    let authority = Authority::new();
    let us = Node::listening("us", "eu", &authority);
    let settings = QuicSettings { connection_window: 1 << 20, ..QuicSettings::default() };
    let mut wide = link("us", Some(us.address()), authority.settings(&["eu"]));
    wide.window = 16 << 20;
    let eu = Node::start("eu", QuicTransport::new(settings), vec![wide]);
    let mut client = eu.subscriber("c", &["t"]);
    us.wants("t").await;
    let sizes = [9_000_000].into_iter().chain([400_000; 30]);
    for (n, size) in (0..62_u64).zip(sizes.clone().chain(sizes)) {
        let payload = [vec![b'.'; size], n.to_string().into_bytes()].concat();
        us.linker.publish_patiently("p", &message("t", payload), PATIENCE).await.unwrap();
    }
    assert_eq!(numbers(&mut client, 62).await, (0..62).collect::<Vec<_>>());
}

/// What stands between the two, and sends from another port when it is told to: a NAT that forgets.
async fn nat(to: std::net::SocketAddr) -> (std::net::SocketAddr, tokio::sync::watch::Sender<u32>) {
    let (inside, first) = (UdpSocket::bind(LOOPBACK).await.unwrap(), UdpSocket::bind(LOOPBACK).await.unwrap());
    let address = inside.local_addr().unwrap();
    let (moves, mut moved) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let (mut outside, mut client) = (first, None);
        let (mut there, mut back) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                received = inside.recv_from(&mut there) => {
                    let Ok((len, from)) = received else { return };
                    client = Some(from);
                    let _ = outside.send_to(&there[..len], to).await;
                }
                received = outside.recv_from(&mut back) => {
                    let (Ok((len, _)), Some(client)) = (received, client) else { continue };
                    let _ = inside.send_to(&back[..len], client).await;
                }
                changed = moved.changed() => {
                    if changed.is_err() { return }
                    outside = UdpSocket::bind(LOOPBACK).await.unwrap();
                }
            }
        }
    });
    (address, moves)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nat_that_forgets_and_a_new_address_cost_no_message_and_no_connection() {
    let authority = Authority::new();
    let us = Node::listening("us", "eu", &authority);
    let (through, moves) = nat(us.address()).await;
    let eu = Node::dialling("eu", "us", through, authority.settings(&["eu"]));
    let (mut at_us, mut at_eu) = (us.subscriber("c", &["to-us"]), eu.subscriber("c", &["to-eu"]));
    us.wants("to-eu").await;
    eu.wants("to-us").await;
    us.wait_live("eu").await;
    eu.wait_live("us").await;
    let live = std::time::Instant::now();
    for round in 0..5 {
        let range = round * 400..(round + 1) * 400;
        publish(&eu, "p", "to-us", range.clone()).await;
        if round % 2 == 0 {
            moves.send_modify(|count| *count += 1);
        } else {
            eu.transport.rebind().unwrap();
        }
        publish(&us, "p", "to-eu", range).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(numbers(&mut at_us, 2_000).await, (0..2_000).collect::<Vec<_>>());
    assert_eq!(numbers(&mut at_eu, 2_000).await, (0..2_000).collect::<Vec<_>>());
    for (node, peer) in [(&us, "eu"), (&eu, "us")] {
        let lived = live.elapsed();
        let status = node.wait_live(peer).await;
        assert!(status.since >= lived, "the connection was made anew: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificates_are_for_new_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let us = Node::listening("us", "eu", &old);
    let eu = Node::dialling("eu", "us", us.address(), old.settings(&["eu"]));
    eu.wait_live("us").await;
    let live = std::time::Instant::now();
    us.transport.reload(&new.settings(&["us"])).unwrap();
    us.linker.update_link(link("eu", None, new.settings(&["us"]))).await.unwrap();
    let _client = us.subscriber("c", &["still/there"]);
    eu.wants("still/there").await;
    let lived = live.elapsed();
    let status = eu.wait_live("us").await;
    assert!(status.since >= lived, "the reload dropped the link");

    // The link that is made anew with the old one is refused, and comes back with the new one.
    eu.linker.enable_link(&cluster("us"), false).await.unwrap();
    eu.linker.enable_link(&cluster("us"), true).await.unwrap();
    eu.wait("us", "refused", |status| status.state == LinkState::Refused).await;
    eu.linker.update_link(link("us", Some(us.address()), new.settings(&["eu"]))).await.unwrap();
    eu.wait_live("us").await;
    assert!(us.transport.reload(&link_core::link::TlsSettings::default()).is_err());
    assert!(QuicTransport::default().reload(&new.settings(&["us"])).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_takes_nothing_stops_its_sender_and_not_the_link() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let settings = QuicSettings { stream_window: 64 << 10, connection_window: 256 << 10, ..QuicSettings::default() };
    let us = QuicTransport::listen(LOOPBACK, &tls, settings).unwrap();
    let at = us.local_address().unwrap();
    let accepting = tokio::spawn(async move {
        let link_core::transport::Accepted::Connection(connection) = us.accept().await else { unreachable!() };
        // Nothing is received.
        (us, connection)
    });
    let dialler = QuicTransport::default();
    let dial = link_core::transport::Dial {
        endpoint: format!("quic://{at}").parse().unwrap(),
        cluster: cluster("eu"),
        node: link_core::link::NodeName::new("eu-1").unwrap(),
        link: std::sync::Arc::new(link("us", Some(at), authority.settings(&["eu"]))),
    };
    let mut connection = dialler.dial(&dial).await.unwrap();
    let (_us, mut theirs) = accepting.await.unwrap();
    let frame = bytes::Bytes::from(vec![7; 10_000]);
    let mut sent = 0;
    while let Ok(result) =
        tokio::time::timeout(Duration::from_millis(300), connection.data[0].send(frame.clone())).await
    {
        result.unwrap();
        sent += frame.len();
        assert!(sent < 40 << 20, "nothing stops the sender");
    }
    // Control goes on, to the other end.
    let control = bytes::Bytes::from_static(b"control");
    tokio::time::timeout(PATIENCE, connection.control.send(control.clone())).await.unwrap().unwrap();
    let first = async {
        loop {
            if let (link_core::transport::Class::Control, frame) = theirs.receiver.recv().await.unwrap() {
                return frame;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, first).await.unwrap(), control);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_in_the_certificate_is_a_dns_name() {
    let authority = Authority::new();
    let us = Node::listening("us", "eu", &authority);
    let mut tls = authority.settings(&["eu"]);
    tls.server_name = Some("127.0.0.1".to_owned());
    let dial = link_core::transport::Dial {
        endpoint: format!("quic://{}", us.address()).parse().unwrap(),
        cluster: cluster("eu"),
        node: link_core::link::NodeName::new("eu-1").unwrap(),
        link: std::sync::Arc::new(link("us", Some(us.address()), tls)),
    };
    let error = QuicTransport::default().dial(&dial).await.err().unwrap();
    let settings = matches!(error, link_core::transport::DialError::Settings { .. });
    assert!(settings && error.to_string().contains("`127.0.0.1` is an address"), "{error}");
}

/// What the sockets of these transports say from now on is an error: quinn gives them up then.
fn breaking() -> (link_quic::simulation::Simulated, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller, udp};
    use std::{
        io,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        task::{Context, Poll},
    };
    #[derive(Debug)]
    struct Breaking(Arc<dyn AsyncUdpSocket>, Arc<AtomicBool>);
    impl AsyncUdpSocket for Breaking {
        fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
            self.0.clone().create_io_poller()
        }
        fn try_send(&self, transmit: &udp::Transmit<'_>) -> io::Result<()> {
            self.0.try_send(transmit)
        }
        fn poll_recv(
            &self,
            cx: &mut Context<'_>,
            bufs: &mut [io::IoSliceMut<'_>],
            meta: &mut [udp::RecvMeta],
        ) -> Poll<io::Result<usize>> {
            let polled = self.0.poll_recv(cx, bufs, meta);
            // Once for each time that it is set.
            if polled.is_ready() && self.1.swap(false, SeqCst) {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            }
            polled
        }
        fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
            self.0.local_addr()
        }
    }
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let bind = move |address| {
        let socket = TokioRuntime.wrap_udp_socket(std::net::UdpSocket::bind(address)?)?;
        Ok(Arc::new(Breaking(socket, breaks.clone())) as Arc<dyn AsyncUdpSocket>)
    };
    let network = link_quic::simulation::Simulated {
        endpoint: quinn::EndpointConfig::default(),
        runtime: Arc::new(TokioRuntime),
        bind: Arc::new(bind),
    };
    (network, broken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_fails_is_replaced_at_either_end() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let ((at_us, us_breaks), (at_eu, eu_breaks)) = (breaking(), breaking());
    let transport = QuicTransport::listen_simulated(LOOPBACK, &tls, QuicSettings::default(), at_us).unwrap();
    let us = Node::start("us", transport, vec![link("eu", None, tls)]);
    let to = link("us", Some(us.address()), authority.settings(&["eu"]));
    let eu = Node::start("eu", QuicTransport::simulated(QuicSettings::default(), at_eu), vec![to]);
    eu.wait_live("us").await;
    for breaks in [eu_breaks, us_breaks] {
        breaks.store(true, std::sync::atomic::Ordering::SeqCst);
        eu.wait("us", "down", |status| status.state != LinkState::Live).await;
        eu.wait_live("us").await;
    }
}
