//! What a layer of an image holds: every file with its digest, and what else is in the archive.

use std::collections::BTreeMap;

use csign_oci::{Descriptor, Digest, Entry, LayerLimits, Node, manifest::IMAGE_LAYER_GZIP, read_layer};
use sha1::{Digest as _, Sha1};

use crate::error::SbomError;

/// Types of layers that are tar archives, plain or gzip'ed.
const READABLE: [&str; 4] = [
    IMAGE_LAYER_GZIP,
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
];

/// The contents of one layer.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Digest of the layer as it is stored.
    pub digest: Digest,
    /// Digest of the unpacked archive.
    pub diff_id: Digest,
    /// Media type.
    pub media_type: String,
    /// Files, sorted by path. A file that a later layer replaces or deletes is still in the image, so it is here.
    pub files: Vec<File>,
    /// Links, deletions and devices, sorted: the path, and what it is.
    pub others: Vec<(String, String)>,
}

/// One regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the root, without leading slash.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its digest.
    pub sha256: Digest,
    /// SHA-1 in hexadecimal, which SPDX 2.3 requires of every file (section 8.4). Nothing here relies on it.
    pub sha1: String,
}

impl Contents {
    /// Reads a layer whose stored bytes the caller has compared with `descriptor`.
    ///
    /// # Errors
    /// Another compression, damage, anything beyond `limits`, or content that is not `diff_id`.
    pub fn read(
        descriptor: &Descriptor,
        bytes: &[u8],
        diff_id: &Digest,
        limits: &LayerLimits,
    ) -> Result<Self, SbomError> {
        let layer = descriptor.digest;
        if !READABLE.contains(&descriptor.media_type.as_str()) {
            return Err(SbomError::Compression { layer, media_type: descriptor.media_type.clone() });
        }
        let unpacked = read_layer(bytes, limits).map_err(|source| SbomError::Layer { layer, source })?;
        if unpacked.diff_id != *diff_id {
            return Err(SbomError::DiffId { layer, want: *diff_id, got: unpacked.diff_id });
        }
        let (mut files, mut others) = (Vec::new(), Vec::new());
        // A hard link is the file that it names, if the archive had that one before.
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for entry in unpacked.entries {
            match describe(entry, &files, &known) {
                Described::File(file) => {
                    known.insert(file.path.clone(), files.len());
                    files.push(file);
                }
                Described::Other(path, what) => others.push((path, what)),
                Described::Directory => {}
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        others.sort();
        Ok(Self { digest: layer, diff_id: *diff_id, media_type: descriptor.media_type.clone(), files, others })
    }
}

enum Described {
    File(File),
    Other(String, String),
    Directory,
}

fn describe(entry: Entry, files: &[File], known: &BTreeMap<String, usize>) -> Described {
    let (path, mode) = (entry.path, entry.access.mode);
    let name = path.rsplit('/').next().unwrap_or_default();
    match entry.node {
        Node::Directory => Described::Directory,
        Node::File(_) if name.starts_with(".wh.") => Described::Other(path, "marks a deletion".to_owned()),
        Node::File(content) => {
            let sha1 = hex(&Sha1::digest(&content));
            Described::File(File { path, size: content.len() as u64, mode, sha256: Digest::of(&content), sha1 })
        }
        Node::HardLink(target) => match known.get(&target).and_then(|at| files.get(*at)) {
            Some(file) => Described::File(File { path, ..file.clone() }),
            None => Described::Other(path, format!("hard link to {target}")),
        },
        Node::Symlink(target) => Described::Other(path, format!("symbolic link to {target}")),
        Node::Special(kind) => Described::Other(path, format!("special file, tar type {:?}", char::from(kind))),
    }
}

/// SPDX's package verification code (SPDX 2.3, section 7.9): SHA-1 over the sorted SHA-1s of the files.
pub(crate) fn verification_code(files: &[File]) -> String {
    let mut sums: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
    sums.sort_unstable();
    let mut hasher = Sha1::new();
    for sum in sums {
        hasher.update(sum);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}
