//! What a token is asked for, and what the attestation service does not grant.

/// What a token is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// `aud`; at most 512 bytes.
    pub audience: String,
    /// `eat_nonce`: at most 6, each of 10 to 74 bytes.
    pub nonces: Vec<String>,
}

/// Kinds of tokens (`token_type` of the launcher's `POST /v1/token`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// Verified with the issuer's published keys.
    #[default]
    Oidc,
    /// Verified with the certificate chain that it brings.
    Pki,
    /// For AWS's web identity federation: few claims, since AWS reads few.
    LimitedAws,
    /// The same with AWS session tags. With key ids, the tags name those of them that signed instead of the digest.
    AwsPrincipalTags {
        /// Key ids in lowercase hex; empty asks for the digest.
        key_ids: Vec<String>,
    },
}

impl TokenOptions {
    /// Why the attestation service would not grant this.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.audience.is_empty() || self.audience.len() > 512 {
            return Some(format!("audience must have 1 to 512 bytes, has {}", self.audience.len()));
        }
        if self.nonces.len() > 6 {
            return Some(format!("at most 6 nonces are allowed, got {}", self.nonces.len()));
        }
        let bad = self.nonces.iter().find(|nonce| !(10..=74).contains(&nonce.len()))?;
        Some(format!("a nonce must have 10 to 74 bytes, got one of {}", bad.len()))
    }
}
