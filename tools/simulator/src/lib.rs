//! Confidential Space and the Google APIs that a collaboration needs, on one loopback port of one process.
//!
//! [`Simulator::start`] serves the OCI registry, the attestation issuer, STS, IAM, Cloud KMS,
//! Secret Manager, Cloud Storage and Pub/Sub; [`Launcher`] pulls
//! an image, attests it and runs its program. What is simulated is the platform, not the cryptography: tokens,
//! signatures and ciphertexts are real, under keys that are worth nothing outside the simulator.

pub mod attestation;
pub mod audit;
pub mod chaos;
mod clock;
pub mod config;
mod console;
mod derive;
mod error;
mod faults;
mod fields;
pub mod gcloud;
mod grpc;
pub mod iam;
pub mod kms;
pub mod launcher;
mod metadata_server;
pub mod pubsub;
pub mod registry;
mod respond;
pub mod secrets;
mod server;
mod simulator;
pub mod storage;
pub mod sts;
mod tls;

pub use audit::AuditEntry;
pub use clock::Clock;
pub use config::Config;
pub use console::{Launch, Report};
pub use error::{Error, Result};
pub use faults::{Fault, Faults};
pub use launcher::{LaunchRequest, Launcher, Running, Stream};
pub use simulator::Simulator;
