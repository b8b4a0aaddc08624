//! What both sides say first, on the control stream: which layout the streams have.

use thiserror::Error;

/// The first bytes of the dialler on the control stream, and of the acceptor's answer.
///
/// ```text
/// +------+------+------+------+---------------+----------------------+
/// |  'M'    'Q'    'L'    '1' | channels (u16)| most frame bytes (u32)|    big endian
/// +------+------+------+------+---------------+----------------------+
/// ```
///
/// The acceptor answers when the dialler's certificate has been verified: with TLS 1.3 a dialler cannot tell earlier
/// whether it was let in. Each side sends no frame that is larger than the other one takes. The number of data channels
/// is the dialler's; the answer repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preface {
    pub(crate) channels: u16,
    pub(crate) max_frame: u32,
}

const MAGIC: [u8; 4] = *b"MQL1";
/// Most data channels of a connection.
pub(crate) const MOST_CHANNELS: u16 = 64;

/// Why bytes are no preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PrefaceError {
    #[error("the control stream begins with {0:02x?}, not with `MQL1`")]
    Magic([u8; 4]),
    #[error("{0} data channels are asked for, 1 to {MOST_CHANNELS} are allowed")]
    Channels(u16),
}

impl Preface {
    pub(crate) const SIZE: usize = 10;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.channels.to_be_bytes());
        bytes[6..].copy_from_slice(&self.max_frame.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; Self::SIZE]) -> Result<Self, PrefaceError> {
        let [a, b, c, d, high, low, size @ ..] = bytes;
        if [a, b, c, d] != MAGIC {
            return Err(PrefaceError::Magic([a, b, c, d]));
        }
        let channels = u16::from_be_bytes([high, low]);
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return Err(PrefaceError::Channels(channels));
        }
        Ok(Self { channels, max_frame: u32::from_be_bytes(size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let preface = Preface { channels: 8, max_frame: 16 << 20 };
        let bytes = preface.encode();
        assert_eq!(Preface::decode(bytes), Ok(preface));
        for at in 0..4 {
            let mut other = bytes;
            other[at] ^= 1;
            assert!(matches!(Preface::decode(other), Err(PrefaceError::Magic(_))), "byte {at}");
        }
        for channels in [0, MOST_CHANNELS + 1, u16::MAX] {
            let wrong = Preface { channels, ..preface }.encode();
            assert_eq!(Preface::decode(wrong), Err(PrefaceError::Channels(channels)));
        }
    }
}
