//! Why a policy cannot be used at all.

use std::fmt;

use serde::Serialize;

/// A place in a policy's source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The name that the caller gave the source.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A policy that does not parse or would not be evaluated as it reads, or an input that is no JSON.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No source at all.
    #[error("there is no policy")]
    Empty,
    /// Larger than a policy is.
    #[error("{file}: {size} bytes, and a policy has at most {limit}")]
    TooLarge {
        /// Which source.
        file: String,
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// Nested so deeply, or so many rules in a row, that evaluating it would exhaust the stack.
    #[error("{place}: {what}; the limit is {limit}")]
    TooDeep {
        /// Where.
        place: Place,
        /// What is nested.
        what: &'static str,
        /// Levels that are allowed.
        limit: usize,
    },
    /// Not Rego.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// The parser's words.
        message: String,
        /// It is Rego of the other version.
        other_version: bool,
    },
    /// Rego v0 was asked for, and the file says that it is v1.
    #[error("{place}: the file says `import rego.v1`, and Rego v0 was asked for")]
    Version {
        /// Where.
        place: Place,
    },
    /// A rule that OPA would not accept and that reads differently from what it would do.
    #[error("{place}: {problem}")]
    Rule {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A call of something that does not exist here.
    #[error("{place}: there is no function {name}")]
    UnknownFunction {
        /// Where.
        place: Place,
        /// As it is called.
        name: String,
    },
    /// A call with a wrong number of arguments.
    #[error("{place}: {name} takes {want} arguments, not {got}")]
    Arguments {
        /// Where.
        place: Place,
        /// The function.
        name: String,
        /// As declared.
        want: usize,
        /// As called.
        got: usize,
    },
    /// A rule that depends on itself.
    #[error("{place}: {rule} depends on itself")]
    Recursion {
        /// Where.
        place: Place,
        /// The rule's full name.
        rule: String,
    },
    /// A rule that is used both in a statement and in what it is evaluated `with`.
    #[error("{place}: {rule} is used on both sides of `with`")]
    With {
        /// Where.
        place: Place,
        /// The rule's full name.
        rule: String,
    },
    /// One of csign's own functions after `with`.
    #[error("{place}: {name} cannot be replaced by `with`")]
    Replaced {
        /// Where.
        place: Place,
        /// The function.
        name: String,
    },
    /// The input is not a JSON document without duplicate members.
    #[error("the statement is not JSON: {0}")]
    Statement(#[source] serde_json::Error),
    /// The input is larger than a statement is.
    #[error("the statement has {size} bytes; the limit is {limit}")]
    StatementTooLarge {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// The operating system gave no thread to evaluate in.
    #[error("starting the evaluation: {0}")]
    Thread(#[source] std::io::Error),
    /// The interpreter broke down. Nothing is known about the policy.
    #[error("the Rego interpreter broke down")]
    Interpreter,
}

impl PolicyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Syntax { other_version: true, .. } => Some(
                "it parses as the other version of Rego: a v1 policy says `import rego.v1`, or --rego v1 says it for all files",
            ),
            Self::Version { .. } => Some("--rego auto reads each file in the version that it names"),
            Self::UnknownFunction { .. } => Some(
                "policies have no network, randomness, environment or YAML here; of time.*: now_ns and parse_rfc3339_ns; of crypto.*: sha256",
            ),
            Self::Rule { .. } => {
                Some("in Rego v0, `if` and `contains` need `import rego.v1` or `import future.keywords`")
            }
            Self::Recursion { .. } => Some("Rego has no recursion: iterate over collections, or use walk"),
            Self::With { .. } => {
                Some("bind what stands after `as` to a variable first: x := f(rule); allow with input as x")
            }
            Self::Replaced { .. } => Some(
                "make a rule of it, such as now = time.now_ns(), and replace the rule: with data.signature.now as 0",
            ),
            Self::TooLarge { .. } | Self::TooDeep { .. } => Some("split the policy into smaller rules"),
            _ => None,
        }
    }

    /// Could the answer not be found out, rather than the policy or the statement being wrong?
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Thread(_) | Self::Interpreter)
    }
}
