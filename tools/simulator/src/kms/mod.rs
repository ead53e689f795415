//! Cloud KMS: keys that follow from a seed, over REST as Google's Rust client speaks it and over gRPC as others do.

mod ciphertext;
mod grpc;
mod keyring;
mod management;
mod messages;
mod operations;
mod rest;
mod signing;

pub(crate) use grpc::routes;
pub use keyring::{Kms, Purpose, VersionState};
pub use signing::SigningAlgorithm;
