//! Why a layer, a layout or an image could not be written or read.

use std::{io, path::PathBuf};

use crate::digest::Digest;

/// Failures of [`crate::layer`], [`crate::layout`] and [`crate::image`].
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The file system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, for instance "writing blob".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A path that cannot be an entry of a layer.
    #[error("{path:?} cannot be an entry of a layer: {why}")]
    EntryPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bytes of a layer are damaged or hostile.
    #[error("reading layer: {0}")]
    Layer(#[source] io::Error),
    /// Content is larger than the reader allows.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Which content.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A layer has more entries than the reader allows.
    #[error("layer has more than {0} entries")]
    TooManyEntries(usize),
    /// Content has another size than its descriptor says.
    #[error("blob {digest} has {got} bytes, its descriptor says {want}")]
    Size {
        /// Which blob.
        digest: Digest,
        /// Size in the descriptor.
        want: u64,
        /// Size found; for streams, as far as they were read.
        got: u64,
    },
    /// Content has another digest than its descriptor says.
    #[error("blob has digest {got}, its descriptor says {want}")]
    Mismatch {
        /// Digest in the descriptor.
        want: Digest,
        /// Digest of the content.
        got: Digest,
    },
    /// JSON that is not what its place in the layout asks for.
    #[error("parsing {what}")]
    Json {
        /// Which document.
        what: String,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// The directory is no OCI image layout of version 1.0.0.
    #[error("{} is not an OCI image layout: {why}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// Something other than a layout is where a layout should go.
    #[error("{} exists and is not an OCI image layout; it is left as it is (name another directory, or remove it)", .0.display())]
    Occupied(PathBuf),
    /// The layout does not hold exactly one image.
    #[error("the layout holds {0} manifests, exactly one image is required")]
    NotOneImage(usize),
    /// A layout of another image is where a copy should go.
    #[error("{} holds the image {has}, not {want}; it is left as it is (name another directory)", path.display())]
    OtherImage {
        /// The layout.
        path: PathBuf,
        /// What it holds.
        has: Digest,
        /// What should be copied there.
        want: Digest,
    },
    /// A manifest or index of a type that csign does not read.
    #[error("media type {got:?} where {want:?} is required")]
    MediaType {
        /// Type found.
        got: String,
        /// Type required.
        want: &'static str,
    },
}

impl OciError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }
}
