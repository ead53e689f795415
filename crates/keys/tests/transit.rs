//! A transit secrets engine that is honest, broken or hostile: whatever is not what was asked for is refused, and no
//! error carries a token.
#![cfg(all(feature = "transit", feature = "awskms", feature = "gcpkms", feature = "plugins"))]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use axum::{body::Body, http::Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Fake, Seen, Settings, endless, reply};
use csign_envelope::SignatureAlgorithm;
use csign_keys::{KeyType, KeysError, PrivateKey, Secret, ServiceFault, TransitServer};
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner as _};
use serde_json::{Value, json};

const TOKEN: &str = "hvs.token-of-the-test";
const URI: &str = "hashivault://release/versions/2";

fn key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).expect("key")
}

fn public_pem() -> String {
    csign_envelope::PublicKey::new(*key().verifying_key()).expect("public").pem()
}

fn description() -> Value {
    let entry = |pem: String| json!({"name": "P-256", "public_key": pem, "creation_time": "2024-01-01T00:00:00Z"});
    let other = PrivateKey::generate().expect("key").public_key().pem();
    json!({"data": {"name": "release", "type": "ecdsa-p256", "latest_version": 3,
        "keys": {"1": entry(other.clone()), "2": entry(public_pem()), "3": entry(other)}}})
}

fn signed(prefix: &str, digest: &[u8]) -> Value {
    let signature: Signature = key().sign_prehash(digest).expect("sign");
    json!({"data": {"signature": format!("{prefix}{}", BASE64_STANDARD.encode(signature.to_der().as_bytes()))}})
}

fn digest(seen: &Seen) -> Vec<u8> {
    BASE64_STANDARD.decode(seen.json()["input"].as_str().expect("input")).expect("base64")
}

/// An honest server.
fn honest(seen: &Seen) -> Response<Body> {
    if seen.header("x-vault-token") != TOKEN {
        return reply(403, r#"{"errors":["permission denied"]}"#);
    }
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/v1/transit/keys/release") => reply(200, description().to_string()),
        ("POST", "/v1/transit/sign/release/sha2-256") => reply(200, signed("vault:v2:", &digest(seen)).to_string()),
        _ => reply(404, r#"{"errors":[]}"#),
    }
}

fn settings(fake: &Fake) -> Settings {
    let mut settings = Settings::new();
    settings.transit.vault = TransitServer {
        address: Some(fake.url()),
        token: Some(Secret::new(TOKEN).expect("token")),
        ..Default::default()
    };
    settings
}

async fn refused(uri: &str, fake: &Fake) -> KeysError {
    match settings(fake).open(uri).await {
        Err(error) => error,
        Ok(signer) => signer.sign(b"message").await.expect_err("must be refused"),
    }
}

#[tokio::test]
async fn an_honest_server_signs_the_digest_with_the_version_that_was_asked_for() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let mut settings = settings(&fake);
    settings.transit.vault.namespace = Some("team/a".to_owned());
    let signer = settings.open(URI).await.expect("open");
    assert_eq!(signer.public_key().pem(), public_pem());
    let signature = signer.sign(b"message").await.expect("sign");
    assert!(signer.public_key().verify(b"message", &signature));

    let request = &fake.seen()[1];
    let fields = request.json();
    assert_eq!((&fields["key_version"], &fields["prehashed"]), (&json!(2), &json!(true)));
    assert_eq!(fields["marshaling_algorithm"], "asn1");
    assert_eq!(digest(request).len(), 32, "the digest is made here");
    assert_eq!(request.header("x-vault-namespace"), "team/a");
}

#[tokio::test]
async fn a_public_key_that_is_not_the_one_asked_for_is_refused() {
    type Attack = (&'static str, fn(&mut Value));
    let cases: [Attack; 5] = [
        ("another key's name", |data| data["name"] = "other".into()),
        ("a type that the key does not have", |data| data["type"] = "rsa-2048".into()),
        ("an Ed25519 key that is none", |data| data["type"] = "ed25519".into()),
        ("no key", |data| data["keys"]["2"]["public_key"] = "".into()),
        ("no object", |data| data["keys"]["2"] = 5.into()),
    ];
    for (attack, change) in cases {
        let fake = Fake::start(move |_, _| {
            let mut description = description();
            change(&mut description["data"]);
            reply(200, description.to_string())
        })
        .await;
        let error = settings(&fake).open(URI).await.map(|_| ()).expect_err(attack);
        assert!(matches!(error, KeysError::Integrity { .. }), "{attack}: {error:?}");
    }
}

#[tokio::test]
async fn a_version_that_does_not_exist_and_a_key_that_cannot_sign_are_named() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let error = refused("hashivault://release/versions/7", &fake).await;
    assert!(error.to_string().contains("there are 1, 2, 3"), "{error}");
    assert!(matches!(error, KeysError::Service { fault: ServiceFault::NotFound, .. }));
    let fake = Fake::start(|_, _| {
        let data = json!({"name": "release", "type": "aes256-gcm96", "keys": {"2": 1_700_000_000}});
        reply(200, json!({"data": data}).to_string())
    })
    .await;
    let error = refused(URI, &fake).await;
    assert!(matches!(&error, KeysError::KmsAlgorithm { got, .. } if got == "aes256-gcm96"), "{error:?}");
}

#[tokio::test]
async fn a_signature_that_fails_a_check_is_refused() {
    type Attack = (&'static str, fn(&[u8]) -> Value);
    let cases: [Attack; 6] = [
        ("another version signed", |digest| signed("vault:v3:", digest)),
        ("a version whose number begins alike", |digest| signed("vault:v20:", digest)),
        ("nobody says which version", |digest| signed("", digest)),
        ("over another message", |_| signed("vault:v2:", &[3; 32])),
        ("by another key", |_| {
            let signature = PrivateKey::generate().expect("key").sign(b"message").expect("sign");
            json!({"data": {"signature": format!("vault:v2:{}", BASE64_STANDARD.encode(signature))}})
        }),
        ("not base64", |_| json!({"data": {"signature": "vault:v2:%%"}})),
    ];
    for (attack, change) in cases {
        let fake = Fake::start(move |seen, _| match seen.method.as_str() {
            "GET" => honest(seen),
            _ => reply(200, change(&digest(seen)).to_string()),
        })
        .await;
        let error = refused(URI, &fake).await;
        assert!(matches!(error, KeysError::Integrity { .. }), "{attack}: {error:?}");
    }
}

#[tokio::test]
async fn garbage_an_endless_answer_and_duplicate_members_are_refused() {
    for (attack, body) in [
        ("html", "<html>"),
        ("nothing", ""),
        (
            "duplicate members",
            r#"{"data":{"name":"release","type":"ecdsa-p256","keys":{}},"data":{"name":"x","type":"","keys":{}}}"#,
        ),
    ] {
        let fake = Fake::start(move |_, _| reply(200, body)).await;
        let error = refused(URI, &fake).await;
        assert!(matches!(error, KeysError::Integrity { .. }) && error.is_unavailable(), "{attack}: {error:?}");
    }
    let fake = Fake::start(|_, _| reply(200, endless())).await;
    let error = refused(URI, &fake).await;
    assert!(matches!(error, KeysError::Integrity { .. }), "{error:?}");
    assert_eq!(fake.seen().len(), 1, "not tried again");
}

#[tokio::test]
async fn every_refusal_has_its_class_its_words_and_no_token() {
    for (status, fault, advice) in [
        (403, ServiceFault::PermissionDenied, "policy lacks"),
        (404, ServiceFault::NotFound, "TRANSIT_SECRET_ENGINE_PATH"),
    ] {
        let fake = Fake::start(move |_, _| reply(status, r#"{"errors":["no \u001b[2J entry"]}"#)).await;
        let error = refused(URI, &fake).await;
        assert!(matches!(error, KeysError::Service { fault: found, .. } if found == fault), "{status}: {error:?}");
        assert!(error.hint().expect("hint").contains(advice), "{:?}", error.hint());
        let text = format!("{error} {error:?}");
        assert!(text.contains("entry") && !text.contains('\u{1b}') && !text.contains(TOKEN), "{text}");
        assert!(!error.is_unavailable());
    }
    assert!(!format!("{:?}", settings(&Fake::start(|seen, _| honest(seen)).await).transit).contains(TOKEN));
}

#[tokio::test]
async fn a_sealed_or_throttled_server_is_asked_again_and_then_could_not_check() {
    for status in [429, 503] {
        let fake = Fake::start(move |seen, number| match number {
            1 | 2 => reply(status, r#"{"errors":["later"]}"#),
            _ => honest(seen),
        })
        .await;
        settings(&fake).open(URI).await.expect("the third try succeeds");
        assert_eq!(fake.seen().len(), 3);
    }
    let fake = Fake::start(|_, _| reply(503, r#"{"errors":["Vault is sealed"]}"#)).await;
    let error = refused(URI, &fake).await;
    assert!(error.is_unavailable() && error.to_string().contains("Vault is sealed"), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_token_with_it() {
    let other = Fake::start(|seen, _| honest(seen)).await;
    let there = other.url();
    let fake = Fake::start(move |seen, _| {
        Response::builder()
            .status(307)
            .header("location", format!("{there}{}", seen.path))
            .body(Body::empty())
            .expect("response")
    })
    .await;
    let error = refused(URI, &fake).await;
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_token_goes_to_no_server_but_the_one_it_was_set_for() {
    let (vault, bao) = (Fake::start(|seen, _| honest(seen)).await, Fake::start(|seen, _| honest(seen)).await);
    let mut settings = settings(&vault);
    settings.transit.openbao = TransitServer { address: Some(bao.url()), ..Default::default() };
    let error = settings.open("openbao://release/versions/2").await.map(|_| ()).expect_err("no token");
    assert!(matches!(error, KeysError::NotSet { setting: "BAO_TOKEN", .. }), "{error:?}");
    assert!(bao.seen().is_empty() && vault.seen().is_empty());

    // Without an address of its own it is the other's server, with the other's token.
    settings.transit.openbao =
        TransitServer { token: Some(Secret::new("other").expect("token")), ..Default::default() };
    settings.open("openbao://release/versions/2").await.expect("the other server");
    assert_eq!(vault.seen()[0].header("x-vault-token"), TOKEN);
}

#[tokio::test]
async fn settings_that_are_missing_or_not_encrypted_are_named_before_anything_is_sent() {
    let error = Settings::new().open(URI).await.map(|_| ()).expect_err("no address");
    assert!(matches!(error, KeysError::NotSet { setting: "VAULT_ADDR", .. }), "{error:?}");
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let mut plain = settings(&fake);
    plain.transit.vault.address = Some("http://vault.example:8200".to_owned());
    let error = plain.open(URI).await.map(|_| ()).expect_err("not encrypted");
    assert!(matches!(error, KeysError::Address { .. }), "{error:?}");
    let mut mount = settings(&fake);
    for path in ["../sys", "a//b", "a?b", "."] {
        mount.transit.mount = Some(path.to_owned());
        assert!(matches!(mount.open(URI).await.map(|_| ()), Err(KeysError::Invalid(_))), "{path}");
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn the_token_of_a_login_is_read_from_its_file() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let directory = tempfile::tempdir().expect("directory");
    let mut settings = settings(&fake);
    settings.transit.vault.token = None;
    settings.transit.token_file = Some(directory.path().join(".vault-token"));
    let error = settings.open(URI).await.map(|_| ()).expect_err("no file");
    assert!(matches!(error, KeysError::NotSet { setting: "VAULT_TOKEN", .. }), "{error:?}");
    std::fs::write(directory.path().join(".vault-token"), format!("{TOKEN}\n")).expect("write");
    settings.open(URI).await.expect("open");
}

#[tokio::test]
async fn keys_of_every_type_sign_what_their_type_signs() {
    for (kind, name, hash) in [
        (KeyType::P384, "ecdsa-p384", Some("/sha2-384")),
        (KeyType::Ed25519, "ed25519", None),
        (KeyType::Rsa(2048), "rsa-2048", Some("/sha2-256")),
    ] {
        let secret = PrivateKey::generate_type(kind).expect(name);
        let signature = secret.sign(b"message").expect(name);
        let public = match kind {
            KeyType::Ed25519 => BASE64_STANDARD.encode(&secret.public_key().der()[12..]),
            _ => secret.public_key().pem(),
        };
        let fake = Fake::start(move |seen, _| match seen.method.as_str() {
            "GET" => {
                let keys = json!({"2": {"public_key": public}});
                reply(200, json!({"data": {"name": "release", "type": name, "keys": keys}}).to_string())
            }
            _ => {
                let signature = format!("vault:v2:{}", BASE64_STANDARD.encode(&signature));
                reply(200, json!({"data": {"signature": signature}}).to_string())
            }
        })
        .await;
        let signer = settings(&fake).open(URI).await.expect(name);
        signer.sign(b"message").await.expect(name);
        let request = &fake.seen()[1];
        assert_eq!(request.path, format!("/v1/transit/sign/release{}", hash.unwrap_or_default()), "{name}");
        let fields = request.json();
        assert_eq!(fields["prehashed"] == true, hash.is_some(), "{name}");
        match kind {
            KeyType::Ed25519 => assert_eq!(digest(request), b"message"),
            KeyType::Rsa(_) => assert_eq!(fields["signature_algorithm"], "pkcs1v15"),
            _ => assert_eq!(digest(request).len(), 48),
        }
        let ph = signer.with_algorithm(SignatureAlgorithm::Ed25519Ph);
        if let Ok(signer) = ph {
            assert!(matches!(signer.sign(b"message").await, Err(KeysError::KmsAlgorithm { .. })));
        }
    }
}
