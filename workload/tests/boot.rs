//! The boot: what it accepts, and every lie it must refuse, each with the exit status that says what happened.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, http::StatusCode, routing::post};
use csign_envelope::statement::{REPRODUCED_PREDICATE, SIGN_PREDICATE, STATEMENT_V1, Statement};
use csign_oci::Digest;
use csign_trust::ExitStatus;
use serde_json::{Value, json};
use simulator::{
    attestation::{Image, TokenOptions},
    registry::{Effect, Fault},
};
use support::{PARTIES, Site};
use workload::Setting;

#[tokio::test]
async fn boots_from_the_token_alone_without_asking_the_registry() {
    let site = Site::ready().await;
    let running = site.start().await;
    assert_eq!(site.simulator.registry().requests().len(), 0);
    let (status, log) = running.stop().await;
    assert_eq!(status, ExitStatus::Success);
    let boot = log.events().into_iter().find(|event| event["event"] == "boot verified").unwrap();
    assert!(boot["milliseconds"].is_u64(), "{boot}");
    assert_eq!(boot["image"], site.container.image_reference);
    assert_eq!(boot["contract"], site.contract.digest().to_string());
}

#[tokio::test]
async fn boots_from_the_registry_where_the_token_lacks_signatures() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..1]);
    site.sign_in_registry(&PARTIES[1..], &support::image());
    site.listen(Arc::new(|_, _| {}));
    let (status, _) = site.start().await.stop().await;
    assert_eq!(status, ExitStatus::Success);
    assert_eq!(site.simulator.registry().requests().len(), 1, "one request for any number of signers");
}

#[tokio::test]
async fn a_missing_signature_is_refused_and_named() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..1]);
    site.sign_in_registry(&PARTIES[..2], &support::image());
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    let table = log.people();
    assert!(table.lines().any(|row| row.contains("REFUSED") && row.contains("collaborator-2")), "{table}");
    assert!(table.lines().any(|row| row.starts_with("ok") && row.contains("collaborator-1")), "{table}");
    assert!(table.contains("hint: "), "{table}");
}

#[tokio::test]
async fn no_signature_at_all_is_refused() {
    let mut site = Site::new().await;
    site.listen(Arc::new(|_, _| {}));
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
}

#[tokio::test]
async fn signatures_of_another_image_are_refused() {
    let mut site = Site::new().await;
    site.sign_in_registry(&PARTIES, &Digest::of("another image"));
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    assert!(log.people().contains("WRONG DIGEST"), "{}", log.people());
}

#[tokio::test]
async fn signatures_of_this_image_do_not_help_another_digest() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    let other = Digest::of("the image with one byte changed");
    site.container.image_digest = other;
    site.container.image_reference = format!("{}@{other}", support::REPOSITORY);
    site.listen(Arc::new(|_, _| {}));
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_means_could_not_check() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..2]);
    site.sign_in_registry(&PARTIES, &support::image());
    site.listen(Arc::new(|_, _| {}));
    site.simulator.registry().inject(Fault::on("/manifests/", Effect::Status(403, None)).times(100));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::CouldNotCheck);
    assert!(log.people().contains("UNCHECKED"), "{}", log.people());
}

/// The token has the builder's signature, `.sig` the first collaborator's, and the second one's is a bundle.
async fn with_bundle(statement: &Statement) -> Site {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..1]);
    site.sign_in_registry(&PARTIES[1..2], &support::image());
    site.refer(PARTIES[2], statement);
    site.listen(Arc::new(|_, _| {}));
    site
}

#[tokio::test]
async fn token_tag_and_bundles_together_are_enough() {
    let site = with_bundle(&Statement::signature(&support::image(), &BTreeMap::new())).await;
    let (status, _) = site.start().await.stop().await;
    assert_eq!(status, ExitStatus::Success);
}

#[tokio::test]
async fn a_bundle_that_is_no_signature_of_this_image_in_this_repository_is_refused() {
    let (image, other) = (support::image(), Digest::of("another image"));
    let attestation = |name: &str, digest: &Digest, predicate: &str| {
        Statement::attestation(STATEMENT_V1, Some(name), digest, predicate, json!({}))
    };
    for (statement, words) in [
        (attestation(support::REPOSITORY, &image, "https://slsa.dev/provenance/v1"), "MISSING"),
        (attestation(support::REPOSITORY, &image, REPRODUCED_PREDICATE), "MISSING"),
        (Statement::signature(&other, &BTreeMap::new()), "WRONG DIGEST"),
        (attestation("registry.simulator.localhost/other/app", &image, SIGN_PREDICATE), "WRONG REPOSITORY"),
    ] {
        let (status, log) = with_bundle(&statement).await.boot_refused().await;
        assert_eq!(status, ExitStatus::Rejected, "{statement:?}");
        let table = log.people();
        assert!(table.lines().any(|row| row.contains("REFUSED") && row.contains(PARTIES[2])), "{table}");
        assert!(table.contains(words), "{words} {table}");
    }
}

#[tokio::test]
async fn a_bundle_of_a_stranger_does_not_stand_for_a_party() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..2]);
    site.refer("stranger", &Statement::signature(&support::image(), &BTreeMap::new()));
    site.listen(Arc::new(|_, _| {}));
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
}

#[tokio::test]
async fn referrers_that_cannot_be_listed_while_a_party_is_missing_means_could_not_check() {
    let statement = Statement::signature(&support::image(), &BTreeMap::new());
    for path in ["/referrers/", "/blobs/", "/manifests/sha256:"] {
        for effect in [Effect::Status(403, None), Effect::Truncate, Effect::Body("{}".into())] {
            let site = with_bundle(&statement).await;
            site.simulator.registry().inject(Fault::on(path, effect).times(100));
            let (status, log) = site.boot_refused().await;
            assert_eq!(status, ExitStatus::CouldNotCheck, "{path} {}", log.people());
            assert!(log.people().contains("UNCHECKED"), "{}", log.people());
        }
    }
}

#[tokio::test]
async fn referrers_that_cannot_be_listed_do_not_matter_where_nobody_is_missing() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..1]);
    site.sign_in_registry(&PARTIES[1..], &support::image());
    site.listen(Arc::new(|_, _| {}));
    site.simulator.registry().inject(Fault::on("/referrers/", Effect::Status(500, None)).times(100));
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_debug_image_is_refused() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    site.vm.image = Image::Debug;
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    assert!(log.people().lines().any(|row| row.contains("REFUSED") && row.contains("dbgstat")), "{}", log.people());
    assert_eq!(site.simulator.registry().requests().len(), 0, "a platform that does not hold needs no registry");
}

/// Every token is signed by the issuer and all signatures are there; only the one claim is wrong.
async fn refused_with(twist: impl Fn(&mut Value, &TokenOptions) + Send + Sync + 'static) -> ExitStatus {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(twist));
    site.boot_refused().await.0
}

#[tokio::test]
async fn tokens_that_were_not_made_for_this_boot_are_refused() {
    let other_nonce = refused_with(|claims, _| claims["eat_nonce"] = json!("0123456789abcdef")).await;
    assert_eq!(other_nonce, ExitStatus::Rejected);
    let no_nonce = refused_with(|claims, _| claims["eat_nonce"] = Value::Null).await;
    assert_eq!(no_nonce, ExitStatus::Rejected);
    let other_audience = refused_with(|claims, _| claims["aud"] = json!("https://sts.googleapis.com")).await;
    assert_eq!(other_audience, ExitStatus::Rejected);
    let other_issuer = refused_with(|claims, _| {
        claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()));
    })
    .await;
    assert_eq!(other_issuer, ExitStatus::Rejected);
    let expired = refused_with(|claims, _| {
        for claim in ["iat", "nbf", "exp"] {
            claims[claim] = json!(claims[claim].as_u64().unwrap() - 7200);
        }
    })
    .await;
    assert_eq!(expired, ExitStatus::Rejected);
}

#[tokio::test]
async fn platforms_that_the_contract_does_not_name_are_refused() {
    let changes: [(&str, Value); 8] = [
        ("/swname", json!("GCE")),
        ("/secboot", json!(false)),
        ("/hwmodel", json!("GCP_SHIELDED_VM")),
        ("/submods/confidential_space/support_attributes", json!(["USABLE"])),
        ("/submods/gce/project_id", json!("another-operator")),
        ("/google_service_accounts", json!(["else@operator.iam.gserviceaccount.com"])),
        ("/submods/container/cmd_override", json!(["--trust-everyone"])),
        ("/submods/container/env_override", json!({"LD_PRELOAD": "/evil.so"})),
    ];
    for (pointer, value) in changes {
        let shown = value.clone();
        let status = refused_with(move |claims, _| *claims.pointer_mut(pointer).unwrap() = value.clone()).await;
        assert_eq!(status, ExitStatus::Rejected, "{pointer} {shown}");
    }
}

#[tokio::test]
async fn an_issuer_whose_key_is_not_pinned_is_refused() {
    let mut site = Site::with_contract(|text| {
        let (before, rest) = text.split_once("issuer_keys = [\"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        format!("{before}issuer_keys = [\"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\"{after}")
    })
    .await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    assert!(log.people().contains("pinned"), "{}", log.people());
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_means_could_not_check() {
    let site = Site::ready().await;
    // Held and never listened on: a port that is let go may be another test's server a moment later.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let setting = Setting { simulator: Some(held.local_addr().unwrap().to_string()), ..site.setting() };
    assert_eq!(site.boot_refused_with(&setting).await.0, ExitStatus::CouldNotCheck);
}

#[tokio::test]
async fn without_socket_and_token_file_it_does_not_start() {
    let site = Site::new().await;
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::CouldNotCheck);
    assert!(log.people().contains("Confidential Space"), "{}", log.people());
}

#[tokio::test]
async fn the_default_token_serves_where_there_is_no_socket() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    let default = TokenOptions { audience: "https://sts.googleapis.com".to_owned(), nonces: Vec::new() };
    let token = |audience: &str| {
        let options = TokenOptions { audience: audience.to_owned(), ..default.clone() };
        site.simulator.issuer().token(&site.vm, &site.container, &options).unwrap()
    };
    const FILE: &str = "run/container_launcher/attestation_verifier_claims_token";
    site.write(FILE, format!("{}\n", token("https://another.example")).as_bytes());
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
    site.write(FILE, format!("{}\n", token("https://sts.googleapis.com")).as_bytes());
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_launcher_that_misbehaves_means_could_not_check_and_never_a_fallback() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    let default = TokenOptions { audience: "https://sts.googleapis.com".to_owned(), nonces: Vec::new() };
    let token = site.simulator.issuer().token(&site.vm, &site.container, &default).unwrap();
    site.write("run/container_launcher/attestation_verifier_claims_token", token.as_bytes());
    let refuses = || async { (StatusCode::INTERNAL_SERVER_ERROR, "failed to retrieve custom token".to_owned()) };
    let floods = || async { (StatusCode::OK, "x".repeat(10 << 20)) };
    for router in [Router::new().route("/v1/token", post(refuses)), Router::new().route("/v1/token", post(floods))] {
        site.serve(router);
        assert_eq!(site.boot_refused().await.0, ExitStatus::CouldNotCheck);
    }
    let babbles = || async { (StatusCode::OK, "no token at all".to_owned()) };
    site.serve(Router::new().route("/v1/token", post(babbles)));
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
}

#[tokio::test]
async fn a_simulator_must_be_on_the_loopback_interface() {
    let site = Site::ready().await;
    for address in [None, Some(""), Some("192.0.2.1:80"), Some("localhost:80"), Some("127.0.0.1:0"), Some("127.0.0.1")]
    {
        let setting = Setting { simulator: address.map(str::to_owned), ..site.setting() };
        assert_eq!(site.boot_refused_with(&setting).await.0, ExitStatus::Usage, "{address:?}");
    }
}

#[tokio::test]
async fn a_google_contract_follows_neither_a_simulator_nor_a_moved_root() {
    let mut site = Site::with_contract(|text| {
        let (before, rest) = text.split_once("kind = ").unwrap();
        let (_, after) = rest.split_once("[operator]").unwrap();
        format!("{before}kind = \"google\"\n[operator]{after}").replace("registry.simulator.localhost", "r.example")
    })
    .await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Usage);
    assert!(log.people().contains("root cannot be moved"), "{}", log.people());
    assert!(site.simulator.audit().is_empty(), "the simulator was asked");
}

#[tokio::test]
async fn a_missing_or_malformed_contract_is_wrong_usage() {
    let site = Site::ready().await;
    assert_eq!(site.boot_refused_with(&support::empty_root(&site.path("none"))).await.0, ExitStatus::Usage);
    let mut spaced = site.contract.canonical();
    spaced.push(b'\n');
    for bad in [&b""[..], b"{}", &spaced] {
        site.write("etc/csign/contract.json", bad);
        let (status, log) = site.boot_refused().await;
        assert_eq!(status, ExitStatus::Usage);
        assert!(log.people().contains("hint: "), "{}", log.people());
    }
}
