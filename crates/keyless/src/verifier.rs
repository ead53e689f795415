//! Verifies bundles whose signer is named by a certificate.

use std::fmt;

use csign_envelope::{PublicKey, dsse::IN_TOTO};
use csign_oci::{Digest, json};
use serde::Serialize;
use serde_json::Value;
use sigstore_verify::{
    PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier as Library,
    crypto::SubjectAltName,
    types::{self, Bundle, DerPublicKey, Sha256Hash, SignatureContent},
};
use x509_cert::{
    Certificate, der::Decode as _, ext::pkix::SubjectAltName as SanExtension, spki::SubjectPublicKeyInfoRef,
};

use crate::{
    KeylessError, TrustedRoot,
    identity::{Identity, SanKind},
};

/// Largest bundle that is read, in bytes; statements with an SBOM are large.
pub const MAX_BUNDLE: usize = 32 << 20;
/// Most log entries, most time stamps and most certificates of one bundle: each costs signature verifications.
pub const MAX_PROOFS: usize = 8;

const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/// What the signature is meant to be about.
#[derive(Clone, Copy, Debug)]
pub enum Artifact<'a> {
    /// The sha256 of the signed bytes, or of a subject of the signed statement: an image's digest.
    Digest(&'a Digest),
    /// The signed bytes, or those of a subject of the signed statement.
    Bytes(&'a [u8]),
    /// Whatever the signed statement is about: the caller looks for its own digest among the subjects.
    AnySubject,
}

impl<'a> Artifact<'a> {
    /// The library wants to be told of a subject; the first one will do where the caller looks at them itself.
    fn of_library(self, content: &Content) -> Result<types::Artifact<'a>, KeylessError> {
        match (self, content) {
            (Self::Digest(digest), _) => Ok(of_digest(digest)),
            (Self::Bytes(bytes), _) => Ok(types::Artifact::from(bytes)),
            (Self::AnySubject, Content::Statement(payload)) => Ok(of_digest(&first_subject(payload)?)),
            (Self::AnySubject, Content::Artifact) => {
                Err(KeylessError::Unsupported("it signs bytes, where a statement is wanted".to_owned()))
            }
        }
    }
}

fn of_digest(digest: &Digest) -> types::Artifact<'static> {
    types::Artifact::from(Sha256Hash::new(*digest.as_bytes()))
}

fn first_subject(statement: &[u8]) -> Result<Digest, KeylessError> {
    let json_error = |source| KeylessError::Json { what: "the signed statement", source };
    let statement = json::value_from_slice(statement).map_err(json_error)?;
    let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
    let mut digests = subjects.filter_map(|subject| subject.pointer("/digest/sha256")?.as_str());
    let first = digests.find_map(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
    first.ok_or_else(|| KeylessError::Artifact("the statement has no subject with a sha256".to_owned()))
}

/// What a certificate's key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The artifact itself.
    Artifact,
    /// An in-toto statement with the artifact's digest among its subjects: the exact bytes of the payload. Neither its
    /// `_type` nor its predicate was looked at: parse it with `csign_envelope::statement`.
    Statement(Vec<u8>),
}

/// A log entry whose proof or promise was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// The trusted log that the entry names, as 64 hexadecimal digits.
    pub log_id: String,
    /// Where in the log, as the entry says: for a person to look it up, not to rely on.
    pub index: u64,
    /// Kind and version, such as `hashedrekord 0.0.1`.
    pub kind: String,
    /// Was the entry proven to be in the log, rather than promised?
    pub proven: bool,
}

/// A signature that was verified in every respect but one: whether its identity is one that counts. Ask an
/// [`IdentityPolicy`](crate::IdentityPolicy), and count identities, not certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// Who signed.
    pub identity: Identity,
    /// What was signed.
    pub content: Content,
    /// When, in seconds since 1970: the earliest time that a log or a time stamp authority vouches for.
    pub signed_at: i64,
    /// Where it is logged; never empty.
    pub log: Vec<LogEntry>,
}

/// Verifies keyless signatures under one trusted root.
pub struct Verifier {
    pub(crate) root: TrustedRoot,
    library: Library,
    now: i64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("root", &self.root).field("now", &self.now).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier under `root`. A signature from after `now` (seconds since 1970) is refused.
    ///
    /// # Errors
    /// None in practice: [`TrustedRoot::parse`] has refused what cannot be used.
    pub fn new(root: &TrustedRoot, now: i64) -> Result<Self, KeylessError> {
        let library = Library::new(&root.parsed)?;
        Ok(Self { root: root.clone(), library, now })
    }

    /// Verifies a sigstore bundle, version 0.1 to 0.3, that names its signer by a certificate.
    ///
    /// 1. One certificate, one signature over an artifact or an in-toto statement, no member twice.
    /// 2. At least one log entry, each with a promise (Rekor v1) or an inclusion proof and a signed checkpoint.
    /// 3. At least one trusted time: Rekor v1's signed `integratedTime` or an RFC 3161 time stamp over the signature.
    /// 4. The certificate chains to the root, is for code signing, has a valid SCT, and was valid at every such time.
    /// 5. The certificate's key made the signature, and every log entry is about this signature and certificate.
    /// 6. The signature is about `artifact`, and not from the future.
    ///
    /// # Errors
    /// Whatever of this does not hold; a check that cannot be made is a refusal.
    pub fn verify_bundle(&self, bundle: &[u8], artifact: Artifact<'_>) -> Result<Certified, KeylessError> {
        self.verify_value(read(bundle)?, artifact)
    }

    /// Verifies a sigstore bundle that a plain key signed and that names its key by a hint: what a log entry or a time
    /// stamp says is checked as in [`Verifier::verify_bundle`], and at least one log entry is required. The hint is not
    /// looked at. The key's type decides the algorithm: P-256 with SHA-256, P-384 with SHA-384, PKCS#1 v1.5 with
    /// SHA-256 for RSA; the digest of a message can name another hash.
    ///
    /// # Errors
    /// As [`Verifier::verify_bundle`]; a bundle with a certificate.
    pub fn verify_bundle_with_key(
        &self,
        bundle: &[u8],
        artifact: Artifact<'_>,
        key: &PublicKey,
    ) -> Result<Content, KeylessError> {
        let bundle = read(bundle)?;
        if check_shape(&bundle)? != Signer::Key {
            return Err(KeylessError::Unsupported("the bundle has a certificate, but a key was given".to_owned()));
        }
        let bundle = parse(bundle)?;
        self.log_entries(&bundle)?;
        let content = content(&bundle)?;
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.der().to_vec()));
        let result = self.library.verify(artifact.of_library(&content)?, &bundle, &policy)?;
        if !result.tlog_verified() {
            return Err(KeylessError::NoLogEntry("the library left the log out"));
        }
        result.verified_timestamps().iter().try_for_each(|time| self.not_after_now(time.as_second()))?;
        Ok(content)
    }

    pub(crate) fn verify_value(&self, bundle: Value, artifact: Artifact<'_>) -> Result<Certified, KeylessError> {
        if check_shape(&bundle)? == Signer::Key {
            return Err(KeylessError::PublicKey("the bundle"));
        }
        let bundle = parse(bundle)?;
        let leaf = bundle.signing_certificate().ok_or(KeylessError::NoCertificate("the bundle"))?;
        let names_one = check_certificate(leaf.as_bytes())?;
        let log = self.log_entries(&bundle)?;
        let content = content(&bundle)?;
        let policy = VerificationPolicy::any_identity();
        let result = self.library.verify(artifact.of_library(&content)?, &bundle, &policy)?;
        if !(result.certificate_verified() && result.sct_verified() && result.tlog_verified()) {
            return Err(KeylessError::Certificate("the library left a check out".to_owned()));
        }
        let identity = identity(&result, names_one)?;
        Ok(Certified { identity, content, signed_at: self.signed_at(&result)?, log })
    }

    fn signed_at(&self, result: &VerificationResult) -> Result<i64, KeylessError> {
        let times = || result.verified_timestamps().iter().map(|time| time.as_second());
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Err(KeylessError::NoTime("neither a log nor a time stamp authority vouches for one".to_owned()));
        };
        self.not_after_now(last)?;
        Ok(first)
    }

    fn log_entries(&self, bundle: &Bundle) -> Result<Vec<LogEntry>, KeylessError> {
        let entries = &bundle.verification_material.tlog_entries;
        if entries.is_empty() {
            return Err(KeylessError::NoLogEntry("no entry of a transparency log"));
        }
        if entries.iter().any(|entry| entry.inclusion_proof.is_none() && entry.inclusion_promise.is_none()) {
            return Err(KeylessError::NoLogEntry("a log entry has neither an inclusion proof nor a promise"));
        }
        // A proof is verified under whichever trusted log signed its checkpoint: an entry must not name a log of its own.
        let known = |entry: &&types::TransparencyLogEntry| {
            self.root.parsed.tlogs.iter().any(|log| log.log_id.key_id.as_bytes() == entry.log_id.key_id.as_bytes())
        };
        if !entries.iter().all(|entry| known(&entry)) {
            return Err(KeylessError::Log("it is in a log that the trusted root does not name".to_owned()));
        }
        let described = entries.iter().map(|entry| LogEntry {
            log_id: entry.log_id.key_id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
            index: entry.log_index.get(),
            kind: format!("{} {}", entry.kind_version.kind(), entry.kind_version.version()),
            proven: entry.inclusion_proof.is_some(),
        });
        Ok(described.collect())
    }

    pub(crate) fn not_after_now(&self, time: i64) -> Result<(), KeylessError> {
        if time > self.now { Err(KeylessError::Future { signed: time, now: self.now }) } else { Ok(()) }
    }
}

fn read(bundle: &[u8]) -> Result<Value, KeylessError> {
    if bundle.len() > MAX_BUNDLE {
        return Err(KeylessError::TooLarge { what: "the bundle, in bytes", limit: MAX_BUNDLE });
    }
    json::value_from_slice(bundle).map_err(|source| KeylessError::Json { what: "the bundle", source })
}

fn parse(bundle: Value) -> Result<Bundle, KeylessError> {
    serde_json::from_value(bundle).map_err(|source| KeylessError::Json { what: "the bundle", source })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Certificate,
    Key,
}

/// What can be said about the JSON before anything is verified, in better words than a parser's.
fn check_shape(bundle: &Value) -> Result<Signer, KeylessError> {
    let media_type = bundle.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    if !MEDIA_TYPES.contains(&media_type) {
        return Err(KeylessError::MediaType(media_type.chars().take(80).collect()));
    }
    let there = |value: &Value, names: &[&str]| names.iter().filter(|name| value.get(name).is_some()).count();
    let material = bundle.get("verificationMaterial").unwrap_or(&Value::Null);
    let signer = match there(material, &["certificate", "x509CertificateChain", "publicKey"]) {
        1 if material.get("publicKey").is_some() => Signer::Key,
        1 => Signer::Certificate,
        0 => return Err(KeylessError::NoCertificate("the bundle")),
        found => return Err(KeylessError::NotOne { what: "certificate, chain or key", found }),
    };
    let found = there(bundle, &["messageSignature", "dsseEnvelope"]);
    if found != 1 {
        return Err(KeylessError::NotOne { what: "signed content", found });
    }
    if let Some(envelope) = bundle.get("dsseEnvelope") {
        let signatures = envelope.get("signatures").and_then(Value::as_array).map_or(0, Vec::len);
        if signatures != 1 {
            return Err(KeylessError::NotOne { what: "signature of the envelope", found: signatures });
        }
        let payload_type = envelope.get("payloadType").and_then(Value::as_str).unwrap_or_default();
        if payload_type != IN_TOTO {
            return Err(KeylessError::PayloadType(payload_type.chars().take(80).collect()));
        }
    }
    let lists = [
        ("log entries", "/tlogEntries"),
        ("time stamps", "/timestampVerificationData/rfc3161Timestamps"),
        ("certificates", "/x509CertificateChain/certificates"),
    ];
    for (what, path) in lists {
        if material.pointer(path).and_then(Value::as_array).is_some_and(|list| list.len() > MAX_PROOFS) {
            return Err(KeylessError::TooLarge { what, limit: MAX_PROOFS });
        }
    }
    Ok(signer)
}

/// Is it a certificate, and does it have exactly one name? The library would take the first of several.
fn check_certificate(der: &[u8]) -> Result<bool, KeylessError> {
    if SubjectPublicKeyInfoRef::from_der(der).is_ok() {
        return Err(KeylessError::PublicKey("the certificate's place"));
    }
    let certificate = Certificate::from_der(der).map_err(|error| KeylessError::malformed("the certificate", error))?;
    let san = certificate.tbs_certificate.get::<SanExtension>();
    let san = san.map_err(|error| KeylessError::malformed("the certificate's subject", error))?;
    Ok(san.is_some_and(|(_, names)| names.0.len() == 1))
}

fn content(bundle: &Bundle) -> Result<Content, KeylessError> {
    match &bundle.content {
        SignatureContent::MessageSignature(_) => Ok(Content::Artifact),
        SignatureContent::DsseEnvelope(envelope) => {
            let payload = envelope.payload.as_bytes();
            let json_error = |source| KeylessError::Json { what: "the signed statement", source };
            json::value_from_slice(payload).map_err(json_error)?;
            Ok(Content::Statement(payload.to_vec()))
        }
        _ => Err(KeylessError::Unsupported("what the bundle signs".to_owned())),
    }
}

fn identity(result: &VerificationResult, names_one: bool) -> Result<Identity, KeylessError> {
    let issuer = result.issuer().unwrap_or_default();
    if issuer.is_empty() {
        return Err(KeylessError::NoIdentity("no OIDC issuer in it (extension 1.3.6.1.4.1.57264.1.8 or .1.1)"));
    }
    let (san, san_kind) = match result.identity() {
        Some(SubjectAltName::Email(email)) => (email, SanKind::Email),
        Some(SubjectAltName::Uri(uri)) => (uri, SanKind::Uri),
        _ => return Err(KeylessError::NoIdentity("neither an e-mail address nor a URI is its subject")),
    };
    if san.is_empty() || !names_one {
        return Err(KeylessError::NoIdentity("it must have exactly one subject alternative name"));
    }
    Ok(Identity { san: san.clone(), san_kind, issuer: issuer.to_owned() })
}
