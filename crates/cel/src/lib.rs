//! CEL attribute mappings and conditions, as workload identity federation evaluates them.
//!
//! A parser and an evaluator of our own, for the part of the [CEL specification] that conditions use. The `cel` crate
//! was looked at and left: 22,000 lines and an ANTLR runtime with unsafe code below it, where this needs none; it
//! keeps no end positions, which the explanation of a refusal needs to quote a clause; and it knows neither Google's
//! `extract` nor a bound on the work that a hostile condition may cause.
//!
//! What is missing on purpose: messages, timestamps, durations, optional values, two-variable macros and the string
//! functions that are not listed in [`functions`]. Using one is an error when the expression is parsed.
//!
//! [CEL specification]: https://github.com/google/cel-spec/blob/master/doc/langdef.md

mod asks;
mod ast;
mod check;
mod error;
mod eval;
mod explain;
pub mod federation;
pub mod functions;
mod infix;
mod lexer;
mod number;
mod parser;
mod value;

use std::fmt;

pub use asks::{Ask, Asks, Test};
use ast::Node;
pub use check::Kind;
pub use error::{EvalError, ParseError};
pub use explain::{Clause, Explanation, Outcome};
pub use value::{Key, Value, Variables};

/// Longest attribute condition, in characters.
pub const MAX_CONDITION: usize = 4096;

/// Longest value of an attribute mapping, in characters.
pub const MAX_MAPPING: usize = 2048;

/// The names that a condition may use. A mapping knows `assertion` only.
pub const CONDITION_VARIABLES: [&str; 3] = ["assertion", "google", "attribute"];

/// A parsed expression, whose names and functions all exist.
#[derive(Clone)]
pub struct Expression {
    source: String,
    root: Node,
}

impl Expression {
    /// Parses an expression of at most `longest` characters that uses no other names than `variables`.
    ///
    /// # Errors
    /// It is too long, nested too deeply, not CEL, or uses a name or a function that does not exist.
    pub fn parse(source: &str, longest: usize, variables: &[&str]) -> Result<Self, ParseError> {
        let length = source.chars().count();
        if length > longest {
            return Err(ParseError::Length { length, longest });
        }
        let root = parser::parse(source)?;
        check::names(&root, variables)?;
        Ok(Self { source: source.to_owned(), root })
    }

    /// Parses an attribute condition: what [`Expression::parse`] accepts, unless its value is certainly no boolean.
    ///
    /// # Errors
    /// As [`Expression::parse`]; or the value is of another type, as that of a condition that was put into quotes.
    pub fn condition(source: &str) -> Result<Self, ParseError> {
        let condition = Self::parse(source, MAX_CONDITION, &CONDITION_VARIABLES)?;
        match condition.kind() {
            Kind::Bool | Kind::Dynamic => Ok(condition),
            kind => Err(ParseError::NotBoolean { kind }),
        }
    }

    /// Parses a value of an attribute mapping.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn mapping(source: &str) -> Result<Self, ParseError> {
        Self::parse(source, MAX_MAPPING, &["assertion"])
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its value, as far as it is the same for all inputs.
    pub fn kind(&self) -> Kind {
        check::kind(&self.root)
    }

    /// Its value.
    ///
    /// # Errors
    /// A field or key that is absent, operands of the wrong type, an overflow, too much work.
    pub fn evaluate(&self, variables: &Variables) -> Result<Value, EvalError> {
        eval::Evaluation::new(variables).value(&self.root)
    }

    /// Its value as a condition: anything but a boolean is an error.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn holds(&self, variables: &Variables) -> Result<bool, EvalError> {
        self.evaluate(variables)?.as_bool().ok_or(EvalError::NotBoolean)
    }

    /// What it asks of its inputs, as far as its text says so.
    pub fn asks(&self) -> Asks {
        asks::asks(&self.root, &self.source)
    }

    /// Its value as a condition, and what each operand of its outermost `&&` or `||` contributed.
    pub fn explain(&self, variables: &Variables) -> Explanation {
        explain::explain(&self.source, &self.root, variables)
    }
}

/// `text` as a CEL string literal.
pub fn quote(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_control() => literal.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}
