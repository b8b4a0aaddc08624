//! A published message, as the host hands it in and as the host of the peer gets it out.

use bytes::Bytes;
use bytestring::ByteString;

use crate::topic::Topic;

/// MQTT quality of service (MQTT 5, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// Delivered at most once: never kept for a peer that is away, never sent again.
    #[default]
    AtMostOnce = 0,
    /// Delivered at least once between client and broker; once over a link.
    AtLeastOnce = 1,
    /// Delivered exactly once.
    ExactlyOnce = 2,
}

/// One application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: Topic,
    /// The payload, shared and never copied on the way in.
    pub payload: Bytes,
    /// The quality of service that the publisher asked for.
    pub qos: QoS,
    /// The retain flag as published.
    pub retain: bool,
    /// The MQTT 5 properties that travel with a message.
    pub properties: Properties,
}

/// The properties of a PUBLISH that travel end to end (MQTT 5, section 3.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Payload format indicator: `true` says the payload is UTF-8 text.
    pub payload_is_utf8: Option<bool>,
    /// Message expiry interval in seconds, counted down by the time spent on the way.
    pub message_expiry: Option<u32>,
    /// Content type.
    pub content_type: Option<ByteString>,
    /// Response topic.
    pub response_topic: Option<Topic>,
    /// Correlation data.
    pub correlation_data: Option<Bytes>,
    /// User properties in the order of the publisher; names may repeat.
    pub user: Vec<(ByteString, ByteString)>,
}

impl Message {
    /// A message without properties and without the retain flag.
    pub fn new(topic: Topic, payload: impl Into<Bytes>, qos: QoS) -> Self {
        Self { topic, payload: payload.into(), qos, retain: false, properties: Properties::default() }
    }

    /// A copy that shares no memory with anything else. For a host that keeps a message, or its topic, for long: what
    /// comes over a link is a slice of the frame it came in.
    ///
    /// Costs a copy, and an allocation for each part.
    pub fn detach(&self) -> Message {
        let Message { topic, payload, qos, retain, properties } = self;
        Message {
            topic: detach_topic(topic),
            payload: Bytes::copy_from_slice(payload),
            qos: *qos,
            retain: *retain,
            properties: Properties {
                payload_is_utf8: properties.payload_is_utf8,
                message_expiry: properties.message_expiry,
                content_type: properties.content_type.as_deref().map(ByteString::from),
                response_topic: properties.response_topic.as_ref().map(detach_topic),
                correlation_data: properties.correlation_data.as_deref().map(Bytes::copy_from_slice),
                user: properties
                    .user
                    .iter()
                    .map(|(name, value)| (ByteString::from(&**name), ByteString::from(&**value)))
                    .collect(),
            },
        }
    }
}

fn detach_topic(topic: &Topic) -> Topic {
    // The text is valid, as it comes from a topic.
    Topic::new(topic.as_str()).unwrap_or_else(|_| topic.clone())
}
