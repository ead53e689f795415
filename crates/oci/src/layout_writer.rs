//! Writes a layout in place, so that an interrupted copy can go on where it stopped.
//!
//! Blobs come first, each under a temporary name until it was checked; `index.json` comes last. Until then the
//! directory is no layout for anyone.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    error::OciError,
    layout::{BlobWriter, Layout, MARKER, PARTIAL, make_readable, refuse_occupied, sync_directory},
    manifest::{Descriptor, Index},
};

/// A layout that is being written, or added to.
#[derive(Debug)]
pub struct LayoutWriter {
    root: PathBuf,
    before: Option<Layout>,
}

impl LayoutWriter {
    /// Goes on with the layout at `path`: one that is complete, one that was interrupted, or none yet.
    ///
    /// # Errors
    /// [`OciError::Occupied`] if something else is there; a damaged `index.json`; the file system's errors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OciError> {
        let root = path.as_ref().to_path_buf();
        refuse_occupied(&root)?;
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(OciError::io("creating directory", &blobs))?;
        let before = if root.join("index.json").exists() { Some(Layout::open(&root)?) } else { None };
        if before.is_none() {
            remove_partial(&root.join("blobs"))?;
        }
        Ok(Self { root, before })
    }

    /// The layout as it was, if it was complete.
    pub fn before(&self) -> Option<&Layout> {
        self.before.as_ref()
    }

    /// Whether the blob is there, byte for byte. A damaged one is removed.
    ///
    /// # Errors
    /// The file system's errors.
    pub fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let path = self.blobs().join(descriptor.digest.hex());
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(OciError::io("reading blob", path)(error)),
        };
        let (mut hasher, mut size, mut chunk) = (Sha256::new(), 0, vec![0; 128 << 10]);
        loop {
            let count = file.read(&mut chunk).map_err(OciError::io("reading blob", &path))?;
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
            hasher.update(read);
            size += count as u64;
        }
        if size == descriptor.size && Digest::from_bytes(hasher.finalize().into()) == descriptor.digest {
            return Ok(true);
        }
        fs::remove_file(&path).map_err(OciError::io("removing damaged blob", path))?;
        Ok(false)
    }

    /// Opens a blob for writing; it counts only after [`BlobWriter::finish`].
    ///
    /// # Errors
    /// The file system's errors.
    pub fn blob_writer(&self, want: &Descriptor) -> Result<BlobWriter, OciError> {
        BlobWriter::new(&self.root.join("blobs"), &self.blobs(), want)
    }

    /// Adds a blob of this type, unless it is there.
    ///
    /// # Errors
    /// The file system's errors.
    pub fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, OciError> {
        let descriptor = Descriptor::of(media_type, bytes);
        if !self.has(&descriptor)? {
            let mut writer = self.blob_writer(&descriptor)?;
            writer.write_all(bytes).map_err(OciError::io("writing blob", self.blobs()))?;
            writer.finish()?;
        }
        Ok(descriptor)
    }

    /// Puts `index.json` with `manifests` in place, whole or not at all.
    ///
    /// # Errors
    /// The file system's errors; the layout is then as it was.
    pub fn finish(self, manifests: Vec<Descriptor>) -> Result<Layout, OciError> {
        let index = Index::new(manifests);
        let bytes = serde_json::to_vec(&index).map_err(OciError::json("index.json"))?;
        sync_directory(&self.blobs())?;
        self.put("oci-layout", MARKER.as_bytes())?;
        self.put("index.json", &bytes)?;
        sync_directory(&self.root)?;
        Ok(Layout { root: self.root, index })
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), OciError> {
        let (path, temporary) = (self.root.join(name), self.root.join("blobs"));
        let mut file = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&temporary)
            .map_err(OciError::io("creating a file in", &temporary))?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .and_then(|()| make_readable(file.as_file()))
            .map_err(OciError::io("writing", &path))?;
        file.persist(&path).map(drop).map_err(|e| OciError::io("writing", path)(e.error))
    }
}

/// What a copy that was killed left behind.
fn remove_partial(directory: &Path) -> Result<(), OciError> {
    for entry in fs::read_dir(directory).map_err(OciError::io("reading directory", directory))? {
        let entry = entry.map_err(OciError::io("reading directory", directory))?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_file(entry.path()).map_err(OciError::io("removing", entry.path()))?;
        }
    }
    Ok(())
}
