//! Notes: who wrote them, their type, and what they hold (System V ABI, "Note Section").

use std::collections::BTreeMap;

use crate::{
    content::{attribute, bytes::hex, escaped, shortened},
    report::{Change, Value},
};

/// `NT_GNU_BUILD_ID` of the owner `GNU`.
const BUILD_ID: u32 = 3;

/// Notes that differ, as attributes.
pub(super) fn compare(a: &[u8], b: &[u8], big_endian: bool) -> Vec<Change> {
    let (of_a, of_b) = (parse(a, big_endian), parse(b, big_endian));
    let names = of_a.keys().chain(of_b.keys().filter(|name| !of_a.contains_key(*name)));
    let values = names.map(|name| (name, of_a.get(name), of_b.get(name)));
    let text = |value: Option<&String>| value.map(|value| Value::from(value.as_str()));
    values.filter(|(_, a, b)| a != b).map(|(name, a, b)| attribute(name, text(a), text(b))).collect()
}

fn parse(section: &[u8], big_endian: bool) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut rest = section;
    while let Some((name, kind, content, after)) = note(rest, big_endian) {
        let owner = shortened(&escaped(name.split(|byte| *byte == 0).next().unwrap_or_default()));
        let title = match (owner.as_str(), kind) {
            ("GNU", BUILD_ID) => "NT_GNU_BUILD_ID".to_owned(),
            _ => format!("{owner} note of type {kind}"),
        };
        out.insert(title, hex(content));
        rest = after;
    }
    out
}

/// Owner, type, content, and what follows.
type Note<'n> = (&'n [u8], u32, &'n [u8], &'n [u8]);

fn note(bytes: &[u8], big_endian: bool) -> Option<Note<'_>> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let (name, content, kind) = (usize::try_from(word(0)?).ok()?, usize::try_from(word(4)?).ok()?, word(8)?);
    let name_end = 12_usize.checked_add(name)?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(content)?;
    let next = end.checked_next_multiple_of(4)?;
    Some((bytes.get(12..name_end)?, kind, bytes.get(start..end)?, bytes.get(next..).unwrap_or_default()))
}
