//! What Cloud KMS does with keys, whether it was asked over REST or gRPC: checksums, states, cryptography.

use super::{
    ciphertext::{self, Sealer},
    keyring::{self, Kms, Material, Purpose},
    messages as pb,
    signing::SigningAlgorithm,
};
use crate::{
    iam::Call,
    respond::{ApiError, Code},
};

/// Largest plaintext, and largest additional data, in bytes.
const MAX_DATA: usize = 64 * 1024;
/// `PEM`
const PEM: i32 = 1;

pub(super) type Answer<T> = Result<T, ApiError>;

impl Kms {
    pub(super) fn perform<T>(
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
                protection_level: entry.protection.wire().1,
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
                protection_level: entry.protection.wire().1,
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
                protection_level: entry.protection.wire().1,
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
                protection_level: entry.protection.wire().1,
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
                protection_level: entry.protection.wire().1,
                public_key_format: PEM,
            })
        })
    }

    fn primary(&self, key: &str) -> Answer<u32> {
        let entry = self.key(key)?;
        suits(&entry, Purpose::EncryptDecrypt, key)?;
        entry.primary.ok_or_else(internal)
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
pub(super) fn version_of(name: &str) -> Answer<(&str, u32)> {
    let parts = name.split_once("/cryptoKeyVersions/");
    let parts = parts.and_then(|(key, number)| Some((key, number.parse::<u32>().ok()?, number)));
    let exact = parts.filter(|(_, number, text)| number.to_string() == *text);
    exact.map(|(key, number, _)| (key, number)).ok_or_else(|| keyring::no_version(name))
}

pub(super) fn suits(entry: &keyring::Entry, purpose: Purpose, key: &str) -> Answer<()> {
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

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}

fn internal() -> ApiError {
    ApiError::new(Code::FailedPrecondition, "The key's material does not fit its purpose.")
}
