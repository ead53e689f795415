//! What is attested: the virtual machine, its platform and its image, and the container that runs on it.

use std::collections::BTreeMap;

use csign_oci::Digest;
use serde::{Deserialize, Serialize};

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
    /// The hardware, and what the operator switched on.
    #[serde(default)]
    pub platform: Platform,
}

/// Hardware and switches of a machine. The default is a TDX machine without extras.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Platform {
    /// What the evidence rests on.
    pub hardware: Hardware,
    /// Does the machine report its memory use to the operator?
    pub memory_monitoring: bool,
    /// Accounts that the operator impersonates (`tee-impersonate-service-accounts`), beside the machine's own.
    pub impersonated: Vec<String>,
    /// Confidential computing mode of an NVIDIA GPU: `ON`, `OFF` or `DEVTOOLS`. `None` without one.
    pub gpu: Option<String>,
}

/// The kinds of machines that Confidential Space runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardware {
    /// AMD SEV.
    AmdSev,
    /// AMD SEV-ES.
    AmdSevEs,
    /// Intel TDX.
    #[default]
    IntelTdx,
    /// Secure boot and a virtual TPM, no memory encryption.
    ShieldedVm,
}

impl Hardware {
    /// `hwmodel`.
    pub const fn model(self) -> &'static str {
        match self {
            Self::AmdSev => "GCP_AMD_SEV",
            Self::AmdSevEs => "GCP_AMD_SEV_ES",
            Self::IntelTdx => "GCP_INTEL_TDX",
            Self::ShieldedVm => "GCP_SHIELDED_VM",
        }
    }
}

/// Which Confidential Space image booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// Production, newest: `dbgstat` is `disabled-since-boot`, and it is supported.
    Production,
    /// Production, supported, not the newest.
    Stable,
    /// Production, no longer supported and not known to be unsafe.
    Usable,
    /// Production, for trials: no support at all.
    Experimental,
    /// Debug: the operator can log in; `dbgstat` is `enabled`, no `support_attributes`.
    Debug,
}

impl Image {
    /// `support_attributes`; a debug image has none.
    pub const fn support_attributes(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Production => Some(&["LATEST", "STABLE", "USABLE"]),
            Self::Stable => Some(&["STABLE", "USABLE"]),
            Self::Usable => Some(&["USABLE"]),
            Self::Experimental => Some(&["EXPERIMENTAL"]),
            Self::Debug => None,
        }
    }

    /// Every image but the debug one, as the launcher calls it.
    pub const fn is_hardened(self) -> bool {
        !matches!(self, Self::Debug)
    }
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
