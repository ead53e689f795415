//! Texts that stand at the same place on both sides: lines, strings, values of attributes.

use super::tree::{Leaf, Tree};
use crate::report::{Change, Hunk, Kind, Side, Value};

pub(super) struct Pair<'t> {
    /// Number of the leaf in the tree.
    pub(super) leaf: usize,
    /// How much of the leaf it is, in thousandths.
    pub(super) part: u64,
    pub(super) a: &'t str,
    pub(super) b: &'t str,
    /// The line of both sides before it that names what it belongs to, or the attribute's name.
    pub(super) context: &'t str,
}

impl<'t> Tree<'t> {
    /// All pairs. A text that only one side has stands next to an empty one.
    pub(super) fn pairs(&self) -> Vec<Pair<'t>> {
        self.leaves.iter().enumerate().flat_map(|(index, leaf)| pairs_of(index, leaf)).collect()
    }
}

fn pairs_of<'t>(index: usize, leaf: &Leaf<'t>) -> Vec<Pair<'t>> {
    let mut out = match leaf.change {
        Change::Lines { hunks, .. } => hunks.iter().flat_map(|hunk| of_hunk(index, hunk)).collect(),
        Change::Attribute { name, a, b } if leaf.weight > 0 && leaf.node.kind != Kind::Header => {
            let text = |value: &'t Option<Value>| match value {
                Some(Value::Text(text)) => text.as_str(),
                _ => "",
            };
            match (text(a), text(b)) {
                ("", "") => Vec::new(),
                (a, b) => vec![Pair { leaf: index, part: 0, a, b, context: name }],
            }
        }
        _ => Vec::new(),
    };
    let part = 1000_u64.div_ceil(out.len().max(1) as u64);
    out.iter_mut().for_each(|pair| pair.part = part);
    out
}

/// Removed lines with the added ones that follow them.
fn of_hunk(leaf: usize, hunk: &Hunk) -> Vec<Pair<'_>> {
    let mut out = Vec::new();
    let (mut removed, mut added): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut context = "";
    for line in &hunk.lines {
        match line.side {
            Some(Side::A) if added.is_empty() => removed.push(&line.text),
            Some(Side::B) => added.push(&line.text),
            other => {
                zip(leaf, &removed, &added, context, &mut out);
                removed.clear();
                added.clear();
                match other {
                    Some(_) => removed.push(&line.text),
                    None if names_something(&line.text) => context = &line.text,
                    None => {}
                }
            }
        }
    }
    zip(leaf, &removed, &added, context, &mut out);
    out
}

fn zip<'t>(leaf: usize, removed: &[&'t str], added: &[&'t str], context: &'t str, out: &mut Vec<Pair<'t>>) {
    for index in 0..removed.len().max(added.len()) {
        let at = |list: &[&'t str]| list.get(index).copied().unwrap_or_default();
        out.push(Pair { leaf, part: 0, a: at(removed), b: at(added), context });
    }
}

/// The line of a package's name in lock files and package databases.
fn names_something(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("name = ")
        || line.starts_with("Package: ")
        || line.starts_with("P:")
        || line.starts_with("\"name\":")
}
