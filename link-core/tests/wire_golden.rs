//! The golden vectors of `docs/protocol.md`: each is what its value encodes to, decodes to its value, and is refused
//! when it is cut anywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that tests share are tests too")]

use std::collections::BTreeMap;

use bytes::Bytes;
use link_core::{
    link::{ClusterName, NodeName, Scope},
    message::{Message, Properties, QoS},
    routes::{Cell, RouteId},
    topic::{Topic, TopicFilter},
    wire::{
        Ack, Batch, Close, CloseCode, Datagram, DatagramAck, Digest, Entry, Frame, Heartbeat, Hello, Incarnation,
        LaneMark, Limits, Ready, RefusedReason, RouteCells, RouteDelta, RouteDifference, RouteNeed, RouteOp,
        RoutePosition, RoutePreadd, RouteResume, RouteRetire, RouteSnapshot, decode, decode_message, encode,
        encode_message,
    },
};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// The vectors of the document: a line `name:`, then lines of hex, each with a comment after `;`.
fn vectors() -> BTreeMap<String, Bytes> {
    let mut vectors = BTreeMap::new();
    for block in PROTOCOL.split("```golden\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let mut name = None;
        let mut bytes = BTreeMap::<String, Vec<u8>>::new();
        for line in block.lines() {
            let hex = line.split(';').next().unwrap().trim();
            if let Some(next) = hex.strip_suffix(':') {
                name = Some(next.to_owned());
                assert!(bytes.insert(next.to_owned(), Vec::new()).is_none(), "{next} is there twice");
            } else {
                let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                assert!(digits.len().is_multiple_of(2), "half a byte in {line:?}");
                let out = bytes.get_mut(name.as_ref().unwrap()).unwrap();
                for pair in digits.chunks(2) {
                    out.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
                }
            }
        }
        vectors.extend(bytes.into_iter().map(|(name, bytes)| (name, Bytes::from(bytes))));
    }
    vectors
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn position(counter: u64, seq: u64, digest: u128, count: u64) -> RoutePosition {
    let incarnation = Incarnation { counter, nonce: 0x1122_3344_5566_7788 };
    RoutePosition { incarnation, seq, digest: Digest(digest), count }
}

fn frames() -> Vec<(&'static str, Frame)> {
    let first_hello = Hello {
        min_version: 1,
        max_version: 1,
        cluster: ClusterName::new("us").unwrap(),
        node: NodeName::new("us-1").unwrap(),
        expects: ClusterName::new("eu").unwrap(),
        about: None,
        incarnation: Incarnation { counter: 1, nonce: 0x0102_0304_0506_0708 },
        knows: None,
        capabilities: 0,
        scope: Scope::Node,
        max_frame: 16 << 20,
        window: 8 << 20,
        imports: vec![],
        route_key: [0; 16],
        routes: RoutePosition {
            incarnation: Incarnation { counter: 1, nonce: 0x0102_0304_0506_0708 },
            ..RoutePosition::default()
        },
        holds: None,
        lanes: vec![],
        received: vec![],
        kept_from: 0,
        cells: Vec::new(),
    };
    let resumed_hello = Hello {
        about: Some(NodeName::new("eu-1").unwrap()),
        knows: Some(Incarnation { counter: 9, nonce: 0xffff_ffff_ffff_ffff }),
        capabilities: 1 << 40,
        scope: Scope::Cluster,
        imports: vec![filter("from/+/eu"), filter("from/eu/#")],
        route_key: *b"0123456789abcdef",
        routes: position(300, 1 << 32, 0xfeed, 2),
        holds: Some(position(9, 7, u128::MAX, 1)),
        kept_from: 1 << 32,
        lanes: vec![LaneMark { lane: 0, seq: 100 }, LaneMark { lane: 255, seq: u64::MAX }],
        received: vec![LaneMark { lane: 3, seq: 0 }],
        ..first_hello.clone()
    };
    let heartbeat = Heartbeat {
        routes: position(1, 5, 0xabcd, 3),
        holds: None,
        sent: 1_000_000,
        echo: None,
        held: 0,
        datagrams: 0,
        warming: false,
    };
    vec![
        ("hello-first", Frame::Hello(Box::new(first_hello))),
        ("hello-resume", Frame::Hello(Box::new(resumed_hello))),
        (
            "ready",
            Frame::Ready(Ready {
                incarnation: Incarnation { counter: 2, nonce: 0x1122_3344_5566_7788 },
                routes: position(2, 0, 0, 0),
                lanes: vec![LaneMark { lane: 1, seq: 4711 }],
                knows: Some(Incarnation { counter: 4, nonce: 0x1122_3344_5566_7788 }),
                holds: Some(position(4, 2, 0xef, 1)),
                received: vec![LaneMark { lane: 0, seq: 99 }],
                cells: vec![],
            }),
        ),
        (
            "ready-first",
            Frame::Ready(Ready {
                incarnation: Incarnation { counter: 1, nonce: 0x0102_0304_0506_0708 },
                routes: RoutePosition {
                    incarnation: Incarnation { counter: 1, nonce: 0x0102_0304_0506_0708 },
                    ..RoutePosition::default()
                },
                lanes: vec![],
                knows: None,
                holds: None,
                received: vec![],
                cells: vec![],
            }),
        ),
        (
            "close",
            Frame::Close(Close {
                code: CloseCode::WrongCluster,
                reason: "this is cluster `eu`, not `asia`".to_owned(),
            }),
        ),
        ("heartbeat-first", Frame::Heartbeat(heartbeat)),
        ("heartbeat-warming", Frame::Heartbeat(Heartbeat { warming: true, ..heartbeat })),
        (
            "heartbeat",
            Frame::Heartbeat(Heartbeat {
                holds: Some(position(4, 2, 0xef, 1)),
                echo: Some(999),
                held: 128,
                datagrams: 300,
                ..heartbeat
            }),
        ),
        ("resume-nothing", Frame::RouteResume(RouteResume::default())),
        ("resume", Frame::RouteResume(RouteResume { holds: Some(position(1, 5, 0xabcd, 3)), cells: vec![] })),
        (
            "delta",
            Frame::RouteDelta(RouteDelta {
                from: 5,
                to: position(1, 7, 0xabce, 3),
                ops: vec![RouteOp::Add(filter("fleet/7/temp")), RouteOp::Remove(filter("fleet/7/#"))],
            }),
        ),
        (
            "snapshot",
            Frame::RouteSnapshot(RouteSnapshot {
                to: position(1, 7, 0xabce, 3),
                part: 1,
                last: true,
                filters: vec![filter("bücher/a"), filter("bücher/b"), filter("böden")],
            }),
        ),
        (
            "resume-cells",
            Frame::RouteResume(RouteResume {
                holds: None,
                cells: vec![Cell::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9]), Cell::default()],
            }),
        ),
        ("need", Frame::RouteNeed(RouteNeed { first: 64, count: 960, estimator: true })),
        (
            "cells",
            Frame::RouteCells(RouteCells {
                first: 64,
                cells: vec![Cell::from_bytes([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99])],
                estimator: None,
            }),
        ),
        (
            "difference",
            Frame::RouteDifference(RouteDifference {
                to: position(1, 7, 0xabce, 3),
                part: 0,
                last: true,
                adds: vec![filter("fleet/7/temp")],
                removes: vec![RouteId::from_number(0x1122_3344_5566)],
            }),
        ),
        (
            "preadd",
            Frame::RoutePreadd(RoutePreadd {
                incarnation: Incarnation { counter: 1, nonce: 0x1122_3344_5566_7788 },
                filters: vec![filter("bücher/a"), filter("bücher/b"), filter("böden")],
            }),
        ),
        ("retire", Frame::RouteRetire(RouteRetire { node: NodeName::new("eu-2").unwrap(), ago: 1500 })),
        ("route-ack", Frame::RouteAck(position(1, 7, 0xabce, 3))),
        (
            "batch",
            Frame::Batch(Batch {
                lane: 3,
                first: 1000,
                entries: vec![
                    Entry::Message { expiry: None, body: Bytes::from_static(b"\x01\x01aone") },
                    Entry::Skip { count: 150 },
                    Entry::Message { expiry: Some(3600), body: Bytes::from_static(b"\x00\x01atwo") },
                ],
            }),
        ),
        ("ack", Frame::Ack(Ack { lane: 3, up_to: 1151, refused: vec![] })),
        (
            "ack-refused",
            Frame::Ack(Ack {
                lane: 3,
                up_to: 1151,
                refused: vec![(1000, RefusedReason::NotImported), (1151, RefusedReason::Expired)],
            }),
        ),
        (
            "datagram",
            Frame::Datagram(Datagram { number: 300, expiry: Some(3600), body: Bytes::from_static(b"\x00\x01atwo") }),
        ),
        (
            "datagram-ack",
            Frame::DatagramAck(DatagramAck {
                settled: 300,
                delivered: 296,
                refused_by_host: 1,
                ..DatagramAck::default()
            }),
        ),
        ("unknown", Frame::Unknown { kind: 200 }),
    ]
}

/// Frames with packed lists: more than one sequence of bytes says the same, so their vectors are only decoded.
fn packed() -> Vec<(&'static str, Frame)> {
    let adds = (0..24).map(|n| RouteOp::Add(filter(&format!("fleet/{:03x}/temp", n * 97 % 4096))));
    let removes = (0..8).map(|n| RouteOp::Remove(filter(&format!("fleet/{n}/door/+"))));
    vec![
        (
            "delta-packed",
            Frame::RouteDelta(RouteDelta {
                from: 5,
                to: position(1, 37, 0xabce, 19),
                ops: adds.chain(removes).collect(),
            }),
        ),
        (
            "snapshot-packed",
            Frame::RouteSnapshot(RouteSnapshot {
                to: position(1, 7, 0xabce, 3),
                part: 1,
                last: true,
                filters: vec![filter("bücher/a"), filter("bücher/b"), filter("böden")],
            }),
        ),
        (
            "preadd-packed",
            Frame::RoutePreadd(RoutePreadd {
                incarnation: Incarnation { counter: 1, nonce: 0x1122_3344_5566_7788 },
                filters: vec![filter("bücher/a"), filter("bücher/b"), filter("böden")],
            }),
        ),
    ]
}

fn messages() -> Vec<(&'static str, Message)> {
    let plain = Message {
        topic: Topic::new("fleet/7/temp").unwrap(),
        payload: Bytes::from_static(b"21.5"),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
    };
    let rich = Message {
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Properties {
            payload_is_utf8: Some(true),
            message_expiry: None,
            content_type: Some("text/plain".into()),
            response_topic: Some(Topic::new("reply/7").unwrap()),
            correlation_data: Some(Bytes::from_static(&[0, 255])),
            user: vec![("b".into(), "2".into()), ("a".into(), "".into()), ("b".into(), "1".into())],
        },
        ..plain.clone()
    };
    vec![("message", plain), ("message-properties", rich)]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_vector_is_what_its_value_encodes_to_and_decodes_to_its_value() {
    let mut vectors = vectors();
    let limits = Limits::default();
    let mut wrong = String::new();
    for (name, frame) in frames() {
        let bytes = vectors.remove(name).unwrap_or_default();
        if hex(&encode(&frame)) != hex(&bytes) || decode(bytes, &limits).as_ref() != Ok(&frame) {
            wrong += &format!("{name} {}\n", hex(&encode(&frame)));
        }
    }
    for (name, frame) in packed() {
        let bytes = vectors.remove(name).unwrap_or_default();
        if decode(bytes, &limits).as_ref() != Ok(&frame) || decode(encode(&frame), &limits).as_ref() != Ok(&frame) {
            wrong += &format!("{name} {}\n", hex(&encode(&frame)));
        }
    }
    for (name, message) in messages() {
        let body = vectors.remove(name).unwrap_or_default();
        if hex(&encode_message(&message)) != hex(&body) || decode_message(body, None, &limits).as_ref() != Ok(&message)
        {
            wrong += &format!("{name} {}\n", hex(&encode_message(&message)));
        }
    }
    assert!(wrong.is_empty(), "the document and the codec differ; the codec writes:\n{wrong}");
    assert!(vectors.is_empty(), "the document has vectors that no value stands for: {:?}", vectors.keys());
}

/// The digest that the document gives as an example.
#[test]
fn the_digest_of_the_document() {
    let key: [u8; 16] = std::array::from_fn(|index| index as u8);
    let hash = |filter: &str| siphasher::sip128::SipHasher24::new_with_key(&key).hash(filter.as_bytes()).as_u128();
    assert!(PROTOCOL.contains(&format!("`{:032x}`", hash("a/b"))), "{:032x}", hash("a/b"));
    let sum = hash("a/b").wrapping_add(hash("a/#"));
    assert!(PROTOCOL.contains(&format!("`{sum:032x}`")), "{sum:032x}");
}

#[test]
fn a_vector_cut_at_any_byte_is_refused() {
    for (name, bytes) in vectors().into_iter().filter(|(name, _)| !name.starts_with("message")) {
        for length in 0..bytes.len() {
            let cut = decode(bytes.slice(..length), &Limits::default());
            assert!(cut.is_err(), "{name} cut to {length} bytes gave {cut:?}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(decode(longer.into(), &Limits::default()).is_err(), "{name} with a byte more");
    }
}

/// Cut *inside* the body, with a header that is right: only fields that may be missing can make that a valid frame.
#[test]
fn a_vector_cut_inside_is_refused_or_another_frame() {
    let vectors = vectors();
    for (name, frame) in frames().into_iter().chain(packed()) {
        let bytes = &vectors[name];
        for length in 6..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            cut[2..6].copy_from_slice(&(length as u32 - 6).to_be_bytes());
            if let Ok(other) = decode(cut.into(), &Limits::default()) {
                let whole_fields = matches!(
                    &other,
                    Frame::RouteResume(_)
                        | Frame::Ack(_)
                        | Frame::Hello(_)
                        | Frame::Batch(_)
                        | Frame::Datagram(_)
                        | Frame::DatagramAck(_)
                        | Frame::Heartbeat(_)
                        | Frame::RouteCells(_)
                );
                assert!(whole_fields && other != frame, "{name} cut to {length} bytes gave {other:?}");
            }
        }
    }
}

#[test]
fn a_message_cut_before_its_payload_is_refused() {
    for (name, message) in messages() {
        let body = encode_message(&message);
        for length in 0..body.len() - message.payload.len() {
            let cut = decode_message(body.slice(..length), None, &Limits::default());
            assert!(cut.is_err(), "{name} cut to {length} bytes gave {cut:?}");
        }
    }
}
