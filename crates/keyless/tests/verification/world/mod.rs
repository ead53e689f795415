//! A certificate authority, a certificate transparency log, Rekor v1 and v2 and a time stamp authority, all with fixed
//! keys and times, so that every run makes the same bytes, and so that each of them can be made to lie.

mod der;
mod services;

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_keyless::{Artifact, Certified, KeylessError, TrustedRoot, Verifier};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use services::{checkpoint, entry_v1, entry_v2, entry_with_verifier, signed_entry_timestamp, time_stamp};

/// Of the signature: 2026-01-02 03:04:05 UTC.
pub(crate) const SIGNED: i64 = 1_767_323_045;
/// When everything is verified: a day later.
pub(crate) const NOW: i64 = SIGNED + 86_400;
pub(crate) const SAN: &str = "release@example.com";
pub(crate) const ISSUER: &str = "https://accounts.example.com";
pub(crate) const ARTIFACT: &[u8] = b"an artifact";

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Who has which key. Another number is another key.
#[derive(Clone, Copy)]
pub(crate) enum Party {
    Signer = 1,
    Authority = 2,
    Transparency = 3,
    Rekor = 4,
    RekorV2 = 5,
    Stamps = 6,
    StampsRoot = 7,
    Stranger = 8,
}

impl Party {
    pub(crate) fn key(self) -> SigningKey {
        SigningKey::from_slice(&[self as u8; 32]).expect("a scalar")
    }

    pub(crate) fn spki(self) -> Vec<u8> {
        self.key().verifying_key().to_public_key_der().expect("DER").into_vec()
    }

    /// ECDSA P-256 with SHA-256, DER; deterministic (RFC 6979).
    pub(crate) fn sign(self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key().sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

/// What the certificate authority certifies.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) key: Party,
    pub(crate) authority: Party,
    pub(crate) transparency: Option<Party>,
    pub(crate) names: Vec<(u8, String)>,
    pub(crate) issuer: Option<String>,
    pub(crate) old_issuer: Option<String>,
    pub(crate) usage: &'static str,
    pub(crate) not_before: i64,
}

pub(crate) const EMAIL: u8 = 0x81;
pub(crate) const URI: u8 = 0x86;
pub(crate) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub(crate) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub(crate) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

impl Default for Request {
    fn default() -> Self {
        Self {
            key: Party::Signer,
            authority: Party::Authority,
            transparency: Some(Party::Transparency),
            names: vec![(EMAIL, SAN.to_owned())],
            issuer: Some(ISSUER.to_owned()),
            old_issuer: None,
            usage: CODE_SIGNING,
            not_before: SIGNED - 60,
        }
    }
}

impl Request {
    /// The certificate, DER, valid for ten minutes.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        services::leaf(self)
    }
}

pub(crate) fn pem(certificate: &[u8]) -> String {
    services::pem(certificate)
}

/// The trusted root of the honest services.
pub(crate) fn trusted_root() -> Value {
    services::trusted_root()
}

/// Under that root, at [`NOW`].
pub(crate) fn verifier() -> &'static Verifier {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| verifier_at(&trusted_root(), NOW));
    &VERIFIER
}

pub(crate) fn verifier_at(root: &Value, now: i64) -> Verifier {
    let root = TrustedRoot::parse(root.to_string().as_bytes()).expect("a trusted root");
    Verifier::new(&root, now).expect("a verifier")
}

/// What a signature is made of, before the log has seen it.
pub(crate) struct Signed {
    pub(crate) certificate: Vec<u8>,
    /// `messageSignature` or `dsseEnvelope`.
    pub(crate) content: (&'static str, Value),
    pub(crate) signature: Vec<u8>,
    /// What the key signed: the artifact, or the pre-authentication encoding.
    pub(crate) message: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn sign_message(request: &Request, message: &[u8]) -> Signed {
    let signature = request.key.sign(message);
    let content = json!({
        "messageDigest": {"algorithm": "SHA2_256", "digest": base64(sha256(message))},
        "signature": base64(&signature),
    });
    Signed {
        certificate: request.certificate(),
        content: ("messageSignature", content),
        signature,
        message: message.to_vec(),
        payload: message.to_vec(),
    }
}

pub(crate) fn statement() -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex(sha256(ARTIFACT))}, "annotations": {}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn sign_statement(request: &Request, payload_type: &str, statement: &[u8]) -> Signed {
    let message = csign_envelope::dsse::pae(payload_type, statement);
    let signature = request.key.sign(&message);
    let content = json!({
        "payload": base64(statement),
        "payloadType": payload_type,
        "signatures": [{"sig": base64(&signature)}],
    });
    Signed {
        certificate: request.certificate(),
        content: ("dsseEnvelope", content),
        signature,
        message,
        payload: statement.to_vec(),
    }
}

impl Signed {
    /// A bundle v0.3 with these log entries and time stamps.
    pub(crate) fn bundle(&self, entries: &[Value], time_stamps: &[Vec<u8>]) -> Value {
        let stamps: Vec<Value> = time_stamps.iter().map(|token| json!({"signedTimestamp": base64(token)})).collect();
        let (name, content) = &self.content;
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64(&self.certificate)},
                "tlogEntries": entries,
                "timestampVerificationData": {"rfc3161Timestamps": stamps},
            },
        });
        bundle[*name] = content.clone();
        bundle
    }

    /// As Rekor v1 logs it, with promise and proof.
    pub(crate) fn bundle_v1(&self) -> Value {
        self.bundle(&[entry_v1(self)], &[])
    }

    /// As Rekor v2 logs it, with a time stamp.
    pub(crate) fn bundle_v2(&self) -> Value {
        self.bundle(&[entry_v2(self)], &[time_stamp(&self.signature, SIGNED)])
    }
}

/// A bundle v0.3 of the honest services, for [`ARTIFACT`].
pub(crate) fn honest() -> Value {
    sign_message(&Request::default(), ARTIFACT).bundle_v1()
}

pub(crate) fn verify(bundle: &Value) -> Result<Certified, KeylessError> {
    verifier().verify_bundle(bundle.to_string().as_bytes(), Artifact::Bytes(ARTIFACT))
}
