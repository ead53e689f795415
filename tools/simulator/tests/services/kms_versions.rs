//! Cloud KMS: versions of keys and their states, keys to decrypt with, and the same over gRPC.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::{
    Simulator,
    kms::{Purpose, VersionState},
};

use crate::{
    rest::{answer, get, grpc, post, request},
    scene::{admin, key, start},
};

/// A simulator, and a token that may do everything with collaborator 1's key.
async fn owner() -> (Simulator, String) {
    let simulator = start().await;
    let owner = "user:owner@c1.example";
    for role in ["roles/cloudkms.admin", "roles/cloudkms.cryptoKeyEncrypterDecrypter"] {
        simulator.iam().bind("projects/c1", role, owner);
    }
    let token = simulator.admin_token(owner).expect("token");
    (simulator, token)
}

async fn encrypt(simulator: &Simulator, token: &str, name: &str) -> Value {
    let body = json!({"plaintext": STANDARD.encode("alice"), "additionalAuthenticatedData": STANDARD.encode("aad")});
    let (status, reply) = post(simulator, &format!("/v1/{name}:encrypt"), token, &body).await;
    assert_eq!(status, 200, "{reply}");
    reply
}

async fn decrypt(simulator: &Simulator, token: &str, ciphertext: &Value) -> (u16, Value) {
    let body = json!({"ciphertext": ciphertext, "additionalAuthenticatedData": STANDARD.encode("aad")});
    post(simulator, &format!("/v1/{}:decrypt", key(1)), token, &body).await
}

#[tokio::test]
async fn a_new_primary_encrypts_and_the_old_version_still_decrypts_until_it_is_disabled() {
    let (simulator, token) = owner().await;
    let old = encrypt(&simulator, &token, &key(1)).await;
    let (status, made) = post(&simulator, &format!("/v1/{}/cryptoKeyVersions", key(1)), &token, &json!({})).await;
    assert_eq!((status, made["state"].as_str()), (200, Some("ENABLED")), "{made}");
    assert_eq!(made["name"], format!("{}/cryptoKeyVersions/2", key(1)));
    assert_eq!(encrypt(&simulator, &token, &key(1)).await["name"], old["name"], "a new version is not yet primary");
    let primary = json!({"cryptoKeyVersionId": "2"});
    let (status, described) = post(&simulator, &format!("/v1/{}:updatePrimaryVersion", key(1)), &token, &primary).await;
    assert_eq!((status, &described["primary"]["name"]), (200, &made["name"]), "{described}");
    let new = encrypt(&simulator, &token, &key(1)).await;
    assert_eq!(new["name"], made["name"]);

    let (status, opened) = decrypt(&simulator, &token, &old["ciphertext"]).await;
    assert_eq!(
        (status, &opened["plaintext"], &opened["usedPrimary"]),
        (200, &json!(STANDARD.encode("alice")), &json!(false))
    );
    assert_eq!(decrypt(&simulator, &token, &new["ciphertext"]).await.1["usedPrimary"], true);

    let first = format!("/v1/{}/cryptoKeyVersions/1", key(1));
    let disable = request(&simulator, Method::PATCH, &format!("{first}?updateMask=state"), &token);
    let (status, disabled) = answer(disable.json(&json!({"state": "DISABLED"}))).await;
    assert_eq!((status, disabled["state"].as_str()), (200, Some("DISABLED")), "{disabled}");
    let (status, refused) = decrypt(&simulator, &token, &old["ciphertext"]).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (400, Some("FAILED_PRECONDITION")));
    let wanted = format!("{}/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.", key(1));
    assert_eq!(refused["error"]["message"], wanted.as_str());
    assert_eq!(decrypt(&simulator, &token, &new["ciphertext"]).await.0, 200, "the other version works on");
    let last = simulator.audit().into_iter().rev().find(|entry| !entry.allowed).expect("a denial");
    assert_eq!(last.clause, wanted);

    let (_, list) = get(&simulator, &format!("/v1/{}/cryptoKeyVersions", key(1)), &token).await;
    let states: Vec<&str> =
        list["cryptoKeyVersions"].as_array().expect("a list").iter().filter_map(|v| v["state"].as_str()).collect();
    assert_eq!(states, ["DISABLED", "ENABLED"]);
}

#[tokio::test]
async fn a_version_is_destroyed_after_thirty_days_and_restored_only_before() {
    let (simulator, token) = owner().await;
    let sealed = encrypt(&simulator, &token, &key(1)).await;
    let version = format!("/v1/{}/cryptoKeyVersions/1", key(1));
    let (status, _) = post(&simulator, &format!("{version}:restore"), &token, &json!({})).await;
    assert_eq!(status, 400, "there is nothing to restore");
    let (_, scheduled) = post(&simulator, &format!("{version}:destroy"), &token, &json!({})).await;
    assert_eq!(scheduled["state"], "DESTROY_SCHEDULED");
    assert!(scheduled["destroyTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{scheduled}");
    assert_eq!(decrypt(&simulator, &token, &sealed["ciphertext"]).await.0, 400);
    let (_, restored) = post(&simulator, &format!("{version}:restore"), &token, &json!({})).await;
    assert_eq!(restored["state"], "DISABLED");
    post(&simulator, &format!("{version}:destroy"), &token, &json!({})).await;
    simulator.advance_clock(Duration::from_secs(31 * 24 * 3600));
    let token = simulator.admin_token("user:owner@c1.example").expect("the old token has expired");
    let (_, gone) = get(&simulator, &version, &token).await;
    assert_eq!(gone["state"], "DESTROYED");
    let (status, refused) = post(&simulator, &format!("{version}:restore"), &token, &json!({})).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (400, Some("FAILED_PRECONDITION")));
}

#[tokio::test]
async fn ciphertext_that_names_a_version_that_there_is_not_or_another_one_is_invalid() {
    let (simulator, token) = owner().await;
    let sealed = encrypt(&simulator, &token, &key(1)).await;
    simulator.kms().create_version(&key(1)).expect("a version");
    let bytes = STANDARD.decode(sealed["ciphertext"].as_str().expect("text")).expect("base64");
    for version in [0_u32, 2, 3, u32::MAX] {
        let mut forged = bytes.clone();
        forged[7..11].copy_from_slice(&version.to_be_bytes());
        let (status, refused) = decrypt(&simulator, &token, &json!(STANDARD.encode(&forged))).await;
        assert_eq!(
            (status, refused["error"]["message"].as_str()),
            (400, Some("Decryption failed: the ciphertext is invalid."))
        );
    }
    simulator.kms().set_state(&key(1), 1, VersionState::Destroyed).expect("there");
    assert_eq!(decrypt(&simulator, &token, &sealed["ciphertext"]).await.0, 400);
}

#[tokio::test]
async fn managing_keys_is_not_using_them_and_using_is_not_managing() {
    let (simulator, token) = owner().await;
    let manager = "user:manager@c1.example";
    simulator.iam().bind("projects/c1", "roles/cloudkms.admin", manager);
    let manager = simulator.admin_token(manager).expect("token");
    let sealed = encrypt(&simulator, &token, &key(1)).await;
    let (status, refused) = decrypt(&simulator, &manager, &sealed["ciphertext"]).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (403, Some("PERMISSION_DENIED")));
    let user = simulator.admin_token(&admin(1)).expect("token");
    let version = format!("/v1/{}/cryptoKeyVersions/1", key(1));
    for (path, body) in [
        (format!("{version}:destroy"), json!({})),
        (format!("/v1/{}/cryptoKeyVersions", key(1)), json!({})),
        (format!("/v1/{}:updatePrimaryVersion", key(1)), json!({"cryptoKeyVersionId": "1"})),
        (format!("/v1/{}:setIamPolicy", key(1)), json!({"policy": {}})),
    ] {
        let (status, refused) = post(&simulator, &path, &user, &body).await;
        assert_eq!((status, refused["error"]["status"].as_str()), (403, Some("PERMISSION_DENIED")), "{path}");
    }
    assert_eq!(decrypt(&simulator, &token, &sealed["ciphertext"]).await.0, 200, "nothing changed");
}

#[tokio::test]
async fn a_key_of_one_purpose_serves_no_other_and_one_to_decrypt_with_opens_what_its_public_key_sealed() {
    use rsa::pkcs8::DecodePublicKey as _;
    let (simulator, token) = owner().await;
    let parent = "/v1/projects/c1/locations/global/keyRings/r/cryptoKeys";
    simulator.iam().bind("projects/c1", "roles/cloudkms.publicKeyViewer", "user:owner@c1.example");
    let body =
        json!({"purpose": "ASYMMETRIC_DECRYPT", "versionTemplate": {"algorithm": "RSA_DECRYPT_OAEP_2048_SHA256"}});
    let (status, made) = post(&simulator, &format!("{parent}?cryptoKeyId=oaep"), &token, &body).await;
    assert_eq!((status, made["purpose"].as_str()), (200, Some("ASYMMETRIC_DECRYPT")), "{made}");
    assert_eq!(post(&simulator, &format!("{parent}?cryptoKeyId=oaep"), &token, &body).await.0, 409);
    let version = format!("{parent}/oaep/cryptoKeyVersions/1");
    let (_, public) = get(&simulator, &format!("{version}/publicKey"), &token).await;
    let public = rsa::RsaPublicKey::from_public_key_pem(public["pem"].as_str().expect("pem")).expect("a key");
    let sealed = public.encrypt(&mut rand(), rsa::Oaep::<sha2::Sha256>::new(), b"alice").expect("encrypts");
    let crc = crc32c::crc32c(&sealed).to_string();
    let body = json!({"ciphertext": STANDARD.encode(&sealed), "ciphertextCrc32c": crc});
    let (status, opened) = post(&simulator, &format!("{version}:asymmetricDecrypt"), &token, &body).await;
    assert_eq!((status, &opened["plaintext"]), (200, &json!(STANDARD.encode("alice"))), "{opened}");
    assert_eq!(opened["verifiedCiphertextCrc32c"], true);
    let wrong = json!({"ciphertext": STANDARD.encode(&sealed), "ciphertextCrc32c": "1"});
    assert_eq!(post(&simulator, &format!("{version}:asymmetricDecrypt"), &token, &wrong).await.0, 400);
    let (status, refused) = post(&simulator, &format!("{parent}/oaep:encrypt"), &token, &json!({})).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (400, Some("FAILED_PRECONDITION")), "{refused}");
    let symmetric = format!("/v1/{}/cryptoKeyVersions/1", key(1));
    assert_eq!(get(&simulator, &format!("{symmetric}/publicKey"), &token).await.0, 400);
    assert!(simulator.kms().create_key(&key(1), Purpose::AsymmetricSign).is_err(), "the name is taken");
}

/// Randomness for tests: the same every time.
fn rand() -> impl rsa::rand_core::CryptoRng {
    struct Counter(u64);
    impl rsa::rand_core::TryRng for Counter {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.try_next_u64().map(|n| (n >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Ok(self.0)
        }
        fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Self::Error> {
            for slot in target {
                *slot = (self.try_next_u64()? >> 56) as u8;
            }
            Ok(())
        }
    }
    impl rsa::rand_core::TryCryptoRng for Counter {}
    Counter(1)
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sealing {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    additional: Vec<u8>,
    /// `ciphertext_crc32c` of a decryption.
    #[prost(message, optional, tag = "5")]
    ciphertext_crc32c: Option<i64>,
    /// `plaintext_crc32c` of an encryption.
    #[prost(message, optional, tag = "7")]
    plaintext_crc32c: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sealed {
    #[prost(bytes = "vec", tag = "2")]
    ciphertext: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    ciphertext_crc32c: Option<i64>,
    #[prost(bool, tag = "5")]
    verified_plaintext_crc32c: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Opened {
    #[prost(bytes = "vec", tag = "1")]
    plaintext: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    plaintext_crc32c: Option<i64>,
}

#[tokio::test]
async fn grpc_and_rest_are_the_same_service_with_the_same_refusals() {
    let (simulator, token) = owner().await;
    let service = "google.cloud.kms.v1.KeyManagementService";
    let crc = |data: &[u8]| Some(i64::from(crc32c::crc32c(data)));
    let sealing = Sealing {
        name: key(1),
        data: b"alice".to_vec(),
        additional: b"aad".to_vec(),
        plaintext_crc32c: crc(b"alice"),
        ciphertext_crc32c: None,
    };
    let sealed: Sealed = grpc(&simulator, &format!("{service}/Encrypt"), &token, &sealing).await.expect("encrypts");
    assert!(sealed.verified_plaintext_crc32c);
    assert_eq!(sealed.ciphertext_crc32c, crc(&sealed.ciphertext));
    let (status, opened) = decrypt(&simulator, &token, &json!(STANDARD.encode(&sealed.ciphertext))).await;
    assert_eq!((status, &opened["plaintext"]), (200, &json!(STANDARD.encode("alice"))), "REST opens what gRPC sealed");
    let opening = Sealing {
        data: sealed.ciphertext,
        ciphertext_crc32c: sealed.ciphertext_crc32c,
        plaintext_crc32c: None,
        ..sealing.clone()
    };
    let opened: Opened = grpc(&simulator, &format!("{service}/Decrypt"), &token, &opening).await.expect("decrypts");
    assert_eq!((opened.plaintext.as_slice(), opened.plaintext_crc32c), (b"alice".as_slice(), crc(b"alice")));

    let wrong_crc = Sealing { plaintext_crc32c: Some(1), ..sealing.clone() };
    let (code, message) =
        grpc::<Sealed>(&simulator, &format!("{service}/Encrypt"), &token, &wrong_crc).await.expect_err("checksum");
    assert_eq!(code, "3", "INVALID_ARGUMENT: {message}");
    assert!(message.contains("checksum"), "{message}");
    let (code, _) =
        grpc::<Opened>(&simulator, &format!("{service}/Decrypt"), "ya29.forged", &opening).await.expect_err("token");
    assert_eq!(code, "16", "UNAUTHENTICATED");
    let stranger = simulator.admin_token(&admin(2)).expect("token");
    let (code, _) =
        grpc::<Opened>(&simulator, &format!("{service}/Decrypt"), &stranger, &opening).await.expect_err("stranger");
    assert_eq!(code, "7", "PERMISSION_DENIED");
    let other_aad = Sealing { additional: b"other".to_vec(), ..opening.clone() };
    assert_eq!(
        grpc::<Opened>(&simulator, &format!("{service}/Decrypt"), &token, &other_aad).await.expect_err("aad").0,
        "3"
    );
    simulator.kms().set_enabled(&key(1), false).expect("there");
    let (code, _) =
        grpc::<Opened>(&simulator, &format!("{service}/Decrypt"), &token, &opening).await.expect_err("disabled");
    assert_eq!(code, "9", "FAILED_PRECONDITION");
    assert_eq!(
        grpc::<Opened>(&simulator, &format!("{service}/Nonsense"), &token, &opening).await.expect_err("unknown").0,
        "12"
    );
}
