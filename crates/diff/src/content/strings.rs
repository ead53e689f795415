//! Strings that differ in binary data: what a person would look for with `strings`, without what both sides have.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{
    Content, TEXT,
    window::{CHUNK, fill},
};
use crate::report::{Change, Hunk, Line, Side};

/// Printable characters in a row that are a string.
const SHORTEST: usize = 4;
/// A string is cut there: hostile files have no longer ones, and literals of one program may follow one another
/// without anything between them.
const LONGEST: usize = 8 << 10;
/// Bytes in which strings are looked for.
const LOOKED_AT: usize = 32 << 20;
/// Different strings of both sides that are told apart.
const DISTINCT: usize = 100_000;
/// Strings of one side that are looked at more closely.
const KEPT: usize = 256;
/// Pairs that are listed, and strings that were put together in another way.
const LISTED: usize = 64;
const MOVED: usize = 24;
/// Bytes of one side in which words of the other are looked for.
const JOINED: usize = 64 << 10;
/// Characters that are shown before a difference.
const BEFORE: usize = 60;

/// A string and its number among those that were looked at, from 1.
type Found = (u64, String);

/// Strings that only one side has, or has more often, as lines; the same ones put together in another way, as an order;
/// `None` if there are none.
///
/// They are looked for from a little before `first`, where the sides differ first, and not to the end of what is large.
pub(super) fn compare(a: &mut dyn Content, b: &mut dyn Content, first: u64) -> io::Result<Option<Change>> {
    let start = first.saturating_sub(LONGEST as u64);
    let mut counts: HashMap<u64, i64> = HashMap::new();
    let mut count = |content: &mut dyn Content, step: i64| {
        each(content, start, |_, text| {
            let key = hash(text);
            if counts.len() < DISTINCT || counts.contains_key(&key) {
                *counts.entry(key).or_default() += step;
            }
        })
    };
    count(a, 1)?;
    count(b, -1)?;
    counts.retain(|_, count| *count != 0);
    let mut surplus = |content: &mut dyn Content, sign: i64| -> io::Result<Vec<Found>> {
        let mut out = Vec::new();
        each(content, start, |number, text| {
            if let Some(count) = counts.get_mut(&hash(text)).filter(|count| **count * sign > 0) {
                *count -= sign;
                if out.len() < KEPT {
                    out.push((number, super::escaped(text)));
                }
            }
        })?;
        Ok(out)
    };
    let (of_a, of_b) = (surplus(a, 1)?, surplus(b, -1)?);
    Ok(changes(of_a, of_b))
}

/// Compilers put literals together, and linkers sort them: strings whose words the other side has too were only put
/// together in another way. If all are so, that is an order.
fn changes(a: Vec<Found>, b: Vec<Found>) -> Option<Change> {
    let joined = |list: &[Found]| {
        let mut text: String = list.iter().map(|(_, text)| format!("{text}\n")).collect();
        text.truncate(text.floor_char_boundary(JOINED));
        text
    };
    let (all_a, all_b) = (joined(&a), joined(&b));
    let has_own = |text: &str, other: &str| words(text).into_iter().any(|word| !is_made_of(word, other));
    let own_a: Vec<Found> = a.iter().filter(|(_, text)| has_own(text, &all_b)).cloned().collect();
    let own_b: Vec<Found> = b.iter().filter(|(_, text)| has_own(text, &all_a)).cloned().collect();
    if !own_a.is_empty() || !own_b.is_empty() {
        return lines(&own_a, &own_b);
    }
    let texts = |list: &[Found]| list.iter().take(MOVED).map(|(_, text)| cut(text, 0)).collect::<Vec<_>>();
    (!a.is_empty() && !b.is_empty()).then(|| Change::Order { a: texts(&a), b: texts(&b) })
}

/// Is a word a row of pieces of the other text? The shortest ones that count are the shortest strings.
fn is_made_of(word: &str, other: &str) -> bool {
    if word.chars().count() == 1 || other.contains(word) {
        return true;
    }
    let mut rest = word;
    while !rest.is_empty() {
        let longest =
            (SHORTEST..=rest.len()).rev().filter_map(|end| rest.get(..end)).find(|piece| other.contains(piece));
        let Some(piece) = longest else { return false };
        rest = rest.get(piece.len()..).unwrap_or_default();
    }
    true
}

/// Calls `take` with each string from `start` on, and its number.
fn each(content: &mut dyn Content, start: u64, mut take: impl FnMut(u64, &[u8])) -> io::Result<()> {
    content.seek(io::SeekFrom::Start(start))?;
    let mut left = LOOKED_AT;
    let (mut buffer, mut run, mut number) = (vec![0; CHUNK], Vec::new(), 0);
    let mut end = |run: &mut Vec<u8>| {
        if run.len() >= SHORTEST {
            number += 1;
            take(number, run);
        }
        run.clear();
    };
    loop {
        let count = fill(content, &mut buffer)?;
        for byte in buffer.iter().take(count) {
            if (0x20..0x7f).contains(byte) || *byte == b'\t' {
                run.push(*byte);
                if run.len() < LONGEST {
                    continue;
                }
            }
            end(&mut run);
        }
        left = left.saturating_sub(count);
        if count < CHUNK || left == 0 {
            end(&mut run);
            return Ok(());
        }
    }
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A hunk for every pair, cut to what differs.
fn lines(a: &[Found], b: &[Found]) -> Option<Change> {
    let mut hunks = Vec::new();
    let mut omitted = 0;
    let mut number = (1, 1);
    for (of_a, of_b) in pairs(a, b) {
        number = (of_a.map_or(number.0, |found| found.0), of_b.map_or(number.1, |found| found.0));
        let (text_a, text_b) = (of_a.map_or("", |found| &found.1), of_b.map_or("", |found| &found.1));
        for (part_a, part_b) in parts(text_a, text_b) {
            if hunks.len() == LISTED {
                omitted += 1;
                continue;
            }
            let line = |side, text: String| Line { side: Some(side), text };
            let lines = [(Side::A, part_a, of_a), (Side::B, part_b, of_b)];
            let lines = lines.into_iter().filter(|(_, _, found)| found.is_some());
            let lines = lines.map(|(side, text, _)| line(side, text)).collect();
            hunks.push(Hunk { a_line: number.0, b_line: number.1, lines });
        }
    }
    (!hunks.is_empty()).then_some(Change::Lines { hunks, omitted })
}

/// Which string of A became which of B: the most similar of the next few.
fn pairs<'f>(a: &'f [Found], b: &'f [Found]) -> Vec<(Option<&'f Found>, Option<&'f Found>)> {
    const AHEAD: usize = 8;
    let mut out = Vec::new();
    let mut next = 0;
    for (index, found) in a.iter().enumerate() {
        let candidates = b.iter().enumerate().skip(next).take(AHEAD);
        let scored = candidates.map(|(at, other)| (common(&found.1, &other.1), at));
        let as_many = a.len() - index == b.len() - next;
        let best = scored.max_by_key(|(score, at)| (*score, std::cmp::Reverse(*at)));
        match best {
            Some((score, at)) if score * 2 >= found.1.len() || as_many && alike(&found.1, b.get(next)) => {
                let at = if score * 2 >= found.1.len() { at } else { next };
                out.extend(b.iter().take(at).skip(next).map(|other| (None, Some(other))));
                out.push((Some(found), b.get(at)));
                next = at + 1;
            }
            _ => out.push((Some(found), None)),
        }
    }
    out.extend(b.iter().skip(next).map(|other| (None, Some(other))));
    out
}

/// Are both of a size? One that became another seldom grows much.
fn alike(text: &str, other: Option<&Found>) -> bool {
    other.is_some_and(|(_, other)| text.len() < 4 * other.len() && other.len() < 4 * text.len())
}

/// How many characters two strings share at their ends.
fn common(a: &str, b: &str) -> usize {
    let prefix = common_prefix(a, b);
    let rest = |text: &'_ str| text.len() - prefix;
    let suffix = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    prefix + suffix.min(rest(a)).min(rest(b))
}

/// Bytes that two strings share at their beginnings, up to a character's boundary.
pub(super) fn common_prefix(a: &str, b: &str) -> usize {
    a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b).map_or(a.len().min(b.len()), |((at, _), _)| at)
}

/// At most [`TEXT`] characters, from a little before `differs`.
pub(super) fn cut(text: &str, differs: usize) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let mut start = if differs + BEFORE < TEXT { 0 } else { differs - BEFORE };
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let rest = text.get(start..).unwrap_or_default();
    let mark = if start > 0 { "…" } else { "" };
    format!("{mark}{}", super::shortened(rest))
}

/// The places where two long strings differ, each with some of what is around it; short ones as they are.
fn parts(a: &str, b: &str) -> Vec<(String, String)> {
    if a.len() <= TEXT && b.len() <= TEXT || a.is_empty() || b.is_empty() {
        return vec![(cut(a, 0), cut(b, 0))];
    }
    let (words_a, words_b) = (words(a), words(b));
    let ops = capture_diff_slices(Algorithm::Myers, &words_a, &words_b);
    let mut out = Vec::new();
    for op in ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })) {
        let around = |words: &[&str], range: std::ops::Range<usize>| {
            let before: String = words.get(range.start.saturating_sub(6)..range.start).unwrap_or_default().concat();
            let before: String = before.chars().skip(before.chars().count().saturating_sub(BEFORE)).collect();
            let inner: String = words.get(range.clone()).unwrap_or_default().concat();
            let after: String = words.get(range.end..words.len().min(range.end + 6)).unwrap_or_default().concat();
            let after: String = after.chars().take(BEFORE).collect();
            super::shortened(&format!("{before}{inner}{after}"))
        };
        out.push((around(&words_a, op.old_range()), around(&words_b, op.new_range())));
    }
    out
}

/// Words with the separators between them, so that all of them together are the text.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let separator = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| separator(c) != separator(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(if separator(first) { first.len_utf8() } else { end });
        out.push(word);
        rest = after;
    }
    out
}
