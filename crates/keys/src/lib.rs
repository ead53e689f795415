//! Signers and encrypters of the command line: cosign key files, Cloud KMS, transit secrets engines, AWS KMS, programs of
//! other key providers, publishing to Pub/Sub. The workload never links this crate.

#![cfg_attr(
    not(all(feature = "awskms", feature = "gcpkms", feature = "plugins", feature = "transit")),
    allow(dead_code, unreachable_code, reason = "what only a provider uses that is left out of this build")
)]

#[cfg(feature = "awskms")]
pub mod awskms;
#[cfg(any(feature = "google", feature = "rest", feature = "plugins"))]
mod call;
pub mod cosign_pem;
mod digest;
pub mod error;
#[cfg(feature = "gcpkms")]
pub mod gcpkms;
#[cfg(feature = "google")]
pub mod google;
pub mod key_uri;
#[cfg(feature = "plugins")]
pub mod plugin;
pub mod private_key;
#[cfg(feature = "pubsub")]
pub mod pubsub;
#[cfg(feature = "rest")]
mod rest;
pub mod secret;
pub mod signer;
#[cfg(feature = "transit")]
pub mod transit;

#[cfg(feature = "awskms")]
pub use awskms::AwsOptions;
pub use error::{KeysError, Service, ServiceFault};
#[cfg(feature = "google")]
pub use google::{GcpClientOptions, google_access_token, install_crypto_provider};
pub use key_uri::{AwsKey, KeyUri, KmsKey, KmsKeyVersion, PluginKey, TransitFlavor, TransitKey, TransitKeyVersion};
#[cfg(feature = "plugins")]
pub use plugin::PluginOptions;
pub use private_key::{KeyType, PrivateKey};
pub use secret::{Password, Secret};
pub use signer::{OpenOptions, Signer, public_key};
#[cfg(feature = "transit")]
pub use transit::{TransitClient, TransitOptions, TransitServer};
