//! What is in an image and where it came from, as documents that others read: SPDX 2.3, CycloneDX 1.6, SLSA provenance.
//! Facts in, documents out: no files, no clock, no environment, no network. The same facts give the same bytes.

pub mod bill;
pub mod contents;
pub mod cyclonedx;
pub mod error;
mod license;
pub mod lock;
pub mod provenance;
pub mod purl;
pub mod spdx;
pub mod timestamp;

pub use bill::{Bill, Crates, ImageFacts, LinkedCrate, Scope};
pub use contents::{Contents, File};
pub use error::SbomError;
pub use lock::{LockFile, Origin};
pub use timestamp::Timestamp;
