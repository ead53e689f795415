//! Signing, encrypting and publishing against the simulator, and what each refusal of it tells the caller.
#![cfg(all(feature = "transit", feature = "awskms", feature = "gcpkms", feature = "plugins", feature = "pubsub"))]
#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use csign_keys::{
    GcpClientOptions, KeysError, KmsKey, Secret, ServiceFault, Signer, gcpkms::KmsClient, google_access_token,
    pubsub::Publisher,
};
use simulator::{
    Config, Simulator,
    kms::{Purpose, SigningAlgorithm},
};

const SIGNING: &str = "projects/builder/locations/global/keyRings/r/cryptoKeys/signing";
const DATA: &str = "projects/alice/locations/global/keyRings/r/cryptoKeys/data";
const TOPIC: &str = "projects/operator/topics/messages";
const SUBSCRIPTION: &str = "projects/operator/subscriptions/messages";
const BUILDER: &str = "user:builder@example.com";

async fn simulator() -> Simulator {
    let simulator = Simulator::start(Config::default()).await.expect("simulator");
    simulator.kms().create_key(SIGNING, Purpose::AsymmetricSign).expect("signing key");
    simulator.kms().create_key(DATA, Purpose::EncryptDecrypt).expect("data key");
    simulator.pubsub().create_topic(TOPIC).expect("topic");
    let subscription = simulator::config::Subscription {
        name: SUBSCRIPTION.to_owned(),
        topic: TOPIC.to_owned(),
        ack_deadline_seconds: 10,
        dead_letter: None,
        ..simulator::config::Subscription::default()
    };
    simulator.pubsub().create_subscription(&subscription).expect("subscription");
    simulator
}

fn options(simulator: &Simulator) -> GcpClientOptions {
    let token = Secret::new(simulator.admin_token(BUILDER).expect("token")).expect("token");
    GcpClientOptions::simulator(simulator.address(), token).expect("loopback")
}

fn allow(simulator: &Simulator, resource: &str, permissions: &[&str]) {
    for permission in permissions {
        simulator.iam().bind(resource, permission, BUILDER);
    }
}

async fn open(simulator: &Simulator, key: &str) -> Result<Signer, KeysError> {
    let mut settings = common::Settings::new();
    settings.google = options(simulator);
    settings.open(&format!("gcpkms://{key}/cryptoKeyVersions/1")).await
}

fn assert_fault<T>(result: Result<T, KeysError>, want: ServiceFault, advice: &str) {
    let error = result.map(|_| ()).expect_err("must be refused");
    assert!(matches!(error, KeysError::Service { fault, .. } if fault == want), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains(advice)), "{:?}", error.hint());
}

#[tokio::test]
async fn a_kms_key_signs_what_its_public_key_verifies() {
    let simulator = simulator().await;
    allow(&simulator, SIGNING, &["cloudkms.cryptoKeyVersions.viewPublicKey", "cloudkms.cryptoKeyVersions.useToSign"]);
    let signer = open(&simulator, SIGNING).await.expect("open");
    let signature = signer.sign(b"payload").await.expect("sign");
    assert!(signer.public_key().verify(b"payload", &signature));
    assert_eq!(signer.public_key().pem(), simulator.kms().public_key_pem(SIGNING).expect("pem"));
}

#[tokio::test]
async fn a_kms_key_of_every_type_signs_with_the_algorithm_that_the_service_states() {
    use csign_envelope::SignatureAlgorithm as Ours;
    let simulator = simulator().await;
    allow(&simulator, "projects/builder", &["cloudkms.cryptoKeyVersions.viewPublicKey"]);
    allow(&simulator, "projects/builder", &["cloudkms.cryptoKeyVersions.useToSign"]);
    for (name, theirs, ours) in [
        ("p384", SigningAlgorithm::P384Sha384, Ours::EcdsaP384Sha384),
        ("ed25519", SigningAlgorithm::Ed25519, Ours::Ed25519),
        ("rsa-pkcs1", SigningAlgorithm::RsaPkcs1Sha256, Ours::RsaPkcs1v15Sha256),
        ("rsa-pss", SigningAlgorithm::RsaPssSha256, Ours::RsaPssSha256),
        ("rsa-pss-4096", SigningAlgorithm::RsaPssSha512, Ours::RsaPssSha512),
    ] {
        let key = SIGNING.replace("signing", name);
        simulator.kms().create_signing_key(&key, theirs).expect("key");
        let signer = open(&simulator, &key).await.expect(name);
        assert_eq!(signer.public_key().algorithm(), ours, "{name}");
        let signature = signer.sign(b"payload").await.expect(name);
        assert!(signer.public_key().verify(b"payload", &signature), "{name}");
        let other = if ours == Ours::RsaPssSha256 { Ours::RsaPkcs1v15Sha256 } else { Ours::RsaPssSha256 };
        assert!(signer.with_algorithm(other).is_err(), "{name}");
    }
}

#[tokio::test]
async fn each_missing_permission_names_the_role_that_is_missing() {
    let simulator = simulator().await;
    assert_fault(open(&simulator, SIGNING).await, ServiceFault::PermissionDenied, "publicKeyViewer");
    allow(&simulator, SIGNING, &["cloudkms.cryptoKeyVersions.viewPublicKey"]);
    let signer = open(&simulator, SIGNING).await.expect("open");
    assert_fault(signer.sign(b"payload").await, ServiceFault::PermissionDenied, "roles/cloudkms.signer");

    let client = KmsClient::connect(&options(&simulator)).await.expect("client");
    let key: KmsKey = DATA.parse().expect("key");
    assert_fault(client.encrypt(&key, b"alice", b"").await, ServiceFault::PermissionDenied, "cryptoKeyEncrypter");
    let publisher = Publisher::connect(TOPIC, &options(&simulator)).await.expect("publisher");
    assert_fault(publisher.publish(b"x".to_vec(), []).await, ServiceFault::PermissionDenied, "roles/pubsub.publisher");
}

#[tokio::test]
async fn a_disabled_key_version_is_told_from_a_missing_one() {
    let simulator = simulator().await;
    allow(&simulator, "projects/builder", &["cloudkms.cryptoKeyVersions.viewPublicKey"]);
    simulator.kms().set_enabled(SIGNING, false).expect("disable");
    assert_fault(open(&simulator, SIGNING).await, ServiceFault::Unusable, "versions enable");
    let missing = SIGNING.replace("signing", "missing");
    assert_fault(open(&simulator, &missing).await, ServiceFault::NotFound, &missing);
}

#[tokio::test]
async fn a_token_that_nobody_issued_is_not_authenticated() {
    let simulator = simulator().await;
    let token = Secret::new("made-up").expect("token");
    let options = GcpClientOptions::simulator(simulator.address(), token).expect("loopback");
    let client = KmsClient::connect(&options).await.expect("client");
    let key: KmsKey = DATA.parse().expect("key");
    let refused = client.encrypt(&key, b"alice", b"").await;
    assert_fault(refused, ServiceFault::Unauthenticated, "gcloud auth application-default login");
}

#[tokio::test]
async fn data_is_encrypted_and_published_once() {
    let simulator = simulator().await;
    allow(&simulator, DATA, &["cloudkms.cryptoKeyVersions.useToEncrypt"]);
    allow(&simulator, TOPIC, &["pubsub.topics.publish"]);
    let options = options(&simulator);
    let client = KmsClient::connect(&options).await.expect("client");
    let key: KmsKey = DATA.parse().expect("key");
    let ciphertext = client.encrypt(&key, b"alice", b"context").await.expect("encrypt");
    assert!(!ciphertext.windows(5).any(|window| window == b"alice"));

    let publisher = Publisher::connect(TOPIC, &options).await.expect("publisher");
    let id = publisher.publish(ciphertext, [("version".to_owned(), "1".to_owned())]).await.expect("publish");
    publisher.flush().await.expect("flush");
    assert!(!id.is_empty());
    assert_eq!(simulator.pubsub().backlog(SUBSCRIPTION).expect("backlog"), (1, 0));
}

#[tokio::test]
async fn a_topic_that_does_not_exist_or_is_no_topic_is_refused() {
    let simulator = simulator().await;
    allow(&simulator, "projects/operator", &["pubsub.topics.publish"]);
    let options = options(&simulator);
    let publisher = Publisher::connect("projects/operator/topics/other", &options).await.expect("publisher");
    assert_fault(publisher.publish(b"x".to_vec(), []).await, ServiceFault::NotFound, "topics/other");
    for name in ["messages", "projects/p/subscriptions/s", "projects//topics/t", "projects/p/topics/t/x"] {
        assert!(matches!(Publisher::connect(name, &options).await, Err(KeysError::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn the_access_token_of_the_options_is_handed_out_for_registries() {
    let simulator = simulator().await;
    let token = simulator.admin_token(BUILDER).expect("token");
    let options =
        GcpClientOptions::simulator(simulator.address(), Secret::new(token.clone()).expect("token")).expect("loopback");
    assert_eq!(google_access_token(&options).await.expect("token").expose(), token);
}
