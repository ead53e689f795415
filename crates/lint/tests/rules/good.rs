//! Documents without a mistake, which the tests then change in one place.

use csign_envelope::PublicKey;
use p256::ecdsa::SigningKey;
use serde_json::{Value, json};

pub(crate) const DIGEST: &str = "sha256:c693f5cf4f447b31e8c0ae7f784fc754f783f2e64f8836913c22264004204f6b";
pub(crate) const POOL: &str = "projects/111/locations/global/workloadIdentityPools/trusted-workload-pool";
pub(crate) const KEY_ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub(crate) const KEY_TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// The condition of the tutorial, as it must be written today.
pub(crate) const CONDITION: &str = "assertion.swname == 'CONFIDENTIAL_SPACE' \
    && 'STABLE' in assertion.submods.confidential_space.support_attributes \
    && assertion.submods.gce.project_id == 'op' \
    && 'sa@op.iam.gserviceaccount.com' in assertion.google_service_accounts";

pub(crate) fn pem(seed: u8) -> String {
    PublicKey::new(*SigningKey::from_slice(&[seed; 32]).expect("scalar").verifying_key()).expect("key").pem()
}

pub(crate) fn contract() -> String {
    format!(
        r#"version = 1
name = "word-count"
[image]
repository = "r.example/team/app"
[build]
recipe = "cargo-musl"
[environment]
kind = "google"
[operator]
project_id = "op"
service_account = "sa@op.iam.gserviceaccount.com"
[platform]
hardware = ["GCP_INTEL_TDX"]
[messages]
topic = "projects/op/topics/t"
subscription = "projects/op/subscriptions/s"
[[party]]
name = "builder"
public_key = """
{}"""
[[party]]
name = "alice"
public_key = """
{}"""
[party.collaborator]
kms_key = "projects/a/locations/global/keyRings/r/cryptoKeys/k"
identity_provider = "//iam.googleapis.com/{POOL}/providers/attestation-verifier"
"#,
        pem(1),
        pem(2)
    )
}

pub(crate) fn provider() -> Value {
    json!({
        "name": format!("{POOL}/providers/attestation-verifier"),
        "state": "ACTIVE",
        "oidc": {"issuerUri": "https://confidentialcomputing.googleapis.com"},
        "attributeMapping": {
            "google.subject": "\"gcpcs::\" + assertion.submods.container.image_digest + \"::\" + \
                assertion.submods.gce.project_number + \"::\" + assertion.submods.gce.instance_id",
            "attribute.image_digest": "assertion.submods.container.image_digest",
        },
        "attributeCondition": CONDITION,
    })
}

pub(crate) fn with_condition(condition: &str) -> Value {
    let mut provider = provider();
    provider["attributeCondition"] = condition.into();
    provider
}

/// The good condition with one clause more.
pub(crate) fn and(clause: &str) -> Value {
    with_condition(&format!("{CONDITION} && {clause}"))
}

pub(crate) fn policy_for(members: &[&str]) -> Value {
    json!({
        "bindings": [
            {"role": "roles/cloudkms.cryptoKeyEncrypter", "members": ["user:alice@example.com"]},
            {"role": "roles/cloudkms.cryptoKeyDecrypter", "members": members},
        ],
        "etag": "BwYQ",
        "version": 1,
    })
}

pub(crate) fn member(rest: &str) -> String {
    format!("principalSet://iam.googleapis.com/{POOL}/{rest}")
}

pub(crate) fn policy() -> Value {
    policy_for(&[&member(&format!("attribute.image_digest/{DIGEST}"))])
}

pub(crate) fn instance() -> Value {
    json!({
        "kind": "compute#instance",
        "name": "vm1",
        "selfLink": "https://www.googleapis.com/compute/v1/projects/op/zones/us-central1-a/instances/vm1",
        "confidentialInstanceConfig": {"enableConfidentialCompute": true},
        "shieldedInstanceConfig": {"enableSecureBoot": true},
        "disks": [{"licenses": ["https://www.googleapis.com/compute/v1/projects/confidential-space-images/global/licenses/confidential-space"]}],
        "networkInterfaces": [{"network": "teenetwork"}],
        "serviceAccounts": [{
            "email": "sa@op.iam.gserviceaccount.com",
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }],
        "metadata": {"items": [
            {"key": "tee-image-reference", "value": format!("r.example/team/app@{DIGEST}")},
            {"key": "tee-restart-policy", "value": "Never"},
        ]},
    })
}

pub(crate) fn instance_with(key: &str, value: &str) -> Value {
    let mut instance = instance();
    let items = instance["metadata"]["items"].as_array_mut().expect("a list");
    items.retain(|item| item["key"] != key);
    items.push(json!({"key": key, "value": value}));
    instance
}

pub(crate) fn image() -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
        "config": {
            "User": "65532:65532",
            "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Entrypoint": ["/workload"],
            "Labels": {
                "tee.launch_policy.allow_cmd_override": "false",
                "tee.launch_policy.allow_env_override": "",
                "tee.launch_policy.log_redirect": "debugonly",
            },
        },
    })
}

pub(crate) fn image_with(label: &str, value: &str) -> Value {
    let mut image = image();
    image["config"]["Labels"][label] = value.into();
    image
}

pub(crate) fn vault_role() -> Value {
    json!({
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["https://vault.example"],
        "bound_claims": {
            "swname": "CONFIDENTIAL_SPACE",
            "/submods/confidential_space/support_attributes": ["STABLE"],
            "/submods/container/image_digest": [DIGEST],
            "/submods/gce/project_id": "op",
            "google_service_accounts": "sa@op.iam.gserviceaccount.com",
        },
    })
}

pub(crate) fn vault_config() -> Value {
    json!({
        "oidc_discovery_url": "https://confidentialcomputing.googleapis.com",
        "bound_issuer": "https://confidentialcomputing.googleapis.com",
        "jwt_supported_algs": ["RS256"],
    })
}

pub(crate) fn aws() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws:iam::1:oidc-provider/confidentialcomputing.googleapis.com"},
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "confidentialcomputing.googleapis.com:aud": "https://meal.example",
                    "aws:RequestTag/container.image_digest": DIGEST,
                    "aws:RequestTag/gce.project_id": "op",
                },
                "StringLike": {"aws:RequestTag/confidential_space.support_attributes": "*STABLE*"},
            },
        }],
    })
}

pub(crate) fn subscription() -> Value {
    json!({
        "name": "projects/op/subscriptions/s",
        "topic": "projects/op/topics/t",
        "ackDeadlineSeconds": 10,
        "deadLetterPolicy": {"deadLetterTopic": "projects/op/topics/d", "maxDeliveryAttempts": 5},
    })
}

pub(crate) fn message() -> Value {
    json!({"ackId": "x", "message": {
        "data": "AA==",
        "attributes": {"version": "1", "collaborator": "alice", "message": "m-1"},
    }})
}

pub(crate) fn credentials() -> Value {
    json!({
        "type": "external_account",
        "audience": format!("//iam.googleapis.com/{POOL}/providers/attestation-verifier"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/run/container_launcher/attestation_verifier_claims_token"},
    })
}

pub(crate) const REGO: &str = "package signature\nimport rego.v1\ndefault allow := false\n\
    allow if input.predicate.builder == \"us\"\n";
