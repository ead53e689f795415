//! The transit secrets engine of HashiCorp Vault and OpenBao: public keys, signatures, new keys.
//!
//! <https://openbao.org/api-docs/secret/transit/>. What is signed is decided here and stated in each request: ECDSA and
//! RSA keys sign a digest that was made on this machine, Ed25519 keys the message.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, SignatureAlgorithm};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    KeyType, KeysError, Secret, Service, ServiceFault, TransitFlavor, TransitKey, TransitKeyVersion,
    call::Call,
    digest::{Hash, digest, hash_of},
    error::{CREATING, FETCHING_KEY, SIGNING},
    rest::{self, Request, Rest},
    signer::read_setting,
};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Longest message that is sent to be signed whole, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// One server: what `VAULT_*` or `BAO_*` say.
#[derive(Debug, Default)]
pub struct TransitServer {
    /// `VAULT_ADDR`
    pub address: Option<String>,
    /// `VAULT_TOKEN`
    pub token: Option<Secret>,
    /// `VAULT_NAMESPACE`
    pub namespace: Option<String>,
    /// `VAULT_CACERT`: a file with the certificate authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
}

/// How transit secrets engines are reached.
#[derive(Debug, Default)]
pub struct TransitOptions {
    /// `VAULT_*`
    pub vault: TransitServer,
    /// `BAO_*`
    pub openbao: TransitServer,
    /// `TRANSIT_SECRET_ENGINE_PATH`: where the engine is mounted, `transit` by default.
    pub mount: Option<String>,
    /// Where a login left its token (`~/.vault-token`), used where the server's token is not set.
    pub token_file: Option<PathBuf>,
}

/// A connection to one server.
pub struct TransitClient {
    rest: Rest,
    base: Url,
    headers: HeaderMap,
    flavor: TransitFlavor,
}

#[derive(Deserialize)]
struct Reply<T> {
    data: T,
}

#[derive(Deserialize)]
struct KeyData {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// Versions; symmetric keys have a time here, so the values are looked at after the type.
    keys: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct SignatureData {
    signature: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl TransitClient {
    /// Prepares a client for the server that has `key`; nothing is sent yet. The other flavour's settings are used where no
    /// address is set for this one, and then all of them: a token goes to no server but the one it was set for.
    ///
    /// # Errors
    /// No address, an address without encryption, no token, unreadable files.
    pub fn connect(key: &TransitKey, options: &TransitOptions) -> Result<Self, KeysError> {
        let flavor = key.flavor();
        let (own, other, address_setting, token_setting) = match flavor {
            TransitFlavor::HashiVault => (&options.vault, &options.openbao, "VAULT_ADDR", "VAULT_TOKEN"),
            TransitFlavor::OpenBao => (&options.openbao, &options.vault, "BAO_ADDR", "BAO_TOKEN"),
        };
        let not_set = |setting| KeysError::NotSet { key: key.to_string(), setting };
        let server = if own.address.is_some() { own } else { other };
        let address = server.address.as_deref().ok_or_else(|| not_set(address_setting))?;
        let mut base = rest::address(address_setting, address)?;
        let mount = options.mount.as_deref().unwrap_or("transit").trim_matches('/');
        let plain = |segment: &str| {
            !segment.is_empty()
                && segment.chars().any(|c| c != '.')
                && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !mount.split('/').all(plain) {
            return Err(KeysError::Invalid("TRANSIT_SECRET_ENGINE_PATH is not the path of a secrets engine"));
        }
        base.path_segments_mut()
            .map_err(|()| KeysError::Invalid("the server's address cannot have a path"))?
            .pop_if_empty()
            .push("v1")
            .extend(mount.split('/'));

        let from_file;
        let token = match (&server.token, &options.token_file) {
            (Some(token), _) => token,
            (None, Some(path)) if path.exists() => {
                from_file = Secret::new(read_setting("reading token", path)?.trim())?;
                &from_file
            }
            _ => return Err(not_set(token_setting)),
        };
        let mut value = HeaderValue::try_from(token.expose())
            .map_err(|_| KeysError::Invalid("the token has characters that a token cannot have"))?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-token"), value);
        // Agents ask for this header, which a browser that was led here does not send.
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if let Some(namespace) = &server.namespace {
            let namespace = HeaderValue::try_from(namespace)
                .map_err(|_| KeysError::Invalid("the namespace has characters that it cannot have"))?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        let authorities = match &server.authorities {
            Some(path) => Some(read_setting("reading certificate authorities", path)?),
            None => None,
        };
        let rest = Rest::new(authorities.as_deref().map(|pem| pem.as_bytes()))?;
        Ok(Self { rest, base, headers, flavor })
    }

    /// The public key of one version of a key.
    ///
    /// # Errors
    /// The server refuses or cannot be reached, the key has no such version or another algorithm, or the answer fails a
    /// check.
    pub async fn public_key(&self, version: &TransitKeyVersion) -> Result<PublicKey, KeysError> {
        let resource = version.to_string();
        let call = self.call(FETCHING_KEY, &resource);
        let body =
            self.rest.send(&call, &self.request(Method::GET, &["keys", version.key().name()], None), judge).await?;
        let Reply { data }: Reply<KeyData> = parse(&call, &body)?;
        call.that(data.name == version.key().name(), "the answer is about another key")?;
        let found = match data.kind.as_str() {
            kind @ ("ecdsa-p256" | "ecdsa-p384" | "ed25519" | "rsa-2048" | "rsa-3072" | "rsa-4096") => kind,
            other => return Err(call.algorithm(other)),
        };
        let Some(entry) = data.keys.get(&version.version().to_string()) else {
            let versions: Vec<&str> = data.keys.keys().map(String::as_str).collect();
            let message = format!("there is no such version; there are {}", versions.join(", "));
            return Err(call.fault(ServiceFault::NotFound, &message));
        };
        let text = entry.get("public_key").and_then(Value::as_str).unwrap_or_default();
        let key = match found {
            "ed25519" => {
                let raw = BASE64_STANDARD.decode(text).unwrap_or_default();
                PublicKey::from_der(&[&ED25519_PREFIX[..], &raw].concat())
            }
            _ => PublicKey::from_pem(text),
        };
        let key = key.map_err(|_| call.integrity("the answer is not a public key"))?;
        let fits = match key.algorithm() {
            SignatureAlgorithm::EcdsaP256Sha256 => found == "ecdsa-p256",
            SignatureAlgorithm::EcdsaP384Sha384 => found == "ecdsa-p384",
            SignatureAlgorithm::Ed25519 => found == "ed25519",
            _ => found.starts_with("rsa-"),
        };
        call.that(fits, "the public key is not of the type that the server says")?;
        Ok(key)
    }

    /// A signature over `message`. The caller verifies it; [`crate::Signer`] does.
    ///
    /// # Errors
    /// The server refuses or cannot be reached, another version signed, or the answer fails a check.
    pub async fn sign(
        &self,
        version: &TransitKeyVersion,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let resource = version.to_string();
        let call = self.call(SIGNING, &resource);
        let mut fields = json!({"key_version": version.version()});
        let mut path = vec!["sign", version.key().name()];
        let padding = match algorithm {
            SignatureAlgorithm::RsaPkcs1v15Sha256 | SignatureAlgorithm::RsaPkcs1v15Sha512 => Some("pkcs1v15"),
            SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPssSha512 => Some("pss"),
            // Servers differ in what they take a prehashed input of an Ed25519 key for.
            SignatureAlgorithm::Ed25519Ph => return Err(call.algorithm(algorithm.name())),
            _ => None,
        };
        let input = match hash_of(algorithm) {
            Some(hash) => {
                path.push(match hash {
                    Hash::Sha256 => "sha2-256",
                    Hash::Sha384 => "sha2-384",
                    Hash::Sha512 => "sha2-512",
                });
                fields["prehashed"] = true.into();
                fields["marshaling_algorithm"] = "asn1".into();
                digest(hash, message)
            }
            None if message.len() > MAX_MESSAGE => {
                return Err(KeysError::Invalid("the message is too large to be sent"));
            }
            None => message.to_vec(),
        };
        if let Some(padding) = padding {
            fields["signature_algorithm"] = padding.into();
            fields["salt_length"] = "hash".into();
        }
        fields["input"] = BASE64_STANDARD.encode(input).into();
        let body = self.rest.send(&call, &self.request(Method::POST, &path, Some(&fields)), judge).await?;
        let Reply { data }: Reply<SignatureData> = parse(&call, &body)?;
        let signature = data.signature.strip_prefix(&format!("vault:v{}:", version.version()));
        let signature = signature.ok_or_else(|| call.integrity("another version of the key signed"))?;
        BASE64_STANDARD.decode(signature).map_err(|_| call.integrity("the signature is not base64"))
    }

    /// Creates a key and returns its first version with its public key.
    ///
    /// # Errors
    /// There is such a key already, the server refuses or cannot be reached.
    pub async fn create(&self, key: &TransitKey, kind: KeyType) -> Result<(TransitKeyVersion, PublicKey), KeysError> {
        let resource = key.to_string();
        let call = self.call(CREATING, &resource);
        let path = ["keys", key.name()];
        // The server takes a second creation for a success and changes nothing.
        match self.rest.send(&call, &self.request(Method::GET, &path, None), judge).await {
            Ok(_) => return Err(KeysError::KeyExists(resource)),
            Err(KeysError::Service { fault: ServiceFault::NotFound, .. }) => {}
            Err(other) => return Err(other),
        }
        let kind = match kind {
            KeyType::P256 => "ecdsa-p256",
            KeyType::P384 => "ecdsa-p384",
            other => other.name(),
        };
        let fields = json!({"type": kind, "exportable": false});
        self.rest.send(&call, &self.request(Method::POST, &path, Some(&fields)), judge).await?;
        let version = key.first_version();
        let public_key = self.public_key(&version).await?;
        Ok((version, public_key))
    }

    fn call<'a>(&self, doing: &'static str, resource: &'a str) -> Call<'a> {
        Call { service: Service::Transit(self.flavor), doing, resource }
    }

    fn request(&self, method: Method, path: &[&str], body: Option<&Value>) -> Request {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        Request { method, url, headers: self.headers.clone(), body }
    }
}

fn parse<T: serde::de::DeserializeOwned>(call: &Call<'_>, body: &[u8]) -> Result<T, KeysError> {
    csign_oci::json::from_slice(body).map_err(|_| call.integrity("the answer is not in this service's format"))
}

/// <https://openbao.org/api-docs/#http-status-codes>
fn judge(status: u16, body: &[u8]) -> Result<(), (ServiceFault, String)> {
    let fault = match status {
        200 | 204 => return Ok(()),
        401 | 403 => ServiceFault::PermissionDenied,
        404 => ServiceFault::NotFound,
        412 | 429 => ServiceFault::Throttled,
        500.. => ServiceFault::Unavailable,
        _ => ServiceFault::Refused,
    };
    let refusal: Refusal = csign_oci::json::from_slice(body).unwrap_or_default();
    Err((fault, format!("HTTP status {status} {}", refusal.errors.join("; "))))
}

/// For fuzzing: is this the description of a key?
#[doc(hidden)]
pub fn parses_key(bytes: &[u8]) -> bool {
    csign_oci::json::from_slice::<Reply<KeyData>>(bytes).is_ok()
}
