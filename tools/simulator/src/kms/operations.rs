//! What Cloud KMS does, whether it was asked over REST or gRPC: checksums, states, cryptography.

use super::{
    ciphertext::{self, Sealer},
    keyring::{self, Kms, Material, Purpose, VersionState},
    messages as pb,
    signing::SigningAlgorithm,
};
use crate::{
    iam::Call,
    respond::{ApiError, Code, Timestamp},
};

/// Largest plaintext, and largest additional data, in bytes.
const MAX_DATA: usize = 64 * 1024;
/// `SOFTWARE`
const SOFTWARE: i32 = 1;
/// `PEM`
const PEM: i32 = 1;

type Answer<T> = Result<T, ApiError>;

impl Kms {
    fn perform<T>(
        &self,
        method: &str,
        token: Option<&str>,
        permission: &str,
        resource: &str,
        work: impl FnOnce() -> Answer<T>,
    ) -> Answer<T> {
        self.iam.perform(Call { service: "kms", method, token, permission, resource }, work)
    }

    pub(super) fn encrypt(&self, token: Option<&str>, request: pb::EncryptRequest) -> Answer<pb::EncryptResponse> {
        self.perform("encrypt", token, "cloudkms.cryptoKeyVersions.useToEncrypt", &request.name, || {
            let verified_plaintext = check(&request.plaintext, request.plaintext_crc32c, "plaintext")?;
            let additional = &request.additional_authenticated_data;
            let verified_additional =
                check(additional, request.additional_authenticated_data_crc32c, "additional_authenticated_data")?;
            let (key, version) = match version_of(&request.name) {
                Ok((key, version)) => (key, version),
                Err(_) => (request.name.as_str(), self.primary(&request.name)?),
            };
            let (entry, found) = self.usable(key, version)?;
            suits(&entry, Purpose::EncryptDecrypt, key)?;
            let Material::Symmetric(secret) = found.material() else { return Err(internal()) };
            let sealer = Sealer { key: secret, name: key, version };
            let ciphertext = sealer.encrypt(&request.plaintext, additional).ok_or_else(internal)?;
            Ok(pb::EncryptResponse {
                name: format!("{key}/cryptoKeyVersions/{version}"),
                ciphertext_crc32c: Some(checksum(&ciphertext)),
                ciphertext,
                verified_plaintext_crc32c: verified_plaintext,
                verified_additional_authenticated_data_crc32c: verified_additional,
                protection_level: SOFTWARE,
            })
        })
    }

    pub(super) fn decrypt(&self, token: Option<&str>, request: pb::DecryptRequest) -> Answer<pb::DecryptResponse> {
        let key = &request.name;
        self.perform("decrypt", token, "cloudkms.cryptoKeyVersions.useToDecrypt", key, || {
            check(&request.ciphertext, request.ciphertext_crc32c, "ciphertext")?;
            let additional = &request.additional_authenticated_data;
            check(additional, request.additional_authenticated_data_crc32c, "additional_authenticated_data")?;
            let entry = self.key(key)?;
            suits(&entry, Purpose::EncryptDecrypt, key)?;
            let made_by = ciphertext::version(&request.ciphertext);
            let (version, rest) =
                made_by.filter(|(version, _)| entry.versions.contains_key(version)).ok_or_else(undecryptable)?;
            let (_, found) = self.usable(key, version)?;
            let Material::Symmetric(secret) = found.material() else { return Err(internal()) };
            let plaintext =
                Sealer { key: secret, name: key, version }.decrypt(rest, additional).ok_or_else(undecryptable)?;
            Ok(pb::DecryptResponse {
                plaintext_crc32c: Some(checksum(&plaintext)),
                plaintext,
                used_primary: entry.primary == Some(version),
                protection_level: SOFTWARE,
            })
        })
    }

    pub(super) fn asymmetric_sign(
        &self,
        token: Option<&str>,
        request: pb::AsymmetricSignRequest,
    ) -> Answer<pb::AsymmetricSignResponse> {
        self.perform("asymmetricSign", token, "cloudkms.cryptoKeyVersions.useToSign", &request.name, || {
            let (key, version) = version_of(&request.name)?;
            let (entry, found) = self.usable(key, version)?;
            suits(&entry, Purpose::AsymmetricSign, key)?;
            let Material::Signing(signing) = found.material() else { return Err(internal()) };
            let digest = request.digest.as_ref().map(|digest| digest_for(signing.algorithm(), digest)).transpose()?;
            let verified_digest = match digest {
                Some(digest) => check(digest, request.digest_crc32c, "digest")?,
                None => false,
            };
            let verified_data = check(&request.data, request.data_crc32c, "data")?;
            let signature = match (digest, request.data.is_empty()) {
                (Some(digest), true) => signing.sign(digest),
                (None, false) => signing.sign_data(&request.data),
                _ => return Err(invalid("Exactly one of digest and data must be given.")),
            };
            let signature = signature.ok_or_else(internal)?;
            Ok(pb::AsymmetricSignResponse {
                signature_crc32c: Some(checksum(&signature)),
                signature,
                verified_digest_crc32c: verified_digest,
                name: request.name.clone(),
                verified_data_crc32c: verified_data && digest.is_none(),
                protection_level: SOFTWARE,
            })
        })
    }

    pub(super) fn asymmetric_decrypt(
        &self,
        token: Option<&str>,
        request: pb::AsymmetricDecryptRequest,
    ) -> Answer<pb::AsymmetricDecryptResponse> {
        self.perform("asymmetricDecrypt", token, "cloudkms.cryptoKeyVersions.useToDecrypt", &request.name, || {
            let verified = check(&request.ciphertext, request.ciphertext_crc32c, "ciphertext")?;
            let (key, version) = version_of(&request.name)?;
            let (entry, found) = self.usable(key, version)?;
            suits(&entry, Purpose::AsymmetricDecrypt, key)?;
            let Material::Decryption(rsa) = found.material() else { return Err(internal()) };
            let plaintext =
                rsa.decrypt(rsa::Oaep::<sha2::Sha256>::new(), &request.ciphertext).map_err(|_| undecryptable())?;
            Ok(pb::AsymmetricDecryptResponse {
                plaintext_crc32c: Some(checksum(&plaintext)),
                plaintext,
                verified_ciphertext_crc32c: verified,
                protection_level: SOFTWARE,
            })
        })
    }

    pub(super) fn public_key(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::PublicKey> {
        self.perform("getPublicKey", token, "cloudkms.cryptoKeyVersions.viewPublicKey", &request.name, || {
            let (key, version) = version_of(&request.name)?;
            let (entry, found) = self.usable(key, version)?;
            let pem = found.public_key_pem().ok_or_else(|| unsuitable(&entry, key))?;
            Ok(pb::PublicKey {
                pem_crc32c: Some(checksum(pem.as_bytes())),
                pem,
                algorithm: entry.algorithm(),
                name: request.name.clone(),
                protection_level: SOFTWARE,
                public_key_format: PEM,
            })
        })
    }

    pub(super) fn get_key(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKey> {
        self.perform("getCryptoKey", token, "cloudkms.cryptoKeys.get", &request.name, || self.describe(&request.name))
    }

    pub(super) fn create_key_call(&self, token: Option<&str>, request: pb::CreateKeyRequest) -> Answer<pb::CryptoKey> {
        self.perform("createCryptoKey", token, "cloudkms.cryptoKeys.create", &request.parent, || {
            let name = format!("{}/cryptoKeys/{}", request.parent, request.crypto_key_id);
            let wanted = request.crypto_key.clone().unwrap_or_default();
            let algorithm = wanted.version_template.map_or(0, |template| template.algorithm);
            let made = match (wanted.purpose, algorithm) {
                (1, 0 | 1) => self.create_key(&name, Purpose::EncryptDecrypt),
                (6, 8) => self.create_key(&name, Purpose::AsymmetricDecrypt),
                (5, number) => match SigningAlgorithm::of_number(number) {
                    Some(algorithm) => self.create_signing_key(&name, algorithm),
                    None => return Err(invalid(format!("The simulator has no algorithm {number} to sign with."))),
                },
                (purpose, algorithm) => {
                    return Err(invalid(format!(
                        "The simulator has no keys of purpose {purpose} with algorithm {algorithm}."
                    )));
                }
            };
            made.map_err(|error| match error {
                crate::Error::Resource(_) => {
                    ApiError::new(Code::AlreadyExists, format!("CryptoKey {name} already exists."))
                }
                other => invalid(other.to_string()),
            })?;
            self.describe(&name)
        })
    }

    pub(super) fn get_version(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("getCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.get", &request.name, || {
            self.describe_version(&request.name)
        })
    }

    pub(super) fn list_versions(
        &self,
        token: Option<&str>,
        request: pb::ListVersionsRequest,
    ) -> Answer<pb::ListVersionsResponse> {
        let key = &request.parent;
        self.perform("listCryptoKeyVersions", token, "cloudkms.cryptoKeyVersions.list", key, || {
            let entry = self.key(key)?;
            let versions: Vec<_> = entry.versions.keys().map(|number| describe(key, *number, &entry)).collect();
            let total_size = i32::try_from(versions.len()).unwrap_or(i32::MAX);
            Ok(pb::ListVersionsResponse { crypto_key_versions: versions, total_size })
        })
    }

    pub(super) fn create_version_call(
        &self,
        token: Option<&str>,
        request: pb::ListVersionsRequest,
    ) -> Answer<pb::CryptoKeyVersion> {
        let key = &request.parent;
        self.perform("createCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.create", key, || {
            self.key(key)?;
            let number = self.create_version(key).map_err(|error| invalid(error.to_string()))?;
            self.describe_version(&format!("{key}/cryptoKeyVersions/{number}"))
        })
    }

    /// Enables or disables: nothing else of a version can be changed.
    pub(super) fn update_version(
        &self,
        token: Option<&str>,
        request: pb::UpdateVersionRequest,
    ) -> Answer<pb::CryptoKeyVersion> {
        let wanted = request.crypto_key_version.unwrap_or_default();
        self.perform("updateCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.update", &wanted.name, || {
            if request.update_mask.is_none_or(|mask| mask.paths != ["state"]) {
                return Err(invalid("The update mask must be \"state\"."));
            }
            let switchable = [VersionState::Enabled, VersionState::Disabled];
            let to = switchable.into_iter().find(|state| state.wire().1 == wanted.state);
            let to = to.ok_or_else(|| invalid("The state can be updated to ENABLED or DISABLED only."))?;
            self.transition(&wanted.name, &switchable, to)
        })
    }

    pub(super) fn update_primary(
        &self,
        token: Option<&str>,
        request: pb::UpdatePrimaryRequest,
    ) -> Answer<pb::CryptoKey> {
        let key = &request.name;
        self.perform("updateCryptoKeyPrimaryVersion", token, "cloudkms.cryptoKeys.update", key, || {
            let full = format!("{key}/cryptoKeyVersions/{}", request.crypto_key_version_id);
            let (_, version) = version_of(&full)?;
            let (entry, _) = self.usable(key, version)?;
            suits(&entry, Purpose::EncryptDecrypt, key)?;
            self.set_primary(key, version)
                .map_err(|error| ApiError::new(Code::FailedPrecondition, error.to_string()))?;
            self.describe(key)
        })
    }

    pub(super) fn destroy(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("destroyCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.destroy", &request.name, || {
            let from = [VersionState::Enabled, VersionState::Disabled];
            self.transition(&request.name, &from, VersionState::DestroyScheduled)
        })
    }

    pub(super) fn restore(&self, token: Option<&str>, request: pb::Name) -> Answer<pb::CryptoKeyVersion> {
        self.perform("restoreCryptoKeyVersion", token, "cloudkms.cryptoKeyVersions.restore", &request.name, || {
            self.transition(&request.name, &[VersionState::DestroyScheduled], VersionState::Disabled)
        })
    }

    fn transition(&self, name: &str, from: &[VersionState], to: VersionState) -> Answer<pb::CryptoKeyVersion> {
        let (key, version) = version_of(name)?;
        let state = self.key(key)?.versions.get(&version).map(|version| version.state);
        let state = state.ok_or_else(|| keyring::no_version(name))?;
        if !from.contains(&state) {
            let states: Vec<&str> = from.iter().map(|state| state.wire().0).collect();
            return Err(ApiError::new(
                Code::FailedPrecondition,
                format!(
                    "{name} has state {}, which does not allow this operation; it needs {}.",
                    state.wire().0,
                    states.join(" or ")
                ),
            ));
        }
        self.set_state(key, version, to).map_err(|_| keyring::no_version(name))?;
        self.describe_version(name)
    }

    fn primary(&self, key: &str) -> Answer<u32> {
        let entry = self.key(key)?;
        suits(&entry, Purpose::EncryptDecrypt, key)?;
        entry.primary.ok_or_else(internal)
    }

    fn describe(&self, key: &str) -> Answer<pb::CryptoKey> {
        let entry = self.key(key)?;
        Ok(pb::CryptoKey {
            name: key.to_owned(),
            primary: entry.primary.map(|number| describe(key, number, &entry)),
            purpose: entry.purpose.wire().1,
            create_time: Some(Timestamp::of(entry.created)),
            version_template: Some(pb::Template { protection_level: SOFTWARE, algorithm: entry.algorithm() }),
        })
    }

    fn describe_version(&self, name: &str) -> Answer<pb::CryptoKeyVersion> {
        let (key, version) = version_of(name)?;
        let entry = self.key(key)?;
        if !entry.versions.contains_key(&version) {
            return Err(keyring::no_version(name));
        }
        Ok(describe(key, version, &entry))
    }
}

fn describe(key: &str, number: u32, entry: &keyring::Entry) -> pb::CryptoKeyVersion {
    let version = entry.versions.get(&number);
    pb::CryptoKeyVersion {
        name: format!("{key}/cryptoKeyVersions/{number}"),
        state: version.map_or(0, |version| version.state.wire().1),
        create_time: version.map(|version| Timestamp::of(version.created)),
        destroy_time: version.and_then(|version| version.destroy_at).map(Timestamp::of),
        protection_level: SOFTWARE,
        algorithm: entry.algorithm(),
    }
}

/// Whether a checksum came with the data; a wrong one is an error, and so is too much data.
fn check(data: &[u8], claimed: Option<i64>, field: &str) -> Answer<bool> {
    if data.len() > MAX_DATA {
        return Err(invalid(format!("{field} has {} bytes, at most {MAX_DATA} are allowed.", data.len())));
    }
    match claimed {
        None => Ok(false),
        Some(claimed) if claimed == checksum(data) => Ok(true),
        Some(_) => {
            Err(invalid(format!("The checksum in field {field}_crc32c did not match the data in field {field}.")))
        }
    }
}

fn checksum(data: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(data))
}

/// The digest that a key of this algorithm signs.
fn digest_for(algorithm: SigningAlgorithm, digest: &pb::Digest) -> Answer<&[u8]> {
    let (name, _) = algorithm.wire();
    let Some((member, length)) = algorithm.digest() else {
        return Err(invalid(format!("{name} takes data, not a digest.")));
    };
    let given = [("sha256", &digest.sha256), ("sha384", &digest.sha384), ("sha512", &digest.sha512)];
    let mut given = given.into_iter().filter_map(|(member, value)| Some((member, value.as_deref()?)));
    match (given.next(), given.next()) {
        (Some((found, value)), None) if found == member => {
            if value.len() == length {
                return Ok(value);
            }
            Err(invalid(format!("digest.{member} must have {length} bytes for {name}.")))
        }
        _ => Err(invalid(format!("{name} takes digest.{member} only."))),
    }
}

/// The key and the number of `…/cryptoKeyVersions/N`.
fn version_of(name: &str) -> Answer<(&str, u32)> {
    let parts = name.split_once("/cryptoKeyVersions/");
    let parts = parts.and_then(|(key, number)| Some((key, number.parse::<u32>().ok()?, number)));
    let exact = parts.filter(|(_, number, text)| number.to_string() == *text);
    exact.map(|(key, number, _)| (key, number)).ok_or_else(|| keyring::no_version(name))
}

fn suits(entry: &keyring::Entry, purpose: Purpose, key: &str) -> Answer<()> {
    if entry.purpose == purpose { Ok(()) } else { Err(unsuitable(entry, key)) }
}

fn unsuitable(entry: &keyring::Entry, key: &str) -> ApiError {
    let purpose = entry.purpose.wire().0;
    ApiError::new(
        Code::FailedPrecondition,
        format!("{key} has purpose {purpose}, which does not allow this operation."),
    )
}

fn undecryptable() -> ApiError {
    invalid("Decryption failed: the ciphertext is invalid.")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}

fn internal() -> ApiError {
    ApiError::new(Code::FailedPrecondition, "The key's material does not fit its purpose.")
}
