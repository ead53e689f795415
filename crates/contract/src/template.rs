//! The commented `collaboration.toml` that `csign init` writes.

/// A contract to fill in: everything in angle brackets is the parties' to decide. `builder_key`, where given, is a PEM
/// public key.
pub fn template(name: &str, repository: &str, builder_key: Option<&str>) -> String {
    let key = builder_key.map_or("<paste the output of: csign public-key --key KEY>", str::trim);
    format!(
        r#"# What all parties agree on. csign contract check reads it; csign contract digest prints the digest to compare.
# Its canonical form is baked into the image, so the image's digest covers every value below.
version = 1
name = "{name}"

[image]
repository = "{repository}"         # without tag or digest

[build]
recipe = "cargo-musl"               # cargo-musl | cargo-gnu-static | bazel

[environment]
kind = "google"                     # Confidential Space. "simulated" is for the simulator alone:
# kind = "simulated"                # commands refuse it unless --allow-simulated is given
# issuer = "http://attestation.simulator.localhost"
# issuer_keys = ["<thumbprint that simulator up prints>"]

[signatures]
threshold = "all"                   # or a number: how many different parties must have signed
# sources = "any"                   # any | token | registry | both: where their signatures must be seen at boot

# [attestation]
# token = "oidc"                    # oidc | pki | both: which kind of token the boot verifies

[operator]                          # who runs the machine; the attestation token must say so
project_id = "<operator-project>"
service_account = "<name>@<operator-project>.iam.gserviceaccount.com"

[platform]
hardware = ["GCP_INTEL_TDX"]        # GCP_INTEL_TDX | GCP_AMD_SEV | GCP_AMD_SEV_ES
support = "STABLE"                  # LATEST | STABLE | USABLE; debug images are never accepted

[launch]
log_redirect = "debugonly"          # may the operator read the workload's log? debugonly | always | never

[messages]
topic = "projects/<operator-project>/topics/<topic>"
subscription = "projects/<operator-project>/subscriptions/<subscription>"
print_words = false                 # true lets decrypted words into the log
# dead_letter = "projects/<operator-project>/topics/<dead-letters>"    # where messages go that can never be processed
# data_key_seconds = 300            # for how long a revoked grant still opens envelopes

# [[policy]]                        # what the parties' attestations must say before the workload starts
# name = "provenance"
# predicate_type = "slsaprovenance1"
# rego = """
# package signature
# default allow := false
# allow if input.predicate.buildDefinition.buildType == "<build type>"
# """

# [state]                           # absent: the counts are in a file in the container
# kind = "postgres"                 # several workloads share a database: docs/state.md says what else it needs

# [health]
# port = 8080                       # /healthz, /readyz and /metrics, without TLS and without content

# [ingest]
# port = 8443                       # collaborators may send data over TLS; see [party.collaborator.ingest]

# Everyone who must sign, each with a key of their own. Confidential Space reads ECDSA P-256 and RSA keys; with RSA,
# algorithm = "RSASSA_PSS_SHA256" states another padding than PKCS#1 v1.5.
[[party]]
name = "builder"
public_key = """
{key}
"""

[[party]]
name = "collaborator-1"
public_key = """
<paste the output of: csign public-key --key KEY>
"""
[party.collaborator]                # only for parties that send data
kms_key = "projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k>"
identity_provider = "//iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>"
# [party.collaborator.ingest]       # with [ingest]: the certificate authority of this collaborator's own clients
# server_name = "collaborator-1.workload.internal"
# client_ca = """
# <PEM certificate>
# """
"#
    )
}
