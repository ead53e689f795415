//! The REST side of Cloud KMS v1: JSON becomes the messages that gRPC carries, and back.

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    keyring::{Kms, Protection, Purpose, VersionState},
    messages as pb,
    signing::SigningAlgorithm,
};
use crate::{
    fields::Fields,
    respond::{self, ApiError, Rest, Timestamp},
};

/// A call of the API: what is asked, of which resource.
enum Call<'a> {
    Encrypt(&'a str),
    Decrypt(&'a str),
    Sign(&'a str),
    AsymmetricDecrypt(&'a str),
    PublicKey(&'a str),
    Key(&'a str),
    CreateKey(&'a str),
    Version(&'a str),
    Versions(&'a str),
    CreateVersion(&'a str),
    UpdateVersion(&'a str),
    UpdatePrimary(&'a str),
    Destroy(&'a str),
    Restore(&'a str),
}

impl<'a> Call<'a> {
    /// `resource` is the path after `/v1/`.
    fn parse(method: &Method, resource: &'a str) -> Option<Self> {
        let segments = resource.split('/').count();
        let (get, post) = (method == Method::GET, method == Method::POST);
        if let Some((name, verb)) = resource.rsplit_once(':') {
            return match verb {
                _ if !post => None,
                "encrypt" => Some(Self::Encrypt(name)),
                "decrypt" => Some(Self::Decrypt(name)),
                "asymmetricSign" => Some(Self::Sign(name)),
                "asymmetricDecrypt" => Some(Self::AsymmetricDecrypt(name)),
                "updatePrimaryVersion" => Some(Self::UpdatePrimary(name)),
                "destroy" if name.contains("/cryptoKeyVersions/") => Some(Self::Destroy(name)),
                "restore" if name.contains("/cryptoKeyVersions/") => Some(Self::Restore(name)),
                _ => None,
            };
        }
        if let Some(version) = resource.strip_suffix("/publicKey") {
            return get.then_some(Self::PublicKey(version));
        }
        if let Some(parent) = resource.strip_suffix("/cryptoKeyVersions") {
            return if get { Some(Self::Versions(parent)) } else { post.then_some(Self::CreateVersion(parent)) };
        }
        if let Some(parent) = resource.strip_suffix("/cryptoKeys") {
            return post.then_some(Self::CreateKey(parent));
        }
        match (segments, resource.contains("/cryptoKeyVersions/"), resource.contains("/cryptoKeys/")) {
            (10, true, _) if get => Some(Self::Version(resource)),
            (10, true, _) if method == Method::PATCH => Some(Self::UpdateVersion(resource)),
            (8, false, true) if get => Some(Self::Key(resource)),
            _ => None,
        }
    }
}

impl Kms {
    /// Answers a REST call, if it is one of these.
    pub(crate) fn rest(&self, rest: &Rest<'_>) -> Option<Result<Value, ApiError>> {
        let call = Call::parse(rest.method, rest.resource)?;
        Some(self.answer(&call, rest))
    }

    fn answer(&self, call: &Call<'_>, rest: &Rest<'_>) -> Result<Value, ApiError> {
        // The official client asks for enumerations as numbers (`$alt=json;enum-encoding=int`); others get names.
        let query = rest.query;
        let numbers = ["$alt", "alt"]
            .iter()
            .any(|name| respond::parameter(query, name).is_some_and(|value| value.contains("enum-encoding=int")));
        let (form, token) = (Form { numbers }, rest.token);
        let fields = Fields::parse(rest.body)?;
        let name = |name: &str| pb::Name { name: name.to_owned() };
        let parent = |parent: &str| pb::ListVersionsRequest { parent: parent.to_owned() };
        match *call {
            Call::Encrypt(name) => {
                let request = pb::EncryptRequest {
                    name: name.to_owned(),
                    plaintext: fields.bytes("plaintext")?,
                    additional_authenticated_data: fields.bytes("additionalAuthenticatedData")?,
                    plaintext_crc32c: fields.int("plaintextCrc32c")?,
                    additional_authenticated_data_crc32c: fields.int("additionalAuthenticatedDataCrc32c")?,
                };
                self.encrypt(token, request).map(|reply| form.encrypted(&reply))
            }
            Call::Decrypt(name) => {
                let request = pb::DecryptRequest {
                    name: name.to_owned(),
                    ciphertext: fields.bytes("ciphertext")?,
                    additional_authenticated_data: fields.bytes("additionalAuthenticatedData")?,
                    ciphertext_crc32c: fields.int("ciphertextCrc32c")?,
                    additional_authenticated_data_crc32c: fields.int("additionalAuthenticatedDataCrc32c")?,
                };
                self.decrypt(token, request).map(|reply| form.decrypted(&reply))
            }
            Call::Sign(name) => {
                let request = pb::AsymmetricSignRequest {
                    name: name.to_owned(),
                    digest: digest(&fields)?,
                    digest_crc32c: fields.int("digestCrc32c")?,
                    data: fields.bytes("data")?,
                    data_crc32c: fields.int("dataCrc32c")?,
                };
                self.asymmetric_sign(token, request).map(|reply| form.signed(&reply))
            }
            Call::AsymmetricDecrypt(name) => {
                let request = pb::AsymmetricDecryptRequest {
                    name: name.to_owned(),
                    ciphertext: fields.bytes("ciphertext")?,
                    ciphertext_crc32c: fields.int("ciphertextCrc32c")?,
                };
                self.asymmetric_decrypt(token, request).map(|reply| form.opened(&reply))
            }
            Call::PublicKey(version) => self.public_key(token, name(version)).map(|reply| form.public_key(&reply)),
            Call::Key(key) => self.get_key(token, name(key)).map(|reply| form.key(&reply)),
            Call::Version(version) => self.get_version(token, name(version)).map(|reply| form.version(&reply)),
            Call::Destroy(version) => self.destroy(token, name(version)).map(|reply| form.version(&reply)),
            Call::Restore(version) => self.restore(token, name(version)).map(|reply| form.version(&reply)),
            Call::Versions(key) => self.list_versions(token, parent(key)).map(|reply| {
                let versions: Vec<Value> = reply.crypto_key_versions.iter().map(|v| form.version(v)).collect();
                json!({"cryptoKeyVersions": versions, "totalSize": reply.total_size})
            }),
            Call::CreateVersion(key) => self.create_version_call(token, parent(key)).map(|reply| form.version(&reply)),
            Call::UpdateVersion(version) => {
                let state = fields.enumeration("state", &VersionState::ALL.map(VersionState::wire))?;
                let version =
                    pb::CryptoKeyVersion { name: version.to_owned(), state, ..pb::CryptoKeyVersion::default() };
                let paths =
                    respond::parameter(query, "updateMask").map(|mask| mask.split(',').map(str::to_owned).collect());
                let request = pb::UpdateVersionRequest {
                    crypto_key_version: Some(version),
                    update_mask: paths.map(|paths| pb::FieldMask { paths }),
                };
                self.update_version(token, request).map(|reply| form.version(&reply))
            }
            Call::UpdatePrimary(key) => {
                let request = pb::UpdatePrimaryRequest {
                    name: key.to_owned(),
                    crypto_key_version_id: fields.text("cryptoKeyVersionId")?,
                };
                self.update_primary(token, request).map(|reply| form.key(&reply))
            }
            Call::CreateKey(parent) => {
                let purposes = [Purpose::EncryptDecrypt, Purpose::AsymmetricSign, Purpose::AsymmetricDecrypt];
                let purpose = fields.enumeration("purpose", &purposes.map(Purpose::wire))?;
                let template = fields.object("versionTemplate")?;
                let template = pb::Template {
                    protection_level: template
                        .enumeration("protectionLevel", &Protection::ALL.map(Protection::wire))?,
                    algorithm: template.enumeration("algorithm", &ALGORITHMS)?,
                };
                let key = pb::CryptoKey { purpose, version_template: Some(template), ..pb::CryptoKey::default() };
                let request = pb::CreateKeyRequest {
                    parent: parent.to_owned(),
                    crypto_key_id: respond::parameter(query, "cryptoKeyId").unwrap_or_default(),
                    crypto_key: Some(key),
                };
                self.create_key_call(token, request).map(|reply| form.key(&reply))
            }
        }
    }
}

const ALGORITHMS: [(&str, i32); 9] = {
    const fn signing(algorithm: SigningAlgorithm) -> (&'static str, i32) {
        let (name, number) = algorithm.wire();
        (name, number as i32)
    }
    [
        ("GOOGLE_SYMMETRIC_ENCRYPTION", 1),
        ("RSA_DECRYPT_OAEP_2048_SHA256", 8),
        signing(SigningAlgorithm::P256Sha256),
        signing(SigningAlgorithm::P384Sha384),
        signing(SigningAlgorithm::Ed25519),
        signing(SigningAlgorithm::RsaPkcs1Sha256),
        signing(SigningAlgorithm::RsaPkcs1Sha512),
        signing(SigningAlgorithm::RsaPssSha256),
        signing(SigningAlgorithm::RsaPssSha512),
    ]
};

/// How replies write enumerations. Checksums are int64, so strings.
#[derive(Clone, Copy)]
struct Form {
    numbers: bool,
}

impl Form {
    fn enumeration(self, number: i32, names: &[(&str, i32)]) -> Value {
        let name = names.iter().find(|(_, known)| *known == number).map(|(name, _)| *name);
        name.filter(|_| !self.numbers).map_or(json!(number), |name| json!(name))
    }

    fn level(self, number: i32) -> Value {
        self.enumeration(number, &Protection::ALL.map(Protection::wire))
    }

    fn encrypted(self, reply: &pb::EncryptResponse) -> Value {
        json!({
            "name": reply.name,
            "ciphertext": STANDARD.encode(&reply.ciphertext),
            "ciphertextCrc32c": reply.ciphertext_crc32c.map(|crc| crc.to_string()),
            "verifiedPlaintextCrc32c": reply.verified_plaintext_crc32c,
            "verifiedAdditionalAuthenticatedDataCrc32c": reply.verified_additional_authenticated_data_crc32c,
            "protectionLevel": self.level(reply.protection_level),
        })
    }

    fn decrypted(self, reply: &pb::DecryptResponse) -> Value {
        json!({
            "plaintext": STANDARD.encode(&reply.plaintext),
            "plaintextCrc32c": reply.plaintext_crc32c.map(|crc| crc.to_string()),
            "usedPrimary": reply.used_primary,
            "protectionLevel": self.level(reply.protection_level),
        })
    }

    fn signed(self, reply: &pb::AsymmetricSignResponse) -> Value {
        json!({
            "name": reply.name,
            "signature": STANDARD.encode(&reply.signature),
            "signatureCrc32c": reply.signature_crc32c.map(|crc| crc.to_string()),
            "verifiedDigestCrc32c": reply.verified_digest_crc32c,
            "verifiedDataCrc32c": reply.verified_data_crc32c,
            "protectionLevel": self.level(reply.protection_level),
        })
    }

    fn opened(self, reply: &pb::AsymmetricDecryptResponse) -> Value {
        json!({
            "plaintext": STANDARD.encode(&reply.plaintext),
            "plaintextCrc32c": reply.plaintext_crc32c.map(|crc| crc.to_string()),
            "verifiedCiphertextCrc32c": reply.verified_ciphertext_crc32c,
            "protectionLevel": self.level(reply.protection_level),
        })
    }

    fn public_key(self, reply: &pb::PublicKey) -> Value {
        json!({
            "name": reply.name,
            "pem": reply.pem,
            "pemCrc32c": reply.pem_crc32c.map(|crc| crc.to_string()),
            "algorithm": self.enumeration(reply.algorithm, &ALGORITHMS),
            "publicKeyFormat": self.enumeration(reply.public_key_format, &[("PEM", 1)]),
            "protectionLevel": self.level(reply.protection_level),
        })
    }

    fn key(self, key: &pb::CryptoKey) -> Value {
        let purposes = [Purpose::EncryptDecrypt, Purpose::AsymmetricSign, Purpose::AsymmetricDecrypt];
        let mut value = json!({
            "name": key.name,
            "purpose": self.enumeration(key.purpose, &purposes.map(Purpose::wire)),
            "createTime": key.create_time.as_ref().map(Timestamp::text),
            "versionTemplate": key.version_template.as_ref().map(|template| json!({
                "protectionLevel": self.level(template.protection_level),
                "algorithm": self.enumeration(template.algorithm, &ALGORITHMS),
            })),
        });
        if let Some(primary) = &key.primary {
            value["primary"] = self.version(primary);
        }
        value
    }

    fn version(self, version: &pb::CryptoKeyVersion) -> Value {
        let mut value = json!({
            "name": version.name,
            "state": self.enumeration(version.state, &VersionState::ALL.map(VersionState::wire)),
            "protectionLevel": self.level(version.protection_level),
            "algorithm": self.enumeration(version.algorithm, &ALGORITHMS),
            "createTime": version.create_time.as_ref().map(Timestamp::text),
        });
        if let Some(time) = &version.destroy_time {
            value["destroyTime"] = json!(time.text());
        }
        value
    }
}

fn digest(fields: &Fields) -> Result<Option<pb::Digest>, ApiError> {
    if fields.get("digest").is_none() {
        return Ok(None);
    }
    let digest = fields.object("digest")?;
    let member = |name: &str| digest.get(name).map(|_| digest.bytes(name)).transpose();
    Ok(Some(pb::Digest { sha256: member("sha256")?, sha384: member("sha384")?, sha512: member("sha512")? }))
}
