//! What a configuration lets in: rules that find mistakes in contracts, images, conditions, bindings and exports, and
//! explanations of one decision.

mod admission;
mod claims;
mod error;
pub mod explain;
mod fill;
mod finding;
mod gate;
mod lint;
mod locate;
mod machine;
mod read;
mod rule;
mod rules;
mod sarif;

pub use admission::{Admission, admission};
pub use claims::TokenFacts;
pub use error::LintError;
pub use finding::{Finding, printable};
pub use lint::lint;
pub use machine::{Machine, machine};
pub use read::{Binding, Document, Instance, Item, Kind, Located, MAX_DOCUMENT, Policy, ProviderSettings};
pub use rule::{Rule, Severity, reference, rule, rules};
pub use sarif::sarif;
