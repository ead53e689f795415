//! What an expression asks of its inputs, read from its text: which claim is compared with which constant, and how.

use crate::{
    CONDITION_VARIABLES,
    ast::{Kind, Macro, Node, Operator},
    value::Value,
};

/// Everything that an expression asks of its inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asks {
    /// Comparisons with constants, in the order of the text.
    pub asks: Vec<Ask>,
    /// Every input that is named, in the order of the text: `assertion.submods.gce.zone`. An element of a list is `[]`.
    pub paths: Vec<String>,
    /// Every text that is written in it, wherever.
    pub texts: Vec<String>,
}

/// One comparison of an input with a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The input, written as in [`Asks::paths`].
    pub path: String,
    /// The function that it goes through first, for instance `int` or `size`.
    pub through: Option<String>,
    /// The comparison.
    pub test: Test,
    /// Under an odd number of `!`.
    pub negated: bool,
    /// The comparison's text.
    pub source: String,
}

/// A comparison with a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `path == value`
    Equals(Value),
    /// `path != value`
    Differs(Value),
    /// `path in [values]`
    OneOf(Vec<Value>),
    /// `value in path`
    Holds(Value),
    /// `path < value` and its relatives
    Ordered(Value),
    /// `path.function(text)`: `startsWith`, `matches`, …
    Text {
        /// The function.
        function: String,
        /// Its argument.
        argument: String,
    },
    /// `path.all(…)`, which an empty list satisfies.
    All,
    /// `path.exists(…)` or `path.exists_one(…)`
    Exists,
}

pub(crate) fn asks(root: &Node, source: &str) -> Asks {
    let mut reader = Reader { source, scope: Vec::new(), found: Asks::default() };
    reader.read(root, false);
    reader.found
}

struct Reader<'a> {
    source: &'a str,
    /// Variables of macros with the paths of the elements that they stand for, if these have one.
    scope: Vec<(&'a str, Option<String>)>,
    found: Asks,
}

/// An input and the function that it goes through.
type Place = (String, Option<String>);

impl<'a> Reader<'a> {
    fn read(&mut self, node: &'a Node, negated: bool) {
        self.compare(node, negated);
        if let Kind::Literal(Value::String(text)) = &node.kind {
            self.found.texts.push(text.to_string());
        }
        if let Kind::Name(_) | Kind::Select { .. } | Kind::Index { .. } | Kind::Has { .. } = &node.kind
            && let Some(path) = self.path(node)
        {
            if !self.found.paths.contains(&path) {
                self.found.paths.push(path);
            }
            return;
        }
        match &node.kind {
            Kind::Not(operand) => self.read(operand, !negated),
            Kind::Loop(inner) => {
                self.read(&inner.over, negated);
                let elements = self.path(&inner.over).map(|path| format!("{path}[]"));
                self.scope.push((&inner.variable, elements));
                inner.predicate.iter().chain(&inner.transform).for_each(|body| self.read(body, negated));
                self.scope.pop();
            }
            kind => {
                let mut children = Vec::new();
                kind.children(&mut |child| children.push(child));
                children.into_iter().for_each(|child| self.read(child, negated));
            }
        }
    }

    /// Records the node if it compares an input with a constant.
    fn compare(&mut self, node: &'a Node, negated: bool) {
        let found = match &node.kind {
            Kind::Binary { operator, left, right } => self.binary(*operator, left, right),
            Kind::Call { function, target: Some(target), arguments } => {
                self.place(target).zip(arguments.first().and_then(literal)).and_then(|(place, value)| {
                    let argument = value.as_str()?.to_owned();
                    Some((place, Test::Text { function: function.clone(), argument }))
                })
            }
            Kind::Loop(inner) => self.place(&inner.over).and_then(|place| match inner.macro_ {
                Macro::All => Some((place, Test::All)),
                Macro::Exists | Macro::ExistsOne => Some((place, Test::Exists)),
                Macro::Filter | Macro::Map => None,
            }),
            _ => None,
        };
        if let Some(((path, through), test)) = found {
            let source = node.text(self.source).split_whitespace().collect::<Vec<_>>().join(" ");
            self.found.asks.push(Ask { path, through, test, negated, source });
        }
    }

    fn binary(&self, operator: Operator, left: &Node, right: &Node) -> Option<(Place, Test)> {
        if operator == Operator::In {
            return match (literal(left), &right.kind) {
                (Some(value), _) => Some((self.place(right)?, Test::Holds(value))),
                (None, Kind::List(elements)) => {
                    let values: Option<Vec<Value>> = elements.iter().map(literal).collect();
                    Some((self.place(left)?, Test::OneOf(values?)))
                }
                _ => None,
            };
        }
        let (place, value) = match (literal(left), literal(right)) {
            (None, Some(value)) => (self.place(left)?, value),
            (Some(value), None) => (self.place(right)?, value),
            _ => return None,
        };
        let test = match operator {
            Operator::Equal => Test::Equals(value),
            Operator::NotEqual => Test::Differs(value),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                Test::Ordered(value)
            }
            _ => return None,
        };
        Some((place, test))
    }

    /// The input that the node is, perhaps through one function.
    fn place(&self, node: &Node) -> Option<Place> {
        match &node.kind {
            Kind::Call { function, target: None, arguments } => match arguments.as_slice() {
                [argument] => Some((self.path(argument)?, Some(function.clone()))),
                _ => None,
            },
            Kind::Call { function, target: Some(target), arguments } if arguments.is_empty() => {
                Some((self.path(target)?, Some(function.clone())))
            }
            _ => Some((self.path(node)?, None)),
        }
    }

    fn path(&self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Name(name) => match self.scope.iter().rev().find(|(bound, _)| bound == name) {
                Some((_, path)) => path.clone(),
                None => CONDITION_VARIABLES.contains(&name.as_str()).then(|| name.clone()),
            },
            Kind::Select { of, field } | Kind::Has { of, field } => Some(format!("{}.{field}", self.path(of)?)),
            Kind::Index { of, index } => match literal(index)? {
                Value::String(field) => Some(format!("{}.{field}", self.path(of)?)),
                _ => Some(format!("{}[]", self.path(of)?)),
            },
            _ => None,
        }
    }
}

fn literal(node: &Node) -> Option<Value> {
    match &node.kind {
        Kind::Literal(value) => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, Test, Value};
    use crate::Expression;

    fn of(source: &str) -> Vec<(String, Test, bool)> {
        let asks = Expression::condition(source).expect("a condition").asks().asks;
        asks.into_iter().map(|Ask { path, test, negated, .. }| (path, test, negated)).collect()
    }

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn comparisons_are_found_on_either_side_under_macros_and_negations() {
        let asks = of("'a' == assertion.x && !(assertion['y'].z in ['b', 'c']) || assertion.l.exists(s, s.k == 'd')");
        let want = [
            ("assertion.x".to_owned(), Test::Equals(text("a")), false),
            ("assertion.y.z".to_owned(), Test::OneOf(vec![text("b"), text("c")]), true),
            ("assertion.l".to_owned(), Test::Exists, false),
            ("assertion.l[].k".to_owned(), Test::Equals(text("d")), false),
        ];
        assert_eq!(asks, want);
    }

    #[test]
    fn functions_lists_and_paths_are_named() {
        let asks = Expression::condition("int(assertion.v) >= 1 && 'S' in assertion.a.b && has(assertion.c.d)")
            .expect("a condition")
            .asks();
        assert_eq!(asks.paths, ["assertion.v", "assertion.a.b", "assertion.c.d"]);
        assert_eq!(asks.texts, ["S"]);
        assert_eq!(asks.asks[0].through.as_deref(), Some("int"));
        assert_eq!(asks.asks[1].test, Test::Holds(text("S")));
    }

    #[test]
    fn a_macros_variable_hides_the_input_of_the_same_name() {
        assert!(of("['a'].exists(assertion, assertion == 'a')").is_empty());
    }
}
