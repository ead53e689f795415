//! A collaborator: a key that encrypts, and a pool that gives the workload, and nothing else, an identity that may decrypt.

use csign_contract::Contract;

use super::{Steps, kms_algorithm, on};
use crate::{
    Grant, Input, Purpose, RenderError, Resource,
    condition::{AGREED, AGREEMENT, rules},
    names::{self, KeyName, ProviderName},
    settings::required,
};

/// The name of the workload's `audience` is the contract's `identity_provider`, to the letter.
struct Release<'a> {
    key: KeyName,
    provider: ProviderName,
    audience: &'a str,
}

/// Adds what the collaborator needs; returns the collaborator's project.
pub(super) fn steps(name: &str, input: Input<'_>, steps: &mut Steps) -> Result<String, RenderError> {
    let settings = &input.settings.collaborator;
    let (party, collaborator) =
        input.contract.collaborator(name).ok_or_else(|| no_collaborator(name, input.contract))?;
    super::operator(input)?;
    let data = Release {
        key: KeyName::parse("party.collaborator.kms_key", &collaborator.kms_key)?,
        provider: ProviderName::parse("party.collaborator.identity_provider", &collaborator.identity_provider)?,
        audience: &collaborator.identity_provider,
    };
    let project = data.key.project.clone();
    steps.add(
        "The contract names pool and provider by this number.",
        Resource::ProjectNumber { project: project.clone(), number: data.provider.number.clone() },
    );
    steps.add(
        "What is used below.",
        Resource::Services {
            project: project.clone(),
            services: vec![
                "cloudkms.googleapis.com",
                "iam.googleapis.com",
                "iamcredentials.googleapis.com",
                "logging.googleapis.com",
                "monitoring.googleapis.com",
                "sts.googleapis.com",
            ],
        },
    );
    if let Some(key) = &settings.signing_key {
        let key = KeyName::parse("collaborator.signing_key", key)?;
        let algorithm = kms_algorithm(&party.public_key)?;
        steps.key("Signs images that were rebuilt.", &key, Purpose::Signing(algorithm), settings.protection);
        let signers = names::MEMBER.check_all("collaborator.signers", &settings.signers)?;
        steps.grant("Who approves.", on(&key), "roles/cloudkms.signerVerifier", signers);
    }
    steps.key("Encrypts the data.", &data.key, Purpose::Encryption, settings.protection);
    let encrypters = required(
        settings.encrypters.as_ref(),
        "collaborator.encrypters",
        "who may encrypt with the key: your clients",
    )?;
    let encrypters = names::MEMBER.check_all("collaborator.encrypters", encrypters)?;
    steps.grant("Who encrypts.", on(&data.key), "roles/cloudkms.cryptoKeyEncrypter", encrypters);
    let admitted = provider(input, &data, &project, steps)?;
    decrypters(&data, "roles/cloudkms.cryptoKeyDecrypter", admitted, steps);

    // The key of the workload's own state, if it is in this collaborator's hands.
    if let Some(state) = input.contract.state.key() {
        let key = KeyName::parse("state.key.kms_key", &state.kms_key)?;
        if key.project == project && key != data.key {
            let state = Release {
                key,
                provider: ProviderName::parse("state.key.identity_provider", &state.identity_provider)?,
                audience: &state.identity_provider,
            };
            steps.key("Wraps the key of the workload's state.", &state.key, Purpose::Encryption, settings.protection);
            let admitted = provider(input, &state, &project, steps)?;
            decrypters(&state, "roles/cloudkms.cryptoKeyEncrypterDecrypter", admitted, steps);
        }
    }
    let pool = data.provider.pool_name();
    let kms = "protoPayload.serviceName=\"cloudkms.googleapis.com\"";
    steps.watch(
        input,
        &project,
        vec!["cloudkms.googleapis.com", "iam.googleapis.com", "sts.googleapis.com"],
        vec![
            (
                "csign: an identity or a key was refused",
                format!("(protoPayload.serviceName=\"sts.googleapis.com\" OR {kms}) AND protoPayload.status.code>0"),
            ),
            (
                "csign: someone else decrypted",
                format!(
                    "{kms} AND protoPayload.methodName=\"Decrypt\" AND NOT \
                     protoPayload.authenticationInfo.principalSubject:\"{pool}/\""
                ),
            ),
            (
                "csign: who may decrypt was changed",
                format!(
                    "(({kms} AND protoPayload.methodName:\"SetIamPolicy\") OR \
                     protoPayload.methodName:\"WorkloadIdentityPool\")"
                ),
            ),
        ],
    )?;
    Ok(project)
}

/// Pool and provider; returns who gets a right by them.
fn provider(
    input: Input<'_>,
    release: &Release<'_>,
    project: &str,
    steps: &mut Steps,
) -> Result<Vec<String>, RenderError> {
    let grant = input.settings.collaborator.grant;
    let rules = rules(input.contract, grant, input.digests)?;
    let name = &release.provider;
    steps.add(
        "Identities for programs outside, which prove themselves by an attestation token.",
        Resource::Pool { project: project.to_owned(), id: name.pool.clone() },
    );
    steps.add(
        "Which tokens get one. The audience is this provider alone: a token for another collaborator is refused here.",
        Resource::Provider {
            project: project.to_owned(),
            pool: name.pool.clone(),
            id: name.id.clone(),
            issuer: input.contract.environment.issuer().to_owned(),
            audience: release.audience.to_owned(),
            rules,
        },
    );
    Ok(match grant {
        Grant::Digest => {
            input.digests.iter().map(|digest| name.everyone_with("image_digest", &digest.to_string())).collect()
        }
        Grant::Signers => vec![name.everyone_with(AGREEMENT, AGREED)],
    })
}

/// These may decrypt, and nobody else by any of the roles that let someone.
fn decrypters(release: &Release<'_>, role: &'static str, admitted: Vec<String>, steps: &mut Steps) {
    const ROLES: [&str; 4] = [
        "roles/cloudkms.cryptoKeyDecrypter",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        "roles/cloudkms.cryptoKeyDecrypterViaDelegation",
        "roles/cloudkms.cryptoKeyEncrypterDecrypterViaDelegation",
    ];
    for other in ROLES {
        let (why, members) = if other == role {
            ("The workload of these images, and nobody else.", admitted.clone())
        } else {
            ("Nobody decrypts by another role.", Vec::new())
        };
        steps.add(why, Resource::Members { on: on(&release.key), role: other, members, exclusive: true });
    }
}

/// Why there is no such role.
pub(crate) fn no_collaborator(name: &str, contract: &Contract) -> RenderError {
    let names: Vec<&str> = contract.collaborators().map(|(party, _)| party.name.as_str()).collect();
    RenderError::NoCollaborator(name.to_owned(), if names.is_empty() { "none".to_owned() } else { names.join(", ") })
}
