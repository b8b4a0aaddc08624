//! Messages of one link: accepted once, kept until the peer's host took them, handed on once.
//!
//! ```text
//!        lane of the sender (Outbox)                           lane of the receiver (Inbox)
//!
//!   base          cursor          next                    delivered     received
//!    │              │              │                          │             │
//!    ▼              ▼              ▼                          ▼             ▼
//!  ──┬─────────────┬┬──────────────┬──▶ seq         ───────────┬────────────┬──▶ seq
//!    │ sent, not   ││ not sent yet │                  done     │ in the     │ never seen
//!    │ acknowledged││              │                           │ host's     │
//!    └─────────────┘└──────────────┘                           │ hands      │
//! ```
//!
//! A lane is an ordered stream of numbered places. Each place holds a message, or is a *skip*: its message was dropped
//! or expired and will not come. The invariants:
//!
//! - the sender keeps every QoS 1 and 2 message from its acceptance until an acknowledgement covers its place;
//! - the receiver takes only the place that follows the last one it took: a place at or below is a duplicate and
//!   dropped, a place beyond is a gap and ends the connection; so what it hands on has no loss and no repetition;
//! - an acknowledgement covers only places whose message the host took or refused;
//! - for both ends, at any moment, accepted = delivered + expired + dropped + queued (see [`Ledger`]).
//!
//! **Across connections.** A receiver that lives on keeps `received`: what is in the host's hands when the connection
//! breaks is finished there, and when the sender repeats it (it resumes behind `delivered`, the only thing the
//! receiver promises in HELLO) it is a duplicate. A receiver that was restarted has lost what was in its hands, and
//! takes up where the sender stands. A sender that was restarted is a new life, and its lanes start anew.

mod budget;
mod inbox;
mod lane;
mod ledger;
mod outbox;
mod queue;
mod window;

pub use budget::{Budget, MESSAGE_OVERHEAD, Overflow, cost};
pub use inbox::{Inbox, InboxFault, Received};
pub use ledger::{Dropped, Ledger, ReceivedLedger};
pub use outbox::{Outbox, OutboxFault};
pub use window::{OriginWindow, Seen};
