//! Signers and encrypters of the command line: cosign key files, Cloud KMS, publishing to Pub/Sub. The workload never
//! links this crate.

pub mod cosign_pem;
pub mod error;
#[cfg(feature = "gcpkms")]
pub mod gcpkms;
#[cfg(feature = "google")]
pub mod google;
pub mod key_uri;
pub mod private_key;
#[cfg(feature = "pubsub")]
pub mod pubsub;
pub mod secret;
pub mod signer;

pub use error::{KeysError, ServiceFault};
#[cfg(feature = "google")]
pub use google::{GcpClientOptions, google_access_token, install_crypto_provider};
pub use key_uri::{KeyUri, KmsKey, KmsKeyVersion};
pub use private_key::PrivateKey;
pub use secret::{Password, Secret};
pub use signer::{OpenOptions, Signer};
