//! Topic names and topic filters ([MQTT 5, section 4.7](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html)).

mod error;
mod filter;
mod name;

pub use error::{TopicError, TopicFilterError};
pub use filter::TopicFilter;
pub use name::Topic;
