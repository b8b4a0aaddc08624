//! The frames of a link and their bytes. `docs/protocol.md` is normative; its golden vectors are tested.
//!
//! A frame is a header of six bytes and a body whose length the header repeats. Control frames are lists of
//! tag-length-value fields, so that a later version can add some; batches, the hot path, have a fixed layout.
//!
//! ```text
//!  kind  flags  length (u32)   body
//! +-----+-----+---------------+------------------------------------------------+
//! |  u8 |  u8 |  rest of frame| (tag, length, value)* | lane, first, entry*    |
//! +-----+-----+---------------+------------------------------------------------+
//! ```
//!
//! The invariant: [`decode`] never panics, never allocates more than its [`Limits`] allow, whatever the bytes say, and
//! what it returns is encoded to bytes that decode to the same frame. Bodies of messages are slices of the received
//! frame, not copies.
//!
//! ```
//! use link_core::wire::{BatchWriter, Entry, Frame, Limits, decode};
//!
//! let mut writer = BatchWriter::new(0, 7, 64 * 1024);
//! writer.message(None, b"hello");
//! let Frame::Batch(batch) = decode(writer.finish(), &Limits::default())? else { unreachable!() };
//! assert_eq!(batch.first, 7);
//! assert!(matches!(&batch.entries[0], Entry::Message { body, .. } if body == "hello"));
//! # Ok::<(), link_core::wire::DecodeError>(())
//! ```

mod batch;
mod close;
mod control;
mod datagram;
mod error;
mod fields;
mod frame;
mod limits;
mod lives;
mod message;
mod packed;
mod read;
mod reconcile;
mod routes;
mod write;

use bytes::Bytes;

pub use batch::{BATCH_OVERHEAD, BatchReader, BatchWriter};
pub use close::{CloseCode, Retry};
pub use datagram::encode_datagram;
pub use error::{DecodeError, Problem};
pub use frame::*;
pub use limits::{Limits, MAX_PACKED, MAX_REASON, MAX_TEXT};
pub use message::{decode_message, encode_message, message_len};

use read::Reader;
use write::FrameWriter;

/// The protocol version of this crate, the only one so far.
pub const VERSION: u16 = 1;

/// Bytes of the header of every frame.
pub const HEADER_LEN: usize = 6;

/// The kinds of frames, as they stand in the first byte.
pub mod kind {
    /// [`Hello`](super::Hello).
    pub const HELLO: u8 = 1;
    /// [`Ready`](super::Ready).
    pub const READY: u8 = 2;
    /// [`Close`](super::Close).
    pub const CLOSE: u8 = 3;
    /// [`Heartbeat`](super::Heartbeat).
    pub const HEARTBEAT: u8 = 4;
    /// [`Frame::RouteResume`](super::Frame::RouteResume).
    pub const ROUTE_RESUME: u8 = 16;
    /// [`RouteDelta`](super::RouteDelta).
    pub const ROUTE_DELTA: u8 = 17;
    /// [`RouteSnapshot`](super::RouteSnapshot).
    pub const ROUTE_SNAPSHOT: u8 = 18;
    /// [`Frame::RouteAck`](super::Frame::RouteAck).
    pub const ROUTE_ACK: u8 = 19;
    /// [`RouteNeed`](super::RouteNeed).
    pub const ROUTE_NEED: u8 = 20;
    /// [`RouteCells`](super::RouteCells).
    pub const ROUTE_CELLS: u8 = 21;
    /// [`RouteDifference`](super::RouteDifference).
    pub const ROUTE_DIFFERENCE: u8 = 22;
    /// [`RoutePreadd`](super::RoutePreadd).
    pub const ROUTE_PREADD: u8 = 23;
    /// [`RouteRetire`](super::RouteRetire).
    pub const ROUTE_RETIRE: u8 = 24;
    /// [`Batch`](super::Batch).
    pub const BATCH: u8 = 32;
    /// [`Ack`](super::Ack).
    pub const ACK: u8 = 33;
    /// [`Datagram`](super::Datagram).
    pub const DATAGRAM: u8 = 34;
    /// [`DatagramAck`](super::DatagramAck).
    pub const DATAGRAM_ACK: u8 = 35;
}

/// Header flag: a receiver that does not know the kind closes the connection. Without it, it ignores the frame.
pub const MANDATORY: u8 = 1;

/// The bytes of a frame.
///
/// Total: it always gives bytes. They decode to the same frame where the frame keeps the limits of the protocol; a
/// reason of [`Close`] that is longer than [`MAX_REASON`] is cut at a character.
pub fn encode(frame: &Frame) -> Bytes {
    match frame {
        Frame::Hello(hello) => control::encode_hello(hello),
        Frame::Ready(ready) => control::encode_ready(ready),
        Frame::Close(close) => control::encode_close(close),
        Frame::Heartbeat(heartbeat) => control::encode_heartbeat(heartbeat),
        Frame::RouteResume(resume) => routes::encode_resume(resume),
        Frame::RouteDelta(delta) => routes::encode_delta(delta),
        Frame::RouteSnapshot(snapshot) => routes::encode_snapshot(snapshot),
        Frame::RouteAck(position) => routes::encode_ack(position),
        Frame::RouteNeed(need) => reconcile::encode_need(need),
        Frame::RouteCells(cells) => reconcile::encode_cells(cells),
        Frame::RouteDifference(difference) => reconcile::encode_difference(difference),
        Frame::RoutePreadd(preadd) => lives::encode_preadd(preadd),
        Frame::RouteRetire(retire) => lives::encode_retire(retire),
        Frame::Batch(batch) => batch::encode_batch(batch),
        Frame::Ack(ack) => control::encode_ack(ack),
        Frame::Datagram(Datagram { number, expiry, body }) => encode_datagram(*number, *expiry, body),
        Frame::DatagramAck(ack) => datagram::encode_datagram_ack(ack),
        Frame::Unknown { kind } => FrameWriter::new(*kind, 0, 0).finish(),
    }
}

/// The frame that `frame`, one whole frame, says. Bodies of messages share its memory.
///
/// Costs time in proportion to the frame; allocates at most what `limits` allow, and never for a count or length that
/// the bytes do not bear out.
pub fn decode(frame: Bytes, limits: &Limits) -> Result<Frame, DecodeError> {
    let header = Header::parse(&frame, limits)?;
    if header.kind == kind::BATCH {
        return batch::decode_batch(frame, limits).map(Frame::Batch);
    }
    if header.kind == kind::DATAGRAM {
        return datagram::decode_datagram(&frame).map(Frame::Datagram);
    }
    let Some(name) = kind_name(header.kind) else { return Ok(Frame::Unknown { kind: header.kind }) };
    let reader = Reader::new(&frame, HEADER_LEN, name);
    match header.kind {
        kind::HELLO => control::decode_hello(reader, limits).map(|hello| Frame::Hello(Box::new(hello))),
        kind::READY => control::decode_ready(reader, limits).map(Frame::Ready),
        kind::CLOSE => control::decode_close(reader, limits).map(Frame::Close),
        kind::HEARTBEAT => control::decode_heartbeat(reader).map(Frame::Heartbeat),
        kind::ROUTE_RESUME => routes::decode_resume(reader).map(Frame::RouteResume),
        kind::ROUTE_DELTA => routes::decode_delta(reader, limits).map(Frame::RouteDelta),
        kind::ROUTE_SNAPSHOT => routes::decode_snapshot(reader, limits).map(Frame::RouteSnapshot),
        kind::ROUTE_ACK => routes::decode_ack(reader).map(Frame::RouteAck),
        kind::ROUTE_NEED => reconcile::decode_need(reader).map(Frame::RouteNeed),
        kind::ROUTE_CELLS => reconcile::decode_cells_frame(reader).map(Frame::RouteCells),
        kind::ROUTE_DIFFERENCE => reconcile::decode_difference(reader, limits).map(Frame::RouteDifference),
        kind::ROUTE_PREADD => lives::decode_preadd(reader, limits).map(Frame::RoutePreadd),
        kind::ROUTE_RETIRE => lives::decode_retire(reader, limits).map(Frame::RouteRetire),
        kind::ACK => control::decode_ack(reader, limits).map(Frame::Ack),
        kind::DATAGRAM_ACK => datagram::decode_datagram_ack(reader).map(Frame::DatagramAck),
        kind => Ok(Frame::Unknown { kind }),
    }
}

/// Bytes of the whole frame that `start` begins, as its header says, or `None` while the header is not complete.
///
/// For transports that cut frames out of a stream of bytes. Compare it with the largest frame that you take *before*
/// you make room for it.
pub fn frame_len(start: &[u8]) -> Option<u64> {
    let length = start.get(2..HEADER_LEN)?.try_into().ok()?;
    Some(HEADER_LEN as u64 + u64::from(u32::from_be_bytes(length)))
}

fn kind_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        kind::HELLO => "HELLO",
        kind::READY => "READY",
        kind::CLOSE => "CLOSE",
        kind::HEARTBEAT => "HEARTBEAT",
        kind::ROUTE_RESUME => "ROUTE_RESUME",
        kind::ROUTE_DELTA => "ROUTE_DELTA",
        kind::ROUTE_SNAPSHOT => "ROUTE_SNAPSHOT",
        kind::ROUTE_ACK => "ROUTE_ACK",
        kind::ROUTE_NEED => "ROUTE_NEED",
        kind::ROUTE_CELLS => "ROUTE_CELLS",
        kind::ROUTE_DIFFERENCE => "ROUTE_DIFFERENCE",
        kind::ROUTE_PREADD => "ROUTE_PREADD",
        kind::ROUTE_RETIRE => "ROUTE_RETIRE",
        kind::BATCH => "BATCH",
        kind::ACK => "ACK",
        kind::DATAGRAM => "DATAGRAM",
        kind::DATAGRAM_ACK => "DATAGRAM_ACK",
        _ => return None,
    })
}

/// The header of a frame that is whole, within the limits, and of a kind that is known or may be ignored.
struct Header {
    kind: u8,
}

impl Header {
    fn parse(frame: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let kind = frame.first().copied();
        let name = kind.and_then(kind_name).unwrap_or("frame");
        let error = |field, at, problem| Err(DecodeError { frame: name, field, at, problem });
        if frame.len() > limits.max_frame as usize {
            let problem = Problem::TooLong { length: frame.len() as u64, limit: limits.max_frame as u64 };
            return error("frame", 0, problem);
        }
        let (Some(kind), Some(&flags), Some(total)) = (kind, frame.get(1), frame_len(frame)) else {
            return error("header", frame.len(), Problem::Truncated { needed: HEADER_LEN as u64, left: frame.len() });
        };
        if total != frame.len() as u64 {
            let problem = Problem::Length { declared: total - HEADER_LEN as u64, actual: frame.len() - HEADER_LEN };
            return error("length", 2, problem);
        }
        let known = kind_name(kind).is_some();
        if !known && flags & MANDATORY != 0 {
            return error("kind", 0, Problem::UnknownKind { kind });
        }
        if known && flags & !MANDATORY != 0 {
            return error("flags", 1, Problem::Value { value: u64::from(flags) });
        }
        Ok(Self { kind })
    }
}
