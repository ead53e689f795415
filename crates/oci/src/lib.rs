//! Digests, references, manifests, deterministic layers and OCI layouts. No I/O beyond the files it is handed.

pub mod attached;
pub mod digest;
pub mod error;
pub mod image;
pub mod json;
pub mod layer;
pub mod layout;
mod layout_check;
mod layout_writer;
pub mod manifest;
pub mod reference;
pub mod unpack;

pub use attached::LayoutAttachment;
pub use digest::{Digest, DigestError};
pub use error::OciError;
pub use image::{ContainerConfig, Image, ImageConfig, assemble};
pub use layer::{Access, Entry, Layer, LayerBuilder, Node};
pub use layout::{BlobWriter, Layout, LayoutBuilder};
pub use layout_writer::LayoutWriter;
pub use manifest::{Descriptor, Index, Manifest};
pub use reference::{Pinned, Reference, ReferenceError, Repository, Tag};
pub use unpack::{LayerLimits, UnpackedLayer, read_layer};
