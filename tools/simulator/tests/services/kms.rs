//! Cloud KMS through Google's own client: release of keys, checksums, tampering.

use std::sync::Arc;

use csign_oci::Digest;
use google_cloud_auth::{
    credentials::{
        Credentials, external_account,
        subject_token::{Builder as SubjectTokenBuilder, SubjectToken, SubjectTokenProvider},
    },
    errors::SubjectTokenProviderError,
};
use google_cloud_gax::error::rpc::Code;
use google_cloud_kms_v1::{
    client::KeyManagementService,
    model::{Digest as KmsDigest, crypto_key_version::CryptoKeyVersionAlgorithm},
};
use p256::{
    ecdsa::{DerSignature, VerifyingKey, signature::Verifier as _},
    pkcs8::DecodePublicKey as _,
};
use simulator::{Simulator, attestation::Image};

use crate::scene::{BUILDER_KEY, DECRYPT, admin, agreed, audience, bearer, key, pool, start, token};

#[derive(Debug)]
struct Fixed(String);

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl SubjectTokenProviderError for Never {
    fn is_transient(&self) -> bool {
        false
    }
}

impl SubjectTokenProvider for Fixed {
    type Error = Never;

    async fn subject_token(&self) -> Result<SubjectToken, Never> {
        Ok(SubjectTokenBuilder::new(self.0.clone()).build())
    }
}

/// What the workload does: attestation token, STS, access token.
fn federated(simulator: &Simulator, image: Image, digest: Digest, n: u32) -> Credentials {
    external_account::ProgrammaticBuilder::new(Arc::new(Fixed(token(simulator, image, digest, n))))
        .with_audience(audience(n))
        .with_subject_token_type("urn:ietf:params:oauth:token-type:jwt")
        .with_token_url(format!("{}/v1/token", simulator.endpoint()))
        .build()
        .expect("credentials")
}

async fn client(simulator: &Simulator, credentials: Credentials) -> KeyManagementService {
    KeyManagementService::builder()
        .with_endpoint(simulator.endpoint())
        .with_credentials(credentials)
        .build()
        .await
        .expect("client")
}

async fn as_admin(simulator: &Simulator, n: u32) -> KeyManagementService {
    client(simulator, bearer(&simulator.admin_token(&admin(n)).expect("token"))).await
}

fn crc(data: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(data))
}

async fn encrypt(kms: &KeyManagementService, n: u32, plaintext: &'static [u8], aad: &'static [u8]) -> bytes::Bytes {
    let reply = kms
        .encrypt()
        .set_name(key(n))
        .set_plaintext(plaintext)
        .set_plaintext_crc32c(crc(plaintext))
        .set_additional_authenticated_data(aad)
        .set_additional_authenticated_data_crc32c(crc(aad))
        .send()
        .await
        .expect("encrypts");
    assert!(reply.verified_plaintext_crc32c && reply.verified_additional_authenticated_data_crc32c);
    assert_eq!(reply.ciphertext_crc32c, Some(crc(&reply.ciphertext)));
    assert_eq!(reply.name, format!("{}/cryptoKeyVersions/1", key(n)));
    reply.ciphertext
}

async fn decrypt(
    kms: &KeyManagementService,
    n: u32,
    ciphertext: &bytes::Bytes,
    aad: &'static [u8],
) -> Result<bytes::Bytes, google_cloud_gax::error::Error> {
    let request = kms.decrypt().set_name(key(n)).set_ciphertext(ciphertext.clone());
    let reply = request.set_ciphertext_crc32c(crc(ciphertext)).set_additional_authenticated_data(aad).send().await?;
    assert_eq!(reply.plaintext_crc32c, Some(crc(&reply.plaintext)));
    Ok(reply.plaintext)
}

fn code(error: &google_cloud_gax::error::Error) -> Option<Code> {
    error.status().map(|status| status.code)
}

fn message(error: &google_cloud_gax::error::Error) -> &str {
    error.status().map_or("", |status| status.message.as_str())
}

#[tokio::test]
async fn what_a_collaborator_encrypts_the_agreed_image_decrypts() {
    let simulator = start().await;
    let sealed = encrypt(&as_admin(&simulator, 1).await, 1, b"alice", b"aad").await;
    let workload = client(&simulator, federated(&simulator, Image::Production, agreed(), 1)).await;
    assert_eq!(decrypt(&workload, 1, &sealed, b"aad").await.expect("decrypts"), b"alice".as_slice());
    let log = simulator.audit();
    let last = log.last().expect("an entry");
    assert!(last.allowed && last.method == "decrypt" && last.clause.contains(&pool(1)), "{last:?}");
    let text = serde_json::to_string(&log).expect("json");
    assert!(!text.contains("alice") && !text.contains("YWxpY2U"), "plaintext in the log");
}

#[tokio::test]
async fn another_image_and_a_debug_image_get_no_credentials_and_so_no_key() {
    let simulator = start().await;
    let sealed = encrypt(&as_admin(&simulator, 1).await, 1, b"alice", b"").await;
    for (image, digest) in [(Image::Production, Digest::of("other")), (Image::Debug, agreed())] {
        let workload = client(&simulator, federated(&simulator, image, digest, 1)).await;
        let error = decrypt(&workload, 1, &sealed, b"").await.expect_err("refused");
        assert!(error.is_authentication(), "{error:?}");
    }
    assert!(!simulator.audit().iter().any(|entry| entry.method == "decrypt" && entry.allowed));
}

#[tokio::test]
async fn an_identity_of_another_collaborators_pool_is_denied_and_so_is_every_other_administrator() {
    let simulator = start().await;
    let sealed = encrypt(&as_admin(&simulator, 1).await, 1, b"alice", b"").await;
    let second = client(&simulator, federated(&simulator, Image::Production, agreed(), 2)).await;
    let error = decrypt(&second, 1, &sealed, b"").await.expect_err("another pool");
    assert_eq!(code(&error), Some(Code::PermissionDenied), "{error:?}");
    let wanted = format!("Permission '{DECRYPT}' denied on resource '{}' (or it may not exist).", key(1));
    assert_eq!(message(&error), wanted);
    let error = decrypt(&as_admin(&simulator, 2).await, 1, &sealed, b"").await.expect_err("another administrator");
    assert_eq!(code(&error), Some(Code::PermissionDenied));
    let error = decrypt(&client(&simulator, bearer("ya29.forged")).await, 1, &sealed, b"").await.expect_err("forged");
    assert_eq!(code(&error), Some(Code::Unauthenticated));
    let anonymous = google_cloud_auth::credentials::anonymous::Builder::new().build();
    let error = decrypt(&client(&simulator, anonymous).await, 1, &sealed, b"").await.expect_err("anonymous");
    assert_eq!(code(&error), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_binding_that_is_removed_stops_a_token_that_is_still_alive() {
    let simulator = start().await;
    let sealed = encrypt(&as_admin(&simulator, 1).await, 1, b"alice", b"").await;
    let workload = client(&simulator, federated(&simulator, Image::Production, agreed(), 1)).await;
    decrypt(&workload, 1, &sealed, b"").await.expect("decrypts");
    let member = format!("principalSet://iam.googleapis.com/{}/*", pool(1));
    assert!(simulator.iam().unbind(&key(1), DECRYPT, &member));
    let error = decrypt(&workload, 1, &sealed, b"").await.expect_err("unbound");
    assert_eq!(code(&error), Some(Code::PermissionDenied));
}

#[tokio::test]
async fn tampered_ciphertext_other_additional_data_and_other_keys_do_not_decrypt() {
    let simulator = start().await;
    let kms = as_admin(&simulator, 1).await;
    let sealed = encrypt(&kms, 1, b"alice", b"aad").await;
    let mut tampered = sealed.to_vec();
    *tampered.last_mut().expect("bytes") ^= 1;
    let second = encrypt(&as_admin(&simulator, 2).await, 2, b"alice", b"aad").await;
    for (name, ciphertext, aad) in [
        ("tampered", bytes::Bytes::from(tampered), b"aad".as_slice()),
        ("other additional data", sealed.clone(), b"aax"),
        ("no additional data", sealed, b""),
        ("another key's ciphertext", second, b"aad"),
        ("empty", bytes::Bytes::new(), b"aad"),
    ] {
        let error = decrypt(&kms, 1, &ciphertext, aad).await.expect_err(name);
        assert_eq!(code(&error), Some(Code::InvalidArgument), "{name}");
        assert_eq!(message(&error), "Decryption failed: the ciphertext is invalid.", "{name}");
    }
}

#[tokio::test]
async fn wrong_checksums_are_refused_before_anything_else_happens() {
    let simulator = start().await;
    let kms = as_admin(&simulator, 1).await;
    let sealed = encrypt(&kms, 1, b"alice", b"aad").await;
    let encrypting = || kms.encrypt().set_name(key(1)).set_plaintext(b"alice".as_slice());
    let decrypting = || kms.decrypt().set_name(key(1)).set_ciphertext(sealed.clone());
    let aad = b"aad".as_slice();
    let errors = [
        encrypting().set_plaintext_crc32c(1).send().await.err(),
        encrypting()
            .set_additional_authenticated_data(aad)
            .set_additional_authenticated_data_crc32c(1)
            .send()
            .await
            .err(),
        decrypting().set_additional_authenticated_data(aad).set_ciphertext_crc32c(1).send().await.err(),
        decrypting()
            .set_additional_authenticated_data(aad)
            .set_additional_authenticated_data_crc32c(1)
            .send()
            .await
            .err(),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("checksum {number} was ignored"));
        assert_eq!(code(&error), Some(Code::InvalidArgument));
        assert!(message(&error).contains("checksum"), "{error:?}");
    }
}

#[tokio::test]
async fn a_disabled_or_unknown_key_is_an_error_of_its_own() {
    let simulator = start().await;
    let kms = as_admin(&simulator, 1).await;
    let sealed = encrypt(&kms, 1, b"alice", b"").await;
    simulator.kms().set_enabled(&key(1), false).expect("there");
    let error = decrypt(&kms, 1, &sealed, b"").await.expect_err("disabled");
    assert_eq!(code(&error), Some(Code::FailedPrecondition));
    let unknown = "projects/c1/locations/global/keyRings/r/cryptoKeys/unknown";
    simulator.iam().bind(unknown, DECRYPT, &admin(1));
    let error = kms.decrypt().set_name(unknown).set_ciphertext(sealed).send().await.expect_err("unknown");
    assert_eq!(code(&error), Some(Code::NotFound));
}

#[tokio::test]
async fn the_builders_key_signs_and_its_public_key_verifies() {
    let simulator = start().await;
    let user = "user:ci@builder.example";
    for permission in ["cloudkms.cryptoKeyVersions.useToSign", "cloudkms.cryptoKeyVersions.viewPublicKey"] {
        simulator.iam().bind(BUILDER_KEY, permission, user);
    }
    let kms = client(&simulator, bearer(&simulator.admin_token(user).expect("token"))).await;
    let version = format!("{BUILDER_KEY}/cryptoKeyVersions/1");
    let public = kms.get_public_key().set_name(&version).send().await.expect("public key");
    assert_eq!(public.pem, simulator.kms().public_key_pem(BUILDER_KEY).expect("the same"));
    assert_eq!(public.pem_crc32c, Some(crc(public.pem.as_bytes())));
    assert_eq!(public.algorithm, CryptoKeyVersionAlgorithm::EcSignP256Sha256);
    assert_eq!(public.name, version);

    let digest = bytes::Bytes::copy_from_slice(Digest::of("payload").as_bytes());
    let signing = || kms.asymmetric_sign().set_name(&version).set_digest(KmsDigest::new().set_sha256(digest.clone()));
    let reply = signing().set_digest_crc32c(crc(&digest)).send().await.expect("signs");
    assert!(reply.verified_digest_crc32c);
    assert_eq!(reply.signature_crc32c, Some(crc(&reply.signature)));
    let verifying = VerifyingKey::from(p256::PublicKey::from_public_key_pem(&public.pem).expect("pem"));
    let signature = DerSignature::try_from(reply.signature.as_ref()).expect("DER");
    verifying.verify(b"payload", &signature).expect("valid");

    let error = signing().set_digest_crc32c(1).send().await.expect_err("checksum");
    assert_eq!(code(&error), Some(Code::InvalidArgument));
    let stranger = as_admin(&simulator, 1).await;
    let request = stranger.asymmetric_sign().set_name(&version).set_digest(KmsDigest::new().set_sha256(digest.clone()));
    assert_eq!(code(&request.send().await.expect_err("no binding")), Some(Code::PermissionDenied));
}
