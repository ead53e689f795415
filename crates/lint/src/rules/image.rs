//! Images: the launch policy in their labels, user, entry point, environment, ports.

use csign_contract::{Contract, SIMULATOR_VARIABLE};
use csign_oci::ImageConfig;

use super::overrides::is_trust_anchor;
use crate::{
    finding::Findings,
    locate::escape,
    rule::{Rule, Severity},
};

const AREA: &str = "image";
const PREFIX: &str = "tee.launch_policy.";

pub(crate) static ENV_ANCHOR: Rule = Rule {
    id: "image-env-override",
    area: AREA,
    severity: Severity::Error,
    title: "The operator may replace what the workload trusts",
    explanation: "`allow_env_override` lists a variable that names a key, a pool, an audience, an issuer, an endpoint or a roster. What the \
                  operator sets is in the token, but the digest and the signatures do not cover it: he can point the workload at himself.",
    fix: "Bake the value into the image (csign bakes the contract), and remove the name from the label.",
};
pub(crate) static ENV: Rule = Rule {
    id: "image-env-override-other",
    area: AREA,
    severity: Severity::Note,
    title: "The operator may set environment variables",
    explanation: "Each variable in `allow_env_override` is input from someone whom the parties do not trust.",
    fix: "Make sure that no value of it shows or changes what must not be; remove it if nobody needs it.",
};
pub(crate) static CMD: Rule = Rule {
    id: "image-cmd-override",
    area: AREA,
    severity: Severity::Error,
    title: "The operator may replace the command",
    explanation: "With `allow_cmd_override=true` the operator chooses the program's arguments, which the digest and the signatures do not cover.",
    fix: "Set the label to `false`, or leave it out.",
};
pub(crate) static LOG: Rule = Rule {
    id: "image-log-redirect",
    area: AREA,
    severity: Severity::Warning,
    title: "The operator may read the workload's output",
    explanation: "`log_redirect=always` lets the operator send standard output and error to his logs on production images.",
    fix: "Use `debugonly` or `never`, unless the program is known to print nothing that is anyone's.",
};
pub(crate) static PRIVILEGES: Rule = Rule {
    id: "image-privileges",
    area: AREA,
    severity: Severity::Warning,
    title: "The operator may add mounts, capabilities or control groups",
    explanation: "`allow_mount_destinations`, `allow_capabilities` and `allow_cgroups` widen what the operator brings into the container.",
    fix: "Leave these labels out.",
};
pub(crate) static MONITORING: Rule = Rule {
    id: "image-monitoring",
    area: AREA,
    severity: Severity::Note,
    title: "The operator may watch the machine's resources",
    explanation: "Memory or health monitoring shows the operator how much the workload uses while it works, which can say something about the data.",
    fix: "Set `hardened_monitoring` to `none`, or leave it out.",
};
pub(crate) static LABEL: Rule = Rule {
    id: "image-label",
    area: AREA,
    severity: Severity::Error,
    title: "A launch policy label that the launcher does not understand",
    explanation: "A misspelt label is ignored, so the policy that it was to state does not hold; a value of the wrong form keeps the container \
                  from starting.",
    fix: "Correct the name or the value.",
};
pub(crate) static ROOT: Rule = Rule {
    id: "image-root",
    area: AREA,
    severity: Severity::Note,
    title: "The program runs as root",
    explanation: "It needs no privileges in its container; without a user, a mistake in it has all of them.",
    fix: "Set a user that is not 0; `csign build` does.",
};
pub(crate) static ENTRYPOINT: Rule = Rule {
    id: "image-entrypoint",
    area: AREA,
    severity: Severity::Warning,
    title: "The entry point is missing, a shell, or looked up by name",
    explanation: "Without an absolute entry point, what runs depends on the command and on PATH; a shell also interprets what is in the \
                  environment.",
    fix: "Set the entry point to the program's absolute path.",
};
pub(crate) static SECRET: Rule = Rule {
    id: "image-secret",
    area: AREA,
    severity: Severity::Error,
    title: "A secret in the image's environment",
    explanation: "Whoever may pull the image reads it, and it is in every attestation token.",
    fix: "Release secrets to the attested workload instead: that is what the key is for.",
};
pub(crate) static DIFFERS: Rule = Rule {
    id: "image-contract",
    area: AREA,
    severity: Severity::Error,
    title: "The image's launch policy or ports are not the contract's",
    explanation: "The labels decide what the operator may change. An image with others than the contract's was not built from it.",
    fix: "Rebuild the image from the contract.",
};

pub(crate) static RULES: &[&Rule] =
    &[&ENV_ANCHOR, &ENV, &CMD, &LOG, &PRIVILEGES, &MONITORING, &LABEL, &ROOT, &ENTRYPOINT, &SECRET, &DIFFERS];

pub(crate) fn check(image: &ImageConfig, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let config = &image.config;
    let label_at = |name: &str| format!("/config/Labels/{}", escape(name));
    let simulated = contract.is_some_and(|contract| contract.environment.is_simulated());
    for (label, value) in &config.labels {
        let Some(policy) = label.strip_prefix(PREFIX) else {
            if label.to_ascii_lowercase().starts_with("tee.") {
                findings.add(&LABEL, &label_at(label), format!("the launcher knows no label {label}"));
            }
            continue;
        };
        let at = label_at(label);
        let boolean = |findings: &mut Findings<'_>| match value.as_str() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
            "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
            _ => {
                findings.add(&LABEL, &at, format!("{label} is {value:?}, neither true nor false"));
                false
            }
        };
        match policy {
            "allow_env_override" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    let usual = simulated && name == SIMULATOR_VARIABLE;
                    if !usual && (is_trust_anchor(name) || name == SIMULATOR_VARIABLE) {
                        findings.add(&ENV_ANCHOR, &at, format!("the operator may set {name}"));
                    } else if !usual {
                        findings.add(&ENV, &at, format!("the operator may set {name}"));
                    }
                }
            }
            "allow_cmd_override" => {
                if boolean(findings) {
                    findings.add(&CMD, &at, "the operator may replace the command");
                }
            }
            "allow_capabilities" | "allow_cgroups" => {
                if boolean(findings) {
                    findings.add(&PRIVILEGES, &at, format!("{label} is {value}"));
                }
            }
            "allow_mount_destinations" => {
                if !value.is_empty() {
                    findings.add(&PRIVILEGES, &at, format!("the operator may mount at {value}"));
                }
            }
            "log_redirect" => match value.as_str() {
                "always" => findings.add(&LOG, &at, "the operator may read what the workload prints"),
                "debugonly" | "never" => {}
                _ => findings.add(&LABEL, &at, format!("{label} is {value:?}, not debugonly, always or never")),
            },
            "hardened_monitoring" | "debug_monitoring" | "monitoring_memory_allow" => match value.as_str() {
                "none" | "never" | "debugonly" => {}
                "memoryonly" | "all" | "always" if policy != "debug_monitoring" => {
                    findings.add(&MONITORING, &at, format!("{label} is {value}"));
                }
                "memoryonly" | "all" | "always" => {}
                _ => findings.add(&LABEL, &at, format!("{label} is {value:?}, not none, memoryonly or all")),
            },
            _ => findings.add(&LABEL, &at, format!("the launcher knows no label {label}")),
        }
    }
    program(image, findings);
    if let Some(contract) = contract {
        agreed(image, contract, findings);
    }
}

fn program(image: &ImageConfig, findings: &mut Findings<'_>) {
    let config = &image.config;
    let user = config.user.split(':').next().unwrap_or_default();
    if matches!(user, "" | "0" | "root") {
        let user = if user.is_empty() { "not set" } else { user };
        findings.add(&ROOT, "/config/User", format!("the user is {user}"));
    }
    match config.entrypoint.first().map(String::as_str) {
        None => findings.add(&ENTRYPOINT, "/config/Entrypoint", "there is no entry point"),
        Some(program) if !program.starts_with('/') => {
            findings.add(&ENTRYPOINT, "/config/Entrypoint/0", format!("{program} is looked up in PATH"));
        }
        Some(program) => {
            let name = program.rsplit('/').next().unwrap_or_default();
            if ["sh", "bash", "dash", "ash", "busybox", "env"].contains(&name) {
                findings.add(&ENTRYPOINT, "/config/Entrypoint/0", format!("{program} runs whatever it is told"));
            }
        }
    }
    for (index, variable) in config.env.iter().enumerate() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        let upper = name.to_ascii_uppercase();
        let secret = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "APIKEY"];
        // A path to a file that holds it shows nothing.
        if secret.iter().any(|part| upper.contains(part)) && !value.is_empty() && !value.starts_with('/') {
            findings.add(&SECRET, &format!("/config/Env/{index}"), format!("{name} has a value"));
        }
    }
}

fn agreed(image: &ImageConfig, contract: &Contract, findings: &mut Findings<'_>) {
    let want = contract.labels();
    let have = image.config.labels.iter().filter(|(label, _)| label.starts_with(PREFIX));
    let have: std::collections::BTreeMap<_, _> = have.map(|(l, v)| (l.clone(), v.clone())).collect();
    for (label, value) in &want {
        // An absent label has the launcher's default, which is the stricter one.
        if let Some(found) = have.get(label).filter(|found| *found != value) {
            let at = format!("/config/Labels/{}", escape(label));
            findings.add(&DIFFERS, &at, format!("{label} is {found:?}, the contract says {value:?}"));
        }
    }
    for label in have.keys().filter(|label| !want.contains_key(*label)) {
        let at = format!("/config/Labels/{}", escape(label));
        findings.add(&DIFFERS, &at, format!("the contract has no label {label}"));
    }
    let ports = |port: u16| format!("{port}/tcp");
    let mut agreed: Vec<String> = contract.health.iter().map(|health| ports(health.port)).collect();
    agreed.extend(contract.ingest.iter().map(|ingest| ports(ingest.port)));
    let exposed = image.config.extra.get("ExposedPorts").and_then(serde_json::Value::as_object);
    for port in exposed.into_iter().flat_map(|exposed| exposed.keys()) {
        if !agreed.contains(port) {
            let at = format!("/config/ExposedPorts/{}", escape(port));
            findings.add(&DIFFERS, &at, format!("{port} is open, and the contract does not say so"));
        }
    }
}
