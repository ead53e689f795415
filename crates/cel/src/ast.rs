//! The tree of a parsed expression. Every node knows the text that it came from and how deep it reaches.

use std::ops::Range;

use crate::value::Value;

/// Deepest nesting of nodes: evaluation recurses this far and no further.
pub(crate) const MAX_DEPTH: u16 = 48;

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Bytes of the source, with the parentheses around it.
    pub(crate) span: Range<usize>,
    /// 1 for a leaf.
    pub(crate) depth: u16,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Literal(Value),
    Name(String),
    Select {
        of: Box<Node>,
        field: String,
    },
    /// `has(of.field)`
    Has {
        of: Box<Node>,
        field: String,
    },
    Index {
        of: Box<Node>,
        index: Box<Node>,
    },
    Call {
        function: String,
        target: Option<Box<Node>>,
        arguments: Vec<Node>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Operands of `&&`.
    And(Vec<Node>),
    /// Operands of `||`.
    Or(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Loop(Box<Loop>),
}

/// A macro that visits the elements of a list or the keys of a map.
#[derive(Clone)]
pub(crate) struct Loop {
    pub(crate) macro_: Macro,
    pub(crate) over: Node,
    pub(crate) variable: String,
    /// The predicate of `all`, `exists`, `exists_one` and `filter`, and of a `map` that has one.
    pub(crate) predicate: Option<Node>,
    /// What `map` makes of an element.
    pub(crate) transform: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

impl Node {
    pub(crate) fn new(kind: Kind, span: Range<usize>) -> Self {
        let mut depth = 0;
        kind.children(&mut |child| depth = depth.max(child.depth));
        Self { kind, span, depth: depth.saturating_add(1) }
    }

    pub(crate) fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.clone()).unwrap_or_default()
    }
}

impl Kind {
    /// Visits the direct children.
    pub(crate) fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match self {
            Self::Literal(_) | Self::Name(_) => {}
            Self::Select { of, .. } | Self::Has { of, .. } => visit(of),
            Self::Not(operand) | Self::Negate(operand) => visit(operand),
            Self::Index { of: left, index: right } | Self::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::Call { target, arguments, .. } => {
                target.iter().for_each(|target| visit(target));
                arguments.iter().for_each(visit);
            }
            Self::And(operands) | Self::Or(operands) | Self::List(operands) => operands.iter().for_each(visit),
            Self::Conditional(parts) => parts.iter().for_each(visit),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                visit(key);
                visit(value);
            }),
            Self::Loop(inner) => {
                visit(&inner.over);
                inner.predicate.iter().chain(&inner.transform).for_each(visit);
            }
        }
    }
}
