//! A buffer that can be looked into before it is read.

use std::io::{self, Read};

use super::CHUNK;

/// A buffered source.
pub(crate) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; CHUNK].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    /// At least `count` bytes (of at most [`CHUNK`]), or all that are left.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count.min(self.buffer.len()) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let read = retry(|| self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()))?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Reads the source to its end.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        while retry(|| self.source.read(&mut self.buffer))? > 0 {}
        Ok(())
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let held = self.peek(1)?;
        let count = held.len().min(out.len());
        if let (Some(out), Some(held)) = (out.get_mut(..count), held.get(..count)) {
            out.copy_from_slice(held);
        }
        self.consume(count);
        Ok(count)
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
