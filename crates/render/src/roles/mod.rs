//! What each role needs: one role, one file.

mod builder;
mod collaborator;
mod operator;

pub(crate) use collaborator::no_collaborator;

use csign_contract::SIMULATOR_SUFFIX;
use csign_envelope::{PublicKey, SignatureAlgorithm};

use crate::{
    Input, On, Plan, Purpose, RenderError, Resource, Role, Step,
    names::{self, KeyName},
    settings::{Protection, required},
};

/// What `role` needs.
pub(crate) fn plan(role: &Role, input: Input<'_>) -> Result<Plan, RenderError> {
    let mut steps = Steps(Vec::new());
    let project = match role {
        Role::Builder => builder::steps(input, &mut steps)?,
        Role::Operator => operator::steps(input, &mut steps)?,
        Role::Collaborator(name) => collaborator::steps(name, input, &mut steps)?,
    };
    Ok(Plan {
        role: role.to_string(),
        project,
        contract: input.contract.digest(),
        steps: steps.0,
        command: format!("csign render gcloud --role {role}"),
        is_whole: true,
    })
}

/// The steps so far.
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, why: &'static str, resource: Resource) {
        // Rings and pools may be shared by several keys and providers.
        if !self.0.iter().any(|step| step.resource == resource) {
            self.0.push(Step { why, resource });
        }
    }

    /// Grants a role, if there is anyone to grant it to.
    fn grant(&mut self, why: &'static str, on: On, role: &'static str, members: Vec<String>) {
        if !members.is_empty() {
            self.add(why, Resource::Members { on, role, members, exclusive: false });
        }
    }

    /// A key with its ring.
    fn key(&mut self, why: &'static str, key: &KeyName, purpose: Purpose, protection: Protection) {
        let KeyName { project, location, ring, id } = key.clone();
        self.add(
            "Key rings are permanent.",
            Resource::KeyRing { project: project.clone(), location: location.clone(), id: ring.clone() },
        );
        self.add(why, Resource::Key { project, location, ring, id, purpose, protection: protection.name() });
    }

    /// Audit logs, and alerts on their entries: `(title, filter)`.
    fn watch(
        &mut self,
        input: Input<'_>,
        project: &str,
        services: Vec<&'static str>,
        alerts: Vec<(&'static str, String)>,
    ) -> Result<(), RenderError> {
        let channels = required(
            input.settings.alerts.notification_channels.as_ref(),
            "alerts.notification_channels",
            "who is told about unexpected denials; [] shows them on the console only",
        )?;
        let channels = names::PATH.check_all("alerts.notification_channels", channels)?;
        self.add(
            "Who read data and who used keys; without this, reads are not logged.",
            Resource::AuditLogs { project: project.to_owned(), services },
        );
        for (title, filter) in alerts {
            let filter = format!("logName:\"cloudaudit.googleapis.com\" AND {filter}");
            self.add(
                "Tells people.",
                Resource::Alert { project: project.to_owned(), title, filter, channels: channels.clone() },
            );
        }
        Ok(())
    }
}

fn on(key: &KeyName) -> On {
    let KeyName { project, location, ring, id } = key.clone();
    On::Key { project, location, ring, id }
}

fn service_account(email: &str) -> String {
    format!("serviceAccount:{email}")
}

/// How Cloud KMS names the algorithm of a key.
fn kms_algorithm(key: &PublicKey) -> Result<&'static str, RenderError> {
    // An RSA key's DER has some 38 bytes more than its modulus.
    let bits = match key.der().len() {
        0..=340 => 2048,
        341..=470 => 3072,
        _ => 4096,
    };
    Ok(match (key.algorithm(), bits) {
        (SignatureAlgorithm::EcdsaP256Sha256, _) => "ec-sign-p256-sha256",
        (SignatureAlgorithm::EcdsaP384Sha384, _) => "ec-sign-p384-sha384",
        (SignatureAlgorithm::Ed25519, _) => "ec-sign-ed25519",
        (SignatureAlgorithm::RsaPssSha256, 2048) => "rsa-sign-pss-2048-sha256",
        (SignatureAlgorithm::RsaPssSha256, 3072) => "rsa-sign-pss-3072-sha256",
        (SignatureAlgorithm::RsaPssSha256, _) => "rsa-sign-pss-4096-sha256",
        (SignatureAlgorithm::RsaPssSha512, 4096) => "rsa-sign-pss-4096-sha512",
        (SignatureAlgorithm::RsaPkcs1v15Sha256, 2048) => "rsa-sign-pkcs1-2048-sha256",
        (SignatureAlgorithm::RsaPkcs1v15Sha256, 3072) => "rsa-sign-pkcs1-3072-sha256",
        (SignatureAlgorithm::RsaPkcs1v15Sha256, _) => "rsa-sign-pkcs1-4096-sha256",
        (SignatureAlgorithm::RsaPkcs1v15Sha512, 4096) => "rsa-sign-pkcs1-4096-sha512",
        (algorithm, _) => {
            return Err(RenderError::Value {
                at: "party.algorithm".to_owned(),
                value: algorithm.to_string(),
                want: "algorithm of a key in Cloud KMS",
            });
        }
    })
}

/// The operator of the contract: project and service account, checked.
fn operator(input: Input<'_>) -> Result<(String, String), RenderError> {
    let operator = &input.contract.operator;
    let project = names::PROJECT.check("operator.project_id", &operator.project_id)?;
    let account = names::EMAIL.check("operator.service_account", &operator.service_account)?;
    Ok((project, account))
}

/// Where the contract's images are, if they are in Artifact Registry.
struct ImageRepository {
    location: String,
    project: String,
    id: String,
}

impl ImageRepository {
    fn of(input: Input<'_>) -> Result<Self, RenderError> {
        let at = "image.repository";
        let repository = &input.contract.image.repository;
        let wrong = || RenderError::Value {
            at: at.to_owned(),
            value: repository.to_string(),
            want: "repository in Artifact Registry: LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE",
        };
        // The simulator has Artifact Registry's names below a domain of its own, which no other contract may name.
        let registry = repository.registry();
        let registry = registry.strip_suffix(SIMULATOR_SUFFIX).unwrap_or(registry);
        let location = registry.strip_suffix("-docker.pkg.dev").ok_or_else(wrong)?;
        let mut parts = repository.path().split('/');
        let (Some(project), Some(id), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        Ok(Self {
            location: names::NAME.check(at, location)?,
            project: names::PROJECT.check(at, project)?,
            id: names::NAME.check(at, id)?,
        })
    }
}

/// An alert on log entries, as Cloud Monitoring writes it down: at most one notification in five minutes.
pub(crate) fn alert_policy(title: &str, filter: &str, channels: &[String]) -> serde_json::Value {
    serde_json::json!({
        "displayName": title,
        "combiner": "OR",
        "enabled": true,
        "conditions": [{"displayName": title, "conditionMatchedLog": {"filter": filter}}],
        "alertStrategy": {"notificationRateLimit": {"period": "300s"}, "autoClose": "1800s"},
        "notificationChannels": channels,
    })
}
