//! Keyless signatures in cosign's older format: a `.sig` or `.att` layer with certificate and log entry in annotations.
//!
//! A layer becomes a bundle v0.1 with the same contents and is verified as one: there is one set of rules.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::json;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::{
    crypto::parse_certificate_info,
    tsa,
    types::{DerCertificate, SignatureBytes, TimestampToken},
};
use x509_cert::der::pem;

use crate::{
    Artifact, Certified, KeylessError, Verifier,
    verifier::{MAX_BUNDLE, MAX_PROOFS},
};

/// Annotation with the signer's certificate, PEM.
pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation with the certificates between the signer's and the root, PEM.
pub const CHAIN: &str = "dev.sigstore.cosign/chain";
/// Annotation with the log entry and the log's promise.
pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
/// Annotation with a time stamp.
pub const TIME_STAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

impl Verifier {
    /// Verifies a `.sig` layer: `payload` is the layer's bytes, `signature_der` the decoded signature annotation. The
    /// caller reads the payload (`csign_envelope::simple_signing`) and compares its digest with the image's.
    ///
    /// # Errors
    /// As [`Verifier::verify_bundle`]; no certificate or no log entry among the annotations.
    pub fn verify_legacy(
        &self,
        payload: &[u8],
        signature_der: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Certified, KeylessError> {
        let mut bundle = skeleton(annotations)?;
        bundle["messageSignature"] = json!({"signature": BASE64_STANDARD.encode(signature_der)});
        if let Some(time_stamp) = annotations.get(TIME_STAMP) {
            let token = BASE64_STANDARD.encode(read_time_stamp(time_stamp)?);
            bundle["verificationMaterial"]["timestampVerificationData"] =
                json!({"rfc3161Timestamps": [{"signedTimestamp": token}]});
        }
        self.verify_value(bundle, Artifact::Bytes(payload))
    }

    /// Verifies an `.att` layer: `envelope` is the layer's bytes, a DSSE envelope. The statement must have `artifact`
    /// among its subjects; the caller checks its predicate.
    ///
    /// # Errors
    /// As [`Verifier::verify_legacy`].
    pub fn verify_legacy_attestation(
        &self,
        envelope: &[u8],
        artifact: Artifact<'_>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Certified, KeylessError> {
        if envelope.len() > MAX_BUNDLE {
            return Err(KeylessError::TooLarge { what: "the envelope, in bytes", limit: MAX_BUNDLE });
        }
        let json_error = |source| KeylessError::Json { what: "the envelope", source };
        let mut bundle = skeleton(annotations)?;
        bundle["dsseEnvelope"] = json::value_from_slice(envelope).map_err(json_error)?;
        let signature = bundle.pointer("/dsseEnvelope/signatures/0/sig").and_then(Value::as_str).unwrap_or_default();
        let signature = BASE64_STANDARD.decode(signature);
        let signature = signature.map_err(|_| KeylessError::malformed("the envelope", "sig is not standard base64"))?;
        let mut certified = self.verify_value(bundle, artifact)?;
        // cosign 3 has the signature stamped, cosign 2 the whole envelope, which has the signature in it.
        if let Some(time_stamp) = annotations.get(TIME_STAMP) {
            let token = read_time_stamp(time_stamp)?;
            let certificate = certificates(annotations, CERTIFICATE)?.swap_remove(0);
            let time = match self.stamped(&token, &signature, &certificate) {
                Err(KeylessError::TimeStamp(_)) => self.stamped(&token, envelope, &certificate)?,
                outcome => outcome?,
            };
            certified.signed_at = certified.signed_at.min(time);
        }
        Ok(certified)
    }

    /// The time in `token`, which must be over `bytes`, by a trusted authority, and within the certificate's validity.
    fn stamped(&self, token: &[u8], bytes: &[u8], certificate: &[u8]) -> Result<i64, KeylessError> {
        let (token, bytes) = (TimestampToken::new(token.to_vec()), SignatureBytes::new(bytes.to_vec()));
        let mut why = "the trusted root names no time stamp authority".to_owned();
        for authority in self.root.parsed.tsa_authorities() {
            match tsa::verify_timestamp_for_authority(&token, &bytes, &authority) {
                Ok(time) => {
                    let certificate = parse_certificate_info(&DerCertificate::new(certificate.to_vec()))
                        .map_err(|error| KeylessError::malformed("the certificate", error))?;
                    if time < certificate.not_before || time > certificate.not_after {
                        return Err(KeylessError::Certificate(format!("it was not valid at the stamped time, {time}")));
                    }
                    self.not_after_now(time.as_second())?;
                    return Ok(time.as_second());
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(KeylessError::TimeStamp(why))
    }
}

/// A bundle without its content.
fn skeleton(annotations: &BTreeMap<String, String>) -> Result<Value, KeylessError> {
    let mut chain = certificates(annotations, CERTIFICATE)?;
    if chain.len() != 1 {
        return Err(KeylessError::NotOne { what: "certificate in the annotation", found: chain.len() });
    }
    // cosign writes an empty one where there is nothing between the certificate and the root.
    if annotations.get(CHAIN).is_some_and(|chain| !chain.is_empty()) {
        chain.append(&mut certificates(annotations, CHAIN)?);
    }
    let chain: Vec<Value> = chain.iter().map(|der| json!({"rawBytes": BASE64_STANDARD.encode(der)})).collect();
    Ok(json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "x509CertificateChain": {"certificates": chain},
            "tlogEntries": [log_entry(annotations)?],
        },
    }))
}

/// The DER of every certificate in an annotation; at least one.
fn certificates(annotations: &BTreeMap<String, String>, name: &'static str) -> Result<Vec<Vec<u8>>, KeylessError> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = annotations.get(name).ok_or(KeylessError::NoCertificate("the annotations"))?;
    if text.contains("PUBLIC KEY") {
        return Err(KeylessError::PublicKey("the certificate's annotation"));
    }
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let malformed = || KeylessError::malformed(name, "not a series of PEM certificates");
        let end = rest.find(END).ok_or_else(malformed)? + END.len();
        let (block, after) = rest.split_at_checked(end).ok_or_else(malformed)?;
        let (label, der) = pem::decode_vec(block.as_bytes()).map_err(|error| KeylessError::malformed(name, error))?;
        if label != "CERTIFICATE" {
            return Err(malformed());
        }
        if found.len() == MAX_PROOFS {
            return Err(KeylessError::TooLarge { what: "certificates", limit: MAX_PROOFS });
        }
        found.push(der);
        rest = after.trim_start();
    }
    if found.is_empty() { Err(KeylessError::NoCertificate("the annotations")) } else { Ok(found) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RekorBundle {
    signed_entry_timestamp: String,
    payload: RekorPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RekorPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryKind {
    kind: String,
    api_version: String,
}

/// The bundle's form of the entry that cosign keeps in an annotation.
fn log_entry(annotations: &BTreeMap<String, String>) -> Result<Value, KeylessError> {
    let missing = KeylessError::NoLogEntry("no log entry (annotation dev.sigstore.cosign/bundle)");
    let text = annotations.get(BUNDLE).ok_or(missing)?;
    let json_error = |source| KeylessError::Json { what: "the log entry", source };
    let bundle: RekorBundle = json::from_slice(text.as_bytes()).map_err(json_error)?;
    let body = BASE64_STANDARD.decode(&bundle.payload.body);
    let body = body.map_err(|_| KeylessError::malformed("the log entry", "its body is not standard base64"))?;
    let kind: EntryKind = json::from_slice(&body).map_err(json_error)?;
    let log_id = unhex(&bundle.payload.log_id)
        .ok_or_else(|| KeylessError::malformed("the log entry", "its logID is not hexadecimal"))?;
    if bundle.payload.integrated_time <= 0 {
        return Err(KeylessError::NoTime("the log entry has no integratedTime".to_owned()));
    }
    Ok(json!({
        "logIndex": bundle.payload.log_index.to_string(),
        "logId": {"keyId": BASE64_STANDARD.encode(log_id)},
        "kindVersion": {"kind": kind.kind, "version": kind.api_version},
        "integratedTime": bundle.payload.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": bundle.signed_entry_timestamp},
        "canonicalizedBody": bundle.payload.body,
    }))
}

#[derive(Deserialize)]
struct TimeStampAnnotation {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

fn read_time_stamp(text: &str) -> Result<Vec<u8>, KeylessError> {
    let json_error = |source| KeylessError::Json { what: "the time stamp", source };
    let annotation: TimeStampAnnotation = json::from_slice(text.as_bytes()).map_err(json_error)?;
    BASE64_STANDARD
        .decode(annotation.token)
        .map_err(|_| KeylessError::malformed("the time stamp", "not standard base64"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}
