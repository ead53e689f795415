//! Why an expression is refused, and why it has no value.

use crate::check::Kind;

/// Why an expression is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Longer than the service accepts.
    #[error("the expression has {length} characters, at most {longest} are allowed")]
    Length {
        /// Characters that it has.
        length: usize,
        /// Characters that it may have.
        longest: usize,
    },
    /// Operators, calls or parentheses are nested too deeply.
    #[error("the expression is nested more than {limit} levels deep at byte {at}")]
    Depth {
        /// Levels that are allowed.
        limit: u16,
        /// Where in the text.
        at: usize,
    },
    /// The text is not CEL.
    #[error("syntax error at byte {at}: {problem}")]
    Syntax {
        /// Where in the text.
        at: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A name that nothing declares.
    #[error("undeclared reference to {name:?} at byte {at}")]
    Name {
        /// The name.
        name: String,
        /// Where in the text.
        at: usize,
    },
    /// A function that does not exist, or not with this number of arguments.
    #[error("there is no function {name} with {arguments} arguments (byte {at})")]
    Function {
        /// The function, with a leading dot if it was called on a value.
        name: String,
        /// Arguments, without the value that it was called on.
        arguments: usize,
        /// Where in the text.
        at: usize,
    },
    /// A condition whose value cannot be a boolean.
    #[error("the condition must be a boolean expression; it is of type {kind}")]
    NotBoolean {
        /// The type of its value.
        kind: Kind,
    },
}

/// Why an expression has no value for these inputs. A condition with an error denies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A field or key that is not there.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// An index outside of its list.
    #[error("index {index} is out of bounds: the list has {length} elements")]
    Index {
        /// The index.
        index: i64,
        /// Elements of the list.
        length: usize,
    },
    /// An operator or function that does not take values of these types.
    #[error("no such overload: {0}")]
    NoSuchOverload(String),
    /// A result outside of its type's range, or a division by zero.
    #[error("{0}")]
    Arithmetic(&'static str),
    /// A text that is not what a conversion needs.
    #[error("{from} cannot be converted to {to}")]
    Conversion {
        /// What was given.
        from: String,
        /// The type that was asked for.
        to: &'static str,
    },
    /// An invalid regular expression or template.
    #[error("{0}")]
    Pattern(String),
    /// The same key twice in one map.
    #[error("the map has the key {0} more than once")]
    RepeatedKey(String),
    /// More work than one evaluation may cause.
    #[error("the evaluation takes more than {0} steps")]
    TooMuchWork(u64),
    /// A condition whose value is not a boolean.
    #[error("the condition's value is not a boolean")]
    NotBoolean,
}
