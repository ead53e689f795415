//! Why issuer keys or a token are refused.

use crate::pki::RootPin;

/// A token that is not trusted. Every variant is a refusal; none means "could not check".
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// More bytes than [`crate::Limits::token_bytes`].
    #[error("the token has {got} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
        /// Size of the token in bytes.
        got: usize,
    },
    /// Not `header.payload.signature` in base64url without padding (RFC 7515, section 7.1).
    #[error("the token is not a compact JWS: {0}")]
    Compact(&'static str),
    /// Header or payload is not one JSON object without duplicate members.
    #[error("parsing the token's {part}: {source}")]
    Json {
        /// `header` or `payload`.
        part: &'static str,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// Another algorithm than RS256, or none.
    #[error("the token's algorithm is {0:?}; only RS256 is accepted")]
    Algorithm(String),
    /// The header tries to bring its own key, or changes what is signed.
    #[error("the token's header has the member {0:?}, which is not accepted in a token of this kind")]
    HeaderMember(&'static str),
    /// The token was to be a PKI token and brings no certificates.
    #[error("the token's header has no certificate chain (\"x5c\"): it is not a PKI token")]
    NoChain,
    /// The certificates of a PKI token are malformed, too large, or not in the form that the service writes.
    #[error("the token's certificate chain is refused: {0}")]
    Chain(&'static str),
    /// The chain ends in a root that nobody pinned.
    #[error("the token's certificate chain ends in the root with sha256 {0}, which is not a pinned one")]
    UnknownRoot(RootPin),
    /// The chain does not lead from the leaf to the root.
    #[error("the token's certificate chain does not verify: {0}")]
    Certificate(String),
    /// The header names no key.
    #[error("the token's header names no key (\"kid\")")]
    NoKeyId,
    /// The header names a key that the issuer does not publish, or that the contract does not pin.
    #[error("the token names the key {0:?}, which is not among the issuer's accepted keys")]
    UnknownKey(String),
    /// The signature does not verify under the key that the header names.
    #[error("the token's signature does not verify")]
    Signature,
    /// A claim that is required is absent.
    #[error("the token has no claim {0:?}")]
    Missing(&'static str),
    /// A claim is there and not of the form that it must have.
    #[error("the token's claim {claim:?} is not {want}")]
    Form {
        /// Which claim.
        claim: &'static str,
        /// What it must be.
        want: &'static str,
    },
    /// A claim has another value than expected.
    #[error("the token's {claim:?} is {got:?}, expected {want:?}")]
    Mismatch {
        /// Which claim.
        claim: &'static str,
        /// The value expected.
        want: String,
        /// The value found.
        got: String,
    },
    /// Times are Unix seconds.
    #[error("the token expired at {exp}; it is {now} now")]
    Expired {
        /// Claim `exp`.
        exp: u64,
        /// The caller's time.
        now: u64,
    },
    /// `nbf` or `iat` lies in the future.
    #[error("the token's {claim:?} is {at}, in the future; it is {now} now")]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Its value.
        at: u64,
        /// The caller's time.
        now: u64,
    },
    /// `exp` is not after `iat`, or more than [`crate::Limits::lifetime_seconds`] after it.
    #[error("the token lives from {iat} to {exp}: it must be more than 0 and at most {limit} seconds")]
    Lifetime {
        /// Claim `iat`.
        iat: u64,
        /// Claim `exp`.
        exp: u64,
        /// The limit in seconds.
        limit: u64,
    },
}

impl TokenError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownKey(_) => Some("issuer keys rotate: fetch them again; a simulated issuer must be pinned"),
            Self::UnknownRoot(_) => Some("pin the root of the issuer that the contract names"),
            Self::HeaderMember("x5c") => Some("this is a PKI token; an OIDC token is expected"),
            Self::NoChain | Self::HeaderMember("kid") => Some("this is an OIDC token; a PKI token is expected"),
            Self::Expired { .. } | Self::NotYetValid { .. } => Some("compare this machine's clock with the issuer's"),
            Self::Missing("submods.container") => Some("the token was not made for a Confidential Space workload"),
            _ => None,
        }
    }
}

/// A key set or discovery document that is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// More bytes or keys than the limit.
    #[error("the issuer's {what} is larger than the limit of {limit}")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// The limit in bytes, or in keys for the key count.
        limit: usize,
    },
    /// Not the expected JSON, or a duplicate member.
    #[error("parsing the issuer's {what}: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// Two keys with one name: which one signs would be the reader's guess.
    #[error("the issuer's key set has two keys named {0:?}")]
    DuplicateKeyId(String),
    /// An RSA key that is malformed or weak.
    #[error("the issuer's key {kid:?} is refused: {why}")]
    Key {
        /// Its name.
        kid: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing to verify with.
    #[error("the issuer's key set has no RSA signature key")]
    NoKey,
    /// The issuer offers keys, and none of them is pinned.
    #[error("none of the issuer's {0} keys is pinned by the contract")]
    NonePinned(usize),
    /// The document is another issuer's.
    #[error("the discovery document is of issuer {got:?}, expected {want:?}")]
    Issuer {
        /// The issuer expected.
        want: String,
        /// The issuer found.
        got: String,
    },
}
