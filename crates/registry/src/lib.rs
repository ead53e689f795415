//! OCI distribution client: pull, push, listings, credentials, and an attach that loses no signature.
//!
//! It fails closed: what could not be read is an error, never "there is none". It decides nothing about trust, so every
//! [`Error`] means "could not check", not "untrusted". It reads no environment variable.

mod address;
pub mod attach;
mod auth;
mod blob;
mod challenge;
mod client;
mod content;
pub mod credentials;
#[cfg(feature = "docker-config")]
pub mod docker_config;
mod error;
pub mod evidence;
mod host;
mod layout;
mod listing;
mod manifest;
mod merge;
mod push_referrer;
mod records;
mod referrers_tag;
mod request;
mod retry;
mod route;
mod transport;

pub use attach::{Attached, AttestationLayer, SignatureLayer};
pub use blob::{Content, Progress};
pub use client::{Client, ClientBuilder, Limits};
pub use credentials::{CredentialSource, Credentials, Secret};
#[cfg(feature = "docker-config")]
pub use docker_config::DockerConfig;
pub use error::{Error, Result};
pub use manifest::{FetchedManifest, PushedManifest, TagOrDigest};
pub use push_referrer::{PushedReferrer, Referrer};
pub use retry::RetryPolicy;

/// Parsers of foreign bytes that are no part of the interface, for the fuzz targets: were the bytes accepted?
#[doc(hidden)]
pub mod fuzzing {
    /// One `WWW-Authenticate` header.
    pub fn challenge(header: &str) -> bool {
        crate::challenge::choose([header].into_iter()).is_some()
    }

    /// Docker's `config.json`.
    #[cfg(feature = "docker-config")]
    pub fn docker_config(bytes: &[u8]) -> bool {
        crate::docker_config::accepts(bytes)
    }
}
