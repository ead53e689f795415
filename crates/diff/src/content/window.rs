//! Parts of contents, and unpacked ones, which are contents themselves.

use std::{
    cell::Cell,
    io::{self, Read, Seek, SeekFrom, Write},
};

use tempfile::SpooledTempFile;

use super::{Content, Failure};

/// Unpacked content above this size lies in a temporary file.
const IN_MEMORY: usize = 1 << 20;
/// Bytes that are read at once.
pub(super) const CHUNK: usize = 64 << 10;

/// A range of a content.
pub(super) struct Slice<'a> {
    inner: &'a mut dyn Content,
    start: u64,
    len: u64,
    at: u64,
}

impl<'a> Slice<'a> {
    /// The part from `start`, `len` bytes long.
    ///
    /// # Errors
    /// The content ends before.
    pub(super) fn new(inner: &'a mut dyn Content, start: u64, len: u64) -> Result<Self, Failure> {
        match start.checked_add(len) {
            Some(end) if end <= inner.len() => Ok(Self { inner, start, len, at: 0 }),
            _ => Err(Failure::format("it ends too early")),
        }
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        self.inner.seek(SeekFrom::Start(self.start + self.at))?;
        let count = self.inner.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Slice<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl Content for Slice<'_> {
    fn len(&self) -> u64 {
        self.len
    }
}

/// Unpacked content.
pub(super) struct Spool {
    file: SpooledTempFile,
    len: u64,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self { file: tempfile::spooled_tempfile(IN_MEMORY), len: 0 }
    }

    /// Takes all that `source` gives; `what` names its format.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn of(source: &mut dyn Read, what: &str, left: &Cell<u64>) -> Result<Self, Failure> {
        let mut spool = Self::new();
        spool.append(source, what, left)?;
        spool.rewind()?;
        Ok(spool)
    }

    /// # Errors
    /// The source is damaged, or `left` is used up.
    pub(super) fn append(&mut self, source: &mut dyn Read, what: &str, left: &Cell<u64>) -> Result<(), Failure> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::decoding(what, &error)),
            };
            let still = left.get().checked_sub(count as u64);
            left.set(still.ok_or_else(|| Failure::format("it unpacks to more than is looked into"))?);
            self.file.write_all(buffer.get(..count).unwrap_or_default()).map_err(Failure::Io)?;
            self.len += count as u64;
        }
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Content for Spool {
    fn len(&self) -> u64 {
        self.len
    }
}

/// In memory.
impl Content for io::Cursor<Vec<u8>> {
    fn len(&self) -> u64 {
        self.get_ref().len() as u64
    }
}

pub(super) fn rewind(content: &mut dyn Content) -> io::Result<()> {
    content.seek(SeekFrom::Start(0)).map(drop)
}

/// Fills the buffer as far as there are bytes.
pub(super) fn fill(content: &mut dyn Content, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Exactly these bytes, if there are no more of them than `bound`.
pub(super) fn range(content: &mut dyn Content, start: u64, len: u64, bound: u64) -> Result<Vec<u8>, Failure> {
    if len > bound {
        return Err(Failure::format(format!("{len} bytes are more than the {bound} that are looked into")));
    }
    let mut part = Slice::new(content, start, len)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    part.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Up to `len` bytes from `start`.
pub(super) fn some(content: &mut dyn Content, start: u64, len: usize) -> io::Result<Vec<u8>> {
    content.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; len];
    let count = fill(content, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}
