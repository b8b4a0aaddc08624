//! Messages of one link: accepted once, kept until the peer's host took them, handed on once.
//!
//! ```text
//!         lane of the sender (Outbox)                       lane of the receiver (Inbox)
//!
//!     acked           sent_to         next                delivered       received
//!       │                │              │                     │               │
//!  ─────┼────────────────┼──────────────┼──▶ seq         ─────┼───────────────┼─────▶ seq
//!  done │ in flight: on  │ waiting:     │                done │ pending: in   │ never seen
//!       │ the way, or in │ QoS 1 and 2  │                     │ the host's    │
//!       │ the peer's     │ kept, QoS 0  │      BATCH          │ hands         │
//!       │ hands          │ while live   │    ────────▶        │               │
//!       ▲                                                     │               │
//!       └───────────────────────── ACK ───────────────────────┘               │
//!                        ▲                                                    │
//!                        └───────── HELLO, on a new connection ───────────────┘
//! ```
//!
//! A lane is an ordered stream of places, numbered from 1 when their messages enter it. A place whose message expired
//! or was dropped is a *skip*: it is in no queue, takes no memory, and is named only where the next message is sent.
//! The invariants:
//!
//! - the sender keeps every QoS 1 and 2 message from its acceptance until an acknowledgement covers its place;
//! - the receiver takes only the place that follows the last one it took: a place at or below is a duplicate and
//!   dropped, a place beyond is a gap and ends the connection; so what it hands on has no loss and no repetition;
//! - an acknowledgement covers only places whose message the host took or refused;
//! - what is pending at the receiver is in flight at the sender; so both hold the same window to be used, and a sender
//!   that keeps to it never breaks it;
//! - for both ends, at any moment, accepted = delivered + expired + dropped + moved + queued (see [`Ledger`]).
//!
//! **Across connections.** HELLO tells `received`, not `delivered`: what is pending is finished by the same host, in the
//! same queue, and must not come again. But it is no acknowledgement: the sender only goes on behind it, and keeps what
//! is up to it in flight, for the receiver may die with it. What was sent above it did not arrive: QoS 1 and 2 wait
//! again, in front; QoS 0 is dropped. The receiver acknowledges again whatever the sender's `lanes` show that it does
//! not know, refusals included. For this the receiver takes nothing more from an earlier connection once it has told
//! its watermarks; the node closes that one first.
//!
//! **Across restarts.** A restarted receiver knows nothing: the sender begins with its first unacknowledged place. What
//! the old receiver had handed on without acknowledging it is delivered a second time; only a watermark on disk can
//! prevent that. A restarted sender is a new life, and its lanes start where it says.
//!
//! **At the limit.** The [`Budget`] is kept on the publishers' threads, before a message enters the queue to the node.
//! The `n`th message waiting costs nothing that depends on `n`: each operation is constant per message it settles,
//! dropping the oldest included.

mod budget;
mod datagrams;
mod inbox;
mod lane;
mod ledger;
mod outbox;
mod queue;
mod window;

pub use budget::{Budget, MESSAGE_OVERHEAD, Overflow, cost};
pub use inbox::{Inbox, InboxFault, Received};
pub use ledger::{Dropped, Ledger, ReceivedLedger};
pub use outbox::{Outbox, OutboxFault, Unsent};
pub use window::{OriginWindow, Seen};
