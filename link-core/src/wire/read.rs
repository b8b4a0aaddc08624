use bytes::Bytes;
use bytestring::ByteString;

use super::{DecodeError, Problem};

/// Reads a part of a frame from front to back; every read is checked against what is left.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
    frame: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from `at` (at most its length) on; `frame` is its name in errors.
    #[inline]
    pub(super) fn new(bytes: &'a Bytes, at: usize, frame: &'static str) -> Self {
        Self { bytes, at: at.min(bytes.len()), end: bytes.len(), frame }
    }

    #[inline]
    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        if self.at < self.end {
            let byte = self.bytes[self.at];
            self.at += 1;
            Ok(byte)
        } else {
            Err(self.truncated(field, 1))
        }
    }

    /// An unsigned LEB128 number in its shortest form.
    #[inline]
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 && self.at < self.end => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(field),
        }
    }

    fn long_varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.u8(field)?;
            if shift == 63 && byte > 1 {
                return Err(self.error_at(start, field, Problem::VarintOverflow));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(self.error_at(start, field, Problem::VarintNotShortest));
                }
                break;
            }
        }
        Ok(value)
    }

    /// A number that is at most `limit`.
    #[inline]
    pub(super) fn varint_up_to(&mut self, field: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let start = self.at;
        let value = self.varint(field)?;
        if value > limit {
            return Err(self.error_at(start, field, Problem::Value { value }));
        }
        Ok(value)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.varint_up_to(field, u64::from(u32::MAX)).map(|value| value as u32)
    }

    /// A length of at most `limit`, and of at most what is left.
    #[inline]
    pub(super) fn length(&mut self, field: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let start = self.at;
        let length = self.varint(field)?;
        if length > limit as u64 {
            return Err(self.error_at(start, field, Problem::TooLong { length, limit: limit as u64 }));
        }
        if length > self.left() as u64 {
            return Err(self.truncated(field, length));
        }
        Ok(length as usize)
    }

    /// A count of at most `limit`, of items that take at least `least` bytes each.
    pub(super) fn count(&mut self, field: &'static str, limit: usize, least: u64) -> Result<usize, DecodeError> {
        let start = self.at;
        let count = self.varint(field)?;
        if count > limit as u64 {
            return Err(self.error_at(start, field, Problem::TooMany { count, limit: limit as u64 }));
        }
        let needed = count.saturating_mul(least);
        if needed > self.left() as u64 {
            return Err(self.truncated(field, needed));
        }
        Ok(count as usize)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let part = self.bytes.get(self.at..self.end).and_then(|rest| rest.first_chunk::<N>());
        match part {
            Some(part) => {
                self.at += N;
                Ok(*part)
            }
            None => Err(self.truncated(field, N as u64)),
        }
    }

    /// The next `length` bytes, borrowed. `length` comes from [`length`](Self::length).
    #[inline]
    pub(super) fn take(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.left() {
            return Err(self.truncated(field, length as u64));
        }
        let part = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(part)
    }

    /// The next `length` bytes, sharing the frame's memory.
    #[inline]
    pub(super) fn share(&mut self, field: &'static str, length: usize) -> Result<Bytes, DecodeError> {
        let start = self.at;
        self.take(field, length)?;
        Ok(self.bytes.slice(start..self.at))
    }

    /// A reader of the next `length` bytes alone.
    pub(super) fn part(&mut self, field: &'static str, length: usize) -> Result<Reader<'a>, DecodeError> {
        let start = self.at;
        self.take(field, length)?;
        Ok(Reader { bytes: self.bytes, at: start, end: self.at, frame: self.frame })
    }

    /// A reader of all of `bytes`, which this part of the frame unfolds to.
    pub(super) fn over<'b>(&self, bytes: &'b Bytes) -> Reader<'b> {
        Reader::new(bytes, 0, self.frame)
    }

    /// The next `length` bytes as text, sharing the frame's memory.
    #[inline]
    pub(super) fn text(&mut self, field: &'static str, length: usize) -> Result<ByteString, DecodeError> {
        let start = self.at;
        let bytes = self.share(field, length)?;
        match ByteString::try_from(bytes) {
            Ok(text) => Ok(text),
            Err(_) => Err(self.not_utf8(start, field)),
        }
    }

    /// The next `length` bytes as text, borrowed.
    pub(super) fn str(&mut self, field: &'static str, length: usize) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let bytes = self.take(field, length)?;
        std::str::from_utf8(bytes).map_err(|_| self.not_utf8(start, field))
    }

    /// The end: nothing may be left.
    #[inline]
    pub(super) fn finish(&self, field: &'static str) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error_at(self.at, field, Problem::Trailing { left })),
        }
    }

    #[inline]
    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[cold]
    pub(super) fn error_at(&self, at: usize, field: &'static str, problem: impl Into<Problem>) -> DecodeError {
        DecodeError { frame: self.frame, field, at, problem: problem.into() }
    }

    #[cold]
    fn truncated(&self, field: &'static str, needed: u64) -> DecodeError {
        self.error_at(self.at, field, Problem::Truncated { needed, left: self.left() })
    }

    /// The error for a text from `start` to here that is not UTF-8.
    #[cold]
    fn not_utf8(&self, start: usize, field: &'static str) -> DecodeError {
        let valid_up_to = std::str::from_utf8(&self.bytes[start..self.at]).err().map_or(0, |error| error.valid_up_to());
        self.error_at(start, field, Problem::Utf8 { valid_up_to })
    }
}
