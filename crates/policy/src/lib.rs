//! Rego policies over in-toto statements, decided as `cosign verify-attestation --policy` decides them, and stricter.
//!
//! The question is always `data.signature.allow`, the input the whole statement, and the only answer that allows is the
//! boolean `true`. Everything else refuses: another value, several values, no value, an error, too many steps. A refusal
//! says which expression of which rule did not hold and what the statement has there.
//!
//! Where this is stricter than cosign:
//! - a function that csign does not have, a wrong number of arguments and recursion are found before anything runs;
//! - there is no network, no randomness, no environment and no clock: `time.now_ns()` is what the caller passes;
//! - work is counted in steps instead of seconds, so that a policy and a statement come out alike on every machine.
//!
//! Where it differs otherwise: numbers are exact where OPA rounds large ones, and OPA's type checker, which finds a
//! wrong literal argument such as `count(1)` before anything runs, is absent: that call is undefined here.

mod builtins;
mod check;
mod error;
mod explain;
mod limits;
mod policy;
mod probe;
mod regex_syntax;
mod rule;
mod suite;
mod syntax;

pub use error::{Place, PolicyError};
pub use explain::{Decision, Found, Reason, Trouble};
pub use policy::{Module, Policy, RegoVersion, Source};
pub use rule::{ContractPolicy, ContractPolicyError, RegoRule};
pub use suite::{TestOutcome, TestRun};
