//! Attestations: type, subject, signer and policy, each of which must hold.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use csign_envelope::{
    PredicateType, PublicKey,
    bundle::Bundle,
    dsse::{self, Envelope},
    statement::{STATEMENT_V01, STATEMENT_V1, Statement},
};
use csign_oci::{Digest, Pinned, Repository};
use csign_trust::{
    AttestationCheck, AttestationReport, Judgement, PartyStatus, Roster, Signer, Source, StatementPolicy, Verdict,
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

fn roster(seeds: &[u8], threshold: &str) -> Roster {
    let signers = seeds.iter().map(|seed| Signer::with_key(format!("party-{seed}"), public(*seed))).collect();
    Roster::new(signers, threshold.parse().expect("threshold")).expect("roster")
}

fn custom() -> PredicateType {
    "custom".parse().expect("type")
}

fn statement(data: &str) -> Statement {
    let predicate = json!({"Data": data, "Timestamp": ""});
    let name = image().repository.to_string();
    Statement::attestation(STATEMENT_V01, Some(&name), &image().digest, custom().uri(), predicate)
}

fn envelope(statement: &Statement, seed: u8) -> Envelope {
    let payload = statement.to_bytes().expect("writes");
    let signature: Signature = signing(seed).sign(&dsse::pae(dsse::IN_TOTO, &payload));
    Envelope::new(dsse::IN_TOTO, &payload, signature.to_der().as_bytes())
}

/// A layer of `.att`.
fn layer(statement: &Statement, seed: u8) -> Vec<u8> {
    serde_json::to_vec(&envelope(statement, seed)).expect("serializes")
}

fn bundle(statement: &Statement, seed: u8) -> Vec<u8> {
    serde_json::to_vec(&Bundle::new(envelope(statement, seed), &public(seed))).expect("serializes")
}

/// The tutorial's rule: foo is bar in the custom predicate's data.
struct FooIsBar;

impl StatementPolicy for FooIsBar {
    fn name(&self) -> &str {
        "foo-is-bar"
    }
    fn judge(&self, statement: &[u8]) -> Judgement {
        let statement: Value = serde_json::from_slice(statement).expect("a statement");
        let data: Value =
            serde_json::from_str(statement["predicate"]["Data"].as_str().unwrap_or_default()).unwrap_or_default();
        if data["foo"] == "bar" {
            Judgement::Allowed
        } else {
            Judgement::Refused(vec![format!("foo is {}", data["foo"])])
        }
    }
}

fn judge(
    roster: &Roster,
    policies: &[&dyn StatementPolicy],
    feed: impl Fn(&mut AttestationCheck<'_>),
) -> AttestationReport {
    let kind = custom();
    let mut check = AttestationCheck::new(&image(), roster, &kind, policies.iter().copied());
    feed(&mut check);
    check.report()
}

fn status(report: &AttestationReport, index: usize) -> &PartyStatus {
    &report.image.parties[index].status
}

#[test]
fn layers_and_bundles_count_and_the_same_statement_in_both_is_one() {
    let good = statement("{\"foo\":\"bar\"}");
    let report = judge(&roster(&[1, 2], "all"), &[&FooIsBar], |check| {
        check.envelope(&layer(&good, 1), &BTreeMap::new());
        check.bundle(&bundle(&good, 1));
        check.bundle(&bundle(&good, 2));
    });
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(status(&report, 0), &PartyStatus::Signed { source: Source::Attestation });
    assert_eq!(status(&report, 1), &PartyStatus::Signed { source: Source::Bundle });
    assert_eq!(report.statements.len(), 2);
}

#[test]
fn another_type_is_not_what_was_asked_for() {
    for other in ["https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1", "custom"] {
        let mut wrong = statement("{}");
        wrong.predicate_type = other.to_owned();
        let report = judge(&roster(&[1], "all"), &[], |check| check.bundle(&bundle(&wrong, 1)));
        assert_eq!(report.verdict(), Verdict::Rejected, "{other}");
        assert_eq!(status(&report, 0), &PartyStatus::Missing);
    }
    let mut old = statement("{}");
    old.predicate_type = "cosign.sigstore.dev/attestation/v1".to_owned();
    let report = judge(&roster(&[1], "all"), &[], |check| check.bundle(&bundle(&old, 1)));
    assert_eq!(report.verdict(), Verdict::Verified, "as older cosign wrote it");
}

#[test]
fn an_attestation_of_another_image_or_repository_is_refused() {
    let other = Digest::of(b"other");
    let elsewhere = Statement::attestation(STATEMENT_V1, None, &other, custom().uri(), json!({}));
    let report = judge(&roster(&[1], "all"), &[], |check| check.bundle(&bundle(&elsewhere, 1)));
    assert_eq!(status(&report, 0), &PartyStatus::WrongDigest { signed: other.to_string() });

    let copied = Statement::attestation(STATEMENT_V1, Some("r.example/x"), &image().digest, custom().uri(), json!({}));
    let report = judge(&roster(&[1], "all"), &[], |check| check.bundle(&bundle(&copied, 1)));
    assert_eq!(status(&report, 0), &PartyStatus::WrongRepository { signed: "r.example/x".to_owned() });

    let kind = custom();
    let roster = roster(&[1], "all");
    let mut check = AttestationCheck::new(&image(), &roster, &kind, []).signed_as(["r.example/x".to_owned()]);
    check.bundle(&bundle(&copied, 1));
    assert_eq!(check.report().verdict(), Verdict::Verified);
}

#[test]
fn a_policy_refuses_and_says_why() {
    let report = judge(&roster(&[1], "all"), &[&FooIsBar], |check| check.bundle(&bundle(&statement("{\"foo\":1}"), 1)));
    assert_eq!(report.verdict(), Verdict::Rejected);
    assert_eq!(status(&report, 0), &PartyStatus::PolicyRefused { reasons: vec!["foo-is-bar: foo is 1".to_owned()] });
}

#[test]
fn a_good_attestation_does_not_hide_a_refused_one_in_either_order() {
    let (good, bad) = (bundle(&statement("{\"foo\":\"bar\"}"), 1), bundle(&statement("{\"foo\":\"baz\"}"), 1));
    for order in [[&good, &bad], [&bad, &good]] {
        let report = judge(&roster(&[1], "all"), &[&FooIsBar], |check| order.iter().for_each(|one| check.bundle(one)));
        assert!(matches!(status(&report, 0), PartyStatus::PolicyRefused { .. }), "{report:?}");
        assert_eq!(report.verdict(), Verdict::Rejected);
    }
}

#[test]
fn a_strangers_attestation_neither_helps_nor_hurts() {
    let report = judge(&roster(&[1], "all"), &[&FooIsBar], |check| {
        check.bundle(&bundle(&statement("{\"foo\":\"baz\"}"), 9));
        check.envelope(&layer(&statement("{\"foo\":\"bar\"}"), 9), &BTreeMap::new());
        check.bundle(&bundle(&statement("{\"foo\":\"bar\"}"), 1));
    });
    assert_eq!((report.verdict(), report.image.unknown.len()), (Verdict::Verified, 2));
}

#[test]
fn the_threshold_counts_parties_not_attestations() {
    let report = judge(&roster(&[1, 2, 3], "2"), &[], |check| {
        for data in ["a", "b", "c"] {
            check.bundle(&bundle(&statement(data), 1));
        }
    });
    assert_eq!((report.image.signed(), report.verdict()), (1, Verdict::Rejected));
}

#[test]
fn what_could_not_be_read_may_be_what_a_policy_refuses() {
    let feed = |check: &mut AttestationCheck<'_>| {
        check.bundle(&bundle(&statement("{\"foo\":\"bar\"}"), 1));
        check.unchecked("a bundle could not be read");
    };
    assert_eq!(judge(&roster(&[1], "all"), &[&FooIsBar], feed).verdict(), Verdict::CouldNotCheck);
    assert_eq!(judge(&roster(&[1], "all"), &[], feed).verdict(), Verdict::Verified);
}
