//! The status says how each copy of routes was brought up to date.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::time::Duration;

use common::*;
use link_core::{
    link::{LinkState, PeerStatus, Resync, ResyncMethod},
    memory::MemoryNetwork,
};

/// Both ends of the routes that `eu` writes and `us` reads, once both say that they are equal.
async fn both(eu: &Broker, us: &Broker, routes: u64) -> (Resync, Resync) {
    let equal = |peer: &PeerStatus| peer.routes_in.equal && peer.routes_out.equal && peer.state == LinkState::Live;
    let done = |peer: &PeerStatus| [peer.routes_in, peer.routes_out].iter().all(|r| r.resync.unwrap().took.is_some());
    us.wait_routes("eu", routes).await;
    let at_us = us.wait("eu", "equal", |status| equal(&status.peers[0]) && done(&status.peers[0])).await;
    let at_eu = eu.wait("us", "equal", |status| equal(&status.peers[0]) && done(&status.peers[0])).await;
    let (out, into) = (at_eu.peers[0].routes_out, at_us.peers[0].routes_in);
    assert_eq!((out.written, out.held), (into.written, into.held));
    assert_eq!(out.written.unwrap().count, routes);
    let (out, into) = (out.resync.unwrap(), into.resync.unwrap());
    assert_eq!((out.method, out.bytes), (into.method, into.bytes));
    assert!(out.took.unwrap() < PATIENCE && into.took.unwrap() <= into.since);
    (out, into)
}

async fn cut(network: &MemoryNetwork, eu: &Broker, us: &Broker) {
    network.cut("us-1", "eu-1");
    for (broker, link) in [(eu, "us"), (us, "eu")] {
        broker.wait(link, "down", |status| status.state == LinkState::Down).await;
    }
    let away = eu.linker.link(&cluster("us")).await.unwrap().peers[0].clone();
    assert!(!away.routes_out.equal && !away.routes_in.equal);
    assert_eq!((away.routes_out.held, away.routes_in.written), (None, None));
}

#[tokio::test]
async fn nothing_a_tail_or_the_whole_set() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    let filters = |range: std::ops::Range<u32>| range.map(|n| format!("t/{n:03}")).collect::<Vec<_>>();
    let subscribe = |eu: &Broker, range| {
        for text in filters(range) {
            eu.linker.subscribe("c", &filter(&text));
        }
    };
    subscribe(&eu, 0..100);
    let (out, into) = both(&eu, &us, 100).await;
    // The first connection compared two empty sets.
    assert_eq!((out.method, out.differences, into.differences), (ResyncMethod::Snapshot, None, Some(0)));

    cut(&network, &eu, &us).await;
    network.heal("us-1", "eu-1");
    let (out, into) = both(&eu, &us, 100).await;
    let nothing = (ResyncMethod::UpToDate, Some(0), 0);
    assert_eq!((out.method, out.differences, out.bytes), nothing);
    assert_eq!((into.method, into.differences, into.bytes), nothing);

    cut(&network, &eu, &us).await;
    subscribe(&eu, 100..102);
    eu.linker.unsubscribe("c", &filter("t/000"));
    network.heal("us-1", "eu-1");
    let (out, into) = both(&eu, &us, 101).await;
    assert_eq!((out.method, out.differences, into.differences), (ResyncMethod::Tail, Some(3), Some(3)));
    assert!(out.bytes > 30 && out.bytes < 200, "{out:?}");
    // What follows live is no part of it.
    subscribe(&eu, 102..110);
    assert_eq!(both(&eu, &us, 109).await.0.bytes, out.bytes);

    // A restart: it has 30 of the 109, and 10 new ones.
    eu.linker.shutdown().await;
    us.wait("eu", "down", |status| status.state == LinkState::Down).await;
    let eu = Broker::start(&network, "eu", "eu-1", vec![link("us", &[], &["#"])]);
    subscribe(&eu, 80..120);
    let (out, into) = both(&eu, &us, 40).await;
    // How much of it was there when the connection came is chance.
    assert_eq!((out.method, out.differences), (ResyncMethod::Snapshot, None));
    assert!(into.differences.unwrap() >= 79 && into.took.unwrap() < Duration::from_secs(10), "{into:?}");
}

/// What a status says of a peer's routes is what publishers go by when they read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn publishers_see_what_a_status_says() {
    let network = MemoryNetwork::new();
    let (us, eu) = pair(&network).await;
    for n in 0..300 {
        let texts: Vec<_> = (0..20).map(|k| format!("t/{n}/{k}")).collect();
        texts.iter().for_each(|text| eu.linker.subscribe("c", &filter(text)));
        let held =
            || async { us.linker.link(&cluster("eu")).await.unwrap().peers[0].held.map_or(0, |held| held.count) };
        // Asked again and again, so that it is asked in the round that takes them.
        let all_held = async { while held().await < 20 * (n + 1) {} };
        tokio::time::timeout(PATIENCE, all_held).await.unwrap();
        assert!(texts.iter().all(|text| us.linker.wants(text)), "{n}");
    }
}
