//! Sigstore bundles v0.3 that hold a DSSE envelope signed with a plain key.

use csign_oci::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{dsse::Envelope, key::PublicKey};

/// Media type of the bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// [`MEDIA_TYPE`].
    pub media_type: String,
    /// How to find the key.
    pub verification_material: VerificationMaterial,
    /// What was signed.
    pub dsse_envelope: Envelope,
}

/// Names the key; log entries and time stamps, if any, are kept and not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationMaterial {
    /// The key that signed.
    pub public_key: KeyHint,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// base64 of the sha256 of the key's SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyHint {
    /// See [`PublicKey::bundle_hint`].
    pub hint: String,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not the expected JSON.
    #[error("parsing the sigstore bundle: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("the bundle's media type is {0:?}, not {MEDIA_TYPE:?}")]
    MediaType(String),
}

impl Bundle {
    /// The bundle of an envelope that `key` signed.
    pub fn new(envelope: Envelope, key: &PublicKey) -> Self {
        Self {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: VerificationMaterial {
                public_key: KeyHint { hint: key.bundle_hint() },
                extra: Map::new(),
            },
            dsse_envelope: envelope,
        }
    }

    /// Parses a bundle.
    ///
    /// # Errors
    /// Malformed JSON, duplicate members, another version, no key hint or no envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle: Self = json::from_slice(bytes)?;
        if bundle.media_type == MEDIA_TYPE { Ok(bundle) } else { Err(BundleError::MediaType(bundle.media_type)) }
    }
}
