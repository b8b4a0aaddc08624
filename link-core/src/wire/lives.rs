//! The frames about the lives of nodes: one that has begun and does not know all it wants, one that is over.

use bytes::Bytes;

use super::{
    DecodeError, Limits, MANDATORY, RoutePreadd, RouteRetire,
    control::{decode_incarnation, name, number, put_incarnation, whole},
    fields::Fields,
    kind,
    packed::{decode_list, put_list},
    read::Reader,
    routes::{decode_filters, put_filters},
    write::{FrameWriter, put_varint},
};
use crate::link::NodeName;

const PREADD: &[&str] = &["incarnation", "filters", "packed_filters"];
const RETIRE: &[&str] = &["node", "ago"];

pub(super) fn encode_preadd(preadd: &RoutePreadd) -> Bytes {
    let mut list = Vec::with_capacity(8 + 16 * preadd.filters.len());
    put_filters(&mut list, &preadd.filters);
    let mut frame = FrameWriter::new(kind::ROUTE_PREADD, MANDATORY, 64 + list.len());
    frame.field(1, |out| put_incarnation(out, &preadd.incarnation));
    put_list(&mut frame, 2, &list);
    frame.finish()
}

pub(super) fn decode_preadd(reader: Reader<'_>, limits: &Limits) -> Result<RoutePreadd, DecodeError> {
    let mut fields = Fields::new(reader, PREADD);
    let preadd = RoutePreadd {
        incarnation: whole(fields.required(1)?, decode_incarnation)?,
        filters: decode_list(&mut fields, 2, limits, |field, reader| decode_filters(field, reader, limits))?,
    };
    fields.finish()?;
    Ok(preadd)
}

/// Not mandatory: a peer that does not know the kind waits for the node until its retention time is over.
pub(super) fn encode_retire(retire: &RouteRetire) -> Bytes {
    let mut frame = FrameWriter::new(kind::ROUTE_RETIRE, 0, 64);
    frame.field(1, |out| out.extend_from_slice(retire.node.as_str().as_bytes()));
    frame.field(2, |out| put_varint(out, retire.ago));
    frame.finish()
}

pub(super) fn decode_retire(reader: Reader<'_>, limits: &Limits) -> Result<RouteRetire, DecodeError> {
    let mut fields = Fields::new(reader, RETIRE);
    let retire = RouteRetire {
        node: name(fields.required(1)?, limits, NodeName::new)?,
        ago: number(fields.required(2)?, u64::MAX)?,
    };
    fields.finish()?;
    Ok(retire)
}
