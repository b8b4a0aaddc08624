use bytes::Bytes;

use super::{
    DecodeError, Limits, MANDATORY, MAX_TEXT, Problem, RouteDelta, RouteOp, RoutePosition, RouteResume, RouteSnapshot,
    control::{decode_position, number, put_position, whole},
    fields::Fields,
    kind,
    read::Reader,
    reconcile::{decode_cells, put_cells},
    write::{FrameWriter, put_varint},
};
use crate::topic::TopicFilter;

const RESUME: &[&str] = &["holds", "cells"];
const DELTA: &[&str] = &["from", "to", "ops"];
const SNAPSHOT: &[&str] = &["to", "part", "last", "filters"];
const ROUTE_ACK: &[&str] = &["position"];

pub(super) fn encode_resume(resume: &RouteResume) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_RESUME, MANDATORY, 64);
    if let Some(holds) = &resume.holds {
        frame.field(1, |out| put_position(out, holds));
    }
    if !resume.cells.is_empty() {
        frame.field(2, |out| put_cells(out, &resume.cells));
    }
    frame.finish()
}

pub(super) fn decode_resume(reader: Reader<'_>) -> Result<RouteResume, DecodeError> {
    let mut fields = Fields::new(reader, RESUME);
    let resume = RouteResume {
        holds: fields.optional(1)?.map(|field| whole(field, decode_position)).transpose()?,
        cells: fields.optional(2)?.map_or(Ok(Vec::new()), |field| whole(field, decode_cells))?,
    };
    fields.finish()?;
    Ok(resume)
}

pub(super) fn encode_delta(delta: &RouteDelta) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_DELTA, MANDATORY, 96 + 16 * delta.ops.len());
    frame.field(1, |out| put_varint(out, delta.from));
    frame.field(2, |out| put_position(out, &delta.to));
    frame.field(3, |out| {
        put_varint(out, delta.ops.len() as u64);
        let mut front = FrontCoder::default();
        for op in &delta.ops {
            let (code, filter) = match op {
                RouteOp::Add(filter) => (0, filter),
                RouteOp::Remove(filter) => (1, filter),
            };
            out.push(code);
            front.put(out, filter);
        }
    });
    frame.finish()
}

pub(super) fn decode_delta(reader: Reader<'_>, limits: &Limits) -> Result<RouteDelta, DecodeError> {
    let mut fields = Fields::new(reader, DELTA);
    let delta = RouteDelta {
        from: number(fields.required(1)?, u64::MAX)?,
        to: whole(fields.required(2)?, decode_position)?,
        ops: whole(fields.required(3)?, |field, reader| decode_ops(field, reader, limits))?,
    };
    fields.finish()?;
    Ok(delta)
}

fn decode_ops(field: &'static str, reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<RouteOp>, DecodeError> {
    let count = reader.count(field, limits.max_filters, 3)?;
    let mut ops = Vec::with_capacity(count);
    let mut front = FrontDecoder::default();
    for _ in 0..count {
        let at = reader.at();
        let op = match reader.u8(field)? {
            0 => RouteOp::Add,
            1 => RouteOp::Remove,
            value => return Err(reader.error_at(at, field, Problem::Value { value: value.into() })),
        };
        ops.push(op(front.next(field, reader, limits)?));
    }
    Ok(ops)
}

pub(super) fn encode_snapshot(snapshot: &RouteSnapshot) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_SNAPSHOT, MANDATORY, 96 + 16 * snapshot.filters.len());
    frame.field(1, |out| put_position(out, &snapshot.to));
    frame.field(2, |out| put_varint(out, snapshot.part.into()));
    frame.field(3, |out| out.push(snapshot.last.into()));
    frame.field(4, |out| put_filters(out, &snapshot.filters));
    frame.finish()
}

pub(super) fn decode_snapshot(reader: Reader<'_>, limits: &Limits) -> Result<RouteSnapshot, DecodeError> {
    let mut fields = Fields::new(reader, SNAPSHOT);
    let snapshot = RouteSnapshot {
        to: whole(fields.required(1)?, decode_position)?,
        part: number(fields.required(2)?, u32::MAX.into())? as u32,
        last: number(fields.required(3)?, 1)? == 1,
        filters: whole(fields.required(4)?, |field, reader| decode_filters(field, reader, limits))?,
    };
    fields.finish()?;
    Ok(snapshot)
}

pub(super) fn encode_ack(position: &RoutePosition) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_ACK, MANDATORY, 64);
    frame.field(1, |out| put_position(out, position));
    frame.finish()
}

pub(super) fn decode_ack(reader: Reader<'_>) -> Result<RoutePosition, DecodeError> {
    let mut fields = Fields::new(reader, ROUTE_ACK);
    let position = whole(fields.required(1)?, decode_position)?;
    fields.finish()?;
    Ok(position)
}

pub(super) fn put_filters(out: &mut Vec<u8>, filters: &[TopicFilter]) {
    put_varint(out, filters.len() as u64);
    let mut front = FrontCoder::default();
    for filter in filters {
        front.put(out, filter);
    }
}

pub(super) fn decode_filters(
    field: &'static str,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Vec<TopicFilter>, DecodeError> {
    let count = reader.count(field, limits.max_filters, 2)?;
    let mut filters = Vec::with_capacity(count);
    let mut front = FrontDecoder::default();
    for _ in 0..count {
        filters.push(front.next(field, reader, limits)?);
    }
    Ok(filters)
}

/// Writes each filter as the number of bytes it shares with the one before, and the rest. Any order decodes; a sorted
/// one is short.
#[derive(Default)]
struct FrontCoder<'a> {
    previous: &'a [u8],
}

impl<'a> FrontCoder<'a> {
    fn put(&mut self, out: &mut Vec<u8>, filter: &'a TopicFilter) {
        let text = filter.as_str().as_bytes();
        let shared = self.previous.iter().zip(text).take_while(|(a, b)| a == b).count();
        put_varint(out, shared as u64);
        put_varint(out, (text.len() - shared) as u64);
        out.extend_from_slice(&text[shared..]);
        self.previous = text;
    }
}

/// Reads what [`FrontCoder`] writes, and keeps account of the bytes that come out of it.
#[derive(Default)]
struct FrontDecoder {
    previous: String,
    total: usize,
}

impl FrontDecoder {
    fn next(
        &mut self,
        field: &'static str,
        reader: &mut Reader<'_>,
        limits: &Limits,
    ) -> Result<TopicFilter, DecodeError> {
        let at = reader.at();
        let shared = reader.varint(field)?;
        if shared > self.previous.len() as u64 {
            let problem = Problem::Shared { shared, previous: self.previous.len() };
            return Err(reader.error_at(at, field, problem));
        }
        let shared = shared as usize;
        let rest = reader.length(field, MAX_TEXT)?;
        let length = shared + rest;
        for (length, limit) in [(length, MAX_TEXT), (self.total.saturating_add(length), limits.max_filter_bytes)] {
            if length > limit {
                let problem = Problem::TooLong { length: length as u64, limit: limit as u64 };
                return Err(reader.error_at(at, field, problem));
            }
        }
        self.total += length;
        // The text before is valid, so all of it is if the part from the shared character boundary on is.
        let boundary = self.previous.floor_char_boundary(shared);
        let split = &self.previous.as_bytes()[boundary..shared];
        let rest = reader.take(field, rest)?;
        if split.is_empty() {
            let text = std::str::from_utf8(rest).map_err(|error| {
                reader.error_at(at, field, Problem::Utf8 { valid_up_to: shared + error.valid_up_to() })
            })?;
            self.previous.truncate(shared);
            self.previous.push_str(text);
        } else {
            let tail = [split, rest].concat();
            let text = std::str::from_utf8(&tail).map_err(|error| {
                reader.error_at(at, field, Problem::Utf8 { valid_up_to: boundary + error.valid_up_to() })
            })?;
            self.previous.truncate(boundary);
            self.previous.push_str(text);
        }
        TopicFilter::new(self.previous.as_str()).map_err(|error| reader.error_at(at, field, error))
    }
}
