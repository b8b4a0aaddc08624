//! Reason codes and errors in words (MQTT 5, 2.4).

use rumqttc::{
    TlsError,
    v5::{
        ConnectionError, StateError,
        mqttbytes::{
            self,
            v5::{ConnectReturnCode, DisconnectReasonCode, PubAckReason, SubscribeReasonCode},
        },
    },
};

use super::End;

/// What an error of the event loop means.
pub(super) fn end(error: ConnectionError) -> End {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => End::Refused(connack(code)),
        ConnectionError::MqttState(error) => state(error),
        ConnectionError::NotConnAck(_) => End::Refused("the broker answers a CONNECT with another packet".to_owned()),
        ConnectionError::Timeout(_) => End::Lost("the broker does not answer".to_owned()),
        ConnectionError::Io(error) | ConnectionError::Tls(TlsError::Io(error)) => End::Lost(error.to_string()),
        ConnectionError::Tls(error) => End::Lost(error.to_string()),
        ConnectionError::RequestsDone => End::Lost("the MQTT client has stopped".to_owned()),
    }
}

fn state(error: StateError) -> End {
    match error {
        StateError::ServerDisconnect { reason_code, reason_string } => {
            End::Refused(with("the broker disconnected: ", disconnect(reason_code), reason_string))
        }
        StateError::ConnectionAborted => End::Lost("the broker closed the socket".to_owned()),
        StateError::AwaitPingResp => End::Lost("the broker does not answer a ping".to_owned()),
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
            End::Lost(error.to_string())
        }
        // Of the packets that a broker sends, only a DISCONNECT may have no body: reason 0x00 (MQTT 5, 3.14.2.1).
        StateError::Deserialization(mqttbytes::Error::PayloadRequired) => {
            End::Refused("the broker disconnected: no reason given (0x00)".to_owned())
        }
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(code)) => {
            End::Refused(format!("reason 0x{code:02x}"))
        }
        StateError::Deserialization(error) => End::Lost(format!("the broker sent a malformed packet: {error}")),
        StateError::Unsolicited(id) => End::Lost(format!("the broker acknowledges packet {id}, which was not sent")),
        error => End::Lost(error.to_string()),
    }
}

/// A sentence from a beginning, a reason and what the broker adds to it.
pub(super) fn with(beginning: &str, reason: String, detail: Option<String>) -> String {
    match detail {
        Some(detail) => format!("{beginning}{reason}: {detail}"),
        None => format!("{beginning}{reason}"),
    }
}

pub(super) fn connack(code: ConnectReturnCode) -> String {
    use ConnectReturnCode as Code;
    let (words, code) = match code {
        Code::Success => ("success", 0x00),
        // Codes of MQTT 3.1.1.
        Code::RefusedProtocolVersion => ("unsupported protocol version", 0x01),
        Code::BadClientId => ("client id not valid", 0x02),
        Code::ServiceUnavailable => ("server unavailable", 0x03),
        Code::UnspecifiedError => ("unspecified error", 0x80),
        Code::MalformedPacket => ("malformed packet", 0x81),
        Code::ProtocolError => ("protocol error", 0x82),
        Code::ImplementationSpecificError => ("implementation specific error", 0x83),
        Code::UnsupportedProtocolVersion => ("unsupported protocol version", 0x84),
        Code::ClientIdentifierNotValid => ("client id not valid", 0x85),
        Code::BadUserNamePassword => ("bad user name or password", 0x86),
        Code::NotAuthorized => ("not authorized", 0x87),
        Code::ServerUnavailable => ("server unavailable", 0x88),
        Code::ServerBusy => ("server busy", 0x89),
        Code::Banned => ("banned", 0x8a),
        Code::BadAuthenticationMethod => ("bad authentication method", 0x8c),
        Code::TopicNameInvalid => ("topic name invalid", 0x90),
        Code::PacketTooLarge => ("packet too large", 0x95),
        Code::QuotaExceeded => ("quota exceeded", 0x97),
        Code::PayloadFormatInvalid => ("payload format invalid", 0x99),
        Code::RetainNotSupported => ("retain not supported", 0x9a),
        Code::QoSNotSupported => ("QoS not supported", 0x9b),
        Code::UseAnotherServer => ("use another server", 0x9c),
        Code::ServerMoved => ("server moved", 0x9d),
        Code::ConnectionRateExceeded => ("connection rate exceeded", 0x9f),
    };
    format!("{words} (0x{code:02x})")
}

pub(super) fn puback(reason: PubAckReason) -> String {
    use PubAckReason as Code;
    let (words, code) = match reason {
        Code::Success => ("success", 0x00),
        Code::NoMatchingSubscribers => ("no matching subscribers", 0x10),
        Code::UnspecifiedError => ("unspecified error", 0x80),
        Code::ImplementationSpecificError => ("implementation specific error", 0x83),
        Code::NotAuthorized => ("not authorized", 0x87),
        Code::TopicNameInvalid => ("topic name invalid", 0x90),
        Code::PacketIdentifierInUse => ("packet identifier in use", 0x91),
        Code::QuotaExceeded => ("quota exceeded", 0x97),
        Code::PayloadFormatInvalid => ("payload format invalid", 0x99),
    };
    format!("{words} (0x{code:02x})")
}

pub(super) fn suback(reason: SubscribeReasonCode) -> String {
    use SubscribeReasonCode as Code;
    let (words, code) = match reason {
        Code::Success(qos) => ("granted", qos as u8),
        Code::Failure | Code::Unspecified => ("unspecified error", 0x80),
        Code::ImplementationSpecific => ("implementation specific error", 0x83),
        Code::NotAuthorized => ("not authorized", 0x87),
        Code::TopicFilterInvalid => ("topic filter invalid", 0x8f),
        Code::PkidInUse => ("packet identifier in use", 0x91),
        Code::QuotaExceeded => ("quota exceeded", 0x97),
        Code::SharedSubscriptionsNotSupported => ("shared subscriptions not supported", 0x9e),
        Code::SubscriptionIdNotSupported => ("subscription identifiers not supported", 0xa1),
        Code::WildcardSubscriptionsNotSupported => ("wildcard subscriptions not supported", 0xa2),
    };
    format!("{words} (0x{code:02x})")
}

fn disconnect(reason: DisconnectReasonCode) -> String {
    use DisconnectReasonCode as Code;
    let words = match reason {
        Code::NormalDisconnection => "no reason given",
        Code::DisconnectWithWillMessage => "with will message",
        Code::UnspecifiedError => "unspecified error",
        Code::MalformedPacket => "malformed packet",
        Code::ProtocolError => "protocol error",
        Code::ImplementationSpecificError => "implementation specific error",
        Code::NotAuthorized => "not authorized",
        Code::ServerBusy => "server busy",
        Code::ServerShuttingDown => "server shutting down",
        Code::KeepAliveTimeout => "keep alive timeout",
        Code::SessionTakenOver => "session taken over: another client connected with this client id",
        Code::TopicFilterInvalid => "topic filter invalid",
        Code::TopicNameInvalid => "topic name invalid",
        Code::ReceiveMaximumExceeded => "receive maximum exceeded",
        Code::TopicAliasInvalid => "topic alias invalid",
        Code::PacketTooLarge => "packet too large",
        Code::MessageRateTooHigh => "message rate too high",
        Code::QuotaExceeded => "quota exceeded",
        Code::AdministrativeAction => "administrative action",
        Code::PayloadFormatInvalid => "payload format invalid",
        Code::RetainNotSupported => "retain not supported",
        Code::QoSNotSupported => "QoS not supported",
        Code::UseAnotherServer => "use another server",
        Code::ServerMoved => "server moved",
        Code::SharedSubscriptionNotSupported => "shared subscriptions not supported",
        Code::ConnectionRateExceeded => "connection rate exceeded",
        Code::MaximumConnectTime => "maximum connect time",
        Code::SubscriptionIdentifiersNotSupported => "subscription identifiers not supported",
        Code::WildcardSubscriptionsNotSupported => "wildcard subscriptions not supported",
    };
    format!("{words} (0x{:02x})", reason as u8)
}
