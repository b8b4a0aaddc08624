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
