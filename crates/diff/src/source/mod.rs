//! Where an image comes from: a layout directory, an archive, or whatever implements [`Source`].

mod layout;
mod packed;

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use csign_oci::{Descriptor, Digest};

use crate::{error::DiffError, limits::Limits};

pub use self::{layout::LayoutSource, packed::PackedSource};

/// An image that can be compared. Implementations check size and digest of documents; those of blobs are checked by
/// whoever reads them.
pub trait Source: Send + Sync {
    /// As the caller named it.
    fn name(&self) -> &str;

    /// The manifest or index that it is about.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn root(&self) -> Result<Root, DiffError>;

    /// A manifest, an index or a configuration, of the size and digest that `descriptor` says.
    ///
    /// # Errors
    /// Whatever keeps it from being read; another size or digest.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, DiffError>;

    /// A layer's bytes, on disk. They are not checked yet, unless they had to be fetched.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, DiffError>;
}

/// What a source is about.
#[derive(Clone, Debug)]
pub struct Root {
    /// Type, size and digest of `bytes`.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// `docker save` keeps no manifest: this one was made for it, and its digest is nobody's.
    pub made_up: bool,
}

/// A part of a file. Reading it moves nobody else's position.
#[derive(Clone, Debug)]
pub struct Blob {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl Blob {
    /// All of `file`.
    ///
    /// # Errors
    /// The file system's.
    pub fn whole(file: File) -> Result<Self, DiffError> {
        let length = file.metadata().map_err(DiffError::io("reading a blob's size"))?.len();
        Ok(Self { file: Arc::new(file), offset: 0, length })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// `length` bytes from `offset`, as far as there are so many.
    pub(crate) fn part(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        Self {
            file: self.file.clone(),
            offset: self.offset.saturating_add(offset),
            length: length.min(self.length - offset),
        }
    }

    /// Skips this many bytes.
    pub(crate) fn advance(&mut self, count: u64) {
        *self = self.part(count, u64::MAX);
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.length).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..room).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let count = self.file.read_at(buffer, self.offset)?;
        self.advance(count as u64);
        Ok(count)
    }
}

/// Opens the layout directory or archive at `path`. `name` is for people.
///
/// # Errors
/// It is neither; it cannot be read; an archive goes beyond `limits`.
pub fn open(name: &str, path: &Path, limits: &Limits) -> Result<Box<dyn Source>, DiffError> {
    let metadata = std::fs::metadata(path).map_err(DiffError::reading(path))?;
    if metadata.is_dir() {
        return Ok(Box::new(LayoutSource::open(name, path)?));
    }
    if !metadata.is_file() {
        let why = "it is neither a directory nor a file".to_owned();
        return Err(DiffError::NotAnImage { name: name.to_owned(), why });
    }
    Ok(Box::new(PackedSource::open(name, path, limits)?))
}

/// Size, then digest.
pub(crate) fn check(name: &str, descriptor: &Descriptor, bytes: Vec<u8>) -> Result<Vec<u8>, DiffError> {
    let what = || format!("{} of {name}", descriptor.media_type);
    if bytes.len() as u64 != descriptor.size {
        return Err(DiffError::Size { what: what(), want: descriptor.size, got: bytes.len() as u64 });
    }
    let got = Digest::of(&bytes);
    if got != descriptor.digest {
        return Err(DiffError::Mismatch { what: what(), want: descriptor.digest, got });
    }
    Ok(bytes)
}
