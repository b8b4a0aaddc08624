use bytes::Bytes;

use super::{
    Batch, DecodeError, Entry, HEADER_LEN, Header, Limits, MANDATORY, Problem, kind,
    read::Reader,
    write::{FrameWriter, put_varint},
};

/// Most bytes that a batch of a single message has besides the body: a message fits a peer if this and the length of
/// its body are at most the `max_frame` of its HELLO.
pub const BATCH_OVERHEAD: usize = HEADER_LEN + 1 + 10 + ENTRY_OVERHEAD;

/// First byte of an entry, expiry and length of the body.
const ENTRY_OVERHEAD: usize = 1 + 5 + 5;

const MESSAGE: u8 = 0;
const MESSAGE_WITH_EXPIRY: u8 = 1;
const SKIP: u8 = 2;

/// Writes a [`Batch`] without keeping its entries: each is copied once, into the frame.
pub struct BatchWriter {
    frame: FrameWriter,
    entries: usize,
    empty: usize,
}

impl BatchWriter {
    /// Begins a batch of `lane` whose first entry has the sequence number `first`. `capacity` is the expected length
    /// of the frame; it grows beyond if it must.
    pub fn new(lane: u8, first: u64, capacity: usize) -> Self {
        let mut frame = FrameWriter::new(kind::BATCH, MANDATORY, capacity);
        frame.out.push(lane);
        put_varint(&mut frame.out, first);
        let empty = frame.out.len();
        Self { frame, entries: 0, empty }
    }

    /// Adds a message that expires in `expiry` seconds; `body` is from [`encode_message`](super::encode_message).
    #[inline]
    pub fn message(&mut self, expiry: Option<u32>, body: &[u8]) {
        let out = &mut self.frame.out;
        out.reserve(ENTRY_OVERHEAD + body.len());
        match expiry {
            None => out.push(MESSAGE),
            Some(seconds) => {
                out.push(MESSAGE_WITH_EXPIRY);
                put_varint(out, seconds.into());
            }
        }
        put_varint(out, body.len() as u64);
        out.extend_from_slice(body);
        self.entries += 1;
    }

    /// Adds a run of `count` places whose messages will not come. None for a count of 0.
    pub fn skip(&mut self, count: u64) {
        if count > 0 {
            self.frame.out.push(SKIP);
            put_varint(&mut self.frame.out, count);
            self.entries += 1;
        }
    }

    /// Bytes of the frame so far, header included. The next message adds at most 11 bytes and its body.
    pub fn len(&self) -> usize {
        self.frame.out.len()
    }

    /// Number of entries so far. A batch has at most 65,536.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Whether it has no entry yet.
    pub fn is_empty(&self) -> bool {
        self.frame.out.len() == self.empty
    }

    /// The frame.
    pub fn finish(self) -> Bytes {
        self.frame.finish()
    }
}

/// Reads the entries of a batch one by one, without a list of them. Bodies are slices of the frame.
///
/// [`decode`](super::decode) reads all of them before it gives any out; this gives out what comes before a fault.
/// After an error it is at its end.
#[derive(Debug, Clone)]
pub struct BatchReader {
    frame: Bytes,
    at: usize,
    lane: u8,
    first: u64,
    next: u64,
    allowed: usize,
    limit: usize,
}

impl BatchReader {
    /// Reads the header of a batch, up to the first entry. `frame` is a whole frame of the kind
    /// [`BATCH`](super::kind::BATCH); of another kind it is refused.
    pub fn new(frame: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let header = Header::parse(&frame, limits)?;
        let mut reader = Reader::new(&frame, HEADER_LEN, "BATCH");
        if header.kind != kind::BATCH {
            return Err(reader.error_at(0, "kind", Problem::Value { value: header.kind.into() }));
        }
        let lane = reader.u8("lane")?;
        let first = reader.varint("first")?;
        let at = reader.at();
        Ok(Self { frame, at, lane, first, next: first, allowed: limits.max_entries, limit: limits.max_entries })
    }

    /// The lane.
    pub fn lane(&self) -> u8 {
        self.lane
    }

    /// Sequence number of the first entry of the batch.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Sequence number of the entry that [`next`](Iterator::next) gives.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    #[inline]
    fn entry(&mut self) -> Result<Entry, DecodeError> {
        let reader = &mut Reader::new(&self.frame, self.at, "BATCH");
        if self.allowed == 0 {
            let problem = Problem::TooMany { count: self.limit as u64 + 1, limit: self.limit as u64 };
            return Err(reader.error_at(self.at, "entries", problem));
        }
        let (places, entry) = match reader.u8("entry")? {
            MESSAGE => (1, Entry::Message { expiry: None, body: body(reader)? }),
            MESSAGE_WITH_EXPIRY => {
                let expiry = Some(reader.u32("expiry")?);
                (1, Entry::Message { expiry, body: body(reader)? })
            }
            SKIP => {
                let at = reader.at();
                match reader.varint("skip")? {
                    0 => return Err(reader.error_at(at, "skip", Problem::Value { value: 0 })),
                    count => (count, Entry::Skip { count }),
                }
            }
            other => return Err(reader.error_at(self.at, "entry", Problem::Value { value: other.into() })),
        };
        let Some(next) = self.next.checked_add(places) else {
            return Err(reader.error_at(self.at, "entry", Problem::SequenceOverflow));
        };
        self.next = next;
        self.at = reader.at();
        self.allowed -= 1;
        Ok(entry)
    }
}

impl Iterator for BatchReader {
    type Item = Result<Entry, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.frame.len() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.at = self.frame.len();
        }
        Some(entry)
    }
}

impl std::iter::FusedIterator for BatchReader {}

#[inline]
fn body(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let length = reader.length("body", usize::MAX)?;
    reader.share("body", length)
}

pub(super) fn encode_batch(batch: &Batch) -> Bytes {
    let bodies: usize = batch
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Message { body, .. } => ENTRY_OVERHEAD + body.len(),
            Entry::Skip { .. } => ENTRY_OVERHEAD,
        })
        .sum();
    let mut writer = BatchWriter::new(batch.lane, batch.first, BATCH_OVERHEAD + bodies);
    for entry in &batch.entries {
        match entry {
            Entry::Message { expiry, body } => writer.message(*expiry, body),
            Entry::Skip { count } => writer.skip(*count),
        }
    }
    writer.finish()
}

pub(super) fn decode_batch(frame: Bytes, limits: &Limits) -> Result<Batch, DecodeError> {
    let mut reader = BatchReader::new(frame, limits)?;
    // Grows with what is really there: an entry takes two bytes at least, and usually a hundred.
    let mut entries = Vec::with_capacity((reader.frame.len() / 128 + 1).min(limits.max_entries));
    for entry in &mut reader {
        entries.push(entry?);
    }
    Ok(Batch { lane: reader.lane, first: reader.first, entries })
}
