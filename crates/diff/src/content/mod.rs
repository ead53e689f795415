//! What differs inside of two files: binaries by section and symbol, archives by member, JSON by pointer, text by line,
//! anything else by byte.
//!
//! No file is read into memory as a whole; what a format says about itself is bounded before it is believed. A file that
//! claims a format and breaks its rules is compared as bytes, with the reason.

mod archive;
mod bytes;
mod compressed;
mod elf;
mod failure;
mod format;
mod json;
mod strings;
mod text;
mod window;

use std::{
    cell::Cell,
    io::{Read, Seek},
};

use crate::{
    error::DiffError,
    limits::Limits,
    report::{Change, Node, Value},
};

use self::{failure::Failure, format::Format};

/// Archives within archives are opened down to this depth; deeper ones are compared as bytes.
const DEPTH: u32 = 4;
/// Children that are listed of one thing; the rest is counted.
const CHILDREN: usize = 256;
/// So few bytes of a file are listed as bytes, too.
const FEW: u64 = 8;
/// Characters of one name, line or value.
const TEXT: usize = 400;

/// A file's bytes: in memory or on disk.
pub(crate) trait Content: Read + Seek + Send {
    /// How many there are.
    fn len(&self) -> u64;
}

/// Says what differs in two files, which do differ: changes of the file itself, and things in it that differ.
///
/// # Errors
/// Reading fails, or writing temporary files does. A damaged or hostile file is no error.
pub(crate) fn compare(
    name: &str,
    a: &mut dyn Content,
    b: &mut dyn Content,
    limits: &Limits,
) -> Result<(Vec<Change>, Vec<Node>), DiffError> {
    let unpacked = Cell::new(limits.spool.saturating_mul(2));
    let context = Context { depth: 0, unpacked: &unpacked, zstd_window: limits.zstd_window };
    let mut difference = context.difference(name, a, b)?;
    if difference.omitted > 0 {
        let why = format!("{} more things in it differ and are not listed", difference.omitted);
        difference.changes.push(Change::Unread { why });
    }
    Ok((difference.changes, difference.children))
}

pub(crate) use self::strings::words;

/// How deep we are, and what may still be unpacked.
#[derive(Clone, Copy)]
struct Context<'a> {
    depth: u32,
    /// Bytes, of both sides and all archives in the file together: stops decompression bombs.
    unpacked: &'a Cell<u64>,
    zstd_window: u64,
}

/// What differs in one thing; empty if nothing does.
#[derive(Debug, Default)]
struct Difference {
    changes: Vec<Change>,
    children: Vec<Node>,
    omitted: u64,
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.children.is_empty() && self.omitted == 0
    }

    /// Adds a child, or counts it if there are many.
    fn child(&mut self, node: Node) {
        if self.children.len() < CHILDREN {
            self.children.push(node);
        } else {
            self.omitted += 1;
        }
    }

    fn into_node(self, kind: crate::report::Kind, name: impl Into<String>) -> Node {
        let Self { changes, children, omitted } = self;
        Node { kind, name: name.into(), changes, children, omitted }
    }
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        Self { changes: vec![change], ..Self::default() }
    }
}

impl Context<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// The whole answer for two contents. An error is one of reading; a format's is in the answer.
    fn difference(self, name: &str, a: &mut dyn Content, b: &mut dyn Content) -> std::io::Result<Difference> {
        let (of_a, of_b) = (format::detect(a)?, format::detect(b)?);
        if of_a != of_b {
            let mut difference = Difference::from(attribute("format", Some(of_a.name()), Some(of_b.name())));
            difference.changes.extend(bytes::compare(a, b)?);
            return Ok(difference);
        }
        let known = match of_a {
            Format::Elf => elf::compare(a, b),
            Format::Json => json::compare(a, b),
            Format::Text => text::compare(a, b),
            Format::Other => binary(a, b).map_err(Failure::Io),
            Format::Unsupported(what) => Err(Failure::format(format!("{what} is not decompressed here"))),
            _ if self.depth >= DEPTH => Err(Failure::format(format!("it lies in {DEPTH} other archives"))),
            Format::Ar => archive::ar(self, a, b),
            Format::Tar => archive::tar(self, a, b),
            Format::Zip => archive::zip(self, a, b),
            Format::Gzip | Format::Zstd => compressed::compare(self, of_a, name, a, b),
        };
        let mut difference = match known {
            Ok(difference) => difference,
            Err(Failure::Io(error)) => return Err(error),
            Err(Failure::Format(why)) => Difference::from(Change::Unread { why }),
        };
        let explained = !difference.children.is_empty()
            || difference.changes.iter().any(|change| !matches!(change, Change::Unread { .. }));
        // Few bytes may be damage, whatever they are in.
        let differing = if a.len() == b.len() { bytes::scan(a, b)?.differing } else { u64::MAX };
        let few = of_a != Format::Other && differing <= FEW && differing * 4 <= a.len();
        if !explained || few {
            difference.changes.extend(bytes::compare(a, b)?);
        }
        Ok(difference)
    }
}

/// Bytes of an unknown format, and the strings in them.
fn binary(a: &mut dyn Content, b: &mut dyn Content) -> std::io::Result<Difference> {
    let scan = bytes::scan(a, b)?;
    let mut difference = Difference::default();
    difference.changes.extend(bytes::change(&scan, a, b)?);
    difference.changes.extend(strings::compare(a, b, scan.first.unwrap_or_default())?);
    Ok(difference)
}

fn attribute(name: &str, a: Option<impl Into<Value>>, b: Option<impl Into<Value>>) -> Change {
    Change::Attribute { name: name.to_owned(), a: a.map(Into::into), b: b.map(Into::into) }
}

/// An attribute, if both sides differ in it.
fn differing<T: PartialEq + Into<Value>>(name: &str, a: Option<T>, b: Option<T>) -> Option<Change> {
    (a != b).then(|| attribute(name, a, b))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(shortened(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(shortened(&text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or_else(|_| Self::Text(number.to_string()), Self::Number)
    }
}

/// At most [`TEXT`] characters, with a mark where it was cut.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Bytes as text; what is not UTF-8 as `\xNN`.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
