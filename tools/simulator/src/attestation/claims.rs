//! The claims of an attestation token (Confidential Space token claims, `eat_profile` below).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    options::{TokenKind, TokenOptions},
    vm::{Container, Hardware, Vm},
};

const EAT_PROFILE: &str =
    "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims";
/// Where AWS looks for session tags.
const AWS_TAGS: &str = "https://aws.amazon.com/tags";

/// The claims of a token of `kind` for `vm` and `container`, valid from `now` for `lifetime` seconds.
pub(super) fn claims(
    issuer: &str,
    kind: &TokenKind,
    (vm, container): (&Vm, &Container),
    options: &TokenOptions,
    (now, lifetime): (u64, u64),
) -> Value {
    let Vm { project, zone, instance, .. } = vm;
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
        "hwmodel": vm.platform.hardware.model(),
        "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["250800"],
        "dbgstat": if vm.image.is_hardened() { "disabled-since-boot" } else { "enabled" },
    });
    match options.nonces.as_slice() {
        [] => {}
        [one] => claims["eat_nonce"] = json!(one),
        several => claims["eat_nonce"] = json!(several),
    }
    if vm.platform.hardware == Hardware::IntelTdx {
        claims["attester_tcb"] = json!(["INTEL"]);
        claims["tdx"] =
            json!([{"gcp_attester_tcb_status": "UpToDate", "gcp_attester_tcb_date": "2024-03-13T00:00:00Z"}]);
    }
    match kind {
        TokenKind::Oidc | TokenKind::Pki => {
            let accounts: Vec<&String> =
                std::iter::once(&vm.service_account).chain(&vm.platform.impersonated).collect();
            claims["google_service_accounts"] = json!(accounts);
            claims["submods"] = submods(vm, container);
        }
        TokenKind::LimitedAws => {}
        TokenKind::AwsPrincipalTags { key_ids } => {
            claims[AWS_TAGS] = json!({"principal_tags": principal_tags(vm, container, key_ids)});
        }
    }
    claims
}

fn submods(vm: &Vm, container: &Container) -> Value {
    let mut submods = json!({
        "confidential_space": {"monitoring_enabled": {"memory": vm.platform.memory_monitoring}},
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
            "zone": vm.zone,
            "project_id": vm.project,
            "project_number": vm.project_number,
            "instance_name": vm.instance,
            "instance_id": vm.instance_id,
        },
    });
    if let Some(attributes) = vm.image.support_attributes() {
        submods["confidential_space"]["support_attributes"] = json!(attributes);
    }
    if let Some(mode) = &vm.platform.gpu {
        submods["nvidia_gpu"] = json!({"cc_mode": mode});
    }
    if !container.image_signatures.is_empty() {
        submods["container"]["image_signatures"] = json!(container.image_signatures);
    }
    submods
}

/// Each tag is an array of one string; several values become one, joined by `=`. Digest and signatures never stand
/// together, since AWS bounds the size of all tags.
fn principal_tags(vm: &Vm, container: &Container, key_ids: &[String]) -> Value {
    let mut tags = json!({"gce.project_id": [vm.project], "gce.zone": [vm.zone]});
    if let Some(attributes) = vm.image.support_attributes() {
        tags["confidential_space.support_attributes"] = json!([attributes.join("=")]);
    }
    if key_ids.is_empty() {
        tags["container.image_digest"] = json!([container.image_digest]);
        return tags;
    }
    let signed: BTreeSet<&str> = container.image_signatures.iter().map(|found| found.key_id.as_str()).collect();
    let asked: Vec<&str> = signed.into_iter().filter(|id| key_ids.iter().any(|asked| asked == id)).collect();
    if !asked.is_empty() {
        tags["container.signatures.key_ids"] = json!([asked.join("=")]);
    }
    tags
}

/// Members that are empty are `null`, as the real service writes them.
fn or_null(empty: bool, value: Value) -> Value {
    if empty { Value::Null } else { value }
}
