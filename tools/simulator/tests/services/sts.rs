//! Token exchange: who gets an access token, and every way not to get one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use csign_oci::Digest;
use serde_json::{Value, json};
use simulator::{
    Simulator,
    attestation::{Image, TokenOptions},
    sts::Provider,
};

use crate::scene::{agreed, audience, container, exchange, provider, start, token, vm};

fn description(body: &Value) -> &str {
    body["error_description"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_agreed_production_image_gets_an_access_token() {
    let simulator = start().await;
    let token = token(&simulator, Image::Production, agreed(), 1);
    let (status, body) = exchange(&simulator, &token, &audience(1)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert!(body["access_token"].as_str().is_some_and(|token| token.len() > 32));
    let last = simulator.audit().pop().expect("an entry");
    assert!(last.allowed && last.service == "sts", "{last:?}");
    assert!(last.principal.ends_with("/instances/workload"), "{last:?}");
}

#[tokio::test]
async fn another_image_and_a_debug_image_are_rejected_by_the_condition_and_the_log_says_which_clause() {
    let simulator = start().await;
    for (image, digest, clause) in
        [(Image::Production, Digest::of("another image"), "image_digest"), (Image::Debug, agreed(), "STABLE")]
    {
        let token = token(&simulator, image, digest, 1);
        let (status, body) = exchange(&simulator, &token, &audience(1)).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("unauthorized_client")));
        assert_eq!(description(&body), "The given credential is rejected by the attribute condition.");
        let last = simulator.audit().pop().expect("an entry");
        assert!(!last.allowed && last.clause.contains(clause), "{last:?}");
    }
}

#[tokio::test]
async fn a_token_for_one_collaborator_is_refused_at_anothers_provider() {
    let simulator = start().await;
    let for_first = token(&simulator, Image::Production, agreed(), 1);
    let (status, body) = exchange(&simulator, &for_first, &audience(2)).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(
        description(&body),
        format!("The audience in ID Token [{}] does not match the expected audience.", audience(1))
    );
    let options = TokenOptions { audience: "https://sts.googleapis.com".to_owned(), nonces: Vec::new() };
    let default = simulator.issuer().token(&vm(Image::Production), &container(agreed()), &options).expect("token");
    assert_eq!(exchange(&simulator, &default, &audience(1)).await.0, 400);
    let options = TokenOptions { audience: format!("https:{}", audience(1)), nonces: Vec::new() };
    let https = simulator.issuer().token(&vm(Image::Production), &container(agreed()), &options).expect("token");
    assert_eq!(exchange(&simulator, &https, &audience(1)).await.0, 200, "the https form is the same audience");
}

#[tokio::test]
async fn an_expired_token_is_stale_and_one_from_the_future_is_not_yet_valid() {
    let simulator = start().await;
    let token = token(&simulator, Image::Production, agreed(), 1);
    simulator.advance_clock(Duration::from_secs(3500));
    assert_eq!(exchange(&simulator, &token, &audience(1)).await.0, 200);
    simulator.advance_clock(Duration::from_secs(100));
    let (status, body) = exchange(&simulator, &token, &audience(1)).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    assert!(description(&body).ends_with("is stale to sign-in."), "{body}");

    let options = TokenOptions { audience: audience(1), nonces: Vec::new() };
    for claim in ["nbf", "iat"] {
        let mut claims = simulator.issuer().claims(&vm(Image::Production), &container(agreed()), &options);
        claims[claim] = json!(simulator.clock().now() + 120);
        let token = simulator.issuer().sign_anything(None, &claims).expect("signs");
        assert_eq!(exchange(&simulator, &token, &audience(1)).await.0, 400, "{claim} in the future");
    }
    for claim in ["exp", "nbf", "iat", "iss", "aud"] {
        let mut claims = simulator.issuer().claims(&vm(Image::Production), &container(agreed()), &options);
        claims.as_object_mut().expect("object").remove(claim);
        let token = simulator.issuer().sign_anything(None, &claims).expect("signs");
        assert_eq!(exchange(&simulator, &token, &audience(1)).await.0, 400, "without {claim}");
    }
}

#[tokio::test]
async fn unsigned_tampered_and_foreign_tokens_are_refused() {
    let simulator = start().await;
    let genuine = token(&simulator, Image::Production, agreed(), 1);
    let parts: Vec<&str> = genuine.split('.').collect();
    let decoded = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
    let claims: Value = serde_json::from_slice(&decoded).expect("json");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let mut changed = claims.clone();
    changed["submods"]["gce"]["project_id"] = json!("mallory");
    let changed = URL_SAFE_NO_PAD.encode(changed.to_string());
    let kid = simulator.issuer_key_thumbprints().remove(0);
    let signed = |header: Value| simulator.issuer().sign_anything(Some(&header), &claims).expect("signs");
    let other_seed = simulator::Config { attestation_seed: "mallory".to_owned(), ..simulator::Config::default() };
    let mallory = simulator::Simulator::start(other_seed).await.expect("starts");

    let attacks = [
        ("alg none, no signature", format!("{none}.{}.", parts[1])),
        ("alg none, genuine signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("changed claims", format!("{}.{changed}.{}", parts[0], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("a fourth part", format!("{genuine}.x")),
        ("alg HS256", signed(json!({"alg": "HS256", "kid": kid}))),
        ("no kid", signed(json!({"alg": "RS256"}))),
        ("another kid", signed(json!({"alg": "RS256", "kid": "x"}))),
        ("a jku of its own", signed(json!({"alg": "RS256", "kid": kid, "jku": "http://127.0.0.1/keys"}))),
        ("a crit", signed(json!({"alg": "RS256", "kid": kid, "crit": ["exp"]}))),
        ("another issuer's key", token(&mallory, Image::Production, agreed(), 1)),
        ("no token at all", String::new()),
    ];
    for (name, token) in attacks {
        let (status, body) = exchange(&simulator, &token, &audience(1)).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{name}: {body}");
    }
    assert_eq!(exchange(&simulator, &genuine, &audience(1)).await.0, 200, "the genuine token still works");
}

#[tokio::test]
async fn unknown_and_malformed_providers_are_told_apart() {
    let simulator = start().await;
    let token = token(&simulator, Image::Production, agreed(), 1);
    let unknown = "//iam.googleapis.com/projects/101/locations/global/workloadIdentityPools/c1/providers/other";
    let (status, body) = exchange(&simulator, &token, unknown).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_target")));
    for malformed in ["", "x", "//iam.googleapis.com/projects/p/locations/global/workloadIdentityPools/c1/providers/x"]
    {
        let (status, body) = exchange(&simulator, &token, malformed).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_request")), "{malformed:?}");
    }
}

#[tokio::test]
async fn discovery_and_key_set_are_served_whatever_the_host_name() {
    let simulator = start().await;
    let client = reqwest::Client::new();
    let get = async |path: &str| -> Value {
        let request =
            client.get(format!("{}{path}", simulator.endpoint())).header("host", "attestation.simulator.localhost");
        request.send().await.expect("answers").json().await.expect("json")
    };
    let discovery = get("/.well-known/openid-configuration").await;
    assert_eq!(discovery["issuer"], "http://attestation.simulator.localhost");
    let jwks_uri = discovery["jwks_uri"].as_str().expect("uri");
    let jwks = get(jwks_uri.strip_prefix("http://attestation.simulator.localhost").expect("the issuer's")).await;
    assert_eq!(jwks["keys"][0]["kid"], simulator.issuer_key_thumbprints()[0].as_str());
    let canonical = json!({"e": jwks["keys"][0]["e"], "kty": "RSA", "n": jwks["keys"][0]["n"]}).to_string();
    let thumbprint = URL_SAFE_NO_PAD.encode(Digest::of(canonical).as_bytes());
    assert_eq!(thumbprint, simulator.issuer_key_thumbprints()[0], "RFC 7638");
}

/// The exchange of a genuine token at collaborator 1's provider with this condition and mapping.
async fn at(simulator: &Simulator, change: impl FnOnce(&mut Provider)) -> (u16, Value) {
    let mut changed = Provider::new(provider(1), "");
    change(&mut changed);
    simulator.sts().set_provider(changed).expect("a provider");
    exchange(simulator, &token(simulator, Image::Production, agreed(), 1), &audience(1)).await
}

#[tokio::test]
async fn a_condition_that_is_false_or_has_an_error_denies_and_the_log_names_the_clause() {
    let simulator = start().await;
    for (condition, clause) in [
        (
            "assertion.swname == 'GCE'",
            "assertion.swname == 'GCE' is false (assertion.swname is \"CONFIDENTIAL_SPACE\")",
        ),
        ("int(assertion.swversion) >= 1", "no such overload: int(list)"),
        ("assertion.swversion >= 1", "no such overload: list >= int"),
        ("assertion.absent == ''", "no such key: absent"),
        ("size(assertion.submods.container.cmd_override) == 0", "no such overload: size(null_type)"),
        ("assertion.submods.confidential_space.support_attributes.debug_mode == false", "no such overload"),
        ("assertion.dbgstat == 'enable'", "is \"disabled-since-boot\""),
        ("assertion.hwmodel == 'INTEL_TDX'", "is \"GCP_INTEL_TDX\""),
        ("assertion.swname", "not a boolean"),
        ("attribute.absent == 'x'", "no such key: absent"),
        ("google.subject == 'x'", "is \"gcpcs::sha256:"),
        ("'x' in google.groups", "is false"),
    ] {
        let (status, body) = at(&simulator, |p| condition.clone_into(&mut p.attribute_condition)).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("unauthorized_client")), "{condition}");
        assert_eq!(description(&body), "The given credential is rejected by the attribute condition.");
        let last = simulator.audit().pop().expect("an entry");
        assert!(!last.allowed && last.clause.contains(clause), "{condition}: {last:?}");
    }
    for condition in [
        "'250800' in assertion.swversion",
        "!has(assertion.submods.container.cmd_override) || assertion.submods.container.cmd_override == null || \
         size(assertion.submods.container.cmd_override) == 0",
        "assertion.absent == 1 || assertion.secboot",
        "attribute.project_id == 'operator' && google.subject.startsWith('gcpcs::')",
    ] {
        let (status, body) = at(&simulator, |p| condition.clone_into(&mut p.attribute_condition)).await;
        assert_eq!(status, 200, "{condition}: {body}");
    }
}

#[tokio::test]
async fn an_empty_condition_accepts_even_a_debug_image_and_the_log_says_that_there_is_none() {
    let simulator = start().await;
    simulator.sts().set_provider(Provider::new(provider(1), "")).expect("as at Google");
    let debug = token(&simulator, Image::Debug, Digest::of("whatever"), 1);
    assert_eq!(exchange(&simulator, &debug, &audience(1)).await.0, 200);
    let last = simulator.audit().pop().expect("an entry");
    assert!(last.clause.contains("no condition"), "{last:?}");
}

#[tokio::test]
async fn a_subject_that_is_too_long_and_claims_that_are_absent_get_no_identity() {
    let simulator = start().await;
    for (key, value) in [
        ("google.subject", "assertion.sub + assertion.sub"),
        ("google.subject", "''"),
        ("google.subject", "assertion.submods.nothing"),
        ("attribute.x", "assertion.submods.nothing"),
        ("attribute.x", "assertion.swversion"),
    ] {
        let (status, body) = at(&simulator, |p| {
            p.attribute_mapping.insert(key.to_owned(), value.to_owned());
        })
        .await;
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{key}: {body}");
        assert!(description(&body).contains(key), "{body}");
    }
}

#[tokio::test]
async fn allowed_audiences_replace_the_providers_own_name() {
    let simulator = start().await;
    let own = token(&simulator, Image::Production, agreed(), 1);
    let shared = "https://sts.googleapis.com";
    let options = TokenOptions { audience: shared.to_owned(), nonces: Vec::new() };
    let default = simulator.issuer().token(&vm(Image::Production), &container(agreed()), &options).expect("token");
    let listed =
        Provider { allowed_audiences: vec![shared.to_owned()], ..Provider::for_images(provider(1), [agreed()]) };
    simulator.sts().set_provider(listed).expect("a provider");
    assert_eq!(exchange(&simulator, &default, &audience(1)).await.0, 200);
    let (status, body) = exchange(&simulator, &own, &audience(1)).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{body}");
}

#[tokio::test]
async fn a_disabled_provider_and_one_of_another_issuer_exchange_nothing() {
    let simulator = start().await;
    let (status, body) = at(&simulator, |p| p.disabled = true).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_target")), "{body}");
    for issuer in ["https://confidentialcomputing.googleapis.com", &format!("{}/", simulator.issuer().name())] {
        let (status, body) = at(&simulator, |p| p.issuer = Some(issuer.to_owned())).await;
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{body}");
        assert!(description(&body).contains("does not match the expected ones"), "{body}");
    }
}

#[tokio::test]
async fn requests_in_json_work_and_malformed_ones_say_what_is_wrong() {
    let simulator = start().await;
    let good = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "subjectToken": token(&simulator, Image::Production, agreed(), 1),
        "audience": audience(1),
    });
    let post = async |body: String| -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/v1/token", simulator.endpoint()));
        let response = request.header("content-type", "application/json").body(body).send().await.expect("answers");
        (response.status().as_u16(), response.json().await.expect("json"))
    };
    assert_eq!(post(good.to_string()).await.0, 200);
    let twice = good.to_string().replacen('{', r#"{"scope":"x","#, 1);
    assert_eq!(post(twice).await.0, 400, "a member twice");
    for (member, value, error) in [
        ("grantType", "password", "unsupported_grant_type"),
        ("requestedTokenType", "urn:ietf:params:oauth:token-type:jwt", "invalid_request"),
        ("subjectTokenType", "urn:ietf:params:oauth:token-type:saml2", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("scope", "openid", "invalid_scope"),
        ("audience", "", "invalid_request"),
    ] {
        let mut changed = good.clone();
        changed[member] = json!(value);
        let (status, body) = post(changed.to_string()).await;
        assert_eq!((status, body["error"].as_str()), (400, Some(error)), "{member}: {body}");
    }
}

#[tokio::test]
async fn a_key_that_was_rotated_is_accepted_until_it_is_retired_and_no_longer() {
    let simulator = start().await;
    let old = token(&simulator, Image::Production, agreed(), 1);
    simulator.issuer().rotate().expect("rotates");
    let new = token(&simulator, Image::Production, agreed(), 1);
    assert_eq!(exchange(&simulator, &old, &audience(1)).await.0, 200, "both keys are published");
    assert_eq!(exchange(&simulator, &new, &audience(1)).await.0, 200);
    simulator.issuer().retire();
    let (status, body) = exchange(&simulator, &old, &audience(1)).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")), "{body}");
    assert_eq!(exchange(&simulator, &new, &audience(1)).await.0, 200);
}
