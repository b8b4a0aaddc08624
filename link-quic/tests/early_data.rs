//! Connections that come back: sessions are resumed, and HELLO goes early where both sides have switched that on.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::{net::SocketAddr, time::Duration};

use link_core::{
    link::{LinkState, TlsSettings},
    transport::{Accepted, Transport},
};
use link_quic::{QuicSettings, QuicTransport};
use support::{relay::Relay, *};
use tokio::net::UdpSocket;

fn early() -> QuicSettings {
    QuicSettings { early_data: true, ..QuicSettings::default() }
}

fn listen(at: SocketAddr, tls: &TlsSettings, settings: QuicSettings) -> Node {
    let transport = QuicTransport::listen(at, tls, settings).unwrap();
    Node::start("us", transport, vec![link("eu", None, tls.clone())])
}

/// A handshake on the loopback may be over before anything is written: so many times may it be that quick.
const TRIES: usize = 10;

/// Ends the connection of a link, and waits until there is another one.
async fn reconnect(eu: &Node) {
    eu.linker.enable_link(&cluster("us"), false).await.unwrap();
    eu.linker.enable_link(&cluster("us"), true).await.unwrap();
    eu.wait_live("us").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_goes_early_on_the_second_connection_if_both_sides_say_so() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    for (at_us, at_eu, expected) in [(true, true, true), (true, false, false), (false, true, false)] {
        let settings = |early_data| QuicSettings { early_data, ..QuicSettings::default() };
        let us = listen(LOOPBACK, &tls, settings(at_us));
        let relay = Relay::to(us.address()).await;
        let dials = link("us", Some(relay.address), authority.settings(&["eu"]));
        let eu = Node::start("eu", QuicTransport::new(settings(at_eu)), vec![dials]);
        let mut client = us.subscriber("c", &["t"]);
        eu.wants("t").await;
        assert_eq!(relay.early(), 0, "there is no session to resume yet");
        publish(&eu, "p", "t", 0..100).await;
        let mut tries = 0..TRIES;
        while tries.next().is_some() && relay.early() == 0 {
            reconnect(&eu).await;
        }
        assert_eq!(relay.early() > 0, expected, "us {at_us}, eu {at_eu}");
        publish(&eu, "p", "t", 100..200).await;
        assert_eq!(numbers(&mut client, 200).await, (0..200).collect::<Vec<_>>());
    }
}

/// An acceptor that has started again knows no sessions: what came early is void, and the link comes back all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_data_that_is_not_taken_costs_an_attempt() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let us = listen(LOOPBACK, &tls, early());
    let relay = Relay::to(us.address()).await;
    let dials = link("us", Some(relay.address), authority.settings(&["eu"]));
    let eu = Node::start("eu", QuicTransport::new(early()), vec![dials]);
    eu.wait_live("us").await;
    let mut tries = 0..TRIES;
    while tries.next().is_some() && relay.early() == 0 {
        us.transport.reload(&tls).unwrap();
        reconnect(&eu).await;
    }
    assert!(relay.early() > 0, "early data was not tried");
    let mut client = us.subscriber("c", &["t"]);
    eu.wants("t").await;
    publish(&eu, "p", "t", 0..10).await;
    assert_eq!(numbers(&mut client, 10).await, (0..10).collect::<Vec<_>>());
}

/// What somebody on the path has recorded, sent again from another address, is no connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_early_data_does_nothing() {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let server = QuicTransport::listen(LOOPBACK, &tls, early()).unwrap();
    let relay = Relay::to(server.local_address().unwrap()).await;
    let dials = link("us", Some(relay.address), authority.settings(&["eu"]));
    let eu = Node::start("eu", QuicTransport::new(early()), vec![dials.clone()]);
    for round in 0..TRIES {
        let accepted = tokio::time::timeout(PATIENCE, server.accept()).await.unwrap();
        let Accepted::Connection(connection) = accepted else { unreachable!("a peer with a certificate is let in") };
        // The linker dials again.
        drop(connection);
        assert!(relay.early() == 0 || round > 0, "there is no session to resume yet");
        if relay.early() > 0 {
            break;
        }
    }
    assert!(relay.early() > 0, "early data was not tried");
    eu.linker.shutdown().await;
    while tokio::time::timeout(Duration::from_millis(500), server.accept()).await.is_ok() {}

    let recorded = relay.sent.lock().unwrap().clone();
    let attacker = UdpSocket::bind(LOOPBACK).await.unwrap();
    for packet in &recorded {
        attacker.send_to(packet, server.local_address().unwrap()).await.unwrap();
    }
    let again = tokio::time::timeout(Duration::from_secs(2), server.accept()).await;
    assert!(!matches!(again, Ok(Accepted::Connection(_))), "a repetition was taken for a peer");
    // And the port still answers.
    let eu = Node::start("eu", QuicTransport::new(early()), vec![dials]);
    // Of a repetition that was turned away it may say so only now.
    let lets_in = async { while !matches!(server.accept().await, Accepted::Connection(_)) {} };
    tokio::time::timeout(PATIENCE, lets_in).await.unwrap();
    drop(eu);
}

/// A session is no longer good than the certificates of its first handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_expired_meanwhile_is_not_resumed() {
    let authority = Authority::new();
    for (settings, expires) in [(QuicSettings::default(), "eu"), (QuicSettings::default(), "us"), (early(), "us")] {
        let tls = |name| if name == expires { authority.short(name, 2) } else { authority.settings(&[name]) };
        let us = listen(LOOPBACK, &tls("us"), settings.clone());
        let dials = link("us", Some(us.address()), tls("eu"));
        let eu = Node::start("eu", QuicTransport::new(settings), vec![dials]);
        eu.wait_live("us").await;
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        eu.linker.enable_link(&cluster("us"), false).await.unwrap();
        eu.linker.enable_link(&cluster("us"), true).await.unwrap();
        let status = eu.wait("us", "refused", |status| status.state == LinkState::Refused).await;
        assert!(status.last_refusal.as_deref().unwrap_or_default().contains("xpired"), "{expires}: {status:?}");
    }
}
