//! What to change, so that the right workload is let in.

use csign_cel::federation::Provider;
use serde_json::Value;

use super::{Clause, Step, Verdict};
use crate::{
    claims::{claim, get},
    fill::resolve,
    finding::{Finding, Findings},
    rules::condition,
};

/// What makes a claim what it is, by the claim's path.
const CLAIMS: [(&str, &str); 11] = [
    (
        "submods.confidential_space.support_attributes",
        "boot the machine from the image family confidential-space, in its present version: a debug image has no support attributes",
    ),
    ("dbgstat", "boot the machine from the image family confidential-space, not confidential-space-debug"),
    ("swname", "the token is not one of Confidential Space: create the machine from its image"),
    (
        "submods.container.image_digest",
        "another image runs: launch the agreed digest, or allow the new one (csign verify says who signed it)",
    ),
    (
        "submods.container.image_reference",
        "set tee-image-reference to the agreed repository and digest, or bind attribute.image_digest instead",
    ),
    (
        "submods.container.image_signatures",
        "list the repository in tee-signed-image-repos; csign tree shows whose signatures are attached, csign attach --repair merges them",
    ),
    ("submods.gce", "run the machine in the project and zone that the condition names"),
    ("google_service_accounts", "run the machine as the service account that the condition names"),
    ("submods.container.cmd_override", "remove tee-cmd from the machine's metadata"),
    ("submods.container.env_override", "remove the tee-env- entries from the machine's metadata"),
    ("hwmodel", "create the machine with the confidential computing type that the condition names"),
];

/// Advice on each step and clause that fails, without repetitions.
pub(super) fn advice(steps: &[Step], clauses: &[Clause], provider: &Provider, claims: &Value) -> Vec<String> {
    let mut advice: Vec<String> = Vec::new();
    let mut add = |text: String| {
        if !advice.contains(&text) {
            advice.push(text);
        }
    };
    for step in steps.iter().filter(|step| matches!(step.verdict, Verdict::False | Verdict::Error)) {
        match step.step {
            "enabled" => add("enable the provider".to_owned()),
            "issuer" => add("set the provider's issuer to the token's, if that is one to trust".to_owned()),
            "times" => add("get a fresh token; if it is fresh, correct the clock".to_owned()),
            "audience" => {
                add("ask the launcher for a token with the provider's name as audience, or allow the token's"
                    .to_owned())
            }
            "mapping" => add(of_reason(&step.detail).unwrap_or("correct the mapping's expression").to_owned()),
            "binding" => add("bind one of the members that mean the bearer (csign explain lists them)".to_owned()),
            _ => {}
        }
    }
    // What the text itself gets wrong comes before what the machine may have wrong.
    if let Some(condition) = provider.condition() {
        let mut found: Vec<Finding> = Vec::new();
        condition::text(provider, condition, "", &mut Findings::new("", "", &mut found));
        for finding in &found {
            add(format!("correct the condition: {}. {}", finding.message, finding.fix));
        }
        for clause in clauses.iter().filter(|clause| clause.decides && clause.verdict != Verdict::True) {
            let paths: Vec<String> = clause.saw.iter().filter_map(|(path, _)| resolve(provider, path)).collect();
            let about = |name: &str| {
                paths.iter().any(|path| path.starts_with(name)) || clause.clause.contains(&format!("assertion.{name}"))
            };
            for (name, text) in CLAIMS.iter().filter(|(name, _)| about(name)) {
                add((*text).to_owned());
                if get(claims, name).is_none() && claim(name).is_some() {
                    add(format!("the token has no {name}"));
                }
            }
        }
    }
    advice
}

/// What services say about a refusal, and what to do about it.
const REASONS: [(&str, &str); 16] = [
    ("rejected by the attribute condition", "give csign explain the provider and the token: it shows the clause"),
    (
        "audience in ID Token",
        "the token was made for someone else: ask the launcher for one whose audience is the provider's name, or correct the provider's allowed audiences",
    ),
    ("stale to sign-in", "the token has expired: get a fresh one, and check the machine's clock"),
    ("not yet valid", "the token comes from the future: check the machine's clock"),
    ("exceeds the 127 bytes", "map a shorter google.subject: csign lint --explain mapping-subject-length"),
    (
        "could not be evaluated",
        "the mapping names a claim that the token does not have: correct the expression, or map another claim",
    ),
    ("mapped attribute", "correct the attribute mapping: every value must be a text"),
    ("issuer in ID Token", "correct the provider's issuer, if the token's is one to trust"),
    (
        "connecting the given credential to the issuer",
        "the token's signature or issuer is not right, or its keys could not be fetched",
    ),
    (
        "pool or provider is disabled or deleted",
        "correct the audience of the request, or create or enable pool and provider",
    ),
    (
        "Invalid value for \"audience\"",
        "the request's audience must be //iam.googleapis.com/ and the provider's full name, with the project's number",
    ),
    (
        "useToDecrypt",
        "grant roles/cloudkms.cryptoKeyDecrypter on this key to a member that means the bearer: csign explain with the provider and the key's policy lists them",
    ),
    ("getAccessToken", "grant roles/iam.workloadIdentityUser on the service account to a member that means the bearer"),
    ("denied on resource", "grant a role with this permission to a member that means the bearer"),
    (
        "Decryption failed",
        "the ciphertext or its additional authenticated data are not those that were encrypted, or the key is another one",
    ),
    ("VPC Service Controls", "add an ingress rule for this caller to the perimeter"),
];

/// Advice on a refusal in a service's own words.
pub fn of_reason(reason: &str) -> Option<&'static str> {
    REASONS.iter().find(|(part, _)| reason.contains(part)).map(|(_, advice)| *advice)
}
