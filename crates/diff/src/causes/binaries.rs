//! What rules want to know about one binary.

use super::{claim::text, tree::Tree};
use crate::report::{Change, Kind, Line, Side, Value};

/// Leaf, name, and both sizes.
pub(super) type Function = (usize, String, Option<String>, Option<String>);

/// Strings of one side alone that are no reason to think of other sources.
const ACCIDENTS: usize = 3;

#[derive(Default)]
pub(super) struct Binary {
    /// Functions of the standard library that differ: their source is the compiler's.
    pub(super) library: Vec<Function>,
    /// Other functions that differ.
    pub(super) own: Vec<Function>,
    /// Does a string differ, and not only what it stands next to?
    pub(super) other_strings: bool,
    /// The leaf of its code.
    pub(super) code: Option<usize>,
}

pub(super) fn all(tree: &Tree<'_>) -> Vec<Binary> {
    let units = tree.units.iter().enumerate().filter(|(_, unit)| unit.is_elf);
    units.map(|(index, _)| of(tree, index)).collect()
}

fn of(tree: &Tree<'_>, unit: usize) -> Binary {
    let mut out = Binary::default();
    for (index, leaf) in tree.of_unit(unit) {
        match (leaf.node.kind, leaf.change) {
            (Kind::Symbol, change) => {
                let sizes = leaf.attribute().map(|(_, a, b)| (a.map(size), b.map(size)));
                let (a, b) = match change {
                    Change::Only { side: Side::A } => (Some("there".to_owned()), None),
                    Change::Only { .. } => (None, Some("there".to_owned())),
                    // Bytes alone may be references to something that moved.
                    _ => match sizes {
                        Some(sizes) => sizes,
                        None => continue,
                    },
                };
                let name = leaf.node.name.clone();
                let list = if is_library(&name) { &mut out.library } else { &mut out.own };
                list.push((index, name, a, b));
            }
            (Kind::Section, Change::Lines { hunks, .. }) if leaf.node.name != ".comment" => {
                out.other_strings |= hunks.iter().any(|hunk| is_replaced(&hunk.lines)) || hunks.len() > ACCIDENTS;
            }
            (Kind::Section, _) if leaf.is_code() => out.code = Some(index),
            _ => {}
        }
    }
    out
}

/// Has a text become another one? One that only one side has may be an accident: numbers next to a string that look like
/// a character of it.
fn is_replaced(lines: &[Line]) -> bool {
    [Side::A, Side::B].into_iter().all(|side| lines.iter().any(|line| line.side == Some(side)))
}

fn size(value: &Value) -> String {
    format!("{} bytes", text(value))
}

impl Binary {
    /// Are functions of the program there on one side only, because the other has them inlined?
    pub(super) fn is_inlined(&self) -> bool {
        let count = |wanted: fn(&Function) -> bool| self.own.iter().filter(|function| wanted(function)).count();
        let (only_a, only_b) = (count(|(.., b)| b.is_none()), count(|(_, _, a, _)| a.is_none()));
        self.own.len() > only_a + only_b && (only_a == 0) != (only_b == 0) && only_a + only_b >= 2
    }
}

/// Rust's own libraries, by the beginning of a path or of a generic's parameter.
fn is_library(name: &str) -> bool {
    let roots =
        ["core::", "alloc::", "std::", "<core::", "<alloc::", "<std::", "<&T as core::", "<T as ", "<&str as core::"];
    roots.iter().any(|root| name.starts_with(root))
}
