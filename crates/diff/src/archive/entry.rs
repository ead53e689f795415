//! An entry of an archive with everything that its headers say.

use std::collections::BTreeMap;

use csign_oci::Digest;

use crate::report::Value;

/// How much of a value is shown, in bytes.
const SHOWN: usize = 400;

/// What the headers of one entry say, extended ones applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name as it is written.
    pub(crate) path: Vec<u8>,
    /// The type's byte.
    pub(crate) kind: u8,
    pub(crate) mode: i64,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) uname: Vec<u8>,
    pub(crate) gname: Vec<u8>,
    /// Seconds since 1970, with a fraction if there is one.
    pub(crate) mtime: Value,
    /// Bytes of content in the archive.
    pub(crate) size: u64,
    /// Where a link points.
    pub(crate) link: Vec<u8>,
    pub(crate) device: (i64, i64),
    /// `ustar`, `gnu`, `v7`, and `pax` if there is an extended header.
    pub(crate) format: &'static str,
    /// A sparse file's map and whole size.
    pub(crate) sparse: Option<String>,
    /// What else extended headers say; extended attributes are `xattr.NAME`.
    pub(crate) extended: BTreeMap<String, Vec<u8>>,
    /// Digest of all header blocks as they are written.
    pub(crate) headers: Digest,
    /// Its number in the archive, from 0.
    pub(crate) position: u64,
}

/// An entry and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) content: Digest,
}

impl Entry {
    /// The path within the root: `./a/`, `/a` and `a` name one thing.
    pub(crate) fn key(&self) -> &[u8] {
        let mut key = self.path.as_slice();
        loop {
            key = match key {
                [b'.', b'/', rest @ ..] | [b'/', rest @ ..] => rest,
                [rest @ .., b'/'] => rest,
                b"." => b"",
                _ => return key,
            }
        }
    }

    /// The path for people: `/etc/hosts`.
    pub(crate) fn name(&self) -> String {
        format!("/{}", escaped(self.key()))
    }

    /// Does it have content that can be looked into?
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.kind, b'0' | b'7')
    }

    /// What it is, in a word.
    pub(crate) fn type_name(&self) -> String {
        let name = self.key().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match self.kind {
            b'0' if name == b".wh..wh..opq" => "opaque whiteout".to_owned(),
            b'0' if name.starts_with(b".wh.") => "whiteout".to_owned(),
            b'0' => "file".to_owned(),
            b'1' => "hard link".to_owned(),
            b'2' => "symbolic link".to_owned(),
            b'3' => "character device".to_owned(),
            b'4' => "block device".to_owned(),
            b'5' => "directory".to_owned(),
            b'6' => "pipe".to_owned(),
            b'7' => "contiguous file".to_owned(),
            b'S' => "sparse file".to_owned(),
            other => format!("type {}", escaped(&[other])),
        }
    }

    /// Every property, named as in the format's specification; absent ones are left out.
    pub(crate) fn attributes(&self) -> Vec<(String, Value)> {
        let text = |bytes: &[u8]| Some(Value::Text(shown(bytes))).filter(|_| !bytes.is_empty());
        let known = [
            ("type", Some(Value::Text(self.type_name()))),
            ("mode", Some(Value::Number(self.mode))),
            ("uid", Some(Value::Number(self.uid))),
            ("gid", Some(Value::Number(self.gid))),
            ("uname", text(&self.uname)),
            ("gname", text(&self.gname)),
            ("mtime", Some(self.mtime.clone())),
            ("size", i64::try_from(self.size).ok().map(Value::Number)),
            ("link", text(&self.link)),
            (
                "device",
                Some(Value::Text(format!("{}:{}", self.device.0, self.device.1))).filter(|_| self.device != (0, 0)),
            ),
            ("sparse", self.sparse.clone().map(Value::Text)),
            ("format", Some(Value::Text(self.format.to_owned()))),
            ("path", Some(Value::Text(shown(&self.path)))),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let extended = self.extended.iter().map(|(name, value)| (name.clone(), Value::Text(shown(value))));
        known.chain(extended).collect()
    }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return escaped(bytes);
    }
    // Two long values that start alike must not look alike.
    let start = escaped(bytes.get(..SHOWN / 2).unwrap_or_default());
    format!("{start}… ({} bytes, {})", bytes.len(), Digest::of(bytes))
}

/// Text, with `\xNN` for what is not UTF-8 and `\\` for a backslash.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}
