//! Laws of the codec, over arbitrary frames and arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that tests share are tests too")]

use bytes::Bytes;
use link_core::{
    link::{ClusterName, NodeName, Scope},
    message::{Message, Properties, QoS},
    routes::{Cell, Estimator, RouteId},
    topic::{Topic, TopicFilter},
    wire::{
        Ack, BATCH_OVERHEAD, Batch, BatchReader, BatchWriter, Close, CloseCode, Datagram, DatagramAck, Digest, Entry,
        Frame, Heartbeat, Hello, Incarnation, LaneMark, Limits, Ready, RefusedReason, RouteCells, RouteDelta,
        RouteDifference, RouteNeed, RouteOp, RoutePosition, RoutePreadd, RouteResume, RouteRetire, RouteSnapshot,
        decode, decode_message, encode, encode_message, frame_len, message_len,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![4 => "[a-c]{0,3}", 2 => "[aä漢𝄞]{1,3}", 1 => Just("+".to_owned())];
    (vec(level, 1..6), any::<bool>()).prop_map(|(mut levels, hash)| {
        if hash {
            levels.push("#".to_owned());
        } else {
            levels.push("end".to_owned());
        }
        TopicFilter::new(levels.join("/")).unwrap()
    })
}

fn topic() -> impl Strategy<Value = Topic> {
    "[a-z漢𝄞][a-z/ ä]{0,40}".prop_map(|text| Topic::new(text).unwrap())
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    any::<(u64, u64)>().prop_map(|(counter, nonce)| Incarnation { counter, nonce })
}

fn position() -> impl Strategy<Value = RoutePosition> {
    (incarnation(), any::<(u64, u128, u64)>()).prop_map(|(incarnation, (seq, digest, count))| RoutePosition {
        incarnation,
        seq,
        digest: Digest(digest),
        count,
    })
}

fn lanes() -> impl Strategy<Value = Vec<LaneMark>> {
    proptest::collection::hash_map(any::<u8>(), any::<u64>(), 0..20)
        .prop_map(|lanes| lanes.into_iter().map(|(lane, seq)| LaneMark { lane, seq }).collect())
}

fn cells() -> impl Strategy<Value = Vec<Cell>> {
    vec(any::<[u8; Cell::BYTES]>().prop_map(Cell::from_bytes), 0..5)
}

prop_compose! {
    fn hello()(
        (min_version, max_version, capabilities, max_frame, window) in any::<(u16, u16, u64, u32, u32)>(),
        cluster in "[a-z0-9][a-zA-Z0-9@._-]{0,127}",
        node in "[a-z0-9][a-zA-Z0-9@._-]{0,20}",
        expects in "[A-Z]{1,9}",
        about in option::of("[a-z]{1,9}"),
        incarnation in incarnation(),
        knows in option::of(incarnation()),
        imports in vec(filter(), 0..10),
        route_key in any::<[u8; 16]>(),
        routes in position(),
        holds in option::of(position()),
        lanes in lanes(),
        received in lanes(),
        scope in select(vec![Scope::Node, Scope::Cluster]),
        (kept_from, cells) in (any::<u64>(), cells()),
    ) -> Hello {
        Hello {
            about: about.map(|node| NodeName::new(&node).unwrap()),
            cluster: ClusterName::new(&cluster).unwrap(),
            node: NodeName::new(&node).unwrap(),
            expects: ClusterName::new(&expects).unwrap(),
            min_version, max_version, incarnation, knows, capabilities, max_frame, window, imports, route_key, routes,
            holds, lanes, received, kept_from, cells, scope,
        }
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        4 => (option::of(any::<u32>()), vec(any::<u8>(), 0..300))
            .prop_map(|(expiry, body)| Entry::Message { expiry, body: body.into() }),
        1 => (1..1u64 << 40).prop_map(|count| Entry::Skip { count }),
    ]
}

fn op() -> impl Strategy<Value = RouteOp> {
    prop_oneof![filter().prop_map(RouteOp::Add), filter().prop_map(RouteOp::Remove)]
}

fn refused() -> impl Strategy<Value = (u64, RefusedReason)> {
    use RefusedReason::*;
    (any::<u64>(), select(vec![NotImported, Host, Expired, Malformed]))
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        hello().prop_map(|hello| Frame::Hello(Box::new(hello))),
        ((incarnation(), position(), lanes()), (option::of(incarnation()), option::of(position()), lanes()),).prop_map(
            |((incarnation, routes, lanes), (knows, holds, received))| {
                Frame::Ready(Ready { incarnation, routes, lanes, knows, holds, received, cells: Vec::new() })
            }
        ),
        (any::<u16>(), ".{0,80}")
            .prop_map(|(code, reason)| Frame::Close(Close { code: CloseCode::from_code(code), reason })),
        (position(), option::of(position()), any::<(u64, Option<u64>, u64, u64, bool)>()).prop_map(
            |(routes, holds, (sent, echo, held, datagrams, warming))| {
                Frame::Heartbeat(Heartbeat { routes, holds, sent, echo, held, datagrams, warming })
            }
        ),
        (option::of(position()), cells()).prop_map(|(holds, cells)| Frame::RouteResume(RouteResume { holds, cells })),
        any::<(u16, u16, bool)>().prop_map(|(first, count, estimator)| {
            Frame::RouteNeed(RouteNeed { first: first.into(), count: count.into(), estimator })
        }),
        (any::<u16>(), cells(), any::<bool>()).prop_map(|(first, cells, estimator)| {
            let estimator = estimator.then(|| vec![first as u8; Estimator::BYTES].into());
            Frame::RouteCells(RouteCells { first: first.into(), cells, estimator })
        }),
        (position(), any::<(u32, bool)>(), vec(filter(), 0..20), vec(any::<u64>(), 0..20)).prop_map(
            |(to, (part, last), adds, removes)| {
                let removes = removes.into_iter().map(RouteId::from_number).collect();
                Frame::RouteDifference(RouteDifference { to, part, last, adds, removes })
            }
        ),
        (incarnation(), prop_oneof![vec(filter(), 0..40), vec(filter(), 60..100)])
            .prop_map(|(incarnation, filters)| Frame::RoutePreadd(RoutePreadd { incarnation, filters })),
        ("[a-z0-9][a-zA-Z0-9@._-]{0,127}", any::<u64>())
            .prop_map(|(node, ago)| { Frame::RouteRetire(RouteRetire { node: NodeName::new(&node).unwrap(), ago }) }),
        (any::<u64>(), position(), prop_oneof![vec(op(), 0..20), vec(op(), 50..100)])
            .prop_map(|(from, to, ops)| Frame::RouteDelta(RouteDelta { from, to, ops })),
        (position(), any::<(u32, bool, bool)>(), prop_oneof![vec(filter(), 0..40), vec(filter(), 60..100)]).prop_map(
            |(to, (part, last, sorted), mut filters)| {
                if sorted {
                    filters.sort();
                }
                Frame::RouteSnapshot(RouteSnapshot { to, part, last, filters })
            }
        ),
        position().prop_map(Frame::RouteAck),
        (any::<u8>(), 0..1u64 << 60, vec(entry(), 0..20)).prop_map(|(lane, first, entries)| Frame::Batch(Batch {
            lane,
            first,
            entries
        })),
        (any::<(u8, u64)>(), vec(refused(), 0..20)).prop_map(|((lane, up_to), refused)| Frame::Ack(Ack {
            lane,
            up_to,
            refused
        })),
        (1..=u64::MAX, any::<Option<u32>>(), vec(any::<u8>(), 0..40))
            .prop_map(|(number, expiry, body)| { Frame::Datagram(Datagram { number, expiry, body: body.into() }) }),
        any::<[u64; 6]>().prop_map(|[settled, delivered, not_imported, refused_by_host, expired, malformed]| {
            Frame::DatagramAck(DatagramAck { settled, delivered, not_imported, refused_by_host, expired, malformed })
        }),
        (40..=255u8).prop_map(|kind| Frame::Unknown { kind }),
    ]
}

prop_compose! {
    fn message()(
        topic in topic(),
        payload in vec(any::<u8>(), 0..300),
        qos in select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]),
        (retain, payload_is_utf8, message_expiry) in any::<(bool, Option<bool>, Option<u32>)>(),
        content_type in option::of("[^\0]{0,20}"),
        response_topic in option::of(topic()),
        correlation_data in option::of(vec(any::<u8>(), 0..200)),
        user in vec(("[^\0]{0,9}", "[^\0]{0,200}"), 0..5),
    ) -> Message {
        Message {
            topic, payload: payload.into(), qos, retain,
            properties: Properties {
                payload_is_utf8, message_expiry, response_topic,
                content_type: content_type.map(Into::into),
                correlation_data: correlation_data.map(Into::into),
                user: user.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            },
        }
    }
}

/// What can be decoded says the same after it is encoded again.
fn decodes_to_a_fixed_point(bytes: Bytes) -> Result<(), TestCaseError> {
    let limits = Limits::default();
    if let Ok(frame) = decode(bytes, &limits) {
        let again = encode(&frame);
        let second = decode(again.clone(), &limits);
        prop_assert_eq!(second.as_ref(), Ok(&frame));
        prop_assert_eq!(encode(&frame), again);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_frame_comes_back(frame in frame()) {
        let bytes = encode(&frame);
        prop_assert_eq!(frame_len(&bytes), Some(bytes.len() as u64));
        prop_assert_eq!(decode(bytes, &Limits::default()), Ok(frame));
    }

    #[test]
    fn every_message_comes_back(message in message()) {
        let body = encode_message(&message);
        prop_assert_eq!(body.len(), message_len(&message));
        let decoded = decode_message(body, message.properties.message_expiry, &Limits::default()).unwrap();
        prop_assert_eq!(&decoded.detach(), &message);
        prop_assert_eq!(decoded, message);
    }

    #[test]
    fn a_changed_frame_is_refused_or_a_frame(
        frame in frame(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in 0..3usize,
    ) {
        let mut bytes = encode(&frame).to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut).max(6));
        // A right length lets the change reach the fields.
        let length = (bytes.len() as u32 - 6).to_be_bytes();
        bytes[2..6].copy_from_slice(&length);
        decodes_to_a_fixed_point(bytes.into())?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_a_frame(
        kind in select(vec![1u8, 2, 3, 4, 16, 17, 18, 19, 32, 33, 99]), body in vec(any::<u8>(), 0..200),
    ) {
        decodes_to_a_fixed_point(body.clone().into())?;
        let mut bytes = vec![kind, 0];
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(&body);
        decodes_to_a_fixed_point(bytes.into())?;
        if let Ok(message) = decode_message(body.into(), None, &Limits::default()) {
            let again = encode_message(&message);
            prop_assert_eq!(decode_message(again, None, &Limits::default()), Ok(message));
        }
    }

    #[test]
    fn a_changed_message_is_refused_or_a_message(
        message in message(), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut body = encode_message(&message).to_vec();
        let at = at.index(body.len());
        body[at] = value;
        if let Ok(message) = decode_message(body.into(), Some(1), &Limits::default()) {
            let again = encode_message(&message);
            prop_assert_eq!(decode_message(again, Some(1), &Limits::default()), Ok(message));
        }
    }

    #[test]
    fn the_writer_and_the_reader_say_what_the_frame_says(
        lane in any::<u8>(), first in 0..1u64 << 60, entries in vec(entry(), 0..20),
    ) {
        let mut writer = BatchWriter::new(lane, first, 0);
        prop_assert!(writer.is_empty());
        for entry in &entries {
            match entry {
                Entry::Message { expiry, body } => writer.message(*expiry, body),
                Entry::Skip { count } => writer.skip(*count),
            }
        }
        prop_assert_eq!(writer.entries(), entries.len());
        let length = writer.len();
        let frame = writer.finish();
        prop_assert_eq!(frame.len(), length);
        if let [Entry::Message { body, .. }] = &entries[..] {
            prop_assert!(frame.len() <= body.len() + BATCH_OVERHEAD);
        }
        let mut reader = BatchReader::new(frame.clone(), &Limits::default()).unwrap();
        prop_assert_eq!((reader.lane(), reader.first()), (lane, first));
        let read: Vec<Entry> = reader.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&read, &entries);
        let places: u64 = entries.iter().map(|entry| if let Entry::Skip { count } = entry { *count } else { 1 }).sum();
        prop_assert_eq!(reader.next_seq(), first + places);
        prop_assert_eq!(encode(&Frame::Batch(Batch { lane, first, entries })), frame);
    }

    #[test]
    fn sorted_filters_cost_little(count in 1..200usize) {
        let mut filters: Vec<_> =
            (0..count).map(|n| TopicFilter::new(format!("fleet/site-17/device-{n:05}/temperature")).unwrap()).collect();
        filters.sort();
        let snapshot = RouteSnapshot { to: RoutePosition::default(), part: 0, last: true, filters };
        prop_assert!(encode(&Frame::RouteSnapshot(snapshot)).len() < 100 + 20 * count);
    }
}

#[test]
fn bodies_payloads_and_topics_share_the_memory_of_the_frame() {
    let message = Message {
        topic: Topic::new("a/b").unwrap(),
        payload: Bytes::from_static(b"payload"),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::default(),
    };
    let mut writer = BatchWriter::new(0, 1, 100);
    writer.message(Some(9), &encode_message(&message));
    let frame = writer.finish();
    let inside = frame.as_ptr_range();
    let Frame::Batch(batch) = decode(frame.clone(), &Limits::default()).unwrap() else { panic!("a batch") };
    let Entry::Message { expiry, body } = batch.entries[0].clone() else { panic!("a message") };
    let decoded = decode_message(body, expiry, &Limits::default()).unwrap();
    assert_eq!(decoded.properties.message_expiry, Some(9));
    assert!(inside.contains(&decoded.payload.as_ptr()));
    assert!(inside.contains(&decoded.topic.as_str().as_ptr()));
    let detached = decoded.detach();
    assert_eq!(detached, decoded);
    assert!(!inside.contains(&detached.payload.as_ptr()) && !inside.contains(&detached.topic.as_str().as_ptr()));
}
