//! Carries a cluster link over MQTT 5.
mod accept;
mod client;
mod client_id;
mod dial;
mod fate;
mod gate;
mod payload;
mod topic;
mod transport;

pub use accept::{AcceptorLimits, BrokerPort, ClientInfo, LinkAccess, LinkPublish, MqttAcceptor};
pub use transport::MqttTransport;
