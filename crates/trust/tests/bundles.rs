//! Attacks on sigstore bundles as image signatures, and the honest cases beside them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use csign_contract::Threshold;
use csign_envelope::{
    PublicKey,
    bundle::Bundle,
    dsse::{self, Envelope},
    simple_signing,
    statement::{STATEMENT_V01, STATEMENT_V1, Statement},
};
use csign_oci::{Digest, Pinned, Repository};
use csign_trust::{
    Identity, ImageCheck, ImageReport, PartyStatus, Roster, RosterError, Signer, Source, Verdict,
    certificate::{CERTIFICATE_ANNOTATION, CertificateVerifier, Certified},
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

fn image() -> Pinned {
    Repository::parse("r.example/team/app").expect("repository").at(Digest::of(b"the image"))
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("scalar")
}

fn public(seed: u8) -> PublicKey {
    PublicKey::new(*signing(seed).verifying_key()).expect("key")
}

fn roster(seeds: &[u8]) -> Roster {
    let signers = seeds.iter().map(|seed| Signer::with_key(format!("party-{seed}"), public(*seed))).collect();
    Roster::new(signers, Threshold::All).expect("roster")
}

fn bundle_of(payload_type: &str, payload: &[u8], seed: u8) -> Bundle {
    let signature: Signature = signing(seed).sign(&dsse::pae(payload_type, payload));
    Bundle::new(Envelope::new(payload_type, payload, signature.to_der().as_bytes()), &public(seed))
}

fn signed(statement: &Statement, seed: u8) -> Vec<u8> {
    bytes(&bundle_of(dsse::IN_TOTO, &statement.to_bytes().expect("writes"), seed))
}

fn bytes(bundle: &Bundle) -> Vec<u8> {
    serde_json::to_vec(bundle).expect("serializes")
}

fn signature(digest: &Digest) -> Statement {
    Statement::signature(digest, &BTreeMap::new())
}

fn judge(roster: &Roster, bundles: &[Vec<u8>]) -> ImageReport {
    let mut check = ImageCheck::new(&image(), roster);
    bundles.iter().for_each(|bundle| check.bundle(bundle));
    check.report()
}

fn status(report: &ImageReport, index: usize) -> &PartyStatus {
    &report.parties[index].status
}

#[test]
fn a_bundle_counts_beside_a_legacy_signature() {
    let roster = roster(&[1, 2]);
    let mut check = ImageCheck::new(&image(), &roster);
    let payload = simple_signing::payload(
        &image().repository,
        &image().digest,
        &simple_signing::annotations(&public(1), &BTreeMap::new()),
    );
    let legacy: Signature = signing(1).sign(&payload);
    let layer = csign_envelope::sig_image::signature_layer(&payload, legacy.to_der().as_bytes(), &BTreeMap::new());
    check.layer(&layer);
    assert!(!check.is_complete());
    check.bundle(&signed(&signature(&image().digest), 2));
    let report = check.report();
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(status(&report, 0), &PartyStatus::Signed { source: Source::Registry });
    assert_eq!(status(&report, 1), &PartyStatus::Signed { source: Source::Bundle });
}

#[test]
fn an_attestation_is_no_signature() {
    for predicate in ["https://slsa.dev/provenance/v1", "https://cosign.sigstore.dev/attestation/v1", ""] {
        let statement = Statement::attestation(STATEMENT_V1, None, &image().digest, predicate, json!({}));
        let report = judge(&roster(&[1]), &[signed(&statement, 1)]);
        assert_eq!(report.verdict(), Verdict::Rejected, "{predicate}");
        assert_eq!(status(&report, 0), &PartyStatus::Missing);
    }
}

#[test]
fn a_bundle_about_another_image_or_only_in_another_algorithm_is_refused() {
    let other = Digest::of(b"another image");
    let report = judge(&roster(&[1]), &[signed(&signature(&other), 1)]);
    assert_eq!(status(&report, 0), &PartyStatus::WrongDigest { signed: other.to_string() });

    let mut sha512 = signature(&image().digest);
    sha512.subject[0].digest = BTreeMap::from([("sha512".to_owned(), image().digest.hex())]);
    let report = judge(&roster(&[1]), &[signed(&sha512, 1)]);
    assert!(matches!(status(&report, 0), PartyStatus::WrongPayload { .. }), "{report:?}");

    let mut none = signature(&image().digest);
    none.subject.clear();
    assert_eq!(judge(&roster(&[1]), &[signed(&none, 1)]).verdict(), Verdict::Rejected);
}

#[test]
fn a_bundle_that_names_another_repository_is_refused_unless_that_name_is_accepted() {
    let mut elsewhere = signature(&image().digest);
    elsewhere.subject[0].name = Some("r.example/other/app".to_owned());
    let bundle = signed(&elsewhere, 1);
    let roster = roster(&[1]);
    let report = judge(&roster, std::slice::from_ref(&bundle));
    assert_eq!(status(&report, 0), &PartyStatus::WrongRepository { signed: "r.example/other/app".to_owned() });
    let mut check = ImageCheck::new(&image(), &roster).signed_as(["r.example/other/app".to_owned()]);
    check.bundle(&bundle);
    assert_eq!(check.report().verdict(), Verdict::Verified);
}

#[test]
fn a_legacy_payload_that_names_another_repository_is_refused_unless_that_name_is_accepted() {
    let elsewhere = Repository::parse("r.example/other/app").expect("repository");
    let payload = simple_signing::payload(&elsewhere, &image().digest, &BTreeMap::new());
    let signature: Signature = signing(1).sign(&payload);
    let layer = csign_envelope::sig_image::signature_layer(&payload, signature.to_der().as_bytes(), &BTreeMap::new());
    let roster = roster(&[1]);
    let judge = |mut check: ImageCheck<'_>| {
        check.layer(&layer);
        check.payload(&layer, &payload);
        check.report()
    };
    let report = judge(ImageCheck::new(&image(), &roster));
    assert_eq!(status(&report, 0), &PartyStatus::WrongRepository { signed: elsewhere.to_string() });
    let accepting = ImageCheck::new(&image(), &roster).signed_as([elsewhere.to_string()]);
    assert_eq!(judge(accepting).verdict(), Verdict::Verified);
}

#[test]
fn a_swapped_payload_type_and_a_second_signature_are_refused() {
    let statement = signature(&image().digest).to_bytes().expect("writes");
    // Signed as another type, presented as a statement; and the other way round.
    let mut swapped = bundle_of("text/plain", &statement, 1);
    assert_ne!(judge(&roster(&[1]), &[bytes(&swapped)]).verdict(), Verdict::Verified);
    swapped.dsse_envelope.payload_type = dsse::IN_TOTO.to_owned();
    let report = judge(&roster(&[1]), &[bytes(&swapped)]);
    assert_eq!(status(&report, 0), &PartyStatus::BadSignature);

    let mut two = bundle_of(dsse::IN_TOTO, &statement, 1);
    two.dsse_envelope.signatures.push(bundle_of(dsse::IN_TOTO, &statement, 2).dsse_envelope.signatures.remove(0));
    assert_ne!(judge(&roster(&[1]), &[bytes(&two)]).verdict(), Verdict::Verified);
    assert_ne!(judge(&roster(&[1, 2]), &[bytes(&two)]).verdict(), Verdict::Verified);
}

#[test]
fn a_bundle_copied_under_another_partys_hint_counts_for_its_maker_alone() {
    let mut stolen = bundle_of(dsse::IN_TOTO, &signature(&image().digest).to_bytes().expect("writes"), 1);
    stolen.verification_material.public_key.hint = public(2).bundle_hint();
    let report = judge(&roster(&[1, 2]), &[bytes(&stolen)]);
    assert_eq!(status(&report, 0), &PartyStatus::Signed { source: Source::Bundle });
    assert_eq!(status(&report, 1), &PartyStatus::Missing);
    assert_eq!(report.verdict(), Verdict::Rejected);

    // Made by a stranger under a party's hint: that party's signature is bad, and nobody signed.
    let mut forged = bundle_of(dsse::IN_TOTO, &signature(&image().digest).to_bytes().expect("writes"), 9);
    forged.verification_material.public_key.hint = public(2).bundle_hint();
    let report = judge(&roster(&[1, 2]), &[bytes(&forged)]);
    assert_eq!(status(&report, 1), &PartyStatus::BadSignature);
    assert_eq!(report.signed(), 0);
}

#[test]
fn a_signer_of_several_bundles_counts_once() {
    let mut annotated = signature(&image().digest);
    annotated.subject[0].annotations = Some(BTreeMap::from([("build".to_owned(), Value::from("1"))]));
    let bundles =
        [signed(&signature(&image().digest), 1), signed(&annotated, 1), signed(&signature(&image().digest), 1)];
    let report = judge(&roster(&[1, 2]), &bundles);
    assert_eq!((report.signed(), report.verdict()), (1, Verdict::Rejected));
}

#[test]
fn a_statement_of_the_old_version_and_one_of_none() {
    let mut statement = signature(&image().digest);
    statement.kind = STATEMENT_V01.to_owned();
    assert_eq!(judge(&roster(&[1]), &[signed(&statement, 1)]).verdict(), Verdict::Verified);
    statement.kind = "https://example.com/Statement".to_owned();
    let report = judge(&roster(&[1]), &[signed(&statement, 1)]);
    assert!(matches!(status(&report, 0), PartyStatus::WrongPayload { .. }));
}

#[test]
fn a_statement_with_duplicate_members_is_refused_though_it_is_signed() {
    let text = String::from_utf8(signature(&image().digest).to_bytes().expect("writes")).expect("utf-8");
    let twice = text.replace("\"predicate\":{}", "\"predicate\":{},\"predicate\":{}");
    let report = judge(&roster(&[1]), &[bytes(&bundle_of(dsse::IN_TOTO, twice.as_bytes(), 1))]);
    assert!(matches!(status(&report, 0), PartyStatus::WrongPayload { .. }), "{report:?}");
}

#[test]
fn only_signatures_over_the_annotations_asked_for_count() {
    let annotations = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    let with =
        |value: &str| Statement::signature(&image().digest, &BTreeMap::from([("env".to_owned(), value.to_owned())]));
    let roster = roster(&[1]);
    let judge = |bundle: Vec<u8>| {
        let mut check = ImageCheck::new(&image(), &roster).with_annotations(annotations.clone());
        check.bundle(&bundle);
        check.report().verdict()
    };
    assert_eq!(judge(signed(&with("prod"), 1)), Verdict::Verified);
    assert_eq!(judge(signed(&with("test"), 1)), Verdict::Rejected);
    assert_eq!(judge(signed(&signature(&image().digest), 1)), Verdict::Rejected);
}

#[test]
fn garbage_is_nobodys_and_breaks_nothing() {
    let good = signed(&signature(&image().digest), 1);
    let bundles = [b"".to_vec(), b"{}".to_vec(), b"[[[[".to_vec(), good[..good.len() - 1].to_vec(), good];
    let report = judge(&roster(&[1]), &bundles);
    assert_eq!((report.verdict(), report.unknown.len()), (Verdict::Verified, 4));
}

/// Believes whatever stands in the certificate field, as a verifier that has checked it would report it.
struct Believes;

impl CertificateVerifier for Believes {
    fn bundle(&self, bundle: &[u8]) -> Result<(Certified, Vec<u8>), String> {
        let value: Value = serde_json::from_slice(bundle).map_err(|error| error.to_string())?;
        let subject = value["verificationMaterial"]["certificate"]["subject"].as_str().ok_or("no subject")?.to_owned();
        let payload = value["payload"].as_str().ok_or("no payload")?.as_bytes().to_vec();
        Ok((Certified { subject, issuer: "https://issuer.example".to_owned() }, payload))
    }

    fn layer(
        &self,
        bytes: &[u8],
        _: Option<&[u8]>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Certified, Vec<u8>), String> {
        let subject = annotations[CERTIFICATE_ANNOTATION].clone();
        Ok((Certified { subject, issuer: "https://issuer.example".to_owned() }, bytes.to_vec()))
    }
}

fn by_certificate(subject: &str, statement: &Statement) -> Vec<u8> {
    let payload = String::from_utf8(statement.to_bytes().expect("writes")).expect("utf-8");
    json!({"verificationMaterial": {"certificate": {"subject": subject}}, "payload": payload}).to_string().into_bytes()
}

fn identity(name: &'static str) -> Signer {
    let rule = move |certified: &Certified| certified.subject.ends_with(name);
    Signer { name: name.to_owned(), credential: csign_trust::Credential::Identity(Identity::new(name, rule)) }
}

#[test]
fn an_identity_signs_with_any_number_of_certificates_and_counts_once() {
    let roster = Roster::new(vec![identity("alice"), identity("bob")], Threshold::All).expect("roster");
    let statement = signature(&image().digest);
    let verdict = |bundles: &[Vec<u8>]| {
        let mut check = ImageCheck::new(&image(), &roster).with_certificates(&Believes);
        bundles.iter().for_each(|bundle| check.bundle(bundle));
        check.report().verdict()
    };
    let (alice, bob) = (by_certificate("alice", &statement), by_certificate("bob", &statement));
    assert_eq!(verdict(&[alice.clone(), bob.clone()]), Verdict::Verified);
    assert_eq!(verdict(&[alice.clone(), alice.clone()]), Verdict::Rejected);
    assert_eq!(verdict(&[alice.clone(), by_certificate("mallory", &statement)]), Verdict::Rejected);
    assert_eq!(verdict(&[alice, by_certificate("bob", &signature(&Digest::of(b"other")))]), Verdict::Rejected);
}

#[test]
fn a_subject_that_fits_two_identities_counts_for_neither() {
    let roster = Roster::new(vec![identity("e"), identity("alice")], "1".parse().expect("threshold")).expect("roster");
    let mut check = ImageCheck::new(&image(), &roster).with_certificates(&Believes);
    check.bundle(&by_certificate("alice", &signature(&image().digest)));
    let report = check.report();
    assert_eq!((report.signed(), report.verdict()), (0, Verdict::Rejected));
    assert!(report.unknown[0].problem.contains("fits two"), "{report:?}");
}

#[test]
fn one_identity_twice_is_refused() {
    let twice = Roster::new(vec![identity("alice"), identity("alice")], Threshold::All);
    assert!(matches!(twice, Err(RosterError::SameIdentity(_))));
}

#[test]
fn a_certificate_is_nobodys_where_only_keys_were_asked_for_or_nothing_can_check_it() {
    let bundle = by_certificate("party-1", &signature(&image().digest));
    let keys = roster(&[1]);
    let mut check = ImageCheck::new(&image(), &keys).with_certificates(&Believes);
    check.bundle(&bundle);
    assert_eq!(check.report().verdict(), Verdict::Rejected);

    let alice = Roster::new(vec![identity("alice")], Threshold::All).expect("roster");
    let mut check = ImageCheck::new(&image(), &alice);
    check.bundle(&by_certificate("alice", &signature(&image().digest)));
    assert_eq!(check.report().verdict(), Verdict::Rejected);
}

#[test]
fn a_legacy_layer_with_a_certificate_counts_for_its_identity_without_a_fetch() {
    let alice = Roster::new(vec![identity("alice")], Threshold::All).expect("roster");
    let payload = simple_signing::payload(&image().repository, &image().digest, &BTreeMap::new());
    let annotations = BTreeMap::from([(CERTIFICATE_ANNOTATION.to_owned(), "alice".to_owned())]);
    let layer = csign_envelope::sig_image::signature_layer(&payload, b"signature", &annotations);
    let mut check = ImageCheck::new(&image(), &alice).with_certificates(&Believes);
    assert_eq!(check.layer(&layer), csign_trust::Need::Nothing);
    assert_eq!(check.report().verdict(), Verdict::Verified);
}
