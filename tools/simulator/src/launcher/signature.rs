//! Checks one image signature the way the attestation service does: the key comes with the payload.
//!
//! So a valid signature says only that somebody who holds that key signed; whose key it is, the token's reader decides.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use csign_oci::Digest;
use p256::{ecdsa::DerSignature, pkcs8::DecodePublicKey as _};
use rsa::{RsaPublicKey, pkcs1v15, pss, signature::Verifier as _, traits::PublicKeyParts as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use spki::der::{Document, pem::PemLabel as _};

use crate::{attestation::ImageSignature, iam::hex};

const TYPE: &str = "cosign container image signature";
const PUB: &str = "dev.cosignproject.cosign/pub";
const SIGALG: &str = "dev.cosignproject.cosign/sigalg";

/// The entry of `image_signatures` for `payload` and its signature (base64), if it is about `image` and valid.
pub(super) fn verify(image: &Digest, payload: &[u8], signature: &str) -> Result<ImageSignature, String> {
    let value: Value = serde_json::from_slice(payload).map_err(|e| format!("the payload is not JSON: {e}"))?;
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    if text("/critical/type") != Some(TYPE) {
        return Err(format!("the payload's type is not {TYPE:?}"));
    }
    let signed = text("/critical/image/docker-manifest-digest").unwrap_or("nothing");
    if signed != image.to_string() {
        return Err(format!("the payload is about {signed}, not about {image}"));
    }
    let optional = |name: &str| {
        let found = value.get("optional").and_then(|optional| optional.get(name)).and_then(Value::as_str);
        found.ok_or_else(|| format!("the payload has no optional {name}"))
    };
    let pem = STANDARD_NO_PAD.decode(optional(PUB)?).map_err(|e| format!("{PUB} is not unpadded base64: {e}"))?;
    let pem = String::from_utf8(pem).map_err(|_| format!("{PUB} is not a PEM text"))?;
    let (label, der) = Document::from_pem(&pem).map_err(|e| format!("{PUB} is not one PEM block: {e}"))?;
    if label != spki::SubjectPublicKeyInfoRef::PEM_LABEL {
        return Err(format!("{PUB} is a PEM block of type {label}"));
    }
    let algorithm = optional(SIGALG)?;
    let raw = STANDARD.decode(signature).map_err(|e| format!("the signature is not base64: {e}"))?;
    if !valid(algorithm, der.as_bytes(), payload, &raw)? {
        return Err("the signature does not fit key and payload".to_owned());
    }
    Ok(ImageSignature {
        key_id: hex(&Sha256::digest(der.as_bytes())),
        signature: signature.to_owned(),
        signature_algorithm: algorithm.to_owned(),
    })
}

fn valid(algorithm: &str, der: &[u8], payload: &[u8], signature: &[u8]) -> Result<bool, String> {
    let not_rsa = |e: spki::Error| format!("the key is not an RSA key: {e}");
    match algorithm {
        "ECDSA_P256_SHA256" => {
            let key =
                p256::PublicKey::from_public_key_der(der).map_err(|e| format!("the key is not a P-256 key: {e}"))?;
            let key = p256::ecdsa::VerifyingKey::from(key);
            Ok(DerSignature::try_from(signature).is_ok_and(|signature| key.verify(payload, &signature).is_ok()))
        }
        "RSASSA_PSS_SHA256" => {
            let key = exponent_fits(RsaPublicKey::from_public_key_der(der).map_err(not_rsa)?)?;
            let key = pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key);
            Ok(pss::Signature::try_from(signature).is_ok_and(|signature| key.verify(payload, &signature).is_ok()))
        }
        "RSASSA_PKCS1V15_SHA256" => {
            let key = exponent_fits(RsaPublicKey::from_public_key_der(der).map_err(not_rsa)?)?;
            let key = pkcs1v15::VerifyingKey::<Sha256>::new(key);
            Ok(pkcs1v15::Signature::try_from(signature).is_ok_and(|signature| key.verify(payload, &signature).is_ok()))
        }
        other => Err(format!("the signature algorithm {other:?} is unknown")),
    }
}

fn exponent_fits(key: RsaPublicKey) -> Result<RsaPublicKey, String> {
    if *key.e_bytes() == [1, 0, 1] { Ok(key) } else { Err("the RSA key's exponent is not 65537".to_owned()) }
}

#[cfg(test)]
mod tests {
    use p256::{
        ecdsa::{SigningKey, signature::Signer as _},
        pkcs8::{EncodePublicKey as _, LineEnding},
    };
    use serde_json::json;

    use super::*;
    use crate::derive::p256_key;

    fn key() -> SigningKey {
        p256_key("test", "signer").expect("key")
    }

    fn pem(key: &SigningKey) -> String {
        p256::PublicKey::from(*key.verifying_key()).to_public_key_pem(LineEnding::LF).expect("pem")
    }

    fn payload(pem: &str, algorithm: &str) -> Value {
        json!({
            "critical": {
                "identity": {"docker-reference": "ignored"},
                "image": {"docker-manifest-digest": Digest::of("image")},
                "type": TYPE,
            },
            "optional": {PUB: STANDARD_NO_PAD.encode(pem), SIGALG: algorithm},
        })
    }

    fn check(payload: &Value, signer: &SigningKey) -> Result<ImageSignature, String> {
        let bytes = payload.to_string();
        let signature: DerSignature = signer.sign(bytes.as_bytes());
        verify(&Digest::of("image"), bytes.as_bytes(), &STANDARD.encode(signature.as_bytes()))
    }

    #[test]
    fn a_valid_signature_becomes_an_entry_with_the_keys_id() {
        let entry = check(&payload(&pem(&key()), "ECDSA_P256_SHA256"), &key()).expect("valid");
        let (_, der) = Document::from_pem(&pem(&key())).expect("pem");
        assert_eq!(entry.key_id, Digest::of(der.as_bytes()).hex());
        assert_eq!(entry.signature_algorithm, "ECDSA_P256_SHA256");
    }

    #[test]
    fn forged_and_malformed_signatures_are_left_out() {
        let good = || payload(&pem(&key()), "ECDSA_P256_SHA256");
        let other = p256_key("test", "other").expect("key");
        assert!(check(&good(), &other).is_err(), "signed by another key");
        type Change = fn(&mut Value);
        let attacks: [(&str, Change); 8] = [
            ("another image", |p| p["critical"]["image"]["docker-manifest-digest"] = json!(Digest::of("other"))),
            ("another type", |p| p["critical"]["type"] = json!("atomic container signature")),
            ("no key", |p| p["optional"] = json!(null)),
            ("no algorithm", |p| p["optional"][SIGALG] = json!(null)),
            ("an unknown algorithm", |p| p["optional"][SIGALG] = json!("ED25519")),
            ("an RSA algorithm for an EC key", |p| p["optional"][SIGALG] = json!("RSASSA_PSS_SHA256")),
            ("padded base64", |p| p["optional"][PUB] = json!(STANDARD.encode(pem(&key()) + "\n"))),
            ("bytes after the PEM", |p| p["optional"][PUB] = json!(STANDARD_NO_PAD.encode(pem(&key()) + "x"))),
        ];
        for (name, change) in attacks {
            let mut payload = good();
            change(&mut payload);
            assert!(check(&payload, &key()).is_err(), "{name} was accepted");
        }
        let bytes = good().to_string();
        let signature: DerSignature = key().sign(bytes.as_bytes());
        let unpadded = STANDARD_NO_PAD.encode(&signature.as_bytes()[..signature.as_bytes().len() - 1]);
        assert!(verify(&Digest::of("image"), bytes.as_bytes(), &unpadded).is_err(), "truncated signature");
    }
}
