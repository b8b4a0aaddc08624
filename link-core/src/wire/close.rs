/// Why a connection is closed.
///
/// Codes 1 to 15 are events, 16 to 31 refusals, 32 and more faults of the receiver of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// The node stops. Code 1.
    Shutdown,
    /// The link was changed and dials again. Code 2.
    Restart,
    /// A newer connection of the same link took over. Code 3.
    Superseded,
    /// Nothing was heard for too long. Code 4.
    Timeout,
    /// The link is disabled at the sender. Code 16.
    Disabled,
    /// The sender has no link of that name. Code 17.
    UnknownCluster,
    /// The peer expected another cluster. Code 18.
    WrongCluster,
    /// The peer has the sender's own cluster name. Code 19.
    SelfLink,
    /// No common protocol version. Code 20.
    Version,
    /// The authenticated identity may not speak for that cluster. Code 21.
    Identity,
    /// A frame could not be decoded. Code 32.
    Malformed,
    /// A frame is over a limit. Code 33.
    TooLarge,
    /// A frame came out of turn or broke a rule of the protocol. Code 34.
    Protocol,
    /// More was sent than the window allows. Code 35.
    Window,
    /// The peer announced more routes than allowed. Code 36.
    TooManyRoutes,
    /// The peer's cluster has more nodes than allowed. Code 37.
    TooManyPeers,
    /// A code of a later version; it may come before a version is agreed on.
    Unknown(u16),
}

/// When a dialler tries again after a [`CloseCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// At once, without a pause.
    AtOnce,
    /// After the usual growing pause.
    Backoff,
    /// After the longest pause: it helps only when somebody has changed a configuration.
    LongPause,
    /// Not by itself: another connection serves the link.
    No,
}

impl CloseCode {
    /// The reason with this number.
    pub fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Shutdown,
            2 => Self::Restart,
            3 => Self::Superseded,
            4 => Self::Timeout,
            16 => Self::Disabled,
            17 => Self::UnknownCluster,
            18 => Self::WrongCluster,
            19 => Self::SelfLink,
            20 => Self::Version,
            21 => Self::Identity,
            32 => Self::Malformed,
            33 => Self::TooLarge,
            34 => Self::Protocol,
            35 => Self::Window,
            36 => Self::TooManyRoutes,
            37 => Self::TooManyPeers,
            other => Self::Unknown(other),
        }
    }

    /// Its number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Shutdown => 1,
            Self::Restart => 2,
            Self::Superseded => 3,
            Self::Timeout => 4,
            Self::Disabled => 16,
            Self::UnknownCluster => 17,
            Self::WrongCluster => 18,
            Self::SelfLink => 19,
            Self::Version => 20,
            Self::Identity => 21,
            Self::Malformed => 32,
            Self::TooLarge => 33,
            Self::Protocol => 34,
            Self::Window => 35,
            Self::TooManyRoutes => 36,
            Self::TooManyPeers => 37,
            Self::Unknown(code) => code,
        }
    }

    /// When the dialler tries again; an unknown code goes by its range.
    pub fn retry(self) -> Retry {
        match self.code() {
            2 => Retry::AtOnce,
            3 => Retry::No,
            16..=31 => Retry::LongPause,
            _ => Retry::Backoff,
        }
    }

    /// Whether it turns the peer away because of who it is or how a link is configured.
    pub fn is_refusal(self) -> bool {
        (16..=31).contains(&self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for code in 0..=u16::MAX {
            assert_eq!(CloseCode::from_code(code).code(), code);
        }
        assert_eq!(CloseCode::from_code(30).retry(), Retry::LongPause);
    }
}
