//! The attestation service: an OIDC issuer whose tokens carry Confidential Space's claims.

mod claims;
mod issuer;
pub(crate) mod jws;
mod key;
mod service;

pub use claims::{Container, Image, ImageSignature, TokenOptions, Vm};
pub use issuer::Issuer;
pub(crate) use key::IssuerKey;
pub(crate) use service::routes;
