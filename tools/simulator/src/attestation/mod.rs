//! The attestation service: an issuer of OIDC, PKI and AWS tokens that carry Confidential Space's claims.

mod claims;
mod issuer;
pub(crate) mod jws;
mod key;
mod options;
mod pki;
mod service;
mod vm;

pub use issuer::Issuer;
pub(crate) use issuer::LIFETIME;
pub use options::{TokenKind, TokenOptions};
pub(crate) use service::routes;
pub use vm::{Container, Hardware, Image, ImageSignature, Platform, Vm};
