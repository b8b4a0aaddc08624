//! The parts of `link_bench`: each mode measures one set of figures.

pub mod core;

use link_core::{
    message::{Message, QoS},
    topic::Topic,
};

/// One measured value.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its value; the median where several rounds were run.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Figure {
    /// A measured value.
    pub fn new(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit }
    }
}

/// The median; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A message without properties, of `size` bytes of payload.
pub fn message(topic: &str, qos: QoS, size: usize) -> Message {
    Message {
        topic: Topic::new(topic.to_owned()).expect("a topic"),
        payload: vec![b'x'; size].into(),
        qos,
        retain: false,
        properties: Default::default(),
    }
}
