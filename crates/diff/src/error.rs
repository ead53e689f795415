//! Why two images could not be compared.

use std::{io, path::Path};

use csign_oci::{Digest, OciError};

/// Whatever keeps an answer from being given. None of these says that the images are the same, or that they are not.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file could not be read, or a temporary one not be written.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done to what.
        doing: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A layout or a document in it makes no sense.
    #[error("{name}: {}", chain(source))]
    Oci {
        /// As the caller named the image.
        name: String,
        /// What is wrong.
        #[source]
        source: OciError,
    },
    /// What was named is no image of a known form.
    #[error("{name} is no image that can be read: {why}")]
    NotAnImage {
        /// As the caller named it.
        name: String,
        /// What was looked for, or found.
        why: String,
    },
    /// Content is not what its digest says: damage, or an attack.
    #[error("{what} has the digest {got}, not {want}")]
    Mismatch {
        /// Which content, of which image.
        what: String,
        /// What the manifest says.
        want: Digest,
        /// What was computed.
        got: Digest,
    },
    /// Content has another size than its descriptor says.
    #[error("{what} has {got} bytes, not {want}")]
    Size {
        /// Which content, of which image.
        what: String,
        /// What the manifest says.
        want: u64,
        /// What was found.
        got: u64,
    },
    /// Content goes beyond one of [`crate::Limits`].
    #[error("{what} is larger than the limit of {limit} {unit}")]
    Limit {
        /// What is.
        what: String,
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Content has the right digest, but breaks the rules of its format.
    #[error("{what}: {why}")]
    Malformed {
        /// Which content.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The two do not have platforms that could be compared.
    #[error("{0}")]
    Platform(String),
    /// A source outside of this crate failed.
    #[error("{message}")]
    Source {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// One side's thread ended without a word.
    #[error("reading {0} was interrupted")]
    Interrupted(String),
}

impl DiffError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Io { .. } => "temporary files go to TMPDIR; check its space and the files' permissions".to_owned(),
            Self::NotAnImage { .. } | Self::Oci { .. } => {
                "give an OCI layout directory, an archive of one, a docker save archive, or a reference".to_owned()
            }
            Self::Mismatch { .. } | Self::Size { .. } | Self::Interrupted(_) => {
                "the content is damaged or was changed; fetch or build it again".to_owned()
            }
            Self::Limit { .. } => {
                "if the image is to be trusted with that, raise the limit: csign diff --help".to_owned()
            }
            Self::Malformed { .. } => "the tool that wrote it broke the format; look at it with other tools".to_owned(),
            Self::Platform(_) => "name one platform with --platform OS/ARCHITECTURE".to_owned(),
            Self::Source { hint, .. } => hint.clone(),
        }
    }

    /// Was something named that is no image, rather than something that could not be read?
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::NotAnImage { .. } | Self::Platform(_) => true,
            _ => false,
        }
    }

    /// Has the content the right digest, so that other parts can still be compared?
    pub(crate) fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed { .. })
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("reading {}", path.display()))
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), why: why.into() }
    }
}

/// Of temporary files.
impl From<io::Error> for DiffError {
    fn from(source: io::Error) -> Self {
        Self::Io { doing: "reading what is compared".to_owned(), source }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
