//! Cloud KMS: keys that follow from a seed, and the REST interface that Google's own Rust client speaks.

mod ciphertext;
mod keyring;
mod rest;
mod signing;

pub use keyring::{Kms, Purpose};
pub(crate) use rest::handle;
pub use signing::SigningAlgorithm;
