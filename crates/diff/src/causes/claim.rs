//! What a rule found: a cause, its evidence, and which differences it explains.

use std::collections::{BTreeMap, BTreeSet};

use super::{EVIDENCE, tree::Tree};
use crate::report::{Cause, CauseKind, Change, Evidence, Kind, Side, Value};

/// Thousandths of a leaf.
const ALL: u64 = 1000;

pub(super) struct Claim {
    pub(super) kind: CauseKind,
    pub(super) summary: String,
    pub(super) advice: String,
    place: Option<String>,
    evidence: Vec<Evidence>,
    /// Leaves, and how much of each, in thousandths.
    explains: BTreeMap<usize, u64>,
    /// Leaves that follow from what was found.
    consequences: BTreeSet<usize>,
}

impl Claim {
    pub(super) fn new(kind: CauseKind) -> Self {
        Self {
            kind,
            summary: String::new(),
            advice: String::new(),
            place: None,
            evidence: Vec::new(),
            explains: BTreeMap::new(),
            consequences: BTreeSet::new(),
        }
    }

    /// Explains a leaf altogether, which is evidence too.
    pub(super) fn leaf(&mut self, tree: &Tree<'_>, leaf: usize) {
        let values = tree.leaves.get(leaf).and_then(|leaf| leaf.attribute());
        let shown = |name, value: &Value| match value {
            Value::Number(mode) if name == "mode" => format!("{mode:04o}"),
            _ => text(value),
        };
        let shown = |name, value: Option<&Value>| value.map(|value| shown(name, value));
        let (a, b) = values.map_or((None, None), |(name, a, b)| (shown(name, a), shown(name, b)));
        let (a, b) = match tree.leaves.get(leaf).map(|leaf| (leaf.node, leaf.change)) {
            Some((node, Change::Only { side: Side::A })) => (Some(node.name.clone()), None),
            Some((node, Change::Only { side: Side::B })) => (None, Some(node.name.clone())),
            Some((_, Change::Bytes { a, b, .. })) => (Some(a.clone()), Some(b.clone())),
            _ => (a, b),
        };
        self.part(tree, leaf, ALL, a, b);
    }

    /// Explains so many thousandths of a leaf, by what both sides have there.
    pub(super) fn part(
        &mut self,
        tree: &Tree<'_>,
        leaf: usize,
        thousandths: u64,
        a: Option<String>,
        b: Option<String>,
    ) {
        let explained = self.explains.entry(leaf).or_default();
        *explained = (*explained + thousandths).min(ALL);
        if self.place.is_none() {
            self.place = tree.leaves.get(leaf).and_then(|leaf| {
                let unit = tree.units.get(leaf.unit)?;
                let name =
                    if unit.kind == Kind::Entry { unit.name } else { leaf.at.last().copied().unwrap_or("the image") };
                Some(name.to_owned())
            });
        }
        if self.evidence.len() < EVIDENCE
            && let Some(leaf) = tree.leaves.get(leaf)
        {
            let mut at: Vec<String> = leaf.at.iter().map(|name| (*name).to_owned()).collect();
            if let Some((name, ..)) = leaf.attribute() {
                at.push(name.to_owned());
            }
            let evidence = Evidence { at, a, b };
            if !self.evidence.contains(&evidence) {
                self.evidence.push(evidence);
            }
        }
    }

    /// Whatever else differs in the binaries in which it was found follows from it.
    pub(super) fn explains_binaries(&mut self, tree: &Tree<'_>) {
        self.follow(tree, |_| true);
    }

    /// The same for what is only a text: in code that did not move it changes nothing.
    pub(super) fn explains_texts(&mut self, tree: &Tree<'_>) {
        self.follow(tree, |leaf| !leaf.is_code());
    }

    fn follow(&mut self, tree: &Tree<'_>, unmoved: impl Fn(&super::tree::Leaf<'_>) -> bool) {
        let units: BTreeSet<usize> =
            self.explains.keys().filter_map(|leaf| Some(tree.leaves.get(*leaf)?.unit)).collect();
        for unit in units {
            let Some(of) = tree.units.get(unit).filter(|of| of.is_elf) else { continue };
            // The entry's own attributes (its time, its mode) have other causes.
            let inside = |leaf: &super::tree::Leaf<'_>| leaf.node.kind != Kind::Entry;
            let leaves = tree.of_unit(unit).filter(|(_, leaf)| inside(leaf) && (of.shifted || unmoved(leaf)));
            self.consequences.extend(leaves.map(|(index, _)| index));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.explains.is_empty()
    }

    pub(super) fn says(mut self, summary: impl Into<String>, advice: &str) -> Option<Self> {
        self.summary = summary.into();
        self.advice = advice.to_owned();
        (!self.is_empty()).then_some(self)
    }

    /// Is at least half of a leaf explained?
    pub(super) fn covers(&self, leaf: usize) -> bool {
        self.consequences.contains(&leaf) || self.explains.get(&leaf).is_some_and(|part| *part * 2 >= ALL)
    }

    /// How much of all differences it explains.
    pub(super) fn coverage(&self, tree: &Tree<'_>) -> u64 {
        let weight = |leaf: usize| tree.leaves.get(leaf).map_or(0, |leaf| leaf.weight);
        let direct = self.explains.iter().filter(|(leaf, _)| !self.consequences.contains(*leaf));
        let direct: u64 = direct.map(|(leaf, part)| weight(*leaf) * part / ALL).sum();
        // Rounding must not decide between causes.
        (direct + self.consequences.iter().map(|leaf| weight(*leaf)).sum::<u64>()) / 1000
    }

    /// The first evidence, as a sentence's end: `a → b`.
    pub(super) fn first(&self) -> Option<(&str, &str, &str)> {
        let evidence = self.evidence.first()?;
        let at = evidence.at.last().map_or("", String::as_str);
        Some((at, evidence.a.as_deref().unwrap_or("nothing"), evidence.b.as_deref().unwrap_or("nothing")))
    }

    /// The file, or the document, of the first evidence.
    pub(super) fn place(&self) -> String {
        self.place.clone().unwrap_or_default()
    }

    pub(super) fn into_cause(self) -> Cause {
        Cause { kind: self.kind, summary: self.summary, advice: self.advice, evidence: self.evidence }
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}
