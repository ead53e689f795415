//! What parties attested must satisfy the contract's policies, or the workload does not start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use csign_envelope::statement::{STATEMENT_V1, Statement};
use csign_oci::Digest;
use csign_trust::ExitStatus;
use serde_json::{Value, json};
use simulator::registry::{Effect, Fault};
use support::{PARTIES, REPOSITORY, Recorder, Site};

const KIND: &str = "https://example.com/review/v1";
const RULE: &str = "package signature\nallow { input.predicate.grade >= 3 }";

fn table(more: &str) -> String {
    format!("[[policy]]\nname = \"review\"\npredicate_type = \"{KIND}\"\nrego = '''\n{RULE}\n'''\n{more}\n[[party]]")
}

/// A site with the policy, where everyone signed the image and nobody attested anything.
async fn site(more: &str) -> Site {
    let mut site = Site::with_contract(|text| text.replacen("[[party]]", &table(more), 1)).await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    site
}

fn attest(site: &Site, party: &str, predicate: Value) {
    let statement = Statement::attestation(STATEMENT_V1, Some(REPOSITORY), &support::image(), KIND, predicate);
    site.refer(party, &statement);
}

async fn refused(site: &Site, status: ExitStatus) -> Recorder {
    let (got, log) = site.boot_refused().await;
    assert_eq!(got, status, "{}", log.people());
    log
}

#[tokio::test]
async fn boots_where_every_party_attested_what_the_policy_asks_for() {
    let site = site("").await;
    for party in PARTIES {
        attest(&site, party, json!({"grade": 3}));
    }
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_missing_attestation_is_rejected_and_named() {
    let site = site("").await;
    attest(&site, PARTIES[0], json!({"grade": 3}));
    let log = refused(&site, ExitStatus::Rejected).await;
    let table = log.people();
    assert!(table.lines().any(|row| row.contains("REFUSED") && row.contains("review by collaborator-1")), "{table}");
    assert!(table.lines().any(|row| row.starts_with("ok") && row.contains("review by builder")), "{table}");
}

#[tokio::test]
async fn an_attestation_that_the_policy_refuses_is_rejected_with_the_reason() {
    let site = site("").await;
    for (party, grade) in PARTIES.into_iter().zip([3, 2, 3]) {
        attest(&site, party, json!({"grade": grade}));
    }
    let table = refused(&site, ExitStatus::Rejected).await.people();
    assert!(table.lines().any(|row| row.contains("review by collaborator-1") && row.contains("grade")), "{table}");
}

#[tokio::test]
async fn a_good_attestation_does_not_undo_a_bad_one_of_the_same_party() {
    let site = site("").await;
    for party in PARTIES {
        attest(&site, party, json!({"grade": 3}));
    }
    attest(&site, PARTIES[1], json!({"grade": 1}));
    refused(&site, ExitStatus::Rejected).await;
}

#[tokio::test]
async fn an_attestation_of_a_stranger_about_another_image_or_of_another_type_does_not_count() {
    let site = site("threshold = 1").await;
    attest(&site, "stranger", json!({"grade": 9}));
    let other = Statement::attestation(STATEMENT_V1, Some(REPOSITORY), &Digest::of("other"), KIND, json!({"grade": 9}));
    site.refer(PARTIES[0], &other);
    let kind = "https://example.com/other/v1";
    let about = Statement::attestation(STATEMENT_V1, Some(REPOSITORY), &support::image(), kind, json!({"grade": 9}));
    site.refer(PARTIES[1], &about);
    refused(&site, ExitStatus::Rejected).await;
}

#[tokio::test]
async fn a_policy_may_ask_for_fewer_parties_than_must_sign() {
    let site = site("threshold = 1").await;
    attest(&site, PARTIES[0], json!({"grade": 3}));
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn attestations_that_cannot_be_read_mean_could_not_check_even_where_enough_are_there() {
    for path in ["/referrers/", "/manifests/sha256-"] {
        let site = site("threshold = 1").await;
        attest(&site, PARTIES[0], json!({"grade": 3}));
        site.simulator.registry().inject(Fault::on(path, Effect::Status(403, None)).times(100));
        refused(&site, ExitStatus::CouldNotCheck).await;
    }
}

#[tokio::test]
async fn a_signature_does_not_stand_for_an_attestation_nor_an_attestation_for_a_signature() {
    let mut site = site("").await;
    site.sign_in_registry(&PARTIES, &support::image());
    refused(&site, ExitStatus::Rejected).await;
    for party in PARTIES {
        attest(&site, party, json!({"grade": 3}));
    }
    site.sign_in_token(&PARTIES[..2]);
    site.sign_in_registry(&PARTIES[..2], &support::image());
    site.listen(Arc::new(|_, _| {}));
    refused(&site, ExitStatus::Rejected).await;
}

#[tokio::test]
async fn a_policy_that_is_none_is_wrong_usage_and_nothing_is_asked() {
    for rego in
        ["package signature\nallow {", "package other\nallow { true }", "package signature\nallow { http.get(1) }"]
    {
        let table = table("").replace(RULE, rego);
        let mut site = Site::with_contract(|text| text.replacen("[[party]]", &table, 1)).await;
        site.sign_in_token(&PARTIES);
        site.listen(Arc::new(|_, _| {}));
        let log = refused(&site, ExitStatus::Usage).await;
        assert!(log.people().contains("policy review"), "{}", log.people());
    }
}
