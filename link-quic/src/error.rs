//! Why connections end.

use link_core::transport::ConnectionError;
use quinn::{ApplicationClose, ConnectionError as Quic, ReadError, ReadExactError, WriteError};

/// What the end of a QUIC connection means to the linker.
pub(crate) fn lost(error: Quic) -> ConnectionError {
    match error {
        Quic::ApplicationClosed(ApplicationClose { reason, .. }) => {
            ConnectionError::Closed(String::from_utf8_lossy(&reason).into_owned())
        }
        Quic::ConnectionClosed(close) => ConnectionError::Closed(close.to_string()),
        Quic::LocallyClosed => ConnectionError::Closed("this side closed the connection".to_owned()),
        error => ConnectionError::Lost(error.to_string()),
    }
}

pub(crate) fn write_error(error: WriteError) -> ConnectionError {
    match error {
        WriteError::ConnectionLost(error) => lost(error),
        error => ConnectionError::Lost(error.to_string()),
    }
}

pub(crate) fn read_error(error: ReadExactError) -> ConnectionError {
    match error {
        ReadExactError::FinishedEarly(_) => ConnectionError::Closed("the peer ended a stream".to_owned()),
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => lost(error),
        ReadExactError::ReadError(error) => ConnectionError::Lost(error.to_string()),
    }
}
