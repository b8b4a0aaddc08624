use bytes::Bytes;

use super::{
    Datagram, DatagramAck, DecodeError, HEADER_LEN, MANDATORY, Problem,
    control::number,
    fields::Fields,
    kind,
    read::Reader,
    write::{FrameWriter, put_varint},
};

const DATAGRAM_ACK: &[&str] = &["settled", "delivered", "not_imported", "refused_by_host", "expired", "malformed"];

/// First bytes of what follows the number.
const LASTS: u8 = 0;
const EXPIRES: u8 = 1;

/// The frame of a [`Datagram`], of which the body is copied once.
pub fn encode_datagram(number: u64, expiry: Option<u32>, body: &[u8]) -> Bytes {
    let mut frame = FrameWriter::new(kind::DATAGRAM, MANDATORY, HEADER_LEN + 16 + body.len());
    put_varint(&mut frame.out, number);
    match expiry {
        None => frame.out.push(LASTS),
        Some(seconds) => {
            frame.out.push(EXPIRES);
            put_varint(&mut frame.out, seconds.into());
        }
    }
    frame.out.extend_from_slice(body);
    frame.finish()
}

pub(super) fn decode_datagram(frame: &Bytes) -> Result<Datagram, DecodeError> {
    let mut reader = Reader::new(frame, HEADER_LEN, "DATAGRAM");
    let at = reader.at();
    let number = reader.varint("number")?;
    if number == 0 {
        return Err(reader.error_at(at, "number", Problem::Value { value: 0 }));
    }
    let at = reader.at();
    let expiry = match reader.u8("expires")? {
        LASTS => None,
        EXPIRES => Some(reader.varint_up_to("expiry", u32::MAX.into())? as u32),
        value => return Err(reader.error_at(at, "expires", Problem::Value { value: value.into() })),
    };
    Ok(Datagram { number, expiry, body: frame.slice(reader.at()..) })
}

pub(super) fn encode_datagram_ack(ack: &DatagramAck) -> Bytes {
    let DatagramAck { settled, delivered, not_imported, refused_by_host, expired, malformed } = *ack;
    let mut frame = FrameWriter::new(kind::DATAGRAM_ACK, MANDATORY, 64);
    frame.field(1, |out| put_varint(out, settled));
    frame.field(2, |out| put_varint(out, delivered));
    for (tag, count) in [(3, not_imported), (4, refused_by_host), (5, expired), (6, malformed)] {
        if count > 0 {
            frame.field(tag, |out| put_varint(out, count));
        }
    }
    frame.finish()
}

pub(super) fn decode_datagram_ack(reader: Reader<'_>) -> Result<DatagramAck, DecodeError> {
    let mut fields = Fields::new(reader, DATAGRAM_ACK);
    let settled = number(fields.required(1)?, u64::MAX)?;
    let delivered = number(fields.required(2)?, u64::MAX)?;
    let mut count = |tag| fields.optional(tag)?.map_or(Ok(0), |field| number(field, u64::MAX));
    let ack = DatagramAck {
        settled,
        delivered,
        not_imported: count(3)?,
        refused_by_host: count(4)?,
        expired: count(5)?,
        malformed: count(6)?,
    };
    fields.finish()?;
    Ok(ack)
}
