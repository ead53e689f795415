//! The operators between two operands, by how tightly they bind.

use crate::ast::{Kind, Node, Operator};

/// An operator between two operands.
#[derive(Clone, Copy)]
pub(crate) enum Infix {
    Or,
    And,
    Binary(Operator),
}

/// Operators by how tightly they bind, the loosest first.
pub(crate) const INFIXES: [&[Infix]; 5] = [
    &[Infix::Or],
    &[Infix::And],
    &[
        Infix::Binary(Operator::Equal),
        Infix::Binary(Operator::NotEqual),
        Infix::Binary(Operator::LessOrEqual),
        Infix::Binary(Operator::Less),
        Infix::Binary(Operator::GreaterOrEqual),
        Infix::Binary(Operator::Greater),
        Infix::Binary(Operator::In),
    ],
    &[Infix::Binary(Operator::Add), Infix::Binary(Operator::Subtract)],
    &[Infix::Binary(Operator::Multiply), Infix::Binary(Operator::Divide), Infix::Binary(Operator::Remainder)],
];

impl Infix {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Binary(operator) => operator.symbol(),
        }
    }

    /// Operands of `&&` and of `||` become one node: how they are grouped changes nothing.
    pub(crate) fn join(self, left: Node, right: Node) -> Kind {
        match (self, left.kind) {
            (Self::Or, Kind::Or(mut operands)) => {
                operands.push(right);
                Kind::Or(operands)
            }
            (Self::And, Kind::And(mut operands)) => {
                operands.push(right);
                Kind::And(operands)
            }
            (infix, kind) => {
                let left = Node { kind, ..left };
                match infix {
                    Self::Or => Kind::Or(vec![left, right]),
                    Self::And => Kind::And(vec![left, right]),
                    Self::Binary(operator) => Kind::Binary { operator, left: Box::new(left), right: Box::new(right) },
                }
            }
        }
    }
}
