//! The target `vault`: a login by attestation token at HashiCorp Vault or OpenBao, for a key or a secret that is kept there.
//!
//! Vault compares claims with fixed values; it has no expressions. So the image is bound by its digest, and the signatures are
//! checked by the workload itself at its boot: a claim that is a list of objects cannot be bound.

use serde_json::{Value, json};

use crate::{
    Files, Input, RenderError, Role, file, json as json_file,
    names::{self, KeyName},
    settings::required,
};

/// What a policy may allow.
const CAPABILITIES: [&str; 6] = ["create", "read", "update", "delete", "list", "patch"];

/// Method, role and policy, and a script that writes them.
pub(crate) fn files(role: &Role, input: Input<'_>) -> Result<Files, RenderError> {
    let wrong = || RenderError::Role { target: "vault", role: role.to_string(), wanted: "collaborator=NAME" };
    let Role::Collaborator(name) = role else { return Err(wrong()) };
    let (_, collaborator) = input.contract.collaborator(name).ok_or_else(wrong)?;
    KeyName::parse("party.collaborator.kms_key", &collaborator.kms_key)?;
    if input.digests.is_empty() {
        return Err(RenderError::NoDigest("a role in Vault"));
    }
    let settings = &input.settings.vault;
    let mount = names::PATH.check("vault.mount", &settings.mount)?;
    let id = names::ID.check("vault.role", &settings.role)?;
    Ok(Files::from([
        ("vault-config.json".to_owned(), json_file(&config(input))),
        ("vault-role.json".to_owned(), json_file(&vault_role(input, &id)?)),
        ("vault-policy.hcl".to_owned(), file(policy(input)?)),
        ("vault.sh".to_owned(), crate::File { text: script(&mount, &id), executable: true }),
    ]))
}

/// Whose tokens count. The keys are those that the issuer publishes; the old address of its key set is gone.
fn config(input: Input<'_>) -> Value {
    let issuer = input.contract.environment.issuer();
    json!({"oidc_discovery_url": issuer, "bound_issuer": issuer})
}

/// Which tokens log in.
fn vault_role(input: Input<'_>, policy: &str) -> Result<Value, RenderError> {
    let (contract, settings) = (input.contract, &input.settings.vault);
    let audience = match &settings.audience {
        Some(audience) => names::PATH.check("vault.audience", audience)?,
        None => format!("https://csign.dev/vault/{}", contract.digest()),
    };
    Ok(json!({
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": [audience],
        // Exactly these texts: no patterns.
        "bound_claims_type": "string",
        "bound_claims": {
            "swname": "CONFIDENTIAL_SPACE",
            "dbgstat": "disabled-since-boot",
            "secboot": true,
            "hwmodel": contract.platform.hardware,
            "/submods/confidential_space/support_attributes": [contract.platform.support.name()],
            "/submods/container/image_digest": input.digests,
            "/submods/gce/project_id": contract.operator.project_id,
            "google_service_accounts": [contract.operator.service_account],
        },
        "claim_mappings": {
            "/submods/container/image_digest": "image_digest",
            "/submods/gce/instance_id": "instance_id",
        },
        "token_policies": [policy],
        "token_no_default_policy": true,
        "token_ttl": settings.ttl_seconds,
        "token_explicit_max_ttl": settings.ttl_seconds,
        "expiration_leeway": 0,
        "not_before_leeway": 0,
        "clock_skew_leeway": 0,
    }))
}

/// What a login may do.
fn policy(input: Input<'_>) -> Result<String, RenderError> {
    let paths = required(
        input.settings.vault.paths.as_ref(),
        "vault.paths",
        "what the workload may do, for instance \"transit/decrypt/NAME\" = [\"update\"]",
    )?;
    let mut text = String::from("# Written by csign render vault: what the workload may do, and nothing else.\n");
    for (path, capabilities) in paths {
        let path = names::PATTERN.check("vault.paths", path)?;
        for capability in capabilities {
            if !CAPABILITIES.contains(&capability.as_str()) {
                let want = "capability: create, read, update, delete, list or patch";
                return Err(RenderError::Value { at: format!("vault.paths {path}"), value: capability.clone(), want });
            }
        }
        // Debug of a list of plain words is HCL, too.
        text.push_str(&format!("path \"{path}\" {{\n  capabilities = {capabilities:?}\n}}\n"));
    }
    Ok(text)
}

/// Mount and role are checked names, the file names are ours.
fn script(mount: &str, role: &str) -> String {
    format!(
        r#"#!/usr/bin/env bash
# Written by csign render vault. Needs VAULT_ADDR and VAULT_TOKEN of an administrator (BAO_… for OpenBao).
set -euo pipefail
cd "$(dirname "$0")"
program=$(command -v bao || command -v vault) || {{
  echo 'error: neither bao nor vault is on PATH' >&2
  exit 2
}}
case ${{1:-}} in
  '')
    # What cannot be read is not taken for absent: a list that fails ends the script.
    mounts=$("$program" auth list -format=json)
    grep -Fq '"{mount}/"' <<<"$mounts" || "$program" auth enable -path='{mount}' jwt
    "$program" write 'auth/{mount}/config' @vault-config.json
    "$program" policy write '{role}' vault-policy.hcl
    "$program" write 'auth/{mount}/role/{role}' @vault-role.json
    ;;
  --check)
    "$program" read -format=json 'auth/{mount}/config'
    "$program" read -format=json 'auth/{mount}/role/{role}'
    "$program" policy read '{role}' | diff -u vault-policy.hcl -
    ;;
  --teardown)
    "$program" delete 'auth/{mount}/role/{role}'
    "$program" policy delete '{role}'
    ;;
  *)
    echo 'usage: vault.sh [--check | --teardown]' >&2
    exit 2
    ;;
esac
"#
    )
}
