//! What can be said about an expression without inputs: that its names and functions exist, and of what type it is.

use std::fmt;

use crate::{
    ast::{Kind as Tree, Loop, Macro, Node, Operator},
    error::ParseError,
    functions,
    value::Value,
};

/// The type of an expression's value, as far as it is the same for all inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It depends on the inputs.
    Dynamic,
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `list`
    List,
    /// `map`
    Map,
    /// `type`
    Type,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynamic => "dyn",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Type => "type",
        })
    }
}

impl Value {
    /// Its type; never [`Kind::Dynamic`].
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Uint(_) => Kind::Uint,
            Self::Double(_) => Kind::Double,
            Self::String(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Type(_) => Kind::Type,
        }
    }
}

/// The type that a name of CEL's own stands for, unless a variable has the same name.
pub(crate) fn type_named(name: &str) -> Option<Kind> {
    const ALL: [Kind; 10] = [
        Kind::Null,
        Kind::Bool,
        Kind::Int,
        Kind::Uint,
        Kind::Double,
        Kind::String,
        Kind::Bytes,
        Kind::List,
        Kind::Map,
        Kind::Type,
    ];
    ALL.into_iter().find(|kind| kind.to_string() == name)
}

/// Refuses names and functions that do not exist.
pub(crate) fn names(node: &Node, variables: &[&str]) -> Result<(), ParseError> {
    match &node.kind {
        Tree::Name(name) if !variables.contains(&name.as_str()) && type_named(name).is_none() => {
            return Err(ParseError::Name { name: name.clone(), at: node.span.start });
        }
        Tree::Call { function, target, arguments }
            if !functions::exists(function, target.is_some(), arguments.len()) =>
        {
            let name = if target.is_some() { format!(".{function}") } else { function.clone() };
            return Err(ParseError::Function { name, arguments: arguments.len(), at: node.span.start });
        }
        Tree::Loop(inner) => {
            let Loop { over, variable, predicate, transform, .. } = &**inner;
            names(over, variables)?;
            let inside = [variables, &[variable.as_str()]].concat();
            return predicate.iter().chain(transform).try_for_each(|body| names(body, &inside));
        }
        _ => {}
    }
    let mut outcome = Ok(());
    node.kind.children(&mut |child| {
        if outcome.is_ok() {
            outcome = names(child, variables);
        }
    });
    outcome
}

/// The type of the node's value.
pub(crate) fn kind(node: &Node) -> Kind {
    match &node.kind {
        Tree::Literal(value) => value.kind(),
        Tree::Name(_) | Tree::Select { .. } | Tree::Index { .. } | Tree::Negate(_) => Kind::Dynamic,
        Tree::Has { .. } | Tree::Not(_) | Tree::And(_) | Tree::Or(_) => Kind::Bool,
        Tree::Call { function, target, .. } => functions::kind(function, target.is_some()),
        Tree::Binary { operator, left, right } => match operator {
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                // Operands of these have one type.
                match kind(left) {
                    Kind::Dynamic => kind(right),
                    kind => kind,
                }
            }
            _ => Kind::Bool,
        },
        Tree::Conditional(parts) => {
            let [_, yes, no] = &**parts;
            let (yes, no) = (kind(yes), kind(no));
            if yes == no { yes } else { Kind::Dynamic }
        }
        Tree::List(_) => Kind::List,
        Tree::Map(_) => Kind::Map,
        Tree::Loop(inner) => match inner.macro_ {
            Macro::All | Macro::Exists | Macro::ExistsOne => Kind::Bool,
            Macro::Filter | Macro::Map => Kind::List,
        },
    }
}
