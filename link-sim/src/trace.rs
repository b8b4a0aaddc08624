use std::{fmt, time::Duration};

/// What happened in a world, line by line, and a digest of it.
///
/// The digest is always there; the text is kept if it is asked for. Two runs are the same if their digests are.
#[derive(Debug, Clone)]
pub struct Trace {
    digest: u64,
    lines: u64,
    text: Option<String>,
}

impl Trace {
    /// An empty trace.
    pub(crate) fn new(keep: bool) -> Self {
        Self { digest: 0xCBF2_9CE4_8422_2325, lines: 0, text: keep.then(String::new) }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, now: Duration, line: fmt::Arguments<'_>) {
        self.lines += 1;
        // Writing to it can't fail.
        let _ = fmt::write(self, format_args!("{:>12.6} {line}\n", now.as_secs_f64()));
    }

    /// FNV-1a of all lines.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Number of lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// All lines; empty if they were not kept.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        if let Some(kept) = &mut self.text {
            kept.push_str(text);
        }
        Ok(())
    }
}
