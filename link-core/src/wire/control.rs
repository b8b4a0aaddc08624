use super::{
    Ack, Close, CloseCode, DecodeError, Heartbeat, Hello, Incarnation, LaneMark, Limits, MANDATORY, MAX_REASON,
    Problem, Ready, RefusedReason, RoutePosition,
    fields::Fields,
    frame::Digest,
    kind,
    read::Reader,
    reconcile::{decode_cells, put_cells},
    routes::{decode_filters, put_filters},
    write::{FrameWriter, put_varint},
};
use crate::link::{ClusterName, NameError, NodeName, Scope};

const HELLO: &[&str] = &[
    "min_version",
    "max_version",
    "cluster",
    "node",
    "expects",
    "incarnation",
    "knows",
    "capabilities",
    "max_frame",
    "window",
    "imports",
    "route_key",
    "routes",
    "holds",
    "lanes",
    "received",
    "about",
    "kept_from",
    "cells",
    "scope",
];
const READY: &[&str] = &["incarnation", "routes", "lanes", "knows", "holds", "received", "cells"];
const CLOSE: &[&str] = &["code", "reason"];
const HEARTBEAT: &[&str] = &["routes", "holds", "sent", "echo", "held", "datagrams", "warming"];
const ACK: &[&str] = &["lane", "up_to", "refused"];

/// `scope` of a HELLO; any other number is [`Scope::Node`], as its absence is.
const CLUSTER_SCOPE: u64 = 1;

pub(super) fn encode_hello(hello: &Hello) -> bytes::Bytes {
    let mut frame = FrameWriter::new(kind::HELLO, MANDATORY, 512);
    frame.field(1, |out| put_varint(out, hello.min_version.into()));
    frame.field(2, |out| put_varint(out, hello.max_version.into()));
    frame.field(3, |out| out.extend_from_slice(hello.cluster.as_str().as_bytes()));
    frame.field(4, |out| out.extend_from_slice(hello.node.as_str().as_bytes()));
    frame.field(5, |out| out.extend_from_slice(hello.expects.as_str().as_bytes()));
    frame.field(6, |out| put_incarnation(out, &hello.incarnation));
    if let Some(knows) = &hello.knows {
        frame.field(7, |out| put_incarnation(out, knows));
    }
    frame.field(8, |out| put_varint(out, hello.capabilities));
    frame.field(9, |out| put_varint(out, hello.max_frame.into()));
    frame.field(10, |out| put_varint(out, hello.window.into()));
    frame.field(11, |out| put_filters(out, &hello.imports));
    frame.field(12, |out| out.extend_from_slice(&hello.route_key));
    frame.field(13, |out| put_position(out, &hello.routes));
    if let Some(holds) = &hello.holds {
        frame.field(14, |out| put_position(out, holds));
    }
    frame.field(15, |out| put_lanes(out, &hello.lanes));
    frame.field(16, |out| put_lanes(out, &hello.received));
    if let Some(about) = &hello.about {
        frame.field(17, |out| out.extend_from_slice(about.as_str().as_bytes()));
    }
    if hello.kept_from != hello.routes.seq {
        frame.field(18, |out| put_varint(out, hello.kept_from));
    }
    if !hello.cells.is_empty() {
        frame.field(19, |out| put_cells(out, &hello.cells));
    }
    if hello.scope == Scope::Cluster {
        frame.field(20, |out| put_varint(out, CLUSTER_SCOPE));
    }
    frame.finish()
}

pub(super) fn decode_hello(reader: Reader<'_>, limits: &Limits) -> Result<Hello, DecodeError> {
    let mut fields = Fields::new(reader, HELLO);
    let mut hello = Hello {
        min_version: number(fields.required(1)?, u16::MAX.into())? as u16,
        max_version: number(fields.required(2)?, u16::MAX.into())? as u16,
        cluster: name(fields.required(3)?, limits, ClusterName::new)?,
        node: name(fields.required(4)?, limits, NodeName::new)?,
        expects: name(fields.required(5)?, limits, ClusterName::new)?,
        incarnation: whole(fields.required(6)?, decode_incarnation)?,
        knows: fields.optional(7)?.map(|field| whole(field, decode_incarnation)).transpose()?,
        capabilities: number(fields.required(8)?, u64::MAX)?,
        max_frame: number(fields.required(9)?, u32::MAX.into())? as u32,
        window: number(fields.required(10)?, u32::MAX.into())? as u32,
        imports: whole(fields.required(11)?, |field, reader| decode_filters(field, reader, limits))?,
        route_key: whole(fields.required(12)?, |field, reader| reader.array(field))?,
        routes: whole(fields.required(13)?, decode_position)?,
        holds: fields.optional(14)?.map(|field| whole(field, decode_position)).transpose()?,
        lanes: whole(fields.required(15)?, |field, reader| decode_lanes(field, reader, limits))?,
        received: whole(fields.required(16)?, |field, reader| decode_lanes(field, reader, limits))?,
        about: fields.optional(17)?.map(|field| name(field, limits, NodeName::new)).transpose()?,
        kept_from: 0,
        cells: Vec::new(),
        scope: Scope::Node,
    };
    hello.kept_from = fields.optional(18)?.map_or(Ok(hello.routes.seq), |field| number(field, u64::MAX))?;
    hello.cells = fields.optional(19)?.map_or(Ok(Vec::new()), |field| whole(field, decode_cells))?;
    if let Some(field) = fields.optional(20)?
        && number(field, u64::MAX)? == CLUSTER_SCOPE
    {
        hello.scope = Scope::Cluster;
    }
    fields.finish()?;
    Ok(hello)
}

pub(super) fn encode_ready(ready: &Ready) -> bytes::Bytes {
    let mut frame = FrameWriter::new(kind::READY, MANDATORY, 128);
    frame.field(1, |out| put_incarnation(out, &ready.incarnation));
    frame.field(2, |out| put_position(out, &ready.routes));
    frame.field(3, |out| put_lanes(out, &ready.lanes));
    if let Some(knows) = &ready.knows {
        frame.field(4, |out| put_incarnation(out, knows));
    }
    if let Some(holds) = &ready.holds {
        frame.field(5, |out| put_position(out, holds));
    }
    frame.field(6, |out| put_lanes(out, &ready.received));
    if !ready.cells.is_empty() {
        frame.field(7, |out| put_cells(out, &ready.cells));
    }
    frame.finish()
}

pub(super) fn decode_ready(reader: Reader<'_>, limits: &Limits) -> Result<Ready, DecodeError> {
    let mut fields = Fields::new(reader, READY);
    let ready = Ready {
        incarnation: whole(fields.required(1)?, decode_incarnation)?,
        routes: whole(fields.required(2)?, decode_position)?,
        lanes: whole(fields.required(3)?, |field, reader| decode_lanes(field, reader, limits))?,
        knows: fields.optional(4)?.map(|field| whole(field, decode_incarnation)).transpose()?,
        holds: fields.optional(5)?.map(|field| whole(field, decode_position)).transpose()?,
        received: whole(fields.required(6)?, |field, reader| decode_lanes(field, reader, limits))?,
        cells: fields.optional(7)?.map_or(Ok(Vec::new()), |field| whole(field, decode_cells))?,
    };
    fields.finish()?;
    Ok(ready)
}

pub(super) fn encode_close(close: &Close) -> bytes::Bytes {
    let mut frame = FrameWriter::new(kind::CLOSE, MANDATORY, 128);
    let reason = &close.reason[..close.reason.floor_char_boundary(MAX_REASON)];
    frame.field(1, |out| put_varint(out, close.code.code().into()));
    frame.field(2, |out| out.extend_from_slice(reason.as_bytes()));
    frame.finish()
}

pub(super) fn decode_close(reader: Reader<'_>, limits: &Limits) -> Result<Close, DecodeError> {
    let mut fields = Fields::new(reader, CLOSE);
    let close = Close {
        code: CloseCode::from_code(number(fields.required(1)?, u16::MAX.into())? as u16),
        reason: text(fields.required(2)?, limits.max_reason)?.to_owned(),
    };
    fields.finish()?;
    Ok(close)
}

pub(super) fn encode_heartbeat(heartbeat: &Heartbeat) -> bytes::Bytes {
    let mut frame = FrameWriter::new(kind::HEARTBEAT, MANDATORY, 160);
    frame.field(1, |out| put_position(out, &heartbeat.routes));
    if let Some(holds) = &heartbeat.holds {
        frame.field(2, |out| put_position(out, holds));
    }
    frame.field(3, |out| put_varint(out, heartbeat.sent));
    if let Some(echo) = heartbeat.echo {
        frame.field(4, |out| put_varint(out, echo));
    }
    frame.field(5, |out| put_varint(out, heartbeat.held));
    if heartbeat.datagrams > 0 {
        frame.field(6, |out| put_varint(out, heartbeat.datagrams));
    }
    if heartbeat.warming {
        frame.field(7, |out| out.push(1));
    }
    frame.finish()
}

pub(super) fn decode_heartbeat(reader: Reader<'_>) -> Result<Heartbeat, DecodeError> {
    let mut fields = Fields::new(reader, HEARTBEAT);
    let heartbeat = Heartbeat {
        routes: whole(fields.required(1)?, decode_position)?,
        holds: fields.optional(2)?.map(|field| whole(field, decode_position)).transpose()?,
        sent: number(fields.required(3)?, u64::MAX)?,
        echo: fields.optional(4)?.map(|field| number(field, u64::MAX)).transpose()?,
        held: number(fields.required(5)?, u64::MAX)?,
        datagrams: fields.optional(6)?.map_or(Ok(0), |field| number(field, u64::MAX))?,
        warming: fields.optional(7)?.map_or(Ok(0), |field| number(field, 1))? == 1,
    };
    fields.finish()?;
    Ok(heartbeat)
}

pub(super) fn encode_ack(ack: &Ack) -> bytes::Bytes {
    let mut frame = FrameWriter::new(kind::ACK, MANDATORY, 32 + 11 * ack.refused.len());
    frame.field(1, |out| out.push(ack.lane));
    frame.field(2, |out| put_varint(out, ack.up_to));
    if !ack.refused.is_empty() {
        frame.field(3, |out| {
            put_varint(out, ack.refused.len() as u64);
            for (seq, reason) in &ack.refused {
                put_varint(out, *seq);
                out.push(*reason as u8);
            }
        });
    }
    frame.finish()
}

pub(super) fn decode_ack(reader: Reader<'_>, limits: &Limits) -> Result<Ack, DecodeError> {
    let mut fields = Fields::new(reader, ACK);
    let ack = Ack {
        lane: whole(fields.required(1)?, |field, reader| reader.u8(field))?,
        up_to: number(fields.required(2)?, u64::MAX)?,
        refused: match fields.optional(3)? {
            Some(field) => whole(field, |field, reader| decode_refused(field, reader, limits))?,
            None => Vec::new(),
        },
    };
    fields.finish()?;
    Ok(ack)
}

fn decode_refused(
    field: &'static str,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Vec<(u64, RefusedReason)>, DecodeError> {
    let count = reader.count(field, limits.max_refused, 2)?;
    let mut refused = Vec::with_capacity(count);
    for _ in 0..count {
        let seq = reader.varint(field)?;
        let at = reader.at();
        let reason = match reader.u8(field)? {
            1 => RefusedReason::NotImported,
            2 => RefusedReason::Host,
            3 => RefusedReason::Expired,
            4 => RefusedReason::Malformed,
            value => return Err(reader.error_at(at, field, Problem::Value { value: value.into() })),
        };
        refused.push((seq, reason));
    }
    Ok(refused)
}

pub(super) fn put_incarnation(out: &mut Vec<u8>, incarnation: &Incarnation) {
    put_varint(out, incarnation.counter);
    out.extend_from_slice(&incarnation.nonce.to_be_bytes());
}

pub(super) fn decode_incarnation(field: &'static str, reader: &mut Reader<'_>) -> Result<Incarnation, DecodeError> {
    Ok(Incarnation { counter: reader.varint(field)?, nonce: u64::from_be_bytes(reader.array(field)?) })
}

pub(super) fn put_position(out: &mut Vec<u8>, position: &RoutePosition) {
    put_incarnation(out, &position.incarnation);
    put_varint(out, position.seq);
    out.extend_from_slice(&position.digest.0.to_be_bytes());
    put_varint(out, position.count);
}

pub(super) fn decode_position(field: &'static str, reader: &mut Reader<'_>) -> Result<RoutePosition, DecodeError> {
    Ok(RoutePosition {
        incarnation: decode_incarnation(field, reader)?,
        seq: reader.varint(field)?,
        digest: Digest(u128::from_be_bytes(reader.array(field)?)),
        count: reader.varint(field)?,
    })
}

fn put_lanes(out: &mut Vec<u8>, lanes: &[LaneMark]) {
    put_varint(out, lanes.len() as u64);
    for mark in lanes {
        out.push(mark.lane);
        put_varint(out, mark.seq);
    }
}

fn decode_lanes(field: &'static str, reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<LaneMark>, DecodeError> {
    let count = reader.count(field, limits.max_lanes, 2)?;
    let mut lanes = Vec::with_capacity(count);
    let mut seen = [false; 256];
    for _ in 0..count {
        let at = reader.at();
        let lane = reader.u8(field)?;
        if std::mem::replace(&mut seen[usize::from(lane)], true) {
            return Err(reader.error_at(at, field, Problem::LaneTwice { lane }));
        }
        lanes.push(LaneMark { lane, seq: reader.varint(field)? });
    }
    Ok(lanes)
}

/// A field as it comes from [`Fields`]: its name, and a reader of its value.
type Field<'a> = (&'static str, Reader<'a>);

/// Decodes a value that takes up the whole field.
pub(super) fn whole<'a, T>(
    (name, mut reader): Field<'a>,
    decode: impl FnOnce(&'static str, &mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let value = decode(name, &mut reader)?;
    reader.finish(name)?;
    Ok(value)
}

pub(super) fn number(field: Field<'_>, limit: u64) -> Result<u64, DecodeError> {
    whole(field, |name, reader| reader.varint_up_to(name, limit))
}

fn text<'a>((name, mut reader): Field<'a>, limit: usize) -> Result<&'a str, DecodeError> {
    let (at, length) = (reader.at(), reader.left());
    if length > limit {
        let problem = Problem::TooLong { length: length as u64, limit: limit as u64 };
        return Err(reader.error_at(at, name, problem));
    }
    reader.str(name, length)
}

pub(super) fn name<T>(
    field: Field<'_>,
    limits: &Limits,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<T, DecodeError> {
    let (name, reader) = field.clone();
    parse(text(field, limits.max_name)?).map_err(|error| reader.error_at(reader.at(), name, error))
}
