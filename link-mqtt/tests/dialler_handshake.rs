//! F14, F16: the dialling side against a broker that breaks off, or says no, at any step of the handshake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use bytes::BytesMut;
use link_core::transport::DialError;
use rumqttc::v5::mqttbytes::{QoS, v5::*};
use support::*;
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};

fn encode(packet: Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, None).unwrap();
    bytes
}

/// Answers CONNECT, SUBSCRIBE and the opening credit with `most` bytes altogether; gives how many it would have sent.
async fn answer(wire: &mut Wire<TcpStream>, most: usize) -> usize {
    let mut sent = 0;
    loop {
        let answer = match wire.packet().await {
            Packet::Connect(..) => Packet::ConnAck(success_with(|p| p.receive_max = Some(20))),
            Packet::Subscribe(subscribe) => {
                let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes: granted, properties: None })
            }
            Packet::Publish(publish) => Packet::PubAck(PubAck::new(publish.pkid, None)),
            other => panic!("{other:?}"),
        };
        let last = matches!(answer, Packet::PubAck(_));
        let bytes = encode(answer);
        let room = bytes.len().min(most - sent);
        wire.bytes(&bytes[..room]).await;
        sent += room;
        if last || sent == most {
            return sent;
        }
    }
}

#[tokio::test]
async fn a_socket_that_closes_at_any_byte_of_the_handshake_makes_the_broker_unreachable() {
    let (dialled, script) =
        scripted(link(), |mut wire| async move { (answer(&mut wire, usize::MAX).await, wire) }).await;
    dialled.unwrap();
    let (whole, _) = script.await.unwrap();
    assert!(whole > 12, "{whole}");
    for most in 0..whole {
        for reset in [false, true] {
            let (dialled, _) = scripted(link(), move |mut wire| async move {
                if most > 0 {
                    answer(&mut wire, most).await;
                }
                if reset {
                    wire.stream.set_zero_linger().unwrap();
                }
            })
            .await;
            let error = dialled.err().expect("the dial succeeded");
            assert!(matches!(error, DialError::Unreachable { .. }), "{most} of {whole} bytes, reset {reset}: {error}");
        }
    }
}

#[tokio::test]
async fn a_broker_that_falls_silent_at_any_step_leaves_the_time_to_the_dialler_and_the_socket_closes_with_it() {
    for most in [0, 1, 8, 14] {
        let (listener, dial) = dial_listener(link()).await;
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        if most > 0 {
            answer(&mut wire, most).await;
        }
        assert!(timeout(Duration::from_millis(100), wait_for(&dial)).await.is_err(), "after {most} bytes");
        dial.abort();
        while timeout(LONG, wire.read()).await.expect("the socket is closed").is_some() {}
    }
}

async fn wait_for<T>(task: &tokio::task::JoinHandle<T>) {
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refused_subscription_gives_the_brokers_reason_in_words() {
    use SubscribeReasonCode as Code;
    for (code, reason) in [
        (Code::Unspecified, "unspecified error (0x80)"),
        (Code::ImplementationSpecific, "implementation specific error (0x83)"),
        (Code::NotAuthorized, "not authorized (0x87)"),
        (Code::TopicFilterInvalid, "topic filter invalid (0x8f)"),
        (Code::QuotaExceeded, "quota exceeded (0x97)"),
    ] {
        let (dialled, _) = scripted(link(), move |mut wire| async move {
            wire.connect(success()).await;
            wire.subscribe(code).await
        })
        .await;
        match dialled.err().expect("the dial succeeded") {
            DialError::Refused { reason: said, .. } => {
                assert_eq!(said, format!("the broker refused the subscription: {reason}"));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_question_fails_the_dial() {
    for (answers, reason) in [
        (vec![Packet::PingResp(PingResp)], "the broker answers a CONNECT with another packet"),
        (
            vec![
                Packet::ConnAck(success()),
                Packet::SubAck(SubAck {
                    pkid: 1,
                    return_codes: vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); 2],
                    properties: None,
                }),
            ],
            "the broker answers one subscription with 2 codes",
        ),
        (vec![Packet::ConnAck(success()); 2], "the broker sends a second CONNACK"),
    ] {
        let (dialled, _script) = scripted(link(), move |mut wire| async move {
            for answer in answers {
                wire.write(answer).await;
            }
            while wire.read().await.is_some() {}
        })
        .await;
        match dialled.err().expect("the dial succeeded") {
            DialError::Refused { reason: said, .. } => assert_eq!(said, reason),
            other => panic!("{other}"),
        }
    }
}
