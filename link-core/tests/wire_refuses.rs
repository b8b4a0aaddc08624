//! Each thing that can be wrong with a frame has its exact error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that tests share are tests too")]

use bytes::Bytes;
use link_core::{
    message::QoS,
    topic::TopicFilter,
    wire::{
        Ack, Batch, BatchReader, Close, CloseCode, DecodeError, Entry, Frame, Limits, MAX_REASON, Problem,
        RoutePosition, RouteSnapshot, decode, decode_message, encode, kind,
    },
};

const MANDATORY: u8 = 1;

fn raw(kind: u8, flags: u8, body: &[u8]) -> Bytes {
    let mut frame = vec![kind, flags];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame.into()
}

fn refused(frame: Bytes) -> DecodeError {
    decode(frame, &Limits::default()).unwrap_err()
}

fn error(frame: &'static str, field: &'static str, at: usize, problem: Problem) -> DecodeError {
    DecodeError { frame, field, at, problem }
}

/// 2^32-1, as a number on the wire.
const HUGE: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];

const POSITION: [u8; 27] = [0; 27];

fn field(tag: u8, value: &[u8]) -> Vec<u8> {
    assert!(value.len() < 128);
    [&[tag, value.len() as u8], value].concat()
}

#[test]
fn header() {
    let truncated = |left| Problem::Truncated { needed: 6, left };
    assert_eq!(refused(Bytes::new()), error("frame", "header", 0, truncated(0)));
    assert_eq!(refused(Bytes::from_static(&[4, 1, 0])), error("HEARTBEAT", "header", 3, truncated(3)));
    assert_eq!(
        refused(Bytes::from_static(&[33, 1, 0xff, 0xff, 0xff, 0xff])),
        error("ACK", "length", 2, Problem::Length { declared: 0xffff_ffff, actual: 0 })
    );
    assert_eq!(
        refused(Bytes::from_static(&[33, 1, 0, 0, 0, 0, 7])),
        error("ACK", "length", 2, Problem::Length { declared: 0, actual: 1 })
    );
    assert_eq!(refused(raw(33, 2, &[])), error("ACK", "flags", 1, Problem::Value { value: 2 }));
    let too_long = refused(raw(99, 0, &vec![0; 16 << 20]));
    assert_eq!(too_long, error("frame", "frame", 0, Problem::TooLong { length: (16 << 20) + 6, limit: 16 << 20 }));
    assert_eq!(too_long.close_code(), CloseCode::TooLarge);
}

#[test]
fn unknown_kinds_are_ignored_unless_mandatory() {
    assert_eq!(decode(raw(99, 0, b"whatever"), &Limits::default()), Ok(Frame::Unknown { kind: 99 }));
    assert_eq!(decode(raw(99, 0x80, b""), &Limits::default()), Ok(Frame::Unknown { kind: 99 }));
    let unknown = refused(raw(99, MANDATORY, b"whatever"));
    assert_eq!(unknown, error("frame", "kind", 0, Problem::UnknownKind { kind: 99 }));
    assert_eq!(unknown.close_code(), CloseCode::Malformed);
}

#[test]
fn unknown_fields_are_passed_over() {
    let body = [field(1, &[3]), field(2, &[9]), field(77, b"later"), field(78, b"")].concat();
    let ack = Ack { lane: 3, up_to: 9, refused: vec![] };
    assert_eq!(decode(raw(kind::ACK, 1, &body), &Limits::default()), Ok(Frame::Ack(ack)));
    let between = [field(1, &[3]), field(3, &[0])].concat();
    assert_eq!(refused(raw(kind::ACK, 1, &between)), error("ACK", "up_to", 12, Problem::Missing { tag: 2 }));
}

#[test]
fn missing_double_and_misplaced_fields() {
    let ack = |parts: &[Vec<u8>]| refused(raw(kind::ACK, 1, &parts.concat()));
    let (lane, up_to) = (field(1, &[3]), field(2, &[9]));
    assert_eq!(ack(&[]), error("ACK", "lane", 6, Problem::Missing { tag: 1 }));
    assert_eq!(ack(std::slice::from_ref(&lane)), error("ACK", "up_to", 9, Problem::Missing { tag: 2 }));
    assert_eq!(
        ack(&[lane.clone(), lane.clone(), up_to.clone()]),
        error("ACK", "lane", 9, Problem::Duplicate { tag: 1 })
    );
    let twice = field(77, b"");
    assert_eq!(
        ack(&[lane.clone(), up_to.clone(), twice.clone(), twice]),
        error("ACK", "unknown field", 14, Problem::Duplicate { tag: 77 })
    );
    assert_eq!(
        ack(&[lane.clone(), up_to.clone(), lane.clone()]),
        error("ACK", "lane", 12, Problem::OutOfOrder { tag: 1, after: 2 })
    );
    assert_eq!(ack(&[field(0, b""), lane]), error("ACK", "tag", 6, Problem::Value { value: 0 }));
}

#[test]
fn values_fill_their_fields() {
    assert_eq!(
        refused(raw(kind::ACK, 1, &[1, 200, 1, 0])),
        error("ACK", "lane", 9, Problem::Truncated { needed: 200, left: 1 })
    );
    assert_eq!(refused(raw(kind::ACK, 1, &field(1, &[3, 4]))), error("ACK", "lane", 9, Problem::Trailing { left: 1 }));
    assert_eq!(
        refused(raw(kind::ACK, 1, &field(1, &[]))),
        error("ACK", "lane", 8, Problem::Truncated { needed: 1, left: 0 })
    );
}

#[test]
fn numbers_are_short_and_fit() {
    let up_to = |value: &[u8]| refused(raw(kind::ACK, 1, &[field(1, &[3]), field(2, value)].concat()));
    assert_eq!(up_to(&[0x80, 0]), error("ACK", "up_to", 11, Problem::VarintNotShortest));
    assert_eq!(up_to(&[0x80; 11]), error("ACK", "up_to", 11, Problem::VarintOverflow));
    let mut over = [0xff; 10];
    over[9] = 2;
    assert_eq!(up_to(&over), error("ACK", "up_to", 11, Problem::VarintOverflow));
    assert_eq!(up_to(&[0x80]), error("ACK", "up_to", 12, Problem::Truncated { needed: 1, left: 0 }));
    over[9] = 1;
    let body = [field(1, &[3]), field(2, &over)].concat();
    let Ok(Frame::Ack(ack)) = decode(raw(kind::ACK, 1, &body), &Limits::default()) else { panic!("2^64-1 fits") };
    assert_eq!(ack.up_to, u64::MAX);
    let close = [field(1, &[0x80, 0x80, 4]), field(2, b"")].concat();
    assert_eq!(refused(raw(kind::CLOSE, 1, &close)), error("CLOSE", "code", 8, Problem::Value { value: 65_536 }));
}

#[test]
fn counts_do_not_allocate_what_is_not_there() {
    let tight = Limits {
        max_filters: usize::MAX,
        max_refused: usize::MAX,
        max_lanes: usize::MAX,
        max_filter_bytes: usize::MAX,
        ..Limits::default()
    };
    let truncated = |needed, left| Problem::Truncated { needed, left };
    let snapshot = [field(1, &POSITION), field(2, &[0]), field(3, &[0]), field(4, &HUGE)].concat();
    let count = u64::from(u32::MAX);
    let frame = raw(kind::ROUTE_SNAPSHOT, 1, &snapshot);
    assert_eq!(decode(frame.clone(), &tight), Err(error("ROUTE_SNAPSHOT", "filters", 48, truncated(2 * count, 0))));
    let many = Problem::TooMany { count, limit: 65_536 };
    let too_many = refused(frame);
    assert_eq!(too_many, error("ROUTE_SNAPSHOT", "filters", 43, many.clone()));
    assert_eq!(too_many.close_code(), CloseCode::TooLarge);
    let delta = raw(kind::ROUTE_DELTA, 1, &[field(1, &[0]), field(2, &POSITION), field(3, &HUGE)].concat());
    assert_eq!(decode(delta.clone(), &tight), Err(error("ROUTE_DELTA", "ops", 45, truncated(3 * count, 0))));
    assert_eq!(refused(delta), error("ROUTE_DELTA", "ops", 40, many.clone()));
    let ack = raw(kind::ACK, 1, &[field(1, &[0]), field(2, &[0]), field(3, &HUGE)].concat());
    assert_eq!(decode(ack.clone(), &tight), Err(error("ACK", "refused", 19, truncated(2 * count, 0))));
    assert_eq!(refused(ack), error("ACK", "refused", 14, many));
    let ready = raw(kind::READY, 1, &[field(1, &[0; 9]), field(2, &POSITION), field(3, &HUGE)].concat());
    assert_eq!(refused(ready), error("READY", "lanes", 48, Problem::TooMany { count, limit: 256 }));
    let batch = [&[0, 0, 0][..], &HUGE].concat();
    assert_eq!(refused(raw(kind::BATCH, 1, &batch)), error("BATCH", "body", 14, truncated(count, 0)));
}

#[test]
fn front_coding_can_not_blow_up() {
    // One filter of 65,535 bytes, then copies of it at four bytes each.
    let long = vec![b'a'; 65_535];
    let mut filters = vec![0xe8, 0x07, 0, 0xff, 0xff, 0x03];
    filters.extend(&long);
    for _ in 1..1000 {
        filters.extend([0xff, 0xff, 0x03, 0]);
    }
    let mut body = [field(1, &POSITION), field(2, &[0]), field(3, &[0])].concat();
    body.push(4);
    let mut length = filters.len();
    while length >= 128 {
        body.push(length as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend(&filters);
    let error = refused(raw(kind::ROUTE_SNAPSHOT, 1, &body));
    assert_eq!(error.field, "filters");
    assert_eq!(error.problem, Problem::TooLong { length: 257 * 65_535, limit: 16 << 20 });
}

#[test]
fn filters_are_whole_and_valid() {
    let filters = |list: &[u8]| {
        let body = [field(1, &POSITION), field(2, &[0]), field(3, &[0]), field(4, list)].concat();
        decode(raw(kind::ROUTE_SNAPSHOT, 1, &body), &Limits::default())
    };
    let refused = |list: &[u8]| {
        let error = filters(list).unwrap_err();
        assert_eq!((error.frame, error.field), ("ROUTE_SNAPSHOT", "filters"));
        (error.at - 43, error.problem)
    };
    assert_eq!(refused(&[1, 1, 0]), (1, Problem::Shared { shared: 1, previous: 0 }));
    assert_eq!(refused(&[2, 0, 1, b'a', 2, 1, b'b']), (4, Problem::Shared { shared: 2, previous: 1 }));
    assert_eq!(refused(&[1, 0, 1, 0xff]), (1, Problem::Utf8 { valid_up_to: 0 }));
    // `ä`, then its first byte and an `x`.
    assert_eq!(refused(&[2, 0, 2, 0xc3, 0xa4, 1, 1, b'x']), (5, Problem::Utf8 { valid_up_to: 0 }));
    assert!(matches!(refused(&[1, 0, 0]), (1, Problem::Filter(_))));
    // `ä`, then its first byte and the second of `ö`.
    let Ok(Frame::RouteSnapshot(good)) = filters(&[2, 0, 2, 0xc3, 0xa4, 1, 1, 0xb6]) else { panic!("a snapshot") };
    assert_eq!(good.filters, ["ä", "ö"].map(|text| TopicFilter::new(text).unwrap()));
    let last = [field(1, &POSITION), field(2, &[0]), field(3, &[2])].concat();
    assert_eq!(
        decode(raw(kind::ROUTE_SNAPSHOT, 1, &last), &Limits::default()),
        Err(error("ROUTE_SNAPSHOT", "last", 40, Problem::Value { value: 2 }))
    );
    let op = [field(1, &[0]), field(2, &POSITION), field(3, &[1, 2, 0, 1, b'a'])].concat();
    assert_eq!(
        decode(raw(kind::ROUTE_DELTA, 1, &op), &Limits::default()),
        Err(error("ROUTE_DELTA", "ops", 41, Problem::Value { value: 2 }))
    );
}

#[test]
fn names_and_reasons() {
    let hello = |cluster: &[u8]| {
        let body = [&field(1, &[1])[..], &field(2, &[1]), &[3, cluster.len() as u8, 1][..2], cluster].concat();
        refused(raw(kind::HELLO, 1, &body))
    };
    assert_eq!(
        hello(b"a b").to_string(),
        "HELLO: `cluster` at byte 14: `\u{20}` at byte 1 is not allowed in a name: use letters, digits, `-`, `_`, `.` and `@`, a letter or digit first"
    );
    assert_eq!(hello(b"").to_string(), "HELLO: `cluster` at byte 14: a name has at least one character");
    assert_eq!(hello(b"a\xff"), error("HELLO", "cluster", 14, Problem::Utf8 { valid_up_to: 1 }));
    let version = refused(raw(kind::HELLO, 1, &field(1, &[0xff, 0xff, 4])));
    assert_eq!(version, error("HELLO", "min_version", 8, Problem::Value { value: 81_919 }));

    let reason = "ä".repeat(600);
    let Ok(Frame::Close(close)) =
        decode(encode(&Frame::Close(Close { code: CloseCode::Shutdown, reason })), &Limits::default())
    else {
        panic!("a close")
    };
    assert_eq!(close.reason.len(), MAX_REASON);
    let mut body = field(1, &[1]);
    body.extend([2, 0x81, 0x08]);
    body.extend([b'x'; 1025]);
    assert_eq!(
        refused(raw(kind::CLOSE, 1, &body)),
        error("CLOSE", "reason", 12, Problem::TooLong { length: 1025, limit: 1024 })
    );
}

#[test]
fn a_lane_is_listed_once() {
    let body = [field(1, &[0; 9]), field(2, &POSITION), field(3, &[2, 7, 1, 7, 2])].concat();
    assert_eq!(refused(raw(kind::READY, 1, &body)), error("READY", "lanes", 51, Problem::LaneTwice { lane: 7 }));
}

#[test]
fn reasons_of_refusal_are_known() {
    let body = [field(1, &[0]), field(2, &[9]), field(3, &[1, 9, 5])].concat();
    assert_eq!(refused(raw(kind::ACK, 1, &body)), error("ACK", "refused", 16, Problem::Value { value: 5 }));
}

#[test]
fn entries_of_a_batch() {
    let batch = |body: &[u8]| refused(raw(kind::BATCH, 1, body));
    assert_eq!(batch(&[]), error("BATCH", "lane", 6, Problem::Truncated { needed: 1, left: 0 }));
    assert_eq!(batch(&[0, 0, 3]), error("BATCH", "entry", 8, Problem::Value { value: 3 }));
    assert_eq!(batch(&[0, 0, 2, 0]), error("BATCH", "skip", 9, Problem::Value { value: 0 }));
    assert_eq!(
        batch(&[0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x10, 0]),
        error("BATCH", "expiry", 9, Problem::Value { value: (1 << 32) + (1 << 28) - 1 })
    );
    let overflow = Frame::Batch(Batch {
        lane: 0,
        first: u64::MAX - 1,
        entries: vec![Entry::Skip { count: 1 }, Entry::Skip { count: 1 }],
    });
    assert_eq!(refused(encode(&overflow)), error("BATCH", "entry", 19, Problem::SequenceOverflow));
    let many = [&[0, 0][..], &[0; 2 * 65_537]].concat();
    assert_eq!(
        batch(&many),
        error("BATCH", "entries", 8 + 2 * 65_536, Problem::TooMany { count: 65_537, limit: 65_536 })
    );

    let mut reader = BatchReader::new(raw(kind::BATCH, 1, &[0, 5, 0, 1, b'x', 9]), &Limits::default()).unwrap();
    assert!(matches!(reader.next(), Some(Ok(Entry::Message { .. }))));
    assert_eq!(reader.next(), Some(Err(error("BATCH", "entry", 11, Problem::Value { value: 9 }))));
    assert_eq!(reader.next(), None);
    let other = BatchReader::new(raw(kind::ACK, 1, &[]), &Limits::default()).unwrap_err();
    assert_eq!(other, error("BATCH", "kind", 0, Problem::Value { value: 33 }));
}

#[test]
fn messages() {
    let limits = Limits { max_user_properties: 2, ..Limits::default() };
    let message = |body: &[u8]| decode_message(Bytes::copy_from_slice(body), None, &limits);
    let refused = |body: &[u8]| {
        let error = message(body).unwrap_err();
        assert_eq!(error.frame, "message");
        (error.field, error.at, error.problem)
    };
    assert_eq!(message(&[2, 1, b'a']).unwrap().qos, QoS::ExactlyOnce);
    assert_eq!(refused(&[]), ("flags", 0, Problem::Truncated { needed: 1, left: 0 }));
    assert_eq!(refused(&[3, 1, b'a']), ("flags", 0, Problem::Value { value: 3 }));
    assert_eq!(refused(&[16, 1, b'a']), ("flags", 0, Problem::Value { value: 16 }));
    assert_eq!(refused(&[0, 2, b'a']), ("topic", 2, Problem::Truncated { needed: 2, left: 1 }));
    assert_eq!(refused(&[0, 0x80, 0x80, 4]), ("topic", 1, Problem::TooLong { length: 65_536, limit: 65_535 }));
    assert_eq!(refused(&[0, 2, b'a', 0xff]), ("topic", 2, Problem::Utf8 { valid_up_to: 1 }));
    assert!(matches!(refused(&[0, 0]), ("topic", 2, Problem::Topic(_))));

    let properties = |list: &[u8]| [&[8, 1, b'a', list.len() as u8], list].concat();
    assert_eq!(refused(&[8, 1, b'a', 9]), ("properties", 4, Problem::Truncated { needed: 9, left: 0 }));
    assert_eq!(refused(&properties(&[1, 1, 2])), ("payload_format", 6, Problem::Value { value: 2 }));
    assert_eq!(refused(&properties(&[1, 2, 1, 1])), ("payload_format", 7, Problem::Trailing { left: 1 }));
    assert_eq!(refused(&properties(&[2, 0, 2, 0])), ("content_type", 6, Problem::Duplicate { tag: 2 }));
    assert_eq!(refused(&properties(&[2, 0, 1, 1, 0])), ("payload_format", 6, Problem::OutOfOrder { tag: 1, after: 2 }));
    assert_eq!(refused(&properties(&[2, 2, b'x', 0])), ("content_type", 6, Problem::Null { index: 1 }));
    assert_eq!(refused(&properties(&[2, 1, 0xff])), ("content_type", 6, Problem::Utf8 { valid_up_to: 0 }));
    assert!(matches!(refused(&properties(&[3, 0])), ("response_topic", 6, Problem::Topic(_))));
    assert_eq!(refused(&properties(&[5, 1, 9])), ("user_property", 7, Problem::Truncated { needed: 9, left: 0 }));
    assert_eq!(
        refused(&properties(&[5, 1, 0, 5, 1, 0, 5, 1, 0])),
        ("user_property", 10, Problem::TooMany { count: 3, limit: 2 })
    );
    let later = message(&properties(&[1, 1, 1, 100, 2, b'x', b'y', 100, 0])).unwrap();
    assert_eq!(later.properties.payload_is_utf8, Some(true));
}

#[test]
fn an_empty_snapshot_is_a_snapshot() {
    let empty = RouteSnapshot { to: RoutePosition::default(), part: 0, last: true, filters: vec![] };
    let frame = Frame::RouteSnapshot(empty);
    assert_eq!(decode(encode(&frame), &Limits::default()), Ok(frame));
}
