//! F15: the dialling side against a broker whose acknowledgements are late, few, wrong, double, or not its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::{num::NonZeroU16, time::Duration};

use link_core::transport::{Class, Connection, ConnectionError};
use rumqttc::v5::mqttbytes::v5::*;
use support::*;
use tokio::time::timeout;

#[tokio::test]
async fn a_lower_receive_maximum_is_never_exceeded() {
    for most in [1_u16, 2, 10] {
        let mut link = link();
        link.max_inflight = NonZeroU16::new(32).unwrap();
        let (dialled, script) = scripted(link, move |mut wire| async move {
            wire.welcome(success_with(|p| p.receive_max = Some(most))).await;
            let (mut data, mut control, mut fullest) = (Vec::new(), Vec::new(), 0);
            while data.len() + control.len() < 60 {
                // Whatever it sends without an acknowledgement.
                let mut open = Vec::new();
                while let Ok(packet) = timeout(Duration::from_millis(30), wire.packet()).await {
                    let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                    let to = if publish.payload[0] == 0 { &mut control } else { &mut data };
                    to.push(publish.payload[1]);
                    open.push(publish.pkid);
                }
                assert!(open.len() <= usize::from(most), "{} in flight, {most} allowed", open.len());
                fullest = fullest.max(open.len());
                for pkid in open {
                    wire.puback(pkid).await;
                }
            }
            (data, control, fullest, wire)
        })
        .await;
        let Connection { mut control, mut data, receiver: _receiver, .. } = dialled.unwrap();
        let sending = tokio::spawn(async move {
            for n in 0..40 {
                data[0].send(vec![n].into()).await.unwrap();
            }
            data
        });
        for n in 0..20 {
            timeout(LONG, control.send(vec![n].into())).await.unwrap().unwrap();
        }
        let (data, control, fullest, _wire) = timeout(LONG, script).await.unwrap().unwrap();
        assert!(data.into_iter().eq(0..40) && control.into_iter().eq(0..20));
        // One place is kept free where there are two: for acknowledgements of what comes in.
        assert_eq!(fullest, usize::from(most).saturating_sub(1).max(1), "of {most}");
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn a_puback_without_subscribers_is_a_puback_and_any_other_reason_ends_the_connection() {
    use PubAckReason as Reason;
    for (reason, words) in [
        (Reason::NoMatchingSubscribers, None),
        (Reason::UnspecifiedError, Some("unspecified error (0x80)")),
        (Reason::ImplementationSpecificError, Some("implementation specific error (0x83)")),
        (Reason::NotAuthorized, Some("not authorized (0x87)")),
        (Reason::QuotaExceeded, Some("quota exceeded (0x97)")),
        (Reason::PayloadFormatInvalid, Some("payload format invalid (0x99)")),
    ] {
        let (dialled, _script) = scripted(link(), move |mut wire| async move {
            wire.welcome(success()).await;
            let mut ack = PubAck::new(wire.publish().await.pkid, None);
            ack.reason = reason;
            wire.write(Packet::PubAck(ack)).await;
            loop {
                let publish = wire.publish().await;
                wire.puback(publish.pkid).await;
            }
        })
        .await;
        let mut connection = dialled.unwrap();
        connection.data[0].send(frame("x")).await.unwrap();
        match words {
            Some(words) => {
                let error = ConnectionError::Closed(format!("the broker refused a publish: {words}"));
                assert_eq!(end(&mut connection).await, error);
            }
            None => {
                // More than the window, so that its place has come back.
                for _ in 0..50 {
                    timeout(LONG, connection.data[0].send(frame("y"))).await.unwrap().unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn an_acknowledgement_of_what_is_not_in_flight_ends_the_connection_and_opens_no_place() {
    // Twice the same, one of this connection that is not used now, one far above, and the one that is no id.
    for wrong in [None, Some(7), Some(u16::MAX), Some(0)] {
        let (dialled, _script) = scripted(link(), move |mut wire| async move {
            wire.welcome(success()).await;
            let publish = wire.publish().await;
            wire.puback(publish.pkid).await;
            wire.puback(wrong.unwrap_or(publish.pkid)).await;
            while wire.read().await.is_some() {}
        })
        .await;
        let mut connection = dialled.unwrap();
        connection.data[0].send(frame("x")).await.unwrap();
        let ConnectionError::Lost(reason) = end(&mut connection).await else { panic!("{wrong:?}: closed") };
        let id = wrong.unwrap_or(3);
        assert_eq!(reason, format!("the broker acknowledges packet {id}, which was not sent"));
    }
}

#[tokio::test]
async fn packet_ids_wrap_at_65535_on_the_way_out() {
    let mut link = link();
    link.max_inflight = NonZeroU16::MAX;
    let (dialled, script) = scripted(link, |mut wire| async move {
        wire.welcome(success()).await;
        let mut ids = Vec::new();
        for n in 0..66_000_u32 {
            let publish = wire.publish().await;
            assert_eq!(publish.payload[1..], n.to_be_bytes());
            ids.push(publish.pkid);
            wire.puback(publish.pkid).await;
        }
        ids
    })
    .await;
    let mut connection = dialled.unwrap();
    for n in 0..66_000_u32 {
        connection.data[0].send(n.to_be_bytes().to_vec().into()).await.unwrap();
    }
    let ids = timeout(LONG, script).await.unwrap().unwrap();
    // SUBSCRIBE and credit had the first two.
    let expected = (3..=u16::MAX).chain(1..).take(66_000);
    assert!(ids.into_iter().eq(expected));
}

#[tokio::test]
async fn packet_ids_wrap_at_65535_on_the_way_in() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        let down = wire.welcome(success()).await;
        let mut acknowledged = Vec::new();
        for pkid in [65_534, 65_535, 1, 2] {
            wire.send(&down, pkid, false, format!("\0{pkid}")).await;
            loop {
                match wire.packet().await {
                    Packet::PubAck(ack) => break acknowledged.push(ack.pkid),
                    // A credit.
                    Packet::Publish(publish) => wire.puback(publish.pkid).await,
                    other => panic!("{other:?}"),
                }
            }
        }
        acknowledged
    })
    .await;
    let mut connection = dialled.unwrap();
    for pkid in [65_534, 65_535, 1, 2] {
        let received = timeout(LONG, connection.receiver.recv()).await.unwrap().unwrap();
        assert_eq!(received, (Class::Control, frame(pkid.to_string())));
    }
    assert_eq!(timeout(LONG, script).await.unwrap().unwrap(), [65_534, 65_535, 1, 2]);
}

/// As a broker does that sends again when an acknowledgement is late.
#[tokio::test]
async fn a_packet_that_is_sent_again_is_delivered_once() {
    let (dialled, script) = scripted(link(), |mut wire| async move {
        let down = wire.welcome(success()).await;
        for (pkid, dup, payload) in [
            (1, false, "\u{1}be"),
            (1, true, "\u{1}be"),
            (2, false, "\0gin"),
            (2, true, "\0gin"),
            (1, true, "\u{1}be"),
            // Never seen here before: it counts, whatever its flag says.
            (3, true, "\0next"),
        ] {
            wire.send(&down, pkid, dup, payload).await;
        }
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 3 {
            if let Packet::PubAck(ack) = wire.packet().await {
                acknowledged.push(ack.pkid);
            }
        }
        // Now that all are acknowledged: the acknowledgement and the repetition have crossed.
        wire.send(&down, 3, true, "\0next").await;
        // An id that is used anew.
        wire.send(&down, 1, false, "\0last").await;
        (acknowledged, wire)
    })
    .await;
    let mut connection = dialled.unwrap();
    for expected in ["begin", "next", "last"] {
        let received = timeout(LONG, connection.receiver.recv()).await.unwrap().unwrap();
        assert_eq!(received, (Class::Control, frame(expected)));
    }
    let (acknowledged, _wire) = timeout(LONG, script).await.unwrap().unwrap();
    assert_eq!(acknowledged, [1, 2, 3]);
}
