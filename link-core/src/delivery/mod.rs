//! (in work)
mod budget;
mod inbox;
mod lane;
mod ledger;
mod origin;
mod outbox;
mod queue;

pub use budget::{Budget, MESSAGE_OVERHEAD, Overflow, cost};
pub use inbox::{Arrival, Inbox, InboxFault, Received, Token};
pub use ledger::{DropReason, Dropped, ReceiveLedger, Refusals, SendLedger};
pub use origin::{OriginWindow, Seen};
pub use outbox::{AckFault, AckOutcome, BatchSink, Filled, Outbox, Pushed, ResumeFault, Terms};
