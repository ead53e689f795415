//! Bytes that differ: where, how many, and what is there.

use std::{fmt::Write as _, io};

use super::{
    Content,
    window::{CHUNK, fill, rewind, some},
};
use crate::report::Change;

/// Bytes of an excerpt, and how many of them come before the first difference.
const EXCERPT: usize = 64;
const BEFORE: u64 = 16;
/// Ranges of differing bytes that are remembered.
const RANGES: usize = 1024;
/// Differences that are nearer than this are one range.
const GAP: u64 = 8;

/// What one pass over both sides finds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Offset of the first difference; the common length, if one is the beginning of the other.
    pub(super) first: Option<u64>,
    /// How many bytes of the common length differ.
    pub(super) differing: u64,
    /// The first differing ranges, each from its first byte up to the one after its last.
    pub(super) ranges: Vec<(u64, u64)>,
}

/// Says where they differ; `None` if they do not.
pub(super) fn compare(a: &mut dyn Content, b: &mut dyn Content) -> io::Result<Option<Change>> {
    let scan = scan(a, b)?;
    change(&scan, a, b)
}

/// What a scan found, with excerpts.
pub(super) fn change(scan: &Scan, a: &mut dyn Content, b: &mut dyn Content) -> io::Result<Option<Change>> {
    let Some(offset) = scan.first else { return Ok(None) };
    let from = offset.saturating_sub(BEFORE) / 16 * 16;
    let (a, b) = (hex(&some(a, from, EXCERPT)?), hex(&some(b, from, EXCERPT)?));
    Ok(Some(Change::Bytes { offset, differing: scan.differing, a, b, from }))
}

pub(super) fn scan(a: &mut dyn Content, b: &mut dyn Content) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let (mut of_a, mut of_b) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut base = 0;
    rewind(a)?;
    rewind(b)?;
    loop {
        let (count_a, count_b) = (fill(a, &mut of_a)?, fill(b, &mut of_b)?);
        let common = count_a.min(count_b);
        let (part_a, part_b) = (of_a.get(..common).unwrap_or_default(), of_b.get(..common).unwrap_or_default());
        if part_a != part_b {
            for (at, _) in (base..).zip(part_a.iter().zip(part_b)).filter(|(_, (x, y))| x != y) {
                scan.note(at);
            }
        }
        base += common as u64;
        if count_a != count_b {
            scan.first.get_or_insert(base);
            return Ok(scan);
        }
        if common < CHUNK {
            return Ok(scan);
        }
    }
}

impl Scan {
    fn note(&mut self, at: u64) {
        self.first.get_or_insert(at);
        self.differing += 1;
        let full = self.ranges.len() == RANGES;
        match self.ranges.last_mut() {
            Some((_, end)) if at <= *end + GAP => *end = at + 1,
            _ if full => {}
            _ => self.ranges.push((at, at + 1)),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
