//! Text by line. Common beginnings and ends are skipped; what lies between is compared in windows of bounded size.

use std::{
    hash::{DefaultHasher, Hasher as _},
    io::{self, BufRead as _, BufReader, Read as _},
};

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use super::{
    Content, Difference, Failure, bytes, escaped, strings,
    window::{CHUNK, fill, rewind, some},
};
use crate::report::{Change, Hunk, Line, Side};

/// Bytes of each side that are compared line by line at once.
const WINDOW: usize = 128 << 10;
/// Windows that are compared; what follows is not looked into.
const WINDOWS: usize = 64;
/// Hunks that are listed, and lines in all of them.
const HUNKS: usize = 40;
const LINES: usize = 400;
/// Lines around a difference.
const CONTEXT: usize = 3;
/// Moved lines that are listed.
const MOVED: usize = 24;

pub(super) fn compare(a: &mut dyn Content, b: &mut dyn Content) -> Result<Difference, Failure> {
    let reordered = a.len() == b.len() && summary(a)? == summary(b)?;
    let mut hunks = Hunks::default();
    let complete = hunks.collect(a, b)?;
    let mut difference = Difference::default();
    if reordered {
        difference.changes.push(Change::Order { a: hunks.moved(Side::A), b: hunks.moved(Side::B) });
        return Ok(difference);
    }
    if !hunks.listed.is_empty() {
        difference.changes.push(Change::Lines { hunks: hunks.listed, omitted: hunks.omitted });
    }
    if !complete {
        let why =
            format!("only the first {} KiB after the first difference are compared by line", (WINDOW * WINDOWS) >> 10);
        difference.changes.push(Change::Unread { why });
    }
    Ok(difference)
}

/// The same for texts whose lines are the same, in whatever order: how many there are and the sum of their hashes.
fn summary(content: &mut dyn Content) -> io::Result<(u64, u128)> {
    rewind(content)?;
    let mut reader = BufReader::with_capacity(CHUNK, content);
    let (mut lines, mut sum) = (0, 0_u128);
    loop {
        let mut hasher = DefaultHasher::new();
        let mut length = 0;
        // A line may be as long as the file: it is hashed piece by piece.
        let ended = loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                break true;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            hasher.write(taken);
            let count = taken.len() + usize::from(end.is_some());
            length += count;
            reader.consume(count);
            if end.is_some() {
                break false;
            }
        };
        if length == 0 {
            return Ok((lines, sum));
        }
        lines += 1;
        let hash = u128::from(hasher.finish());
        sum = sum.wrapping_add(hash.wrapping_mul(hash | 1));
        if ended {
            return Ok((lines, sum));
        }
    }
}

#[derive(Default)]
struct Hunks {
    listed: Vec<Hunk>,
    lines: usize,
    omitted: u64,
}

impl Hunks {
    /// Compares all windows; `false` if there were too many.
    fn collect(&mut self, a: &mut dyn Content, b: &mut dyn Content) -> io::Result<bool> {
        let Some(first) = bytes::scan(a, b)?.first else { return Ok(true) };
        let (start, lines) = start(a, first)?;
        let (mut at_a, mut at_b) = (start, start);
        let (mut line_a, mut line_b) = (lines + 1, lines + 1);
        for _ in 0..WINDOWS {
            let (window_a, window_b) = (window(a, at_a)?, window(b, at_b)?);
            if window_a.is_empty() && window_b.is_empty() {
                return Ok(true);
            }
            let (of_a, of_b) = (split(&window_a), split(&window_b));
            let mut ops = capture_diff_slices(Algorithm::Myers, &of_a, &of_b);
            let last = at_a + window_a.len() as u64 >= a.len() && at_b + window_b.len() as u64 >= b.len();
            if !last {
                ops = until_last_agreement(ops, of_a.len());
            }
            let (used_a, used_b) = used(&ops);
            self.add(ops, &of_a, &of_b, line_a, line_b);
            let length = |lines: &[&[u8]], used| lines.iter().take(used).map(|line| line.len() as u64).sum::<u64>();
            at_a += length(&of_a, used_a);
            at_b += length(&of_b, used_b);
            line_a += used_a as u64;
            line_b += used_b as u64;
        }
        Ok(at_a >= a.len() && at_b >= b.len())
    }

    fn add(&mut self, ops: Vec<DiffOp>, of_a: &[&[u8]], of_b: &[&[u8]], line_a: u64, line_b: u64) {
        for group in group_diff_ops(ops, CONTEXT) {
            if group.iter().all(|op| matches!(op, DiffOp::Equal { .. })) {
                continue;
            }
            if self.listed.len() == HUNKS || self.lines >= LINES {
                self.omitted += 1;
                continue;
            }
            let (first_a, first_b) = group.first().map_or((0, 0), |op| (op.old_range().start, op.new_range().start));
            let mut lines = Vec::new();
            for op in &group {
                let (old, new) =
                    (of_a.get(op.old_range()).unwrap_or_default(), of_b.get(op.new_range()).unwrap_or_default());
                if let DiffOp::Equal { .. } = op {
                    lines.extend(old.iter().map(|line| Line { side: None, text: strings::cut(&plain(line), 0) }));
                    continue;
                }
                for (side, own, other) in [(Side::A, old, new), (Side::B, new, old)] {
                    lines.extend(own.iter().enumerate().map(|(index, line)| {
                        let line = plain(line);
                        let differs = other.get(index).map_or(0, |other| strings::common_prefix(&line, &plain(other)));
                        Line { side: Some(side), text: strings::cut(&line, differs) }
                    }));
                }
            }
            lines.truncate(LINES - self.lines);
            self.lines += lines.len();
            let hunk = Hunk { a_line: line_a + first_a as u64, b_line: line_b + first_b as u64, lines };
            self.listed.push(hunk);
        }
    }

    fn moved(&self, side: Side) -> Vec<String> {
        let lines = self.listed.iter().flat_map(|hunk| &hunk.lines);
        lines.filter(|line| line.side == Some(side)).take(MOVED).map(|line| line.text.clone()).collect()
    }
}

/// Where the first of [`CONTEXT`] lines before `first` begins, and how many lines there are before it.
fn start(content: &mut dyn Content, first: u64) -> io::Result<(u64, u64)> {
    let back = first.min(CHUNK as u64);
    let before = some(content, first - back, usize::try_from(back).unwrap_or_default())?;
    let ends = before.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let begin = match ends.take(CONTEXT + 1).last() {
        Some(at) => first - back + at as u64,
        None => first - back,
    };
    let begin =
        if before.iter().filter(|byte| **byte == b'\n').count() <= CONTEXT && back == first { 0 } else { begin };
    rewind(content)?;
    let (mut lines, mut left) = (0, begin);
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let count = fill(content, buffer.get_mut(..wanted).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        lines += buffer.iter().take(count).filter(|byte| **byte == b'\n').count() as u64;
        left -= count as u64;
    }
    Ok((begin, lines))
}

/// Whole lines up to [`WINDOW`] bytes; a longer line is cut into pieces.
fn window(content: &mut dyn Content, at: u64) -> io::Result<Vec<u8>> {
    content.seek(io::SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    (&mut *content).take(WINDOW as u64).read_to_end(&mut bytes)?;
    if at + (bytes.len() as u64) < content.len()
        && let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n')
    {
        bytes.truncate(end + 1);
    }
    Ok(bytes)
}

fn split(window: &[u8]) -> Vec<&[u8]> {
    window.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The line without its end; a carriage return is shown.
fn plain(line: &[u8]) -> String {
    escaped(line.strip_suffix(b"\n").unwrap_or(line)).replace('\r', "\\r")
}

/// Windows end where both sides agree, so that the next ones begin at the same line; if they agree nowhere in the second
/// half, at their ends.
fn until_last_agreement(mut ops: Vec<DiffOp>, lines: usize) -> Vec<DiffOp> {
    let agreement = ops.iter().rposition(|op| matches!(op, DiffOp::Equal { .. }) && op.old_range().end * 2 > lines);
    if let Some(at) = agreement {
        ops.truncate(at + 1);
    }
    ops
}

fn used(ops: &[DiffOp]) -> (usize, usize) {
    ops.last().map_or((0, 0), |op| (op.old_range().end, op.new_range().end))
}
