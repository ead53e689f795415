//! Confidential Space attestation tokens: the issuer's keys, verification of a token, its claims as types.
//! Pure: bytes, keys and `now` in, claims or the reason of a refusal out.

mod claims;
mod details;
mod discovery;
mod error;
mod jwks;
mod pki;
mod token;

pub use claims::{Claims, Container, Gce, ImageSignature, Override};
pub use details::{Details, Tdx};
pub use discovery::Discovery;
pub use error::{JwksError, TokenError};
pub use jwks::{Jwks, Thumbprint};
#[doc(hidden)]
pub use pki::parses_x5c;
pub use pki::{PkiRoots, RootPin};
pub use token::{Expected, Keys, LIMITS, Limits, Token, verify};
