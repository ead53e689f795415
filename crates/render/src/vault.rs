//! The target `vault`: a login by attestation token at HashiCorp Vault or OpenBao, for a key or a secret that is kept there.
//!
//! Vault compares claims with fixed values; it has no expressions. So the image is bound by its digest, and the signatures are
//! checked by the workload itself at its boot: a claim that is a list of objects cannot be bound.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Files, Input, RenderError, Role, file,
    gcloud::shell::quoted,
    json as json_file,
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
        (
            "vault.sh".to_owned(),
            crate::File { text: script(&mount, &id, &[config(input), vault_role(input, &id)?]), executable: true },
        ),
    ]))
}

/// The same for two images at once. Each member is a list of its own, so the contracts must agree in all the others.
pub(crate) fn both(role: &Role, before: Input<'_>, after: Input<'_>) -> Result<Files, RenderError> {
    let mut files = files(role, after)?;
    let id = names::ID.check("vault.role", &after.settings.vault.role)?;
    let (mut old, mut new) = (vault_role(before, &id)?, vault_role(after, &id)?);
    let mut merged = Vec::new();
    for path in ["/bound_audiences", "/bound_claims/~1submods~1container~1image_digest"] {
        let take = |value: &mut Value| value.pointer_mut(path).map(Value::take).unwrap_or_default();
        let (old, new) = (take(&mut old), take(&mut new));
        let mut all: Vec<Value> = old.as_array().cloned().unwrap_or_default();
        for one in new.as_array().into_iter().flatten() {
            if !all.contains(one) {
                all.push(one.clone());
            }
        }
        merged.push((path, Value::Array(all)));
    }
    let (claims, wanted) = (&old["bound_claims"], &new["bound_claims"]);
    let claim = claims.as_object().into_iter().flatten().find(|(claim, value)| wanted.get(*claim) != Some(*value));
    if let Some((claim, _)) = claim {
        return Err(RenderError::VaultDiffers(claim.clone()));
    }
    if old != new {
        return Err(RenderError::VaultDiffers("the role".to_owned()));
    }
    for (path, all) in merged {
        if let Some(member) = new.pointer_mut(path) {
            *member = all;
        }
    }
    let mount = names::PATH.check("vault.mount", &after.settings.vault.mount)?;
    let script = script(&mount, &id, &[config(after), new.clone()]);
    files.insert("vault.sh".to_owned(), crate::File { text: script, executable: true });
    files.insert("vault-role.json".to_owned(), json_file(&new));
    Ok(files)
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

/// Mount and role are checked names, the file names are ours. The documents are what a check compares with.
fn script(mount: &str, role: &str, [config, wanted]: &[Value; 2]) -> String {
    let check = |path: &str, document: &Value| -> String {
        let members = document.as_object().into_iter().flatten();
        let lines = members.map(|(member, value)| {
            // As Go writes it: members in order, no spaces.
            let value = quoted(&sorted(value).to_string());
            format!("    same 'auth/{mount}/{path}' '{member}' {value}\n")
        });
        lines.collect()
    };
    let checks = format!("{}{}", check("config", config), check(&format!("role/{role}"), wanted));
    let checks = checks.trim_end();
    format!(
        r#"#!/usr/bin/env bash
# Written by csign render vault. Needs VAULT_ADDR and VAULT_TOKEN of an administrator (BAO_… for OpenBao).
set -euo pipefail
cd "$(dirname "$0")"
program=$(command -v bao || command -v vault) || {{
  echo 'error: neither bao nor vault is on PATH' >&2
  exit 2
}}
changes=0

differs() {{
  changes=1
  printf 'differs %s\n' "$1"
}}

# same PATH MEMBER JSON: what cannot be read, for instance for lack of a right, is not taken for absent.
same() {{
  local errors found status=0
  errors=$(mktemp)
  found=$("$program" read -format=json -field="$2" "$1" 2>"$errors") || status=$?
  if [ "$status" -ne 0 ] && ! grep -Eq 'No value found at|not present in secret' "$errors"; then
    cat "$errors" >&2
    rm -f "$errors"
    exit 3
  fi
  rm -f "$errors"
  if [ "$(tr -d '[:space:]' <<<"$found")" = "$3" ]; then
    printf 'ok      %s %s\n' "$1" "$2"
  else
    differs "$1 $2"
  fi
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
    # A method that is not there has nothing to read; what fails for another reason ends the script.
    mounts=$("$program" auth list -format=json) || exit 3
    grep -Fq '"{mount}/"' <<<"$mounts" || {{
      differs 'auth/{mount}'
      exit 1
    }}
{checks}
    policies=$("$program" policy list) || exit 3
    if ! grep -Fxq '{role}' <<<"$policies"; then
      differs 'policy {role}'
    elif "$program" policy read '{role}' | diff -u vault-policy.hcl -; then
      printf 'ok      policy {role}\n'
    else
      differs 'policy {role}'
    fi
    exit "$changes"
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

/// The same value with its members in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
            json!(members)
        }
        other => other.clone(),
    }
}
