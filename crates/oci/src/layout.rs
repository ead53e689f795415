//! OCI image layout directories (OCI image specification 1.1, image-layout.md).
//!
//! A layout appears under its name complete or not at all; nothing read from one is used before size and digest match.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    error::OciError,
    image::{Image, ImageConfig},
    json,
    manifest::{DOCKER_MANIFEST, Descriptor, IMAGE_MANIFEST, Index, Manifest},
};

/// Largest manifest, index or configuration that is read, in bytes: what registries accept at most.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// How the names of unfinished blobs start.
pub(crate) const PARTIAL: &str = ".partial-";
/// The content of `oci-layout`.
pub(crate) const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout on disk.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) index: Index,
}

/// A layout in the making, in a temporary directory beside its destination; dropping it removes everything.
#[derive(Debug)]
pub struct LayoutBuilder {
    destination: PathBuf,
    temporary: tempfile::TempDir,
}

/// Receives a blob whose descriptor is known, for instance from a registry. Dropping it removes the file.
#[derive(Debug)]
pub struct BlobWriter {
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    written: u64,
    want: Descriptor,
    path: PathBuf,
}

impl Layout {
    /// Starts a layout at `path`, which must not exist, be an empty directory, or be a layout, which is replaced.
    ///
    /// # Errors
    /// [`OciError::Occupied`] if something else is there; the file system's errors.
    pub fn create(path: impl AsRef<Path>) -> Result<LayoutBuilder, OciError> {
        let destination = path.as_ref().to_path_buf();
        refuse_occupied(&destination)?;
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(OciError::io("creating directory", &parent))?;
        let temporary = tempfile::Builder::new()
            .prefix(".layout-")
            .tempdir_in(&parent)
            .map_err(OciError::io("creating temporary directory in", &parent))?;
        let builder = LayoutBuilder { destination, temporary };
        let blobs = builder.blobs();
        fs::create_dir_all(&blobs).map_err(OciError::io("creating directory", blobs))?;
        Ok(builder)
    }

    /// Opens the layout at `path`.
    ///
    /// # Errors
    /// [`OciError::NotALayout`] without a readable `oci-layout` of version 1.0.0 and `index.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OciError> {
        let root = path.as_ref().to_path_buf();
        let not = |why: &str| OciError::NotALayout { path: root.clone(), why: why.to_owned() };
        if !root.join("oci-layout").is_file() {
            return Err(not("it has no file oci-layout"));
        }
        let marker: Marker = json::from_slice(&read_bounded(&root.join("oci-layout"), MAX_DOCUMENT)?)
            .map_err(OciError::json("oci-layout"))?;
        if marker.image_layout_version != "1.0.0" {
            return Err(not(&format!("its version is {:?}, only 1.0.0 is known", marker.image_layout_version)));
        }
        let index = json::from_slice(&read_bounded(&root.join("index.json"), MAX_DOCUMENT)?)
            .map_err(OciError::json("index.json"))?;
        Ok(Self { root, index })
    }

    /// The layout's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `index.json`.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The one image that the layout holds, attachments aside: descriptor and parsed manifest. [`Layout::blob`] gives its
    /// exact bytes.
    ///
    /// # Errors
    /// As [`Layout::image_descriptor`]; [`OciError::MediaType`] for an index of several platforms; damage.
    pub fn image(&self) -> Result<(Descriptor, Manifest), OciError> {
        let descriptor = self.image_descriptor()?;
        if ![IMAGE_MANIFEST, DOCKER_MANIFEST].contains(&descriptor.media_type.as_str()) {
            return Err(OciError::MediaType { got: descriptor.media_type, want: IMAGE_MANIFEST });
        }
        let bytes = self.document(&descriptor)?;
        let manifest = json::from_slice(&bytes).map_err(OciError::json("the manifest"))?;
        Ok((descriptor, manifest))
    }

    /// The configuration of the one image.
    ///
    /// # Errors
    /// As [`Layout::image`], and a configuration that does not parse.
    pub fn config(&self) -> Result<ImageConfig, OciError> {
        ImageConfig::parse(&self.document(&self.image()?.1.config)?)
    }

    /// What a push sends, in order, each blob once: configuration, layers, then the manifest. Files are not checked yet.
    ///
    /// # Errors
    /// As [`Layout::image`].
    pub fn contents(&self) -> Result<Vec<(Descriptor, PathBuf)>, OciError> {
        let (descriptor, manifest) = self.image()?;
        let mut out: Vec<(Descriptor, PathBuf)> = Vec::new();
        for each in std::iter::once(manifest.config).chain(manifest.layers).chain([descriptor]) {
            if !out.iter().any(|(known, _)| known.digest == each.digest) {
                let path = self.blob_path(&each.digest);
                out.push((each, path));
            }
        }
        Ok(out)
    }

    /// The file that holds the blob `digest`.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Reads a blob into memory after checking size, then digest.
    ///
    /// # Errors
    /// [`OciError::Size`], [`OciError::Mismatch`]; a missing file.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        let path = self.blob_path(&descriptor.digest);
        let got = fs::metadata(&path).map_err(OciError::io("reading blob", &path))?.len();
        let (digest, want) = (descriptor.digest, descriptor.size);
        if got != want {
            return Err(OciError::Size { digest, want, got });
        }
        let bytes = read_bounded(&path, want)?;
        if bytes.len() as u64 != want {
            return Err(OciError::Size { digest, want, got: bytes.len() as u64 });
        }
        let got = Digest::of(&bytes);
        if got != digest {
            return Err(OciError::Mismatch { want: digest, got });
        }
        Ok(bytes)
    }

    /// Reads a manifest, index or configuration, of at most 4 MiB, after checking size, then digest.
    ///
    /// # Errors
    /// As [`Layout::blob`]; [`OciError::TooLarge`].
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        if descriptor.size > MAX_DOCUMENT {
            return Err(OciError::TooLarge { what: descriptor.media_type.clone(), limit: MAX_DOCUMENT });
        }
        self.blob(descriptor)
    }
}

impl LayoutBuilder {
    fn root(&self) -> PathBuf {
        // A directory inside the private temporary one gets the permissions that the caller's umask asks for.
        self.temporary.path().join("layout")
    }

    fn blobs(&self) -> PathBuf {
        self.root().join("blobs/sha256")
    }

    /// Adds a blob of this type.
    ///
    /// # Errors
    /// The file system's errors.
    pub fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, OciError> {
        let descriptor = Descriptor::of(media_type, bytes);
        let mut writer = self.blob_writer(&descriptor)?;
        writer.write_all(bytes).map_err(OciError::io("writing blob", &writer.path))?;
        writer.finish()?;
        Ok(descriptor)
    }

    /// Adds the blobs and the manifest of `image`.
    ///
    /// # Errors
    /// The file system's errors.
    pub fn add_image(&self, image: &Image) -> Result<Descriptor, OciError> {
        for (descriptor, bytes) in &image.blobs {
            self.add_blob(&descriptor.media_type, bytes)?;
        }
        self.add_blob(&image.descriptor.media_type, &image.manifest)
    }

    /// Opens a blob for writing; it counts only after [`BlobWriter::finish`].
    ///
    /// # Errors
    /// The file system's errors.
    pub fn blob_writer(&self, want: &Descriptor) -> Result<BlobWriter, OciError> {
        BlobWriter::new(self.temporary.path(), &self.blobs(), want)
    }

    /// Writes `index.json` with `manifests` and moves the layout to its destination.
    ///
    /// # Errors
    /// The file system's errors; the destination is then as it was.
    pub fn finish(self, manifests: Vec<Descriptor>) -> Result<Layout, OciError> {
        let root = self.root();
        let index = Index::new(manifests);
        write_synced(&root.join("index.json"), &serde_json::to_vec(&index).map_err(OciError::json("index.json"))?)?;
        write_synced(&root.join("oci-layout"), MARKER.as_bytes())?;
        for directory in [root.join("blobs/sha256"), root.join("blobs"), root.clone()] {
            sync_directory(&directory)?;
        }
        refuse_occupied(&self.destination)?;
        let old = self.temporary.path().join("old");
        let moved = match fs::rename(&self.destination, &old) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(OciError::io("replacing", &self.destination)(error)),
        };
        if let Err(error) = fs::rename(&root, &self.destination) {
            if moved {
                fs::rename(&old, &self.destination).map_err(OciError::io("restoring", &self.destination))?;
            }
            return Err(OciError::io("moving the layout to", &self.destination)(error));
        }
        Ok(Layout { root: self.destination, index })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.written.saturating_add(buf.len() as u64) > self.want.size {
            return Err(io::Error::other("content is longer than its descriptor says"));
        }
        let count = self.file.write(buf)?;
        self.hasher.update(&buf[..count]);
        self.written += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Writes to a file in `temporary`, which [`BlobWriter::finish`] moves to `blobs`.
    pub(crate) fn new(temporary: &Path, blobs: &Path, want: &Descriptor) -> Result<Self, OciError> {
        let file = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(temporary)
            .map_err(OciError::io("creating blob in", temporary))?;
        let path = blobs.join(want.digest.hex());
        Ok(Self { file, hasher: Sha256::new(), written: 0, want: want.clone(), path })
    }

    /// Checks size, then digest, and puts the blob into the layout.
    ///
    /// # Errors
    /// [`OciError::Size`], [`OciError::Mismatch`]; the file system's errors. The blob is then not there.
    pub fn finish(self) -> Result<(), OciError> {
        let Self { file, hasher, written, want, path } = self;
        if written != want.size {
            return Err(OciError::Size { digest: want.digest, want: want.size, got: written });
        }
        let got = Digest::from_bytes(hasher.finalize().into());
        if got != want.digest {
            return Err(OciError::Mismatch { want: want.digest, got });
        }
        file.as_file().sync_all().map_err(OciError::io("writing blob", &path))?;
        make_readable(file.as_file()).map_err(OciError::io("writing blob", &path))?;
        file.persist(&path).map_err(|e| OciError::io("writing blob", path)(e.error))?;
        Ok(())
    }
}

/// Temporary files are private to their owner; a layout is public.
pub(crate) fn make_readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

pub(crate) fn refuse_occupied(path: &Path) -> Result<(), OciError> {
    let ours = ["blobs", "index.json", "oci-layout"];
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(OciError::Occupied(path.to_owned())),
        Err(error) => return Err(OciError::io("reading directory", path)(error)),
    };
    for entry in entries {
        let name = entry.map_err(OciError::io("reading directory", path))?.file_name();
        if !ours.iter().any(|known| name == *known) {
            return Err(OciError::Occupied(path.to_owned()));
        }
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), OciError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(OciError::io("writing", path))
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), OciError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(OciError::io("writing", path))
}

pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, OciError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(OciError::io("reading", path))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(OciError::io("reading", path))?;
    if bytes.len() as u64 > limit {
        return Err(OciError::TooLarge { what: path.display().to_string(), limit });
    }
    Ok(bytes)
}
