//! F14: the dialling side against a broker that sends what no broker may send, or half of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::time::{Duration, Instant};

use link_core::transport::ConnectionError;
use support::*;
use tokio::time::timeout;

/// The end of a connection whose broker sends these bytes after the handshake, and keeps the socket open.
async fn end_after(bytes: Vec<u8>) -> ConnectionError {
    let (dialled, _script) = scripted(link(), move |mut wire| async move {
        wire.welcome(success()).await;
        wire.bytes(&bytes).await;
        while wire.read().await.is_some() {}
    })
    .await;
    let begin = Instant::now();
    let error = end(&mut dialled.unwrap()).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "sooner than any keep-alive");
    error
}

#[tokio::test]
async fn what_is_no_packet_for_a_client_ends_the_connection_at_once() {
    for bytes in [
        // Reserved type, and AUTH, which was not negotiated.
        b"\0\0".as_slice(),
        b"\xf0\0",
        // CONNECT, SUBSCRIBE and PINGREQ are a client's.
        b"\x10\x0d\0\x04MQTT\x05\0\0\0\0\0\0",
        b"\x82\x07\0\x01\0\0\x01a\0",
        b"\xc0\0",
        // A second CONNACK.
        b"\x20\x03\0\0\0",
        // A remaining length of five bytes.
        b"\x32\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        // One byte more than the client takes, and the most there can be: not waited for.
        b"\x32\x81\x80\x04",
        b"\x32\xff\xff\xff\x7f",
        // QoS 3, QoS 2, id 0, and the topic of nobody.
        b"\x36\x06\0\x01a\0\x01\0",
        b"\x34\x06\0\x01a\0\x01\0",
        b"\x32\x06\0\x01a\0\0\0",
        b"\x32\x06\0\x01a\0\x01\0",
        // A topic, and properties, that are longer than their packet.
        b"\x32\x06\xff\xffa\0\x01\0",
        b"\x32\x06\0\x01a\0\x01\x7f",
        // Reasons that do not exist.
        b"\x40\x04\0\x03\x42\0",
        b"\xe0\x02\x42\0",
        // QoS 2 of what was sent with QoS 1.
        b"\x50\x02\0\x02",
        // An HTTP server.
        b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ] {
        let ended = timeout(Duration::from_secs(10), end_after(bytes.to_vec())).await;
        assert!(ended.is_ok(), "no end after {bytes:02x?}");
    }
}

#[tokio::test]
async fn the_reason_says_what_was_wrong() {
    for (bytes, expected) in [
        (b"\x32\xff\xff\xff\xff\x7f".as_slice(), ConnectionError::Lost("malformed".into())),
        (b"\x32\x06\0\x01a\0\x01\0", ConnectionError::Closed("a topic that was not subscribed to".into())),
        (b"\x20\x03\0\0\0", ConnectionError::Closed("a second CONNACK".into())),
    ] {
        let error = end_after(bytes.to_vec()).await;
        let (ConnectionError::Lost(part) | ConnectionError::Closed(part)) = &expected else { unreachable!() };
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_socket_that_closes_in_the_middle_of_a_packet_is_lost_and_the_part_is_not_delivered() {
    for length in 1..12 {
        let (dialled, _) = scripted(link(), move |mut wire| async move {
            let down = wire.welcome(success()).await;
            wire.send(&down, 1, false, "\0whole").await;
            wire.bytes(&b"\x32\x50\0\x40$LINK/v1/"[..length]).await;
        })
        .await;
        let mut connection = dialled.unwrap();
        let first = timeout(LONG, connection.receiver.recv()).await.unwrap().unwrap();
        assert_eq!(first.1, frame("whole"));
        let next = timeout(LONG, connection.receiver.recv()).await.unwrap();
        assert!(matches!(next, Err(ConnectionError::Lost(_))), "{length} bytes: {next:?}");
    }
}

#[tokio::test]
async fn a_broker_that_hangs_up_on_a_publish_ends_the_connection() {
    for reset in [false, true] {
        let (dialled, _) = scripted(link(), move |mut wire| async move {
            wire.welcome(success()).await;
            wire.publish().await;
            if reset {
                wire.stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let mut connection = dialled.unwrap();
        connection.data[0].send(frame("x")).await.unwrap();
        let error = end(&mut connection).await;
        assert!(matches!(error, ConnectionError::Lost(_)), "{error}");
        assert_eq!(connection.data[0].send(frame("y")).await, Err(error.clone()));
        assert_eq!(connection.control.send(frame("y")).await, Err(error));
    }
}

#[tokio::test]
async fn random_bytes_never_leave_a_connection_without_an_end() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let mut byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 24) as u8
        };
        // Mostly a plausible header with a short length, so that the bodies are read too.
        let length = byte() % 24;
        let mut bytes = vec![byte() & 0xf6, length];
        bytes.extend((0..length).map(|_| if byte() < 100 { byte() } else { byte() % 5 }));
        let shown = bytes.clone();
        let (dialled, _) = scripted(link(), move |mut wire| async move {
            wire.welcome(success()).await;
            wire.bytes(&bytes).await;
        })
        .await;
        let ended = timeout(Duration::from_secs(10), end(&mut dialled.unwrap())).await;
        assert!(ended.is_ok(), "no end after {shown:02x?}");
    }
}
