//! From entry to entry.

use std::mem;

use csign_oci::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    entry::Entry,
    header::{BLOCK, Header},
    input::Input,
    pax::{self, Records},
};
use crate::{error::DiffError, limits::Limits, report::Value};

/// Blocks of a GNU sparse map; one block holds 21 parts.
const MAX_SPARSE: usize = 4096;

/// Reads an archive's entries, and the content of each if wanted.
pub(crate) struct Walker<I> {
    input: I,
    what: String,
    max_entries: u64,
    max_header: u64,
    /// Content and padding of the present entry that were not read yet.
    left: u64,
    padding: u64,
    at: u64,
    count: u64,
    global: Records,
    done: bool,
    tail: Tail,
}

/// What follows the last entry, and what fills blocks up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Bytes after the last entry.
    pub(crate) bytes: u64,
    /// Are there others than zeros among them?
    pub(crate) foreign: bool,
    /// Entries whose last block is filled up with others than zeros.
    pub(crate) padded: u64,
}

/// What extended headers before an entry say about it.
#[derive(Default)]
struct Extended {
    records: Records,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    is_pax: bool,
    headers: Sha256,
}

impl<I: Input> Walker<I> {
    /// `what` is for messages.
    pub(crate) fn new(input: I, limits: &Limits, what: &str) -> Self {
        Self {
            input,
            what: what.to_owned(),
            max_entries: limits.entries,
            max_header: limits.header,
            left: 0,
            padding: 0,
            at: 0,
            count: 0,
            global: Records::new(),
            done: false,
            tail: Tail::default(),
        }
    }

    /// What is left of the input.
    pub(crate) fn into_input(self) -> I {
        self.input
    }

    /// Where the present entry's content starts, in bytes from the archive's beginning.
    pub(crate) fn data_offset(&self) -> u64 {
        self.at
    }

    /// The next entry; what was not read of the one before is skipped.
    #[allow(clippy::should_implement_trait, reason = "it can fail")]
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, DiffError> {
        if self.done {
            return Ok(None);
        }
        self.finish_entry()?;
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.block()? else { return self.end(0) };
            if block.iter().all(|byte| *byte == 0) {
                return self.end(BLOCK as u64);
            }
            extended.headers.update(block);
            let header = Header::new(&block).map_err(|why| self.malformed(why))?;
            let size = header.size().and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| self.malformed("an entry's size is no size"))?;
            match header.kind() {
                kind @ (b'x' | b'g' | b'L' | b'K') => {
                    let bytes = self.metadata(size)?;
                    extended.headers.update(&bytes);
                    self.apply(kind, &bytes, &mut extended)?;
                }
                _ => return self.entry(&header, size, extended).map(Some),
            }
        }
    }

    /// More of the present entry's content; empty at its end.
    pub(crate) fn data(&mut self) -> Result<&[u8], DiffError> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let held = self.input.fill()?;
        if held.is_empty() {
            return Err(DiffError::malformed(&self.what, "the archive ends within a file"));
        }
        let count = held.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(held.get(..count).unwrap_or_default())
    }

    /// That much of it is done with.
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.left = self.left.saturating_sub(count as u64);
        self.at += count as u64;
    }

    /// Reads to the end of the input: what follows the last entry.
    pub(crate) fn tail(&mut self) -> Result<Tail, DiffError> {
        loop {
            let held = self.input.fill()?;
            if held.is_empty() {
                return Ok(self.tail.clone());
            }
            self.tail.foreign |= held.iter().any(|byte| *byte != 0);
            let count = held.len();
            self.tail.bytes += count as u64;
            self.input.consume(count);
        }
    }

    fn malformed(&self, why: &str) -> DiffError {
        DiffError::malformed(&self.what, format!("{why} (after {} entries, at byte {})", self.count, self.at))
    }

    fn end(&mut self, bytes: u64) -> Result<Option<Entry>, DiffError> {
        self.done = true;
        self.tail.bytes = bytes;
        Ok(None)
    }

    fn finish_entry(&mut self) -> Result<(), DiffError> {
        let left = mem::take(&mut self.left);
        if self.input.skip(left)? < left {
            return Err(self.malformed("the archive ends within a file"));
        }
        self.at += left;
        let mut foreign = false;
        let mut padding = mem::take(&mut self.padding);
        while padding > 0 {
            let held = self.input.fill()?;
            let count = held.len().min(usize::try_from(padding).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(self.malformed("the archive ends within a block"));
            }
            foreign |= held.iter().take(count).any(|byte| *byte != 0);
            self.input.consume(count);
            padding -= count as u64;
            self.at += count as u64;
        }
        self.tail.padded += u64::from(foreign);
        Ok(())
    }

    /// The next block, or nothing at a clean end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, DiffError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(room) = block.get_mut(filled..).filter(|room| !room.is_empty()) {
            let held = self.input.fill()?;
            let count = held.len().min(room.len());
            if count == 0 {
                return if filled == 0 { Ok(None) } else { Err(self.malformed("the archive ends within a header")) };
            }
            for (to, from) in room.iter_mut().zip(held) {
                *to = *from;
            }
            self.input.consume(count);
            filled += count;
            self.at += count as u64;
        }
        Ok(Some(block))
    }

    /// The content of an entry that says something about the next one.
    fn metadata(&mut self, size: u64) -> Result<Vec<u8>, DiffError> {
        if size > self.max_header {
            let what = format!("{}: a long name or extended header", self.what);
            return Err(DiffError::Limit { what, limit: self.max_header, unit: "bytes" });
        }
        (self.left, self.padding) = (size, padding(size));
        let mut bytes = Vec::new();
        loop {
            let held = self.data()?;
            if held.is_empty() {
                break;
            }
            bytes.extend_from_slice(held);
            let count = held.len();
            self.consume(count);
        }
        self.finish_entry()?;
        Ok(bytes)
    }

    fn apply(&mut self, kind: u8, bytes: &[u8], extended: &mut Extended) -> Result<(), DiffError> {
        let name = || bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match kind {
            b'L' => extended.path = Some(name()),
            b'K' => extended.link = Some(name()),
            b'g' => pax::parse(bytes, &mut self.global).map_err(|why| self.malformed(why))?,
            _ => {
                extended.is_pax = true;
                pax::parse(bytes, &mut extended.records).map_err(|why| self.malformed(why))?;
            }
        }
        // Records that come again and again must not grow without end.
        let held: usize = self.global.iter().chain(&extended.records).map(|(key, value)| key.len() + value.len()).sum();
        if held as u64 > 2 * self.max_header {
            let what = format!("{}: its extended headers", self.what);
            return Err(DiffError::Limit { what, limit: self.max_header, unit: "bytes" });
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header<'_>, size: u64, extended: Extended) -> Result<Entry, DiffError> {
        if self.count == self.max_entries {
            return Err(DiffError::Limit { what: self.what.clone(), limit: self.max_entries, unit: "entries" });
        }
        let Extended { records, path, link, is_pax, mut headers } = extended;
        // What holds for all entries is written before the first of them only.
        for (key, value) in &self.global {
            headers.update((key.len() as u64).to_le_bytes());
            headers.update(key);
            headers.update((value.len() as u64).to_le_bytes());
            headers.update(value);
        }
        let mut records = self.global.clone().into_iter().chain(records).collect::<Records>();
        let mut take = |key: &str| records.remove(key);
        let bad = |what: &str| self.malformed(&format!("an entry's {what} is no number"));
        let number = |field: Option<Vec<u8>>, own: Option<i64>, what: &str| match field {
            Some(value) => pax::number(&value).ok_or_else(|| bad(what)),
            None => own.ok_or_else(|| bad(what)),
        };
        let size = match take("size") {
            Some(value) => pax::number(&value).and_then(|size| u64::try_from(size).ok()).ok_or_else(|| bad("size"))?,
            None => size,
        };
        let (own_uname, own_gname) = header.owners();
        let mtime = match take("mtime") {
            Some(value) => time(&value).ok_or_else(|| bad("mtime"))?,
            None => Value::Number(header.mtime().ok_or_else(|| bad("mtime"))?),
        };
        let kind = header.kind();
        let mut entry = Entry {
            path: take("path").or(path).unwrap_or_else(|| header.path()),
            kind,
            mode: header.mode().ok_or_else(|| bad("mode"))?,
            uid: number(take("uid"), header.uid(), "uid")?,
            gid: number(take("gid"), header.gid(), "gid")?,
            uname: take("uname").unwrap_or(own_uname),
            gname: take("gname").unwrap_or(own_gname),
            mtime,
            size,
            link: take("linkpath").or(link).unwrap_or_else(|| header.link()),
            device: if matches!(kind, b'3' | b'4') { header.device().ok_or_else(|| bad("device"))? } else { (0, 0) },
            format: if is_pax { "pax" } else { header.format() },
            sparse: None,
            extended: records.into_iter().map(|(key, value)| (extended_name(key), value)).collect(),
            headers: Digest::of(b""),
            position: self.count,
        };
        // Links, devices, directories and pipes have no content, whatever their size says (POSIX.1-2017, pax, typeflag).
        let stored = if matches!(kind, b'1'..=b'6') { 0 } else { size };
        if kind == b'S' {
            entry.sparse = Some(self.sparse(header, &mut headers)?);
        }
        entry.headers = Digest::from_bytes(headers.finalize().into());
        (self.left, self.padding) = (stored, padding(stored));
        self.count += 1;
        Ok(entry)
    }

    /// GNU's map of a sparse file, which goes on in blocks of its own.
    fn sparse(&mut self, header: &Header<'_>, headers: &mut Sha256) -> Result<String, DiffError> {
        let (map, mut more, whole) = header.sparse();
        let mut parts = Sha256::new();
        parts.update(map);
        let mut blocks = 0;
        while more {
            let block = self.block()?.ok_or_else(|| self.malformed("the archive ends within a sparse file's map"))?;
            headers.update(block);
            parts.update(block);
            more = block.get(504).is_some_and(|flag| *flag != 0);
            blocks += 1;
            if blocks > MAX_SPARSE {
                return Err(self.malformed("a sparse file's map is too long"));
            }
        }
        let whole = whole.ok_or_else(|| self.malformed("a sparse file's size is no number"))?;
        Ok(format!("{whole} bytes, map {}", Digest::from_bytes(parts.finalize().into())))
    }
}

/// What fills up the last block.
fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// `SCHILY.xattr.NAME` is the extended attribute NAME; other keys keep their names.
fn extended_name(key: String) -> String {
    match key.strip_prefix("SCHILY.xattr.") {
        Some(name) => format!("xattr.{name}"),
        None => format!("pax.{key}"),
    }
}

/// Seconds, with a fraction if there is one.
fn time(value: &[u8]) -> Option<Value> {
    if let Some(seconds) = pax::number(value) {
        return Some(Value::Number(seconds));
    }
    let text = std::str::from_utf8(value).ok()?;
    let (seconds, fraction) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = (seconds.strip_prefix('-').unwrap_or(seconds), fraction.trim_end_matches('0'));
    if !digits(whole) {
        return None;
    }
    if fraction.is_empty() {
        return pax::number(seconds.as_bytes()).map(Value::Number);
    }
    digits(fraction).then(|| Value::Text(format!("{seconds}.{fraction}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn entries(bytes: &[u8]) -> Vec<Entry> {
        let mut walker = Walker::new(bytes, &Limits::default(), "it");
        std::iter::from_fn(|| walker.next().unwrap()).collect()
    }

    #[test]
    fn long_names_of_gnu_and_of_pax_are_the_names() {
        let long = format!("{}/file", "directory".repeat(30));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "link", &long).unwrap();
        let records =
            [("path", long.as_bytes()), ("mtime", b"7.250"), ("SCHILY.xattr.user.a", b"\xff"), ("size", b"3")];
        builder.append_pax_extensions(records).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(3);
        header.set_cksum();
        builder.append(&header, &b"def"[..]).unwrap();
        let [gnu, link, pax] = entries(&builder.into_inner().unwrap()).try_into().unwrap();
        assert_eq!((gnu.path, gnu.format), (long.clone().into_bytes(), "gnu"));
        assert_eq!((link.key(), &link.link), (&b"link"[..], &long.clone().into_bytes()));
        assert_eq!((pax.path, pax.format, pax.mtime), (long.into_bytes(), "pax", Value::Text("7.25".to_owned())));
        assert_eq!(pax.extended["xattr.user.a"], [0xff]);
    }

    #[test]
    fn what_holds_for_all_entries_is_part_of_each() {
        let archive = |comment: &str| {
            let mut bytes = Vec::new();
            let record = format!("{} comment={comment}\n", 12 + comment.len());
            for (kind, name, content) in [(b'g', "global", record.as_str()), (b'0', "a", ""), (b'0', "b", "")] {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::new(kind));
                header.set_path(name).unwrap();
                header.set_size(content.len() as u64);
                header.set_cksum();
                bytes.extend_from_slice(header.as_bytes());
                bytes.extend_from_slice(content.as_bytes());
                bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            }
            entries(&bytes)
        };
        let (one, other) = (archive("x"), archive("y"));
        assert_eq!(one[1].extended["pax.comment"], b"x");
        assert!(one.iter().zip(&other).all(|(a, b)| a.headers != b.headers));
        assert_eq!(one, archive("x"));
    }
}
