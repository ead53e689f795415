//! Signature algorithms. Curve, padding and hash belong together: the hash is stated, never guessed from the key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An algorithm that csign verifies. The three that Confidential Space knows have its names (`sigalg` annotation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// ECDSA over P-256 with SHA-256, ASN.1 DER signatures.
    #[serde(rename = "ECDSA_P256_SHA256")]
    EcdsaP256Sha256,
    /// ECDSA over P-384 with SHA-384, ASN.1 DER signatures.
    #[serde(rename = "ECDSA_P384_SHA384")]
    EcdsaP384Sha384,
    /// ECDSA over P-384 with SHA-256: what cosign verifies such a key with unless told otherwise.
    #[serde(rename = "ECDSA_P384_SHA256")]
    EcdsaP384Sha256,
    /// Ed25519 over the message itself (RFC 8032, 5.1).
    #[serde(rename = "ED25519")]
    Ed25519,
    /// Ed25519ph: over the message's SHA-512 (RFC 8032, 5.1), empty context.
    #[serde(rename = "ED25519_PH")]
    Ed25519Ph,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2).
    #[serde(rename = "RSASSA_PKCS1V15_SHA256")]
    RsaPkcs1v15Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RSASSA_PKCS1V15_SHA512")]
    RsaPkcs1v15Sha512,
    /// RSASSA-PSS with SHA-256 and a salt of any length (RFC 8017, 8.1).
    #[serde(rename = "RSASSA_PSS_SHA256")]
    RsaPssSha256,
    /// RSASSA-PSS with SHA-512 and a salt of any length.
    #[serde(rename = "RSASSA_PSS_SHA512")]
    RsaPssSha512,
}

/// A name that is none of [`SignatureAlgorithm::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signature algorithm; known are {known}", known = known())]
pub struct UnknownAlgorithm(String);

fn known() -> String {
    SignatureAlgorithm::ALL.map(SignatureAlgorithm::name).join(", ")
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP384Sha256,
        Self::Ed25519,
        Self::Ed25519Ph,
        Self::RsaPkcs1v15Sha256,
        Self::RsaPkcs1v15Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha512,
    ];

    /// The name in contracts, in output, in the `sigalg` annotation and in the token's `signature_algorithm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ECDSA_P256_SHA256",
            Self::EcdsaP384Sha384 => "ECDSA_P384_SHA384",
            Self::EcdsaP384Sha256 => "ECDSA_P384_SHA256",
            Self::Ed25519 => "ED25519",
            Self::Ed25519Ph => "ED25519_PH",
            Self::RsaPkcs1v15Sha256 => "RSASSA_PKCS1V15_SHA256",
            Self::RsaPkcs1v15Sha512 => "RSASSA_PKCS1V15_SHA512",
            Self::RsaPssSha256 => "RSASSA_PSS_SHA256",
            Self::RsaPssSha512 => "RSASSA_PSS_SHA512",
        }
    }

    /// Does Confidential Space's attestation service read signatures of this algorithm? It ignores all others.
    pub const fn is_read_by_confidential_space(self) -> bool {
        matches!(self, Self::EcdsaP256Sha256 | Self::RsaPkcs1v15Sha256 | Self::RsaPssSha256)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| UnknownAlgorithm(text.chars().take(40).collect()))
    }
}
