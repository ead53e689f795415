//! Why a lock file, a layer or a time is refused.

use csign_oci::{Digest, OciError};

/// Failures of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// The lock file is no TOML, or not cargo's.
    #[error("parsing the lock file: {0}")]
    Lock(String),
    /// A format that this version does not know, or one from before 2021.
    #[error("the lock file has version {0}, only 3 and 4 are read")]
    LockVersion(i64),
    /// More than any real lock file has.
    #[error("the lock file has more than {limit} {what}")]
    LockTooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// A package that names itself in a way that cargo never writes.
    #[error("the lock file's package {package:?} {why}")]
    Package {
        /// Its name as far as it can be shown.
        package: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A dependency that is none of the packages, or several.
    #[error("the lock file's package {package} depends on {dependency:?}, which is {found} of its packages")]
    Dependency {
        /// Who depends.
        package: String,
        /// On what.
        dependency: String,
        /// How many packages fit.
        found: usize,
    },
    /// cargo named a crate that is not in the lock file, or not exactly once.
    #[error("{package} is {found} of the lock file's packages, exactly one is required")]
    NotLocked {
        /// Name and version.
        package: String,
        /// How many fit.
        found: usize,
    },
    /// A layer whose content is not what the image's configuration says.
    #[error("layer {layer} unpacks to {got}, the image's configuration says {want}")]
    DiffId {
        /// The layer's digest.
        layer: Digest,
        /// Digest in the configuration.
        want: Digest,
        /// Digest found.
        got: Digest,
    },
    /// A layer that is compressed in a way that is not read.
    #[error("layer {layer} has the type {media_type:?}: only tar and tar with gzip are read")]
    Compression {
        /// The layer's digest.
        layer: Digest,
        /// Its media type.
        media_type: String,
    },
    /// A layer that is damaged or beyond the limits.
    #[error("reading layer {layer}: {source}")]
    Layer {
        /// The layer's digest.
        layer: Digest,
        /// What is wrong.
        #[source]
        source: OciError,
    },
    /// A time that is none.
    #[error("{0:?} is no RFC 3339 time between the years 0 and 9999")]
    Time(String),
    /// Serialization failed; none in practice.
    #[error("writing the document: {0}")]
    Json(#[from] serde_json::Error),
}

impl SbomError {
    /// What to do about it, where that is not obvious.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::LockVersion(_) => Some("cargo update --workspace writes the lock file in the present format"),
            Self::Lock(_) | Self::Package { .. } | Self::Dependency { .. } => {
                Some("this is no lock file as cargo writes it: compare it with the one in version control")
            }
            Self::NotLocked { .. } => Some("the lock file must be the one of the source directory"),
            Self::Compression { .. } => Some("csign build writes gzip; other tools can convert the image"),
            _ => None,
        }
    }
}
