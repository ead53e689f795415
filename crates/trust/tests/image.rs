//! Attacks on image signatures, and the honest cases beside them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::Threshold;
use csign_envelope::{PublicKey, simple_signing};
use csign_oci::{Descriptor, Digest, Pinned, Repository};
use csign_trust::{
    ImageCheck, ImageReport, Need, PartyStatus, Roster, RosterError, Signer, Source, TokenSignature, Verdict,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

fn image() -> Pinned {
    Repository::parse("r.example/team/app").expect("repository").at(Digest::of(b"the image"))
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("scalar")
}

fn public(seed: u8) -> PublicKey {
    PublicKey::new(*signing(seed).verifying_key()).expect("key")
}

fn roster(seeds: &[u8], threshold: &str) -> Roster {
    let signers = seeds.iter().map(|seed| Signer::with_key(format!("party-{seed}"), public(*seed))).collect();
    Roster::new(signers, threshold.parse::<Threshold>().expect("threshold")).expect("roster")
}

fn annotated(image: &Pinned, seed: u8) -> Vec<u8> {
    simple_signing::payload(
        &image.repository,
        &image.digest,
        &simple_signing::annotations(&public(seed), &BTreeMap::new()),
    )
}

fn layer(payload: &[u8], signature: &Signature) -> Descriptor {
    let mut layer = Descriptor::of(simple_signing::MEDIA_TYPE, payload);
    let base64 = BASE64_STANDARD.encode(signature.to_der().as_bytes());
    layer.annotations.insert(simple_signing::SIGNATURE_ANNOTATION.to_owned(), base64);
    layer
}

fn signed(payload: &[u8], seed: u8) -> Descriptor {
    layer(payload, &signing(seed).sign(payload))
}

/// Judges `layers`; `payloads` are what the registry would serve. Also says how many were fetched.
fn judge(roster: &Roster, layers: &[(Descriptor, Vec<u8>)]) -> (ImageReport, usize) {
    let mut check = ImageCheck::new(&image(), roster);
    let mut fetched = 0;
    for (layer, payload) in layers {
        if check.layer(layer) == Need::Payload {
            fetched += 1;
            check.payload(layer, payload);
        }
    }
    (check.report(), fetched)
}

fn status(report: &ImageReport, index: usize) -> &PartyStatus {
    &report.parties[index].status
}

#[test]
fn three_signers_verify_without_fetching_a_payload() {
    let layers: Vec<_> =
        [1, 2, 3].map(|seed| (signed(&annotated(&image(), seed), seed), annotated(&image(), seed))).into();
    let (report, fetched) = judge(&roster(&[1, 2, 3], "all"), &layers);
    assert_eq!((report.verdict(), fetched), (Verdict::Verified, 0));
    assert_eq!(report.into_verified().expect("verified").get(), &image());
}

#[test]
fn cosigns_plain_payload_verifies_without_fetching_it() {
    let plain = simple_signing::payload(&image().repository, &image().digest, &BTreeMap::new());
    let (report, fetched) = judge(&roster(&[1], "all"), &[(signed(&plain, 1), plain.clone())]);
    assert_eq!((report.verdict(), fetched), (Verdict::Verified, 0));
}

#[test]
fn an_annotated_payload_is_fetched_and_verifies() {
    let extra = BTreeMap::from([("build".to_owned(), "42".to_owned())]);
    let payload = simple_signing::payload(&image().repository, &image().digest, &extra);
    let (report, fetched) = judge(&roster(&[1], "all"), &[(signed(&payload, 1), payload.clone())]);
    assert_eq!((report.verdict(), fetched), (Verdict::Verified, 1));
}

#[test]
fn one_missing_party_rejects() {
    let layers = [(signed(&annotated(&image(), 1), 1), vec![])];
    let (report, _) = judge(&roster(&[1, 2], "all"), &layers);
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert_eq!(status(&report, 1), &PartyStatus::Missing);
    assert_eq!(judge(&roster(&[1, 2], "1"), &layers).0.verdict(), Verdict::Verified);
}

#[test]
fn a_signature_for_another_image_is_named_as_such() {
    let other = image().repository.at(Digest::of(b"another image"));
    let payload = annotated(&other, 1);
    let (report, _) = judge(&roster(&[1], "all"), &[(signed(&payload, 1), payload.clone())]);
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert_eq!(status(&report, 0), &PartyStatus::WrongDigest { signed: other.digest.to_string() });
}

#[test]
fn a_signature_copied_under_another_partys_name_is_bad() {
    let payload = annotated(&image(), 2);
    let stolen = layer(&payload, &signing(1).sign(&payload));
    let (report, _) = judge(&roster(&[1, 2], "all"), &[(stolen, payload)]);
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert_eq!(status(&report, 1), &PartyStatus::BadSignature);
}

#[test]
fn an_unknown_key_changes_nothing() {
    let payload = annotated(&image(), 9);
    let (report, _) = judge(&roster(&[1], "all"), &[(signed(&payload, 9), payload.clone())]);
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert_eq!(report.unknown.len(), 1);
}

#[test]
fn one_signer_counts_once_however_often_it_signed() {
    let payload = annotated(&image(), 1);
    let signature: Signature = signing(1).sign(&payload);
    let (r, s) = signature.split_scalars();
    let malleated = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).expect("(r, n-s)");
    assert_ne!(signature, malleated);
    assert!(public(1).verify(&payload, malleated.to_der().as_bytes()));
    let plain = simple_signing::payload(&image().repository, &image().digest, &BTreeMap::new());
    let layers = [
        (layer(&payload, &signature), payload.clone()),
        (layer(&payload, &malleated), payload.clone()),
        (signed(&plain, 1), plain.clone()),
    ];
    let (report, _) = judge(&roster(&[1, 2, 3], "2"), &layers);
    assert_eq!((report.signed(), report.verdict()), (1, Verdict::Rejected));
}

#[test]
fn one_key_on_the_roster_twice_is_refused() {
    let twice = vec![Signer::with_key("a", public(1)), Signer::with_key("b", public(1))];
    assert!(matches!(Roster::new(twice, Threshold::All), Err(RosterError::SameKey { .. })));
    assert_eq!(Roster::new(vec![], Threshold::All).expect_err("nobody"), RosterError::Empty);
}

#[test]
fn something_else_signed_with_the_right_key_is_no_signature() {
    let payload = br#"{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"sha256:00"},"type":"something"}}"#.to_vec();
    let (report, _) = judge(&roster(&[1], "all"), &[(signed(&payload, 1), payload.clone())]);
    assert!(matches!(status(&report, 0), PartyStatus::WrongPayload { .. }));
    assert_eq!(report.verdict(), Verdict::Rejected);
}

#[test]
fn a_payload_with_another_digest_is_unchecked_not_trusted() {
    let extra = BTreeMap::from([("build".to_owned(), "42".to_owned())]);
    let payload = simple_signing::payload(&image().repository, &image().digest, &extra);
    let (report, _) = judge(&roster(&[1], "all"), &[(signed(&payload, 1), b"something else".to_vec())]);
    assert_eq!(report.verdict(), Verdict::CouldNotCheck);
}

#[test]
fn what_could_not_be_read_matters_only_while_someone_is_missing() {
    let roster = roster(&[1], "all");
    let mut check = ImageCheck::new(&image(), &roster);
    check.unchecked("the registry did not answer");
    let report = check.report();
    assert_eq!(report.verdict(), Verdict::CouldNotCheck);
    assert_eq!(status(&report, 0), &PartyStatus::Unchecked);
    let mut check = ImageCheck::new(&image(), &roster);
    check.unchecked("the registry did not answer");
    check.layer(&signed(&annotated(&image(), 1), 1));
    assert_eq!(check.report().verdict(), Verdict::Verified);
}

#[test]
fn padded_or_broken_base64_and_foreign_layers_are_strays() {
    let payload = annotated(&image(), 1);
    let good = signed(&payload, 1);
    let mut newline = good.clone();
    newline.annotations.values_mut().for_each(|value| value.push('\n'));
    let mut foreign = good.clone();
    foreign.media_type = "application/octet-stream".to_owned();
    let mut bare = good;
    bare.annotations.clear();
    let layers: Vec<_> = [newline, foreign, bare].into_iter().map(|layer| (layer, payload.clone())).collect();
    let (report, _) = judge(&roster(&[1], "all"), &layers);
    assert_eq!((report.verdict(), report.unknown.len()), (Verdict::Rejected, 3));
}

#[test]
fn token_signatures_are_checked_again() {
    let roster = roster(&[1], "all");
    let payload = annotated(&image(), 1);
    let signature: Signature = signing(1).sign(&payload);
    let base64 = BASE64_STANDARD.encode(signature.to_der().as_bytes());
    let verdict = |key_id, signature: &str, algorithm: &str| {
        let mut check = ImageCheck::new(&image(), &roster);
        check.token_signature(&TokenSignature { key_id, signature, algorithm });
        check.report()
    };
    let good = verdict(public(1).id(), &base64, "ECDSA_P256_SHA256");
    assert_eq!(status(&good, 0), &PartyStatus::Signed { source: Source::Token });
    assert_eq!(verdict(public(2).id(), &base64, "ECDSA_P256_SHA256").verdict(), Verdict::Rejected);
    assert_eq!(verdict(public(1).id(), &base64, "RSASSA_PSS_SHA256").verdict(), Verdict::Rejected);
    assert_eq!(verdict(public(1).id(), "AAAA", "ECDSA_P256_SHA256").verdict(), Verdict::Rejected);
}

#[test]
fn a_bad_signature_added_later_does_not_undo_a_good_one() {
    let payload = annotated(&image(), 1);
    let forged = layer(&payload, &signing(9).sign(&payload));
    let elsewhere = annotated(&image().repository.at(Digest::of(b"another image")), 1);
    let layers = [
        (signed(&payload, 1), payload.clone()),
        (forged.clone(), payload.clone()),
        (signed(&elsewhere, 1), elsewhere.clone()),
    ];
    let both = roster(&[1, 2], "1");
    assert_eq!(judge(&both, &layers).0.verdict(), Verdict::Verified);
    let reversed: Vec<_> = layers.into_iter().rev().collect();
    assert_eq!(judge(&both, &reversed).0.verdict(), Verdict::Verified);
}
