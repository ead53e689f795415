//! What a careful reader would ask about a valid contract. Warnings, never verdicts.

use crate::{Contract, LogRedirect, Recipe, State, Support, Threshold};

/// One thing to think about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// A stable name for the rule.
    pub rule: &'static str,
    /// What it is about and what to do.
    pub text: String,
}

/// Everything that a careful reader would ask about `contract`, in a fixed order.
pub fn lint(contract: &Contract) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |rule, text: String| warnings.push(Warning { rule, text });
    if contract.environment.is_simulated() {
        warn("simulated", "environment.kind is \"simulated\": nothing in it is protected by hardware".to_owned());
    }
    if let Threshold::AtLeast(count) = contract.signatures.threshold
        && (count.get() as usize) < contract.parties.len()
    {
        warn(
            "threshold",
            format!("{count} of {} parties can replace the program without the others", contract.parties.len()),
        );
    }
    if contract.build.recipe == Recipe::CargoGnuStatic {
        warn(
            "recipe",
            "cargo-gnu-static depends on the C library of the distribution that builds; prefer cargo-musl".to_owned(),
        );
    }
    if contract.platform.support == Support::Usable {
        warn(
            "support",
            "platform.support \"USABLE\" accepts Confidential Space images that are out of support".to_owned(),
        );
    }
    if contract.messages.print_words {
        warn("print-words", "messages.print_words lets decrypted words into the log".to_owned());
        if contract.launch.log_redirect == LogRedirect::Always {
            warn("log-redirect", "… and launch.log_redirect \"always\" shows that log to the operator".to_owned());
        }
    }
    for party in &contract.parties {
        let algorithm = party.public_key.algorithm();
        if !algorithm.is_read_by_confidential_space() {
            warn(
                "algorithm",
                format!(
                    "Confidential Space ignores {algorithm} signatures: {}'s are checked at boot, but never stand in the token",
                    party.name
                ),
            );
        }
    }
    if let Some(key) = contract.state.key()
        && key.kms_key.split('/').nth(1) == Some(contract.operator.project_id.as_str())
    {
        warn(
            "state-key",
            "state.key.kms_key is in the operator's own project: who runs the database can grant himself its key"
                .to_owned(),
        );
    }
    if matches!(contract.state, State::Postgres { key: None, .. }) {
        warn("state-key", "[state] has no key: whoever runs the database reads every word".to_owned());
    }
    if contract.collaborators().next().is_none() {
        warn("no-collaborator", "no party has a [party.collaborator] table: nobody can send data".to_owned());
    }
    warnings
}
