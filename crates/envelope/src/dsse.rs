//! DSSE envelopes (Dead Simple Signing Envelope, protocol.md) with exactly one signature.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use csign_oci::json;
use serde::{Deserialize, Serialize};

use crate::key::PublicKey;

/// Media type of an envelope, for instance as a layer under `.att`.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// An envelope. Payload and signature are base64 with padding; csign writes the standard alphabet and reads both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// base64 of the signed bytes.
    pub payload: String,
    /// What the payload is; part of what is signed.
    pub payload_type: String,
    /// The signatures; csign accepts exactly one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// base64 of the signature over [`pae`].
    pub sig: String,
    /// A hint that nothing relies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
}

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the expected JSON.
    #[error("parsing the DSSE envelope: {0}")]
    Json(#[from] serde_json::Error),
    /// base64 that does not decode.
    #[error("the envelope's {0} is not base64")]
    Base64(&'static str),
    /// None or several signatures.
    #[error("the envelope has {0} signatures; exactly one is accepted")]
    Signatures(usize),
    /// The payload type is part of what is signed; only [`IN_TOTO`] is read.
    #[error("the envelope's payload type is {0:?}, not {IN_TOTO:?}")]
    PayloadType(String),
    /// Not signed by this key.
    #[error("the envelope's signature does not verify under key {0}")]
    Signature(String),
}

/// The bytes that are signed: pre-authentication encoding of DSSE v1.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Wraps `payload` and its signature (raw bytes, over [`pae`]).
    pub fn new(payload_type: &str, payload: &[u8], signature: &[u8]) -> Self {
        Self {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature { sig: BASE64_STANDARD.encode(signature), keyid: None }],
        }
    }

    /// Parses an envelope.
    ///
    /// # Errors
    /// Malformed JSON or duplicate members.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(json::from_slice(bytes)?)
    }

    /// The payload, after its one signature verified under `key` as an in-toto payload.
    ///
    /// # Errors
    /// Another payload type, none or several signatures, base64 that does not decode, a signature that does not verify.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != IN_TOTO {
            return Err(EnvelopeError::PayloadType(self.payload_type.chars().take(80).collect()));
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(self.signatures.len()));
        };
        let payload = decode(&self.payload).ok_or(EnvelopeError::Base64("payload"))?;
        let signature = decode(&signature.sig).ok_or(EnvelopeError::Base64("signature"))?;
        if key.verify(&pae(&self.payload_type, &payload), &signature) {
            Ok(payload)
        } else {
            Err(EnvelopeError::Signature(key.id().to_string()))
        }
    }
}

/// Either alphabet, as envelope.md of the specification allows.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

    fn signed(payload_type: &str, payload: &[u8]) -> (Envelope, PublicKey) {
        let signing = SigningKey::from_slice(&[9; 32]).expect("scalar");
        let signature: Signature = signing.sign(&pae(payload_type, payload));
        let key = PublicKey::new(*signing.verifying_key()).expect("key");
        (Envelope::new(payload_type, payload, signature.to_der().as_bytes()), key)
    }

    #[test]
    fn pae_is_the_specifications_example() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn swapped_types_and_extra_signatures_are_refused() {
        let (good, key) = signed(IN_TOTO, b"{}");
        assert_eq!(good.verify(&key).expect("verifies"), b"{}");

        let (mut swapped, _) = signed("text/plain", b"{}");
        assert!(matches!(swapped.verify(&key), Err(EnvelopeError::PayloadType(_))));
        swapped.payload_type = IN_TOTO.to_owned();
        assert!(matches!(swapped.verify(&key), Err(EnvelopeError::Signature(_))));

        let mut two = good.clone();
        two.signatures.push(two.signatures[0].clone());
        assert!(matches!(two.verify(&key), Err(EnvelopeError::Signatures(2))));
        two.signatures.clear();
        assert!(matches!(two.verify(&key), Err(EnvelopeError::Signatures(0))));
    }
}
