//! The configuration file of a linker, in TOML.
//!
//! ```toml
//! cluster = "us"
//! node = "us-1"
//! scope = "node"
//! warm_up = "30s"
//!
//! [[link]]
//! name = "eu"
//! server = ["mqtts://eu-1.example.org", "mqtts://eu-2.example.org:8884"]
//! topics = ["fleet/#", "alarms/+"]
//! username = "us-link"
//! password_env = "EU_LINK_PASSWORD"
//! ```
//!
//! Every link is read by itself: one that is wrong is reported with its position, its name and what is wrong, and
//! stops no other. An unknown key is wrong. `server` and `topics` must be there, and may be empty: without a server
//! the link waits to be dialled, without topics it receives nothing. `scope` may be left out; `"cluster"` says that any
//! node of this cluster can take a message for all of them. So may `warm_up`: how long after its start the node announces
//! additions only, for sessions that outlived the restart to come back.

mod duration;
mod link;

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;
use thiserror::Error;

pub use duration::{DurationError, parse_duration};
pub use link::EntryError;

use crate::link::{ClusterName, LinkConfig, LinkError, NameError, NodeName, Scope};

/// What a configuration file says.
#[derive(Debug)]
pub struct Config {
    /// The own cluster.
    pub cluster: ClusterName,
    /// The own node.
    pub node: NodeName,
    /// For whom the node takes messages.
    pub scope: Scope,
    /// How long after its start the node announces additions only.
    pub warm_up: Duration,
    /// The links that are right.
    pub links: Vec<LinkConfig>,
    /// The links that are wrong.
    pub faults: Vec<LinkFault>,
}

/// Why a configuration file can't be used at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// It is not TOML, or a key outside the links is wrong.
    #[error("the configuration can't be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A duration is wrong.
    #[error("`{key}`: {error}")]
    Duration {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        error: DurationError,
    },
    /// A name is wrong.
    #[error("`{key}`: {error}")]
    Name {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        error: NameError,
    },
}

/// A link that can't be used.
#[derive(Debug, Error)]
#[error("link {at}{}: {error}", .name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default())]
pub struct LinkFault {
    /// Its position in the file, from 1.
    pub at: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What is wrong.
    pub error: EntryError,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    node: String,
    #[serde(default)]
    scope: ScopeEntry,
    warm_up: Option<String>,
    #[serde(default)]
    link: Vec<toml::Table>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum ScopeEntry {
    #[default]
    Node,
    Cluster,
}

impl Config {
    /// Reads a configuration. Secrets that stand in other files or in the environment are read too.
    ///
    /// # Errors
    /// A [`ConfigFileError`] if nothing can be used; wrong links alone are in [`Config::faults`].
    pub fn parse(text: &str) -> Result<Self, ConfigFileError> {
        let file: File = toml::from_str(text)?;
        let cluster =
            ClusterName::new(&file.cluster).map_err(|error| ConfigFileError::Name { key: "cluster", error })?;
        let node = NodeName::new(&file.node).map_err(|error| ConfigFileError::Name { key: "node", error })?;
        let warm_up = file.warm_up.map_or(Ok(Duration::ZERO), |text| parse_duration(&text));
        let warm_up = warm_up.map_err(|error| ConfigFileError::Duration { key: "warm_up", error })?;
        let (mut links, mut faults, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (index, table) in file.link.into_iter().enumerate() {
            let name = table.get("name").and_then(|name| name.as_str()).map(str::to_owned);
            let link = link::parse(table).and_then(|link| {
                if link.name == cluster {
                    return Err(LinkError::Own(link.name).into());
                }
                if !names.insert(link.name.clone()) {
                    return Err(LinkError::Exists(link.name).into());
                }
                Ok(link)
            });
            match link {
                Ok(link) => links.push(link),
                Err(error) => faults.push(LinkFault { at: index + 1, name, error }),
            }
        }
        let scope = match file.scope {
            ScopeEntry::Node => Scope::Node,
            ScopeEntry::Cluster => Scope::Cluster,
        };
        Ok(Self { cluster, node, scope, warm_up, links, faults })
    }
}
