//! The tree: a part that can be opened for everything that differs.

use std::io;

use super::{changes, page::Page};
use crate::report::{Change, Kind, Node, Side};

/// Parts are open down to this depth, and if there are few.
const OPEN: usize = 2;
const FEW: usize = 12;

pub(super) fn root(page: &mut Page<'_>, root: &Node) -> io::Result<()> {
    changes::all(page, &root.changes)?;
    children(page, root, 0)
}

fn children(page: &mut Page<'_>, parent: &Node, depth: usize) -> io::Result<()> {
    for (index, child) in parent.children.iter().enumerate() {
        if page.is_full() {
            let left = parent.children.len() - index;
            return page.raw(&format!("<p class=\"omitted\">The page is full: {left} more differ here.</p>"));
        }
        node(page, child, depth, parent.children.len())?;
    }
    if parent.omitted > 0 {
        page.raw(&format!("<p class=\"omitted\">{} more differ and are not listed.</p>", parent.omitted))?;
    }
    Ok(())
}

fn node(page: &mut Page<'_>, node: &Node, depth: usize, siblings: usize) -> io::Result<()> {
    let side = node.changes.iter().find_map(|change| match change {
        Change::Only { side } => Some(*side),
        _ => None,
    });
    let (class, note) = match side {
        Some(Side::A) => (" only-a", "only in A"),
        Some(Side::B) => (" only-b", "only in B"),
        None => ("", ""),
    };
    let inside =
        node.children.len() + node.changes.iter().filter(|change| !matches!(change, Change::Only { .. })).count();
    if inside == 0 && node.omitted == 0 {
        page.raw(&format!("<p class=\"leaf{class}\">"))?;
        label(page, node, note)?;
        return page.raw("</p>");
    }
    let open = if depth < OPEN && siblings <= FEW && side.is_none() { " open" } else { "" };
    page.raw(&format!("<details class=\"node{class}\"{open}><summary>"))?;
    label(page, node, note)?;
    page.raw("</summary><div>")?;
    changes::all(page, &node.changes)?;
    children(page, node, depth + 1)?;
    page.raw("</div></details>")
}

fn label(page: &mut Page<'_>, node: &Node, note: &str) -> io::Result<()> {
    page.raw(&format!("<span class=\"what\">{}</span> <code class=\"name\">", word(node.kind)))?;
    page.text(&node.name)?;
    page.raw("</code>")?;
    if !note.is_empty() {
        return page.raw(&format!(" <span class=\"only\">{note}</span>"));
    }
    page.raw(" <span class=\"gist\">")?;
    page.text(&gist(node))?;
    page.raw("</span>")
}

/// What is in a part, for those who have not opened it.
fn gist(node: &Node) -> String {
    const SHORT: usize = 40;
    let mut out: Vec<String> = node
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Attribute { name, a: Some(a), b: Some(b) } => {
                let text = format!("{name} {} → {}", changes::shown(name, a), changes::shown(name, b));
                (text.chars().count() <= SHORT).then_some(text)
            }
            Change::Bytes { differing, .. } => Some(counted(*differing, "byte")),
            Change::Lines { hunks, omitted } => Some(counted(hunks.len() as u64 + omitted, "place")),
            Change::Order { .. } => Some("another order".to_owned()),
            Change::CompressionOnly => Some("compression only".to_owned()),
            _ => None,
        })
        .collect();
    out.truncate(2);
    let inside = node.children.len() as u64 + node.omitted;
    if inside > 0 {
        out.push(format!("{inside} inside"));
    }
    out.join(", ")
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "image",
        Kind::Index => "index",
        Kind::Manifest => "manifest",
        Kind::Config => "configuration",
        Kind::Layer => "layer",
        Kind::Entry => "file",
        Kind::Member => "member",
        Kind::Header => "header",
        Kind::Section => "section",
        Kind::Symbol => "symbol",
        Kind::Document => "part",
    }
}
