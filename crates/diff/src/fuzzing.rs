//! Parsers of foreign bytes that are no part of the interface, for the fuzz targets: were the bytes accepted?

use std::io::{Cursor, Write as _};

use crate::{
    archive::Walker,
    compression::Decoder,
    content::compare,
    image::document_differences,
    limits::Limits,
    report::{Change, Node},
    source::{Blob, PackedSource, Source as _},
};

/// Small bounds, so that the fuzzer meets them.
const LIMITS: Limits = Limits {
    document: 1 << 16,
    platforms: 16,
    layers: 16,
    unpacked: 1 << 20,
    zstd_window: 1 << 20,
    entries: 64,
    header: 1 << 14,
    spool: 1 << 20,
    children: 16,
    files: 4,
    nodes: 64,
};

/// A layer: decompression and the archive, with the content of every entry.
pub fn layer(bytes: &[u8]) -> bool {
    let Ok(mut decoder) = Decoder::new(bytes, LIMITS.zstd_window) else { return false };
    let (mut unpacked, mut chunk) = (Vec::new(), vec![0; 4096]);
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => unpacked.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(_) => return false,
        }
        if unpacked.len() as u64 > LIMITS.unpacked {
            return false;
        }
    }
    let mut walker = Walker::new(unpacked.as_slice(), &LIMITS, "the layer");
    let mut count = 0_u64;
    loop {
        match walker.next() {
            Ok(None) => break,
            Ok(Some(entry)) => {
                let _ = (entry.name(), entry.attributes());
                assert_eq!(entry.position, count, "an entry was lost");
                count += 1;
                let mut left = entry.size;
                while let Ok(held) = walker.data() {
                    let length = held.len();
                    if length == 0 {
                        break;
                    }
                    assert!(left >= length as u64, "more content than the header says");
                    left -= length as u64;
                    walker.consume(length);
                }
            }
            Err(_) => return false,
        }
    }
    assert!(count <= LIMITS.entries, "too many entries");
    walker.tail().is_ok() && count > 0
}

/// An archive of an image, with its manifest.
pub fn image(bytes: &[u8]) -> bool {
    let Ok(mut file) = tempfile::tempfile() else { return false };
    if file.write_all(bytes).is_err() {
        return false;
    }
    let Ok(blob) = Blob::whole(file) else { return false };
    PackedSource::of("the archive", blob, &LIMITS).is_ok_and(|source| source.root().is_ok())
}

/// A configuration, compared with another one and with itself.
pub fn configuration(bytes: &[u8], other: &[u8]) -> bool {
    let parse = |bytes| csign_oci::json::value_from_slice(bytes);
    let (Ok(one), Ok(two)) = (parse(bytes), parse(other)) else { return false };
    document_differences((bytes, other), &one, &two, &LIMITS);
    assert!(!document_differences((bytes, bytes), &one, &one, &LIMITS), "it differs from itself");
    one.is_object()
}

/// Compares two files.
///
/// # Panics
/// When memory cannot be read.
pub fn contents(name: &str, a: &[u8], b: &[u8]) -> (Vec<Change>, Vec<Node>) {
    let compared = compare(name, &mut Cursor::new(a.to_vec()), &mut Cursor::new(b.to_vec()), &Limits::default());
    compared.unwrap_or_else(|error| panic!("memory cannot be read: {error}"))
}

/// Compares a file with a copy of it in which one byte is another one, and says whether both could be looked into as what
/// their first bytes say.
pub fn damaged_copy(bytes: &[u8]) -> bool {
    let mut copy = bytes.to_vec();
    // Near the end, and in the middle: neither is in a magic number.
    let Some(byte) = copy.iter_mut().rev().nth(bytes.len() / 3) else { return false };
    *byte = byte.wrapping_add(1);
    let (changes, children) = contents("file", bytes, &copy);
    let backwards = contents("file", &copy, bytes);
    assert_eq!((changes.len(), children.len()), (backwards.0.len(), backwards.1.len()), "it depends on the order");
    assert!(!changes.is_empty() || !children.is_empty(), "a difference was not found");
    bytes.len() > 16 && !changes.iter().any(|change| matches!(change, Change::Unread { .. }))
}
