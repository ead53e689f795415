//! What was found out about the signatures of an image, and the verdict over it.

use csign_envelope::{KeyId, statement::StatementError};
use csign_oci::{Digest, Pinned};
use serde::Serialize;

use crate::{
    Refused, Verified,
    report::{Verdict, printable},
};

/// Where a signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A layer of the `.sig` tag.
    Registry,
    /// A sigstore bundle among the image's referrers.
    Bundle,
    /// A layer of the `.att` tag.
    Attestation,
    /// The attestation token's `image_signatures`.
    Token,
}

/// How one party stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum PartyStatus {
    /// Signed this very image with the key on the roster.
    Signed {
        /// Where the signature was found.
        source: Source,
    },
    /// Everything was read, and there is no signature under this key.
    Missing,
    /// No signature under this key was found, but not everything could be read.
    Unchecked,
    /// Signed, but another image.
    WrongDigest {
        /// The image that the party did sign.
        signed: String,
    },
    /// Signed this digest, but in another repository.
    WrongRepository {
        /// The repository that the party named.
        signed: String,
    },
    /// A signature by this key over something that is no signature payload.
    WrongPayload {
        /// What is wrong with it.
        problem: String,
    },
    /// A payload or a bundle that names this party's key, whose signature does not verify.
    BadSignature,
    /// Signed this very image, but one of two sources that must agree does not show it.
    OneSource {
        /// The source without it.
        missing: Source,
    },
    /// An attestation of the type that was asked for, which a policy refuses.
    PolicyRefused {
        /// What the policies say, one line each.
        reasons: Vec<String>,
    },
}

/// One party and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyRow {
    /// The party's name.
    pub party: String,
    /// Its key's id; `None` for one that signs with certificates.
    pub key_id: Option<KeyId>,
    /// Whose certificates count as its own; `None` for one that signs with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How it stands.
    #[serde(flatten)]
    pub status: PartyStatus,
}

impl PartyRow {
    /// The key id, or the identity where there is no key.
    pub fn credential(&self) -> String {
        match (&self.key_id, &self.identity) {
            (Some(id), _) => id.to_string(),
            (None, identity) => identity.clone().unwrap_or_default(),
        }
    }
}

/// A signature that belongs to nobody on the roster. It changes nothing; anyone can add one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// Digest of its payload or bundle.
    pub payload: Digest,
    /// What is known about it.
    pub problem: String,
}

/// Everything that was found out about an image's signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageReport {
    /// The image.
    pub image: Pinned,
    /// How many parties must have signed.
    pub required: usize,
    /// Every party, in the roster's order.
    pub parties: Vec<PartyRow>,
    /// Signatures by keys that are not on the roster.
    pub unknown: Vec<Stray>,
    /// Sources or signatures that could not be read, with the reason.
    pub unchecked: Vec<String>,
}

impl ImageReport {
    /// How many parties signed.
    pub fn signed(&self) -> usize {
        self.parties.iter().filter(|row| matches!(row.status, PartyStatus::Signed { .. })).count()
    }

    /// Enough signatures verify; what could not be read does not matter then. Otherwise something unread means that it
    /// could not be checked.
    pub fn verdict(&self) -> Verdict {
        if self.required > 0 && self.signed() >= self.required {
            Verdict::Verified
        } else if self.unchecked.is_empty() {
            Verdict::Rejected
        } else {
            Verdict::CouldNotCheck
        }
    }

    /// The image, if enough parties signed it.
    ///
    /// # Errors
    /// The report itself, with its verdict.
    pub fn into_verified(self) -> Result<Verified<Pinned>, Box<Refused<Self>>> {
        match self.verdict() {
            Verdict::Verified => Ok(Verified::new(self.image)),
            verdict => Err(Box::new(Refused { verdict, report: self })),
        }
    }
}

impl PartyStatus {
    /// How a party stands whose statement is not about the image.
    pub(crate) fn of_statement_error(error: StatementError) -> Self {
        match error {
            StatementError::Subject { got: Some(hex), .. } => {
                Self::WrongDigest { signed: format!("sha256:{}", printable(&hex, 64)) }
            }
            StatementError::Repository { got } => Self::WrongRepository { signed: printable(&got, 200) },
            other => Self::WrongPayload { problem: printable(&other.to_string(), 200) },
        }
    }

    /// The word in tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Signed { .. } => "signed",
            Self::Missing => "MISSING",
            Self::Unchecked => "UNCHECKED",
            Self::WrongDigest { .. } => "WRONG DIGEST",
            Self::WrongRepository { .. } => "WRONG REPOSITORY",
            Self::WrongPayload { .. } => "WRONG PAYLOAD",
            Self::BadSignature => "BAD SIGNATURE",
            Self::OneSource { .. } => "ONE SOURCE",
            Self::PolicyRefused { .. } => "REFUSED",
        }
    }

    /// What a person should know beside the word.
    pub fn detail(&self) -> String {
        match self {
            Self::Signed { source: Source::Registry } => "signature in the registry".to_owned(),
            Self::Signed { source: Source::Bundle } => "signed bundle among the referrers".to_owned(),
            Self::Signed { source: Source::Attestation } => "signed envelope under the attestation tag".to_owned(),
            Self::Signed { source: Source::Token } => "signature in the attestation token".to_owned(),
            Self::Missing => "no signature under this key".to_owned(),
            Self::Unchecked => "no signature was found, but not everything could be read".to_owned(),
            Self::WrongDigest { signed } => format!("signed {signed} instead"),
            Self::WrongRepository { signed } => {
                format!("signed this digest as {signed}; --signed-as accepts that name")
            }
            Self::OneSource { missing: Source::Token } => {
                "signed in the registry, but the attestation token does not show it; both must".to_owned()
            }
            Self::OneSource { .. } => {
                "signed in the attestation token, but the registry does not show it; both must".to_owned()
            }
            Self::PolicyRefused { reasons } => reasons.join("; "),
            Self::WrongPayload { problem } => problem.clone(),
            Self::BadSignature => "a payload or bundle names this key, but the signature does not verify".to_owned(),
        }
    }
}
