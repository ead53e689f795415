//! Signature formats and the public keys that verify them: simple signing, DSSE, in-toto statements, sigstore bundles.
//! Pure: bytes and keys in, bytes and verdicts out.

pub mod algorithm;
pub mod bundle;
pub mod dsse;
pub mod key;
mod key_id;
pub mod predicate;
mod reproduced;
pub mod sig_image;
pub mod simple_signing;
pub mod statement;

pub use algorithm::{SignatureAlgorithm, UnknownAlgorithm};
pub use key::{KeyError, PublicKey};
pub use key_id::KeyId;
pub use predicate::{PredicateError, PredicateType};
