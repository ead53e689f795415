//! PKI tokens: where the contract wants them, only a chain up to a pinned root counts, and of two tokens both must be about
//! the same workload. Keys that rotate are fetched anew, once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use csign_trust::ExitStatus;
use serde_json::{Value, json};
use simulator::{Config, Simulator, attestation::TokenOptions};
use support::{PARTIES, Recorder, Site};

/// Changes the claims of a token of one kind, `OIDC` or `PKI`.
type Twist = Arc<dyn Fn(&str, &mut Value) + Send + Sync>;

/// A site whose contract wants tokens of `kind`. Roots of other simulators are pinned where `root` says so.
async fn site(kind: &str, root: Option<&str>, twist: Twist) -> Site {
    let mut site = Site::with_contract(|text| text).await;
    let root = root.map_or_else(|| site.simulator.issuer().root_fingerprint().unwrap(), str::to_owned);
    let contract = support::contract_toml(&site.simulator.issuer_key_thumbprints())
        .replace("[operator]", &format!("issuer_roots = [\"{root}\"]\n[attestation]\ntoken = \"{kind}\"\n[operator]"));
    site.contract = csign_contract::Contract::from_toml(&contract).unwrap();
    site.write("etc/csign/contract.json", &site.contract.canonical());
    site.sign_in_token(&PARTIES);
    serve(&mut site, twist);
    site
}

/// A launcher that gives tokens of the kind that is asked for.
fn serve(site: &mut Site, twist: Twist) {
    let (issuer, vm, container) = (site.simulator.issuer().clone(), site.vm.clone(), site.container.clone());
    let token = move |body: Bytes| {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let kind = asked["token_type"].as_str().unwrap().to_owned();
        let nonces = asked["nonces"].as_array().cloned().unwrap_or_default();
        let options = TokenOptions {
            audience: asked["audience"].as_str().unwrap().to_owned(),
            nonces: nonces.iter().map(|nonce| nonce.as_str().unwrap().to_owned()).collect(),
        };
        let mut claims = issuer.claims(&vm, &container, &options);
        twist(&kind, &mut claims);
        let token = match kind.as_str() {
            "PKI" => issuer.sign_anything_pki(None, &claims),
            _ => issuer.sign_anything(None, &claims),
        };
        async move { (StatusCode::OK, token.unwrap()) }
    };
    site.serve(Router::new().route("/v1/token", post(token)));
}

fn honest() -> Twist {
    Arc::new(|_, _| {})
}

async fn refused(site: &Site, status: ExitStatus) -> Recorder {
    let (got, log) = site.boot_refused().await;
    assert_eq!(got, status, "{}", log.people());
    log
}

#[tokio::test]
async fn boots_from_a_pki_token_without_asking_the_issuer_anything() {
    let site = site("pki", None, honest()).await;
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn boots_from_two_tokens_about_one_workload() {
    let site = site("both", None, honest()).await;
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_chain_that_ends_in_another_root_is_refused() {
    for kind in ["pki", "both"] {
        let site = site(kind, Some(&"ab".repeat(32)), honest()).await;
        refused(&site, ExitStatus::Rejected).await;
    }
}

#[tokio::test]
async fn an_oidc_token_does_not_stand_for_a_pki_token_nor_the_other_way() {
    let mut site = site("pki", None, honest()).await;
    site.listen(Arc::new(|_, _| {}));
    let issuer = site.simulator.issuer().clone();
    let (vm, container) = (site.vm.clone(), site.container.clone());
    for swap in [true, false] {
        let (issuer, vm, container) = (issuer.clone(), vm.clone(), container.clone());
        let token = move |body: Bytes| {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            let options = TokenOptions {
                audience: asked["audience"].as_str().unwrap().to_owned(),
                nonces: vec![asked["nonces"][0].as_str().unwrap().to_owned()],
            };
            let claims = issuer.claims(&vm, &container, &options);
            let token =
                if swap { issuer.sign_anything(None, &claims) } else { issuer.sign_anything_pki(None, &claims) };
            async move { (StatusCode::OK, token.unwrap()) }
        };
        site.serve(Router::new().route("/v1/token", post(token)));
        if swap {
            refused(&site, ExitStatus::Rejected).await;
        } else {
            assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
        }
    }
}

#[tokio::test]
async fn two_tokens_about_different_workloads_are_refused() {
    for (pointer, value, claim) in [
        ("/submods/gce/instance_id", json!("9999"), "submods.gce"),
        ("/submods/container/args", json!(["/workload", "--other"]), "submods.container"),
        ("/dbgstat", json!("enabled"), "dbgstat"),
    ] {
        let twist: Twist = Arc::new(move |kind, claims| {
            if kind == "PKI" {
                *claims.pointer_mut(pointer).unwrap() = value.clone();
            }
        });
        let log = refused(&site("both", None, twist).await, ExitStatus::Rejected).await;
        assert!(log.people().contains(&format!("differs in {claim}")), "{}", log.people());
    }
}

#[tokio::test]
async fn a_pki_token_for_another_nonce_or_audience_is_refused() {
    for (claim, value) in [("eat_nonce", json!("0123456789abcdef")), ("aud", json!("https://sts.googleapis.com"))] {
        let twist: Twist = Arc::new(move |_, claims| claims[claim] = value.clone());
        refused(&site("pki", None, twist).await, ExitStatus::Rejected).await;
    }
}

#[tokio::test]
async fn without_a_socket_there_is_no_pki_token_and_the_default_token_does_not_help() {
    let mut site = site("pki", None, honest()).await;
    let default = TokenOptions { audience: "https://sts.googleapis.com".to_owned(), ..TokenOptions::default() };
    let token = site.simulator.issuer().token(&site.vm, &site.container, &default).unwrap();
    site.write("run/container_launcher/attestation_verifier_claims_token", token.as_bytes());
    site.serve(Router::new());
    std::fs::remove_file(site.path("run/container_launcher/teeserver.sock")).unwrap();
    refused(&site, ExitStatus::CouldNotCheck).await;
}

/// A site under a contract that pins the issuer's present key and its next one.
async fn rotating() -> Site {
    let other = Simulator::start(Config::default()).await.unwrap();
    let next = other.issuer().rotate().unwrap();
    let mut site =
        Site::with_contract(|text| text.replace("issuer_keys = [", &format!("issuer_keys = [\"{next}\", "))).await;
    site.sign_in_token(&PARTIES);
    site
}

/// Lets the workload fetch the keys while it waits for its token; then the issuer rotates and signs.
fn serve_after_rotation(site: &mut Site, header: Option<Value>) {
    let (issuer, vm, container) = (site.simulator.issuer().clone(), site.vm.clone(), site.container.clone());
    let token = move |body: Bytes| {
        let (issuer, vm, container, header) = (issuer.clone(), vm.clone(), container.clone(), header.clone());
        async move {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            tokio::time::sleep(Duration::from_millis(700)).await;
            if asked["audience"].as_str().unwrap().ends_with("/boot") {
                issuer.rotate().unwrap();
            }
            let options = TokenOptions {
                audience: asked["audience"].as_str().unwrap().to_owned(),
                nonces: asked["nonces"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|n| n.as_str().unwrap().to_owned())
                    .collect(),
            };
            let claims = issuer.claims(&vm, &container, &options);
            (StatusCode::OK, issuer.sign_anything(header.as_ref(), &claims).unwrap())
        }
    };
    site.serve(Router::new().route("/v1/token", post(token)));
}

#[tokio::test]
async fn a_key_that_was_rotated_in_after_the_keys_were_fetched_is_fetched_too() {
    let mut site = rotating().await;
    serve_after_rotation(&mut site, None);
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_key_that_the_issuer_never_published_is_refused_however_often_keys_are_fetched() {
    let mut site = rotating().await;
    serve_after_rotation(&mut site, Some(json!({"alg": "RS256", "kid": "invented", "typ": "JWT"})));
    let log = refused(&site, ExitStatus::Rejected).await;
    assert!(log.people().contains("invented"), "{}", log.people());
}
