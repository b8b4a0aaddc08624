//! Against the real broker, with real clients over sockets.

use std::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use bytes::Bytes;
use link_core::{
    link::{ClusterName, LinkConfig, LinkState, NodeName},
    memory::{MemoryBroker, MemoryNetwork},
    message::Properties,
    topic::Topic,
    transport::{Accepted, Class, Connection, Dial, DialError, Transport},
};
use link_mqtt::BrokerPort;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::v5::{LastWill, Packet, PublishProperties},
};
use tokio::time::{sleep, timeout};

use super::*;
use crate::client::{Client, Login, Outgoing, QoS as Q};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

struct Bed {
    broker: Mqtt5Broker,
    port: Port,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Bed {
    async fn start() -> Self {
        let users = ["user", "link"].map(|user| (user.to_owned(), Secret::new("secret")));
        let settings = Settings { bind: ([127, 0, 0, 1], 0).into(), users: users.into() };
        let broker = Mqtt5Broker::start(settings).await.unwrap();
        let port = Port::default();
        port.set(Arc::clone(&broker.host.router), Arc::clone(&broker.host.storage));
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let to = Arc::clone(&changes);
        let _ = broker.hooks.report.set(Box::new(move |change| locked(&to).push(change)));
        broker.hooks.gate.set_wants(Box::new(|_| true));
        Self { broker, port, changes }
    }

    fn login(&self, client: &str) -> Login {
        Login::new(self.broker.address(), client, "user", "secret")
    }

    async fn client(&self, client: &str) -> Client {
        Client::connect(self.login(client)).await.unwrap()
    }

    fn tap(&mut self) -> Tap {
        self.broker.tap.take().unwrap()
    }

    /// The changes until now, once there are `count`.
    async fn changes(&self, count: usize) -> Vec<Change> {
        let start = Instant::now();
        while locked(&self.changes).len() < count && start.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(5)).await;
        }
        std::mem::take(&mut *locked(&self.changes))
    }

    async fn subscriptions(&self) -> Vec<String> {
        let mut all = self.broker.host().subscriptions().await.unwrap();
        all.sort();
        all.iter().map(|(client, filter)| format!("{client} {}", filter.as_str())).collect()
    }
}

async fn next(tap: &mut Tap) -> Option<(String, Message)> {
    timeout(Duration::from_secs(5), tap.next()).await.ok().flatten()
}

async fn nothing(tap: &mut Tap) {
    let seen = timeout(Duration::from_millis(200), tap.next()).await;
    assert!(seen.is_err(), "the tap saw {seen:?}");
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn properties() -> PublishProperties {
    PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        topic_alias: None,
        response_topic: Some("reply/to".to_owned()),
        correlation_data: Some(Bytes::from_static(b"\x00\xff")),
        user_properties: vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())],
        subscription_identifiers: vec![],
        content_type: Some("text/plain".to_owned()),
    }
}

#[tokio::test]
async fn the_tap_sees_each_publish_once_as_it_was_sent() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let client = bed.client("c").await;
    // A subscriber, so that a second copy would be seen if there were one per subscription.
    client.subscribe("t/#", Q::ExactlyOnce).await.unwrap();
    let sizes =
        [(Q::AtMostOnce, QoS::AtMostOnce), (Q::AtLeastOnce, QoS::AtLeastOnce), (Q::ExactlyOnce, QoS::ExactlyOnce)];
    for (qos, expected) in sizes {
        let message = Outgoing { retain: true, properties: properties(), ..Outgoing::new("t/1", "text", qos) };
        client.publish(message).await.unwrap();
        let (publisher, message) = next(&mut tap).await.unwrap();
        assert_eq!(publisher, "c");
        assert_eq!((message.topic.as_str(), &message.payload[..], message.qos), ("t/1", &b"text"[..], expected));
        assert!(message.retain);
        let expected = Properties {
            payload_is_utf8: Some(true),
            message_expiry: Some(60),
            content_type: Some("text/plain".into()),
            response_topic: Some(Topic::new("reply/to").unwrap()),
            correlation_data: Some(Bytes::from_static(b"\x00\xff")),
            user: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
        };
        assert_eq!(message.properties, expected);
    }
    nothing(&mut tap).await;
    bed.broker.stop().await;
}

#[tokio::test]
async fn a_retained_message_given_to_a_new_subscriber_is_no_new_publish() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let client = bed.client("c").await;
    client.publish(Outgoing { retain: true, ..Outgoing::new("kept", "x", Q::AtLeastOnce) }).await.unwrap();
    assert!(next(&mut tap).await.unwrap().1.retain);
    client.subscribe("kept", Q::AtLeastOnce).await.unwrap();
    assert!(client.receive(Duration::from_secs(5)).await.unwrap().retain);
    nothing(&mut tap).await;
}

#[tokio::test]
async fn the_tap_sees_a_will() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let will = Some(LastWill::new("gone", "bye", Q::AtLeastOnce, false, None));
    let client = Client::connect(Login { will, ..bed.login("mortal") }).await.unwrap();
    drop(client);
    let (publisher, message) = next(&mut tap).await.unwrap();
    assert_eq!((publisher.as_str(), message.topic.as_str(), &message.payload[..]), ("mortal", "gone", &b"bye"[..]));
}

#[tokio::test]
async fn a_delivered_message_reaches_subscribers_and_does_not_come_back() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let client = bed.client("c").await;
    client.subscribe("from/#", Q::ExactlyOnce).await.unwrap();
    let origin = Origin { cluster: ClusterName::new("eu").unwrap(), node: NodeName::new("eu-1").unwrap() };
    let message = Message {
        topic: Topic::new("from/eu").unwrap(),
        payload: Bytes::from_static(b"hello"),
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Properties { user: vec![("k".into(), "v".into())], ..Properties::default() },
    };
    bed.broker.host().deliver(message, &origin).await.unwrap();
    let got = client.receive(Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        (&got.topic[..], &got.payload[..], got.qos, got.retain),
        (&b"from/eu"[..], &b"hello"[..], Q::ExactlyOnce, true)
    );
    assert_eq!(got.properties.unwrap().user_properties, [("k".to_owned(), "v".to_owned())]);
    nothing(&mut tap).await;
}

#[tokio::test]
async fn subscribe_unsubscribe_and_end_are_reported() {
    let bed = Bed::start().await;
    let client = bed.client("c").await;
    client.subscribe("a/+", Q::AtLeastOnce).await.unwrap();
    client.subscribe("$share/g/b", Q::AtLeastOnce).await.unwrap();
    client.subscribe("$LINK/x", Q::AtLeastOnce).await.expect_err("links are not for others to read");
    let subscribed = |text| Change::Subscribed("c".to_owned(), filter(text));
    let gone = || Change::Gone("c".to_owned());
    assert_eq!(bed.changes(3).await, [gone(), subscribed("a/+"), subscribed("$share/g/b")]);
    assert_eq!(bed.subscriptions().await, ["c $share/g/b", "c a/+"]);
    client.unsubscribe("a/+").await.unwrap();
    assert_eq!(bed.changes(1).await, [Change::Unsubscribed("c".to_owned(), filter("a/+"))]);
    assert_eq!(bed.subscriptions().await, ["c $share/g/b"]);
    client.disconnect().await;
    assert_eq!(bed.changes(1).await, [gone()]);
    assert_eq!(bed.subscriptions().await, [""; 0]);
}

#[tokio::test]
async fn a_session_keeps_its_interest_until_it_expires() {
    let bed = Bed::start().await;
    let login = Login { session_expiry: 2, clean_start: false, ..bed.login("c") };
    let client = Client::connect(login.clone()).await.unwrap();
    client.subscribe("a", Q::AtLeastOnce).await.unwrap();
    bed.changes(2).await;
    drop(client);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bed.changes(0).await, [], "the session lives on");
    assert_eq!(bed.subscriptions().await, ["c a"]);
    let client = Client::connect(login).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bed.changes(0).await, [], "and is resumed");
    drop(client);
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(bed.subscriptions().await, [""; 0], "and has expired");
}

#[tokio::test]
async fn a_clean_start_ends_the_old_interest() {
    let bed = Bed::start().await;
    let login = Login { session_expiry: 3600, ..bed.login("c") };
    let old = Client::connect(login.clone()).await.unwrap();
    old.subscribe("old", Q::AtLeastOnce).await.unwrap();
    bed.changes(2).await;
    // Takes the living connection over.
    let new = Client::connect(login).await.unwrap();
    new.subscribe("new", Q::AtLeastOnce).await.unwrap();
    // The end of the old connection may be reported before or after.
    sleep(Duration::from_millis(300)).await;
    let mut changes = bed.changes(2).await;
    assert_eq!(changes.pop(), Some(Change::Subscribed("c".to_owned(), filter("new"))));
    assert!(!changes.is_empty() && changes.iter().all(|change| *change == Change::Gone("c".to_owned())), "{changes:?}");
    assert_eq!(bed.subscriptions().await, ["c new"]);
}

fn dial(bed: &Bed, password: &str) -> Dial {
    let link = LinkConfig {
        username: Some("link".to_owned()),
        password: Some(Secret::new(password)),
        ..LinkConfig::new(ClusterName::new("us").unwrap())
    };
    Dial {
        endpoint: format!("mqtt://{}", bed.broker.address()).parse().unwrap(),
        cluster: ClusterName::new("eu").unwrap(),
        node: NodeName::new("eu-1").unwrap(),
        link: Arc::new(link),
    }
}

#[tokio::test]
async fn a_link_connects_through_the_broker_and_nobody_else_sees_or_forges_it() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let curious = bed.client("curious").await;
    curious.subscribe("$LINK/#", Q::AtLeastOnce).await.expect_err("links are not for others to read");
    curious.subscribe("#", Q::AtLeastOnce).await.unwrap();
    let (transport, dial) = (bed.broker.transport(), dial(&bed, "secret"));
    let (mut here, Accepted::Connection(mut there)) =
        tokio::join!(async { transport.dial(&dial).await.unwrap() }, transport.accept())
    else {
        panic!("the login is right");
    };
    assert_eq!(there.identity.user.as_deref(), Some("link"));
    curious.publish(Outgoing::new("$LINK/v1/eu/eu-1/up/0000000000000000/0of1", "", Q::AtLeastOnce)).await.unwrap();
    for (class, frame) in [(Class::Control, "control"), (Class::Data(0), "data")] {
        let frame = Bytes::from_static(frame.as_bytes());
        exchange(&mut here, &mut there, class, &frame).await;
        exchange(&mut there, &mut here, class, &frame).await;
    }
    assert!(curious.receive(Duration::from_millis(200)).await.is_none(), "nothing is routed to others");
    assert_eq!(bed.subscriptions().await, ["curious #"], "a link's own subscriptions are no interest");
    nothing(&mut tap).await;
    drop(here);
    let end = timeout(Duration::from_secs(5), there.receiver.recv()).await.unwrap();
    assert!(end.is_err(), "the end of the client ends the connection");
}

/// A broker with a linker at `eu`, over a network in memory to `us`.
async fn linked(hold: Option<Duration>) -> (MemoryNetwork, Mqtt5Broker, Linker) {
    let network = MemoryNetwork::new();
    let links = |to: &str, server: &[&str]| {
        let mut link = LinkConfig::new(ClusterName::new(to).unwrap());
        link.servers = server.iter().map(|server| format!("memory://{server}").parse().unwrap()).collect();
        link.topics = vec![filter("#")];
        (link.retry_first, link.retry_max) = (Duration::from_millis(10), Duration::from_millis(50));
        link
    };
    let start = |cluster: &str, node: &str, link, host: Arc<dyn Host>| {
        let builder = Linker::builder(ClusterName::new(cluster).unwrap(), NodeName::new(node).unwrap());
        builder.transport(network.transport(node)).link(link).start(host).unwrap()
    };
    let us = start("us", "us-1", links("eu", &[]), MemoryBroker::new());
    let users = vec![("user".to_owned(), Secret::new("secret"))];
    let mut broker = Mqtt5Broker::start(Settings { bind: ([127, 0, 0, 1], 0).into(), users }).await.unwrap();
    if let Some(patience) = hold {
        broker.hold_suback(patience);
    }
    let eu = start("eu", "eu-1", links("us", &["us-1"]), broker.host());
    broker.connect(eu.clone());
    eu.wait_for(&ClusterName::new("us").unwrap(), |status| status.state == LinkState::Live).await.unwrap();
    (network, broker, us)
}

#[tokio::test]
async fn a_suback_is_not_held_unless_asked_for() {
    let (network, broker, us) = linked(None).await;
    let client = Client::connect(Login::new(broker.address(), "c", "user", "secret")).await.unwrap();
    network.cut("us-1", "eu-1");
    client.subscribe("t", Q::AtLeastOnce).await.unwrap();
    assert!(!us.wants("t"));
}

#[tokio::test]
async fn a_held_suback_says_that_the_peers_know_and_goes_out_late_without_them() {
    let patience = Duration::from_secs(5);
    let (network, broker, us) = linked(Some(patience)).await;
    let client = Client::connect(Login::new(broker.address(), "c", "user", "secret")).await.unwrap();
    for n in 0..20 {
        let topic = format!("t/{n}");
        client.subscribe(&topic, Q::AtLeastOnce).await.unwrap();
        assert!(us.wants(&topic), "SUBACK of {topic} came before the peer knew");
    }
    network.cut("us-1", "eu-1");
    let client = Arc::new(client);
    let held = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.subscribe("held", Q::AtLeastOnce).await }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!held.is_finished(), "SUBACK came while the peer was away");
    network.heal("us-1", "eu-1");
    held.await.unwrap().unwrap();
    assert!(us.wants("held"));
    // The client's own subscription is what stays.
    client.unsubscribe("held").await.unwrap();
    let start = Instant::now();
    while us.wants("held") && start.elapsed() < patience {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!us.wants("held"));
    // One that fails leaves nothing behind.
    network.cut("us-1", "eu-1");
    let other = Client::connect(Login::new(broker.address(), "d", "user", "secret")).await.unwrap();
    let start = Instant::now();
    for filter in ["late/1", "late/2", "late/3"] {
        other.subscribe(filter, Q::AtLeastOnce).await.unwrap();
    }
    let took = start.elapsed();
    assert!(took >= patience && took < patience * 2, "{took:?}");
    network.heal("us-1", "eu-1");
    let start = Instant::now();
    while !us.wants("late/3") && start.elapsed() < patience {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(us.wants("late/1") && us.wants("late/3"));
    assert!(broker.holding.get().unwrap().subscriptions().is_empty());
}

async fn exchange(from: &mut Connection, to: &mut Connection, class: Class, frame: &Bytes) {
    let sender = if class == Class::Control { &mut from.control } else { &mut from.data[0] };
    sender.send(frame.clone()).await.unwrap();
    let got = timeout(Duration::from_secs(5), to.receiver.recv()).await.unwrap().unwrap();
    assert_eq!(got, (class, frame.clone()));
}

#[tokio::test]
async fn wrong_logins_are_refused_and_reported() {
    let bed = Bed::start().await;
    for (client, user, password, expected) in [
        ("c", "user", "wrong", "wrong user name or password"),
        ("c", "nobody", "secret", "wrong user name or password"),
        (TAP, "user", "secret", "client ids that begin with `$`"),
    ] {
        assert!(Client::connect(Login::new(bed.broker.address(), client, user, password)).await.is_err());
        let Accepted::Refused { identity, reason } = bed.broker.transport().accept().await else {
            panic!("{client} was let in");
        };
        assert_eq!((identity.address.as_str(), identity.user.as_deref()), (client, Some(user)));
        assert!(reason.starts_with(expected), "{reason}");
    }
    let error = bed.broker.transport().dial(&dial(&bed, "wrong")).await.err();
    assert!(matches!(error, Some(DialError::Refused { .. })), "{error:?}");
}

#[tokio::test]
async fn a_disconnected_client_loses_connection_and_session() {
    let bed = Bed::start().await;
    let login = Login { session_expiry: 3600, ..bed.login("c") };
    let client = Client::connect(login.clone()).await.unwrap();
    client.subscribe("a", Q::AtLeastOnce).await.unwrap();
    bed.port.disconnect("c", "test").await;
    client.publish(Outgoing::new("x", "", Q::AtLeastOnce)).await.expect_err("the connection is closed");
    assert_eq!(bed.subscriptions().await, [""; 0]);
    let again = Client::connect(Login { clean_start: false, ..login }).await.unwrap();
    again.publish(Outgoing::new("a", "", Q::AtLeastOnce)).await.unwrap();
    assert!(again.receive(Duration::from_millis(200)).await.is_none(), "nothing of the old session is left");
}

#[tokio::test]
async fn frames_to_a_slow_client_wait_and_are_not_dropped() {
    let bed = Bed::start().await;
    let address = bed.broker.address();
    let mut options = MqttOptions::new("peer", address.ip().to_string(), address.port());
    options.set_credentials("user", "secret").set_max_packet_size(Some(1 << 20));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("down", Q::AtLeastOnce).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::SubAck(_))) {}
    // Both more messages and more bytes than the broker's limits for a session queue, of 10,000 and 64 MiB, after
    // what fits into the lane.
    let (count, size) = (25_000u32, 16_000);
    let send = async {
        for n in 0..count {
            let mut payload = vec![0; size];
            payload[..4].copy_from_slice(&n.to_be_bytes());
            bed.port.publish("down", payload.into()).await.unwrap();
        }
    };
    let take = async {
        // Reads nothing for longer than the router waits for a full lane.
        sleep(Duration::from_secs(4)).await;
        let mut order = Vec::new();
        while order.len() < count as usize {
            let event = timeout(Duration::from_secs(5), events.poll()).await.expect("a message is missing").unwrap();
            if let Event::Incoming(Packet::Publish(publish)) = event {
                order.push(u32::from_be_bytes(publish.payload[..4].try_into().unwrap()));
            }
        }
        order
    };
    let ((), order) = tokio::join!(send, take);
    assert!(order == (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_tap_holds_publishers_back_and_loses_nothing() {
    let mut bed = Bed::start().await;
    let mut tap = bed.tap();
    let client = bed.client("c").await;
    let count = 80_000u32;
    let messages = (0..count).map(|n| Outgoing::new("t", n.to_be_bytes(), Q::AtLeastOnce));
    let slow = async {
        // Longer than the router waits for a full lane.
        sleep(Duration::from_secs(6)).await;
        let mut order = Vec::new();
        while order.len() < count as usize
            && let Some((_, message)) = next(&mut tap).await
        {
            order.push(u32::from_be_bytes(message.payload[..].try_into().unwrap()));
        }
        order
    };
    let (published, order) = tokio::join!(client.publish_all(messages), slow);
    published.unwrap();
    assert!(order == (0..count).collect::<Vec<_>>(), "{} of {count} came out", order.len());
}
