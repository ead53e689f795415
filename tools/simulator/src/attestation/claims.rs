//! The claims of an attestation token (Confidential Space token claims, `eat_profile` below).

use std::collections::BTreeMap;

use csign_oci::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const EAT_PROFILE: &str =
    "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims";

/// The virtual machine that is attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// Project id.
    pub project: String,
    /// Project number, as a string.
    pub project_number: String,
    /// Zone, for instance `europe-west4-a`.
    pub zone: String,
    /// Instance name.
    pub instance: String,
    /// Instance id, as a string.
    pub instance_id: String,
    /// Service account's email address.
    pub service_account: String,
    /// Which Confidential Space image booted.
    pub image: Image,
}

/// Which Confidential Space image booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// Production: `dbgstat` is `disabled-since-boot`, and it is supported.
    Production,
    /// Debug: the operator can log in; `dbgstat` is `enabled`, no `support_attributes`.
    Debug,
}

/// The container that runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The image reference as the operator gave it.
    pub image_reference: String,
    /// The digest that the launcher pulled.
    pub image_digest: Digest,
    /// The digest of the image's configuration.
    pub image_id: Digest,
    /// `Never`, `Always` or `OnFailure`.
    pub restart_policy: String,
    /// The process's arguments, program first.
    pub args: Vec<String>,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// What of the environment the operator set.
    pub env_override: BTreeMap<String, String>,
    /// The command that the operator set.
    pub cmd_override: Vec<String>,
    /// Signatures that the attestation service found valid.
    pub image_signatures: Vec<ImageSignature>,
}

/// A signature that the attestation service found valid. It says nothing about whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSignature {
    /// Lowercase hex of the SHA-256 of the key's DER.
    pub key_id: String,
    /// The signature in base64.
    pub signature: String,
    /// `ECDSA_P256_SHA256`, `RSASSA_PSS_SHA256` or `RSASSA_PKCS1V15_SHA256`.
    pub signature_algorithm: String,
}

/// What a token is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// `aud`; at most 512 bytes.
    pub audience: String,
    /// `eat_nonce`: at most 6, each of 10 to 74 bytes.
    pub nonces: Vec<String>,
}

/// Members that are empty are `null`, as the real service writes them.
fn or_null(empty: bool, value: Value) -> Value {
    if empty { Value::Null } else { value }
}

impl TokenOptions {
    /// Why the attestation service would not grant this.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.audience.is_empty() || self.audience.len() > 512 {
            return Some(format!("audience must have 1 to 512 bytes, has {}", self.audience.len()));
        }
        if self.nonces.len() > 6 {
            return Some(format!("at most 6 nonces are allowed, got {}", self.nonces.len()));
        }
        let bad = self.nonces.iter().find(|nonce| !(10..=74).contains(&nonce.len()))?;
        Some(format!("a nonce must have 10 to 74 bytes, got one of {}", bad.len()))
    }
}

/// The claims of a token for `vm` and `container`, valid from `now` for `lifetime` seconds.
pub(super) fn claims(
    issuer: &str,
    vm: &Vm,
    container: &Container,
    options: &TokenOptions,
    now: u64,
    lifetime: u64,
) -> Value {
    let Vm { project, zone, instance, .. } = vm;
    let (dbgstat, space) = match vm.image {
        Image::Production => (
            "disabled-since-boot",
            json!({"monitoring_enabled": {"memory": false}, "support_attributes": ["LATEST", "STABLE", "USABLE"]}),
        ),
        Image::Debug => ("enabled", json!({"monitoring_enabled": {"memory": false}})),
    };
    let mut claims = json!({
        "aud": options.audience,
        "exp": now + lifetime,
        "iat": now,
        "nbf": now,
        "iss": issuer,
        "sub": format!("https://www.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances/{instance}"),
        "eat_profile": EAT_PROFILE,
        "secboot": true,
        "oemid": 11129,
        "hwmodel": "GCP_INTEL_TDX",
        "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["250800"],
        "attester_tcb": ["INTEL"],
        "dbgstat": dbgstat,
        "google_service_accounts": [vm.service_account],
        "submods": {
            "confidential_space": space,
            "container": {
                "image_reference": container.image_reference,
                "image_digest": container.image_digest,
                "image_id": container.image_id,
                "restart_policy": container.restart_policy,
                "args": container.args,
                "env": container.env,
                "env_override": or_null(container.env_override.is_empty(), json!(container.env_override)),
                "cmd_override": or_null(container.cmd_override.is_empty(), json!(container.cmd_override)),
            },
            "gce": {
                "zone": zone,
                "project_id": project,
                "project_number": vm.project_number,
                "instance_name": instance,
                "instance_id": vm.instance_id,
            },
        },
    });
    match options.nonces.as_slice() {
        [] => {}
        [one] => claims["eat_nonce"] = json!(one),
        several => claims["eat_nonce"] = json!(several),
    }
    if !container.image_signatures.is_empty() {
        claims["submods"]["container"]["image_signatures"] = json!(container.image_signatures);
    }
    claims
}
