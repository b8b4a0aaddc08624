//! The accepting side, fed by hand: who may use which topic, and what a client can make it hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Accepted, Class, Connection, ConnectionError, Transport};
use link_mqtt::{AcceptorLimits, BrokerPort, ClientInfo, LinkAccess, LinkPublish, MqttAcceptor, MqttTransport};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);
const UP: &str = "$LINK/v1/eu/a/up/00000000000000aa/0of1";
const DOWN: &str = "$LINK/v1/eu/a/down/00000000000000aa/0of1";

#[derive(Default)]
struct Port {
    published: Mutex<Vec<(String, Bytes)>>,
    disconnected: Mutex<Vec<(String, String)>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl BrokerPort for Port {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), String> {
        if *self.broken.lock().unwrap() {
            return Err("the queue is full".into());
        }
        self.published.lock().unwrap().push((topic.to_owned(), payload));
        Ok(())
    }

    async fn disconnect(&self, client_id: &str, reason: &str) {
        self.disconnected.lock().unwrap().push((client_id.to_owned(), reason.to_owned()));
    }
}

struct Bench {
    port: Arc<Port>,
    transport: MqttTransport,
    acceptor: MqttAcceptor,
}

fn bench(limits: AcceptorLimits) -> Bench {
    let port = Arc::new(Port::default());
    let (transport, acceptor) = MqttTransport::accepting_within(port.clone(), limits);
    Bench { port, transport, acceptor }
}

fn client(id: &str, user: &str) -> ClientInfo {
    ClientInfo { client_id: id.into(), user: Some(user.into()), certificate_names: Vec::new() }
}

fn credit(limit: u32) -> Bytes {
    let mut bytes = vec![4];
    bytes.extend(limit.to_be_bytes());
    bytes.extend(65_536_u32.to_be_bytes());
    bytes.into()
}

fn refused(publish: LinkPublish) -> String {
    match publish {
        LinkPublish::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn denied(access: LinkAccess) -> String {
    match access {
        LinkAccess::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

impl Bench {
    async fn publish(&self, client: &ClientInfo, topic: &str, payload: &'static [u8]) -> LinkPublish {
        self.acceptor.on_publish(client, topic, Bytes::from_static(payload)).await
    }

    async fn accept(&self) -> Connection {
        match timeout(LONG, self.transport.accept()).await.unwrap() {
            Accepted::Connection(connection) => connection,
            Accepted::Refused { reason, .. } => panic!("{reason}"),
        }
    }

    async fn open(&self, client: &ClientInfo, topic: &str, window: u32) -> Connection {
        let down = topic.replace("/up/", "/down/");
        assert_eq!(self.acceptor.may_subscribe(client, &down), LinkAccess::Allowed);
        assert_eq!(self.acceptor.may_publish(client, topic), LinkAccess::Allowed);
        assert_eq!(self.acceptor.on_publish(client, topic, credit(window)).await, LinkPublish::Taken);
        self.accept().await
    }

    async fn disconnects(&self, count: usize) -> Vec<(String, String)> {
        for _ in 0..1_000 {
            if self.port.disconnected.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.port.disconnected.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn ordinary_topics_are_none_of_its_business() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    assert_eq!(bench.publish(&c, "a/b", b"x").await, LinkPublish::NotLink);
    assert_eq!(bench.acceptor.may_publish(&c, "a/b"), LinkAccess::NotLink);
    for filter in ["#", "+/v1/#", "$SYS/#", "$share/g/a"] {
        assert_eq!(bench.acceptor.may_subscribe(&c, filter), LinkAccess::NotLink, "{filter}");
    }
}

#[tokio::test]
async fn a_plain_client_reads_and_writes_no_link_topic() {
    let bench = bench(AcceptorLimits::default());
    let owner = client("from-eu-a-1", "eu-user");
    let _connection = bench.open(&owner, UP, 8).await;
    let others = [client("plain", "mallory"), client("plain", "eu-user"), client("from-eu-a-1", "mallory")];
    for other in &others {
        assert_eq!(refused(bench.publish(other, UP, b"\0forged").await), "the topic belongs to another client");
        assert_eq!(
            refused(bench.acceptor.on_publish(other, UP, credit(9)).await),
            "the topic belongs to another client"
        );
        assert_eq!(denied(bench.acceptor.may_publish(other, UP)), "the topic belongs to another client");
        denied(bench.acceptor.may_subscribe(other, DOWN));
        refused(bench.publish(other, UP, b"\xff").await);
    }
    for filter in ["$LINK/#", "$LINK/v1/eu/a/down/+/0of1", "$LINK/+/#", "$share/g/$LINK/#", "$LINK", UP] {
        denied(bench.acceptor.may_subscribe(&others[0], filter));
        denied(bench.acceptor.may_subscribe(&owner, filter));
    }
    let shared = format!("$share/g/{DOWN}");
    denied(bench.acceptor.may_subscribe(&others[0], &shared));
    denied(bench.acceptor.may_subscribe(&owner, &shared));
    assert_eq!(refused(bench.publish(&owner, DOWN, b"\0x").await), "no connection is open on this topic");
    assert_eq!(denied(bench.acceptor.may_publish(&owner, DOWN)), "only the broker publishes to a `down` topic");
    assert!(bench.port.disconnected.lock().unwrap().is_empty(), "a stranger ended the connection of its owner");
    assert_eq!(bench.publish(&owner, UP, b"\0still here").await, LinkPublish::Taken);
}

#[tokio::test]
async fn a_connection_is_there_when_all_its_channels_are_and_carries_the_identity() {
    let bench = bench(AcceptorLimits::default());
    let up = |k| format!("$LINK/v1/eu/a/up/00000000000000bb/{k}of2");
    let (zero, one) = (client("from-eu-a-1", "eu-user"), client("from-eu-a-2", "eu-user"));
    assert_eq!(bench.acceptor.on_publish(&one, &up(1), credit(4)).await, LinkPublish::Taken);
    assert!(timeout(SOON, bench.transport.accept()).await.is_err());
    assert_eq!(
        refused(bench.acceptor.on_publish(&client("x", "mallory"), &up(0), credit(4)).await),
        "the connection belongs to another user"
    );
    assert_eq!(
        refused(bench.acceptor.on_publish(&one, &up(0), credit(4)).await),
        "the client carries channel 1 of this connection already"
    );
    let three = up(0).replace("of2", "of3");
    assert_eq!(
        refused(bench.acceptor.on_publish(&zero, &three, credit(4)).await),
        "the connection has 2 channels, not 3"
    );
    assert_eq!(bench.acceptor.on_publish(&zero, &up(0), credit(4)).await, LinkPublish::Taken);
    let mut connection = bench.accept().await;
    assert_eq!((connection.identity.user.as_deref(), connection.data.len()), (Some("eu-user"), 2));
    assert_eq!(bench.publish(&one, &up(1), b"\x02data").await, LinkPublish::Taken);
    assert_eq!(connection.receiver.recv().await, Ok((Class::Data(1), Bytes::from_static(b"data"))));
    assert_eq!(bench.publish(&zero, &up(0), b"\x00control").await, LinkPublish::Taken);
    assert_eq!(connection.receiver.recv().await, Ok((Class::Control, Bytes::from_static(b"control"))));
    connection.data[1].send(Bytes::from_static(b"down")).await.unwrap();
    let published = bench.port.published.lock().unwrap().clone();
    assert_eq!(published, [(up(1).replace("/up/", "/down/"), Bytes::from_static(b"\x02down"))]);
}

#[tokio::test]
async fn fragments_become_frames_per_class() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    let mut connection = bench.open(&c, UP, 8).await;
    for payload in [b"\x03da".as_slice(), b"\x01con", b"\x03t", b"\x00trol", b"\x02a"] {
        assert_eq!(bench.acceptor.on_publish(&c, UP, Bytes::from_static(payload)).await, LinkPublish::Taken);
    }
    assert_eq!(connection.receiver.recv().await, Ok((Class::Control, Bytes::from_static(b"control"))));
    assert_eq!(connection.receiver.recv().await, Ok((Class::Data(0), Bytes::from_static(b"data"))));
}

#[tokio::test]
async fn a_client_that_breaks_a_rule_loses_its_connection_and_no_other() {
    for (payload, reason) in [
        (b"\x10".as_slice(), "the client sent an unknown payload header 0x10"),
        (b"", "the client sent an empty payload on a link topic"),
        (b"\x08", "the client sent an end, which only the accepting side does"),
        (b"\x04\0\xff\0\0\0\x01\0\0", "the client granted 16711672 packets at once, over the limit of 1024"),
    ] {
        let bench = bench(AcceptorLimits::default());
        let (bad, good) = (client("bad", "u"), client("good", "u"));
        let mut ended = bench.open(&bad, UP, 8).await;
        let other = UP.replace("aa", "cc");
        let mut kept = bench.open(&good, &other, 8).await;
        assert_eq!(refused(bench.publish(&bad, UP, payload).await), reason);
        assert_eq!(ended.receiver.recv().await, Err(ConnectionError::Closed(reason.into())));
        assert_eq!(ended.control.send(Bytes::new()).await, Err(ConnectionError::Closed(reason.into())));
        let disconnected = bench.disconnects(1).await;
        assert_eq!(disconnected, [("bad".to_owned(), format!("closed by the peer: {reason}"))]);
        assert_eq!(refused(bench.publish(&bad, UP, b"\0x").await), "no connection is open on this topic");
        assert_eq!(bench.publish(&good, &other, b"\0x").await, LinkPublish::Taken);
        assert_eq!(kept.receiver.recv().await, Ok((Class::Control, Bytes::from_static(b"x"))));
    }
}

#[tokio::test]
async fn frames_before_the_credits_and_control_beside_channel_0_are_refused() {
    let bench = bench(AcceptorLimits::default());
    let up = |k| format!("$LINK/v1/eu/a/up/00000000000000bb/{k}of2");
    let (zero, one) = (client("c-1", "u"), client("c-2", "u"));
    assert_eq!(bench.acceptor.on_publish(&zero, &up(0), credit(4)).await, LinkPublish::Taken);
    assert_eq!(refused(bench.publish(&zero, &up(0), b"\0x").await), "the client sent a frame before its credits");
    bench.disconnects(1).await;
    bench.acceptor.on_disconnect("c-1");

    assert_eq!(bench.acceptor.on_publish(&zero, &up(0), credit(4)).await, LinkPublish::Taken);
    assert_eq!(bench.acceptor.on_publish(&one, &up(1), credit(4)).await, LinkPublish::Taken);
    let _connection = bench.accept().await;
    assert_eq!(refused(bench.publish(&one, &up(1), b"\0x").await), "the client sent a control frame beside channel 0");
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection() {
    let bench = bench(AcceptorLimits { max_frame: 10, ..AcceptorLimits::default() });
    let c = client("c", "u");
    let mut connection = bench.open(&c, UP, 8).await;
    assert_eq!(bench.publish(&c, UP, b"\x01123456").await, LinkPublish::Taken);
    assert_eq!(bench.publish(&c, UP, b"\x0112345").await, LinkPublish::Taken);
    assert_eq!(connection.receiver.recv().await, Err(ConnectionError::TooLarge { size: 11, limit: 10 }));
    assert_eq!(
        bench.disconnects(1).await,
        [("c".to_owned(), "a frame of 11 bytes is over the limit of 10".to_owned())]
    );
    let too_large = connection.control.send(Bytes::from_static(b"12345678901")).await;
    assert_eq!(too_large, Err(ConnectionError::TooLarge { size: 11, limit: 10 }));
}

#[tokio::test]
async fn a_slow_linker_holds_up_its_client_only() {
    let bench = bench(AcceptorLimits { inbound_bytes: 1_000, ..AcceptorLimits::default() });
    let (slow, fast) = (client("slow", "u"), client("fast", "u"));
    let mut connection = bench.open(&slow, UP, 8).await;
    let other = UP.replace("aa", "cc");
    let _kept = bench.open(&fast, &other, 8).await;
    let mut taken = 0;
    let waiting = loop {
        let acceptor = bench.acceptor.clone();
        let slow = slow.clone();
        let mut publish = Box::pin(async move { acceptor.on_publish(&slow, UP, Bytes::from(vec![0; 200])).await });
        match timeout(SOON, &mut publish).await {
            Ok(result) => assert_eq!(result, LinkPublish::Taken),
            Err(_) => break publish,
        }
        taken += 1;
        assert!(taken < 100, "nothing holds the client up");
    };
    assert_eq!(taken, 3, "three packets of 200 bytes and their cost fit into 1000");
    assert_eq!(bench.publish(&fast, &other, b"\0x").await, LinkPublish::Taken);
    connection.receiver.recv().await.unwrap();
    assert_eq!(timeout(LONG, waiting).await.unwrap(), LinkPublish::Taken);
    // A packet over the whole room is still taken, alone.
    for _ in 0..3 {
        connection.receiver.recv().await.unwrap();
    }
    let large = bench.acceptor.on_publish(&slow, UP, Bytes::from(vec![0; 5_000]));
    assert_eq!(timeout(LONG, large).await.unwrap(), LinkPublish::Taken);
    // The end of the connection frees a client that waits.
    let publish = bench.acceptor.on_publish(&slow, UP, Bytes::from_static(b"\0x"));
    let (result, ()) = tokio::join!(timeout(LONG, publish), async {
        tokio::time::sleep(SOON).await;
        drop(connection);
    });
    assert_eq!(refused(result.unwrap()), "closed by the peer: the linker closed the connection");
}

#[tokio::test]
async fn no_more_is_sent_than_the_peer_has_granted_and_control_goes_first() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    let Connection { mut control, mut data, receiver: _receiver, .. } = bench.open(&c, UP, 4).await;
    for _ in 0..3 {
        timeout(LONG, data[0].send(Bytes::from_static(b"d"))).await.unwrap().unwrap();
    }
    assert!(timeout(SOON, data[0].send(Bytes::from_static(b"d"))).await.is_err());
    timeout(LONG, control.send(Bytes::from_static(b"c"))).await.unwrap().unwrap();
    assert!(timeout(SOON, control.send(Bytes::from_static(b"c"))).await.is_err());
    assert_eq!(bench.port.published.lock().unwrap().len(), 4);
    assert_eq!(bench.acceptor.on_publish(&c, UP, credit(6)).await, LinkPublish::Taken);
    timeout(LONG, data[0].send(Bytes::from_static(b"d"))).await.unwrap().unwrap();
    assert_eq!(bench.port.published.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_host_that_takes_no_packet_ends_the_connection() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    let mut connection = bench.open(&c, UP, 4).await;
    *bench.port.broken.lock().unwrap() = true;
    let error = ConnectionError::Lost("the host broker took no packet for the peer: the queue is full".into());
    assert_eq!(connection.control.send(Bytes::from_static(b"x")).await, Err(error.clone()));
    assert_eq!(connection.receiver.recv().await, Err(error));
    assert_eq!(bench.disconnects(1).await.len(), 1);
}

#[tokio::test]
async fn the_end_of_any_client_ends_the_connection_after_what_it_sent() {
    let bench = bench(AcceptorLimits::default());
    let up = |k| format!("$LINK/v1/eu/a/up/00000000000000bb/{k}of2");
    for (k, id) in [(0, "c-1"), (1, "c-2")] {
        assert_eq!(bench.acceptor.on_publish(&client(id, "u"), &up(k), credit(4)).await, LinkPublish::Taken);
    }
    let mut connection = bench.accept().await;
    assert_eq!(bench.publish(&client("c-1", "u"), &up(0), b"\0last words").await, LinkPublish::Taken);
    bench.acceptor.on_disconnect("unknown");
    bench.acceptor.on_disconnect("c-2");
    assert_eq!(connection.receiver.recv().await, Ok((Class::Control, Bytes::from_static(b"last words"))));
    let error = ConnectionError::Closed("client `c-2` disconnected".into());
    assert_eq!(connection.receiver.recv().await, Err(error));
    assert_eq!(bench.disconnects(1).await[0].0, "c-1");
}

#[tokio::test]
async fn dropping_the_connection_disconnects_its_clients() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    drop(bench.open(&c, UP, 4).await);
    let reason = "closed by the peer: the linker closed the connection".to_owned();
    assert_eq!(bench.disconnects(1).await, [("c".to_owned(), reason)]);
    assert_eq!(refused(bench.publish(&c, UP, b"\0x").await), "no connection is open on this topic");
}

#[tokio::test]
async fn close_sends_an_end_and_waits_for_the_peer() {
    let bench = bench(AcceptorLimits::default());
    let c = client("c", "u");
    let mut connection = bench.open(&c, UP, 4).await;
    connection.control.send(Bytes::from_static(b"bye")).await.unwrap();
    let ((), ()) = tokio::join!(connection.control.close(), async {
        tokio::time::sleep(SOON).await;
        let published: Vec<_> = bench.port.published.lock().unwrap().iter().map(|(_, p)| p.clone()).collect();
        assert_eq!(published, [Bytes::from_static(b"\0bye"), Bytes::from_static(b"\x08")]);
        bench.acceptor.on_disconnect("c");
    });
    assert!(bench.port.disconnected.lock().unwrap().is_empty(), "the peer had closed by itself");
}

#[tokio::test]
async fn a_client_id_that_connects_again_replaces_its_connection_whichever_event_is_first() {
    for late in [true, false] {
        let bench = bench(AcceptorLimits::default());
        let c = client("c", "u");
        let mut old = bench.open(&c, UP, 4).await;
        if !late {
            bench.acceptor.on_disconnect("c");
        }
        let again = UP.replace("aa", "cc");
        let mut new = bench.open(&c, &again, 4).await;
        if late {
            bench.acceptor.on_disconnect("c");
        }
        assert!(matches!(old.receiver.recv().await, Err(ConnectionError::Closed(_))));
        drop(old);
        assert_eq!(bench.publish(&c, &again, b"\0x").await, LinkPublish::Taken);
        assert_eq!(new.receiver.recv().await, Ok((Class::Control, Bytes::from_static(b"x"))));
        assert!(bench.port.disconnected.lock().unwrap().is_empty(), "the new client was disconnected");
        bench.acceptor.on_disconnect("c");
        assert_eq!(new.receiver.recv().await, Err(ConnectionError::Closed("client `c` disconnected".into())));
    }
}

#[tokio::test]
async fn the_number_of_connections_is_limited_and_unfinished_ones_make_room() {
    let limits = AcceptorLimits { max_connections: 3, max_unfinished: 2, max_channels: 2, ..AcceptorLimits::default() };
    let bench = bench(limits);
    let down = |n: u32| format!("$LINK/v1/eu/a/down/{n:016x}/0of2");
    let c = |n: u32| client(&format!("c-{n}"), "u");
    for n in 1..=3 {
        assert_eq!(bench.acceptor.may_subscribe(&c(n), &down(n)), LinkAccess::Allowed);
    }
    let reason = "closed by the peer: newer connections came before it was complete".to_owned();
    assert_eq!(bench.disconnects(1).await, [("c-1".to_owned(), reason)], "the oldest of three ends");
    bench.acceptor.on_disconnect("c-1");

    let single = |n: u32| format!("$LINK/v1/eu/a/up/{n:016x}/0of1");
    let mut kept = Vec::new();
    for n in 10..13 {
        kept.push(bench.open(&c(n), &single(n), 4).await);
    }
    assert_eq!(
        refused(bench.acceptor.on_publish(&c(20), &single(20), credit(4)).await),
        "the limit of 3 connections is reached"
    );
    kept.pop();
    bench.acceptor.on_disconnect("c-12");
    assert_eq!(
        denied(bench.acceptor.may_subscribe(&c(21), "$LINK/v1/eu/a/down/00000000000000ff/0of3")),
        "3 channels are over the limit of 2"
    );
    let _again = bench.open(&c(20), &single(20), 4).await;
}

#[tokio::test]
async fn connections_that_the_linker_does_not_accept_are_refused_beyond_the_backlog() {
    let bench = bench(AcceptorLimits { backlog: 1, ..AcceptorLimits::default() });
    let other = UP.replace("aa", "cc");
    assert_eq!(bench.acceptor.on_publish(&client("a", "u"), UP, credit(4)).await, LinkPublish::Taken);
    assert_eq!(
        refused(bench.acceptor.on_publish(&client("b", "u"), &other, credit(4)).await),
        "too many connections wait for the linker"
    );
    assert_eq!(bench.disconnects(1).await[0].0, "b");
}

#[tokio::test]
async fn refused_logins_are_reported_and_a_flood_of_them_leaves_room() {
    let bench = bench(AcceptorLimits { backlog: 4, ..AcceptorLimits::default() });
    for _ in 0..100 {
        bench.acceptor.on_refused("from-eu-1", Some("eu-user"), "bad user name or password");
    }
    assert_eq!(bench.acceptor.on_publish(&client("c", "u"), UP, credit(4)).await, LinkPublish::Taken);
    for _ in 0..2 {
        let Accepted::Refused { identity, reason } = bench.transport.accept().await else { panic!("no refusal") };
        assert_eq!((identity.address.as_str(), identity.user.as_deref()), ("from-eu-1", Some("eu-user")));
        assert_eq!(reason, "bad user name or password");
    }
    bench.accept().await;
}
