//! Confidential Space attestation tokens: the issuer's keys, verification of a token, its claims as types.
//! Pure: bytes, keys and `now` in, claims or the reason of a refusal out.

mod claims;
mod discovery;
mod error;
mod jwks;
mod token;

pub use claims::{Claims, Container, Gce, ImageSignature, Override};
pub use discovery::Discovery;
pub use error::{JwksError, TokenError};
pub use jwks::{Jwks, Thumbprint};
pub use token::{Expected, LIMITS, Limits, Token, verify};
