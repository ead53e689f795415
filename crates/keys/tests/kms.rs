//! Cloud KMS as a hostile or broken service would answer: whatever is changed, missing or about another key is refused.
#![cfg(all(feature = "transit", feature = "awskms", feature = "gcpkms", feature = "plugins"))]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_keys::{
    GcpClientOptions, KeysError, KmsKey, PrivateKey, Secret, ServiceFault, Signer,
    gcpkms::{KmsClient, MAX_PLAINTEXT},
};
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner as _};
use serde_json::{Value, json};

const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
const TOKEN: &str = "token-of-the-test";

/// An attack by its name, and how it changes an answer.
type Attack = (&'static str, fn(&mut Value));
type Change = dyn Fn(&str, &mut Value) -> Option<(u16, Value)> + Send + Sync;

/// Cloud KMS with one key, whose answers `change` may alter (or replace) before they are sent.
async fn kms(change: impl Fn(&str, &mut Value) -> Option<(u16, Value)> + Send + Sync + 'static) -> SocketAddr {
    let change: Arc<Change> = Arc::new(change);
    let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let change = Arc::clone(&change);
        async move { respond(uri.path(), &headers, &body, &*change) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    address
}

fn respond(path: &str, headers: &HeaderMap, body: &[u8], change: &Change) -> Response {
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {TOKEN}")) {
        return error(401, "UNAUTHENTICATED", "no token").into_response();
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let (name, method) = path.strip_prefix("/v1/").expect("v1").rsplit_once([':', '/']).expect("method");
    let mut answer = match method {
        "publicKey" => {
            let pem = csign_envelope::PublicKey::new(*key().verifying_key()).expect("public").pem();
            json!({"name": name, "algorithm": "EC_SIGN_P256_SHA256", "pemCrc32c": crc(pem.as_bytes()), "pem": pem})
        }
        "asymmetricSign" => {
            let digest = decoded(&request["digest"]["sha256"]);
            assert_eq!(request["digestCrc32c"], crc(&digest), "the client sends the digest's checksum");
            let signature: Signature = key().sign_prehash(&digest).expect("sign");
            signed(name, signature.to_der().as_bytes())
        }
        "encrypt" => {
            let (plaintext, aad) = (decoded(&request["plaintext"]), decoded(&request["additionalAuthenticatedData"]));
            assert_eq!(request["plaintextCrc32c"], crc(&plaintext), "the client sends the plaintext's checksum");
            assert_eq!(request["additionalAuthenticatedDataCrc32c"], crc(&aad), "and that of the additional data");
            let ciphertext = [b"sealed:", plaintext.as_slice(), b":", &aad].concat();
            json!({"name": format!("{name}/cryptoKeyVersions/7"), "ciphertext": BASE64_STANDARD.encode(&ciphertext),
                "ciphertextCrc32c": crc(&ciphertext), "verifiedPlaintextCrc32c": true,
                "verifiedAdditionalAuthenticatedDataCrc32c": true})
        }
        other => panic!("unexpected method {other}"),
    };
    match change(method, &mut answer) {
        None => answer.to_string().into_response(),
        Some((status, body)) => {
            (StatusCode::from_u16(status).expect("status"), [("content-type", "application/json")], body.to_string())
                .into_response()
        }
    }
}

fn signed(name: &str, signature: &[u8]) -> Value {
    json!({"name": name, "signature": BASE64_STANDARD.encode(signature), "signatureCrc32c": crc(signature),
        "verifiedDigestCrc32c": true})
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).expect("key")
}

fn crc(bytes: &[u8]) -> Value {
    crc32c::crc32c(bytes).to_string().into()
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64")
}

fn error(status: u16, code: &str, message: &str) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let body = json!({"error": {"code": status, "message": message, "status": code}});
    (StatusCode::from_u16(status).expect("status"), [("content-type", "application/json")], body.to_string())
}

fn options(address: SocketAddr) -> GcpClientOptions {
    GcpClientOptions::simulator(address, Secret::new(TOKEN).expect("token")).expect("loopback")
}

async fn open(address: SocketAddr) -> Result<Signer, KeysError> {
    let mut settings = common::Settings::new();
    settings.google = options(address);
    settings.open(&format!("gcpkms://{KEY}/cryptoKeyVersions/1")).await
}

async fn encrypt(address: SocketAddr) -> Result<Vec<u8>, KeysError> {
    let key: KmsKey = KEY.parse().expect("key");
    KmsClient::connect(&options(address)).await.expect("client").encrypt(&key, b"alice", b"context").await
}

fn set(value: &mut Value, member: &str, to: Value) {
    let before = value.as_object_mut().expect("object").insert(member.to_owned(), to.clone());
    assert_ne!(before, Some(to), "the change must change something");
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().expect("object").remove(member).expect("member");
}

#[tokio::test]
async fn an_honest_service_signs_and_encrypts() {
    let address = kms(|_, _| None).await;
    let signer = open(address).await.expect("open");
    let signature = signer.sign(b"message").await.expect("sign");
    assert!(signer.public_key().verify(b"message", &signature));
    assert_eq!(encrypt(address).await.expect("encrypt"), b"sealed:alice:context");
}

#[tokio::test]
async fn a_public_key_that_fails_a_check_is_refused() {
    let cases: [Attack; 6] = [
        ("an algorithm of another type of key", |answer| set(answer, "algorithm", "EC_SIGN_P384_SHA384".into())),
        ("checksum of other bytes", |answer| set(answer, "pemCrc32c", crc(b"other"))),
        ("no checksum", |answer| remove(answer, "pemCrc32c")),
        ("another key's name", |answer| set(answer, "name", format!("{KEY}/cryptoKeyVersions/2").into())),
        ("another key under the old checksum", |answer| {
            set(answer, "pem", PrivateKey::generate().expect("key").public_key().pem().into());
        }),
        ("no key at all", |answer| {
            set(answer, "pem", "".into());
            set(answer, "pemCrc32c", crc(b""));
        }),
    ];
    for (attack, change) in cases {
        let address = kms(move |_, answer| {
            change(answer);
            None
        })
        .await;
        let refused = open(address).await.map(|_| ()).expect_err(attack);
        assert!(matches!(refused, KeysError::Integrity { .. }), "{attack}: {refused:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_algorithm_is_refused_by_name() {
    for algorithm in ["EC_SIGN_SECP256K1_SHA256", "RSA_SIGN_RAW_PKCS1_2048", "PQ_SIGN_ML_DSA_65"] {
        let address = kms(move |_, answer| {
            set(answer, "algorithm", algorithm.into());
            None
        })
        .await;
        match open(address).await.map(|_| ()) {
            Err(KeysError::KmsAlgorithm { got, .. }) => assert_eq!(got, algorithm),
            other => panic!("{algorithm}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_signature_that_fails_a_check_is_refused() {
    let cases: [Attack; 7] = [
        ("digest arrived changed", |answer| set(answer, "verifiedDigestCrc32c", false.into())),
        ("confirmation missing", |answer| remove(answer, "verifiedDigestCrc32c")),
        ("signature changed on the way", |answer| set(answer, "signature", BASE64_STANDARD.encode("x").into())),
        ("no checksum", |answer| remove(answer, "signatureCrc32c")),
        ("another version signed", |answer| set(answer, "name", format!("{KEY}/cryptoKeyVersions/2").into())),
        ("by another key, checksum right", |answer| {
            let signature = PrivateKey::generate().expect("key").sign(b"message").expect("sign");
            *answer = signed(&format!("{KEY}/cryptoKeyVersions/1"), &signature);
        }),
        ("over another message, checksum right", |answer| {
            let signature: Signature = key().sign_prehash(&[3; 32]).expect("sign");
            *answer = signed(&format!("{KEY}/cryptoKeyVersions/1"), signature.to_der().as_bytes());
        }),
    ];
    for (attack, change) in cases {
        let address = kms(move |method, answer| {
            if method == "asymmetricSign" {
                change(answer);
            }
            None
        })
        .await;
        let refused = open(address).await.expect("open").sign(b"message").await.expect_err(attack);
        assert!(matches!(refused, KeysError::Integrity { .. }), "{attack}: {refused:?}");
    }
}

#[tokio::test]
async fn a_ciphertext_that_fails_a_check_is_refused() {
    let cases: [Attack; 6] = [
        ("plaintext arrived changed", |answer| set(answer, "verifiedPlaintextCrc32c", false.into())),
        ("additional data arrived changed", |answer| remove(answer, "verifiedAdditionalAuthenticatedDataCrc32c")),
        ("ciphertext changed on the way", |answer| set(answer, "ciphertext", BASE64_STANDARD.encode("x").into())),
        ("no checksum", |answer| remove(answer, "ciphertextCrc32c")),
        ("another key encrypted", |answer| set(answer, "name", format!("{KEY}2/cryptoKeyVersions/7").into())),
        ("nobody says which key", |answer| remove(answer, "name")),
    ];
    for (attack, change) in cases {
        let address = kms(move |_, answer| {
            change(answer);
            None
        })
        .await;
        let refused = encrypt(address).await.expect_err(attack);
        assert!(matches!(refused, KeysError::Integrity { .. }), "{attack}: {refused:?}");
    }
}

#[tokio::test]
async fn every_refusal_of_the_service_has_its_class_and_its_advice() {
    let cases = [
        (403, "PERMISSION_DENIED", ServiceFault::PermissionDenied, "roles/cloudkms."),
        (404, "NOT_FOUND", ServiceFault::NotFound, "check project"),
        (400, "FAILED_PRECONDITION", ServiceFault::Unusable, "enable"),
        (401, "UNAUTHENTICATED", ServiceFault::Unauthenticated, "gcloud auth"),
    ];
    for (status, code, fault, advice) in cases {
        let message = "Permission 'x' denied\u{1b}[2J on resource 'k'.";
        let address = kms(move |method, _| {
            let body = json!({"error": {"code": status, "message": message, "status": code}});
            (method != "publicKey").then_some((status, body))
        })
        .await;
        for refused in [
            open(address).await.expect("open").sign(b"message").await.expect_err(code),
            encrypt(address).await.expect_err(code),
        ] {
            match &refused {
                KeysError::Service { fault: found, .. } => assert_eq!(*found, fault, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
            let text = refused.to_string();
            assert!(text.contains("Permission 'x' denied") && !text.contains('\u{1b}'), "{text}");
            assert!(refused.hint().expect("hint").contains(advice), "{:?}", refused.hint());
            assert!(!refused.is_unavailable());
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_refused() {
    let address = kms(|_, _| Some((200, json!("<html>")))).await;
    assert!(open(address).await.is_err());
    let address = kms(|_, _| Some((403, json!("<html>")))).await;
    let refused = open(address).await.map(|_| ()).expect_err("refused");
    assert!(matches!(refused, KeysError::Service { fault: ServiceFault::PermissionDenied, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_service_that_stays_away_is_unavailable_and_not_untrusted() {
    // Held and never listened on: a port that is let go may be another test's server a moment later.
    let held = tokio::net::TcpSocket::new_v4().expect("socket");
    held.bind(([127, 0, 0, 1], 0).into()).expect("bind");
    let refused = open(held.local_addr().expect("address")).await.map(|_| ()).expect_err("nobody listens");
    assert!(refused.is_unavailable() && refused.to_string().contains("fetching the public key"), "{refused}");
}

#[tokio::test]
async fn more_than_cloud_kms_takes_is_refused_before_it_is_sent() {
    let address = kms(|_, _| panic!("nothing may be sent")).await;
    let client = KmsClient::connect(&options(address)).await.expect("client");
    let key: KmsKey = KEY.parse().expect("key");
    let refused = client.encrypt(&key, &vec![0; MAX_PLAINTEXT + 1], b"").await.expect_err("too large");
    assert!(matches!(refused, KeysError::Invalid(_)), "{refused:?}");
}
