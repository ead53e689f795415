//! Layers of `.sig` and `.att` with certificate and log entry in their annotations.
use std::collections::BTreeMap;

use crate::world::{
    ARTIFACT, NOW, Party, Request, SAN, SIGNED, Signed, base64, entry_v1, entry_v2, hex, pem, sha256, sign_message,
    sign_statement, signed_entry_timestamp, statement, time_stamp, trusted_root, verifier, verifier_at,
};
use csign_envelope::{dsse::IN_TOTO, simple_signing};
use csign_keyless::{
    Artifact, Certified, Content, KeylessError,
    legacy::{BUNDLE, CERTIFICATE, CHAIN, TIME_STAMP},
};
use csign_oci::{Digest, Repository};
use serde_json::{Value, json};

type Annotations = BTreeMap<String, String>;

fn payload() -> Vec<u8> {
    let repository = Repository::parse("registry.example.com/app").expect("a repository");
    simple_signing::payload(&repository, &Digest::of(b"image"), &BTreeMap::new())
}

/// cosign's form of an entry.
fn bundle_annotation(entry: &Value) -> Value {
    let log_id = hex(sha256(Party::Rekor.spki()));
    json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {"body": entry["canonicalizedBody"], "integratedTime": SIGNED, "logIndex": 7, "logID": log_id},
    })
}

fn annotations(signed: &Signed) -> Annotations {
    let entry = bundle_annotation(&entry_v1(signed));
    [(CERTIFICATE, pem(&signed.certificate)), (BUNDLE, entry.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn signed() -> Signed {
    sign_message(&Request::default(), &payload())
}

fn verify(signed: &Signed, annotations: &Annotations) -> Result<Certified, KeylessError> {
    verifier().verify_legacy(&payload(), &signed.signature, annotations)
}

fn refused(annotations: &Annotations, words: &str) {
    let error = verify(&signed(), annotations).expect_err(words);
    assert!(error.to_string().contains(words), "wanted {words:?}, got: {error}");
}

fn with(name: &str, value: impl ToString) -> Annotations {
    let mut all = annotations(&signed());
    all.insert(name.to_owned(), value.to_string());
    all
}

fn edited(edit: impl FnOnce(&mut Value)) -> Annotations {
    let mut entry = bundle_annotation(&entry_v1(&signed()));
    edit(&mut entry);
    with(BUNDLE, entry)
}

fn stamp_annotation(token: &[u8]) -> Value {
    json!({"SignedRFC3161Timestamp": base64(token)})
}

#[test]
fn a_signature_layer_verifies() {
    let certified = verify(&signed(), &annotations(&signed())).expect("verifies");
    assert_eq!((certified.identity.san.as_str(), certified.signed_at), (SAN, SIGNED));
    assert_eq!(certified.content, Content::Artifact);
    assert!(!certified.log[0].proven);
}

#[test]
fn the_root_in_the_chain_changes_nothing() {
    let root = trusted_root()["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"].clone();
    let text = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", {
        let text = root.as_str().expect("text");
        text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).expect("ASCII")).collect::<Vec<_>>().join("\n")
    });
    verify(&signed(), &with(CHAIN, &text)).expect("verifies");
    refused(&with(CHAIN, text.replace("-----END", "-----ENDE")), "malformed");
}

#[test]
fn a_time_stamp_over_the_signature_is_verified_too() {
    let good = stamp_annotation(&time_stamp(&signed().signature, SIGNED - 5));
    assert_eq!(verify(&signed(), &with(TIME_STAMP, good)).expect("verifies").signed_at, SIGNED - 5);
    refused(&with(TIME_STAMP, stamp_annotation(&time_stamp(b"another", SIGNED))), "time stamp is refused");
    refused(&with(TIME_STAMP, stamp_annotation(&time_stamp(&signed().signature, SIGNED + 3600))), "certificate");
    refused(&with(TIME_STAMP, "{}"), "parsing the time stamp");
}

#[test]
fn a_public_key_in_the_certificate_annotation_is_refused() {
    let key = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(Party::Signer.spki()));
    refused(&with(CERTIFICATE, key), "the certificate's annotation holds a public key");
    // The same bytes under a certificate's label.
    let dressed = base64(Party::Signer.spki());
    let (first, second) = dressed.split_at(64);
    let dressed = format!("-----BEGIN CERTIFICATE-----\n{first}\n{second}\n-----END CERTIFICATE-----\n");
    refused(&with(CERTIFICATE, dressed), "the certificate's place holds a public key");
}

#[test]
fn annotations_without_certificate_or_log_entry_are_refused() {
    for (name, words) in [(CERTIFICATE, "no certificate"), (BUNDLE, "no log entry")] {
        let mut all = annotations(&signed());
        all.remove(name);
        refused(&all, words);
    }
    // A time stamp is no log entry.
    let mut all = with(TIME_STAMP, stamp_annotation(&time_stamp(&signed().signature, SIGNED)));
    all.remove(BUNDLE);
    refused(&all, "no log entry");
    refused(&with(CERTIFICATE, ""), "no certificate");
    refused(&with(CERTIFICATE, pem(&signed().certificate).repeat(2)), "certificate in the annotation: 2 found");
}

#[test]
fn an_entry_about_another_payload_signature_or_certificate_is_refused() {
    let other = sign_message(&Request::default(), b"another payload");
    refused(&with(BUNDLE, bundle_annotation(&entry_v1(&other))), "about something else");
    let stranger = sign_message(&Request { key: Party::Stranger, ..Request::default() }, &payload());
    refused(&with(BUNDLE, bundle_annotation(&entry_v1(&stranger))), "does not match");
    refused(
        &with(CERTIFICATE, pem(&Request { not_before: SIGNED - 1, ..Request::default() }.certificate())),
        "does not match",
    );
}

#[test]
fn a_signature_of_one_party_under_the_certificate_of_another_is_refused() {
    let stranger = sign_message(&Request { key: Party::Stranger, ..Request::default() }, &payload());
    let error = verify(&stranger, &annotations(&signed())).expect_err("another signature");
    assert!(matches!(error, KeylessError::Signature(_)), "{error}");
}

#[test]
fn another_payload_is_refused() {
    let annotations = annotations(&signed());
    let error = verifier().verify_legacy(b"another payload", &signed().signature, &annotations).expect_err("another");
    assert!(matches!(error, KeylessError::Signature(_)), "{error}");
}

#[test]
fn a_tampered_promise_is_refused() {
    refused(&edited(|entry| entry["Payload"]["integratedTime"] = (SIGNED + 1).into()), "SET verification failed");
    refused(&edited(|entry| entry["Payload"]["logIndex"] = 8.into()), "SET verification failed");
    refused(&edited(|entry| entry["Payload"]["integratedTime"] = 0.into()), "no integratedTime");
    refused(
        &edited(|entry| entry["Payload"]["logID"] = hex([7; 32]).into()),
        "a log that the trusted root does not name",
    );
    refused(&edited(|entry| entry["Payload"]["logID"] = "xyz".into()), "logID");
    let forged = |entry: &mut Value| {
        let body = entry["Payload"]["body"].as_str().expect("a body").to_owned();
        entry["SignedEntryTimestamp"] = base64(signed_entry_timestamp(&body, SIGNED, 7, Party::Stranger)).into();
    };
    refused(&edited(forged), "SET verification failed");
}

#[test]
fn an_entry_of_another_kind_or_with_a_member_twice_is_refused() {
    let v2 = entry_v2(&signed())["canonicalizedBody"].clone();
    assert!(verify(&signed(), &edited(|entry| entry["Payload"]["body"] = v2)).is_err());
    let body = json!({"apiVersion": "0.0.1", "kind": "helm"}).to_string();
    refused(&edited(|entry| entry["Payload"]["body"] = base64(body).into()), "parsing the bundle");
    let twice = bundle_annotation(&entry_v1(&signed())).to_string().replacen('{', r#"{"SignedEntryTimestamp":"","#, 1);
    refused(&with(BUNDLE, twice), "duplicate member");
}

fn attested() -> Signed {
    sign_statement(&Request::default(), IN_TOTO, &statement())
}

fn verify_attestation(signed: &Signed, annotations: &Annotations) -> Result<Certified, KeylessError> {
    let envelope = signed.content.1.to_string();
    let digest = Digest::of(ARTIFACT);
    verifier().verify_legacy_attestation(envelope.as_bytes(), Artifact::Digest(&digest), annotations)
}

#[test]
fn an_attestation_layer_verifies() {
    let certified = verify_attestation(&attested(), &annotations(&attested())).expect("verifies");
    assert_eq!(certified.content, Content::Statement(statement()));
    assert_eq!(certified.log[0].kind, "dsse 0.0.1");
}

#[test]
fn an_attestation_logged_as_intoto_verifies() {
    let signed = attested();
    let intoto = |key: &Signed| {
        let signature = json!({"publicKey": base64(pem(&key.certificate)), "sig": base64(base64(&key.signature))});
        let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(sha256(bytes))});
        let envelope = json!({"payloadType": IN_TOTO, "signatures": [signature]});
        let content = json!({"envelope": envelope, "hash": hash(b"envelope"), "payloadHash": hash(&key.payload)});
        let body = json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}}).to_string();
        let promise = signed_entry_timestamp(&base64(&body), SIGNED, 7, Party::Rekor);
        json!({"canonicalizedBody": base64(body), "inclusionPromise": {"signedEntryTimestamp": base64(promise)}})
    };
    let mut all = annotations(&signed);
    all.insert(BUNDLE.to_owned(), bundle_annotation(&intoto(&signed)).to_string());
    assert_eq!(verify_attestation(&signed, &all).expect("verifies").log[0].kind, "intoto 0.0.2");

    let other = sign_statement(&Request { key: Party::Stranger, ..Request::default() }, IN_TOTO, &statement());
    all.insert(BUNDLE.to_owned(), bundle_annotation(&intoto(&other)).to_string());
    assert!(matches!(verify_attestation(&signed, &all), Err(KeylessError::Log(_))));
}

#[test]
fn the_time_stamp_of_an_attestation_is_over_its_signature_or_the_envelope() {
    let signed = attested();
    let stamped = |bytes: &[u8], at: i64| {
        let mut all = annotations(&signed);
        all.insert(TIME_STAMP.to_owned(), stamp_annotation(&time_stamp(bytes, at)).to_string());
        verify_attestation(&signed, &all)
    };
    let envelope = signed.content.1.to_string();
    assert_eq!(stamped(envelope.as_bytes(), SIGNED - 5).expect("verifies").signed_at, SIGNED - 5);
    assert_eq!(stamped(&signed.signature, SIGNED - 5).expect("verifies").signed_at, SIGNED - 5);
    assert!(matches!(stamped(b"another", SIGNED), Err(KeylessError::TimeStamp(_))));
    assert!(matches!(stamped(envelope.as_bytes(), SIGNED + 3600), Err(KeylessError::Certificate(_))));
    assert!(matches!(stamped(envelope.as_bytes(), NOW + 1), Err(KeylessError::Certificate(_))));
}

#[test]
fn a_time_stamp_from_the_future_is_refused() {
    let signed = attested();
    let envelope = signed.content.1.to_string();
    let mut all = annotations(&signed);
    all.insert(TIME_STAMP.to_owned(), stamp_annotation(&time_stamp(&signed.signature, SIGNED + 60)).to_string());
    let verify_at = |now| {
        let artifact = Artifact::Bytes(ARTIFACT);
        verifier_at(&trusted_root(), now).verify_legacy_attestation(envelope.as_bytes(), artifact, &all)
    };
    assert!(matches!(verify_at(SIGNED + 59), Err(KeylessError::Future { .. })));
    assert!(verify_at(SIGNED + 60).is_ok());
}

#[test]
fn an_attestation_about_another_image_is_refused() {
    let signed = attested();
    let envelope = signed.content.1.to_string();
    let other = Digest::of(b"another image");
    let outcome =
        verifier().verify_legacy_attestation(envelope.as_bytes(), Artifact::Digest(&other), &annotations(&signed));
    assert!(matches!(outcome, Err(KeylessError::Artifact(_))));
}
