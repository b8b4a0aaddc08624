//! Cluster linking for MQTT brokers.
//!
//! Independent broker clusters tell each other which topic filters they have subscribers for, and send each other only
//! the messages that match. This crate is all of it but the wire: topics and matching, route replication, delivery,
//! sessions, status. `link-mqtt` and `link-quic` carry it.
//!
//! | To | start at |
//! |---|---|
//! | embed it in a broker | [`driver::Linker`] and [`host::Host`]; the example below |
//! | try it without a network | [`memory`] |
//! | write a transport | [`transport::Transport`] |
//! | drive it without tokio, or simulate it | [`node::Node`] |
//! | use a part | [`topic`], [`index`], [`routes`], [`delivery`], [`wire`] |
//!
//! # Follow a subscription
//!
//! [`driver::Linker::subscribe`] counts it in [`interest`]; a first subscriber is a change for the
//! [`RouteLog`](routes::RouteLog) of each link, which cuts it to the link's topics; the node sends it as a
//! [`RouteDelta`](wire::RouteDelta); the peer's [`RouteReplica`](routes::RouteReplica) proves the step and puts it into
//! the shared [`index`].
//!
//! # Follow a message
//!
//! [`driver::Linker::publish`] asks that index, on the caller's thread; a match is encoded once and enters the
//! [`Outbox`](delivery::Outbox) of each peer that wants it; batches cross the link; the peer's
//! [`Inbox`](delivery::Inbox) drops what came before; [`host::Host::deliver`] takes it, and the acknowledgement goes
//! back.
//!
//! # Features
//!
//! - `driver` (on by default): the tokio event loop, the in-memory transport and broker. Without it nothing here knows a
//!   clock, a thread, a socket or a source of randomness.
//! - `config` (on by default): the TOML configuration file.

#[cfg(feature = "config")]
pub mod config;
pub mod delivery;
#[cfg(feature = "driver")]
pub mod driver;
pub mod host;
pub mod index;
pub mod interest;
pub mod link;
#[cfg(feature = "driver")]
pub mod memory;
pub mod message;
#[cfg(not(feature = "mutants"))]
mod mutant;
#[cfg(feature = "mutants")]
pub mod mutant;
pub mod node;
pub mod routes;
pub mod topic;
pub mod transport;
pub mod wire;

/// The examples of the README are compiled with the tests.
#[cfg(all(doctest, feature = "driver"))]
#[doc = include_str!("../../README.md")]
struct Readme;
