//! A signature that was checked before it may be attached: payload, bytes and key belong together and to the image.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use csign_envelope::{PublicKey, simple_signing};
use csign_oci::{Descriptor, Digest, Pinned};
use csign_registry::SignatureLayer;
use csign_trust::exchange::Approval;

use crate::failure::Failure;

const PUB_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signature that verified.
pub(crate) struct Signature {
    payload: Vec<u8>,
    signature: Vec<u8>,
    key: PublicKey,
}

impl Signature {
    /// Checks that `payload` is about `image` and that `signature` (ASN.1 DER) over it verifies under `key`.
    pub(crate) fn new(image: &Pinned, payload: Vec<u8>, signature: Vec<u8>, key: PublicKey) -> Result<Self, Failure> {
        let parsed = simple_signing::Payload::parse(&payload).map_err(Failure::usage)?;
        let named = parsed.critical.image.docker_manifest_digest;
        if named != image.digest {
            return Err(Failure::rejected(format_args!("the payload is about {named}, not {}", image.digest)));
        }
        if !key.verify(&payload, &signature) {
            return Err(Failure::rejected(format_args!("the signature does not verify under the key {}", key.id()))
                .hint("is it the right payload file, byte for byte, and the right key?"));
        }
        Ok(Self { payload, signature, key })
    }

    /// As [`Signature::new`], from files: base64 with or without a newline, and the key from the payload if not given.
    pub(crate) fn parse(
        image: &Pinned,
        payload: Vec<u8>,
        signature: &[u8],
        key: Option<PublicKey>,
    ) -> Result<Self, Failure> {
        let text = signature.trim_ascii();
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| {
            Failure::usage("the signature is not standard base64").hint("csign and cosign write base64, not DER")
        })?;
        let key = match key {
            Some(key) => key,
            None => named_key(&payload)?,
        };
        Self::new(image, payload, bytes, key)
    }

    /// The signature of an approval.
    pub(crate) fn of_approval(image: &Pinned, approval: &Approval) -> Result<Self, Failure> {
        let signature = Self::parse(image, approval.payload.clone().into_bytes(), approval.signature.as_bytes(), None)?;
        if signature.key.id() != approval.key_id {
            return Err(Failure::rejected(format_args!(
                "the approval of {} names another key than its payload",
                approval.party
            )));
        }
        Ok(signature)
    }

    pub(crate) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The payload, byte for byte.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature over it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.signature
    }

    /// What the registry client attaches.
    pub(crate) fn layer(&self) -> SignatureLayer {
        SignatureLayer {
            payload: self.payload.clone(),
            signature_base64: BASE64_STANDARD.encode(&self.signature),
            key_id: self.key.id().to_string(),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    /// Is a layer that is attached already a signature of the same signer over the same payload? ECDSA signatures differ
    /// each time, so bytes do not tell.
    pub(crate) fn same_signer(ours: &[Self]) -> impl Fn(&Descriptor, &SignatureLayer) -> bool + Send + Sync + '_ {
        |existing, layer| {
            let digest = Digest::of(&layer.payload);
            let signature = existing.annotations.get(simple_signing::SIGNATURE_ANNOTATION);
            let Some(bytes) = signature.and_then(|text| BASE64_STANDARD.decode(text).ok()) else { return false };
            existing.digest == digest
                && ours
                    .iter()
                    .find(|signature| signature.payload == layer.payload)
                    .is_some_and(|signature| signature.key.verify(&signature.payload, &bytes))
        }
    }
}

/// The key that a payload names in its Confidential Space annotation.
fn named_key(payload: &[u8]) -> Result<PublicKey, Failure> {
    let parsed = simple_signing::Payload::parse(payload).map_err(Failure::usage)?;
    let missing = || Failure::usage("the payload does not name its public key").hint("give it with --key FILE");
    let text = parsed.optional.as_ref().and_then(|all| all.get(simple_signing::PUB)?.as_str()).ok_or_else(missing)?;
    let pem = PUB_BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(missing)?;
    PublicKey::from_pem(&pem).map_err(Failure::usage)
}
