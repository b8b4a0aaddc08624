//! Each thing that can be wrong with a frame has its exact error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that tests share are tests too")]

use bytes::Bytes;
use link_core::{
    message::QoS,
    topic::TopicFilter,
    wire::{
        Ack, Batch, BatchReader, Close, CloseCode, DecodeError, Entry, Frame, Limits, MAX_PACKED, MAX_REASON, Problem,
        RouteDelta, RouteOp, RoutePosition, RouteSnapshot, decode, decode_message, encode, kind,
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

/// A snapshot with these lists, plain and packed.
fn snapshot(plain: Option<&[u8]>, packed: Option<(u64, &[u8])>) -> Bytes {
    let mut body = [field(1, &POSITION), field(2, &[0]), field(3, &[0])].concat();
    if let Some(list) = plain {
        body.push(4);
        number(&mut body, list.len() as u64);
        body.extend(list);
    }
    if let Some((declared, frame)) = packed {
        let mut length = vec![];
        number(&mut length, declared);
        body.push(5);
        number(&mut body, (length.len() + frame.len()) as u64);
        body.extend(length);
        body.extend(frame);
    }
    raw(kind::ROUTE_SNAPSHOT, 1, &body)
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// 1,000 filters as a plain list.
fn list() -> Vec<u8> {
    let mut list = vec![0xe8, 0x07];
    for n in 0..1000 {
        list.extend([0, 6, b'a', b'/']);
        list.extend(format!("{n:04}").bytes());
    }
    list
}

fn zstd(list: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(list, 3).unwrap()
}

#[test]
fn one_of_the_two_forms_of_a_list_is_there() {
    let list = list();
    let frame = zstd(&list);
    let length = list.len() as u64;
    let plain = decode(snapshot(Some(&list), None), &Limits::default()).unwrap();
    assert_eq!(decode(snapshot(None, Some((length, &frame))), &Limits::default()), Ok(plain.clone()));
    // What is short or does not shrink may be packed as well.
    let short = zstd(&[1, 0, 1, b'a']);
    assert!(decode(snapshot(None, Some((4, &short))), &Limits::default()).is_ok());
    let Frame::RouteSnapshot(plain) = plain else { panic!("a snapshot") };
    assert_eq!(plain.filters.len(), 1000);
    assert!(encode(&Frame::RouteSnapshot(plain)).len() < 2500);

    assert_eq!(
        refused(snapshot(Some(&[0]), Some((length, &frame)))),
        error("ROUTE_SNAPSHOT", "packed_filters", 47, Problem::Both { tag: 4 })
    );
    assert_eq!(refused(snapshot(None, None)), error("ROUTE_SNAPSHOT", "filters", 41, Problem::Missing { tag: 4 }));
    let later = raw(kind::ROUTE_SNAPSHOT, 1, &[&snapshot(None, None)[6..], &field(6, b"later")].concat());
    assert!(matches!(refused(later).problem, Problem::Missing { tag: 4 }));
    let delta = [field(1, &[0]), field(2, &POSITION)].concat();
    assert_eq!(
        refused(raw(kind::ROUTE_DELTA, 1, &delta)),
        error("ROUTE_DELTA", "ops", 38, Problem::Missing { tag: 3 })
    );
}

#[test]
fn only_what_is_long_enough_and_shrinks_is_packed() {
    let packs = |filters: Vec<String>| {
        let filters = filters.into_iter().map(|text| TopicFilter::new(text).unwrap()).collect();
        let bytes = encode(&Frame::RouteSnapshot(RouteSnapshot { to: POSITION_ZERO, part: 0, last: false, filters }));
        // The tag of the list, behind the three fields before it.
        bytes[6 + 29 + 3 + 3] == 5
    };
    assert!(!packs(vec!["a".repeat(249)]), "255 bytes");
    assert!(packs(vec!["a".repeat(300)]));
    // Noise does not shrink, as long as it is short.
    let mut random = 1_u64;
    let mut noise = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (random >> 33) as u8 % 75)
    };
    assert!(!packs(vec![(0..260).map(|_| noise()).collect()]));
    // A list that no receiver unfolds goes plain.
    assert!(packs(vec!["a".repeat(65_000); 60]));
    let long = (0..65).map(|n| char::from(b'0' + n).to_string().replace(['+', '#'], "x") + &"a".repeat(65_000));
    assert!(long.clone().count() * 65_000 > MAX_PACKED && !packs(long.collect()));
}

const POSITION_ZERO: RoutePosition = RoutePosition {
    incarnation: link_core::wire::Incarnation { counter: 0, nonce: 0 },
    seq: 0,
    digest: link_core::wire::Digest(0),
    count: 0,
};

#[test]
fn a_decompression_bomb_is_refused_before_it_unfolds() {
    let limit = MAX_PACKED as u64;
    let large = 128 << 20;
    let bomb = zstd(&vec![0; large as usize]);
    assert!(bomb.len() < 16 << 10);
    let problem = |declared: u64, frame: &[u8]| {
        let bytes = snapshot(None, Some((declared, frame)));
        let mut problem = None;
        let allocated = allocation_counter::measure(|| problem = decode(bytes, &Limits::default()).err());
        assert!(allocated.bytes_max <= limit + 1024, "{} bytes", allocated.bytes_max);
        let error = problem.unwrap();
        assert_eq!((error.frame, error.field), ("ROUTE_SNAPSHOT", "packed_filters"));
        (error.close_code(), error.problem)
    };
    let too_long = |length| (CloseCode::TooLarge, Problem::TooLong { length, limit });
    assert_eq!(problem(large, &bomb), too_long(large));
    assert_eq!(problem(u64::MAX, &bomb), too_long(u64::MAX));
    assert_eq!(problem(limit + 1, &bomb), too_long(limit + 1));
    let length = |declared, actual| (CloseCode::Malformed, Problem::PackedLength { declared, actual });
    assert_eq!(problem(limit, &bomb), length(limit, large));
    // A header that agrees with what is declared, over blocks that unfold to more: 128 KiB each, of one zero.
    let mut liar = [&zstd::zstd_safe::MAGICNUMBER.to_le_bytes()[..], &[0xa0], &1000_u32.to_le_bytes()].concat();
    for last in [0, 0, 0, 1] {
        liar.extend(&((1_u32 << 20) | (1 << 1) | last).to_le_bytes()[..3]);
        liar.push(0);
    }
    let damaged = (CloseCode::Malformed, Problem::Packed { what: "its blocks are damaged" });
    assert_eq!(problem(1000, &liar), damaged);
    liar[5..9].copy_from_slice(&(4_u32 << 17).to_le_bytes());
    let (code, inside) = problem(4 << 17, &liar);
    assert_eq!((code, inside), (CloseCode::Malformed, Problem::Trailing { left: (4 << 17) - 1 }), "it is what it says");
    liar[5..9].copy_from_slice(&((4_u32 << 17) + 1).to_le_bytes());
    assert_eq!(problem((4 << 17) + 1, &liar), damaged, "one byte is missing");
    // Front coding within it has its own limit.
    let mut fold = vec![0xe8, 0x07, 0, 0xff, 0xff, 0x03];
    fold.extend(vec![b'a'; 65_535]);
    (1..1000).for_each(|_| fold.extend([0xff, 0xff, 0x03, 0]));
    let error = refused(snapshot(None, Some((fold.len() as u64, &zstd(&fold)))));
    assert_eq!(error.problem, Problem::TooLong { length: 257 * 65_535, limit: 16 << 20 });
}

#[test]
fn a_packed_list_is_one_exact_zstd_frame() {
    let list = list();
    let frame = zstd(&list);
    let length = list.len() as u64;
    let problem = |declared, frame: &[u8]| {
        let error = refused(snapshot(None, Some((declared, frame))));
        assert_eq!(
            (error.frame, error.field, error.close_code()),
            ("ROUTE_SNAPSHOT", "packed_filters", CloseCode::Malformed)
        );
        error.problem
    };
    let packed = |what| Problem::Packed { what };
    for declared in [0, 1, length - 1, length + 1, MAX_PACKED as u64] {
        assert_eq!(problem(declared, &frame), Problem::PackedLength { declared, actual: length });
    }
    for cut in 0..frame.len() {
        let cut = problem(length, &frame[..cut]);
        assert!(matches!(cut, Problem::Packed { .. }), "{cut:?}");
    }
    let with = |end: &[u8]| problem(length, &[&frame[..], end].concat());
    assert_eq!(with(&[0]), Problem::Trailing { left: 1 });
    assert_eq!(with(&frame), Problem::Trailing { left: frame.len() });
    // A skippable frame behind it, and one before it.
    let skip = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    assert_eq!(with(&skip), Problem::Trailing { left: 11 });
    assert_eq!(problem(length, &[&skip, &frame[..]].concat()), packed("it is no zstd frame"));
    assert_eq!(problem(length, &list), packed("it is no zstd frame"));
    assert_eq!(problem(0, &[]), packed("it is no zstd frame"));
    assert_eq!(refused(snapshot(None, Some((1 << 63, &[])))).close_code(), CloseCode::TooLarge);

    let descriptor = |byte: u8, rest: &[u8]| problem(length, &[&frame[..4], &[byte], rest].concat());
    assert_eq!(descriptor(0x28, &[0]), packed("a reserved bit is set"));
    assert_eq!(descriptor(0x21, &[0]), packed("it needs a dictionary"));
    assert_eq!(descriptor(0x00, &[0]), packed("it does not say its length"));
    assert_eq!(descriptor(0x40, &[0x69, 0, 0]), packed("its window is too large"), "9 MiB");
    assert_eq!(descriptor(0x40, &[0xff, 0, 0]), packed("its window is too large"), "as large as can be said");
    assert_eq!(descriptor(0x40, &[0x68, 0, 0]), Problem::PackedLength { declared: length, actual: 256 }, "8 MiB");
    assert_eq!(descriptor(0xe0, &[0xff; 8]), Problem::PackedLength { declared: length, actual: u64::MAX });
    assert_eq!(descriptor(0xe0, &[0xff; 7]), packed("its header is cut"));

    // Whatever byte is wrong, it is refused or is another list; never more than was declared.
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut wrong = frame.clone();
            wrong[at] ^= 1 << bit;
            if let Ok(Frame::RouteSnapshot(part)) = decode(snapshot(None, Some((length, &wrong))), &Limits::default()) {
                assert!(part.filters.iter().map(|filter| filter.as_str().len()).sum::<usize>() <= 65_535 * 1000);
            }
        }
    }

    // What is wrong inside is said by its place in the list.
    let inside = [1, 1, 0];
    assert_eq!(
        refused(snapshot(None, Some((3, &zstd(&inside))))),
        error("ROUTE_SNAPSHOT", "packed_filters", 1, Problem::Shared { shared: 1, previous: 0 })
    );
    let longer = [1, 0, 1, b'a', 9];
    assert_eq!(
        refused(snapshot(None, Some((5, &zstd(&longer))))),
        error("ROUTE_SNAPSHOT", "packed_filters", 4, Problem::Trailing { left: 1 })
    );
    let delta = RouteDelta {
        from: 0,
        to: POSITION_ZERO,
        ops: (0..100).map(|n| RouteOp::Add(TopicFilter::new(format!("a/{n}")).unwrap())).collect(),
    };
    let mut bytes = encode(&Frame::RouteDelta(delta)).to_vec();
    assert_eq!(bytes[6 + 3 + 29], 4, "it is packed");
    let last = bytes.len() - 1;
    bytes[last] ^= 0xff;
    let error = refused(bytes.into());
    assert_eq!((error.frame, error.field), ("ROUTE_DELTA", "packed_ops"));
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
