//! Digests, references, manifests, deterministic layers and OCI layouts. No I/O beyond the files it is handed.

pub mod digest;
pub mod json;
pub mod manifest;
pub mod reference;

pub use digest::{Digest, DigestError};
pub use manifest::{Descriptor, Index, Manifest};
pub use reference::{Pinned, Reference, ReferenceError, Repository, Tag};
