//! Layers whose bytes depend on their content alone.

use std::{
    collections::{BTreeMap, btree_map},
    io::{self, Write},
};

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    error::OciError,
    manifest::{Descriptor, IMAGE_LAYER_GZIP},
};

/// Permission bits and owner of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, for instance `0o755`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Access {
    /// These permission bits, owned by root.
    pub const fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

/// What an entry is, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(String),
    /// A hard link and the path of the entry that it names. Only read, never written.
    HardLink(String),
    /// A device, a pipe or another type of tar entry, with its type byte. Only read, never written.
    Special(u8),
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root, without leading or trailing slash.
    pub path: String,
    /// Permission bits and owner.
    pub access: Access,
    /// Modification time in seconds since 1970.
    pub mtime: u64,
    /// Type and content.
    pub node: Node,
}

/// Collects entries and writes them as a gzip'ed tar archive.
///
/// The bytes depend on the entries alone: they are sorted by path, carry one modification time, no names of users, no
/// extended attributes; gzip's header has no time and no operating system; compression is Rust code of one version.
#[derive(Debug)]
pub struct LayerBuilder {
    entries: BTreeMap<String, (Access, Node)>,
    mtime: u64,
}

/// A compressed layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The gzip'ed tar archive.
    pub bytes: Vec<u8>,
    /// Digest of the archive before compression.
    pub diff_id: Digest,
}

impl Layer {
    /// The descriptor of the compressed bytes.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(IMAGE_LAYER_GZIP, &self.bytes)
    }
}

impl Default for LayerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerBuilder {
    /// An empty layer with modification time 0.
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), mtime: 0 }
    }

    /// Gives every entry this modification time, in seconds since 1970.
    #[must_use]
    pub const fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// Adds a directory. Parents that are not added are created once, mode 0755, owned by root.
    ///
    /// # Errors
    /// A path that is absolute, has `..`, is too long for ustar, is there already, or lies below a file.
    pub fn directory(&mut self, path: &str, access: Access) -> Result<&mut Self, OciError> {
        self.add(path, access, Node::Directory)
    }

    /// Adds a regular file.
    ///
    /// # Errors
    /// As [`LayerBuilder::directory`].
    pub fn file(&mut self, path: &str, access: Access, content: impl Into<Vec<u8>>) -> Result<&mut Self, OciError> {
        self.add(path, access, Node::File(content.into()))
    }

    /// Adds a symbolic link, owned by root.
    ///
    /// # Errors
    /// As [`LayerBuilder::directory`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<&mut Self, OciError> {
        self.add(path, Access::root(0o777), Node::Symlink(target.to_owned()))
    }

    fn add(&mut self, path: &str, access: Access, node: Node) -> Result<&mut Self, OciError> {
        let bad = |why| OciError::EntryPath { path: path.to_owned(), why };
        check_path(path).map_err(bad)?;
        match self.entries.entry(path.to_owned()) {
            btree_map::Entry::Occupied(_) => Err(bad("it is there already")),
            btree_map::Entry::Vacant(slot) => {
                slot.insert((access, node));
                Ok(self)
            }
        }
    }

    /// Writes the layer.
    ///
    /// # Errors
    /// An entry below one that is not a directory; a path or link target too long for ustar.
    pub fn build(mut self) -> Result<Layer, OciError> {
        self.create_parents()?;
        let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
        let mut archive = tar::Builder::new(HashingWriter { inner: gzip, hasher: Sha256::new() });
        archive.mode(tar::HeaderMode::Deterministic);
        for (path, (access, node)) in &self.entries {
            let content: &[u8] = if let Node::File(content) = node { content } else { &[] };
            let header = header(path, *access, node, self.mtime)
                .map_err(|_| OciError::EntryPath { path: path.clone(), why: "it is too long for a ustar header" })?;
            archive.append(&header, content).map_err(OciError::Layer)?;
        }
        let HashingWriter { inner, hasher } = archive.into_inner().map_err(OciError::Layer)?;
        let bytes = inner.finish().map_err(OciError::Layer)?;
        Ok(Layer { bytes, diff_id: Digest::from_bytes(hasher.finalize().into()) })
    }

    fn create_parents(&mut self) -> Result<(), OciError> {
        let paths: Vec<String> = self.entries.keys().cloned().collect();
        for path in paths {
            for (slash, _) in path.match_indices('/') {
                let parent = self.entries.entry(path[..slash].to_owned());
                if !matches!(parent.or_insert((Access::root(0o755), Node::Directory)).1, Node::Directory) {
                    return Err(OciError::EntryPath { path, why: "it lies below an entry that is not a directory" });
                }
            }
        }
        Ok(())
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    for component in path.split('/') {
        match component {
            "" => return Err("it must be relative, without empty components"),
            "." | ".." => return Err("it must not have \".\" or \"..\""),
            _ if component.contains(['\0', '\\']) => return Err("it must not have NUL or backslash"),
            _ if component.starts_with(".wh.") => return Err("\".wh.\" marks deleted files"),
            _ => {}
        }
    }
    Ok(())
}

fn header(path: &str, access: Access, node: &Node, mtime: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    let mut size = 0;
    match node {
        Node::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_path(format!("{path}/"))?;
        }
        Node::File(content) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_path(path)?;
            size = content.len() as u64;
        }
        Node::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_path(path)?;
            header.set_link_name_literal(target)?;
        }
        Node::HardLink(_) | Node::Special(_) => return Err(io::ErrorKind::Unsupported.into()),
    }
    header.set_size(size);
    header.set_mode(access.mode);
    header.set_uid(access.uid.into());
    header.set_gid(access.gid.into());
    header.set_mtime(mtime);
    header.set_device_major(0)?;
    header.set_device_minor(0)?;
    header.set_cksum();
    Ok(header)
}

struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.hasher.update(&buf[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::unpack::{LayerLimits, read_layer};

    fn sample() -> Layer {
        // Enough content for compression to matter, from a generator that needs no library.
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..300_000)
            .map(|i: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if i % 7 < 4 { (state >> 28) as u8 } else { b'x' }
            })
            .collect();
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o755), noise).unwrap();
        layer.file("etc/passwd", Access::root(0o644), "root:x:0:0::/:\n").unwrap();
        layer.directory("tmp", Access::root(0o1777)).unwrap();
        layer.directory("var/lib/state", Access { mode: 0o700, uid: 65532, gid: 65532 }).unwrap();
        layer.symlink("var/run", "../run").unwrap();
        layer.build().unwrap()
    }

    /// These digests are a promise: another compressor, version or level changes every image's digest.
    #[test]
    fn bytes_are_pinned() {
        let layer = sample();
        assert_eq!(
            layer.diff_id.to_string(),
            "sha256:d3a366d9f49b1a787b55b9fed7cad5020c1995009c05d73c4a9ee368928dc273"
        );
        assert_eq!(
            Digest::of(&layer.bytes).to_string(),
            "sha256:4bcbb4e16cc862852949e111407018f4c03ee1ba13183468f18bfb8c27ea1967"
        );
        assert_eq!(layer.bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "gzip header without time and system");
    }

    #[test]
    fn entries_are_sorted_and_parents_made_once() {
        let read = read_layer(&sample().bytes, &LayerLimits::default()).unwrap();
        assert_eq!(read.diff_id, sample().diff_id);
        let paths: Vec<_> = read.entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["etc", "etc/passwd", "tmp", "var", "var/lib", "var/lib/state", "var/run", "workload"]);
        let state = &read.entries[5];
        assert_eq!((state.access.mode, state.access.uid, state.mtime), (0o700, 65532, 0));
        assert_eq!(read.entries[2].access.mode, 0o1777, "the sticky bit survives");
        assert_eq!(read.entries[0].access, Access::root(0o755));
        assert_eq!(read.entries[6].node, Node::Symlink("../run".to_owned()));
    }

    #[test]
    fn paths_that_escape_or_collide_are_refused() {
        let long = format!("{0}/{0}", "x".repeat(101));
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b", ".wh.a", "d/.wh..wh..opq"]
        {
            assert!(LayerBuilder::new().file(bad, Access::root(0o644), "").is_err(), "{bad:?} was accepted");
        }
        let mut layer = LayerBuilder::new();
        layer.file("a", Access::root(0o644), "").unwrap();
        assert!(layer.directory("a", Access::root(0o755)).is_err(), "a path twice");
        layer.file("a/b", Access::root(0o644), "").unwrap();
        assert!(layer.build().is_err(), "a file below a file");
        let mut layer = LayerBuilder::new();
        layer.file(&long, Access::root(0o644), "").unwrap();
        assert!(layer.build().is_err(), "a path too long for ustar");
    }

    proptest! {
        #[test]
        fn order_of_insertion_does_not_matter(mut names in prop::collection::btree_set("[a-c]{1,3}(/[a-c-]{1,2}x){0,2}", 1..12), seed: u64) {
            let leaves: Vec<String> = names.iter().filter(|n| !names.iter().any(|m| m.starts_with(&format!("{n}/")))).cloned().collect();
            names.clear();
            let build = |order: &[String]| {
                let mut layer = LayerBuilder::new().mtime(7);
                for name in order {
                    layer.file(name, Access::root(0o644), name.as_bytes()).unwrap();
                }
                layer.build().unwrap().bytes
            };
            let mut turned = leaves.clone();
            turned.rotate_left((seed % leaves.len() as u64) as usize);
            turned.reverse();
            prop_assert_eq!(build(&leaves), build(&turned));
        }
    }
}
