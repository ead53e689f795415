//! Where an archive's bytes come from, in pieces that are looked at in place.

use std::io::Read as _;

use crate::{compression::CHUNK, error::DiffError, source::Blob};

/// A stream of bytes.
pub(crate) trait Input {
    /// The next bytes, as many as are at hand; none at the end.
    fn fill(&mut self) -> Result<&[u8], DiffError>;

    /// That many of them are done with.
    fn consume(&mut self, count: usize);

    /// Passes over bytes; says how many there were.
    fn skip(&mut self, count: u64) -> Result<u64, DiffError> {
        let mut left = count;
        while left > 0 {
            let held = self.fill()?.len();
            if held == 0 {
                break;
            }
            let some = held.min(usize::try_from(left).unwrap_or(held));
            self.consume(some);
            left -= some as u64;
        }
        Ok(count - left)
    }
}

/// A part of a file, of which not everything is read.
pub(crate) struct FileInput {
    blob: Blob,
    buffer: Vec<u8>,
    start: usize,
}

impl FileInput {
    pub(crate) fn new(blob: Blob) -> Self {
        Self { blob, buffer: Vec::new(), start: 0 }
    }
}

impl Input for FileInput {
    fn fill(&mut self) -> Result<&[u8], DiffError> {
        if self.start == self.buffer.len() {
            self.buffer.resize(CHUNK.min(16 << 10), 0);
            let count = self.blob.read(&mut self.buffer)?;
            self.buffer.truncate(count);
            self.start = 0;
        }
        Ok(self.buffer.get(self.start..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.buffer.len());
    }

    fn skip(&mut self, count: u64) -> Result<u64, DiffError> {
        let held = (self.buffer.len() - self.start) as u64;
        let rest = count.saturating_sub(held);
        self.consume(usize::try_from(count.min(held)).unwrap_or(usize::MAX));
        let possible = rest.min(self.blob.length());
        self.blob.advance(possible);
        Ok(count.min(held) + possible)
    }
}

/// Bytes in memory, in tests.
impl Input for &[u8] {
    fn fill(&mut self) -> Result<&[u8], DiffError> {
        Ok(self)
    }

    fn consume(&mut self, count: usize) {
        *self = self.get(count..).unwrap_or_default();
    }
}
