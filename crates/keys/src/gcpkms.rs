//! Cloud KMS: the public key of a signing key, signatures, and encryption with additional authenticated data.
//!
//! Google's client checks no checksums, so this does, in both directions: a request that arrived changed and an answer
//! that arrived changed are both refused. What Cloud KMS says about the checksums is in
//! <https://cloud.google.com/kms/docs/data-integrity-guidelines>.

use csign_envelope::{PublicKey, SignatureAlgorithm};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_kms_v1::{
    client::KeyManagementService,
    model::{Digest, crypto_key_version::CryptoKeyVersionAlgorithm},
};

use crate::{
    GcpClientOptions, KeysError, KmsKey, KmsKeyVersion, Service,
    call::Call,
    digest::{Hash, digest, hash_of},
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
    /// The service refuses or cannot be reached, the key has an algorithm that csign does not know, or the answer fails a
    /// check.
    pub async fn public_key(&self, version: &KmsKeyVersion) -> Result<PublicKey, KeysError> {
        let checks = Checks::new(FETCHING_KEY, version.name());
        let request = self.inner.get_public_key().set_name(version.name()).send();
        let answer = checks.bounded(request).await?;
        checks.that(answer.name == version.name(), "the answer is about another key version")?;
        let algorithm = algorithm(&answer.algorithm)
            .ok_or_else(|| checks.call.algorithm(answer.algorithm.name().unwrap_or("unknown")))?;
        checks.checksum(answer.pem_crc32c, answer.pem.as_bytes(), "the public key does not match its checksum")?;
        let key = PublicKey::from_pem(&answer.pem).map_err(|_| checks.failed("the answer is not a public key"))?;
        key.with_algorithm(algorithm)
            .map_err(|_| checks.failed("the public key is not of the type that the service says"))
    }

    /// A signature over `message`. The caller verifies it; [`crate::Signer`] does.
    ///
    /// # Errors
    /// The service refuses or cannot be reached, or the answer fails a check.
    pub async fn sign(
        &self,
        version: &KmsKeyVersion,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let checks = Checks::new(SIGNING, version.name());
        let request = self.inner.asymmetric_sign().set_name(version.name());
        let hash = hash_of(algorithm);
        let request = match hash {
            Some(hash) => {
                let digest = digest(hash, message);
                let checksum = checksum(&digest);
                let digest = match hash {
                    Hash::Sha256 => Digest::new().set_sha256(digest),
                    Hash::Sha384 => Digest::new().set_sha384(digest),
                    Hash::Sha512 => Digest::new().set_sha512(digest),
                };
                request.set_digest(digest).set_digest_crc32c(checksum)
            }
            None if message.len() > MAX_PLAINTEXT => {
                return Err(KeysError::Invalid("Cloud KMS signs at most 64 KiB with a key that takes no digest"));
            }
            None => request.set_data(message.to_vec()).set_data_crc32c(checksum(message)),
        };
        let answer = checks.bounded(request.with_idempotency(true).send()).await?;
        checks.that(answer.name == version.name(), "another key version signed")?;
        let verified = if hash.is_some() { answer.verified_digest_crc32c } else { answer.verified_data_crc32c };
        checks.that(verified, "the service did not confirm the checksum of what it signed")?;
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
        let checks = Checks::new(ENCRYPTING, key.name());
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

/// What csign signs with, of the algorithms of Cloud KMS:
/// <https://cloud.google.com/kms/docs/reference/rest/v1/CryptoKeyVersionAlgorithm>.
fn algorithm(found: &CryptoKeyVersionAlgorithm) -> Option<SignatureAlgorithm> {
    use CryptoKeyVersionAlgorithm as Kms;
    Some(match found {
        Kms::EcSignP256Sha256 => SignatureAlgorithm::EcdsaP256Sha256,
        Kms::EcSignP384Sha384 => SignatureAlgorithm::EcdsaP384Sha384,
        Kms::EcSignEd25519 => SignatureAlgorithm::Ed25519,
        Kms::RsaSignPkcs12048Sha256 | Kms::RsaSignPkcs13072Sha256 | Kms::RsaSignPkcs14096Sha256 => {
            SignatureAlgorithm::RsaPkcs1v15Sha256
        }
        Kms::RsaSignPkcs14096Sha512 => SignatureAlgorithm::RsaPkcs1v15Sha512,
        Kms::RsaSignPss2048Sha256 | Kms::RsaSignPss3072Sha256 | Kms::RsaSignPss4096Sha256 => {
            SignatureAlgorithm::RsaPssSha256
        }
        Kms::RsaSignPss4096Sha512 => SignatureAlgorithm::RsaPssSha512,
        _ => return None,
    })
}

/// The checks of one answer, all of which end in the same kind of error.
struct Checks<'a> {
    call: Call<'a>,
}

impl<'a> Checks<'a> {
    fn new(doing: &'static str, resource: &'a str) -> Self {
        Self { call: Call { service: Service::Google, doing, resource } }
    }

    async fn bounded<T>(&self, request: impl Future<Output = google_cloud_kms_v1::Result<T>>) -> Result<T, KeysError> {
        let Call { doing, resource, .. } = self.call;
        bounded(doing, resource, request, |error| service_error(doing, resource, &error)).await
    }

    fn failed(&self, why: &'static str) -> KeysError {
        self.call.integrity(why)
    }

    fn that(&self, holds: bool, otherwise: &'static str) -> Result<(), KeysError> {
        self.call.that(holds, otherwise)
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
