//! Bytes in a temporary file, hashed while they are written. The file goes with the last reference to it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use md5::{Digest as _, Md5};
use tempfile::NamedTempFile;

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// An object's bytes, complete.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    file: Arc<NamedTempFile>,
    pub(super) size: u64,
    pub(super) crc32c: u32,
    pub(super) md5: [u8; 16],
}

/// An object's bytes, on their way.
pub(super) struct Writer {
    file: NamedTempFile,
    pub(super) size: u64,
    crc32c: u32,
    md5: Md5,
}

impl Writer {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = NamedTempFile::new_in(directory)?;
        Ok(Self { file, size: 0, crc32c: 0, md5: Md5::new() })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.size += piece.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, piece);
        self.md5.update(piece);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Blob> {
        self.file.flush()?;
        let md5 = self.md5.finalize().into();
        Ok(Blob { file: Arc::new(self.file), size: self.size, crc32c: self.crc32c, md5 })
    }
}

impl Blob {
    /// A response's body of `length` bytes from `start`.
    pub(super) fn body(&self, start: u64, length: u64) -> io::Result<Body> {
        let mut file: File = self.file.reopen()?;
        file.seek(SeekFrom::Start(start))?;
        // The reference keeps the file until the last piece is out.
        let state = (file, length, Arc::clone(&self.file));
        let pieces = stream::unfold(state, |(mut file, left, keep)| async move {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            if want == 0 {
                return None;
            }
            let mut piece = vec![0; want];
            match file.read_exact(&mut piece) {
                Ok(()) => Some((Ok(Bytes::from(piece)), (file, left - want as u64, keep))),
                Err(error) => Some((Err(error), (file, 0, keep))),
            }
        });
        Ok(Body::from_stream(pieces))
    }
}
