//! Every entry of a layer with the digest of its content, and how it is written to a temporary file.

use std::collections::BTreeMap;

use csign_oci::Digest;
use sha2::{Digest as _, Sha256};

use super::sort::{Sorted, Sorter};
use crate::{
    archive::{Entry, Input, Kept, Tail, Walker},
    error::DiffError,
    limits::Limits,
    report::Value,
};

/// The rest of a layer, from `first` on, whose content is unread.
pub(super) fn index<I: Input>(
    walker: &mut Walker<I>,
    first: Option<Entry>,
    limits: &Limits,
) -> Result<(Sorted, Tail), DiffError> {
    let mut sorter = Sorter::new(limits.spool);
    let mut next = first;
    while let Some(entry) = next {
        let mut hasher = Sha256::new();
        loop {
            let held = walker.data()?;
            if held.is_empty() {
                break;
            }
            hasher.update(held);
            let count = held.len();
            walker.consume(count);
        }
        sorter.add(Kept { entry, content: Digest::from_bytes(hasher.finalize().into()) })?;
        next = walker.next()?;
    }
    Ok((sorter.finish()?, walker.tail()?))
}

/// Bytes of texts, which have no bound of their own.
pub(super) fn variable_size(entry: &Entry) -> usize {
    let extended: usize = entry.extended.iter().map(|(key, value)| key.len() + value.len() + 100).sum();
    entry.path.len() + entry.link.len() + entry.uname.len() + entry.gname.len() + extended
}

const FORMATS: [&str; 4] = ["ustar", "gnu", "v7", "pax"];

/// Writes an entry. Only [`decode`] reads it, in the same process.
pub(super) fn encode(kept: &Kept, out: &mut Vec<u8>) {
    let Kept { entry, content } = kept;
    out.extend_from_slice(content.as_bytes());
    out.extend_from_slice(entry.headers.as_bytes());
    out.push(entry.kind);
    out.push(FORMATS.iter().position(|format| *format == entry.format).unwrap_or_default() as u8);
    let numbers = [entry.mode, entry.uid, entry.gid, entry.device.0, entry.device.1];
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    [entry.size, entry.position].iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    let (kind, mtime) = match &entry.mtime {
        Value::Number(number) => (0, number.to_string()),
        Value::Text(text) => (1, text.clone()),
    };
    out.push(kind);
    let sparse = entry.sparse.as_deref().unwrap_or_default();
    let texts = [&*entry.path, &*entry.link, &*entry.uname, &*entry.gname, mtime.as_bytes(), sparse.as_bytes()];
    texts.iter().for_each(|text| put(text, out));
    for (key, value) in &entry.extended {
        put(key.as_bytes(), out);
        put(value, out);
    }
}

fn put(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text);
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<Kept> {
    let mut rest = bytes;
    let mut take = |count: usize| -> Option<&[u8]> {
        let (head, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(head)
    };
    let digest = |bytes: &[u8]| Some(Digest::from_bytes(*bytes.first_chunk()?));
    let content = digest(take(32)?)?;
    let headers = digest(take(32)?)?;
    let kind = *take(1)?.first()?;
    let format = FORMATS.get(usize::from(*take(1)?.first()?))?;
    let mut numbers = [0; 7];
    for number in &mut numbers {
        *number = i64::from_le_bytes(*take(8)?.first_chunk()?);
    }
    let [mode, uid, gid, major, minor, size, position] = numbers;
    let is_text = take(1)? == [1];
    let mut text = || -> Option<Vec<u8>> {
        let length = u64::from_le_bytes(*take(8)?.first_chunk()?);
        Some(take(usize::try_from(length).ok()?)?.to_vec())
    };
    let [path, link, uname, gname, mtime, sparse] = [text()?, text()?, text()?, text()?, text()?, text()?];
    let mut extended = BTreeMap::new();
    while let Some(key) = text() {
        extended.insert(String::from_utf8(key).ok()?, text()?);
    }
    let mtime = String::from_utf8(mtime).ok()?;
    let entry = Entry {
        path,
        kind,
        mode,
        uid,
        gid,
        uname,
        gname,
        mtime: if is_text { Value::Text(mtime) } else { Value::Number(mtime.parse().ok()?) },
        size: size.cast_unsigned(),
        link,
        device: (major, minor),
        format,
        sparse: Some(String::from_utf8(sparse).ok()?).filter(|text| !text.is_empty()),
        extended,
        headers,
        position: position.cast_unsigned(),
    };
    Some(Kept { entry, content })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn kept(path: &str, position: u64) -> Kept {
        let entry = Entry {
            path: path.into(),
            kind: b'0',
            mode: 0o644,
            uid: -1,
            gid: i64::MAX,
            uname: b"\xff".to_vec(),
            gname: Vec::new(),
            mtime: Value::Text("1.5".to_owned()),
            size: u64::MAX,
            link: b"x".to_vec(),
            device: (1, 2),
            format: "pax",
            sparse: Some("map".to_owned()),
            extended: [("pax.a".to_owned(), b"\0".to_vec()), ("xattr.b".to_owned(), Vec::new())].into(),
            headers: Digest::of("headers"),
            position,
        };
        Kept { entry, content: Digest::of(path) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let want = kept("./a/b", 7);
        let mut bytes = Vec::new();
        encode(&want, &mut bytes);
        assert_eq!(decode(&bytes).unwrap(), want);
        assert_eq!(decode(&bytes[..bytes.len() / 2]), None);
    }

    #[test]
    fn entries_beyond_one_run_come_back_sorted_as_often_as_asked() {
        let count = 30_000;
        let mut sorter = Sorter::new(u64::MAX);
        for at in 0..count {
            sorter.add(kept(&format!("file{:05}", (at * 7919) % count), at)).unwrap();
        }
        let sorted = sorter.finish().unwrap();
        for _ in 0..2 {
            let mut merge = sorted.read().unwrap();
            for at in 0..count {
                assert_eq!(merge.next().unwrap().unwrap().entry.path, format!("file{at:05}").into_bytes());
            }
            assert!(merge.next().unwrap().is_none());
        }
    }
}
