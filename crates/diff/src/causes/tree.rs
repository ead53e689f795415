//! The tree of differences as rules look at it: leaves with weights, and the files that they belong to.

use std::ops::Range;

use crate::report::{Change, Kind, Node, Value};

/// What a file weighs in all, however much of it differs.
pub(super) const WHOLE: u64 = 1_000_000;

/// Bytes that one string may have which differs.
const STRING: u64 = 128;

/// One change, and where it is.
pub(super) struct Leaf<'t> {
    /// Names from the root, without it.
    pub(super) at: Vec<&'t str>,
    pub(super) node: &'t Node,
    pub(super) change: &'t Change,
    /// Of the file, the configuration, the manifest or the layer that it belongs to.
    pub(super) unit: usize,
    /// Its part of [`WHOLE`]; zero if it only follows from others: a digest, a size, an address.
    pub(super) weight: u64,
}

/// A file of a layer, or the configuration, the manifest, a layer itself.
pub(super) struct Unit<'t> {
    pub(super) kind: Kind,
    pub(super) name: &'t str,
    pub(super) is_elf: bool,
    /// Its leaves, which follow one another.
    leaves: Range<usize>,
    /// Does something lie elsewhere, so that code that did not change is other code?
    pub(super) shifted: bool,
}

pub(super) struct Tree<'t> {
    pub(super) units: Vec<Unit<'t>>,
    pub(super) leaves: Vec<Leaf<'t>>,
}

impl<'t> Tree<'t> {
    pub(super) fn of(root: &'t Node) -> Self {
        let mut tree = Self { units: Vec::new(), leaves: Vec::new() };
        tree.walk(root, &mut Vec::new(), None);
        tree.weigh();
        tree
    }

    /// Leaves of a change that is an attribute with one of these names.
    pub(super) fn attributes<'s>(&'s self, names: &'s [&str]) -> impl Iterator<Item = (usize, &'s Leaf<'t>)> {
        self.leaves
            .iter()
            .enumerate()
            .filter(move |(_, leaf)| leaf.attribute().is_some_and(|(name, ..)| names.contains(&name)))
    }

    /// Leaves of one unit.
    pub(super) fn of_unit(&self, unit: usize) -> impl Iterator<Item = (usize, &Leaf<'t>)> {
        let range = self.units.get(unit).map(|unit| unit.leaves.clone()).unwrap_or_default();
        let first = range.start;
        self.leaves.get(range).unwrap_or_default().iter().enumerate().map(move |(index, leaf)| (first + index, leaf))
    }

    fn walk(&mut self, node: &'t Node, at: &mut Vec<&'t str>, unit: Option<usize>) {
        let own = matches!(node.kind, Kind::Image | Kind::Manifest | Kind::Config | Kind::Layer | Kind::Entry);
        let unit = match unit {
            Some(unit) if !own => unit,
            _ => {
                let first = self.leaves.len();
                self.units.push(Unit {
                    kind: node.kind,
                    name: &node.name,
                    is_elf: false,
                    shifted: false,
                    leaves: first..first,
                });
                self.units.len() - 1
            }
        };
        if let Some(unit) = self.units.get_mut(unit) {
            unit.is_elf |= matches!(node.kind, Kind::Section | Kind::Header);
            let moves = |change: &Change| match change {
                Change::Attribute { name, .. } => matches!(name.as_str(), "sh_size" | "moved" | "references"),
                // Linkers sort merged strings by their content: more than one string changed its place.
                Change::Bytes { differing, .. } => node.kind == Kind::Section && !is_code(node) && *differing > STRING,
                _ => false,
            };
            unit.shifted |= node.changes.iter().any(moves);
        }
        // Of what only one side has, nothing else can differ.
        let only = node.changes.iter().find(|change| matches!(change, Change::Only { .. }));
        for change in only.map_or(node.changes.as_slice(), std::slice::from_ref) {
            self.leaves.push(Leaf { at: at.clone(), node, change, unit, weight: 0 });
            if let Some(unit) = self.units.get_mut(unit) {
                unit.leaves.end = self.leaves.len();
            }
        }
        for child in &node.children {
            at.push(&child.name);
            self.walk(child, at, Some(unit));
            at.pop();
        }
    }

    /// Divides each unit's weight among the leaves that do not follow from others; a file in which all do follow is
    /// weighed by all of them.
    fn weigh(&mut self) {
        for unit in &self.units {
            let own = self.leaves.get_mut(unit.leaves.clone()).unwrap_or_default();
            let follows = own.iter().filter(|leaf| leaf.follows()).count();
            let all_follow = follows == own.len();
            if all_follow && unit.kind != Kind::Entry {
                continue;
            }
            let count = if all_follow { own.len() } else { own.len() - follows } as u64;
            for leaf in own.iter_mut().filter(|leaf| all_follow || !leaf.follows()) {
                leaf.weight = WHOLE / count.max(1);
            }
        }
        // Nothing but digests: whatever is known then has to be enough.
        if self.leaves.iter().all(|leaf| leaf.weight == 0) {
            self.leaves.iter_mut().for_each(|leaf| leaf.weight = 1);
        }
    }
}

impl<'t> Leaf<'t> {
    pub(super) fn attribute(&self) -> Option<(&'t str, Option<&'t Value>, Option<&'t Value>)> {
        match self.change {
            Change::Attribute { name, a, b } => Some((name, a.as_ref(), b.as_ref())),
            _ => None,
        }
    }

    /// Is it one of a text, or of a document?
    pub(super) fn is_text(&self) -> bool {
        match self.change {
            Change::Lines { .. } => true,
            Change::Attribute { name, .. } => name.starts_with('/'),
            _ => false,
        }
    }

    /// Is it machine code, or a function of it?
    pub(super) fn is_code(&self) -> bool {
        is_code(self.node)
    }

    /// Does it follow from something else that differs?
    fn follows(&self) -> bool {
        match (self.node.kind, self.change) {
            (Kind::Header, Change::Attribute { name, .. }) => {
                matches!(name.as_str(), "moved" | "addresses" | "sh_addr" | "e_entry")
            }
            (kind, Change::Attribute { name, .. }) => {
                let name = name.as_str();
                let word = name.rsplit(['/', '.', ' ']).next().unwrap_or(name).to_ascii_lowercase();
                match kind {
                    Kind::Image | Kind::Manifest | Kind::Layer => {
                        ["digest", "size", "diffid", "diff_id", "id"].contains(&word.as_str())
                    }
                    Kind::Config => name.starts_with("/rootfs/diff_ids") || word == "digest",
                    Kind::Entry | Kind::Member => matches!(name, "size" | "ar_size" | "crc-32" | "digest" | "sha256"),
                    Kind::Section => matches!(name, "sh_size" | "moved" | "references" | "NT_GNU_BUILD_ID"),
                    _ => false,
                }
            }
            (_, Change::Bytes { .. }) => {
                self.node.changes.iter().any(|change| matches!(change, Change::Lines { .. } | Change::Order { .. }))
            }
            (_, Change::Unread { .. }) => true,
            _ => false,
        }
    }
}

fn is_code(node: &Node) -> bool {
    node.kind == Kind::Symbol || node.kind == Kind::Section && node.name.starts_with(".text")
}
