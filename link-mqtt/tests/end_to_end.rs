//! A dialler and an acceptor with a broker between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::num::NonZeroU16;
use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use link_core::{
    link::{LinkConfig, Secret},
    transport::{Accepted, Class, Connection, ConnectionError, DialError, FrameReceiver, FrameSender, Transport},
};
use link_mqtt::AcceptorLimits;
use support::{broker::Broker, *};
use tokio::{task::JoinHandle, time::timeout};

async fn pair(broker: &Broker, link: LinkConfig) -> (Connection, Connection) {
    let dial = dial_to(endpoint("mqtt", broker.port), link);
    let dialled = timeout(LONG, broker.transport.dial(&dial)).await.unwrap().unwrap();
    match timeout(LONG, broker.transport.accept()).await.unwrap() {
        Accepted::Connection(accepted) => (dialled, accepted),
        Accepted::Refused { reason, .. } => panic!("{reason}"),
    }
}

/// A body of some length that tells its number.
fn body(n: u32) -> Bytes {
    let mut body = n.to_be_bytes().to_vec();
    body.resize(4 + (n as usize * 7) % 300, n as u8);
    body.into()
}

fn send_all(mut sender: Box<dyn FrameSender>, count: u32) -> JoinHandle<Box<dyn FrameSender>> {
    tokio::spawn(async move {
        for n in 0..count {
            sender.send(body(n)).await.unwrap();
        }
        sender
    })
}

fn receive_all(mut receiver: Box<dyn FrameReceiver>, count: u32) -> JoinHandle<Box<dyn FrameReceiver>> {
    tokio::spawn(async move {
        let mut next: BTreeMap<u32, u32> = BTreeMap::new();
        for _ in 0..count {
            let (class, frame) = receiver.recv().await.unwrap();
            let class = match class {
                Class::Control | Class::Datagram => 0,
                Class::Data(channel) => u32::from(channel) + 1,
            };
            let next = next.entry(class).or_default();
            assert_eq!(frame, body(*next), "class {class}, frame {next}");
            *next += 1;
        }
        receiver
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_frames_each_way_over_three_connections_in_order_per_class() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.connections = NonZeroU16::new(3).unwrap();
    let (dialled, accepted) = pair(&broker, settings).await;
    assert_eq!((dialled.data.len(), accepted.data.len()), (3, 3));
    let mut running = Vec::new();
    let mut receiving = Vec::new();
    for connection in [dialled, accepted] {
        receiving.push(receive_all(connection.receiver, 10_000));
        running.push(send_all(connection.control, 1_000));
        running.extend(connection.data.into_iter().map(|sender| send_all(sender, 3_000)));
    }
    let mut kept = Vec::new();
    for sending in running {
        kept.push(timeout(LONG, sending).await.unwrap().unwrap());
    }
    for receiving in receiving {
        drop(timeout(LONG, receiving).await.unwrap().unwrap());
    }
    let mut ids = broker.sessions.client_ids.lock().unwrap().clone();
    ids.sort();
    assert_eq!(ids, ["from-eu-1:us", "from-eu-2:us", "from-eu-3:us"]);
    let most = *broker.sessions.most_queued.lock().unwrap();
    assert!(most <= 8, "the broker had to hold {most} packets of one client");
}

#[tokio::test]
async fn large_and_empty_frames_cross_both_ways() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.max_packet = 1_000;
    settings.max_inflight = NonZeroU16::new(2).unwrap();
    let (mut dialled, mut accepted) = pair(&broker, settings).await;
    let large: Bytes = (0..200_000_u32).map(|n| (n / 7) as u8).collect();
    for frame in [large, Bytes::new()] {
        let (sent, received) = tokio::join!(dialled.data[0].send(frame.clone()), accepted.receiver.recv());
        sent.unwrap();
        assert_eq!(received, Ok((Class::Data(0), frame.clone())));
        let (sent, received) = tokio::join!(accepted.control.send(frame.clone()), dialled.receiver.recv());
        sent.unwrap();
        assert_eq!(received, Ok((Class::Control, frame)));
    }
    assert_eq!(
        dialled.control.send(vec![0; (16 << 20) + 1].into()).await,
        Err(ConnectionError::TooLarge { size: (16 << 20) + 1, limit: 16 << 20 })
    );
}

#[tokio::test]
async fn the_smallest_window_carries_both_directions_at_once() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.max_inflight = NonZeroU16::new(1).unwrap();
    let (dialled, accepted) = pair(&broker, settings).await;
    let mut kept = Vec::new();
    for connection in [dialled, accepted] {
        let receiving = receive_all(connection.receiver, 600);
        kept.push((
            send_all(connection.control, 300),
            connection.data.into_iter().map(|d| send_all(d, 300)),
            receiving,
        ));
    }
    let mut ends = Vec::new();
    for (control, data, receiving) in kept {
        let data: Vec<_> = data.collect();
        ends.push((control, data, receiving));
    }
    let mut alive = Vec::new();
    for (control, data, receiving) in ends {
        alive.push(timeout(LONG, control).await.unwrap().unwrap());
        for data in data {
            alive.push(timeout(LONG, data).await.unwrap().unwrap());
        }
        drop(timeout(LONG, receiving).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_receiver_that_stops_stalls_data_and_not_the_broker() {
    let broker = Broker::start(AcceptorLimits { inbound_bytes: 10_000, ..AcceptorLimits::default() }).await;
    let (dialled, mut accepted) = pair(&broker, link()).await;
    for mut sender in dialled.data.into_iter().chain(std::mem::take(&mut accepted.data)) {
        let mut sent = 0;
        while timeout(Duration::from_millis(300), sender.send(vec![0; 1_000].into()))
            .await
            .is_ok_and(|sent| sent.is_ok())
        {
            sent += 1;
            assert!(sent < 100, "nothing holds the sender up");
        }
        assert!(sent > 5);
    }
    // Another link goes on meanwhile.
    let mut other = link();
    other.client_id_prefix = Some("other".into());
    let (mut dialled, mut accepted) = pair(&broker, other).await;
    dialled.control.send(frame("x")).await.unwrap();
    assert_eq!(timeout(LONG, accepted.receiver.recv()).await.unwrap(), Ok((Class::Control, frame("x"))));
}

#[tokio::test]
async fn close_at_either_end_delivers_the_last_frame_and_then_the_end() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.connections = NonZeroU16::new(2).unwrap();
    for dialler_closes in [true, false] {
        let (dialled, accepted) = pair(&broker, settings.clone()).await;
        let (mut closing, mut other) = if dialler_closes { (dialled, accepted) } else { (accepted, dialled) };
        closing.data[1].send(frame("last data")).await.unwrap();
        closing.control.send(frame("last words")).await.unwrap();
        let receiving = tokio::spawn(async move {
            let mut frames = Vec::new();
            loop {
                match other.receiver.recv().await {
                    Ok((_, frame)) => frames.push(frame),
                    Err(error) => return (frames, error),
                }
            }
        });
        timeout(LONG, closing.control.close()).await.unwrap();
        let (mut frames, error) = timeout(LONG, receiving).await.unwrap().unwrap();
        frames.sort();
        assert_eq!(frames, [frame("last data"), frame("last words")], "dialler closes: {dialler_closes}");
        let ConnectionError::Closed(reason) = error else { panic!("{error}") };
        if dialler_closes {
            assert!(reason.starts_with("client `from-eu-") && reason.ends_with("` disconnected"), "{reason}");
        } else {
            assert_eq!(reason, "the peer closed the connection");
        }
    }
}

#[tokio::test]
async fn a_lost_client_ends_the_whole_connection_at_both_ends_and_a_new_dial_works() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.connections = NonZeroU16::new(3).unwrap();
    for _ in 0..3 {
        let (mut dialled, mut accepted) = pair(&broker, settings.clone()).await;
        link_mqtt::BrokerPort::disconnect(&*broker.sessions, "from-eu-2:us", "kicked").await;
        let error = timeout(LONG, dialled.receiver.recv()).await.unwrap().unwrap_err();
        assert_eq!(error, ConnectionError::Closed("the broker disconnected: not authorized (0x87)".into()));
        assert_eq!(dialled.data[0].send(frame("x")).await, Err(error));
        let error = timeout(LONG, accepted.receiver.recv()).await.unwrap().unwrap_err();
        assert_eq!(error, ConnectionError::Closed("client `from-eu-2:us` disconnected".into()));
    }
}

#[tokio::test]
async fn a_wrong_password_is_seen_at_both_ends() {
    let broker = Broker::start(AcceptorLimits::default()).await;
    let mut settings = link();
    settings.username = Some("eu-user".into());
    settings.password = Some(Secret::new("wrong"));
    let dial = dial_to(endpoint("mqtt", broker.port), settings.clone());
    let error = broker.transport.dial(&dial).await.err().unwrap();
    assert!(
        matches!(&error, DialError::Refused { reason, .. } if reason == "bad user name or password (0x86)"),
        "{error}"
    );
    let Accepted::Refused { identity, reason } = timeout(LONG, broker.transport.accept()).await.unwrap() else {
        panic!("accepted")
    };
    assert_eq!((identity.address.as_str(), identity.user.as_deref()), ("from-eu-1:us", Some("eu-user")));
    assert_eq!(reason, "bad user name or password");

    settings.password = Some(Secret::new("secret"));
    let (_dialled, accepted) = pair(&broker, settings).await;
    assert_eq!(accepted.identity.user.as_deref(), Some("eu-user"));
}
