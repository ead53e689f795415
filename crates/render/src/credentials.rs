//! The target `credentials`: how a program inside the workload presents itself to a collaborator's project.

use serde_json::json;

use crate::{Files, Input, RenderError, Role, json, names::ProviderName};

/// External-account files: one for each collaborator, or one collaborator's.
pub(crate) fn files(role: &Role, input: Input<'_>) -> Result<Files, RenderError> {
    let mut files = Files::new();
    for (party, collaborator) in input.contract.collaborators() {
        if matches!(role, Role::Collaborator(name) if *name != party.name) {
            continue;
        }
        let at = "party.collaborator.identity_provider";
        ProviderName::parse(at, &collaborator.identity_provider)?;
        let file = json(&json!({
            "type": "external_account",
            "audience": collaborator.identity_provider,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            // Not the launcher's own file: its token names the audience that all collaborators share, and no provider
            // here takes it. Whoever uses this puts a token for this audience there.
            "credential_source": {"file": format!("/run/csign/{}.token", party.name)},
        }));
        files.insert(format!("{}.credentials.json", party.name), file);
    }
    if files.is_empty() {
        return Err(RenderError::Role {
            target: "credentials",
            role: role.to_string(),
            wanted: "collaborator=NAME, or any role for all of them",
        });
    }
    Ok(files)
}
