//! What the tests of both kinds of token share: worthless keys, a payload that verifies, a signer of any text.

#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_attestation::Expected;
use rsa::{
    RsaPrivateKey, pkcs1v15::SigningKey, pkcs8::DecodePrivateKey, signature::SignatureEncoding as _,
    signature::Signer as _,
};
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) const ISSUER: &str = "https://confidentialcomputing.googleapis.com";
pub(crate) const AUDIENCE: &str = "https://csign.dev/boot";
pub(crate) const NONCE: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const NOW: u64 = 1_757_100_000;

/// One of three keys: `a` signs tokens.
pub(crate) fn private_key(name: char) -> RsaPrivateKey {
    let der: &[u8] = match name {
        'a' => include_bytes!("../fixtures/worthless-rsa-2048.pkcs8.der"),
        'b' => include_bytes!("../fixtures/worthless-rsa-2048-b.pkcs8.der"),
        _ => include_bytes!("../fixtures/worthless-rsa-2048-c.pkcs8.der"),
    };
    RsaPrivateKey::from_pkcs8_der(der).expect("fixture")
}

pub(crate) fn expected() -> Expected<'static> {
    Expected { issuer: ISSUER, audience: AUDIENCE, nonce: Some(NONCE), now: NOW, leeway: 30 }
}

pub(crate) fn payload() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3540,
        "sub": "https://www.googleapis.com/compute/v1/projects/op/zones/z/instances/vm", "eat_nonce": [NONCE],
        "secboot": true, "hwmodel": "GCP_INTEL_TDX", "swname": "CONFIDENTIAL_SPACE", "swversion": ["250800"],
        "dbgstat": "disabled-since-boot", "google_service_accounts": ["vm@op.iam.gserviceaccount.com"],
        "submods": {
            "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
            "container": {
                "image_reference": "r.example/team/workload@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "image_digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "restart_policy": "Never", "args": ["/workload"], "env": {"PATH": "/"}, "env_override": null,
                "image_signatures": [{"key_id": "ab".repeat(32), "signature": "MEUCIQ==",
                                      "signature_algorithm": "ECDSA_P256_SHA256"}]},
            "gce": {"zone": "z", "project_id": "op", "project_number": "1234", "instance_name": "vm",
                    "instance_id": "5678"}}})
}

/// Signs the exact texts, so that they may be malformed.
pub(crate) fn sign_text(header: &str, payload: &str) -> String {
    let [header, payload] = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let signature = SigningKey::<Sha256>::new(private_key('a')).sign(format!("{header}.{payload}").as_bytes());
    format!("{header}.{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
