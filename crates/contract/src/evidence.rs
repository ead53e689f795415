//! What the boot must see before the workload starts: which tokens, whose signatures from where, and what attestations
//! must say.

use csign_envelope::PredicateType;
use serde::{Deserialize, Serialize};

use crate::Threshold;

/// Where the parties' signatures must be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sources {
    /// In the attestation token or in the registry: a signature counts wherever it is.
    #[default]
    Any,
    /// In the attestation token; the registry is not asked.
    Token,
    /// In the registry, `.sig` tag and bundles; what the token repeats does not count.
    Registry,
    /// In both: a party has signed only if the token and the registry each show its signature.
    Both,
}

impl Sources {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The word in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Token => "token",
            Self::Registry => "registry",
            Self::Both => "both",
        }
    }
}

/// `[attestation]`: how the workload proves where it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Which tokens the boot verifies.
    #[serde(default)]
    pub token: TokenKind,
}

impl Attestation {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds of attestation tokens that the boot verifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Signed with a key that the issuer publishes; needs the issuer's key set at boot.
    #[default]
    Oidc,
    /// Signed with a key that a certificate chain in the token leads to a pinned root; needs no network.
    Pki,
    /// One of each, about the same container on the same machine.
    Both,
}

impl TokenKind {
    /// Is a token with a certificate chain verified?
    pub const fn wants_pki(self) -> bool {
        matches!(self, Self::Pki | Self::Both)
    }

    /// Is a token under the issuer's published keys verified?
    pub const fn wants_oidc(self) -> bool {
        matches!(self, Self::Oidc | Self::Both)
    }
}

/// `[[policy]]`: what the parties' attestations about the image must say. The text stands in the contract itself, so the
/// contract's digest, and with it the image's, covers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// A name for reports: lowercase letters, digits and `-`; unique.
    pub name: String,
    /// The type of the attestations: a name that cosign users know (`slsaprovenance1`, …) or a URI.
    pub predicate_type: String,
    /// Rego. The answer to `data.signature.allow` must be `true` for every attestation of the type.
    pub rego: String,
    /// How `rego` is read.
    #[serde(default, skip_serializing_if = "RegoVersion::is_default")]
    pub rego_version: RegoVersion,
    /// How many parties must have attested; absent: as many as must sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

impl PolicyRule {
    /// The predicate type. `None` only for a contract that was not validated.
    pub fn predicate(&self) -> Option<PredicateType> {
        self.predicate_type.parse().ok()
    }
}

/// Versions of Rego.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegoVersion {
    /// v0, or v1 if the text says `import rego.v1`: as cosign reads policies.
    #[default]
    Auto,
    /// Rego v0.
    V0,
    /// Rego v1.
    V1,
}

impl RegoVersion {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
