//! ELF files: headers, notes, sections by name, symbols by name.
//!
//! A section that only lies elsewhere is not listed: what grew is, and how many moved because of it.

mod notes;
mod read;
mod sections;
mod symbols;

use std::{
    collections::{HashMap, HashSet},
    io::Cursor,
};

use self::read::{Elf, Section, read};
use super::{Content, Difference, Failure, attribute, bytes, differing, text};
use crate::report::{Change, Kind, Node, Side, Value};

pub(super) fn compare(a: &mut dyn Content, b: &mut dyn Content) -> Result<Difference, Failure> {
    let (of_a, of_b) = (read(a)?, read(b)?);
    let mut difference = Difference::default();
    headers(&of_a, &of_b).into_iter().for_each(|node| difference.child(node));
    let pairs = pairs(&of_a.sections, &of_b.sections);
    let both = pairs.iter().filter_map(|(a, b)| (*a).zip(*b));
    let moved: Vec<_> = both.filter(|(a, b)| a.addr != b.addr).collect();
    let mut code = Vec::new();
    let mut addresses = Vec::new();
    for (section_a, section_b) in pairs {
        let (Some(section_a), Some(section_b)) = (section_a, section_b) else {
            let (section, side) = match (section_a, section_b) {
                (Some(section), _) => (section, Side::A),
                (_, Some(section)) => (section, Side::B),
                _ => continue,
            };
            let mut only = Difference::from(Change::Only { side });
            only.changes.push(size_of(section, side));
            difference.child(only.into_node(Kind::Section, section.name.clone()));
            continue;
        };
        // A section that breaks its own rules keeps nobody from looking into the others.
        let (mut within, ranges) = match sections::compare((&of_a, section_a, a), (&of_b, section_b, b)) {
            Err(Failure::Format(why)) => (Difference::from(Change::Unread { why }), Vec::new()),
            compared => compared?,
        };
        if !moved.is_empty() && section_a.holds_addresses() {
            // What they point to moved: their bytes say nothing more.
            within.changes.retain(|change| !matches!(change, Change::Bytes { .. } | Change::Order { .. }));
            if within.is_empty() && !ranges.is_empty() {
                addresses.push(section_a.name.as_str());
            }
        }
        if !ranges.is_empty() && section_a.addr == section_b.addr && section_a.size == section_b.size {
            code.push((section_a.index, section_b.index, ranges));
        }
        if !within.is_empty() {
            difference.child(within.into_node(Kind::Section, section_a.name.clone()));
        }
    }
    if let Some(node) = shift(&moved, &addresses) {
        let first = difference.children.iter().take_while(|child| child.kind == Kind::Header).count();
        difference.children.insert(first, node);
    }
    match symbols::compare((&of_a, a), (&of_b, b), &code) {
        Ok(Some(symbols)) => difference.child(symbols),
        Ok(None) => {}
        Err(Failure::Format(why)) => difference.changes.push(Change::Unread { why: format!("symbols: {why}") }),
        Err(error) => return Err(error),
    }
    Ok(difference)
}

fn size_of(section: &Section, side: Side) -> Change {
    let size = Some(Value::from(section.size));
    let (a, b) = if side == Side::A { (size, None) } else { (None, size) };
    attribute("sh_size", a, b)
}

/// What follows from something that grew: sections that lie elsewhere, and sections of addresses.
fn shift(moved: &[(&Section, &Section)], addresses: &[&str]) -> Option<Node> {
    let (first_a, first_b) = moved.first()?;
    let at = |section: &Section| Some(format!("{} at {:#x}", section.name, section.addr));
    let mut out = Difference::from(attribute("sh_addr", at(first_a), at(first_b)));
    let count = format!("{} sections lie elsewhere, {} first", moved.len(), first_a.name);
    out.changes.push(attribute("moved", None::<Value>, Some(count)));
    if !addresses.is_empty() {
        let names = format!("other addresses in {}", addresses.join(" "));
        out.changes.push(attribute("addresses", None::<Value>, Some(names)));
    }
    Some(out.into_node(Kind::Header, "section headers"))
}

/// The ELF header and the program headers.
fn headers(a: &Elf, b: &Elf) -> Vec<Node> {
    let mut header = Difference::default();
    let pairs = a.header.iter().zip(&b.header);
    header.changes.extend(pairs.filter_map(|((name, a), (_, b))| differing(name, Some(a.clone()), Some(b.clone()))));
    let mut segments = Difference::default();
    segments.changes.extend(differing("e_phnum", Some(a.segments.len() as u64), Some(b.segments.len() as u64)));
    if a.segments != b.segments {
        segments.changes.extend(list(&a.segments, &b.segments));
    }
    let all = ["ELF header", "program headers"].into_iter().zip([header, segments]);
    all.filter(|(_, found)| !found.is_empty()).map(|(name, found)| found.into_node(Kind::Header, name)).collect()
}

/// Lists of short texts, as lines.
fn list(a: &[String], b: &[String]) -> Vec<Change> {
    let joined =
        |list: &[String]| Cursor::new(list.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes());
    text::compare(&mut joined(a), &mut joined(b)).map(|found| found.changes).unwrap_or_default()
}

/// Sections with the same name, and among those of one name the same number, in the order of A; what only B has comes
/// after what stands before it there.
fn pairs<'s>(a: &'s [Section], b: &'s [Section]) -> Vec<(Option<&'s Section>, Option<&'s Section>)> {
    let keyed = |list: &'s [Section]| {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        list.iter()
            .map(|section| {
                let count = seen.entry(&section.name).or_default();
                *count += 1;
                ((section.name.as_str(), *count), section)
            })
            .collect::<Vec<_>>()
    };
    let (of_a, of_b) = (keyed(a), keyed(b));
    let by_key: HashMap<_, _> = of_b.iter().copied().collect();
    let in_a: HashSet<_> = of_a.iter().map(|(key, _)| *key).collect();
    let mut followers: HashMap<Option<(&str, u32)>, Vec<&Section>> = HashMap::new();
    let mut before = None;
    for (key, section) in of_b {
        if in_a.contains(&key) {
            before = Some(key);
        } else {
            followers.entry(before).or_default().push(section);
        }
    }
    let mut out: Vec<_> = followers.remove(&None).into_iter().flatten().map(|section| (None, Some(section))).collect();
    for (key, section) in of_a {
        out.push((Some(section), by_key.get(&key).copied()));
        out.extend(followers.remove(&Some(key)).into_iter().flatten().map(|section| (None, Some(section))));
    }
    out
}

/// What a scan of two ranges found, as a change with excerpts.
fn bytes_of(scan: &bytes::Scan, a: &mut dyn Content, b: &mut dyn Content) -> std::io::Result<Option<Change>> {
    bytes::change(scan, a, b)
}
