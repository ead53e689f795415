//! Sigstore bundles v0.3 that hold a DSSE envelope signed with a plain key.

use csign_oci::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{dsse::Envelope, key::PublicKey};

/// What the media types of all bundle versions begin with; readers of cosign take a layer of any of them.
pub const MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation of a bundle's referrer that says what is in it; [`CONTENT_DSSE`].
pub const CONTENT_ANNOTATION: &str = "dev.sigstore.bundle.content";
/// The content is a DSSE envelope.
pub const CONTENT_DSSE: &str = "dsse-envelope";
/// Annotation of a bundle's referrer with the predicate type. Anyone can write it: it tells what to look at, never what is
/// true.
pub const PREDICATE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";
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
    /// A certificate signed it, not a plain key. Whoever can check certificates takes the whole bundle.
    #[error("the bundle is signed with a certificate, not with a plain key")]
    Certificate,
    /// A key and a certificate: which of them is meant is anyone's choice.
    #[error("the bundle names a public key and a certificate; exactly one may be there")]
    Ambiguous,
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
    /// [`BundleError::Certificate`] for a bundle of any version that a certificate signed; else malformed JSON, duplicate
    /// members, another version, no key hint or no envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let value = json::value_from_slice(bytes)?;
        let material = &value["verificationMaterial"];
        let has = |name: &str| material.get(name).is_some_and(|member| !member.is_null());
        match (has("publicKey"), has("certificate") || has("x509CertificateChain")) {
            (true, true) => return Err(BundleError::Ambiguous),
            (false, true) => return Err(BundleError::Certificate),
            _ => {}
        }
        let bundle: Self = serde_json::from_value(value)?;
        let known = bundle.media_type == MEDIA_TYPE;
        if known { Ok(bundle) } else { Err(BundleError::MediaType(bundle.media_type.chars().take(120).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_from_a_key_and_both_are_refused() {
        let bundle = |material: &str| {
            let text = format!(
                r#"{{"mediaType":"{MEDIA_TYPE}","verificationMaterial":{{{material}}},"dsseEnvelope":{{"payload":"","payloadType":"","signatures":[]}}}}"#
            );
            Bundle::parse(text.as_bytes())
        };
        let (key, certificate) = (r#""publicKey":{"hint":"x"}"#, r#""certificate":{"rawBytes":"AA=="}"#);
        assert_eq!(bundle(key).expect("key").verification_material.public_key.hint, "x");
        assert!(matches!(bundle(certificate), Err(BundleError::Certificate)));
        assert!(matches!(bundle(&format!("{key},{certificate}")), Err(BundleError::Ambiguous)));
        assert!(matches!(bundle(""), Err(BundleError::Json(_))));
        let other = format!(
            r#"{{"mediaType":"x","verificationMaterial":{{{key}}},"dsseEnvelope":{{"payload":"","payloadType":"","signatures":[]}}}}"#
        );
        assert!(matches!(Bundle::parse(other.as_bytes()), Err(BundleError::MediaType(_))));
    }
}
