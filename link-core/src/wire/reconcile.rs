//! The frames of a comparison by sketches.

use bytes::Bytes;

use super::{
    DecodeError, Limits, MANDATORY, Problem, RouteCells, RouteDifference, RouteNeed,
    control::{decode_position, number, put_position, whole},
    fields::Fields,
    kind,
    packed::{decode_list, put_list},
    read::Reader,
    routes::{decode_filters, put_filters},
    write::{FrameWriter, put_varint},
};
use crate::routes::{Cell, Estimator, MAX_CELLS, RouteId};

const NEED: &[&str] = &["first", "count", "estimator"];
const CELLS: &[&str] = &["first", "cells", "estimator"];
const DIFFERENCE: &[&str] = &["to", "part", "last", "adds", "packed_adds", "removes"];

pub(super) fn encode_need(need: &RouteNeed) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_NEED, MANDATORY, 32);
    frame.field(1, |out| put_varint(out, need.first.into()));
    frame.field(2, |out| put_varint(out, need.count.into()));
    frame.field(3, |out| out.push(need.estimator.into()));
    frame.finish()
}

pub(super) fn decode_need(reader: Reader<'_>) -> Result<RouteNeed, DecodeError> {
    let mut fields = Fields::new(reader, NEED);
    let need = RouteNeed {
        first: number(fields.required(1)?, MAX_CELLS as u64)? as u32,
        count: number(fields.required(2)?, MAX_CELLS as u64)? as u32,
        estimator: number(fields.required(3)?, 1)? == 1,
    };
    fields.finish()?;
    Ok(need)
}

pub(super) fn encode_cells(cells: &RouteCells) -> Bytes {
    let estimator = cells.estimator.as_ref().map_or(0, Bytes::len);
    let mut frame = FrameWriter::new(kind::ROUTE_CELLS, MANDATORY, 32 + cells.cells.len() * Cell::BYTES + estimator);
    frame.field(1, |out| put_varint(out, cells.first.into()));
    frame.field(2, |out| put_cells(out, &cells.cells));
    if let Some(estimator) = &cells.estimator {
        frame.field(3, |out| out.extend_from_slice(estimator));
    }
    frame.finish()
}

pub(super) fn decode_cells_frame(reader: Reader<'_>) -> Result<RouteCells, DecodeError> {
    let mut fields = Fields::new(reader, CELLS);
    let cells = RouteCells {
        first: number(fields.required(1)?, MAX_CELLS as u64)? as u32,
        cells: whole(fields.required(2)?, decode_cells)?,
        estimator: fields.optional(3)?.map(|field| whole(field, decode_estimator)).transpose()?,
    };
    fields.finish()?;
    Ok(cells)
}

pub(super) fn encode_difference(difference: &RouteDifference) -> Bytes {
    let capacity = 96 + 16 * difference.adds.len() + RouteId::BYTES * difference.removes.len();
    let mut frame = FrameWriter::new(kind::ROUTE_DIFFERENCE, MANDATORY, capacity);
    frame.field(1, |out| put_position(out, &difference.to));
    frame.field(2, |out| put_varint(out, difference.part.into()));
    frame.field(3, |out| out.push(difference.last.into()));
    let mut adds = Vec::with_capacity(16 * difference.adds.len());
    put_filters(&mut adds, &difference.adds);
    put_list(&mut frame, 4, &adds);
    frame.field(6, |out| difference.removes.iter().for_each(|id| out.extend_from_slice(&id.to_bytes())));
    frame.finish()
}

pub(super) fn decode_difference(reader: Reader<'_>, limits: &Limits) -> Result<RouteDifference, DecodeError> {
    let mut fields = Fields::new(reader, DIFFERENCE);
    let difference = RouteDifference {
        to: whole(fields.required(1)?, decode_position)?,
        part: number(fields.required(2)?, u32::MAX.into())? as u32,
        last: number(fields.required(3)?, 1)? == 1,
        adds: decode_list(&mut fields, 4, limits, |field, reader| decode_filters(field, reader, limits))?,
        removes: whole(fields.required(6)?, |field, reader| decode_ids(field, reader, limits))?,
    };
    fields.finish()?;
    Ok(difference)
}

pub(super) fn put_cells(out: &mut Vec<u8>, cells: &[Cell]) {
    out.reserve(cells.len() * Cell::BYTES);
    cells.iter().for_each(|cell| out.extend_from_slice(&cell.to_bytes()));
}

/// As many cells as there are bytes for: nothing is set aside that is not there.
pub(super) fn decode_cells(field: &'static str, reader: &mut Reader<'_>) -> Result<Vec<Cell>, DecodeError> {
    let count = items(field, reader, Cell::BYTES, MAX_CELLS)?;
    (0..count).map(|_| reader.array(field).map(Cell::from_bytes)).collect()
}

fn decode_ids(field: &'static str, reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<RouteId>, DecodeError> {
    let count = items(field, reader, RouteId::BYTES, limits.max_filters)?;
    (0..count).map(|_| reader.array(field).map(RouteId::from_bytes)).collect()
}

fn decode_estimator(field: &'static str, reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let (at, length) = (reader.at(), reader.left());
    if length != Estimator::BYTES {
        let problem = Problem::Length { declared: Estimator::BYTES as u64, actual: length };
        return Err(reader.error_at(at, field, problem));
    }
    reader.share(field, length)
}

/// The number of items of `size` bytes that take up the whole field, `most` at most.
fn items(field: &'static str, reader: &Reader<'_>, size: usize, most: usize) -> Result<usize, DecodeError> {
    let (at, length) = (reader.at(), reader.left());
    let count = length / size;
    if length % size > 0 {
        let declared = ((count + 1) * size) as u64;
        return Err(reader.error_at(at, field, Problem::Length { declared, actual: length }));
    }
    if count > most {
        return Err(reader.error_at(at, field, Problem::TooMany { count: count as u64, limit: most as u64 }));
    }
    Ok(count)
}
