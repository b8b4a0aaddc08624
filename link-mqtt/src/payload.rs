//! What one MQTT payload of a link says: a header byte, and a piece of a frame, a credit, or the end.
//!
//! ```text
//! bit 0  more: further fragments of this frame follow      0x00 last or only fragment of a control frame
//! bit 1  data: the fragment is of a data frame             0x01 control, more follows
//! bit 2  credit: u32 limit, u32 max packet, big endian     0x02 last or only fragment of a data frame
//! bit 3  end: nothing follows in this direction            0x03 data, more follows     0x04 credit     0x08 end
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use link_core::transport::ConnectionError;

const MORE: u8 = 0b0001;
const DATA: u8 = 0b0010;
const CREDIT: u8 = 0b0100;
const END: u8 = 0b1000;

/// Bytes of a PUBLISH beside its topic and the body of a fragment: fixed header 5, length of the topic 2, packet id 2,
/// length of the properties 1, header byte 1 (MQTT 5, 3.3); the rest is room for properties that a broker adds.
const OVERHEAD: usize = 11 + 53;
/// A packet limit that leaves less than this for a body is refused.
const SMALLEST_BODY: usize = 64;

/// One decoded payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A frame, or a piece of it.
    Fragment { data: bool, more: bool, body: Bytes },
    /// The dialler takes packets of this channel up to this count since the beginning (modulo 2^32), each of at most
    /// `max_packet` bytes.
    Credit { limit: u32, max_packet: u32 },
    /// The last packet of this channel in this direction.
    End,
}

impl Payload {
    /// Decodes a payload without copying its body; the error says what is wrong.
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, String> {
        let header = *payload.first().ok_or("an empty payload on a link topic")?;
        match header {
            CREDIT => match payload[1..] {
                [a, b, c, d, e, f, g, h] => Ok(Self::Credit {
                    limit: u32::from_be_bytes([a, b, c, d]),
                    max_packet: u32::from_be_bytes([e, f, g, h]),
                }),
                _ => Err(format!("a credit of {} bytes instead of 9", payload.len())),
            },
            END if payload.len() == 1 => Ok(Self::End),
            END => Err(format!("an end of {} bytes instead of 1", payload.len())),
            _ if header & !(MORE | DATA) == 0 => {
                Ok(Self::Fragment { data: header & DATA != 0, more: header & MORE != 0, body: payload.slice(1..) })
            }
            _ => Err(format!("an unknown payload header 0x{header:02x}")),
        }
    }

    /// Encodes; copies the body once, because MQTT wants one piece.
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Fragment { data, more, body } => {
                let mut bytes = BytesMut::with_capacity(1 + body.len());
                bytes.put_u8(if *data { DATA } else { 0 } | if *more { MORE } else { 0 });
                bytes.extend_from_slice(body);
                bytes.freeze()
            }
            Self::Credit { limit, max_packet } => {
                let mut bytes = BytesMut::with_capacity(9);
                bytes.put_u8(CREDIT);
                bytes.put_u32(*limit);
                bytes.put_u32(*max_packet);
                bytes.freeze()
            }
            Self::End => Bytes::from_static(&[END]),
        }
    }
}

/// Most bytes of a fragment's body on this topic, so that its packet stays within `max_packet`; an error where that
/// leaves no useful room.
pub(crate) fn body_limit(max_packet: u32, topic: &str) -> Result<usize, String> {
    let overhead = OVERHEAD + topic.len();
    let body = (max_packet as usize).saturating_sub(overhead);
    if body < SMALLEST_BODY {
        return Err(format!(
            "a maximum packet size of {max_packet} bytes is too small: {} are needed",
            overhead + SMALLEST_BODY
        ));
    }
    Ok(body)
}

/// Cuts a frame into payloads of at most `body_limit` bytes of body; an empty frame is one payload.
pub(crate) fn fragments(frame: Bytes, data: bool, body_limit: usize) -> impl Iterator<Item = Payload> + Send {
    let mut rest = Some(frame);
    std::iter::from_fn(move || {
        let mut body = rest.take()?;
        if body.len() > body_limit {
            rest = Some(body.split_off(body_limit));
        }
        Some(Payload::Fragment { data, more: rest.is_some(), body })
    })
}

/// Puts the fragments of one class of one channel together.
#[derive(Debug)]
pub(crate) struct Assembler {
    parts: BytesMut,
    limit: usize,
}

impl Assembler {
    /// Frames over `limit` bytes are refused.
    pub(crate) fn new(limit: usize) -> Self {
        Self { parts: BytesMut::new(), limit }
    }

    /// Takes the next fragment; gives the frame that it completes. Memory grows with what has arrived, never with
    /// what was announced. A frame of one fragment is not copied.
    pub(crate) fn push(&mut self, more: bool, body: Bytes) -> Result<Option<Bytes>, ConnectionError> {
        let size = self.parts.len() + body.len();
        if size > self.limit {
            return Err(ConnectionError::TooLarge { size, limit: self.limit });
        }
        if self.parts.is_empty() && !more {
            return Ok(Some(body));
        }
        self.parts.extend_from_slice(&body);
        Ok(if more { None } else { Some(std::mem::take(&mut self.parts).freeze()) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        let body = Bytes::from_static(b"xy");
        for (payload, bytes) in [
            (Payload::Fragment { data: false, more: false, body: body.clone() }, b"\x00xy".as_slice()),
            (Payload::Fragment { data: false, more: true, body: body.clone() }, b"\x01xy"),
            (Payload::Fragment { data: true, more: false, body: body.clone() }, b"\x02xy"),
            (Payload::Fragment { data: true, more: true, body }, b"\x03xy"),
            (Payload::Credit { limit: 32, max_packet: 65_536 }, b"\x04\x00\x00\x00\x20\x00\x01\x00\x00"),
            (Payload::End, b"\x08"),
        ] {
            assert_eq!(payload.encode(), bytes);
            assert_eq!(Payload::decode(&Bytes::copy_from_slice(bytes)), Ok(payload));
        }
    }

    #[test]
    fn malformed_payloads_are_refused_with_the_reason() {
        for (bytes, reason) in [
            (b"".as_slice(), "an empty payload on a link topic"),
            (b"\x05", "an unknown payload header 0x05"),
            (b"\x10", "an unknown payload header 0x10"),
            (b"\x04\x00", "a credit of 2 bytes instead of 9"),
            (b"\x08\x00", "an end of 2 bytes instead of 1"),
        ] {
            assert_eq!(Payload::decode(&Bytes::copy_from_slice(bytes)), Err(reason.to_owned()));
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_kept() {
        let mut assembler = Assembler::new(10);
        assert_eq!(assembler.push(true, Bytes::from_static(b"123456")), Ok(None));
        let error = assembler.push(true, Bytes::from_static(b"12345")).unwrap_err();
        assert_eq!(error.to_string(), "a frame of 11 bytes is over the limit of 10");
    }

    #[test]
    fn a_packet_limit_without_room_is_refused() {
        assert_eq!(body_limit(1_000, "abc"), Ok(933));
        assert_eq!(
            body_limit(100, "abc").unwrap_err(),
            "a maximum packet size of 100 bytes is too small: 131 are needed"
        );
    }

    proptest! {
        #[test]
        fn a_frame_survives_cutting(frame in prop::collection::vec(any::<u8>(), 0..300), limit in 1usize..64, data: bool) {
            let frame = Bytes::from(frame);
            let mut assembler = Assembler::new(300);
            let mut whole = None;
            for payload in fragments(frame.clone(), data, limit) {
                prop_assert!(whole.is_none());
                let Ok(Payload::Fragment { data: class, more, body }) = Payload::decode(&payload.encode()) else {
                    return Err(TestCaseError::fail("not a fragment"));
                };
                prop_assert!(class == data && body.len() <= limit);
                whole = assembler.push(more, body).unwrap();
            }
            prop_assert_eq!(whole, Some(frame));
        }

        #[test]
        fn any_bytes_decode_or_say_why(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let bytes = Bytes::from(bytes);
            if let Ok(payload) = Payload::decode(&bytes) {
                prop_assert_eq!(payload.encode(), bytes);
            }
        }
    }
}
