//! Tokens of every kind, as csign's own verifier reads them, and the issuer's keys when they change.

use std::time::Duration;

use csign_attestation::{Claims, Expected, Jwks, Keys, PkiRoots, RootPin, TokenError, verify};
use serde_json::{Value, json};
use simulator::{
    Config, LaunchRequest, Simulator,
    attestation::{Hardware, Image, Platform, TokenKind, TokenOptions},
    config::DEFAULT_ISSUER,
};

use crate::{
    launcher::{SCRIPT, ask, attach, claims, default_claims, push, request, signature, signer, start},
    scene::{agreed, audience, container, exchange, vm},
};

const NONCE: &str = "0123456789";

fn options() -> TokenOptions {
    TokenOptions { audience: "//x".to_owned(), nonces: vec![NONCE.to_owned()] }
}

async fn get(simulator: &Simulator, address: &str) -> reqwest::Response {
    // Another test may have been first, or none.
    let _ = rustls_graviola::default_provider().install_default();
    let path = address.strip_prefix(DEFAULT_ISSUER).expect("the issuer's");
    reqwest::get(format!("{}{path}", simulator.endpoint())).await.expect("answers")
}

async fn jwks(simulator: &Simulator) -> Keys {
    let discovery = get(simulator, &format!("{DEFAULT_ISSUER}/.well-known/openid-configuration")).await;
    let discovery: Value = discovery.json().await.expect("json");
    let set = get(simulator, discovery["jwks_uri"].as_str().expect("uri")).await;
    Jwks::parse(&set.bytes().await.expect("body")).expect("a key set").into()
}

fn check(simulator: &Simulator, token: &str, keys: &Keys) -> Result<Claims, TokenError> {
    let now = simulator.clock().now();
    let expected = Expected { issuer: DEFAULT_ISSUER, audience: "//x", nonce: Some(NONCE), now, leeway: 0 };
    verify(token, keys, &expected)
}

#[tokio::test]
async fn a_pki_token_verifies_under_the_published_root_and_under_no_key_set() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let body = json!({"audience": "//x", "nonces": [NONCE], "token_type": "PKI"}).to_string();
    let (status, token) = ask(&running, "POST", &body).await;
    assert_eq!(status, 200, "{token}");

    let document = get(&simulator, &format!("{DEFAULT_ISSUER}/.well-known/attestation-pki-root")).await;
    let document: Value = document.json().await.expect("json");
    let pem = get(&simulator, document["root_ca_uri"].as_str().expect("uri")).await.text().await.expect("root");
    assert_eq!(pem, simulator.issuer().root_pem().expect("root"));
    let pin = RootPin::parse(&simulator.issuer().root_fingerprint().expect("root")).expect("hex");
    let roots: Keys = PkiRoots::pinned([pin]).into();
    let claims = check(&simulator, &token, &roots).expect("verifies");
    assert_eq!(claims.container.image_digest, image.digest);
    assert!(matches!(check(&simulator, &token, &jwks(&simulator).await), Err(TokenError::HeaderMember("x5c"))));
    assert!(matches!(check(&simulator, &token, &PkiRoots::google().into()), Err(TokenError::UnknownRoot(_))));

    let other = Config { attestation_seed: "mallory".to_owned(), ..Config::default() };
    let mallory = Simulator::start(other).await.expect("starts");
    let forged = mallory
        .issuer()
        .token_of(&TokenKind::Pki, &vm(Image::Production), &container(agreed()), &options())
        .expect("token");
    assert!(matches!(check(&simulator, &forged, &roots), Err(TokenError::UnknownRoot(_))));
}

#[tokio::test]
async fn sts_takes_no_pki_token() {
    let simulator = crate::scene::start().await;
    let options = TokenOptions { audience: audience(1), nonces: Vec::new() };
    let (vm, container) = (vm(Image::Production), container(agreed()));
    let token = simulator.issuer().token_of(&TokenKind::Pki, &vm, &container, &options).expect("token");
    let (status, body) = exchange(&simulator, &token, &audience(1)).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{body}");
}

#[tokio::test]
async fn aws_tokens_carry_tags_of_the_digest_or_of_the_signers_and_never_both() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    attach(&simulator, &image, &[signature(&signer(1), &image), signature(&signer(3), &image)]);
    let signed = LaunchRequest::new(image.clone(), vm(Image::Production));
    let running = simulator.launcher().launch(signed).await.expect("launches");
    let default = default_claims(&running);
    let ids: Vec<String> = default["submods"]["container"]["image_signatures"]
        .as_array()
        .expect("signatures")
        .iter()
        .map(|found| found["key_id"].as_str().expect("id").to_owned())
        .collect();
    let tags = async |options: Value| {
        let body = json!({"audience": "//x", "token_type": "AWS_PRINCIPALTAGS", "aws_principal_tag_options": options});
        let (status, token) = ask(&running, "POST", &body.to_string()).await;
        assert_eq!(status, 200, "{token}");
        let claims = claims(&token);
        assert!(claims["submods"].is_null(), "limited: {claims}");
        claims["https://aws.amazon.com/tags"]["principal_tags"].clone()
    };
    let of = |ids: &[&str]| json!({"allowed_principal_tags": {"container_image_signatures": {"key_ids": ids}}});

    let digest = tags(Value::Null).await;
    assert_eq!(digest["container.image_digest"], json!([image.digest]));
    assert_eq!(digest["confidential_space.support_attributes"], json!(["LATEST=STABLE=USABLE"]));
    assert_eq!((&digest["gce.project_id"], &digest["gce.zone"]), (&json!(["operator"]), &json!(["europe-west4-a"])));
    assert_eq!(digest["container.signatures.key_ids"], Value::Null);
    let mut sorted = ids.clone();
    sorted.sort();
    let both = tags(of(&[&ids[1], &ids[0], &"0".repeat(64)])).await;
    assert_eq!(both["container.signatures.key_ids"], json!([sorted.join("=")]));
    assert_eq!(both["container.image_digest"], Value::Null);
    let nobody = tags(of(&[&"0".repeat(64)])).await;
    assert_eq!(
        (&nobody["container.signatures.key_ids"], &nobody["container.image_digest"]),
        (&Value::Null, &Value::Null)
    );

    let (_, limited) = ask(&running, "POST", r#"{"audience":"//x","token_type":"LIMITED_AWS"}"#).await;
    let limited = claims(&limited);
    assert_eq!(limited["aud"], "//x");
    assert!(limited["submods"].is_null() && limited["https://aws.amazon.com/tags"].is_null(), "{limited}");
    assert!(matches!(Claims::parse_without_verification(limited.to_string().as_bytes()), Err(TokenError::Missing(_))));
}

#[tokio::test]
async fn an_unknown_token_type_gets_the_default_profile_as_the_real_service_does() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let (status, token) = ask(&running, "POST", r#"{"audience":"//x","token_type":"pki"}"#).await;
    assert_eq!((status, claims(&token)["submods"]["gce"]["zone"].as_str()), (200, Some("europe-west4-a")));
}

#[tokio::test]
async fn hardware_and_image_are_what_the_claims_say() {
    let simulator = start(None).await;
    let keys = jwks(&simulator).await;
    let of = |platform: Platform, image: Image| {
        let machine = simulator::attestation::Vm { platform, ..vm(image) };
        let token = simulator.issuer().token(&machine, &container(agreed()), &options()).expect("token");
        check(&simulator, &token, &keys).expect("verifies")
    };
    for (hardware, model) in [
        (Hardware::AmdSev, "GCP_AMD_SEV"),
        (Hardware::AmdSevEs, "GCP_AMD_SEV_ES"),
        (Hardware::IntelTdx, "GCP_INTEL_TDX"),
        (Hardware::ShieldedVm, "GCP_SHIELDED_VM"),
    ] {
        let claims = of(Platform { hardware, ..Platform::default() }, Image::Production);
        assert_eq!(claims.hwmodel, model);
        assert_eq!(claims.details.tdx.is_some(), hardware == Hardware::IntelTdx, "{model}");
    }
    for (image, attributes) in [
        (Image::Production, Some(vec!["LATEST", "STABLE", "USABLE"])),
        (Image::Stable, Some(vec!["STABLE", "USABLE"])),
        (Image::Usable, Some(vec!["USABLE"])),
        (Image::Experimental, Some(vec!["EXPERIMENTAL"])),
        (Image::Debug, None),
    ] {
        let claims = of(Platform::default(), image);
        let expected = attributes.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(claims.support_attributes, expected, "{image:?}");
        assert_eq!(claims.dbgstat == "enabled", image == Image::Debug);
    }
    let extras = Platform { memory_monitoring: true, gpu: Some("ON".to_owned()), ..Platform::default() };
    let details = of(extras, Image::Production).details;
    assert_eq!((details.memory_monitoring, details.gpu_cc_mode.as_deref()), (Some(true), Some("ON")));
}

#[tokio::test]
async fn two_keys_are_live_after_a_rotation_until_the_old_one_is_retired() {
    let simulator = start(None).await;
    let issuer = simulator.issuer();
    let token = || issuer.token(&vm(Image::Production), &container(agreed()), &options()).expect("token");
    let (before, old_set) = (token(), jwks(&simulator).await);
    let next = issuer.next_key_thumbprint().expect("derives");
    assert_eq!(issuer.rotate().expect("rotates"), next);
    let after = token();
    assert_eq!(issuer.key_thumbprints()[0], next, "the new key signs");
    let both = jwks(&simulator).await;
    assert!(check(&simulator, &before, &both).is_ok() && check(&simulator, &after, &both).is_ok());
    assert!(matches!(check(&simulator, &after, &old_set), Err(TokenError::UnknownKey(_))), "a stale copy");
    issuer.retire();
    let new_set = jwks(&simulator).await;
    assert!(matches!(check(&simulator, &before, &new_set), Err(TokenError::UnknownKey(_))));
    assert!(check(&simulator, &after, &new_set).is_ok());
    let discovery = get(&simulator, &format!("{DEFAULT_ISSUER}/.well-known/openid-configuration")).await;
    let keep = discovery.headers()["cache-control"].to_str().expect("text");
    assert!(keep.contains("max-age="), "{keep}");
}

#[tokio::test]
async fn the_default_token_is_replaced_in_the_last_third_of_its_life() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let issued = || default_claims(&running)["iat"].as_u64().expect("iat");
    let first = issued();
    simulator.advance_clock(Duration::from_secs(3600 * 9 / 10 + 1));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while issued() == first {
        assert!(tokio::time::Instant::now() < deadline, "the token was not replaced");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(issued() > first + 3000);
}
