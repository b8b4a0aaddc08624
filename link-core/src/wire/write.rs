use bytes::Bytes;

use super::HEADER_LEN;

/// Writes one frame: the header, then what is put into `out`.
pub(super) struct FrameWriter {
    pub(super) out: Vec<u8>,
}

impl FrameWriter {
    /// Begins a frame; `capacity` is the expected length of all of it.
    pub(super) fn new(kind: u8, flags: u8, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity.max(HEADER_LEN));
        out.extend_from_slice(&[kind, flags, 0, 0, 0, 0]);
        Self { out }
    }

    /// A field of a control frame, with the value that `write` puts.
    pub(super) fn field(&mut self, tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
        put_varint(&mut self.out, tag);
        let start = self.out.len();
        write(&mut self.out);
        // The length goes before the value once it is known; the value moves up by a byte or two.
        let length = self.out.len() - start;
        let mut prefix = [0; 10];
        let prefix = varint(length as u64, &mut prefix);
        self.out.resize(start + prefix.len() + length, 0);
        self.out.copy_within(start..start + length, start + prefix.len());
        self.out[start..start + prefix.len()].copy_from_slice(prefix);
    }

    /// The whole frame. A length that does not fit into the header is written as the highest number, which every
    /// receiver refuses.
    pub(super) fn finish(mut self) -> Bytes {
        let length = u32::try_from(self.out.len() - HEADER_LEN).unwrap_or(u32::MAX);
        self.out[2..HEADER_LEN].copy_from_slice(&length.to_be_bytes());
        Bytes::from(self.out)
    }
}

/// Appends an unsigned LEB128 number.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        out.extend_from_slice(varint(value, &mut [0; 10]));
    }
}

/// Bytes of an unsigned LEB128 number.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    // One byte for each seven bits that are begun; zero has one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[inline]
fn varint(mut value: u64, buffer: &mut [u8; 10]) -> &[u8] {
    let mut length = 0;
    while value >= 0x80 {
        buffer[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    buffer[length] = value as u8;
    &buffer[..length + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_foretold() {
        for shift in 0..64 {
            for value in [(1 << shift) - 1, 1 << shift, (1u64 << shift).wrapping_add(1)] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
            }
        }
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!((out.len(), varint_len(u64::MAX)), (10, 10));
    }
}
