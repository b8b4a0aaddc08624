//! Carries a cluster link over QUIC (RFC 9000): for paths that lose, delay and move.
//!
//! ```text
//!  dialling node                                              accepting node
//!   control ══ one bidirectional stream, first of all ══════════▶ ◀══ control
//!   data 0  ── a stream ──────────────────────────────▶
//!   data 1  ── a stream ──────────────────────────────▶        ...and the same back
//!   a large frame ── a stream of its own ─────────────▶
//! ```
//!
//! One connection of the core is one QUIC connection. Each data channel is an ordered stream of its own, so that a packet
//! that is lost holds up one channel, and never control, which goes before all. Frames above
//! [`detach_above`](QuicSettings::detach_above) go on streams of their own, behind all else; they keep their place in
//! their channel. The windows of the streams are the back-pressure: a receiver that takes nothing stops its sender. Datagrams
//! go at a pace that leaves half of the path to the streams.
//!
//! # Who may connect
//!
//! Both ends show certificates, always (mTLS, TLS 1.3, ALPN `mqtt-link/1`). Each trusts the authorities that its own
//! settings name, and no others. A certificate says for which *cluster* it speaks, as a DNS name:
//!
//! - the dialling side wants the name of the link in the certificate of the acceptor, or `tls.server_name` if that is set;
//! - the accepting side wants the name of the cluster that speaks in the dialler's certificate, or the link's
//!   [`peer_identity`](link_core::link::LinkConfig::peer_identity) if that is set.
//!
//! A port may serve several links: it trusts the authorities of all of them, and the `tls.ca` of a link, where it has TLS settings,
//! says which of those may speak for its cluster.
//!
//! Where a session is resumed the certificates are not shown again, but both sides verify them again: one that has expired
//! since ends there. The name that is wanted is a DNS name, never an address.
//!
//! A dialler knows that it was let in when the acceptor has answered its preface: with TLS 1.3 its own handshake is over
//! before its certificate is looked at.
//!
//! # When the path changes
//!
//! A connection outlives a change of the dialler's address, by a NAT or by [`rebind`](QuicTransport::rebind), without
//! losing anything. A host with several addresses is tried at each, with an equal share of
//! [`connect_timeout`](link_core::link::LinkConfig::connect_timeout), at least 1 s. A socket that fails is replaced; what
//! went over it is lost, and the links dial again. If UDP is blocked the dial fails, and the link tries its next address, which may be one of
//! `link-mqtt`; the session resumes there, and comes back when the first address answers again
//! ([`return_after`](link_core::link::LinkConfig::return_after)).
//!
//! # Example
//!
//! ```
//! use std::net::{Ipv4Addr, SocketAddr};
//!
//! use link_core::link::TlsSettings;
//! use link_quic::{QuicSettings, QuicTransport};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 14567));
//! // Nothing is trusted by default:
//! let error = QuicTransport::listen(any, &TlsSettings::default(), QuicSettings::default()).err();
//! assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("tls.ca has no certificate"));
//! # }
//! ```

mod accept;
mod datagrams;
#[cfg(feature = "development")]
pub mod development;
mod dial;
mod endpoints;
mod error;
mod handshakes;
mod listener;
mod network;
mod preface;
mod receive;
mod record;
mod send;
mod sessions;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
mod tls;
mod transport;

pub use settings::{Congestion, QuicSettings};
pub use transport::{ListenError, QuicTransport};
