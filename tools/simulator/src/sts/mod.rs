//! The security token service: an attestation token for an access token, if the provider's condition admits it.

mod condition;
mod exchange;
mod mapping;

pub use condition::{Condition, Rules};
pub(crate) use exchange::routes;
pub use exchange::{Provider, Sts};
