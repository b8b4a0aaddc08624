//! Topic names and topic filters ([MQTT 5, sections 4.7, 4.8.2 and
//! 1.5.4](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html)).
//!
//! A [`Topic`] or [`TopicFilter`] that exists is valid. Both are levels between `/`, and a level may be empty:
//!
//! ```text
//! a//b        levels "a", "", "b"
//! +           one level, whatever it is
//! a/#         a itself and everything below it
//! $share/g/f  the filter f, whose messages are shared among the subscribers of group g
//! ```
//!
//! A wildcard in the first level matches no topic that begins with `$`. Text is compared byte by byte: no
//! normalization, no folding of case. Every algorithm here is iterative, for a text may have 65,536 levels.
//!
//! ```
//! use link_core::topic::{Topic, TopicFilter};
//!
//! let rooms = TopicFilter::new("house/+/temperature")?;
//! assert!(rooms.matches(&Topic::new("house/kitchen/temperature")?));
//! assert!(TopicFilter::new("house/#")?.covers(&rooms));
//!
//! let kitchen = TopicFilter::new("house/kitchen/#")?;
//! assert_eq!(rooms.intersect(&kitchen), Some(TopicFilter::new("house/kitchen/temperature")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod filter;
mod levels;
mod name;
mod relation;
#[cfg(test)]
mod tests;

pub use error::{TopicError, TopicFilterError};
pub use filter::TopicFilter;
pub use levels::Levels;
pub use name::Topic;
pub use relation::matches;
pub(crate) use relation::{covers, intersects, is_reserved};

/// Most bytes of a topic name or topic filter: the length of an MQTT string is a 16-bit number (section 1.5.4).
pub const MAX_BYTES: usize = 65_535;
