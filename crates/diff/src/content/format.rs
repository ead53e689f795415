//! Recognizes what a file is by its first bytes.

use std::io;

use super::{
    Content,
    window::{fill, rewind},
};

/// How a file is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Elf,
    Ar,
    Tar,
    Zip,
    Gzip,
    Zstd,
    Json,
    Text,
    /// Known by name only.
    Unsupported(&'static str),
    Other,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Elf => "ELF",
            Self::Ar => "ar",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Unsupported(name) => name,
            Self::Other => "binary",
        }
    }
}

/// Bytes that are looked at. A text is text as far as these are.
const HEAD: usize = 8 << 10;
/// Where a tar archive has its magic number (POSIX ustar header).
const USTAR: std::ops::Range<usize> = 257..262;

pub(super) fn detect(content: &mut dyn Content) -> io::Result<Format> {
    rewind(content)?;
    let mut head = vec![0; HEAD];
    let count = fill(content, &mut head)?;
    head.truncate(count);
    rewind(content)?;
    let magic: [(&[u8], Format); 10] = [
        (b"\x7fELF", Format::Elf),
        (b"!<arch>\n", Format::Ar),
        (b"!<thin>\n", Format::Unsupported("a thin archive")),
        (b"\x1f\x8b", Format::Gzip),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"PK\x03\x04", Format::Zip),
        (b"PK\x05\x06", Format::Zip),
        (b"\xfd7zXZ\0", Format::Unsupported("xz")),
        (b"BZh", Format::Unsupported("bzip2")),
        (b"\x04\x22\x4d\x18", Format::Unsupported("lz4")),
    ];
    if let Some((_, format)) = magic.iter().find(|(magic, _)| head.starts_with(magic)) {
        // Text may begin with "BZh" too.
        return Ok(if is_text(&head) { Format::Text } else { *format });
    }
    if head.get(USTAR).is_some_and(|magic| magic == b"ustar") {
        return Ok(Format::Tar);
    }
    if !is_text(&head) {
        return Ok(Format::Other);
    }
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if matches!(first, Some(b'{' | b'[')) { Format::Json } else { Format::Text })
}

/// No control characters but those of text, and mostly UTF-8; a character may be cut at the end.
fn is_text(head: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    let invalid: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    !head.iter().any(control) && invalid <= 3 + head.len() / 64
}
