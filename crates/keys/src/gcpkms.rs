//! Cloud KMS: the public key of a signing key, signatures, and encryption with additional authenticated data.
//!
//! Google's client checks no checksums, so this does, in both directions: a request that arrived changed and an answer
//! that arrived changed are both refused. What Cloud KMS says about the checksums is in
//! <https://cloud.google.com/kms/docs/data-integrity-guidelines>.

use csign_envelope::PublicKey;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_kms_v1::{
    client::KeyManagementService,
    model::{Digest, crypto_key_version::CryptoKeyVersionAlgorithm},
};
use sha2::{Digest as _, Sha256};

use crate::{
    GcpClientOptions, KeysError, KmsKey, KmsKeyVersion,
    error::{ENCRYPTING, FETCHING_KEY, SIGNING},
    google::{ATTEMPT_TIMEOUT, backoff_policy, bounded, credentials_error, retry_policy, service_error},
};

/// Most bytes that Cloud KMS encrypts at once, and most bytes of additional authenticated data.
pub const MAX_PLAINTEXT: usize = 64 << 10;

/// A connection to Cloud KMS.
pub struct KmsClient {
    inner: KeyManagementService,
}

impl KmsClient {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// No credentials are found.
    pub async fn connect(options: &GcpClientOptions) -> Result<Self, KeysError> {
        let mut builder = KeyManagementService::builder()
            .with_credentials(options.credentials()?)
            .with_retry_policy(retry_policy())
            .with_backoff_policy(backoff_policy())
            .with_attempt_timeout(ATTEMPT_TIMEOUT);
        if let Some(endpoint) = options.endpoint() {
            builder = builder.with_endpoint(endpoint);
        }
        let inner = builder.build().await.map_err(|error| credentials_error(&error))?;
        Ok(Self { inner })
    }

    /// The public key of a signing key.
    ///
    /// # Errors
    /// The service refuses or cannot be reached, the key has another algorithm, or the answer fails a check.
    pub async fn public_key(&self, version: &KmsKeyVersion) -> Result<PublicKey, KeysError> {
        let checks = Checks { doing: FETCHING_KEY, resource: version.name() };
        let request = self.inner.get_public_key().set_name(version.name()).send();
        let answer = checks.bounded(request).await?;
        checks.that(answer.name == version.name(), "the answer is about another key version")?;
        if answer.algorithm != CryptoKeyVersionAlgorithm::EcSignP256Sha256 {
            return Err(KeysError::KmsAlgorithm {
                resource: version.to_string(),
                got: answer.algorithm.name().unwrap_or("unknown").to_owned(),
            });
        }
        checks.checksum(answer.pem_crc32c, answer.pem.as_bytes(), "the public key does not match its checksum")?;
        PublicKey::from_pem(&answer.pem).map_err(|_| checks.failed("the answer is not a P-256 public key"))
    }

    /// ASN.1 DER signature over sha256 of `message`. The caller verifies it; [`crate::Signer`] does.
    ///
    /// # Errors
    /// The service refuses or cannot be reached, or the answer fails a check.
    pub async fn sign(&self, version: &KmsKeyVersion, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let checks = Checks { doing: SIGNING, resource: version.name() };
        let digest = Sha256::digest(message).to_vec();
        let request = self
            .inner
            .asymmetric_sign()
            .set_name(version.name())
            .set_digest_crc32c(checksum(&digest))
            .set_digest(Digest::new().set_sha256(digest))
            .with_idempotency(true)
            .send();
        let answer = checks.bounded(request).await?;
        checks.that(answer.name == version.name(), "another key version signed")?;
        checks.that(answer.verified_digest_crc32c, "the service did not confirm the digest's checksum")?;
        checks.checksum(answer.signature_crc32c, &answer.signature, "the signature does not match its checksum")?;
        Ok(answer.signature.to_vec())
    }

    /// Encrypts `plaintext` with the primary version of `key`; decryption needs the same `additional` data.
    ///
    /// # Errors
    /// Too much data, the service refuses or cannot be reached, or the answer fails a check.
    pub async fn encrypt(&self, key: &KmsKey, plaintext: &[u8], additional: &[u8]) -> Result<Vec<u8>, KeysError> {
        if plaintext.len() > MAX_PLAINTEXT || additional.len() > MAX_PLAINTEXT {
            return Err(KeysError::Invalid("Cloud KMS encrypts at most 64 KiB at once"));
        }
        let checks = Checks { doing: ENCRYPTING, resource: key.name() };
        let request = self
            .inner
            .encrypt()
            .set_name(key.name())
            .set_plaintext(plaintext.to_vec())
            .set_plaintext_crc32c(checksum(plaintext))
            .set_additional_authenticated_data(additional.to_vec())
            .set_additional_authenticated_data_crc32c(checksum(additional))
            .with_idempotency(true)
            .send();
        let answer = checks.bounded(request).await?;
        let version = answer.name.strip_prefix(key.name());
        checks
            .that(version.is_some_and(|version| version.starts_with("/cryptoKeyVersions/")), "another key encrypted")?;
        checks.that(answer.verified_plaintext_crc32c, "the service did not confirm the plaintext's checksum")?;
        checks.that(
            answer.verified_additional_authenticated_data_crc32c,
            "the service did not confirm the checksum of the additional authenticated data",
        )?;
        checks.checksum(answer.ciphertext_crc32c, &answer.ciphertext, "the ciphertext does not match its checksum")?;
        Ok(answer.ciphertext.to_vec())
    }
}

/// The checks of one answer, all of which end in the same kind of error.
struct Checks<'a> {
    doing: &'static str,
    resource: &'a str,
}

impl Checks<'_> {
    async fn bounded<T>(&self, request: impl Future<Output = google_cloud_kms_v1::Result<T>>) -> Result<T, KeysError> {
        bounded(self.doing, self.resource, request, |error| service_error(self.doing, self.resource, &error)).await
    }

    fn failed(&self, why: &'static str) -> KeysError {
        KeysError::Integrity { doing: self.doing, resource: self.resource.to_owned(), why }
    }

    fn that(&self, holds: bool, otherwise: &'static str) -> Result<(), KeysError> {
        if holds { Ok(()) } else { Err(self.failed(otherwise)) }
    }

    /// An absent checksum fails like a wrong one.
    fn checksum(&self, want: Option<i64>, bytes: &[u8], otherwise: &'static str) -> Result<(), KeysError> {
        self.that(want == Some(checksum(bytes)), otherwise)
    }
}

/// CRC32C (Castagnoli) as Cloud KMS carries it: an unsigned 32-bit number in an `int64`.
fn checksum(bytes: &[u8]) -> i64 {
    crc32c::crc32c(bytes).into()
}
