//! Links: names, settings, sessions and status.
//!
//! A link belongs to one peer cluster. Each node of that cluster that connects, or is reached, is a peer of the link
//! with its own queue, route set and watermarks; a session is one connection to it.

mod backoff;
mod config;
mod error;
mod name;
mod peer;
mod record;
mod resync;
mod scope;
mod session;
mod status;

pub(crate) use backoff::Backoff;
pub use config::{ConfigError, LinkConfig, Secret, TlsSettings};
pub use error::LinkError;
pub use name::{ClusterName, NameError, NodeName};
pub(crate) use peer::{Part, Peer};
pub(crate) use record::{Link, LinkId};
pub(crate) use resync::Resyncing;
pub use resync::{Resync, ResyncMethod, RouteSync};
pub use scope::Scope;
pub(crate) use session::{Phase, Role, RouteSending, Session};
pub use status::{LinkState, LinkStatus, PeerStatus};
