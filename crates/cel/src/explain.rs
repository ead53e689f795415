//! Which clause decided: the operands of the outermost `&&` or `||`, each with its value and what it saw.

use std::{collections::BTreeSet, fmt};

use crate::{
    ast::{Kind, Node},
    error::EvalError,
    eval::Evaluation,
    value::{Value, Variables},
};

/// What a clause came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It has no boolean value.
    Error(EvalError),
}

/// An operand of the outermost operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its text in the condition.
    pub source: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The inputs that it names, as they are written, with their values; absent ones have their error.
    pub saw: Vec<(String, String)>,
}

/// A condition's value and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The whole condition's value.
    pub outcome: Outcome,
    /// Its operands in order; the condition itself if the outermost operator is neither `&&` nor `||`.
    pub clauses: Vec<Clause>,
    /// The operands are those of `||`: any one would do.
    pub alternatives: bool,
}

impl Explanation {
    /// Whether the condition admits: errors deny.
    pub fn admits(&self) -> bool {
        self.outcome == Outcome::True
    }

    /// The clauses that the result is owed to. A denial: all that do not hold, the false ones before those with an
    /// error. An admission: all, or the first alternative that holds.
    pub fn deciding(&self) -> Vec<&Clause> {
        if self.admits() {
            let held = self.clauses.iter().filter(|clause| clause.outcome == Outcome::True);
            return held.take(if self.alternatives { 1 } else { usize::MAX }).collect();
        }
        let (without_value, wrong): (Vec<_>, Vec<_>) = self
            .clauses
            .iter()
            .filter(|clause| clause.outcome != Outcome::True)
            .partition(|clause| matches!(clause.outcome, Outcome::Error(_)));
        wrong.into_iter().chain(without_value).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Error(error) => write!(f, "an error ({error})"),
        }
    }
}

/// One line: `CLAUSE is false (assertion.x is "y")`.
impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.source, self.outcome)?;
        for (index, (path, value)) in self.saw.iter().enumerate() {
            write!(f, "{}{path} is {value}", if index == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.saw.is_empty() { "" } else { ")" })
    }
}

/// The deciding clauses in one line.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deciding = self.deciding();
        if deciding.is_empty() {
            // Each clause holds, and all of them together took too much work.
            return write!(f, "the condition is {}", self.outcome);
        }
        for (index, clause) in deciding.into_iter().enumerate() {
            write!(f, "{}{clause}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

pub(crate) fn explain(source: &str, root: &Node, variables: &Variables) -> Explanation {
    let mut operands = Vec::new();
    let alternatives = matches!(root.kind, Kind::Or(_));
    flatten(root, alternatives, &mut operands);
    let clauses = operands.into_iter().map(|node| Clause {
        source: one_line(node.text(source)),
        outcome: outcome(node, variables),
        saw: inputs(node, source, variables),
    });
    Explanation { outcome: outcome(root, variables), clauses: clauses.collect(), alternatives }
}

/// Operands of the same operator, whatever the parentheses.
fn flatten<'a>(node: &'a Node, alternatives: bool, operands: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::And(inner) if !alternatives => inner.iter().for_each(|node| flatten(node, alternatives, operands)),
        Kind::Or(inner) if alternatives => inner.iter().for_each(|node| flatten(node, alternatives, operands)),
        _ => operands.push(node),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn outcome(node: &Node, variables: &Variables) -> Outcome {
    match Evaluation::new(variables).value(node) {
        Ok(Value::Bool(true)) => Outcome::True,
        Ok(Value::Bool(false)) => Outcome::False,
        Ok(_) => Outcome::Error(EvalError::NotBoolean),
        Err(error) => Outcome::Error(error),
    }
}

/// Most inputs that one clause shows.
const MAX_INPUTS: usize = 8;

/// The longest paths of fields that begin with a variable of the caller's.
fn inputs(node: &Node, source: &str, variables: &Variables) -> Vec<(String, String)> {
    let mut found = Vec::new();
    paths(node, &mut Vec::new(), &mut found);
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(path.text(source)));
    let shown = found.into_iter().take(MAX_INPUTS).map(|path| {
        let value = Evaluation::new(variables).value(path);
        (one_line(path.text(source)), value.map_or_else(|error| error.to_string(), |value| value.to_string()))
    });
    shown.collect()
}

fn paths<'a>(node: &'a Node, bound: &mut Vec<&'a str>, found: &mut Vec<&'a Node>) {
    if let Some(root) = path_root(node) {
        // A whole document would say too much.
        if !bound.contains(&root) && !matches!(node.kind, Kind::Name(_)) {
            found.push(node);
        }
        return;
    }
    if let Kind::Has { .. } = &node.kind {
        // Its value says what there is to say.
        return;
    }
    if let Kind::Loop(inner) = &node.kind {
        paths(&inner.over, bound, found);
        bound.push(&inner.variable);
        inner.predicate.iter().chain(&inner.transform).for_each(|body| paths(body, bound, found));
        bound.pop();
        return;
    }
    node.kind.children(&mut |child| paths(child, bound, found));
}

/// The variable that a chain of fields and constant indices begins with.
fn path_root(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Name(name) => Some(name),
        Kind::Select { of, .. } => path_root(of),
        Kind::Index { of, index } if matches!(index.kind, Kind::Literal(_)) => path_root(of),
        _ => None,
    }
}
