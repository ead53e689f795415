//! Virtual machines and their metadata, as `gcloud compute instances describe` writes them.

use csign_contract::{Contract, Sources};

use super::overrides::is_trust_anchor;
use crate::{
    finding::Findings,
    read::Instance,
    rule::{Rule, Severity},
};

const AREA: &str = "instance";

pub(crate) static IMAGE: Rule = Rule {
    id: "instance-image",
    area: AREA,
    severity: Severity::Error,
    title: "The machine does not say which image it runs, or says it by a tag",
    explanation: "`tee-image-reference` is required. A tag can be moved between two starts, and csign's workload refuses to run under one.",
    fix: "Set `tee-image-reference=REPOSITORY@sha256:…`.",
};
pub(crate) static DEBUG: Rule = Rule {
    id: "instance-debug",
    area: AREA,
    severity: Severity::Error,
    title: "The machine boots the debug image",
    explanation: "On the image family `confidential-space-debug` the operator can log in. Its tokens satisfy no correct condition.",
    fix: "Use the image family `confidential-space`.",
};
pub(crate) static PROTECTION: Rule = Rule {
    id: "instance-protection",
    area: AREA,
    severity: Severity::Error,
    title: "Confidential computing or secure boot is off",
    explanation: "Without memory encryption and secure boot there is no Confidential Space: the launcher does not start, or its token says so.",
    fix: "Create it with `--confidential-compute-type` and `--shielded-secure-boot`.",
};
pub(crate) static ACCOUNT: Rule = Rule {
    id: "instance-account",
    area: AREA,
    severity: Severity::Error,
    title: "The service account or its scope does not let the launcher work",
    explanation: "The launcher asks the attestation service and the registry as the VM's service account, with the scope `cloud-platform`. The \
                  default account of a project can do far more than that.",
    fix: "Use an account of its own with `roles/confidentialcomputing.workloadUser`, `roles/logging.logWriter` and \
          `roles/artifactregistry.reader`, and `--scopes=cloud-platform`.",
};
pub(crate) static ENV: Rule = Rule {
    id: "instance-env",
    area: AREA,
    severity: Severity::Error,
    title: "The operator sets what the workload trusts",
    explanation: "A `tee-env-…` entry names a key, a pool, an audience, an issuer or an endpoint. If the image allows it, the operator decides \
                  whom the workload trusts; if not, the container does not start.",
    fix: "Bake the value into the image and remove the entry.",
};
pub(crate) static CMD: Rule = Rule {
    id: "instance-cmd",
    area: AREA,
    severity: Severity::Warning,
    title: "The operator replaces the command",
    explanation: "`tee-cmd` changes what the signed image does. An image whose launch policy does not allow it does not start.",
    fix: "Remove `tee-cmd`.",
};
pub(crate) static KEY: Rule = Rule {
    id: "instance-metadata",
    area: AREA,
    severity: Severity::Error,
    title: "A metadata entry that the launcher does not know, or a value that it refuses",
    explanation: "A misspelt `tee-…` entry is ignored, a wrong value keeps the container from starting.",
    fix: "Correct the name or the value.",
};
pub(crate) static CONTRACT: Rule = Rule {
    id: "instance-contract",
    area: AREA,
    severity: Severity::Error,
    title: "The machine is not the one that the contract describes",
    explanation: "The workload and every correct condition compare project, service account, image repository and signatures with the contract, \
                  and refuse this machine.",
    fix: "Create the machine as the contract says, or agree on another contract.",
};
pub(crate) static ADDRESS: Rule = Rule {
    id: "instance-address",
    area: AREA,
    severity: Severity::Note,
    title: "The machine has an external address",
    explanation: "A workload that only pulls messages needs none; with Cloud NAT its outgoing connections have one address that can be allowed.",
    fix: "Create it with `--no-address`, unless parties connect to it.",
};
pub(crate) static RULES: &[&Rule] = &[&IMAGE, &DEBUG, &PROTECTION, &ACCOUNT, &ENV, &CMD, &KEY, &CONTRACT, &ADDRESS];

/// Metadata that the launcher reads.
const KNOWN: [&str; 16] = [
    "tee-image-reference",
    "tee-restart-policy",
    "tee-cmd",
    "tee-container-log-redirect",
    "tee-signed-image-repos",
    "tee-impersonate-service-accounts",
    "tee-mount",
    "tee-dev-shm-size-kb",
    "tee-monitoring-enable",
    "tee-monitoring-memory-enable",
    "tee-added-capabilities",
    "tee-cgroup-ns",
    "tee-attestation-service-endpoint",
    "tee-install-gpu-driver",
    "tee-disable-gca",
    "tee-shutdown-on-exit",
];

pub(crate) fn check(instance: &Instance, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    match instance.metadata.get("tee-image-reference") {
        None if instance.complete => findings.add(&IMAGE, "", "tee-image-reference is missing"),
        Some((at, reference)) if !reference.contains("@sha256:") => {
            findings.add(&IMAGE, at, format!("{reference} names no digest"));
        }
        None | Some(_) => {}
    }
    if let Some((at, image)) = instance.images.iter().find(|(_, image)| image.contains("confidential-space-debug")) {
        findings.add(&DEBUG, at, format!("it boots {image}"));
    }
    for (what, on) in [("confidential computing", instance.confidential), ("secure boot", instance.secure_boot)] {
        if on == Some(false) {
            findings.add(&PROTECTION, "", format!("{what} is off"));
        }
    }
    if let Some(email) = instance.account.as_deref()
        && (email.ends_with("-compute@developer.gserviceaccount.com") || email == "default")
    {
        findings.add(&ACCOUNT, "", format!("{email} is the project's default account"));
    }
    let enough = |scope: &String| scope.ends_with("cloud-platform");
    if instance.scopes.as_ref().is_some_and(|scopes| !scopes.iter().any(enough)) {
        findings.add(&ACCOUNT, "", "the scope cloud-platform is missing");
    }
    if instance.external {
        findings.add(&ADDRESS, "", "it has an external address");
    }
    for (name, (at, value)) in &instance.metadata {
        metadata(name, at, value, contract, findings);
    }
    if let Some(contract) = contract {
        agreed(instance, contract, findings);
    }
}

fn metadata(name: &str, at: &str, value: &str, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let lower = name.to_ascii_lowercase();
    if let Some(variable) = name.strip_prefix("tee-env-") {
        let simulated = contract.is_some_and(|contract| contract.environment.is_simulated());
        if is_trust_anchor(variable) && !(simulated && variable == csign_contract::SIMULATOR_VARIABLE) {
            findings.add(&ENV, at, format!("{variable} is set"));
        }
    } else if lower.starts_with("tee") && !KNOWN.contains(&name) {
        findings.add(&KEY, at, format!("the launcher knows no entry {name}"));
    } else if name == "tee-cmd" {
        match serde_json::from_str::<Vec<String>>(value) {
            Ok(words) if words.is_empty() => {}
            Ok(_) => findings.add(&CMD, at, "tee-cmd is set"),
            Err(_) => findings.add(&KEY, at, "tee-cmd is no JSON array of texts"),
        }
    } else if name == "tee-restart-policy" && !["Never", "Always", "OnFailure"].contains(&value) {
        findings.add(&KEY, at, format!("tee-restart-policy is {value:?}, not Never, Always or OnFailure"));
    } else if name == "tee-container-log-redirect" && !["false", "true", "cloud_logging", "serial"].contains(&value) {
        let message = format!("tee-container-log-redirect is {value:?}, not false, true, cloud_logging or serial");
        findings.add(&KEY, at, message);
    }
}

fn agreed(instance: &Instance, contract: &Contract, findings: &mut Findings<'_>) {
    let want = &contract.operator;
    for (what, have, want) in [
        ("project", &instance.project, &want.project_id),
        ("service account", &instance.account, &want.service_account),
    ] {
        if let Some(have) = have.as_ref().filter(|have| *have != want) {
            findings.add(&CONTRACT, "", format!("its {what} is {have}, the contract says {want}"));
        }
    }
    let repository = contract.image.repository.to_string();
    if let Some((at, reference)) = instance.metadata.get("tee-image-reference")
        && let Some((found, _)) = reference.split_once('@')
        && found.split(':').next() != Some(&repository)
        && found != repository
    {
        findings.add(&CONTRACT, at, format!("the image is in {found}, the contract says {repository}"));
    }
    let labels = contract.labels();
    let allowed = labels.get("tee.launch_policy.allow_env_override").map_or("", String::as_str);
    for (name, (at, _)) in &instance.metadata {
        if let Some(variable) = name.strip_prefix("tee-env-")
            && !allowed.split(',').any(|name| name == variable)
        {
            findings.add(&CONTRACT, at, format!("the contract does not let the operator set {variable}"));
        }
    }
    let repositories = instance.metadata.get("tee-signed-image-repos").map(|(_, value)| value.as_str());
    let listed = repositories.is_some_and(|list| list.split(',').any(|found| found.trim() == repository));
    let needed = matches!(contract.signatures.sources, Sources::Token | Sources::Both);
    if needed && !listed && (instance.complete || repositories.is_some()) {
        let message =
            format!("signatures must stand in the token, and tee-signed-image-repos does not list {repository}");
        findings.add(&CONTRACT, "", message);
    }
}
