use thiserror::Error;

/// What this machine lacks for an emulator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Missing {
    /// There are no network namespaces.
    #[error("the system is not Linux")]
    Linux,
    /// Namespaces and devices are root's.
    #[error("the user is not root")]
    Root,
    /// The device file can't be opened.
    #[error("/dev/net/tun can't be opened: {0}")]
    Tun(std::io::Error),
    /// The command is not installed.
    #[error("the command `ip` can't be run: {0}")]
    Ip(std::io::Error),
    /// All is there, and does not work.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A step of setting up failed. What the steps before it made is taken down again.
#[derive(Debug, Error)]
#[error("{step}: {reason}")]
pub struct SetupError {
    /// What was tried.
    pub step: String,
    /// What the system said.
    pub reason: String,
}
