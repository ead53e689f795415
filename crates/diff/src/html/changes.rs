//! Changes side by side: attributes, lines with the words that differ, bytes.

use std::io;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::page::Page;
use crate::{
    content::words,
    report::{Change, Hunk, Line, Side, Value},
};

/// Bytes in a row of a table.
const ROW: usize = 16;

pub(super) fn all(page: &mut Page<'_>, changes: &[Change]) -> io::Result<()> {
    let attributes: Vec<_> = changes.iter().filter_map(attribute).collect();
    if !attributes.is_empty() {
        page.raw("<table class=\"attributes\"><thead><tr><th scope=\"col\">Property</th><th scope=\"col\">A</th><th scope=\"col\">B</th></tr></thead><tbody>")?;
        for (name, a, b) in attributes {
            page.raw("<tr><th scope=\"row\">")?;
            page.text(name)?;
            page.raw("</th>")?;
            page.cell("a", a.map(|value| shown(name, value)).as_deref())?;
            page.cell("b", b.map(|value| shown(name, value)).as_deref())?;
            page.raw("</tr>")?;
        }
        page.raw("</tbody></table>")?;
    }
    changes.iter().try_for_each(|change| other(page, change))
}

fn attribute(change: &Change) -> Option<(&str, Option<&Value>, Option<&Value>)> {
    match change {
        Change::Attribute { name, a, b } => Some((name, a.as_ref(), b.as_ref())),
        _ => None,
    }
}

/// Modes are octal, as everybody writes them.
pub(super) fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Number(mode) if name == "mode" => format!("{mode:04o}"),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

fn other(page: &mut Page<'_>, change: &Change) -> io::Result<()> {
    match change {
        Change::Attribute { .. } | Change::Only { .. } => Ok(()),
        Change::CompressionOnly => page.raw("<p>The content is the same, only its compression differs.</p>"),
        Change::Unread { why } => {
            page.raw("<p class=\"unread\">Not looked into: ")?;
            page.text(why)?;
            page.raw("</p>")
        }
        Change::Order { a, b } => order(page, a, b),
        Change::Bytes { offset, differing, a, b, from } => {
            page.raw(&format!("<p>{differing} bytes differ, the first at offset {offset} ({offset:#x}).</p>"))?;
            bytes(page, *from, &parse(a), &parse(b))
        }
        Change::Lines { hunks, omitted } => {
            hunks.iter().try_for_each(|hunk| lines(page, hunk))?;
            if *omitted > 0 {
                page.raw(&format!("<p class=\"omitted\">{omitted} more places differ.</p>"))?;
            }
            Ok(())
        }
    }
}

fn order(page: &mut Page<'_>, a: &[String], b: &[String]) -> io::Result<()> {
    page.raw("<p>The same in another order:</p><table class=\"lines\"><thead><tr><th scope=\"col\">A</th><th scope=\"col\">B</th></tr></thead><tbody>")?;
    for index in 0..a.len().max(b.len()) {
        page.raw("<tr>")?;
        for (class, list) in [("a", a), ("b", b)] {
            page.raw(&format!("<td class=\"{class}\">"))?;
            page.text(list.get(index).map_or("", String::as_str))?;
            page.raw("</td>")?;
        }
        page.raw("</tr>")?;
    }
    page.raw("</tbody></table>")
}

/// One row for each line; a removed one next to the one that was added for it.
fn lines(page: &mut Page<'_>, hunk: &Hunk) -> io::Result<()> {
    page.raw("<table class=\"lines\"><thead class=\"quiet\"><tr><th scope=\"col\" class=\"number\">A</th><th scope=\"col\"></th><th scope=\"col\" class=\"number\">B</th><th scope=\"col\"></th></tr></thead><tbody>")?;
    let (mut number_a, mut number_b) = (hunk.a_line, hunk.b_line);
    let mut rest = hunk.lines.as_slice();
    while let Some(first) = rest.first() {
        if first.side.is_none() {
            page.raw("<tr>")?;
            half(page, "same", Some((number_a, &first.text)), &[])?;
            half(page, "same", Some((number_b, &first.text)), &[])?;
            page.raw("</tr>")?;
            (number_a, number_b) = (number_a + 1, number_b + 1);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let changed = rest.iter().take_while(|line| line.side.is_some()).count();
        let (group, after) = rest.split_at_checked(changed).unwrap_or((rest, &[]));
        let of = |side| group.iter().filter(move |line: &&Line| line.side == Some(side)).map(|line| line.text.as_str());
        let (removed, added): (Vec<&str>, Vec<&str>) = (of(Side::A).collect(), of(Side::B).collect());
        for index in 0..removed.len().max(added.len()) {
            let (a, b) = (removed.get(index), added.get(index));
            let (marks_a, marks_b) = a.zip(b).map_or((Vec::new(), Vec::new()), |(a, b)| marks(a, b));
            page.raw("<tr>")?;
            half(page, "a", a.map(|text| (number_a, *text)), &marks_a)?;
            half(page, "b", b.map(|text| (number_b, *text)), &marks_b)?;
            page.raw("</tr>")?;
            number_a += u64::from(a.is_some());
            number_b += u64::from(b.is_some());
        }
        rest = after;
    }
    page.raw("</tbody></table>")
}

/// Words of a line, and whether the other line has them.
type Marks<'l> = Vec<(&'l str, bool)>;

fn half(page: &mut Page<'_>, class: &str, line: Option<(u64, &str)>, marks: &[(&str, bool)]) -> io::Result<()> {
    let Some((number, text)) = line else { return page.raw("<td class=\"number\"></td><td class=\"none\"></td>") };
    page.raw(&format!("<td class=\"number\">{number}</td><td class=\"{class}\">"))?;
    if marks.is_empty() {
        page.text(text)?;
    }
    for (word, differs) in marks {
        if *differs {
            page.raw("<mark>")?;
        }
        page.text(word)?;
        if *differs {
            page.raw("</mark>")?;
        }
    }
    page.raw("</td>")
}

fn marks<'l>(a: &'l str, b: &'l str) -> (Marks<'l>, Marks<'l>) {
    let (of_a, of_b) = (words(a), words(b));
    let (mut marked_a, mut marked_b): (Marks<'l>, Marks<'l>) = (Vec::new(), Vec::new());
    for op in capture_diff_slices(Algorithm::Myers, &of_a, &of_b) {
        let differs = !matches!(op, DiffOp::Equal { .. });
        marked_a.extend(of_a.get(op.old_range()).unwrap_or_default().iter().map(|word| (*word, differs)));
        marked_b.extend(of_b.get(op.new_range()).unwrap_or_default().iter().map(|word| (*word, differs)));
    }
    (marked_a, marked_b)
}

fn parse(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Both sides' bytes with their characters; those that differ are marked.
fn bytes(page: &mut Page<'_>, from: u64, a: &[u8], b: &[u8]) -> io::Result<()> {
    if a.is_empty() && b.is_empty() {
        return Ok(());
    }
    page.raw("<table class=\"hex\"><thead><tr><th scope=\"col\">Offset</th><th scope=\"col\" colspan=\"2\">A</th><th scope=\"col\" colspan=\"2\">B</th></tr></thead><tbody>")?;
    for start in (0..a.len().max(b.len())).step_by(ROW) {
        page.raw(&format!("<tr><th scope=\"row\">{:08x}</th>", from + start as u64))?;
        for (class, own, other) in [("a", a, b), ("b", b, a)] {
            let row: Vec<(u8, bool)> = own
                .iter()
                .enumerate()
                .skip(start)
                .take(ROW)
                .map(|(at, byte)| (*byte, other.get(at) != Some(byte)))
                .collect();
            page.raw(&format!("<td class=\"{class}\">"))?;
            for (byte, differs) in &row {
                let byte = format!("{byte:02x}");
                page.raw(&if *differs { format!("<mark>{byte}</mark> ") } else { format!("{byte} ") })?;
            }
            page.raw(&format!("</td><td class=\"{class}\">"))?;
            for (byte, _) in &row {
                let c = char::from(*byte);
                page.text(if c.is_ascii_graphic() || c == ' ' { c } else { '.' }.encode_utf8(&mut [0; 4]))?;
            }
            page.raw("</td>")?;
        }
        page.raw("</tr>")?;
    }
    page.raw("</tbody></table>")
}
