//! Why a keyless signature is refused, and what to do about it.

use sigstore_verify::{Error as Library, TimestampError};

/// Why a keyless signature is refused. Every variant is a refusal; none means "skipped".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeylessError {
    /// More than is read.
    #[error("{what}: more than the limit of {limit}")]
    TooLarge {
        /// What is too large or too many.
        what: &'static str,
        /// Bytes, or how many.
        limit: usize,
    },
    /// Not the expected JSON.
    #[error("parsing {what}: {source}")]
    Json {
        /// What was parsed.
        what: &'static str,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// JSON that is not a bundle, an entry, a certificate or a time stamp.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A trusted root that is not one, or has too little in it.
    #[error("the trusted root cannot be used: {0}")]
    TrustedRoot(String),
    /// A PEM file of a service that has something else in it.
    #[error("the PEM file of {service} cannot be used: {why}")]
    Pem {
        /// Whose keys or certificates it should have.
        service: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A version of the bundle format that csign does not know.
    #[error("the bundle's media type is {0:?}; known are the versions 0.1, 0.2 and 0.3")]
    MediaType(String),
    /// A plain key, or a hint to one, where a certificate belongs.
    #[error("{0} holds a public key, not a certificate: anyone can make a key, only a certificate names who signed")]
    PublicKey(&'static str),
    /// Neither certificate nor chain.
    #[error("no certificate in {0}")]
    NoCertificate(&'static str),
    /// Several certificates, contents or signatures where one is verified.
    #[error("{what}: {found} found; exactly one is accepted")]
    NotOne {
        /// What there should be one of.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The payload type is part of what is signed; only in-toto statements are read.
    #[error("the envelope's payload type is {0:?}, not \"application/vnd.in-toto+json\"")]
    PayloadType(String),
    /// No entry of a transparency log, or an entry without proof.
    #[error("{0}")]
    NoLogEntry(&'static str),
    /// Nothing says when the signature was made.
    #[error("no trusted time of signing: {0}")]
    NoTime(String),
    /// The certificate is refused: its chain, validity, usage or SCT.
    #[error("the certificate is refused: {0}")]
    Certificate(String),
    /// The log entry is refused: unknown log, proof, checkpoint, promise, or it is about something else.
    #[error("the log entry is refused: {0}")]
    Log(String),
    /// The RFC 3161 time stamp is refused.
    #[error("the time stamp is refused: {0}")]
    TimeStamp(String),
    /// A time of signing that lies ahead of us.
    #[error("signed at {signed}, which is after now ({now}; both in seconds since 1970)")]
    Future {
        /// The time of signing, in seconds since 1970.
        signed: i64,
        /// The caller's time, in seconds since 1970.
        now: i64,
    },
    /// The certificate's key did not sign this.
    #[error("the certificate's key did not make this signature: {0}")]
    Signature(String),
    /// Signed, but about something else.
    #[error("the signature is about something else: {0}")]
    Artifact(String),
    /// An algorithm or kind of entry that csign does not verify.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The certificate does not say who signed.
    #[error("the certificate names no signer: {0}")]
    NoIdentity(&'static str),
    /// Signed by somebody else.
    #[error("signed by {got:?}; wanted is {want}")]
    Identity {
        /// The policy.
        want: String,
        /// The certificate's subject.
        got: String,
    },
    /// Vouched for by somebody else.
    #[error("the signer's identity was vouched for by {got:?}; wanted is {want}")]
    Issuer {
        /// The policy.
        want: String,
        /// The certificate's OIDC issuer.
        got: String,
    },
    /// An empty identity, or a regular expression that is none.
    #[error("{what}: {why}")]
    Policy {
        /// Which part of the policy.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl KeylessError {
    /// What to do about it, where that is known.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TrustedRoot(_) => Some(
                "--trusted-root takes a sigstore trusted_root.json: \"cosign trusted-root create\" writes one for your \
                 own services, the TUF repository of the public ones has theirs",
            ),
            Self::Pem { .. } => Some(
                "SIGSTORE_ROOT_FILE has the certificates of Fulcio's authorities, SIGSTORE_REKOR_PUBLIC_KEY and \
                 SIGSTORE_CT_LOG_PUBLIC_KEY_FILE one key each, SIGSTORE_TSA_CERTIFICATE_FILE a chain with the root last; \
                 --trusted-root takes what these cannot say, such as several logs",
            ),
            Self::PublicKey(_) => Some("a signature with a plain key is verified with --key"),
            Self::NoLogEntry(_) => {
                Some("sign again with the transparency log; csign never accepts a signature unlogged")
            }
            Self::NoTime(_) => Some("sign again with a time stamp authority, or with a log that promises inclusion"),
            Self::Log(_) | Self::TimeStamp(_) | Self::Certificate(_) => {
                Some("if the signature comes from other services, --trusted-root must be the file of those services")
            }
            Self::Identity { .. } | Self::Issuer { .. } => Some(
                "--certificate-identity and --certificate-oidc-issuer must both be the signer's, letter for letter",
            ),
            _ => None,
        }
    }

    pub(crate) fn malformed(what: &'static str, why: impl ToString) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }
}

impl From<Library> for KeylessError {
    fn from(error: Library) -> Self {
        let text = error.to_string();
        match error {
            Library::SignatureInvalid(_) => Self::Signature(text),
            Library::ArtifactMismatch(_) => Self::Artifact(text),
            Library::UnsupportedArtifact(_) | Library::UnsupportedBundle(_) => Self::Unsupported(text),
            Library::Certificate(_) => Self::Certificate(text),
            Library::TransparencyLog(_) => Self::Log(text),
            Library::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => Self::NoTime(text),
            Library::Timestamp(_) => Self::TimeStamp(text),
            Library::InvalidTrustRoot(_) | Library::TrustRoot(_) | Library::TrustedCertificate(_) => {
                Self::TrustedRoot(text)
            }
            _ => Self::malformed("the bundle", text),
        }
    }
}
