//! Carries a cluster link over MQTT 5: through the ports, firewalls, users and certificates that brokers have anyway.
//!
//! ```text
//!  dialling node                               broker of the peer               its linker
//!  Connection                                                                   Connection
//!   control, data 0 -- client from-eu-n-1:us ==> $LINK/v1/eu/n/up/<token>/0of2   ==> MqttAcceptor::on_publish
//!                                            <== $LINK/v1/eu/n/down/<token>/0of2 <== BrokerPort::publish
//!   data 1 ----------- client from-eu-n-2:us ==> …/up/<token>/1of2               ==> on_publish
//!                                            <== …/down/<token>/1of2             <== publish
//! ```
//!
//! One connection of the core is a bundle of [`connections`](link_core::link::LinkConfig::connections) MQTT clients.
//! Channel 0 carries control and data channel 0, channel k carries data channel k. It lives while all its clients
//! live; the first that fails ends it at both ends, and the core dials again and resumes. One connection carries both
//! directions, so that only one of two brokers has to be reachable.
//!
//! # On the wire
//!
//! - The topic names the dialling cluster and node, a token of 64 random bits per dial, and `<k>of<n>`.
//! - A payload is a header byte and its content: bit 0 *more* (further fragments of this frame follow), bit 1 *data*
//!   (else control), bit 2 *credit*, bit 3 *end*. Frames over the packet limits of either side are cut into fragments.
//! - Credit (`0x04`, u32 limit, u32 maximum packet size, big endian) goes up: the dialler takes packets of this channel
//!   until `limit` have been sent since its beginning, modulo 2^32. The first one opens the channel; the connection is
//!   open when all have.
//! - End (`0x08`) goes down, when the accepting side closes: the dialler takes what came before it, and disconnects.
//! - All is QoS 1, not retained, in sessions that start clean and expire at once.
//!
//! # Back-pressure
//!
//! Up, PUBACK is the flow control: the dialler has at most
//! [`max_inflight`](link_core::link::LinkConfig::max_inflight) (and the broker's Receive Maximum) unacknowledged, and
//! [`MqttAcceptor::on_publish`] returns when the linker has room. Down, credit is: a host broker never has to queue
//! more than that for a client. In both, the last slot is kept for control, and waiting control goes before waiting
//! data. A linker must go on receiving while its sends wait.
//!
//! # What a host broker must call
//!
//! 1. [`MqttAcceptor::may_subscribe`] for each filter of a SUBSCRIBE, before it is granted, and
//!    [`may_publish`](MqttAcceptor::may_publish) if it checks publishes apart from handling them;
//! 2. [`MqttAcceptor::on_publish`] for each publish of a client, in its order, before it is acknowledged and routed;
//! 3. [`MqttAcceptor::on_disconnect`] for each client that is gone;
//!
//! and [`on_refused`](MqttAcceptor::on_refused) if the status of a link shall show a wrong password. It implements
//! [`BrokerPort`]: publish to the local subscriber, and disconnect a client. In all calls a client must be described
//! by the same [`ClientInfo`]. Publishes of [`BrokerPort`], and of `$LINK/…` at all, are not reported to the linker.
//!
//! ```
//! # use std::sync::Arc;
//! # use bytes::Bytes;
//! use link_mqtt::{BrokerPort, ClientInfo, LinkAccess, LinkPublish, MqttTransport};
//!
//! # async fn host(my_broker: Arc<dyn BrokerPort>, client: ClientInfo) {
//! let (transport, acceptor) = MqttTransport::accepting(my_broker);
//! // `transport` goes to the linker, `acceptor` to the hooks of the broker:
//! match acceptor.on_publish(&client, "sensors/1", Bytes::from_static(b"21.5")).await {
//!     LinkPublish::NotLink => { /* route it */ }
//!     LinkPublish::Taken => { /* acknowledge it */ }
//!     LinkPublish::Refused(_reason) => { /* refuse it */ }
//! }
//! assert!(matches!(acceptor.may_subscribe(&client, "$LINK/#"), LinkAccess::Refused(_)));
//! acceptor.on_disconnect(&client.client_id);
//! # let _ = transport;
//! # }
//! ```
//!
//! # Who may do what
//!
//! The first client that uses a channel of a token owns it; the clients of one connection must have logged in as the
//! same user, with the same certificate names. Nobody else can read or write these topics, not even through a wildcard
//! or a shared subscription, and a client that is refused costs the owner nothing. A client that breaks the rules of
//! its own channel is disconnected. Which user may speak for which cluster is decided by the core, from the
//! [`Identity`](link_core::transport::Identity) of the connection.
//!
//! # Limits
//!
//! Dialling: at most 64 clients per connection, frames of 16 MiB ([`MqttTransport::max_frame`]), Receive Maximum
//! packets waiting. Accepting: [`AcceptorLimits`]. Keep-alives are 5 s at least. Client ids have at most 128 bytes.

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
