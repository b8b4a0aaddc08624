//! The dialling side against a broker that plays a script: every refusal and failure, and the window.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use link_core::{
    link::Secret,
    transport::{Class, Connection, ConnectionError, DialError, Transport},
};
use link_mqtt::MqttTransport;
use rumqttc::v5::mqttbytes::{QoS, v5::*};
use support::*;
use tokio::{net::TcpListener, time::timeout};

fn failed(dialled: Result<Connection, DialError>) -> DialError {
    dialled.err().expect("the dial succeeded")
}

fn refusal(dialled: Result<Connection, DialError>) -> String {
    match failed(dialled) {
        DialError::Refused { reason, .. } => reason,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn a_refused_connect_gives_the_brokers_reason_in_words() {
    use ConnectReturnCode as Code;
    for (code, reason) in [
        (Code::BadUserNamePassword, "bad user name or password (0x86)"),
        (Code::NotAuthorized, "not authorized (0x87)"),
        (Code::ServerUnavailable, "server unavailable (0x88)"),
        (Code::ServerBusy, "server busy (0x89)"),
        (Code::Banned, "banned (0x8a)"),
        (Code::QuotaExceeded, "quota exceeded (0x97)"),
        (Code::ClientIdentifierNotValid, "client id not valid (0x85)"),
    ] {
        let (dialled, _) = scripted(link(), |mut wire| async move { wire.connect(connack(code)).await }).await;
        let error = failed(dialled);
        assert!(matches!(&error, DialError::Refused { reason: r, .. } if r == reason), "{error}");
    }
}

#[tokio::test]
async fn connect_carries_id_credentials_and_limits_and_a_clean_session() {
    let mut link = link();
    link.username = Some("eu-user".into());
    link.password = Some(Secret::new("eu-pass"));
    let (dialled, script) = scripted(link, |mut wire| async move {
        let (connect, login) = wire.connect(success()).await;
        let subscribe = wire.subscribe(SubscribeReasonCode::Success(QoS::AtLeastOnce)).await;
        let credit = wire.publish().await;
        wire.puback(credit.pkid).await;
        (connect, login, subscribe, credit)
    })
    .await;
    dialled.unwrap();
    let (connect, login, subscribe, credit) = script.await.unwrap();
    assert_eq!((connect.client_id.as_str(), connect.clean_start, connect.keep_alive), ("from-eu-1:us", true, 30));
    let properties = connect.properties.unwrap();
    assert_eq!(properties.session_expiry_interval, Some(0));
    assert_eq!((properties.receive_maximum, properties.max_packet_size), (Some(8), Some(65_536)));
    let login = login.unwrap();
    assert_eq!((login.username.as_str(), login.password.as_str()), ("eu-user", "eu-pass"));
    let down = &subscribe.filters[0].path;
    assert!(down.starts_with("$LINK/v1/eu/eu/down/") && down.ends_with("/0of1"), "{down}");
    assert_eq!(credit.topic, down.replace("/down/", "/up/"));
    assert_eq!((credit.qos, &credit.payload[..]), (QoS::AtLeastOnce, b"\x04\0\0\0\x08\0\x01\0\0".as_slice()));
}

#[tokio::test]
async fn a_closed_port_and_a_broker_that_hangs_up_are_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dial = dial_to(endpoint("mqtt", port), link());
    let error = failed(MqttTransport::new().dial(&dial).await);
    assert_eq!(
        error.to_string(),
        format!("mqtt://127.0.0.1:{port} can't be reached: Connection refused (os error 111)")
    );

    let (dialled, _) = scripted(link(), |mut wire| async move { drop(wire.packet().await) }).await;
    let error = failed(dialled);
    assert!(
        matches!(&error, DialError::Unreachable { reason, .. } if reason == "the broker closed the socket"),
        "{error}"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let mut many = link();
    many.connections = NonZeroU16::new(65).unwrap();
    for (scheme, link, reason) in [
        ("mqtts", link(), "`mqtts` needs the TLS settings of the link"),
        ("quic", link(), "`quic` is not carried by MQTT"),
        ("mqtt", many, "65 connections are over the limit of 64"),
    ] {
        let error = failed(MqttTransport::new().dial(&dial_to(endpoint(scheme, 1), link)).await);
        assert!(matches!(&error, DialError::Settings { reason: r, .. } if r == reason), "{error}");
    }
}

#[tokio::test]
async fn a_refused_subscription_or_opening_publish_refuses_the_dial() {
    let (dialled, _) = scripted(link(), |mut wire| async move {
        wire.connect(success()).await;
        wire.subscribe(SubscribeReasonCode::NotAuthorized).await
    })
    .await;
    assert_eq!(refusal(dialled), "the broker refused the subscription: not authorized (0x87)");

    let (dialled, _) = scripted(link(), |mut wire| async move {
        wire.connect(success()).await;
        wire.subscribe(SubscribeReasonCode::Success(QoS::AtMostOnce)).await
    })
    .await;
    assert_eq!(refusal(dialled), "the broker grants QoS 0 only, a link needs QoS 1");

    let (dialled, _) = scripted(link(), |mut wire| async move {
        wire.connect(success()).await;
        wire.subscribe(SubscribeReasonCode::Success(QoS::AtLeastOnce)).await;
        let mut ack = PubAck::new(wire.publish().await.pkid, None);
        ack.reason = PubAckReason::NotAuthorized;
        wire.write(Packet::PubAck(ack)).await;
        wire
    })
    .await;
    assert_eq!(refusal(dialled), "the broker refused a publish: not authorized (0x87)");
}

#[tokio::test]
async fn brokers_that_cannot_carry_a_link_are_refused() {
    for (connack, reason) in [
        (success_with(|p| p.max_qos = Some(0)), "the broker supports QoS 0 only, a link needs QoS 1"),
        (success_with(|p| p.receive_max = Some(0)), "the broker announces a Receive Maximum of 0"),
        (
            success_with(|p| p.max_packet_size = Some(100)),
            "a maximum packet size of 100 bytes is too small: 167 are needed",
        ),
    ] {
        let (dialled, _) = scripted(link(), |mut wire| async move { wire.connect(connack).await }).await;
        assert_eq!(refusal(dialled), reason);
    }
}

#[tokio::test]
async fn a_publish_refused_later_and_a_disconnect_end_the_connection_with_the_reason() {
    let (dialled, _script) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        let mut ack = PubAck::new(wire.publish().await.pkid, None);
        ack.reason = PubAckReason::QuotaExceeded;
        wire.write(Packet::PubAck(ack)).await;
        wire
    })
    .await;
    let mut connection = dialled.unwrap();
    connection.control.send(frame("x")).await.unwrap();
    let error = end(&mut connection).await;
    assert_eq!(error, ConnectionError::Closed("the broker refused a publish: quota exceeded (0x97)".into()));
    assert_eq!(connection.data[0].send(frame("y")).await.unwrap_err(), error);

    for (bytes, reason) in [
        (b"\xe0\x02\x8b\x00".as_slice(), "the broker disconnected: server shutting down (0x8b)"),
        (b"\xe0\x02\x89\x00", "the broker disconnected: server busy (0x89)"),
        (
            b"\xe0\x02\x8e\x00",
            "the broker disconnected: session taken over: another client connected with this client id (0x8e)",
        ),
        (b"\xe0\x09\x98\x07\x1f\x00\x04away", "the broker disconnected: administrative action (0x98): away"),
        (b"\xe0\x00", "the broker disconnected: no reason given (0x00)"),
    ] {
        let (dialled, _script) = scripted(link(), move |mut wire| async move {
            wire.welcome(success()).await;
            wire.bytes(bytes).await;
            wire
        })
        .await;
        assert_eq!(end(&mut dialled.unwrap()).await, ConnectionError::Closed(reason.into()));
    }
}

/// MQTT 5, 3.14.2.2.1 lets a DISCONNECT end behind its reason; rumqttc's reader drops such a packet, so what remains
/// to be seen is the socket that the broker closes then.
#[tokio::test]
async fn a_disconnect_that_ends_behind_its_reason_is_seen_as_a_closed_socket() {
    let (dialled, _) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        wire.bytes(b"\xe0\x01\x8b").await;
    })
    .await;
    assert_eq!(end(&mut dialled.unwrap()).await, ConnectionError::Lost("the broker closed the socket".into()));
}

#[tokio::test]
async fn what_arrived_before_the_end_is_received_before_the_end() {
    let (dialled, _) = scripted(link(), |mut wire| async move {
        let down = wire.welcome(success()).await;
        let mut publish = Publish::new(down, QoS::AtLeastOnce, "\0last words", None);
        publish.pkid = 7;
        wire.write(Packet::Publish(publish)).await;
    })
    .await;
    let mut connection = dialled.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(connection.receiver.recv().await.unwrap(), (Class::Control, frame("last words")));
    assert_eq!(end(&mut connection).await, ConnectionError::Lost("the broker closed the socket".into()));
}

#[tokio::test]
async fn a_silent_broker_is_noticed_within_two_keep_alives() {
    let (dialled, _script) = scripted(link(), |mut wire| async move {
        wire.welcome(success_with(|p| p.server_keep_alive = Some(1))).await;
        wire
    })
    .await;
    let before = Instant::now();
    let error = end(&mut dialled.unwrap()).await;
    assert_eq!(error, ConnectionError::Lost("the broker does not answer a ping".into()));
    assert!(before.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_broker_that_takes_no_bytes_is_noticed() {
    let mut link = link();
    link.max_packet = 1 << 20;
    let (dialled, _script) = scripted(link, |mut wire| async move {
        wire.welcome(success_with(|p| p.server_keep_alive = Some(1))).await;
        wire
    })
    .await;
    let mut connection = dialled.unwrap();
    let frame = Bytes::from(vec![0; 900_000]);
    let error = timeout(LONG, async {
        loop {
            if let Err(error) = connection.data[0].send(frame.clone()).await {
                return error;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(error, ConnectionError::Lost("the broker has taken no bytes for 2 s".into()));
}

#[tokio::test]
async fn a_server_keep_alive_of_0_means_none() {
    let (dialled, _script) = scripted(link(), |mut wire| async move {
        wire.welcome(success_with(|p| p.server_keep_alive = Some(0))).await;
        loop {
            wire.packet().await;
        }
    })
    .await;
    let mut connection = dialled.unwrap();
    assert!(timeout(Duration::from_secs(1), connection.receiver.recv()).await.is_err());
}

#[tokio::test]
async fn a_receive_maximum_of_one_is_kept_to_and_control_goes_first() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success_with(|p| p.receive_max = Some(1))).await;
        let mut seen = Vec::new();
        for _ in 0..5 {
            let publish = wire.publish().await;
            assert!(
                timeout(Duration::from_millis(50), wire.packet()).await.is_err(),
                "a second publish before the first was acknowledged"
            );
            seen.push(String::from_utf8_lossy(&publish.payload[1..]).into_owned());
            wire.puback(publish.pkid).await;
        }
        seen
    })
    .await;
    let Connection { mut control, mut data, receiver: _receiver, .. } = dialled.unwrap();
    let data = tokio::spawn(async move {
        for n in 0..4 {
            data[0].send(frame(format!("d{n}"))).await.unwrap();
        }
        data
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    control.send(frame("c")).await.unwrap();
    let seen = timeout(LONG, script).await.unwrap().unwrap();
    assert_eq!(seen, ["d0", "c", "d1", "d2", "d3"]);
    data.await.unwrap();
}

#[tokio::test]
async fn control_overtakes_data_that_waits_for_a_stalled_broker() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        let mut seen = Vec::new();
        loop {
            let publish = wire.publish().await;
            seen.push(publish.payload[1]);
            if publish.payload[1] == b'c' {
                return (seen, wire);
            }
        }
    })
    .await;
    let Connection { mut control, mut data, receiver: _receiver, .. } = dialled.unwrap();
    let data = tokio::spawn(async move { while data[0].send(frame("d")).await.is_ok() {} });
    tokio::time::sleep(Duration::from_millis(100)).await;
    timeout(LONG, control.send(frame("c"))).await.unwrap().unwrap();
    let (seen, _wire) = timeout(LONG, script).await.unwrap().unwrap();
    assert_eq!(seen, b"dddddddc", "7 of 8 slots are for data, the last is control's");
    assert!(!data.is_finished());
    data.abort();
}

#[tokio::test]
async fn acknowledgements_in_any_order_neither_stall_nor_reuse_an_id() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        let (mut open, mut seen, mut random) = (Vec::new(), Vec::new(), 1_u32);
        while seen.len() < 500 {
            while let Ok(packet) =
                timeout(Duration::from_millis(if open.is_empty() { 5_000 } else { 1 }), wire.packet()).await
            {
                let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                assert!(!open.contains(&publish.pkid), "id {} is in flight twice", publish.pkid);
                open.push(publish.pkid);
                assert!(open.len() <= 8);
                seen.push(String::from_utf8_lossy(&publish.payload[1..]).into_owned());
            }
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let pkid = open.swap_remove((random >> 16) as usize % open.len());
            wire.puback(pkid).await;
        }
        seen
    })
    .await;
    let mut connection = dialled.unwrap();
    for n in 0..500 {
        timeout(LONG, connection.data[0].send(frame(n.to_string()))).await.unwrap().unwrap();
    }
    let seen = timeout(LONG, script).await.unwrap().unwrap();
    assert!(seen.iter().map(|n| n.parse::<u32>().unwrap()).eq(0..500));
}

#[tokio::test]
async fn frames_over_the_packet_limit_are_cut_and_never_exceed_it() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success_with(|p| p.max_packet_size = Some(256))).await;
        let mut whole = BytesMut::new();
        loop {
            let publish = wire.publish().await;
            assert!(publish.size() <= 256, "{} bytes", publish.size());
            whole.extend_from_slice(&publish.payload[1..]);
            wire.puback(publish.pkid).await;
            assert_eq!(publish.payload[0] & 0b10, 0b10);
            if publish.payload[0] == 0b10 {
                return whole.freeze();
            }
        }
    })
    .await;
    let mut connection = dialled.unwrap();
    let frame: Bytes = (0..5_000_u32).map(|n| n as u8).collect();
    connection.data[0].send(frame.clone()).await.unwrap();
    assert_eq!(timeout(LONG, script).await.unwrap().unwrap(), frame);
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_costs_itself_the_connection() {
    for (payload, reason) in [
        (b"\x20".as_slice(), "closed by the peer: the peer sent an unknown payload header 0x20"),
        (b"", "closed by the peer: the peer sent an empty payload on a link topic"),
        (b"\x04\0\0\0\x01\0\0\0\x01", "closed by the peer: the peer sent a credit to the side that grants it"),
    ] {
        let (dialled, _script) = scripted(link(), move |mut wire| async move {
            let down = wire.welcome(success()).await;
            let mut publish = Publish::new(down, QoS::AtLeastOnce, payload, None);
            publish.pkid = 1;
            wire.write(Packet::Publish(publish)).await;
            wire
        })
        .await;
        assert_eq!(end(&mut dialled.unwrap()).await.to_string(), reason);
    }
}

#[tokio::test]
async fn more_than_the_receive_maximum_is_refused() {
    let (dialled, _script) = scripted(link(), |mut wire| async move {
        let down = wire.welcome(success()).await;
        for pkid in 1..=9 {
            let mut publish = Publish::new(down.clone(), QoS::AtLeastOnce, "\0x", None);
            publish.pkid = pkid;
            wire.write(Packet::Publish(publish)).await;
        }
        wire
    })
    .await;
    let mut connection = dialled.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        end(&mut connection).await,
        ConnectionError::Closed("the broker sends more than the Receive Maximum of 8".into())
    );
}

#[tokio::test]
async fn dropping_a_dial_or_a_connection_closes_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dial = tokio::spawn(async move { MqttTransport::new().dial(&dial_to(endpoint("mqtt", port), link())).await });
    let mut wire = Wire::new(listener.accept().await.unwrap().0);
    wire.packet().await;
    dial.abort();
    assert!(timeout(LONG, wire.read()).await.unwrap().is_none(), "the dial's task lives on");

    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        wire.read().await
    })
    .await;
    drop(dialled);
    assert_eq!(timeout(LONG, script).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn close_sends_out_what_is_queued_and_says_goodbye() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        wire.welcome(success()).await;
        for _ in 0..5 {
            let publish = wire.publish().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            wire.puback(publish.pkid).await;
        }
        (wire.packet().await, wire.read().await)
    })
    .await;
    let mut connection = dialled.unwrap();
    for _ in 0..5 {
        connection.data[0].send(frame("x")).await.unwrap();
    }
    timeout(LONG, connection.control.close()).await.unwrap();
    let (last, after) = timeout(LONG, script).await.unwrap().unwrap();
    assert!(matches!(last, Packet::Disconnect(d) if d.reason_code == DisconnectReasonCode::NormalDisconnection));
    assert_eq!(after, None);
    assert!(matches!(connection.receiver.recv().await, Err(ConnectionError::Closed(_))));
}
