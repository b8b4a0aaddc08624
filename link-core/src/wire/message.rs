use bytes::Bytes;
use bytestring::ByteString;

use super::{
    DecodeError, Limits, MAX_TEXT, Problem,
    read::Reader,
    write::{put_varint, varint_len},
};
use crate::{
    message::{Message, Properties, QoS},
    topic::Topic,
};

const QOS: u8 = 0b0000_0011;
const RETAIN: u8 = 0b0000_0100;
const PROPERTIES: u8 = 0b0000_1000;

const PAYLOAD_FORMAT: u64 = 1;
const CONTENT_TYPE: u64 = 2;
const RESPONSE_TOPIC: u64 = 3;
const CORRELATION_DATA: u64 = 4;
const USER_PROPERTY: u64 = 5;

/// Bytes of [`encode_message`]`(message)`. Costs no allocation.
pub fn message_len(message: &Message) -> usize {
    let topic = message.topic.as_str().len();
    let properties = match properties_len(&message.properties) {
        0 => 0,
        length => varint_len(length as u64) + length,
    };
    1 + varint_len(topic as u64) + topic + properties + message.payload.len()
}

/// The body of a message. One allocation of the exact size.
///
/// The message expiry is not in it: it counts down while the message waits, so it stands in the entry of the batch.
pub fn encode_message(message: &Message) -> Bytes {
    let Message { topic, payload, qos, retain, properties } = message;
    let topic = topic.as_str().as_bytes();
    let length = properties_len(properties);
    let mut out = Vec::with_capacity(
        1 + varint_len(topic.len() as u64) + topic.len() + varint_len(length as u64) + length + payload.len(),
    );
    let mut flags = *qos as u8;
    if *retain {
        flags |= RETAIN;
    }
    if length > 0 {
        flags |= PROPERTIES;
    }
    out.push(flags);
    put_varint(&mut out, topic.len() as u64);
    out.extend_from_slice(topic);
    if length > 0 {
        put_varint(&mut out, length as u64);
        put_properties(&mut out, properties);
    }
    out.extend_from_slice(payload);
    Bytes::from(out)
}

/// The message that `body` says; `expiry` comes from the entry of the batch.
///
/// Topic, payload and properties share the memory of `body`, and with it of the frame it was cut from: a host that keeps
/// a topic of 30 bytes keeps a frame of 64 KiB. [`Message::detach`] makes a copy that keeps nothing else.
pub fn decode_message(body: Bytes, expiry: Option<u32>, limits: &Limits) -> Result<Message, DecodeError> {
    let reader = &mut Reader::new(&body, 0, "message");
    let flags = reader.u8("flags")?;
    let bad_flags =
        || DecodeError { frame: "message", field: "flags", at: 0, problem: Problem::Value { value: u64::from(flags) } };
    if flags & !(QOS | RETAIN | PROPERTIES) != 0 {
        return Err(bad_flags());
    }
    let qos = match flags & QOS {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(bad_flags()),
    };
    let length = reader.length("topic", MAX_TEXT)?;
    let at = reader.at();
    let text = reader.text("topic", length)?;
    let topic = Topic::new(text).map_err(|error| reader.error_at(at, "topic", error))?;
    let mut properties = if flags & PROPERTIES == 0 {
        Properties::default()
    } else {
        let length = reader.length("properties", usize::MAX)?;
        decode_properties(reader.part("properties", length)?, limits)?
    };
    properties.message_expiry = expiry;
    let at = reader.at();
    let mut payload = body;
    bytes::Buf::advance(&mut payload, at);
    Ok(Message { topic, payload, qos, retain: flags & RETAIN != 0, properties })
}

fn properties_len(properties: &Properties) -> usize {
    let mut total = 0;
    let mut field = |length: usize| total += 1 + varint_len(length as u64) + length;
    if properties.payload_is_utf8.is_some() {
        field(1);
    }
    if let Some(text) = &properties.content_type {
        field(text.len());
    }
    if let Some(topic) = &properties.response_topic {
        field(topic.as_str().len());
    }
    if let Some(data) = &properties.correlation_data {
        field(data.len());
    }
    for (name, value) in &properties.user {
        field(varint_len(name.len() as u64) + name.len() + value.len());
    }
    total
}

fn put_properties(out: &mut Vec<u8>, properties: &Properties) {
    if let Some(is_utf8) = properties.payload_is_utf8 {
        put_property(out, PAYLOAD_FORMAT, &[is_utf8.into()]);
    }
    if let Some(text) = &properties.content_type {
        put_property(out, CONTENT_TYPE, text.as_bytes());
    }
    if let Some(topic) = &properties.response_topic {
        put_property(out, RESPONSE_TOPIC, topic.as_str().as_bytes());
    }
    if let Some(data) = &properties.correlation_data {
        put_property(out, CORRELATION_DATA, data);
    }
    for (name, value) in &properties.user {
        put_varint(out, USER_PROPERTY);
        put_varint(out, (varint_len(name.len() as u64) + name.len() + value.len()) as u64);
        put_varint(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
}

fn put_property(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    put_varint(out, tag);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Tags never fall; only the user property repeats. Unknown tags are passed over.
fn decode_properties(mut reader: Reader<'_>, limits: &Limits) -> Result<Properties, DecodeError> {
    let mut properties = Properties::default();
    let mut last = 0;
    while reader.left() > 0 {
        let at = reader.at();
        let tag = reader.varint("properties")?;
        let name = property_name(tag);
        let problem = match tag {
            0 => Some(Problem::Value { value: 0 }),
            tag if tag < last => Some(Problem::OutOfOrder { tag, after: last }),
            tag if tag == last && tag < USER_PROPERTY => Some(Problem::Duplicate { tag }),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(reader.error_at(at, name, problem));
        }
        last = tag;
        let length = reader.length(name, usize::MAX)?;
        let mut value = reader.part(name, length)?;
        match tag {
            PAYLOAD_FORMAT => {
                properties.payload_is_utf8 = Some(value.varint_up_to(name, 1)? == 1);
                value.finish(name)?;
            }
            CONTENT_TYPE => properties.content_type = Some(text(&mut value, name, length)?),
            RESPONSE_TOPIC => {
                let at = value.at();
                let text = text(&mut value, name, length)?;
                properties.response_topic = Some(Topic::new(text).map_err(|error| value.error_at(at, name, error))?);
            }
            CORRELATION_DATA => {
                check_length(&value, name, length)?;
                properties.correlation_data = Some(value.share(name, length)?);
            }
            USER_PROPERTY => {
                let count = properties.user.len() as u64 + 1;
                let limit = limits.max_user_properties as u64;
                if count > limit {
                    return Err(reader.error_at(at, name, Problem::TooMany { count, limit }));
                }
                let length = value.length(name, MAX_TEXT)?;
                let key = text(&mut value, name, length)?;
                let length = value.left();
                properties.user.push((key, text(&mut value, name, length)?));
            }
            _ => {}
        }
    }
    Ok(properties)
}

/// A text as MQTT has it: at most 65,535 bytes of UTF-8 without a null character.
fn text(reader: &mut Reader<'_>, field: &'static str, length: usize) -> Result<ByteString, DecodeError> {
    check_length(reader, field, length)?;
    let at = reader.at();
    let text = reader.text(field, length)?;
    match text.bytes().position(|byte| byte == 0) {
        Some(index) => Err(reader.error_at(at, field, Problem::Null { index })),
        None => Ok(text),
    }
}

fn check_length(reader: &Reader<'_>, field: &'static str, length: usize) -> Result<(), DecodeError> {
    if length > MAX_TEXT {
        let problem = Problem::TooLong { length: length as u64, limit: MAX_TEXT as u64 };
        return Err(reader.error_at(reader.at(), field, problem));
    }
    Ok(())
}

fn property_name(tag: u64) -> &'static str {
    match tag {
        PAYLOAD_FORMAT => "payload_format",
        CONTENT_TYPE => "content_type",
        RESPONSE_TOPIC => "response_topic",
        CORRELATION_DATA => "correlation_data",
        USER_PROPERTY => "user_property",
        _ => "properties",
    }
}
