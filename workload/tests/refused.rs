//! What the reference on Confidential Space says must be refused, against the running workload: tokens, claims and
//! signatures that only an attacker makes. Each refusal must say why in words that a person can act on.
//! `boot.rs` has the others; `docs/threat-model.md` lists all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_trust::ExitStatus;
use serde_json::{Value, json};
use simulator::attestation::{Container, Issuer, TokenOptions, Vm};
use support::{PARTIES, Recorder, Site};

/// What a launcher under attack has at hand to make a token.
struct Forge {
    issuer: Issuer,
    vm: Vm,
    container: Container,
}

impl Forge {
    /// The claims that the workload asked for.
    fn claims(&self, options: &TokenOptions) -> Value {
        self.issuer.claims(&self.vm, &self.container, options)
    }

    /// A header as the issuer writes it, with changes.
    fn header(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut header = json!({"alg": "RS256", "kid": self.issuer.key_thumbprints()[0], "typ": "JWT"});
        change(&mut header);
        header
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.issuer.sign_raw(header.to_string().as_bytes(), claims.to_string().as_bytes()).unwrap()
    }
}

type Answer = Arc<dyn Fn(&Forge, &TokenOptions) -> String + Send + Sync>;

/// Serves the launcher's socket with whatever `answer` makes.
fn forge(site: &mut Site, answer: impl Fn(&Forge, &TokenOptions) -> String + Send + Sync + 'static) {
    let forge =
        Forge { issuer: site.simulator.issuer().clone(), vm: site.vm.clone(), container: site.container.clone() };
    let state: Arc<(Forge, Answer)> = Arc::new((forge, Arc::new(answer)));
    let route = post(async |State(state): State<Arc<(Forge, Answer)>>, body: Bytes| {
        (state.1)(&state.0, &support::options(&body))
    });
    site.serve(Router::new().route("/v1/token", route).with_state(state));
}

/// Boots with a forged token; everything else is as it should be.
async fn refused(answer: impl Fn(&Forge, &TokenOptions) -> String + Send + Sync + 'static) -> (ExitStatus, Recorder) {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    forge(&mut site, answer);
    site.boot_refused().await
}

/// The boot must be refused as untrusted, with `word` in what people read.
async fn rejected(name: &str, word: &str, answer: impl Fn(&Forge, &TokenOptions) -> String + Send + Sync + 'static) {
    let (status, log) = refused(answer).await;
    let people = log.people();
    assert_eq!(status, ExitStatus::Rejected, "{name}: {people}");
    assert!(people.contains(word), "{name}: {word:?} is not in {people}");
    assert!(people.contains("hint: "), "{name}: {people}");
}

#[tokio::test]
async fn the_forge_itself_makes_tokens_that_boot() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    forge(&mut site, |forge, options| forge.sign(&forge.header(|_| {}), &forge.claims(options)));
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_running_workload_refuses_every_header_but_the_issuers_own() {
    type Change = fn(&mut Value);
    let headers: [(&str, &str, Change); 12] = [
        ("no algorithm", "alg", |h| h["alg"] = Value::Null),
        ("alg none", "none", |h| h["alg"] = json!("none")),
        ("alg HS256", "HS256", |h| h["alg"] = json!("HS256")),
        ("alg RS512", "RS512", |h| h["alg"] = json!("RS512")),
        ("no kid", "kid", |h| drop(h.as_object_mut().unwrap().remove("kid"))),
        ("an empty kid", "kid", |h| h["kid"] = json!("")),
        ("another kid", "names the key", |h| h["kid"] = json!("another")),
        ("jku", "jku", |h| h["jku"] = json!("https://evil.example/keys")),
        ("x5u", "x5u", |h| h["x5u"] = json!("https://evil.example/chain")),
        ("jwk", "jwk", |h| h["jwk"] = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})),
        ("crit", "crit", |h| h["crit"] = json!(["b64"])),
        ("x5c", "x5c", |h| h["x5c"] = json!(["AA=="])),
    ];
    for (name, word, change) in headers {
        rejected(name, word, move |forge, options| forge.sign(&forge.header(change), &forge.claims(options))).await;
    }
}

#[tokio::test]
async fn a_running_workload_refuses_duplicate_members_in_header_and_claims() {
    rejected("a second kid", "kid", |forge, options| {
        let header = forge.header(|_| {}).to_string();
        let twice = header.replacen('{', "{\"kid\":\"another\",", 1);
        forge.issuer.sign_raw(twice.as_bytes(), forge.claims(options).to_string().as_bytes()).unwrap()
    })
    .await;
    rejected("a second dbgstat", "dbgstat", |forge, options| {
        let claims = forge.claims(options).to_string();
        let twice = claims.replacen('{', "{\"dbgstat\":\"enabled\",", 1);
        forge.issuer.sign_raw(forge.header(|_| {}).to_string().as_bytes(), twice.as_bytes()).unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_running_workload_refuses_an_unsigned_or_changed_token() {
    rejected("no signature at all", "none", |forge, options| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&forge.header(|h| h["alg"] = json!("none"))), part(&forge.claims(options)))
    })
    .await;
    rejected("claims of another token under this signature", "signature", |forge, options| {
        let good = forge.sign(&forge.header(|_| {}), &forge.claims(options));
        let mut claims = forge.claims(options);
        claims["google_service_accounts"] = json!(["root@evil.example"]);
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
    })
    .await;
}

#[tokio::test]
async fn a_running_workload_refuses_a_huge_token() {
    let (status, log) = refused(|forge, options| {
        let mut claims = forge.claims(options);
        claims["padding"] = json!("x".repeat(1 << 20));
        forge.sign(&forge.header(|_| {}), &claims)
    })
    .await;
    assert_ne!(status, ExitStatus::Success, "{}", log.people());
}

#[tokio::test]
async fn a_running_workload_refuses_other_issuers_and_skewed_times() {
    const HOUR: i64 = 3600;
    for issuer in ["https://fake-issuer-for-testing", "https://confidentialcomputing.googleapis.com"] {
        rejected(issuer, "\"iss\"", move |forge, options| {
            let mut claims = forge.claims(options);
            claims["iss"] = json!(issuer);
            forge.sign(&forge.header(|_| {}), &claims)
        })
        .await;
    }
    for (claim, by) in [("exp", -2 * HOUR), ("nbf", HOUR), ("iat", HOUR)] {
        rejected(claim, claim, move |forge, options| {
            let mut claims = forge.claims(options);
            claims[claim] = json!(claims[claim].as_i64().unwrap() + by);
            forge.sign(&forge.header(|_| {}), &claims)
        })
        .await;
    }
}

#[tokio::test]
async fn a_running_workload_refuses_a_token_that_was_made_for_a_collaborators_provider() {
    let audience = format!("//iam.googleapis.com/{}/providers/attestation", support::pool(PARTIES[1]));
    rejected("a collaborator's audience", "\"aud\"", move |forge, options| {
        let options = TokenOptions { audience: audience.clone(), ..options.clone() };
        forge.sign(&forge.header(|_| {}), &forge.claims(&options))
    })
    .await;
}

#[tokio::test]
async fn a_running_workload_refuses_the_token_of_an_earlier_boot() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES);
    let kept: Arc<Mutex<Option<String>>> = Arc::default();
    forge(&mut site, move |forge, options| {
        // Only boots ask for nonces; the collaborators' tokens stay fresh.
        let fresh = forge.sign(&forge.header(|_| {}), &forge.claims(options));
        if options.nonces.is_empty() { fresh } else { kept.lock().unwrap().get_or_insert(fresh).clone() }
    });
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success, "the first boot's own token");
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    assert!(log.people().contains("nonce"), "{}", log.people());
}

#[tokio::test]
async fn a_running_workload_refuses_a_token_without_any_one_claim_that_decides() {
    for claim in [
        "/aud",
        "/exp",
        "/iat",
        "/iss",
        "/nbf",
        "/eat_nonce",
        "/secboot",
        "/hwmodel",
        "/swname",
        "/dbgstat",
        "/google_service_accounts",
        "/submods",
        "/submods/confidential_space",
        "/submods/confidential_space/support_attributes",
        "/submods/container",
        "/submods/container/image_reference",
        "/submods/container/image_digest",
        "/submods/container/image_signatures",
        "/submods/gce",
        "/submods/gce/project_id",
    ] {
        let (parent, name) = claim.rsplit_once('/').unwrap();
        let (status, log) = refused(move |forge, options| {
            let mut claims = forge.claims(options);
            let removed = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            assert!(removed.is_some(), "the issuer does not write {claim}");
            forge.sign(&forge.header(|_| {}), &claims)
        })
        .await;
        assert_eq!(status, ExitStatus::Rejected, "{claim}: {}", log.people());
    }
}

#[tokio::test]
async fn a_running_workload_refuses_every_support_attribute_below_the_contracts() {
    for attributes in [json!([]), json!(["EXPERIMENTAL"]), json!(["USABLE"]), json!(["stable"]), json!("STABLE")] {
        let (status, log) = refused(move |forge, options| {
            let mut claims = forge.claims(options);
            claims["submods"]["confidential_space"]["support_attributes"] = attributes.clone();
            forge.sign(&forge.header(|_| {}), &claims)
        })
        .await;
        assert_eq!(status, ExitStatus::Rejected, "{}", log.people());
    }
}

#[tokio::test]
async fn a_running_workload_refuses_a_tag_in_the_place_of_a_digest() {
    for reference in [
        format!("{}:latest", support::REPOSITORY),
        format!("registry.simulator.localhost/other/workload@{}", support::image()),
        support::REPOSITORY.to_owned(),
    ] {
        let name = reference.clone();
        rejected(&name, "image_reference", move |forge, options| {
            let mut claims = forge.claims(options);
            claims["submods"]["container"]["image_reference"] = json!(reference);
            forge.sign(&forge.header(|_| {}), &claims)
        })
        .await;
    }
}

#[tokio::test]
async fn one_signer_in_every_disguise_leaves_the_others_missing() {
    let mut site = Site::new().await;
    site.sign_in_token(&[PARTIES[0], PARTIES[0]]);
    let mut twin = site.container.image_signatures[0].clone();
    twin.signature = support::other_s(&twin.signature);
    site.container.image_signatures.push(twin);
    site.sign_in_registry(&[PARTIES[0], PARTIES[0]], &support::image());
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected);
    let table = log.people();
    for missing in &PARTIES[1..] {
        assert!(table.lines().any(|row| row.contains("REFUSED") && row.contains(missing)), "{table}");
    }
}

#[tokio::test]
async fn signatures_in_the_token_that_are_none_leave_their_party_missing() {
    type Change = fn(&mut simulator::attestation::ImageSignature);
    let changes: [(&str, Change); 5] = [
        ("declared RSA", |s| s.signature_algorithm = "RSASSA_PKCS1V15_SHA256".to_owned()),
        ("an unknown algorithm", |s| s.signature_algorithm = "ED25519".to_owned()),
        ("cut off", |s| s.signature.truncate(40)),
        ("empty", |s| s.signature.clear()),
        ("another party's key id", |s| s.key_id = support::public_key(PARTIES[1]).id().to_string()),
    ];
    for (name, change) in changes {
        let mut site = Site::new().await;
        site.sign_in_token(&PARTIES);
        change(&mut site.container.image_signatures[2]);
        site.listen(Arc::new(|_, _| {}));
        let (status, log) = site.boot_refused().await;
        assert_eq!(status, ExitStatus::Rejected, "{name}: {}", log.people());
        assert!(log.people().lines().any(|row| row.contains("REFUSED") && row.contains(PARTIES[2])), "{name}");
    }
}

#[tokio::test]
async fn a_signature_that_is_added_after_the_boot_was_refused_needs_another_boot() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..2]);
    site.listen(Arc::new(|_, _| {}));
    assert_eq!(site.boot_refused().await.0, ExitStatus::Rejected);
    site.sign_in_registry(&PARTIES[2..], &support::image());
    assert_eq!(site.backlog(), (0, 0), "the refused boot took nothing");
    assert_eq!(site.start().await.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn a_payload_that_is_not_what_the_tag_says_counts_for_nobody() {
    let mut site = Site::new().await;
    site.sign_in_token(&PARTIES[..2]);
    // The layer names the payload that the party would have signed; its signature is over something else.
    site.sign_in_registry_with(&PARTIES[2..], &support::image(), |_, signature| signature.reverse());
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::Rejected, "{}", log.people());
}
