//! AWS KMS, and what gives its credentials, honest, broken or hostile.
#![cfg(all(feature = "transit", feature = "awskms", feature = "gcpkms", feature = "plugins"))]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use axum::{body::Body, http::Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Fake, Seen, Settings, endless, reply};
use csign_envelope::SignatureAlgorithm;
use csign_keys::{KeyType, KeysError, PrivateKey, Secret, ServiceFault};
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner as _};
use serde_json::{Value, json};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER: &str = "arn:aws:kms:eu-west-1:111122223333:key/9999abcd-12ab-34cd-56ef-1234567890ab";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+secret-of-the-test";

fn key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).expect("key")
}

fn described() -> Value {
    let public = csign_envelope::PublicKey::new(*key().verifying_key()).expect("public");
    json!({"KeyId": ARN, "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256", "SigningAlgorithms": ["ECDSA_SHA_256"],
        "PublicKey": BASE64_STANDARD.encode(public.der())})
}

fn signed(digest: &[u8]) -> Value {
    let signature: Signature = key().sign_prehash(digest).expect("sign");
    let signature = BASE64_STANDARD.encode(signature.to_der().as_bytes());
    json!({"KeyId": ARN, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_256"})
}

fn honest(seen: &Seen) -> Response<Body> {
    match seen.header("x-amz-target") {
        "TrentService.GetPublicKey" => reply(200, described().to_string()),
        "TrentService.Sign" => {
            let digest = BASE64_STANDARD.decode(seen.json()["Message"].as_str().expect("message")).expect("base64");
            reply(200, signed(&digest).to_string())
        }
        other => reply(400, json!({"__type": "UnknownOperationException", "message": other}).to_string()),
    }
}

fn settings(fake: &Fake) -> Settings {
    let mut settings = Settings::new();
    settings.aws.access_key_id = Some("AKIDEXAMPLE".to_owned());
    settings.aws.secret_access_key = Some(Secret::new(SECRET).expect("secret"));
    settings.aws.region = Some("eu-west-1".to_owned());
    settings.aws.endpoint = Some(fake.url());
    settings
}

async fn refused(fake: &Fake) -> KeysError {
    match settings(fake).open(&format!("awskms:///{ARN}")).await {
        Err(error) => error,
        Ok(signer) => signer.sign(b"message").await.expect_err("must be refused"),
    }
}

#[tokio::test]
async fn an_honest_service_signs_the_digest_of_the_message() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    for uri in [format!("awskms:///{ARN}"), format!("awskms:///{ID}"), format!("awskms://{}/{ID}", fake.address)] {
        let signer = settings(&fake).open(&uri).await.expect("open");
        let signature = signer.sign(b"message").await.expect("sign");
        assert!(signer.public_key().verify(b"message", &signature), "{uri}");
    }
    let request = &fake.seen()[1];
    let fields = request.json();
    assert_eq!((&fields["MessageType"], &fields["SigningAlgorithm"]), (&json!("DIGEST"), &json!("ECDSA_SHA_256")));
    // The request is bound to time, region, service, target and session.
    let authorization = request.header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/eu-west-1/kms/aws4_request"));
    assert!(authorization.contains("x-amz-target") && authorization.contains("host"), "{authorization}");
    assert_eq!(request.header("x-amz-date"), "20231114T221320Z");
}

#[tokio::test]
async fn the_session_token_is_sent_and_signed() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let mut settings = settings(&fake);
    settings.aws.session_token = Some(Secret::new("session").expect("token"));
    settings.open(&format!("awskms:///{ARN}")).await.expect("open");
    let request = &fake.seen()[0];
    assert_eq!(request.header("x-amz-security-token"), "session");
    assert!(request.header("authorization").contains("x-amz-security-token"));
}

#[tokio::test]
async fn a_public_key_that_is_not_the_one_asked_for_is_refused() {
    type Attack = (&'static str, fn(&mut Value));
    let integrity: [Attack; 2] =
        [("another key", |data| data["KeyId"] = OTHER.into()), ("not base64", |data| data["PublicKey"] = "%".into())];
    let algorithm: [Attack; 3] = [
        ("a key for encryption", |data| data["KeyUsage"] = "ENCRYPT_DECRYPT".into()),
        ("a key of another curve", |data| data["SigningAlgorithms"] = json!(["ECDSA_SHA_512"])),
        ("no key", |data| data["PublicKey"] = "".into()),
    ];
    for (attacks, is_integrity) in [(&integrity[..], true), (&algorithm[..], false)] {
        for (attack, change) in attacks {
            let change = *change;
            let fake = Fake::start(move |_, _| {
                let mut data = described();
                change(&mut data);
                reply(200, data.to_string())
            })
            .await;
            let error = settings(&fake).open(&format!("awskms:///{ARN}")).await.map(|_| ()).expect_err(attack);
            assert_eq!(matches!(error, KeysError::Integrity { .. }), is_integrity, "{attack}: {error:?}");
            assert_eq!(matches!(error, KeysError::KmsAlgorithm { .. }), !is_integrity, "{attack}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_signature_that_fails_a_check_is_refused() {
    type Attack = (&'static str, fn(&mut Value));
    let cases: [Attack; 5] = [
        ("another key signed", |data| data["KeyId"] = OTHER.into()),
        ("another algorithm", |data| data["SigningAlgorithm"] = "ECDSA_SHA_384".into()),
        ("over another message", |data| *data = signed(&[3; 32])),
        ("by another key", |data| {
            let signature = PrivateKey::generate().expect("key").sign(b"message").expect("sign");
            data["Signature"] = BASE64_STANDARD.encode(signature).into();
        }),
        ("not base64", |data| data["Signature"] = "%".into()),
    ];
    for (attack, change) in cases {
        let fake = Fake::start(move |seen, _| match seen.header("x-amz-target") {
            "TrentService.Sign" => {
                let digest = BASE64_STANDARD.decode(seen.json()["Message"].as_str().expect("message")).expect("base64");
                let mut data = signed(&digest);
                change(&mut data);
                reply(200, data.to_string())
            }
            _ => honest(seen),
        })
        .await;
        let error = refused(&fake).await;
        assert!(matches!(error, KeysError::Integrity { .. }), "{attack}: {error:?}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_class_its_advice_and_no_secret() {
    for (status, kind, fault) in [
        (400, "NotFoundException", ServiceFault::NotFound),
        (400, "com.amazon#AccessDeniedException", ServiceFault::PermissionDenied),
        (400, "UnrecognizedClientException", ServiceFault::Unauthenticated),
        (400, "DisabledException", ServiceFault::Unusable),
        (403, "", ServiceFault::PermissionDenied),
        (400, "ValidationException", ServiceFault::Refused),
    ] {
        let body = json!({"__type": kind, "message": "words\u{1b}[2J"}).to_string();
        let fake = Fake::start(move |_, _| reply(status, body.clone())).await;
        let error = refused(&fake).await;
        assert!(matches!(error, KeysError::Service { fault: found, .. } if found == fault), "{kind}: {error:?}");
        assert_eq!(error.hint().is_none(), fault == ServiceFault::Refused, "{kind}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("words") && !text.contains('\u{1b}') && !text.contains(SECRET), "{text}");
        assert_eq!(fake.seen().len(), 1, "not tried again");
    }
    let debug = format!("{:?}", settings(&Fake::start(|seen, _| honest(seen)).await).aws);
    assert!(!debug.contains(SECRET) && !debug.contains("AKID"), "{debug}");
}

#[tokio::test]
async fn a_throttled_or_failing_service_is_asked_again() {
    for (status, kind) in [(400, "ThrottlingException"), (500, "KMSInternalException"), (429, "")] {
        let body = json!({"__type": kind}).to_string();
        let fake =
            Fake::start(move |seen, number| if number < 3 { reply(status, body.clone()) } else { honest(seen) }).await;
        settings(&fake).open(&format!("awskms:///{ARN}")).await.expect("the third try succeeds");
    }
}

#[tokio::test]
async fn garbage_and_an_endless_answer_are_refused() {
    let fake = Fake::start(|_, _| reply(200, "<html>")).await;
    assert!(matches!(refused(&fake).await, KeysError::Integrity { .. }));
    let fake = Fake::start(|_, _| reply(200, endless())).await;
    assert!(matches!(refused(&fake).await, KeysError::Integrity { .. }));
}

#[tokio::test]
async fn a_key_of_another_type_signs_with_what_it_states_and_never_with_what_it_cannot() {
    let secret = PrivateKey::generate_type(KeyType::P384).expect("key");
    let (public, signature) = (secret.public_key().der().to_vec(), secret.sign(b"message").expect("sign"));
    let fake = Fake::start(move |seen, _| match seen.header("x-amz-target") {
        "TrentService.Sign" => {
            let signature = BASE64_STANDARD.encode(&signature);
            reply(200, json!({"KeyId": ARN, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_384"}).to_string())
        }
        _ => {
            let mut data = described();
            data["PublicKey"] = BASE64_STANDARD.encode(&public).into();
            data["SigningAlgorithms"] = json!(["ECDSA_SHA_384"]);
            reply(200, data.to_string())
        }
    })
    .await;
    let signer = settings(&fake).open(&format!("awskms:///{ARN}")).await.expect("open");
    signer.sign(b"message").await.expect("sign");
    let signer = signer.with_algorithm(SignatureAlgorithm::EcdsaP384Sha256).expect("an algorithm of the key");
    assert!(matches!(signer.sign(b"message").await, Err(KeysError::KmsAlgorithm { .. })));
}

#[tokio::test]
async fn an_endpoint_without_encryption_and_a_missing_region_are_refused_before_anything_is_sent() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let mut settings = settings(&fake);
    settings.aws.region = None;
    let error = settings.open(&format!("awskms:///{ID}")).await.map(|_| ()).expect_err("no region");
    assert!(matches!(error, KeysError::NotSet { setting: "AWS_REGION", .. }), "{error:?}");
    settings.aws.region = Some("evil.example/".to_owned());
    assert!(matches!(settings.open(&format!("awskms:///{ID}")).await.map(|_| ()), Err(KeysError::Invalid(_))));
    settings.aws.region = Some("eu-west-1".to_owned());
    settings.aws.endpoint = Some("http://kms.example".to_owned());
    let error = settings.open(&format!("awskms:///{ID}")).await.map(|_| ()).expect_err("plain");
    assert!(matches!(error, KeysError::Address { .. }), "{error:?}");
    settings.aws.access_key_id = None;
    settings.aws.endpoint = None;
    let error = settings.open(&format!("awskms:///{ID}")).await.map(|_| ()).expect_err("half a key");
    assert!(matches!(error, KeysError::AwsCredentials(_)), "{error:?}");
    assert!(fake.seen().is_empty());
}

/// No static keys: the next source is asked.
fn without_keys(fake: &Fake) -> Settings {
    let mut settings = settings(fake);
    settings.aws.access_key_id = None;
    settings.aws.secret_access_key = None;
    settings
}

#[tokio::test]
async fn a_web_identity_is_exchanged_for_credentials() {
    let fake = Fake::start(|seen, _| match seen.header("content-type") {
        "application/x-www-form-urlencoded" => reply(
            200,
            "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIA1</AccessKeyId>\
             <SecretAccessKey>a/b+c=</SecretAccessKey><SessionToken>session</SessionToken></Credentials>\
             </AssumeRoleWithWebIdentityResponse>",
        ),
        _ => honest(seen),
    })
    .await;
    let directory = tempfile::tempdir().expect("directory");
    let token = directory.path().join("token");
    std::fs::write(&token, "the.web+identity\n").expect("write");
    let mut settings = without_keys(&fake);
    settings.aws.web_identity_token_file = Some(token);
    settings.aws.role_arn = Some("arn:aws:iam::111122223333:role/signer".to_owned());
    settings.aws.sts_endpoint = Some(fake.url());
    settings.open(&format!("awskms:///{ARN}")).await.expect("open");
    let seen = fake.seen();
    let form = String::from_utf8(seen[0].body.clone()).expect("text");
    assert!(
        form.contains("WebIdentityToken=the.web%2Bidentity&") || form.ends_with("WebIdentityToken=the.web%2Bidentity")
    );
    assert!(seen[0].header("authorization").is_empty());
    assert!(seen[1].header("authorization").contains("ASIA1/"));
    assert_eq!(seen[1].header("x-amz-security-token"), "session");
}

#[tokio::test]
async fn an_answer_of_sts_without_credentials_or_with_two_is_refused() {
    let one = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>B</SecretAccessKey><SessionToken>C</SessionToken>";
    for body in [
        "",
        "<html>",
        &one.replace("<SessionToken>C</SessionToken>", ""),
        &format!("{one}{one}"),
        &one.replace('A', "&amp;"),
    ] {
        let body = body.to_owned();
        let fake = Fake::start(move |_, _| reply(200, body.clone())).await;
        let directory = tempfile::tempdir().expect("directory");
        let token = directory.path().join("token");
        std::fs::write(&token, "t").expect("write");
        let mut settings = without_keys(&fake);
        settings.aws.web_identity_token_file = Some(token);
        settings.aws.role_arn = Some("arn:aws:iam::111122223333:role/signer".to_owned());
        settings.aws.sts_endpoint = Some(fake.url());
        let error = settings.open(&format!("awskms:///{ARN}")).await.map(|_| ()).expect_err("refused");
        assert!(matches!(error, KeysError::Integrity { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_profile_gives_keys_or_says_why_it_cannot() {
    let fake = Fake::start(|seen, _| honest(seen)).await;
    let directory = tempfile::tempdir().expect("directory");
    let credentials = directory.path().join("credentials");
    std::fs::write(&credentials, "[ci]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = x\n").expect("write");
    let mut settings = without_keys(&fake);
    settings.aws.profile = Some("ci".to_owned());
    settings.aws.credentials_file = Some(credentials.clone());
    settings.open(&format!("awskms:///{ARN}")).await.expect("open");
    assert!(fake.seen()[0].header("authorization").contains("AKIDPROFILE/"));

    std::fs::write(&credentials, "[ci]\nsso_session = corp\n").expect("write");
    let error = settings.open(&format!("awskms:///{ARN}")).await.map(|_| ()).expect_err("sso");
    assert!(error.to_string().contains("sso_session"), "{error}");
    assert!(error.hint().expect("hint").contains("export-credentials"));
}

#[tokio::test]
async fn containers_and_virtual_machines_are_asked_for_their_credentials() {
    let document =
        r#"{"AccessKeyId":"ASIAROLE","SecretAccessKey":"x","Token":"session","Expiration":"2030-01-01T00:00:00Z"}"#;
    let fake = Fake::start(move |seen, _| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/container") if seen.header("authorization") == "container-token" => reply(200, document),
        ("PUT", "/latest/api/token") => reply(200, "imds-token"),
        ("GET", "/latest/meta-data/iam/security-credentials/") => reply(200, "role-1"),
        ("GET", "/latest/meta-data/iam/security-credentials/role-1")
            if seen.header("x-aws-ec2-metadata-token") == "imds-token" =>
        {
            reply(200, document)
        }
        ("POST", _) => honest(seen),
        _ => reply(401, ""),
    })
    .await;
    let mut container = without_keys(&fake);
    container.aws.container_uri = Some(format!("{}/container", fake.url()));
    container.aws.container_token = Some(Secret::new("container-token").expect("token"));
    container.open(&format!("awskms:///{ARN}")).await.expect("container");
    let mut machine = without_keys(&fake);
    machine.aws.metadata_endpoint = Some(fake.url());
    machine.open(&format!("awskms:///{ARN}")).await.expect("machine");
    for request in fake.seen().iter().filter(|seen| !seen.header("x-amz-target").is_empty()) {
        assert!(request.header("authorization").contains("ASIAROLE/"));
    }

    container.aws.container_uri = Some("http://credentials.example/".to_owned());
    let error = container.open(&format!("awskms:///{ARN}")).await.map(|_| ()).expect_err("elsewhere");
    assert!(matches!(error, KeysError::Address { .. }), "{error:?}");
}
