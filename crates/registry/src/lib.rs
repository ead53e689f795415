//! OCI distribution client: pull, push, listings, credentials, and an attach that loses no signature.
//!
//! It fails closed: what could not be read is an error, never "there is none". It decides nothing about trust, so every
//! [`Error`] means "could not check", not "untrusted". It reads no environment variable.

mod address;
mod artifact;
pub mod attach;
pub mod attachments;
mod auth;
mod blob;
mod challenge;
mod client;
mod content;
pub mod copy;
pub mod credentials;
mod detach;
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

pub use artifact::{Contents, Kind};
pub use attach::{Attached, AttestationLayer, SignatureLayer};
pub use attachments::{Attachment, Graph, Source};
pub use blob::{Content, Progress};
pub use client::{Client, ClientBuilder, Limits};
pub use copy::{Copied, CopyOptions, Destination};
pub use credentials::{CredentialSource, Credentials, Secret};
pub use detach::Detached;
#[cfg(feature = "docker-config")]
pub use docker_config::DockerConfig;
pub use error::{Error, Result};
pub use manifest::{FetchedManifest, PushedManifest, TagOrDigest};
pub use push_referrer::{PushedReferrer, Referrer};
pub use retry::RetryPolicy;

/// Parsers of foreign bytes that are no part of the interface, for the fuzz targets: were the bytes accepted?
#[doc(hidden)]
pub mod fuzzing {
    use csign_oci::manifest::{IMAGE_INDEX, IMAGE_MANIFEST};

    /// A manifest or an index of any artifact.
    pub fn artifact(bytes: &[u8]) -> bool {
        [IMAGE_MANIFEST, IMAGE_INDEX].iter().any(|kind| crate::Contents::parse(kind, bytes).is_ok())
    }

    /// One `WWW-Authenticate` header.
    pub fn challenge(header: &str) -> bool {
        crate::challenge::choose([header].into_iter()).is_some()
    }

    const IMAGE: &str = "registry.example/app@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    /// A manifest that refers to the image whose manifest is `{}`.
    pub fn referrer(bytes: &[u8]) -> bool {
        csign_oci::Pinned::parse(IMAGE).is_ok_and(|image| crate::push_referrer::entry(&image, bytes, None).is_ok())
    }

    /// A listing of referrers, with inlined content.
    pub fn referrers(bytes: &[u8]) -> bool {
        let Ok(image) = csign_oci::Pinned::parse(IMAGE) else { return false };
        let index = crate::listing::parse_index("fuzzing", image.repository.registry(), bytes);
        let is_good = |entry: &csign_oci::Descriptor| crate::content::inlined(&image.repository, entry).is_ok();
        index.is_ok_and(|index| index.manifests.iter().all(is_good))
    }

    /// Docker's `config.json`.
    #[cfg(feature = "docker-config")]
    pub fn docker_config(bytes: &[u8]) -> bool {
        crate::docker_config::accepts(bytes)
    }
}
