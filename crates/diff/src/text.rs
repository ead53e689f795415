//! The report for people: causes first, then what differs as an indented tree.

use std::fmt::Write as _;

use crate::report::{Cause, Change, Hunk, Kind, Line, Node, Report, Side, Value};

/// How text is printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colours, by terminal sequences.
    pub color: bool,
    /// Most lines of the tree; more are counted.
    pub lines: usize,
}

/// Characters of one name or value that are shown.
const SHOWN: usize = 120;
/// Characters of a line of a text file that are shown.
const LINE: usize = 200;
/// Changes of one thing that are shown.
const CHANGES: usize = 50;

const RED: &str = "31";
const GREEN: &str = "32";
const BOLD: &str = "1";

/// The report as text that is safe to print: whatever is in the images, no control sequence comes from them.
pub fn text(report: &Report, style: &Style) -> String {
    let mut out = Printer { out: String::new(), style: *style, left: style.lines, hidden: 0 };
    let subject = |name: &str, digest: &str| format!("{digest}  {}", printable(name, SHOWN));
    out.plain(&format!(
        "A {}\nB {}\n",
        subject(&report.a.name, &report.a.digest),
        subject(&report.b.name, &report.b.digest)
    ));
    if report.identical {
        out.plain("\nThe images are the same.\n");
        return out.out;
    }
    for why in &report.incomplete {
        out.plain(&format!("\nNot everything could be compared: {}\n", printable(why, 4 * SHOWN)));
    }
    if let Some(first) = report.causes.first() {
        out.plain(&format!("\nLikely cause: {}\n", printable(&first.summary, 4 * SHOWN)));
        report.causes.iter().enumerate().for_each(|(at, cause)| out.cause(at, cause));
    }
    out.plain("\nWhat differs (- only A, + only B):\n");
    if let Some(root) = &report.root {
        root.children.iter().for_each(|child| out.node(child, 1));
    }
    if out.hidden > 0 {
        let hidden = out.hidden;
        out.plain(&format!("… {hidden} more lines; --max-lines shows more, --output json all of them\n"));
    }
    out.out
}

struct Printer {
    out: String,
    style: Style,
    left: usize,
    hidden: usize,
}

impl Printer {
    fn plain(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// One line of the tree, whose text is safe already.
    fn line(&mut self, depth: usize, color: &str, text: &str) {
        if self.left == 0 {
            self.hidden += 1;
            return;
        }
        self.left -= 1;
        let indent = "  ".repeat(depth);
        let _ = match self.style.color && !color.is_empty() {
            true => writeln!(self.out, "{indent}\x1b[{color}m{text}\x1b[0m"),
            false => writeln!(self.out, "{indent}{text}"),
        };
    }

    fn cause(&mut self, at: usize, cause: &Cause) {
        let kind = serde_json::to_value(cause.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let kind = kind.unwrap_or_default();
        self.plain(&format!("  {}. {kind}: {}\n", at + 1, printable(&cause.summary, 4 * SHOWN)));
        for evidence in cause.evidence.iter().take(3) {
            let place = evidence.at.iter().map(|name| printable(name, SHOWN)).collect::<Vec<_>>().join(" › ");
            let side = |side: &Option<String>| side.as_ref().map_or_else(|| "(absent)".to_owned(), |text| quoted(text));
            self.plain(&format!("     {place}: {} → {}\n", side(&evidence.a), side(&evidence.b)));
        }
        if cause.evidence.len() > 3 {
            self.plain(&format!("     … and {} more places\n", cause.evidence.len() - 3));
        }
        self.plain(&format!("     {}\n", printable(&cause.advice, 4 * SHOWN)));
    }

    fn node(&mut self, node: &Node, depth: usize) {
        let name = printable(&node.name, SHOWN);
        let only = node.changes.iter().find_map(|change| match change {
            Change::Only { side } => Some(*side),
            _ => None,
        });
        match only {
            Some(side) => {
                let (sign, color) = match side {
                    Side::A => ("-", RED),
                    Side::B => ("+", GREEN),
                };
                let details = node.changes.iter().filter_map(|change| match change {
                    Change::Attribute { name, a, b } => {
                        let value = a.as_ref().or(b.as_ref())?;
                        Some(format!("{} {}", printable(name, SHOWN), shown(name, value)))
                    }
                    _ => None,
                });
                let details = details.collect::<Vec<_>>().join(", ");
                let details = if details.is_empty() { details } else { format!(" ({details})") };
                self.line(depth, color, &format!("{sign} {}{name}{details}", word(node.kind)));
            }
            None => {
                self.line(depth, BOLD, &format!("{}{name}", word(node.kind)));
                node.changes.iter().take(CHANGES).for_each(|change| self.change(change, depth + 1));
                if node.changes.len() > CHANGES {
                    self.line(depth + 1, "", &format!("… {} more changes", node.changes.len() - CHANGES));
                }
            }
        }
        node.children.iter().for_each(|child| self.node(child, depth + 1));
        if node.omitted > 0 {
            let text = format!("… {} more differ and are not listed; --max-differences lists more", node.omitted);
            self.line(depth + 1, "", &text);
        }
    }

    fn change(&mut self, change: &Change, depth: usize) {
        match change {
            // Its node says so.
            Change::Only { .. } => {}
            Change::Attribute { name, a, b } => {
                let value = |value: &Option<Value>| {
                    value.as_ref().map_or_else(|| "(absent)".to_owned(), |value| shown(name, value))
                };
                self.line(depth, "", &format!("{}: {} → {}", printable(name, SHOWN), value(a), value(b)));
            }
            Change::Order { a, b } => {
                let names =
                    |names: &[String]| names.iter().map(|name| printable(name, SHOWN)).collect::<Vec<_>>().join(" ");
                self.line(depth, "", "another order:");
                self.line(depth + 1, RED, &format!("- {}", names(a)));
                self.line(depth + 1, GREEN, &format!("+ {}", names(b)));
            }
            Change::Bytes { offset, differing, a, b, from } => {
                self.line(depth, "", &format!("{differing} bytes differ, the first at offset {offset}"));
                if !a.is_empty() || !b.is_empty() {
                    self.line(depth + 1, RED, &format!("- {from:08x}  {}", hex(a)));
                    self.line(depth + 1, GREEN, &format!("+ {from:08x}  {}", hex(b)));
                }
            }
            Change::Lines { hunks, omitted } => {
                hunks.iter().for_each(|hunk| self.hunk(hunk, depth));
                if *omitted > 0 {
                    self.line(depth, "", &format!("… {omitted} more places differ"));
                }
            }
            Change::CompressionOnly => self.line(depth, "", "the content is the same, only its compression differs"),
            Change::Unread { why } => self.line(depth, "", &format!("not looked into: {}", printable(why, 4 * SHOWN))),
        }
    }

    fn hunk(&mut self, hunk: &Hunk, depth: usize) {
        self.line(depth, "", &format!("@@ line {} of A, line {} of B @@", hunk.a_line, hunk.b_line));
        for Line { side, text } in &hunk.lines {
            let text = printable(text, LINE);
            match side {
                Some(Side::A) => self.line(depth, RED, &format!("-{text}")),
                Some(Side::B) => self.line(depth, GREEN, &format!("+{text}")),
                None => self.line(depth, "", &format!(" {text}")),
            }
        }
    }
}

/// The kind, where the name does not say it.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "image ",
        Kind::Member => "member ",
        Kind::Section => "section ",
        Kind::Symbol => "symbol ",
        Kind::Index | Kind::Manifest | Kind::Config | Kind::Layer | Kind::Entry | Kind::Header | Kind::Document => "",
    }
}

/// Modes are octal, as everybody writes them.
fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Number(number) if name == "mode" => format!("{number:04o}"),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:_-+@,=".contains(c);
    let shown = printable(text, SHOWN);
    if !text.is_empty() && text.chars().all(plain) { shown } else { format!("\"{shown}\"") }
}

fn hex(digits: &str) -> String {
    let bytes = digits.as_bytes().chunks(2).take(32);
    bytes.map(|pair| String::from_utf8_lossy(pair).into_owned()).collect::<Vec<_>>().join(" ")
}

/// Foreign text on one line: control characters, and characters that reorder or hide text, are written as escapes.
fn printable(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c == '\t' {
            out.push(' ');
        } else if c.is_control() || hidden {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
