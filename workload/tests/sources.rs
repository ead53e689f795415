//! Where signatures must be seen: the contract says which sources must agree, and one that it does not name never helps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use csign_envelope::statement::Statement;
use csign_oci::Digest;
use csign_trust::ExitStatus;
use simulator::registry::{Effect, Fault};
use support::{PARTIES, Recorder, Site};

/// A site whose contract wants `sources`; `in_token` and `in_registry` signed there.
async fn site(sources: &str, in_token: &[&str], in_registry: &[&str]) -> Site {
    let table = format!("[signatures]\nsources = \"{sources}\"\n[operator]");
    let mut site = Site::with_contract(|text| text.replace("[operator]", &table)).await;
    site.sign_in_token(in_token);
    if !in_registry.is_empty() {
        site.sign_in_registry(in_registry, &support::image());
    }
    site.listen(Arc::new(|_, _| {}));
    site
}

async fn boots(site: &Site) {
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

async fn rejected(site: &Site) -> Recorder {
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected, "{}", log.people());
    log
}

fn row(log: &Recorder, party: &str) -> String {
    let table = log.people();
    let row = table.lines().find(|row| row.contains(&format!("signature of {party} ")));
    row.unwrap_or_else(|| panic!("no row of {party} in {table}")).to_owned()
}

#[tokio::test]
async fn the_token_alone_is_enough_where_the_contract_says_token_and_the_registry_is_not_asked() {
    let site = site("token", &PARTIES, &[]).await;
    boots(&site).await;
    assert_eq!(site.simulator.registry().requests().len(), 0);
}

#[tokio::test]
async fn a_signature_in_the_registry_does_not_help_where_the_contract_says_token() {
    let site = site("token", &PARTIES[..2], &PARTIES).await;
    let log = rejected(&site).await;
    assert!(row(&log, PARTIES[2]).contains("MISSING"));
    assert_eq!(site.simulator.registry().requests().len(), 0);
}

#[tokio::test]
async fn the_registry_alone_is_enough_where_the_contract_says_registry() {
    boots(&site("registry", &[], &PARTIES).await).await;
}

#[tokio::test]
async fn a_signature_in_the_token_does_not_help_where_the_contract_says_registry() {
    let site = site("registry", &PARTIES, &PARTIES[..2]).await;
    let log = rejected(&site).await;
    assert!(row(&log, PARTIES[2]).contains("MISSING"));
}

#[tokio::test]
async fn both_sources_must_show_every_party_where_the_contract_says_both() {
    boots(&site("both", &PARTIES, &PARTIES).await).await;
    let log = rejected(&site("both", &PARTIES, &PARTIES[..2]).await).await;
    assert!(row(&log, PARTIES[2]).contains("the registry does not show it"), "{}", log.people());
    let log = rejected(&site("both", &PARTIES[1..], &PARTIES).await).await;
    assert!(row(&log, PARTIES[0]).contains("the attestation token does not show it"), "{}", log.people());
}

#[tokio::test]
async fn both_means_the_same_parties_and_not_as_many() {
    let table = "[signatures]\nthreshold = 2\nsources = \"both\"\n[operator]";
    for (in_token, in_registry, boots) in [
        (&PARTIES[..2], &PARTIES[1..], false),
        (&PARTIES[..2], &PARTIES[..2], true),
        (&PARTIES[..2], &PARTIES[..], true),
    ] {
        let mut site = Site::with_contract(|text| text.replace("[operator]", table)).await;
        site.sign_in_token(in_token);
        site.sign_in_registry(in_registry, &support::image());
        site.listen(Arc::new(|_, _| {}));
        if boots {
            self::boots(&site).await;
        } else {
            rejected(&site).await;
        }
    }
}

#[tokio::test]
async fn a_bundle_is_the_registrys_word_too() {
    let site = site("both", &PARTIES, &PARTIES[..2]).await;
    site.refer(PARTIES[2], &Statement::signature(&support::image(), &BTreeMap::new()));
    boots(&site).await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_means_could_not_check_where_it_must_agree() {
    for sources in ["registry", "both"] {
        let site = site(sources, &PARTIES, &PARTIES).await;
        site.simulator.registry().inject(Fault::on("/manifests/", Effect::Status(403, None)).times(100));
        let (status, log) = site.boot_refused().await;
        assert_eq!(status, ExitStatus::CouldNotCheck, "{sources} {}", log.people());
    }
}

#[tokio::test]
async fn a_party_missing_from_the_token_is_rejected_even_while_the_registry_does_not_answer() {
    let site = site("both", &PARTIES[..2], &PARTIES).await;
    site.simulator.registry().inject(Fault::on("/manifests/", Effect::Status(403, None)).times(100));
    rejected(&site).await;
}

#[tokio::test]
async fn a_signature_of_another_image_in_the_registry_is_named_where_both_must_agree() {
    let site = site("both", &PARTIES, &[]).await;
    site.sign_in_registry(&PARTIES, &Digest::of("another image"));
    assert!(rejected(&site).await.people().contains("WRONG DIGEST"));
}

#[tokio::test]
async fn what_is_signed_after_boot_changes_nothing() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..2]);
    site.listen(Arc::new(|_, _| {}));
    rejected(&site).await;
    // Signing later helps a later boot; a boot that was refused has ended.
    site.sign_in_registry(&PARTIES, &support::image());
    let running = site.start().await;
    let asked = site.simulator.registry().requests().len();
    site.sign_in_registry(&["stranger"], &support::image());
    site.publish("collaborator-1", "m1", "word").await;
    site.drained().await;
    assert_eq!(site.simulator.registry().requests().len(), asked, "a running workload asks the registry nothing");
    assert_eq!(running.stop().await.0, ExitStatus::Success);
}
