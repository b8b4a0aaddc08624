//! Lists of filters that go compressed where that makes them shorter: one zstd frame (RFC 8878) in a field of its own,
//! whose tag is the one after that of the plain list.

use bytes::Bytes;

use super::{
    DecodeError, Limits, MAX_PACKED, Problem,
    control::whole,
    fields::Fields,
    read::Reader,
    write::{FrameWriter, put_varint},
};

/// A shorter list is not worth it.
const WORTHWHILE: usize = 256;
/// Level 1 packs 1,000,000 sorted filters as well as level 3, to within 7 %, packs the lists of deltas 6 % better than
/// that, and takes two thirds of its time.
const LEVEL: i32 = 1;
/// Most bytes of history that a frame may refer to. What RFC 8878 advises, for decoders that do not have the whole
/// list in memory.
const MAX_WINDOW: u64 = 8 << 20;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Writes `list` as the field `tag`, or packed as the field `tag + 1`.
pub(super) fn put_list(frame: &mut FrameWriter, tag: u64, list: &[u8]) {
    match pack(list) {
        Some(packed) => frame.field(tag + 1, |out| {
            put_varint(out, list.len() as u64);
            out.extend_from_slice(&packed);
        }),
        None => frame.field(tag, |out| out.extend_from_slice(list)),
    }
}

/// Reads what [`put_list`] writes: exactly one of the two fields is there.
pub(super) fn decode_list<T>(
    fields: &mut Fields<'_>,
    tag: u64,
    limits: &Limits,
    decode: impl FnOnce(&'static str, &mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match (fields.optional(tag)?, fields.optional(tag + 1)?) {
        (Some(plain), None) => whole(plain, decode),
        (None, Some((field, mut reader))) => {
            let list = unpack(field, &mut reader, limits)?;
            whole((field, reader.over(&list)), decode)
        }
        (Some(_), Some((field, reader))) => Err(reader.error_at(reader.at(), field, Problem::Both { tag })),
        (None, None) => fields.required(tag).and_then(|plain| whole(plain, decode)),
    }
}

/// `list` as a zstd frame, if that is worthwhile.
fn pack(list: &[u8]) -> Option<Vec<u8>> {
    if !(WORTHWHILE..=MAX_PACKED).contains(&list.len()) {
        return None;
    }
    zstd::bulk::compress(list, LEVEL).ok().filter(|packed| packed.len() + 3 < list.len())
}

/// The list in a packed field. Makes room for exactly what the field declares, once its zstd frame declares the same.
fn unpack(field: &'static str, reader: &mut Reader<'_>, limits: &Limits) -> Result<Bytes, DecodeError> {
    let start = reader.at();
    let declared = reader.varint(field)?;
    if declared > limits.max_packed as u64 {
        let problem = Problem::TooLong { length: declared, limit: limits.max_packed as u64 };
        return Err(reader.error_at(start, field, problem));
    }
    let start = reader.at();
    let frame = reader.take(field, reader.left())?;
    let damaged = |what| reader.error_at(start, field, Problem::Packed { what });
    let header = FrameHeader::parse(frame).map_err(damaged)?;
    if header.content != declared {
        let problem = Problem::PackedLength { declared, actual: header.content };
        return Err(reader.error_at(start, field, problem));
    }
    let length = zstd::zstd_safe::find_frame_compressed_size(frame).map_err(|_| damaged("its blocks are cut"))?;
    if length != frame.len() {
        let problem = Problem::Trailing { left: frame.len().saturating_sub(length) };
        return Err(reader.error_at(start.saturating_add(length), field, problem));
    }
    let mut list = vec![0; declared as usize];
    match zstd::bulk::decompress_to_buffer(frame, &mut list[..]) {
        Ok(length) if length == list.len() => Ok(list.into()),
        Ok(length) => Err(reader.error_at(start, field, Problem::PackedLength { declared, actual: length as u64 })),
        Err(_) => Err(damaged("its blocks are damaged")),
    }
}

/// What a zstd frame says of itself (RFC 8878, section 3.1.1.1).
struct FrameHeader {
    /// Bytes of the content.
    content: u64,
}

impl FrameHeader {
    /// Of a frame without dictionary, within the window, that says how long its content is.
    fn parse(frame: &[u8]) -> Result<Self, &'static str> {
        const CUT: &str = "its header is cut";
        let rest = frame.strip_prefix(&MAGIC).ok_or("it is no zstd frame")?;
        let (&descriptor, mut rest) = rest.split_first().ok_or(CUT)?;
        let single = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err("a reserved bit is set");
        }
        if descriptor & 0x03 != 0 {
            return Err("it needs a dictionary");
        }
        if !single {
            let (&window, after) = rest.split_first().ok_or(CUT)?;
            let base = 1_u64 << (10 + (window >> 3));
            if base + base / 8 * u64::from(window & 7) > MAX_WINDOW {
                return Err("its window is too large");
            }
            rest = after;
        }
        let (size, plus) = match descriptor >> 6 {
            0 if single => (1, 0),
            0 => return Err("it does not say its length"),
            1 => (2, 256),
            2 => (4, 0),
            _ => (8, 0),
        };
        let mut content = [0; 8];
        content[..size].copy_from_slice(rest.get(..size).ok_or(CUT)?);
        Ok(Self { content: u64::from_le_bytes(content).saturating_add(plus) })
    }
}
