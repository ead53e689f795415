//! Content that is kept for a closer look: in memory while it is small, else in an unlinked temporary file.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
};

use crate::{content::Content, error::DiffError, source::Blob};

/// Up to this many bytes stay in memory.
const IN_MEMORY: usize = 1 << 20;

/// Bytes that are written once and then read anywhere.
#[derive(Debug, Default)]
pub(super) struct Spool {
    /// A part of a file that holds others, too.
    part: Option<Blob>,
    memory: Vec<u8>,
    /// A file that is longer than `length` was used before.
    file: Option<File>,
    length: u64,
}

impl Spool {
    /// Forgets everything, but keeps the memory and the file to be used again.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.length = 0;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), DiffError> {
        let before = usize::try_from(self.length).unwrap_or(usize::MAX);
        self.length += bytes.len() as u64;
        if before.saturating_add(bytes.len()) <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let writing = || DiffError::io("writing a temporary file");
        let file = match &mut self.file {
            Some(file) => file,
            slot => slot.insert(tempfile::tempfile().map_err(writing())?),
        };
        if before <= IN_MEMORY {
            file.rewind().and_then(|()| file.write_all(&self.memory)).map_err(writing())?;
        }
        file.write_all(bytes).map_err(writing())
    }

    /// The same bytes once more.
    pub(super) fn copy(&mut self) -> Result<Self, DiffError> {
        let mut copy = Self::default();
        if !self.is_in_memory() {
            let writing = || DiffError::io("copying a temporary file");
            let mut other = tempfile::tempfile().map_err(writing())?;
            if let Some(file) = &mut self.file {
                file.rewind().map_err(writing())?;
                io::copy(&mut file.take(self.length), &mut other).map_err(writing())?;
            }
            copy.file = Some(other);
        } else {
            copy.memory.clone_from(&self.memory);
        }
        copy.length = self.length;
        Ok(copy)
    }

    /// What is in a temporary file already.
    pub(super) fn on_disk(part: Blob) -> Self {
        Self { part: Some(part), ..Self::default() }
    }

    /// Ready to be read.
    pub(super) fn into_content(self) -> Result<Box<dyn Content>, DiffError> {
        if let Some(blob) = self.part {
            return Ok(Box::new(OnDisk::new(blob)));
        }
        if self.is_in_memory() {
            return Ok(Box::new(InMemory(Cursor::new(self.memory))));
        }
        let file = match self.file {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        Ok(Box::new(OnDisk::new(Blob::whole(file)?.part(0, self.length))))
    }

    fn is_in_memory(&self) -> bool {
        self.length <= IN_MEMORY as u64
    }
}

struct InMemory(Cursor<Vec<u8>>);

impl Read for InMemory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for InMemory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Content for InMemory {
    fn len(&self) -> u64 {
        self.0.get_ref().len() as u64
    }
}

/// A part of a temporary file.
struct OnDisk {
    blob: Blob,
    position: u64,
}

impl OnDisk {
    fn new(blob: Blob) -> Self {
        Self { blob, position: 0 }
    }
}

impl Read for OnDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.blob.part(self.position, u64::MAX).read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for OnDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.blob.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

impl Content for OnDisk {
    fn len(&self) -> u64 {
        self.blob.length()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn bytes(spool: Spool) -> Vec<u8> {
        let mut content = spool.into_content().unwrap();
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        assert_eq!(content.len(), bytes.len() as u64);
        bytes
    }

    #[test]
    fn a_spool_that_is_used_again_forgets_what_was_longer_before() {
        let mut spool = Spool::default();
        for length in [3 * IN_MEMORY, IN_MEMORY + 1, 2 * IN_MEMORY, 7, IN_MEMORY] {
            spool.clear();
            let want: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            want.chunks(100_003).for_each(|chunk| spool.push(chunk).unwrap());
            let mut copy = spool.copy().unwrap();
            assert!(bytes(spool.copy().unwrap()) == want, "{length}");
            // Both go on on their own.
            copy.push(b"more").unwrap();
            assert!(bytes(copy).strip_suffix(b"more") == Some(&want), "{length}");
        }
    }
}
