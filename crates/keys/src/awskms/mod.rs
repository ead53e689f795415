//! AWS KMS: public keys and signatures over its JSON interface, with requests signed by `aws-sigv4`.
//!
//! The message's digest is made on this machine (`MessageType` `DIGEST`):
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>.

mod credentials;
mod profile;

use std::{fmt, path::PathBuf, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{PublicKey, SignatureAlgorithm};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    AwsKey, KeysError, Secret, Service, ServiceFault,
    call::Call,
    digest::{digest, hash_of},
    error::{FETCHING_KEY, SIGNING},
    rest::{self, Request, Rest},
    signer::read_setting,
};

/// How AWS is reached: what the environment variables of AWS's own tools say.
pub struct AwsOptions {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: Option<Secret>,
    /// `AWS_SESSION_TOKEN`
    pub session_token: Option<Secret>,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`
    pub region: Option<String>,
    /// `AWS_PROFILE`
    pub profile: Option<String>,
    /// `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`
    pub credentials_file: Option<PathBuf>,
    /// `AWS_CONFIG_FILE`, else `~/.aws/config`
    pub config_file: Option<PathBuf>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`
    pub web_identity_token_file: Option<PathBuf>,
    /// `AWS_ROLE_ARN`
    pub role_arn: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`
    pub role_session_name: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, else made of `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`
    pub container_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`
    pub container_token: Option<Secret>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`
    pub container_token_file: Option<PathBuf>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`, else the address that every virtual machine of AWS has; `None` where
    /// `AWS_EC2_METADATA_DISABLED` says so
    pub metadata_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_KMS`, else `AWS_ENDPOINT_URL`
    pub endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL`
    pub sts_endpoint: Option<String>,
    /// `AWS_CA_BUNDLE`: a file with the certificate authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
    /// The clock: a request is signed together with its time.
    pub now: fn() -> SystemTime,
}

impl AwsOptions {
    /// No credentials, no files, no region; the clock is the caller's.
    pub fn new(now: fn() -> SystemTime) -> Self {
        Self {
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            region: None,
            profile: None,
            credentials_file: None,
            config_file: None,
            web_identity_token_file: None,
            role_arn: None,
            role_session_name: None,
            container_uri: None,
            container_token: None,
            container_token_file: None,
            metadata_endpoint: None,
            endpoint: None,
            sts_endpoint: None,
            authorities: None,
            now,
        }
    }
}

impl fmt::Debug for AwsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsOptions").field("region", &self.region).finish_non_exhaustive()
    }
}

/// A connection to AWS KMS in one region.
pub struct AwsKmsClient {
    rest: Rest,
    url: Url,
    region: String,
    credentials: Credentials,
    now: fn() -> SystemTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKeyReply {
    key_id: String,
    key_usage: String,
    public_key: String,
    #[serde(default)]
    signing_algorithms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SignReply {
    key_id: String,
    signature: String,
    signing_algorithm: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

impl AwsKmsClient {
    /// Finds region, address and credentials for `key`; asks other services for credentials where these are configured.
    ///
    /// # Errors
    /// No region, no credentials, an address without encryption.
    pub async fn connect(key: &AwsKey, options: &AwsOptions) -> Result<Self, KeysError> {
        let uri = key.to_string();
        let profile = profile::Profile::load(options)?;
        let region = key.region().or(options.region.as_deref()).or(profile.get("region"));
        let region = region.ok_or(KeysError::NotSet { key: uri.clone(), setting: "AWS_REGION" })?.to_owned();
        if !crate::key_uri::is_aws_region(&region) {
            return Err(KeysError::Invalid("AWS_REGION is not the name of a region"));
        }
        let url = match (key.endpoint(), &options.endpoint) {
            (Some(host), _) => {
                // As cosign does, but for an emulator on this machine, which speaks plain http.
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                let scheme = if rest::is_loopback(name) { "http" } else { "https" };
                rest::address("awskms://", &format!("{scheme}://{host}"))?
            }
            (None, Some(url)) => rest::address("AWS_ENDPOINT_URL", url)?,
            (None, None) => rest::address("AWS_REGION", &format!("https://kms.{region}.{}", suffix(&region)))?,
        };
        let authorities = match &options.authorities {
            Some(path) => Some(read_setting("reading certificate authorities", path)?),
            None => None,
        };
        let rest = Rest::new(authorities.as_deref().map(|pem| pem.as_bytes()))?;
        let credentials = credentials::find(&rest, &profile, &region, options).await?;
        Ok(Self { rest, url, region, credentials, now: options.now })
    }

    /// The public key of a signing key.
    ///
    /// # Errors
    /// The service refuses or cannot be reached, the key has another use or algorithm, or the answer fails a check.
    pub async fn public_key(&self, key: &AwsKey) -> Result<PublicKey, KeysError> {
        let uri = key.to_string();
        let call = Call { service: Service::Aws, doing: FETCHING_KEY, resource: &uri };
        let reply: PublicKeyReply = self.ask(&call, "GetPublicKey", &json!({"KeyId": key.key_id()})).await?;
        call.that(key.is(&reply.key_id), "the answer is about another key")?;
        if reply.key_usage != "SIGN_VERIFY" {
            return Err(call.algorithm(&reply.key_usage));
        }
        let der = BASE64_STANDARD.decode(&reply.public_key).map_err(|_| call.integrity("the key is not base64"))?;
        let found = reply.signing_algorithms.join(", ");
        let public_key = PublicKey::from_der(&der).map_err(|_| call.algorithm(&found))?;
        let known = name(public_key.algorithm()).is_some_and(|name| reply.signing_algorithms.iter().any(|n| n == name));
        if known { Ok(public_key) } else { Err(call.algorithm(&found)) }
    }

    /// A signature over `message`. The caller verifies it; [`crate::Signer`] does.
    ///
    /// # Errors
    /// The service refuses or cannot be reached, or the answer is about another key or algorithm.
    pub async fn sign(
        &self,
        key: &AwsKey,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let uri = key.to_string();
        let call = Call { service: Service::Aws, doing: SIGNING, resource: &uri };
        let (Some(name), Some(hash)) = (name(algorithm), hash_of(algorithm)) else {
            return Err(call.algorithm(algorithm.name()));
        };
        let fields = json!({
            "KeyId": key.key_id(),
            "Message": BASE64_STANDARD.encode(digest(hash, message)),
            "MessageType": "DIGEST",
            "SigningAlgorithm": name,
        });
        let reply: SignReply = self.ask(&call, "Sign", &fields).await?;
        call.that(key.is(&reply.key_id), "another key signed")?;
        call.that(reply.signing_algorithm == name, "the key signed with another algorithm")?;
        BASE64_STANDARD.decode(&reply.signature).map_err(|_| call.integrity("the signature is not base64"))
    }

    async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>, action: &str, fields: &Value) -> Result<T, KeysError> {
        let body = fields.to_string().into_bytes();
        let target = format!("TrentService.{action}");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        let target = HeaderValue::try_from(target).map_err(|_| call.integrity("the request cannot be made"))?;
        headers.insert(HeaderName::from_static("x-amz-target"), target);
        self.authorize(&mut headers, &body).ok_or(KeysError::Invalid("the request to AWS cannot be signed"))?;
        let request = Request { method: Method::POST, url: self.url.clone(), headers, body };
        let body = self.rest.send(call, &request, judge).await?;
        csign_oci::json::from_slice(&body).map_err(|_| call.integrity("the answer is not in this service's format"))
    }

    /// Adds the headers of Signature Version 4 to those that are there.
    fn authorize(&self, headers: &mut HeaderMap, body: &[u8]) -> Option<()> {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kms")
            .time((self.now)())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let present = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let request = SignableRequest::new("POST", self.url.as_str(), present, SignableBody::Bytes(body)).ok()?;
        let (instructions, _) = sign(request, &params).ok()?.into_parts();
        for (name, value) in instructions.headers() {
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name).ok()?, value);
        }
        Some(())
    }
}

/// The domain of AWS's services in this region.
fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// AWS's name of an algorithm.
fn name(algorithm: SignatureAlgorithm) -> Option<&'static str> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => Some("ECDSA_SHA_256"),
        SignatureAlgorithm::EcdsaP384Sha384 => Some("ECDSA_SHA_384"),
        SignatureAlgorithm::RsaPkcs1v15Sha256 => Some("RSASSA_PKCS1_V1_5_SHA_256"),
        SignatureAlgorithm::RsaPkcs1v15Sha512 => Some("RSASSA_PKCS1_V1_5_SHA_512"),
        SignatureAlgorithm::RsaPssSha256 => Some("RSASSA_PSS_SHA_256"),
        SignatureAlgorithm::RsaPssSha512 => Some("RSASSA_PSS_SHA_512"),
        // A P-384 key signs SHA-384 alone; Ed25519 keys have no digest that could be sent.
        SignatureAlgorithm::EcdsaP384Sha256 | SignatureAlgorithm::Ed25519 | SignatureAlgorithm::Ed25519Ph => None,
    }
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>
fn judge(status: u16, body: &[u8]) -> Result<(), (ServiceFault, String)> {
    if status == 200 {
        return Ok(());
    }
    let refusal: Refusal = csign_oci::json::from_slice(body).unwrap_or_default();
    let kind = refusal.kind.rsplit('#').next().unwrap_or_default();
    let fault = match kind.trim_end_matches("Exception") {
        "NotFound" => ServiceFault::NotFound,
        "AccessDenied" => ServiceFault::PermissionDenied,
        "UnrecognizedClient"
        | "InvalidSignature"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "SignatureDoesNotMatch" => ServiceFault::Unauthenticated,
        "Disabled" | "KMSInvalidState" | "KeyUnavailable" => ServiceFault::Unusable,
        "Throttling" | "LimitExceeded" | "RequestLimitExceeded" => ServiceFault::Throttled,
        _ => match status {
            401 => ServiceFault::Unauthenticated,
            403 => ServiceFault::PermissionDenied,
            429 => ServiceFault::Throttled,
            500.. => ServiceFault::Unavailable,
            _ => ServiceFault::Refused,
        },
    };
    Err((fault, format!("HTTP status {status} {kind} {}", refusal.message)))
}

/// For fuzzing: is this an answer of the service?
#[doc(hidden)]
pub fn parses_answer(bytes: &[u8]) -> bool {
    credentials::parses_sts(bytes)
        || csign_oci::json::from_slice::<PublicKeyReply>(bytes).is_ok()
        || csign_oci::json::from_slice::<SignReply>(bytes).is_ok()
}
