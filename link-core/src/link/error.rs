use thiserror::Error;

use crate::link::{ClusterName, ConfigError};

/// Why a change of the links was refused. Nothing has changed when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is a link of that name already.
    #[error("there is a link `{0}` already")]
    Exists(ClusterName),
    /// There is no link of that name.
    #[error("there is no link `{0}`")]
    Unknown(ClusterName),
    /// A cluster does not link to itself.
    #[error("`{0}` is this cluster: a cluster does not link to itself")]
    Own(ClusterName),
    /// The settings are wrong.
    #[error("link `{link}`: {error}")]
    Config {
        /// The link.
        link: ClusterName,
        /// What is wrong.
        error: ConfigError,
    },
    /// The linker has stopped.
    #[error("the linker has stopped")]
    Stopped,
}
