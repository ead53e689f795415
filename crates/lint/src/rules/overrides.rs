//! Names of environment variables that name what a workload trusts.

/// Parts of such names.
const ANCHORS: [&str; 22] = [
    "AUDIENCE",
    "POOL",
    "PROVIDER",
    "ISSUER",
    "JWKS",
    "KEY",
    "KMS",
    "ROSTER",
    "SIGNER",
    "COSIGN",
    "CONTRACT",
    "CONFIG",
    "ENDPOINT",
    "URL",
    "HOST",
    "PROXY",
    "CREDENTIAL",
    "CERT",
    "CA_",
    "TRUST",
    "PROJECT",
    "TOPIC",
];

/// Does the name say that its value is one that the workload trusts: a key, a pool, an audience, an endpoint?
pub(crate) fn is_trust_anchor(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ANCHORS.iter().any(|part| name.contains(part)) || ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH"].contains(&name.as_str())
}
