//! Two sections of the same name.

use std::io::Read as _;

use object::elf::{SHF_EXECINSTR, SHT_DYNAMIC, SHT_NOTE, SHT_PROGBITS, SHT_STRTAB, SHT_SYMTAB};

use super::{Elf, Section, bytes_of, list, notes};
use crate::{
    content::{
        Content, Difference, Failure, attribute, bytes, differing, escaped, json, strings,
        window::{Slice, range},
    },
    report::{Change, Value},
};

/// Bytes of notes, of `.comment` and of a list of dependencies that are looked at.
const SMALL: u64 = 256 << 10;
/// Bytes of an unpacked list of dependencies.
const DEPENDENCIES: u64 = 1 << 20;

type Ranges = Vec<(u64, u64)>;

/// What differs, and which bytes of the section do.
pub(super) fn compare(
    (elf_a, of_a, a): (&Elf, &Section, &mut dyn Content),
    (elf_b, of_b, b): (&Elf, &Section, &mut dyn Content),
) -> Result<(Difference, Ranges), Failure> {
    let mut out = Difference::default();
    let fields = [
        ("sh_type", u64::from(of_a.kind), u64::from(of_b.kind)),
        ("sh_flags", of_a.flags, of_b.flags),
        ("sh_addralign", of_a.align, of_b.align),
        ("sh_size", of_a.size, of_b.size),
    ];
    out.changes.extend(fields.into_iter().filter_map(|(name, a, b)| differing(name, Some(a), Some(b))));
    if of_a.kind != of_b.kind || !of_a.is_stored() {
        return Ok((out, Vec::new()));
    }
    // Tables of symbols and their names follow from the symbols, which are compared by name.
    if [SHT_SYMTAB.0, SHT_STRTAB.0].contains(&of_a.kind) {
        return Ok((Difference::default(), Vec::new()));
    }
    let small = |content: &mut dyn Content, section: &Section| range(content, section.offset, section.size, SMALL);
    let (scan, found, shown) = {
        let (mut a, mut b) = (Slice::new(a, of_a.offset, of_a.size)?, Slice::new(b, of_b.offset, of_b.size)?);
        let scan = bytes::scan(&mut a, &mut b)?;
        if scan.first.is_none() {
            return Ok((out, Vec::new()));
        }
        let shown = bytes_of(&scan, &mut a, &mut b)?;
        let text = (is_text(of_a) || is_text(of_b))
            .then(|| strings::compare(&mut a, &mut b, scan.first.unwrap_or_default()))
            .transpose()?
            .flatten();
        (scan, text, shown)
    };
    let specific = match of_a.name.as_str() {
        _ if of_a.kind == SHT_NOTE.0 => notes::compare(&small(a, of_a)?, &small(b, of_b)?, elf_a.big_endian),
        ".comment" => list(&texts(&small(a, of_a)?), &texts(&small(b, of_b)?)),
        ".dep-v0" => dependencies(&small(a, of_a)?, &small(b, of_b)?)?,
        _ if of_a.kind == SHT_DYNAMIC.0 => list(&elf_a.dynamic, &elf_b.dynamic),
        _ => Vec::new(),
    };
    if specific.is_empty() {
        out.changes.extend(shown);
        out.changes.extend(found);
    } else {
        out.changes.extend(specific);
    }
    Ok((out, scan.ranges))
}

/// Do people look for strings in it? In machine code and tables of numbers they are accidents.
fn is_text(section: &Section) -> bool {
    let name = section.name.as_str();
    let is_code = section.flags & SHF_EXECINSTR.0 != 0;
    let is_data = ["rodata", "data", "str", "interp", "comment", "info"].iter().any(|part| name.contains(part));
    section.kind == SHT_PROGBITS.0 && !is_code && is_data
}

/// Texts that end with NUL.
fn texts(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty()).map(escaped).collect()
}

/// The list of crates that `cargo auditable` writes: JSON, compressed with zlib.
fn dependencies(a: &[u8], b: &[u8]) -> Result<Vec<Change>, Failure> {
    let unpack = |bytes: &[u8]| {
        let mut out = Vec::new();
        let read = flate2::read::ZlibDecoder::new(bytes).take(DEPENDENCIES).read_to_end(&mut out);
        read.map(|_| out).map_err(|error| Failure::decoding("a list of dependencies", &error))
    };
    match (unpack(a), unpack(b)) {
        (Ok(a), Ok(b)) => Ok(json::compare(&mut std::io::Cursor::new(a), &mut std::io::Cursor::new(b))?.changes),
        _ => Ok(vec![attribute("unreadable", None::<Value>, Some("the list of dependencies is damaged"))]),
    }
}
