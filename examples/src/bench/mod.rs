//! The parts of `link_bench`: each mode measures one set of figures.

pub mod bridge;
pub mod core;
pub mod e2e;
pub mod heap;
pub mod idle;
pub mod mqtt;

use std::time::Duration;

use link_core::{
    link::{ClusterName, LinkConfig},
    message::{Message, QoS},
    topic::{Topic, TopicFilter},
};

/// What can go wrong in a benchmark: something outside it, told in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longest time for anything that a benchmark waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of payload in every mode.
pub const PAYLOAD: usize = 256;

/// One measured value.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is: the mode, the case and the quantity, joined by dots.
    pub name: String,
    /// Its value; the median where several rounds were run.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Figure {
    /// A measured value.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

/// The value below which the part `quantile` (0 to 1) of the values lies; 0 of nothing.
pub fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1)) as f64 * quantile;
    values.get(at.round() as usize).copied().unwrap_or_default()
}

/// The median; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// A message without properties.
///
/// # Errors
/// If `topic` is none.
pub fn message(topic: &str, qos: QoS) -> Result<Message, Failure> {
    Ok(Message::new(Topic::new(topic.to_owned())?, vec![b'x'; PAYLOAD], qos))
}

/// A link that wants everything.
///
/// # Errors
/// If `peer` is no name, or a server no address.
pub fn link(peer: &str, servers: &[String]) -> Result<LinkConfig, Failure> {
    let mut link = LinkConfig::new(ClusterName::new(peer)?);
    link.topics = vec![TopicFilter::new("#")?];
    link.servers = servers.iter().map(|server| server.parse()).collect::<Result<_, _>>()?;
    Ok(link)
}
