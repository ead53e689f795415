//! The REST side of Cloud KMS v1: encrypt, decrypt, asymmetricSign, getPublicKey, with CRC32C both ways.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    ciphertext,
    keyring::{Kms, Material, Purpose},
    signing::SigningAlgorithm,
};
use crate::{
    audit::Decision,
    respond::{self, ApiError, Code},
};

/// Largest plaintext, and largest additional data, in bytes.
const MAX_DATA: usize = 64 * 1024;

/// A call of the API: what is asked, of which resource.
enum Call<'a> {
    Encrypt(&'a str),
    Decrypt(&'a str),
    Sign(&'a str),
    PublicKey(&'a str),
}

impl<'a> Call<'a> {
    /// `resource` is the path after `/v1/`.
    fn parse(method: &Method, resource: &'a str) -> Option<Self> {
        if let Some(version) = resource.strip_suffix("/publicKey") {
            return (method == Method::GET).then_some(Self::PublicKey(version));
        }
        let (name, verb) = resource.rsplit_once(':')?;
        match verb {
            _ if method != Method::POST => None,
            "encrypt" => Some(Self::Encrypt(name)),
            "decrypt" => Some(Self::Decrypt(name)),
            "asymmetricSign" => Some(Self::Sign(name)),
            _ => None,
        }
    }

    /// Method for the log, resource, permission.
    fn describe(&self) -> (&'static str, &'a str, &'static str) {
        match self {
            Self::Encrypt(name) => ("encrypt", name, "cloudkms.cryptoKeyVersions.useToEncrypt"),
            Self::Decrypt(name) => ("decrypt", name, "cloudkms.cryptoKeyVersions.useToDecrypt"),
            Self::Sign(name) => ("asymmetricSign", name, "cloudkms.cryptoKeyVersions.useToSign"),
            Self::PublicKey(name) => ("getPublicKey", name, "cloudkms.cryptoKeyVersions.viewPublicKey"),
        }
    }
}

/// Answers a request whose path is `/v1/<resource>`; `None` if it is none of KMS's.
pub(crate) async fn handle(
    kms: &Kms,
    method: &Method,
    resource: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Option<Response<Body>> {
    let call = Call::parse(method, resource)?;
    // The official client asks for enumerations as numbers (`$alt=json;enum-encoding=int`); others get names.
    let numbers = query.is_some_and(|query| {
        form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k.ends_with("alt") && v.contains("enum-encoding=int"))
    });
    let body = match respond::body(body, 4 * MAX_DATA).await {
        Ok(body) => body,
        Err(error) => return Some(error.into_http()),
    };
    Some(match kms.answer(&call, &body, respond::bearer(headers), numbers) {
        Ok(reply) => respond::json(StatusCode::OK, &reply),
        Err(error) => error.into_http(),
    })
}

impl Kms {
    fn answer(&self, call: &Call<'_>, body: &[u8], token: Option<&str>, numbers: bool) -> Result<Value, ApiError> {
        let (method, resource, permission) = call.describe();
        let admitted = self.iam.authorize("kms", method, token, permission, resource)?;
        let outcome = match call {
            Call::Encrypt(name) => self.encrypt(name, &Fields::parse(body)?),
            Call::Decrypt(name) => self.decrypt(name, &Fields::parse(body)?),
            Call::Sign(name) => self.sign(name, &Fields::parse(body)?),
            Call::PublicKey(name) => self.public_key(name, numbers),
        };
        let principal = admitted.identity.to_string();
        let decision = Decision { service: "kms", method, principal: &principal, resource };
        match outcome {
            Ok(mut reply) => {
                reply["protectionLevel"] = if numbers { json!(1) } else { json!("SOFTWARE") };
                self.audit.allow(decision, admitted.clause);
                Ok(reply)
            }
            Err(error) => {
                self.audit.deny(decision, error.message.clone());
                Err(error)
            }
        }
    }

    fn encrypt(&self, name: &str, fields: &Fields) -> Result<Value, ApiError> {
        let key = name.strip_suffix("/cryptoKeyVersions/1").unwrap_or(name);
        let plaintext = fields.bytes("plaintext", "plaintextCrc32c")?;
        let additional = fields.bytes("additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c")?;
        let material = self.material(key, Purpose::EncryptDecrypt)?;
        let Material::Symmetric(secret) = &*material else { return Err(internal()) };
        let sealed = ciphertext::encrypt(secret, key, &plaintext.data, &additional.data).ok_or_else(internal)?;
        Ok(json!({
            "name": format!("{key}/cryptoKeyVersions/1"),
            "ciphertext": STANDARD.encode(&sealed),
            "ciphertextCrc32c": checksum(&sealed),
            "verifiedPlaintextCrc32c": plaintext.verified,
            "verifiedAdditionalAuthenticatedDataCrc32c": additional.verified,
        }))
    }

    fn decrypt(&self, name: &str, fields: &Fields) -> Result<Value, ApiError> {
        let sealed = fields.bytes("ciphertext", "ciphertextCrc32c")?;
        let additional = fields.bytes("additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c")?;
        let material = self.material(name, Purpose::EncryptDecrypt)?;
        let Material::Symmetric(secret) = &*material else { return Err(internal()) };
        let plaintext = ciphertext::decrypt(secret, name, &sealed.data, &additional.data)
            .ok_or_else(|| ApiError::new(Code::InvalidArgument, "Decryption failed: the ciphertext is invalid."))?;
        Ok(json!({
            "plaintext": STANDARD.encode(&plaintext),
            "plaintextCrc32c": checksum(&plaintext),
            "usedPrimary": true,
        }))
    }

    fn sign(&self, name: &str, fields: &Fields) -> Result<Value, ApiError> {
        let key = version_of(name)?;
        let material = self.material(key, Purpose::AsymmetricSign)?;
        let Material::Signing(signing) = &*material else { return Err(internal()) };
        let digest = fields.digest(signing.algorithm())?;
        let data = fields.bytes("data", "dataCrc32c")?;
        let signature = match (&digest, data.data.is_empty()) {
            (Some(digest), true) => signing.sign(&digest.data),
            (None, false) => signing.sign_data(&data.data),
            _ => return Err(invalid("Exactly one of digest and data must be given.")),
        };
        let signature = signature.ok_or_else(internal)?;
        Ok(json!({
            "name": name,
            "signature": STANDARD.encode(&signature),
            "signatureCrc32c": checksum(&signature),
            "verifiedDigestCrc32c": digest.is_some_and(|digest| digest.verified),
            "verifiedDataCrc32c": data.verified,
        }))
    }

    fn public_key(&self, name: &str, numbers: bool) -> Result<Value, ApiError> {
        let material = self.material(version_of(name)?, Purpose::AsymmetricSign)?;
        let Material::Signing(signing) = &*material else { return Err(internal()) };
        let pem = signing.pem().map_err(|_| internal())?;
        let (algorithm, number) = signing.algorithm().wire();
        Ok(json!({
            "name": name,
            "pem": pem,
            "pemCrc32c": checksum(pem.as_bytes()),
            "algorithm": if numbers { json!(number) } else { json!(algorithm) },
            "publicKeyFormat": if numbers { json!(1) } else { json!("PEM") },
            "publicKey": {"data": STANDARD.encode(&pem), "crc32cChecksum": checksum(pem.as_bytes())},
        }))
    }
}

/// The members of a request's body.
struct Fields(Map<String, Value>);

/// Bytes of a request and whether a checksum came with them. It was right, or there would be no such value.
struct Checked {
    data: Vec<u8>,
    verified: bool,
}

impl Fields {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map(Self).map_err(|e| invalid(format!("Invalid JSON payload received. {e}")))
    }

    fn bytes(&self, name: &str, checksum_name: &str) -> Result<Checked, ApiError> {
        let data = decode(self.0.get(name), name)?;
        self.check(data, name, checksum_name)
    }

    /// The digest that a key of this algorithm signs, if the request has one.
    fn digest(&self, algorithm: SigningAlgorithm) -> Result<Option<Checked>, ApiError> {
        let Some(digest) = self.0.get("digest").filter(|digest| !digest.is_null()) else { return Ok(None) };
        let (name, _) = algorithm.wire();
        let Some((member, length)) = algorithm.digest() else {
            return Err(invalid(format!("{name} takes data, not a digest.")));
        };
        let value = digest.get(member).ok_or_else(|| invalid(format!("{name} takes digest.{member} only.")))?;
        let data = decode(Some(value), "digest")?;
        if data.len() != length {
            return Err(invalid(format!("digest.{member} must have {length} bytes for {name}.")));
        }
        self.check(data, "digest", "digestCrc32c").map(Some)
    }

    fn check(&self, data: Vec<u8>, name: &str, checksum_name: &str) -> Result<Checked, ApiError> {
        if data.len() > MAX_DATA {
            return Err(invalid(format!("{name} has {} bytes, at most {MAX_DATA} are allowed.", data.len())));
        }
        let claimed = match self.0.get(checksum_name) {
            None | Some(Value::Null) => return Ok(Checked { data, verified: false }),
            // JSON form of int64; numbers are accepted as well.
            Some(Value::String(text)) => text.parse::<i64>().ok(),
            Some(value) => value.as_i64(),
        };
        let claimed = claimed.ok_or_else(|| invalid(format!("{checksum_name} is not an int64.")))?;
        if claimed != i64::from(crc32c::crc32c(&data)) {
            return Err(invalid(format!(
                "The checksum in field {checksum_name} did not match the data in field {name}."
            )));
        }
        Ok(Checked { data, verified: true })
    }
}

fn decode(value: Option<&Value>, name: &str) -> Result<Vec<u8>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => {
            STANDARD.decode(text).map_err(|_| invalid(format!("Invalid value at '{name}' (TYPE_BYTES).")))
        }
        Some(_) => Err(invalid(format!("Invalid value at '{name}' (TYPE_BYTES)."))),
    }
}

/// int64 in JSON is a string.
fn checksum(data: &[u8]) -> String {
    crc32c::crc32c(data).to_string()
}

/// The key of `…/cryptoKeyVersions/1`, the only version there is.
fn version_of(name: &str) -> Result<&str, ApiError> {
    name.strip_suffix("/cryptoKeyVersions/1")
        .ok_or_else(|| ApiError::new(Code::NotFound, format!("CryptoKeyVersion {name} not found.")))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}

fn internal() -> ApiError {
    ApiError::new(Code::FailedPrecondition, "The key's material does not fit its purpose.")
}
