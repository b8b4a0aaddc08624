//! How frames lie in streams.
//!
//! ```text
//! control stream   preface | record record ...                         one, bidirectional, opened by the dialler
//! channel stream   CHANNEL | channel (u16) | record record ...         one for each data channel and direction
//! large stream     LARGE | the frame                                   ends with the frame
//!
//! record           length (u32) | the frame
//!                  DETACHED + length (u32) | id of a large stream (u64)    channel streams only
//! ```
//!
//! All numbers are big endian. A record that says *detached* stands for the frame of a large stream: what follows it in
//! its channel is given out behind that frame.

/// First byte of the stream of a data channel.
pub(crate) const CHANNEL: u8 = 1;
/// First byte of a stream with one large frame.
pub(crate) const LARGE: u8 = 2;

/// Bytes of a length.
pub(crate) const LENGTH: usize = 4;
/// In a length: the frame is on a stream of its own.
pub(crate) const DETACHED: u32 = 1 << 31;
/// Bytes of the record of such a frame.
pub(crate) const MARK: usize = 12;
