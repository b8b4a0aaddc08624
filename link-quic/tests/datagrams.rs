//! QoS 0 outside of the streams, where both sides want it.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use link_core::{
    link::{LinkStatus, NodeName, PeerStatus},
    message::QoS,
    transport::{Accepted, Class, Dial, Transport},
};
use link_quic::{QuicSettings, QuicTransport};
use support::{relay::Relay, *};

const COUNT: u64 = 400;

/// A link from `eu` to `us` over a path of which every tenth packet is lost, and what came of `COUNT` messages.
async fn send(us_wants: bool, eu_wants: bool, payload: usize) -> (PeerStatus, PeerStatus, Vec<u64>) {
    let authority = Authority::new();
    let tls = authority.settings(&["us"]);
    let transport = QuicTransport::listen(LOOPBACK, &tls, QuicSettings::default()).unwrap();
    let relay = Relay::to(transport.local_address().unwrap()).await;
    let mut at_us = link("eu", None, tls);
    at_us.datagrams = us_wants;
    let us = Node::start("us", transport, vec![at_us]);
    let mut at_eu = link("us", Some(relay.address), authority.settings(&["eu"]));
    at_eu.datagrams = eu_wants;
    let eu = Node::start("eu", QuicTransport::default(), vec![at_eu]);
    let mut client = us.subscriber("c", &["t"]);
    eu.wants("t").await;
    relay.lose_one_in(10);
    for n in 0..COUNT {
        let mut text = vec![b'.'; payload];
        text.extend(n.to_string().bytes());
        let mut message = message("t", text);
        message.qos = QoS::AtMostOnce;
        assert_eq!(eu.linker.publish("p", &message).unwrap().accepted, 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let settled = |status: &LinkStatus| status.peers.iter().all(|peer| peer.sent.queued == 0);
    let sent = eu.wait("us", "done with all", settled).await.peers.remove(0);
    let received = us.linker.link(&cluster("eu")).await.unwrap().peers.remove(0);
    let mut came = Vec::new();
    while let Some(message) = client.try_recv() {
        came.push(std::str::from_utf8(&message.payload).unwrap().trim_start_matches('.').parse().unwrap());
    }
    (sent, received, came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_datagram_loses_both_sides_count() {
    let (sent, received, mut came) = send(true, true, 10).await;
    let counts = sent.sent;
    assert_eq!(counts.accepted, COUNT);
    assert!(counts.dropped.on_the_way > 0, "nothing was lost, so nothing went as a datagram: {counts:?}");
    assert_eq!(counts.delivered + counts.dropped.on_the_way, COUNT, "{counts:?}");
    assert_eq!((counts.delivered, came.len() as u64), (received.received.delivered, received.received.delivered));
    assert!(counts.balances() && received.received.balances());
    came.sort_unstable();
    assert!(came.windows(2).all(|pair| pair[0] < pair[1]), "a message came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_side_does_not_want_them_or_they_do_not_fit_nothing_is_lost() {
    for (us_wants, eu_wants, payload) in [(true, false, 10), (false, true, 10), (true, true, 3000)] {
        let (sent, _, came) = send(us_wants, eu_wants, payload).await;
        assert_eq!(came, (0..COUNT).collect::<Vec<_>>(), "us {us_wants}, eu {eu_wants}, {payload} bytes");
        assert_eq!(sent.sent.delivered, COUNT);
    }
}

/// QUIC itself sends what waits as a datagram before anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_leave_room_for_control_on_a_slow_path() {
    let authority = Authority::new();
    for size in [20, 100] {
        let us = QuicTransport::listen(LOOPBACK, &authority.settings(&["us"]), QuicSettings::default()).unwrap();
        let relay = Relay::slow(us.local_address().unwrap(), 100_000.0).await;
        let dialler = QuicTransport::default();
        let dial = Dial {
            endpoint: format!("quic://{}", relay.address).parse().unwrap(),
            cluster: cluster("eu"),
            node: NodeName::new("eu-1").unwrap(),
            link: Arc::new(link("us", Some(relay.address), authority.settings(&["eu"]))),
        };
        let (ours, theirs) = tokio::join!(dialler.dial(&dial), us.accept());
        let mut ours = ours.unwrap();
        let Accepted::Connection(mut theirs) = theirs else { unreachable!("it has a certificate") };
        let mut datagrams = ours.datagrams.take().unwrap();
        let flood =
            tokio::spawn(async move { while datagrams.sender.send(Bytes::from(vec![1; size])).await.is_ok() {} });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut came = 0;
        for n in 0..3_u8 {
            ours.control.send(Bytes::from(vec![n])).await.unwrap();
            let control = async {
                loop {
                    match theirs.receiver.recv().await.unwrap() {
                        (Class::Control, frame) => return frame,
                        _ => came += 1,
                    }
                }
            };
            let frame = tokio::time::timeout(Duration::from_secs(4), control).await;
            assert_eq!(frame.as_deref(), Ok(&[n][..]), "control waits behind datagrams of {size} bytes");
        }
        assert!(came > 100, "{came} datagrams of {size} bytes came");
        flood.abort();
    }
}
