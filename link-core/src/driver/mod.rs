//! The tokio event loop around the [`Node`](crate::node::Node), and the handle that a host holds.
//!
//! ```text
//!  host threads          event loop (one task)                    tasks
//!  Linker::publish  -->  queue --+                           +--> dial          (one per attempt)
//!  Linker::subscribe --> table --+--> node.handle(now, ..) --+--> write control (one per connection)
//!  connection tasks  --> inputs -+    drain the outputs      +--> write data    (one per channel)
//!                                                            +--> deliver       (one per peer)
//! ```
//!
//! The loop never waits for a transport or for the host: what it hands to a task is bounded by the windows and limits
//! of the node. A link whose network or host is slow holds up only its own tasks.

mod connection;
mod deliver;
mod event_loop;
mod linker;

pub use linker::{Linker, LinkerBuilder, StartError, Stopped};
