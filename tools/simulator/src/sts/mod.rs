//! The security token service: an attestation token for an access token, if the provider's condition admits it.

mod exchange;
mod provider;
mod rules;

pub use exchange::Sts;
pub(crate) use exchange::routes;
pub use provider::Provider;
pub use rules::Rules;
