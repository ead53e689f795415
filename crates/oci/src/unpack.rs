//! Reads layers of any origin, within limits.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    error::OciError,
    layer::{Access, Entry, Node},
};

/// Bounds on what a layer may cost its reader.
#[derive(Clone, Copy, Debug)]
pub struct LayerLimits {
    /// Bytes of the archive after decompression: stops decompression bombs.
    pub unpacked: u64,
    /// Number of entries: stops archives of millions of empty files.
    pub entries: usize,
}

impl Default for LayerLimits {
    /// 512 MiB and 65 536 entries.
    fn default() -> Self {
        Self { unpacked: 512 << 20, entries: 1 << 16 }
    }
}

/// What [`read_layer`] found.
#[derive(Debug)]
pub struct UnpackedLayer {
    /// Digest of the archive after decompression.
    pub diff_id: Digest,
    /// The entries in the order of the archive.
    pub entries: Vec<Entry>,
}

/// Reads a layer, gzip'ed or plain tar, into memory.
///
/// # Errors
/// Damaged gzip or tar; sparse files; a path with `..` or an absolute one; anything beyond `limits`.
pub fn read_layer(bytes: &[u8], limits: &LayerLimits) -> Result<UnpackedLayer, OciError> {
    let source: Box<dyn Read + '_> =
        if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
    let mut bounded = BoundedReader { inner: source, hasher: Sha256::new(), left: limits.unpacked, exceeded: false };
    let entries = read_entries(&mut bounded, limits).and_then(|entries| {
        // The diff id covers what follows the archive's end marker too.
        io::copy(&mut bounded, &mut io::sink()).map_err(OciError::Layer)?;
        Ok(entries)
    });
    if bounded.exceeded {
        return Err(OciError::TooLarge { what: "the unpacked layer".to_owned(), limit: limits.unpacked });
    }
    Ok(UnpackedLayer { diff_id: Digest::from_bytes(bounded.hasher.finalize().into()), entries: entries? })
}

fn read_entries(source: &mut impl Read, limits: &LayerLimits) -> Result<Vec<Entry>, OciError> {
    let mut archive = tar::Archive::new(source);
    let mut entries = Vec::new();
    for entry in archive.entries().map_err(OciError::Layer)? {
        let mut entry = entry.map_err(OciError::Layer)?;
        if entries.len() == limits.entries {
            return Err(OciError::TooManyEntries(limits.entries));
        }
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        entries.push(read_entry(&mut entry)?);
    }
    Ok(entries)
}

fn read_entry(entry: &mut tar::Entry<'_, impl Read>) -> Result<Entry, OciError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|e| OciError::Layer(io::Error::other(e)));
    let path = inside_root(text(&entry.path_bytes())?)?;
    let link = match entry.link_name_bytes() {
        Some(bytes) => text(&bytes)?,
        None => String::new(),
    };
    let header = entry.header();
    let number = |value: io::Result<u64>| {
        value.and_then(|v| u32::try_from(v).map_err(io::Error::other)).map_err(OciError::Layer)
    };
    let access = Access {
        mode: header.mode().map_err(OciError::Layer)? & 0o7777,
        uid: number(header.uid())?,
        gid: number(header.gid())?,
    };
    let mtime = header.mtime().map_err(OciError::Layer)?;
    let kind = header.entry_type();
    let node = match kind {
        tar::EntryType::Directory => Node::Directory,
        tar::EntryType::Symlink => Node::Symlink(link),
        tar::EntryType::Link => Node::HardLink(inside_root(link)?),
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(OciError::Layer)?;
            Node::File(content)
        }
        other => Node::Special(other.as_byte()),
    };
    Ok(Entry { path, access, mtime, node })
}

/// The path without `./` and trailing slash; the root is `.`.
fn inside_root(raw: String) -> Result<String, OciError> {
    let path = raw.trim_start_matches("./").trim_end_matches('/');
    if !raw.starts_with('/') && matches!(path, "" | ".") && !raw.is_empty() {
        return Ok(".".to_owned());
    }
    if path.split('/').any(|c| matches!(c, "" | "." | "..") || c.contains('\0')) {
        let why = "it must be relative, without empty components and \"..\"";
        return Err(OciError::EntryPath { path: raw, why });
    }
    Ok(path.to_owned())
}

struct BoundedReader<R> {
    inner: R,
    hasher: Sha256,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            self.exceeded = true;
            return Err(io::Error::other("unpacked size limit exceeded"));
        };
        self.left = left;
        self.hasher.update(&buf[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::layer::LayerBuilder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar_with(name: &[u8], kind: tar::EntryType, link: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.as_ustar_mut().unwrap().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, io::empty()).unwrap();
        archive.into_inner().unwrap()
    }

    #[test]
    fn decompression_bomb_is_stopped_at_the_limit() {
        let mut layer = LayerBuilder::new();
        layer.file("zeros", Access::root(0o644), vec![0; 8 << 20]).unwrap();
        let bomb = layer.build().unwrap().bytes;
        assert!(bomb.len() < 20_000);
        let limits = LayerLimits { unpacked: 1 << 20, ..LayerLimits::default() };
        assert!(matches!(read_layer(&bomb, &limits), Err(OciError::TooLarge { .. })));
    }

    #[test]
    fn bytes_after_the_end_marker_count_towards_limit_and_diff_id() {
        let mut plain = tar_with(b"a", tar::EntryType::Regular, b"");
        let short = read_layer(&gzip(&plain), &LayerLimits::default()).unwrap().diff_id;
        plain.extend(vec![0; 2 << 20]);
        assert_ne!(read_layer(&gzip(&plain), &LayerLimits::default()).unwrap().diff_id, short);
        let limits = LayerLimits { unpacked: 1 << 20, ..LayerLimits::default() };
        assert!(matches!(read_layer(&gzip(&plain), &limits), Err(OciError::TooLarge { .. })));
    }

    #[test]
    fn entry_count_is_bounded() {
        let mut layer = LayerBuilder::new();
        for i in 0..9 {
            layer.file(&format!("f{i}"), Access::root(0o644), "").unwrap();
        }
        let limits = LayerLimits { entries: 8, ..LayerLimits::default() };
        let bytes = layer.build().unwrap().bytes;
        assert!(matches!(read_layer(&bytes, &limits), Err(OciError::TooManyEntries(8))));
    }

    #[test]
    fn paths_outside_the_root_are_refused() {
        for bad in ["../etc/passwd", "/etc/passwd", "a/../../b", "./../b", "a//b", "/"] {
            let bytes = tar_with(bad.as_bytes(), tar::EntryType::Regular, b"");
            assert!(read_layer(&bytes, &LayerLimits::default()).is_err(), "{bad:?} was accepted");
            let bytes = tar_with(b"ok", tar::EntryType::Link, bad.as_bytes());
            assert!(read_layer(&bytes, &LayerLimits::default()).is_err(), "hard link to {bad:?} was accepted");
        }
        let bytes = tar_with(b"./etc/", tar::EntryType::Directory, b"");
        assert_eq!(read_layer(&bytes, &LayerLimits::default()).unwrap().entries[0].path, "etc");
    }

    #[test]
    fn damage_is_an_error() {
        let mut layer = LayerBuilder::new();
        layer.file("f", Access::root(0o644), b"content".repeat(500)).unwrap();
        let good = layer.build().unwrap().bytes;
        for cut in [0, 5, 11, good.len() / 2, good.len() - 1] {
            assert!(read_layer(&good[..cut], &LayerLimits::default()).is_err() || cut == 0, "cut at {cut}");
        }
        let mut flipped = good.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(read_layer(&flipped, &LayerLimits::default()).is_err(), "gzip checksum");
    }
}
