//! The reference model: who is subscribed to what, who must know of it, and what became of every message.
//!
//! It is told what clients do and what the network does, and it sees what nodes hand to hosts and what they write on
//! the wire. It asks the library nothing: topics are matched by splitting texts, and everything else is counting.
//!
//! Its exceptions are the library's, and no more:
//!
//! - an outbox is in memory: a sender that dies loses what it had not delivered;
//! - so is an inbox: a receiver that dies may be given again what its host took and its acknowledgement did not tell;
//! - QoS 0 dies with a connection;
//! - what expires, what a host refuses, what is not imported and what a dropping policy drops is counted.

mod copies;
mod knowledge;
mod sessions;
mod topics;

pub(crate) use self::topics::matches;
pub(crate) use copies::{Accepted, Copies};
pub(crate) use knowledge::{Expected, Knowledge};
pub(crate) use sessions::Sessions;
