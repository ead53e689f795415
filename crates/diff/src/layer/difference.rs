//! Collects what differs in two layers.

use std::cell::Cell;

use csign_oci::Digest;

use super::{Compared, Context, Facts, spool::Spool};
use crate::{
    archive::{Entry, Tail},
    content,
    error::DiffError,
    limits::Limits,
    report::{Change, Kind, Node, Side, Value},
};

/// Differences of the entries of two layers.
pub(super) struct Found<'a> {
    limits: &'a Limits,
    /// Nodes that files may still add.
    inside: &'a Cell<usize>,
    /// With a key that sorts them as A has them.
    nodes: Vec<(u64, Node)>,
    /// Room for what comes later.
    reserved: usize,
    omitted: u64,
    pub(super) changes: Vec<Change>,
}

/// What one pair of entries needs besides its attributes.
pub(super) enum Contents {
    Same,
    /// To be looked into.
    Different(Spool, Spool),
    /// They differ, and this is why nobody looks.
    Unread(String),
}

impl<'a> Found<'a> {
    pub(super) fn new(context: &'a Context<'_>) -> Self {
        Self {
            limits: context.limits,
            inside: &context.nodes,
            nodes: Vec::new(),
            reserved: 0,
            omitted: 0,
            changes: Vec::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.nodes.len() + self.reserved < self.limits.children
    }

    /// Keeps room for a node that is added later, after [`Found::release`].
    pub(super) fn reserve(&mut self) {
        self.reserved += 1;
    }

    pub(super) fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Adds a node, or counts it.
    pub(super) fn add(&mut self, at: u64, node: Node) {
        if self.has_room() {
            self.nodes.push((at, node));
        } else {
            self.omitted += 1;
        }
    }

    /// An entry that only one side has.
    pub(super) fn only(&mut self, side: Side, entry: &Entry, name: String) {
        let shown = |name: &str| matches!(name, "type" | "mode" | "size" | "link");
        let attributes = entry.attributes().into_iter().filter(|(name, _)| shown(name));
        let changes = attributes.map(|(name, value)| match side {
            Side::A => Change::Attribute { name, a: Some(value), b: None },
            Side::B => Change::Attribute { name, a: None, b: Some(value) },
        });
        let changes = [Change::Only { side }].into_iter().chain(changes).collect();
        self.add(entry.position, Node { kind: Kind::Entry, name, changes, children: Vec::new(), omitted: 0 });
    }

    /// A pair of entries of one path; nothing is added if they are the same.
    pub(super) fn pair(&mut self, a: &Entry, b: &Entry, name: String, contents: Contents) -> Result<(), DiffError> {
        let mut changes = attributes(a, b);
        let mut children = Vec::new();
        match contents {
            Contents::Same => {}
            Contents::Unread(why) => changes.push(Change::Unread { why }),
            Contents::Different(..) if self.inside.get() == 0 => {
                let why =
                    "the content differs; it was not looked into, since so much differs in other files".to_owned();
                changes.push(Change::Unread { why });
            }
            Contents::Different(one, other) => {
                let (mut one, mut other) = (one.into_content()?, other.into_content()?);
                let (inner, nodes) = content::compare(&name, &mut *one, &mut *other, self.limits)?;
                changes.extend(inner);
                self.inside.set(self.inside.get().saturating_sub(nodes.iter().map(count).sum()));
                children = nodes;
            }
        }
        if !changes.is_empty() || !children.is_empty() {
            self.add(a.position, Node { kind: Kind::Entry, name, changes, children, omitted: 0 });
        }
        Ok(())
    }

    /// The whole result.
    pub(super) fn compared(
        mut self,
        tails: Option<(Tail, Tail)>,
        facts: (Option<Facts>, Option<Facts>),
        unread: Option<String>,
    ) -> Compared {
        if let Some((a, b)) = &tails {
            self.changes.extend(tail_changes(a, b));
        }
        let ids = (facts.0.as_ref().map(|facts| facts.diff_id), facts.1.as_ref().map(|facts| facts.diff_id));
        let explained = !self.changes.is_empty() || !self.nodes.is_empty() || unread.is_some();
        if let (Some(a), Some(b)) = ids
            && a != b
            && !explained
        {
            let why = "the archives differ only in bytes that belong to no entry".to_owned();
            self.changes.push(Change::Unread { why });
        }
        self.nodes.sort_by_key(|(at, _)| *at);
        let children = self.nodes.into_iter().map(|(_, node)| node).collect();
        Compared { changes: self.changes, children, omitted: self.omitted, facts, unread }
    }
}

fn count(node: &Node) -> usize {
    1 + node.children.iter().map(count).sum::<usize>()
}

/// Attributes that differ.
pub(super) fn attributes(a: &Entry, b: &Entry) -> Vec<Change> {
    if a.headers == b.headers {
        return Vec::new();
    }
    let mut changes = pairs(a.attributes(), b.attributes());
    if changes.is_empty() {
        // The same statement in other bytes: another padding of numbers, an unused field.
        let digest = |digest: &Digest| Some(Value::Text(digest.to_string()));
        changes.push(Change::Attribute { name: "header".to_owned(), a: digest(&a.headers), b: digest(&b.headers) });
    }
    changes
}

/// Named values of two sides: what differs, in the order of A, then what only B has.
pub(crate) fn pairs<N: Into<String> + PartialEq>(a: Vec<(N, Value)>, b: Vec<(N, Value)>) -> Vec<Change> {
    let mut rest: Vec<(N, Option<Value>)> = b.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let mut changes = Vec::new();
    for (name, of_a) in a {
        let of_b = rest.iter_mut().find(|(other, _)| *other == name).and_then(|(_, value)| value.take());
        if of_b.as_ref() != Some(&of_a) {
            changes.push(Change::Attribute { name: name.into(), a: Some(of_a), b: of_b });
        }
    }
    for (name, of_b) in rest {
        if of_b.is_some() {
            changes.push(Change::Attribute { name: name.into(), a: None, b: of_b });
        }
    }
    changes
}

fn tail_changes(a: &Tail, b: &Tail) -> Vec<Change> {
    let text = |tail: &Tail| {
        let foreign = if tail.foreign { ", not all zeros" } else { "" };
        Value::Text(format!("{} bytes{foreign}", tail.bytes))
    };
    let padded = |tail: &Tail| Value::Number(i64::try_from(tail.padded).unwrap_or(i64::MAX));
    pairs(
        vec![("end of archive", text(a)), ("foreign padding", padded(a))],
        vec![("end of archive", text(b)), ("foreign padding", padded(b))],
    )
}
