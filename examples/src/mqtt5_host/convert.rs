//! PUBLISH packets of the broker to messages of the linker, and back.

use bytes::Bytes;
use link_core::{
    message::{Message, Properties, QoS},
    topic::{Topic, TopicError},
};
use mqtt5::{
    broker::storage::QueuedMessage,
    packet::publish::PublishPacket,
    protocol::v5::properties::{PropertyId, PropertyValue},
};

/// The broker notes the publisher in these user properties. A publisher can't forge them, and no subscriber of
/// another cluster should see them.
const CLIENT_ID: &str = "x-mqtt-client-id";
const SENDER: &str = "x-mqtt-sender";

/// What a local client published: its client id, and the message as it sent it.
pub(super) fn to_message(packet: PublishPacket) -> Result<(String, Message), TopicError> {
    let publisher = packet.properties.get_user_property_value(CLIENT_ID).unwrap_or_default().to_owned();
    let text = |id| match packet.properties.get(id) {
        Some(PropertyValue::Utf8String(text)) => Some(text.as_str()),
        _ => None,
    };
    let user =
        packet.properties.get_all(PropertyId::UserProperty).unwrap_or_default().iter().filter_map(
            |value| match value {
                PropertyValue::Utf8StringPair(key, value) if key != CLIENT_ID && key != SENDER => {
                    Some((key.as_str().into(), value.as_str().into()))
                }
                _ => None,
            },
        );
    let properties = Properties {
        payload_is_utf8: match packet.properties.get(PropertyId::PayloadFormatIndicator) {
            Some(PropertyValue::Byte(indicator)) => Some(*indicator == 1),
            _ => None,
        },
        message_expiry: packet.properties.get_message_expiry_interval(),
        content_type: text(PropertyId::ContentType).map(Into::into),
        response_topic: text(PropertyId::ResponseTopic).map(Topic::new).transpose()?,
        correlation_data: match packet.properties.get(PropertyId::CorrelationData) {
            Some(PropertyValue::BinaryData(data)) => Some(Bytes::copy_from_slice(data)),
            _ => None,
        },
        user: user.collect(),
    };
    let qos = match packet.qos {
        mqtt5::QoS::AtMostOnce => QoS::AtMostOnce,
        mqtt5::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqtt5::QoS::ExactlyOnce => QoS::ExactlyOnce,
    };
    let topic = Topic::new(packet.topic_name)?;
    Ok((publisher, Message { topic, payload: packet.payload, qos, retain: packet.retain, properties }))
}

/// The packet that hands a message of a peer to the broker.
pub(super) fn to_packet(message: Message) -> PublishPacket {
    let Message { topic, payload, qos, retain, properties } = message;
    let qos = match qos {
        QoS::AtMostOnce => mqtt5::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqtt5::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqtt5::QoS::ExactlyOnce,
    };
    let mut packet = PublishPacket::new(topic.as_str(), payload, qos).with_retain(retain);
    let to = &mut packet.properties;
    if let Some(is_utf8) = properties.payload_is_utf8 {
        to.set_payload_format_indicator(is_utf8);
    }
    if let Some(seconds) = properties.message_expiry {
        to.set_message_expiry_interval(seconds);
    }
    if let Some(content_type) = properties.content_type {
        to.set_content_type(content_type.to_string());
    }
    if let Some(topic) = properties.response_topic {
        to.set_response_topic(topic.as_str().to_owned());
    }
    if let Some(data) = properties.correlation_data {
        to.set_correlation_data(data);
    }
    for (key, value) in properties.user {
        to.add_user_property(key.to_string(), value.to_string());
    }
    packet
}

/// A message that waited in a session queue of the broker.
pub(super) fn from_queue(queued: &QueuedMessage) -> PublishPacket {
    queued.to_publish_packet()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_through_the_broker_s_packet_unchanged() {
        let message = Message {
            topic: Topic::new("a/b").unwrap(),
            payload: Bytes::from_static(b"\x00payload"),
            qos: QoS::ExactlyOnce,
            retain: true,
            properties: Properties {
                payload_is_utf8: Some(false),
                message_expiry: Some(7),
                content_type: Some("text/plain".into()),
                response_topic: Some(Topic::new("reply/here").unwrap()),
                correlation_data: Some(Bytes::from_static(b"\xff\x00")),
                user: vec![("k".into(), "1".into()), ("a".into(), "2".into()), ("k".into(), "3".into())],
            },
        };
        let mut packet = to_packet(message.clone());
        packet.properties.inject_client_id(Some("me"));
        packet.properties.inject_sender(Some("user"));
        assert_eq!(to_message(packet), Ok(("me".to_owned(), message)));
    }
}
