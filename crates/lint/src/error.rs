//! Why a document was not looked at.

/// Why a document was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// More bytes than any such document has.
    #[error("{file} has more than {limit} bytes")]
    TooLarge {
        /// Which one.
        file: String,
        /// How many it may have.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("{file} is no UTF-8 text")]
    NotText {
        /// Which one.
        file: String,
    },
    /// Not JSON, or a member twice.
    #[error("{file}: {source}")]
    Json {
        /// Which one.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Not the configuration of an image.
    #[error("{file}: {error}")]
    Image {
        /// Which one.
        file: String,
        /// What is wrong.
        error: String,
    },
    /// A provider that Google would not accept.
    #[error("the provider is none: {0}")]
    Provider(String),
    /// More images than any agreement has.
    #[error("the documents name more than {limit} images")]
    Images {
        /// How many they may name.
        limit: usize,
    },
    /// Nothing that rules look at.
    #[error("{file} is nothing that csign lint knows")]
    Unknown {
        /// Which one.
        file: String,
    },
}

impl LintError {
    /// What to do.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some(
                "it reads contracts, images, requests, Rego, and the JSON of gcloud (describe, get-iam-policy), terraform show, \
                 Vault and AWS; --kind forces one",
            ),
            Self::Provider(_) => Some("csign lint says what is wrong with it"),
            _ => None,
        }
    }
}
