//! The one error type of the simulator's library interface; what goes over the wire has its own forms.

use std::{io, path::PathBuf};

/// The result of the library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the simulator could not do what its caller asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No loopback port, no thread, no directory.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, in the present progressive.
        doing: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The configuration contradicts itself or names something malformed.
    #[error("the simulator's configuration is wrong: {0}")]
    Config(String),
    /// A deterministic key could not be derived or read.
    #[error("deriving a key: {0}")]
    Key(String),
    /// The image cannot be pulled, or what came is not what its digest says.
    #[error("pulling {reference}: {reason}")]
    Pull {
        /// The image reference.
        reference: String,
        /// What went wrong.
        reason: String,
    },
    /// The image's launch policy forbids what the operator asked for: the container does not start.
    #[error("the image's launch policy refuses the launch: {0}")]
    LaunchPolicy(String),
    /// The operator's metadata is malformed.
    #[error("the instance metadata is wrong: {0}")]
    Metadata(String),
    /// A layer holds an entry that must not be unpacked.
    #[error("unpacking layer {layer}: entry {entry:?}: {reason}")]
    Layer {
        /// Digest of the layer.
        layer: String,
        /// Path in the archive.
        entry: String,
        /// Why it is refused.
        reason: String,
    },
    /// A token request that the attestation service does not grant.
    #[error("issuing an attestation token: {0}")]
    Token(String),
    /// A resource that is already there or is not there.
    #[error("{0}")]
    Resource(String),
    /// A file is not where it should be.
    #[error("{path} is not there or not usable: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
