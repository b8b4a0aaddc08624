//! Links between real brokers over real sockets, beyond what the main job shows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{collections::BTreeMap, num::NonZeroU16, time::Duration};

use examples::{
    bench,
    client::{Client, Login, Outgoing, QoS},
    two_regions::Region,
};
use link_core::link::{LinkConfig, LinkState, Secret};

const PATIENCE: Duration = Duration::from_secs(20);
const USERS: [(&str, &str); 2] = [("user", "pass"), ("link", "secret")];

async fn region(name: &'static str) -> Region {
    Region::start(name, ([127, 0, 0, 1], 0).into(), &USERS).await.unwrap()
}

/// The link of `us`, which dials `eu`.
fn to_eu(eu: &Region) -> LinkConfig {
    let mut link = bench::link("eu", &[format!("mqtt://{}", eu.address())]).unwrap();
    link.username = Some("link".to_owned());
    link.password = Some(Secret::new("secret"));
    link
}

async fn pair(change: impl FnOnce(&mut LinkConfig)) -> (Region, Region) {
    let (us, eu) = (region("us").await, region("eu").await);
    eu.linker().create_link(bench::link("us", &[]).unwrap()).await.unwrap();
    let mut link = to_eu(&eu);
    change(&mut link);
    us.linker().create_link(link).await.unwrap();
    us.live("eu").await.unwrap();
    eu.live("us").await.unwrap();
    (us, eu)
}

/// A filter of a client at `to` is known at `from`.
async fn wanted(from: &Region, topic: &str) {
    let known = async {
        while !from.linker().wants(topic) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_connections_carry_one_link_and_keep_the_order_of_each_publisher() {
    const EACH: usize = 200;
    let (us, eu) = pair(|link| link.connections = NonZeroU16::new(3).unwrap()).await;
    let subscriber = eu.client("subscriber").await.unwrap();
    subscriber.subscribe("many/+", QoS::AtLeastOnce).await.unwrap();
    wanted(&us, "many/x").await;
    let publishers: Vec<_> = (0..8)
        .map(|p| {
            let login = us.login(&format!("publisher-{p}"));
            tokio::spawn(async move {
                let client = Client::connect(login).await.unwrap();
                let messages = (0..EACH).map(|n| Outgoing::new(format!("many/{p}"), n.to_string(), QoS::AtLeastOnce));
                client.publish_all(messages).await.unwrap();
                client
            })
        })
        .collect();
    let received = subscriber.receive_many(8 * EACH, PATIENCE).await;
    let mut next: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for message in &received {
        let expected = next.entry(message.topic.to_vec()).or_default();
        assert_eq!(message.payload, expected.to_string(), "out of order on {:?}", message.topic);
        *expected += 1;
    }
    assert!(next.len() == 8 && next.values().all(|count| *count == EACH), "{next:?}");
    assert!(subscriber.receive(Duration::from_millis(100)).await.is_none(), "a message came twice");
    for publisher in publishers {
        publisher.await.unwrap().disconnect().await;
    }
    us.stop().await;
    eu.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_talks_nonsense_on_the_links_topics_harms_nobody() {
    let (us, eu) = pair(|_| ()).await;
    // Logged in as the link's user: the worst that a stolen password allows.
    let login = Login::new(eu.address(), "from-mars-1", "link", "secret");
    let hostile = Client::connect(login).await.unwrap();
    let base = "$LINK/v1/mars/mars-1";
    let _ = hostile.subscribe(&format!("{base}/down/0123456789abcdef/0of1"), QoS::AtLeastOnce).await;
    for payload in [b"".to_vec(), b"\xff\xff\xff\xff".to_vec(), vec![0; 70_000], b"\x04\0\0\0\x08\0\0\xff\xff".to_vec()]
    {
        let topic = format!("{base}/up/0123456789abcdef/0of1");
        let _ = hostile.publish(Outgoing::new(topic, payload, QoS::AtLeastOnce)).await;
    }
    let _ = hostile.publish(Outgoing::new("$LINK/v1/us/us-1/down/0/0of1", "forged", QoS::AtLeastOnce)).await;
    // A plain user may not even try.
    let plain = eu.client("plain").await.unwrap();
    assert!(plain.subscribe("$LINK/#", QoS::AtLeastOnce).await.is_err(), "a plain client reads the links' traffic");

    let subscriber = eu.client("subscriber").await.unwrap();
    subscriber.subscribe("still/works", QoS::AtLeastOnce).await.unwrap();
    wanted(&us, "still/works").await;
    let publisher = us.client("publisher").await.unwrap();
    publisher.publish(Outgoing::new("still/works", "yes", QoS::AtLeastOnce)).await.unwrap();
    assert_eq!(subscriber.receive(PATIENCE).await.unwrap().payload, "yes");
    assert_eq!(us.live("eu").await.unwrap().state, LinkState::Live);
    us.stop().await;
    eu.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_server_is_dead_the_second_is_taken() {
    let (us, eu) = (region("us").await, region("eu").await);
    eu.linker().create_link(bench::link("us", &[]).unwrap()).await.unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut link = to_eu(&eu);
    link.servers.insert(0, format!("mqtt://{dead}").parse().unwrap());
    us.linker().create_link(link).await.unwrap();
    let status = us.live("eu").await.unwrap();
    assert_eq!(status.peers.len(), 1);
    us.stop().await;
    eu.stop().await;
}
