//! The claims of a verified token as types. A claim that decides is required, or its absence has a stated meaning.
//! Members that csign does not know are ignored: the service adds claims.

use std::collections::BTreeMap;

use csign_envelope::KeyId;
use csign_oci::{Digest, json};
use serde_json::{Map, Value};

use crate::{details::Details, error::TokenError, token::LIMITS};

/// What a verified token says. Only [`crate::verify`] and [`Claims::parse_without_verification`] make one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `aud`, the only one.
    pub audience: String,
    /// `sub`: the instance's resource name.
    pub subject: String,
    /// `iat` in Unix seconds.
    pub issued_at: u64,
    /// `nbf` in Unix seconds.
    pub not_before: u64,
    /// `exp` in Unix seconds.
    pub expires_at: u64,
    /// `eat_nonce`; empty if the token has none, as the default token.
    pub nonces: Vec<String>,
    /// `swname`: `CONFIDENTIAL_SPACE`, or `GCE` for a virtual machine that is none.
    pub swname: String,
    /// `swversion`; empty if the token does not say.
    pub swversion: Vec<String>,
    /// `hwmodel`: `GCP_AMD_SEV`, `GCP_INTEL_TDX`, …
    pub hwmodel: String,
    /// `secboot`: did the machine boot securely?
    pub secboot: bool,
    /// `dbgstat`: `disabled-since-boot` in production, `enabled` on a debug image.
    pub dbgstat: String,
    /// `google_service_accounts`; empty if the token names none.
    pub google_service_accounts: Vec<String>,
    /// `submods.confidential_space.support_attributes`; `None` is a debug image.
    pub support_attributes: Option<Vec<String>>,
    /// `submods.container`.
    pub container: Container,
    /// `submods.gce`.
    pub gce: Gce,
    /// What decides nothing.
    pub details: Details,
}

/// The container that the launcher started.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Container {
    /// The reference that the operator gave, tag or digest.
    pub image_reference: String,
    /// Digest of the manifest that the launcher pulled.
    pub image_digest: Digest,
    /// `Never`, `Always` or `OnFailure`; `None` if the token does not say.
    pub restart_policy: Option<String>,
    /// The program and its arguments; empty if the token does not say.
    pub args: Vec<String>,
    /// The environment; `None` if the token does not say.
    pub env: Option<BTreeMap<String, String>>,
    /// What of the environment the operator replaced.
    pub env_override: Override,
    /// What of the command the operator replaced.
    pub cmd_override: Override,
    /// The signatures that the attestation service verified; anyone may have added some.
    pub image_signatures: Vec<ImageSignature>,
}

/// `env_override` and `cmd_override`: the service writes an object or an array, null, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Override {
    /// The member is not there.
    Absent,
    /// The member is `null`.
    Null,
    /// Names and values.
    Object(BTreeMap<String, String>),
    /// Words.
    Array(Vec<String>),
}

impl Override {
    /// Nothing was overridden: absent, null or empty.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Absent | Self::Null => true,
            Self::Object(members) => members.is_empty(),
            Self::Array(words) => words.is_empty(),
        }
    }
}

/// One signature over the image that the attestation service verified.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageSignature {
    /// sha256 over the key's DER bytes as they stood in the signature's payload.
    pub key_id: KeyId,
    /// The signature as its signer wrote it: anyone who may push can write odd base64 here, which makes this one
    /// signature useless and not the token.
    pub signature: String,
    /// `ECDSA_P256_SHA256`, or an algorithm that csign does not verify.
    pub signature_algorithm: String,
}

/// The virtual machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gce {
    /// The operator's project.
    pub project_id: String,
    /// Its number, in decimal.
    pub project_number: String,
    /// Where it runs.
    pub zone: String,
    /// Its name.
    pub instance_name: String,
    /// Its number, in decimal.
    pub instance_id: String,
}

impl Claims {
    /// Reads the payload of a token whose signature was NOT verified: to show a token to a person, and for tests of
    /// what is decided by claims. Nothing may be trusted because of it.
    ///
    /// # Errors
    /// As [`crate::verify`], without keys and expectations.
    pub fn parse_without_verification(payload: &[u8]) -> Result<Self, TokenError> {
        let payload = json::value_from_slice(payload).map_err(|source| TokenError::Json { part: "payload", source })?;
        Self::from_payload(&payload)
    }

    pub(crate) fn from_payload(payload: &Value) -> Result<Self, TokenError> {
        let claims = object("payload", payload)?;
        let submods = object("submods", required("submods", claims.get("submods"))?)?;
        let submod = |claim, name: &str| object(claim, required(claim, submods.get(name))?);
        let support_attributes = match submods.get("confidential_space") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let name = "submods.confidential_space";
                object(name, value)?.get("support_attributes").filter(|value| !value.is_null())
            }
        };
        Ok(Self {
            issuer: text("iss", claims.get("iss"))?,
            audience: audience(claims.get("aud"))?,
            subject: text("sub", claims.get("sub"))?,
            issued_at: seconds("iat", claims.get("iat"))?,
            not_before: seconds("nbf", claims.get("nbf"))?,
            expires_at: seconds("exp", claims.get("exp"))?,
            nonces: nonces(claims.get("eat_nonce"))?,
            swname: text("swname", claims.get("swname"))?,
            swversion: one_or_many("swversion", claims.get("swversion"))?,
            hwmodel: text("hwmodel", claims.get("hwmodel"))?,
            secboot: required("secboot", claims.get("secboot"))?
                .as_bool()
                .ok_or(TokenError::Form { claim: "secboot", want: "true or false" })?,
            dbgstat: text("dbgstat", claims.get("dbgstat"))?,
            google_service_accounts: texts("google_service_accounts", claims.get("google_service_accounts"))?,
            support_attributes: support_attributes
                .map(|value| texts("submods.confidential_space.support_attributes", Some(value)))
                .transpose()?,
            container: Container::from_claims(submod("submods.container", "container")?)?,
            gce: Gce::from_claims(submod("submods.gce", "gce")?)?,
            details: Details::from_payload(payload),
        })
    }
}

impl Container {
    fn from_claims(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        const DIGEST: &str = "submods.container.image_digest";
        const SIGNATURES: &str = "submods.container.image_signatures";
        let digest = text(DIGEST, claims.get("image_digest"))?;
        let signatures = match claims.get("image_signatures") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(signatures)) if signatures.len() <= LIMITS.image_signatures => signatures,
            Some(_) => return Err(TokenError::Form { claim: SIGNATURES, want: "an array of at most 300 signatures" }),
        };
        Ok(Self {
            image_reference: text("submods.container.image_reference", claims.get("image_reference"))?,
            image_digest: Digest::parse(&digest)
                .map_err(|_| TokenError::Form { claim: DIGEST, want: "\"sha256:\" and 64 lowercase hex digits" })?,
            restart_policy: optional("submods.container.restart_policy", claims.get("restart_policy"))?,
            args: texts("submods.container.args", claims.get("args"))?,
            env: match claims.get("env") {
                None | Some(Value::Null) => None,
                Some(value) => Some(names_and_values("submods.container.env", value)?),
            },
            env_override: Override::from_claim("submods.container.env_override", claims.get("env_override"))?,
            cmd_override: Override::from_claim("submods.container.cmd_override", claims.get("cmd_override"))?,
            image_signatures: signatures
                .iter()
                .map(|signature| {
                    ImageSignature::from_claim(signature).ok_or(TokenError::Form {
                        claim: SIGNATURES,
                        want: "of key_id, signature, signature_algorithm",
                    })
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ImageSignature {
    fn from_claim(claim: &Value) -> Option<Self> {
        Some(Self {
            key_id: KeyId::parse(claim.get("key_id")?.as_str()?)?,
            signature: claim.get("signature")?.as_str()?.to_owned(),
            signature_algorithm: claim.get("signature_algorithm")?.as_str()?.to_owned(),
        })
    }
}

impl Gce {
    fn from_claims(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        Ok(Self {
            project_id: text("submods.gce.project_id", claims.get("project_id"))?,
            project_number: text("submods.gce.project_number", claims.get("project_number"))?,
            zone: text("submods.gce.zone", claims.get("zone"))?,
            instance_name: text("submods.gce.instance_name", claims.get("instance_name"))?,
            instance_id: text("submods.gce.instance_id", claims.get("instance_id"))?,
        })
    }
}

impl Override {
    fn from_claim(claim: &'static str, value: Option<&Value>) -> Result<Self, TokenError> {
        match value {
            None => Ok(Self::Absent),
            Some(Value::Null) => Ok(Self::Null),
            Some(value @ Value::Object(_)) => names_and_values(claim, value).map(Self::Object),
            Some(value @ Value::Array(_)) => texts(claim, Some(value)).map(Self::Array),
            Some(_) => Err(TokenError::Form { claim, want: "an object, an array or null" }),
        }
    }
}

fn required<'a>(claim: &'static str, value: Option<&'a Value>) -> Result<&'a Value, TokenError> {
    value.filter(|value| !value.is_null()).ok_or(TokenError::Missing(claim))
}

fn object<'a>(claim: &'static str, value: &'a Value) -> Result<&'a Map<String, Value>, TokenError> {
    value.as_object().ok_or(TokenError::Form { claim, want: "an object" })
}

/// A required string that is not empty: an empty one would compare equal to whatever was left unset.
pub(crate) fn text(claim: &'static str, value: Option<&Value>) -> Result<String, TokenError> {
    match required(claim, value)?.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(TokenError::Form { claim, want: "a string that is not empty" }),
    }
}

/// `aud`: a string, or an array of exactly one.
pub(crate) fn audience(value: Option<&Value>) -> Result<String, TokenError> {
    match value {
        Some(Value::Array(many)) if many.len() == 1 => text("aud", many.first()),
        Some(Value::Array(_)) => Err(TokenError::Form { claim: "aud", want: "exactly one audience" }),
        other => text("aud", other),
    }
}

fn optional(claim: &'static str, value: Option<&Value>) -> Result<Option<String>, TokenError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        value => text(claim, value).map(Some),
    }
}

/// An array of strings; absent or null is empty.
fn texts(claim: &'static str, value: Option<&Value>) -> Result<Vec<String>, TokenError> {
    let malformed = TokenError::Form { claim, want: "an array of strings" };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or(malformed)
        }
        Some(_) => Err(malformed),
    }
}

/// A string or an array of strings; absent or null is empty.
fn one_or_many(claim: &'static str, value: Option<&Value>) -> Result<Vec<String>, TokenError> {
    match value {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        other => texts(claim, other),
    }
}

fn names_and_values(claim: &'static str, value: &Value) -> Result<BTreeMap<String, String>, TokenError> {
    object(claim, value)?
        .iter()
        .map(|(name, value)| value.as_str().map(|value| (name.clone(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or(TokenError::Form { claim, want: "an object of strings" })
}

fn seconds(claim: &'static str, value: Option<&Value>) -> Result<u64, TokenError> {
    required(claim, value)?.as_u64().ok_or(TokenError::Form { claim, want: "a whole number of seconds" })
}

/// `eat_nonce`: a bare string for one, an array for several (EAT, RFC 9711, section 4.1): 8 to 88 bytes each.
fn nonces(value: Option<&Value>) -> Result<Vec<String>, TokenError> {
    let nonces = one_or_many("eat_nonce", value)?;
    if nonces.len() > LIMITS.nonces {
        return Err(TokenError::Form { claim: "eat_nonce", want: "at most six nonces" });
    }
    if nonces.iter().all(|nonce| (8..=88).contains(&nonce.len())) {
        Ok(nonces)
    } else {
        Err(TokenError::Form { claim: "eat_nonce", want: "nonces of 8 to 88 bytes" })
    }
}
