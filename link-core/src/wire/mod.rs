//! The frames of a link and their bytes. `docs/protocol.md` is normative.

mod frame;

pub use frame::*;
