//! What can go wrong between csign and a registry, and what to do about it.

use std::{fmt, io, path::PathBuf, time::Duration};

use csign_envelope::sig_image::SigImageError;
use csign_oci::{Digest, OciError, Pinned};

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be read from, or written to, a registry. `doing` says what was being done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error("{doing}: cannot reach {host}: {}", Causes(source))]
    Unreachable {
        /// What was being done.
        doing: String,
        /// Which host.
        host: String,
        /// The transport's reason.
        source: reqwest::Error,
    },
    /// A connection whose certificate is not trusted.
    #[error("{doing}: the certificate of {host} is not trusted: {}", Causes(source))]
    Certificate {
        /// What was being done.
        doing: String,
        /// Which host.
        host: String,
        /// The transport's reason.
        source: reqwest::Error,
    },
    /// The connection broke, or nothing came for too long, before the answer was complete.
    #[error("{doing}: the answer of {host} broke off: {}", Causes(source))]
    Interrupted {
        /// What was being done.
        doing: String,
        /// Which host.
        host: String,
        /// The transport's reason.
        source: reqwest::Error,
    },
    /// 401, or no way to answer the registry's challenge.
    #[error("{doing}: {host} requires other credentials (401): {why}")]
    Unauthorized {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// What was missing or refused.
        why: String,
    },
    /// 403.
    #[error("{doing}: {host} forbids it (403): {message}")]
    Forbidden {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// The registry's words.
        message: String,
    },
    /// The registry says that it does not have it.
    #[error("{doing}: not found: {message}")]
    NotFound {
        /// What was being done.
        doing: String,
        /// The registry's words.
        message: String,
    },
    /// 429, still so after all tries.
    #[error("{doing}: {host} asks for fewer requests (429)")]
    TooManyRequests {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// 5xx, still so after all tries.
    #[error("{doing}: {host} failed ({status}): {message}")]
    Server {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// The status.
        status: u16,
        /// The registry's words.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// Another status than the specification allows here.
    #[error("{doing}: {host} answered {status}: {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// The status.
        status: u16,
        /// The registry's words.
        message: String,
    },
    /// 405: the registry does not delete, or not by tag.
    #[error("{doing}: {host} does not allow it (405)")]
    Undeletable {
        /// What was being done.
        doing: String,
        /// The registry.
        host: String,
    },
    /// Content or a header with another digest.
    #[error("{doing}: the digest is {got}, it must be {want}")]
    DigestMismatch {
        /// What was being done.
        doing: String,
        /// The digest asked for.
        want: Digest,
        /// The digest found.
        got: Digest,
    },
    /// Content of another size than its descriptor says.
    #[error("{doing}: at least {got} bytes came, the descriptor says {want}")]
    SizeMismatch {
        /// What was being done.
        doing: String,
        /// Size in the descriptor, in bytes.
        want: u64,
        /// Size found, as far as it was read, in bytes.
        got: u64,
    },
    /// A manifest that refers to another image, or to none.
    #[error("{doing}: it refers to {}, not to {want}", got.map_or("nothing".to_owned(), |got| got.to_string()))]
    WrongSubject {
        /// What was being done.
        doing: String,
        /// The image's digest.
        want: Digest,
        /// The digest of its subject.
        got: Option<Digest>,
    },
    /// A referrer that was pushed and that the registry's listing does not show.
    #[error("{doing}: {host} took {digest} and does not list it")]
    Unlisted {
        /// What was being done.
        doing: String,
        /// The referrer.
        digest: Digest,
        /// The registry.
        host: String,
    },
    /// More than a limit allows.
    #[error("{doing}: more than the limit of {limit} {unit}")]
    TooLarge {
        /// What was being done.
        doing: String,
        /// The limit.
        limit: u64,
        /// What the limit counts.
        unit: &'static str,
    },
    /// An answer that the specification does not allow.
    #[error("{doing}: {host} sent {why}")]
    Malformed {
        /// What was being done.
        doing: String,
        /// The registry or its token service.
        host: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// A redirect, token realm or upload location to which nothing may be sent.
    #[error("{doing}: {from} refers to {to:?}, {why}")]
    Insecure {
        /// What was being done.
        doing: String,
        /// Who refers there.
        from: String,
        /// Where to.
        to: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// A name that exists only while a simulator runs.
    #[error("{host} is a name of the simulator, whose address was not given")]
    NoSimulator {
        /// The name.
        host: String,
    },
    /// The credential source failed.
    #[error("reading the credentials for {host}: {why}")]
    Credentials {
        /// The registry.
        host: String,
        /// What failed, without any secret.
        why: String,
    },
    /// The client cannot be set up as asked.
    #[error("setting up the registry client: {0}")]
    Setup(String),
    /// The file system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A layout is damaged or could not be written.
    #[error(transparent)]
    Layout(#[from] OciError),
    /// The `.sig` tag holds something that cannot be extended without losing it.
    #[error("reading the signatures of {image}: {source}")]
    SigImage {
        /// The image.
        image: Pinned,
        /// What is wrong.
        source: SigImageError,
    },
    /// A signature that cannot stand in an annotation.
    #[error("the signature of key {key_id} is not standard base64 without white space")]
    BadSignature {
        /// The key.
        key_id: String,
    },
    /// More under one tag than anyone reads.
    #[error("{image} would have {count} of them under one tag; no more than {limit} are read")]
    TooManySignatures {
        /// The image.
        image: Pinned,
        /// How many there would be.
        count: usize,
        /// How many there may be: 300 signatures (Confidential Space reads no more), 1000 attestations.
        limit: usize,
    },
    /// After all rounds a tag that others write too still lacks entries.
    #[error("after {rounds} rounds the tag that lists them for {image} still lacks {entries} {}", missing.join(", "))]
    Incomplete {
        /// The image.
        image: Box<Pinned>,
        /// What the tag lists.
        entries: &'static str,
        /// Key ids, or what is known of the signer; digests of referrers.
        missing: Vec<String>,
        /// Rounds made.
        rounds: u32,
    },
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "check the host name, the network and any proxy; then repeat the command",
            Self::Certificate { .. } => "if the registry has a certificate authority of its own, name its CA file",
            Self::Interrupted { .. } => {
                "repeat the command; if it happens again, look at proxies between here and there"
            }
            Self::Unauthorized { .. } => "log in to the registry (docker login, or Google credentials) and repeat",
            Self::Forbidden { .. } => "ask the registry's owner for the right to do this on the repository",
            Self::NotFound { .. } => "check repository and digest; was the image pushed there?",
            Self::TooManyRequests { .. } => "wait, then repeat the command",
            Self::Server { .. } => "the registry has a fault of its own; repeat later",
            Self::Refused { .. } => "the registry does not accept this request; its own log may say more",
            Self::Undeletable { .. } => "deleting must be enabled in the registry; some allow it by digest only",
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "the content is damaged or was replaced: do not use it, and ask who runs the registry"
            }
            Self::WrongSubject { .. } => "the registry lists what does not belong to the image; it counts for nothing",
            Self::Unlisted { .. } => "wait, then repeat the command; if it happens again, ask who runs the registry",
            Self::TooLarge { .. } => "no honest content of this kind is so large; look at what the repository holds",
            Self::Malformed { .. } => {
                "check that the host really is an OCI registry and not, say, a proxy's login page"
            }
            Self::Insecure { .. } => {
                "csign sends nothing there; the registry's configuration must change. It may refer to https (to http only \
                 on the loopback interface), to private and loopback addresses only if its own address is such a one, and \
                 to link-local and metadata addresses never"
            }
            Self::NoSimulator { .. } => "start the simulator and set CSIGN_SIMULATOR to the address that it prints",
            Self::Credentials { .. } => "check Docker's config.json and its credential helper, or log in again",
            Self::Setup(_) => "correct the option or file that is named",
            Self::Io { .. } | Self::Layout(_) => "check the path, its permissions and the free space",
            Self::SigImage { .. } => "something else was pushed under the signature tag; move it away, then repeat",
            Self::BadSignature { .. } => "remove white space and line ends from the signature, or sign again",
            Self::TooManySignatures { .. } => "remove what nobody needs from the repository (csign clean), then repeat",
            Self::Incomplete { .. } => {
                "other writers are still at work: wait, then repeat the command, or run csign attach --repair"
            }
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::TooManyRequests { .. } => true,
            Self::Server { status, .. } => matches!(status, 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

/// The causes of a transport error in one line, without the address, which may carry a signed query.
struct Causes<'a>(&'a reqwest::Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_timeout() {
            return f.write_str("no answer in time");
        }
        let mut deepest: &dyn std::error::Error = self.0;
        while let Some(cause) = deepest.source() {
            deepest = cause;
        }
        // Without a cause the text is reqwest's own, and names the address.
        if deepest.source().is_none() && std::ptr::addr_eq(deepest, self.0) {
            return f.write_str("the request failed");
        }
        write!(f, "{deepest}")
    }
}

/// Foreign text, short and on one line, for an error message.
pub(crate) fn quote(text: &str) -> String {
    let one_line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if one_line.is_empty() { "no reason given".to_owned() } else { one_line }
}
