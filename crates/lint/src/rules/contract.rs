//! Contracts: what `csign_contract::lint` asks about a valid one, and whether there is a valid one at all.

use csign_contract::{Contract, lint};

use crate::{
    finding::Findings,
    rule::{Rule, Severity},
};

const AREA: &str = "contract";

pub(crate) static INVALID: Rule = Rule {
    id: "contract-invalid",
    area: AREA,
    severity: Severity::Error,
    title: "It is no contract",
    explanation: "A member is missing, unknown or mistyped, or a value makes no sense. Every command refuses such a contract.",
    fix: "Correct what is named; `csign init` writes a commented contract to compare with.",
};
static SIMULATED: Rule = Rule {
    id: "simulated",
    area: AREA,
    severity: Severity::Note,
    title: "The contract is for the simulator",
    explanation: "Nothing in a simulated environment is protected by hardware. Every verifying command refuses it unless told otherwise.",
    fix: "Set `environment.kind = \"google\"` for anything real.",
};
static THRESHOLD: Rule = Rule {
    id: "threshold",
    area: AREA,
    severity: Severity::Warning,
    title: "Some parties can replace the program without the others",
    explanation: "With a threshold below the number of parties, a party's data can be processed by a program that it did not approve.",
    fix: "Set `signatures.threshold = \"all\"`.",
};
static RECIPE: Rule = Rule {
    id: "recipe",
    area: AREA,
    severity: Severity::Warning,
    title: "The recipe depends on the distribution that builds",
    explanation: "`cargo-gnu-static` links the C library of whoever builds, so others get another digest.",
    fix: "Use `cargo-musl`.",
};
static SUPPORT: Rule = Rule {
    id: "support",
    area: AREA,
    severity: Severity::Warning,
    title: "Images of Confidential Space that are out of support are accepted",
    explanation: "`USABLE` images are no longer patched.",
    fix: "Set `platform.support = \"STABLE\"`.",
};
static WORDS: Rule = Rule {
    id: "print-words",
    area: AREA,
    severity: Severity::Warning,
    title: "Decrypted words go into the log",
    explanation: "What is printed leaves the protected memory.",
    fix: "Set `messages.print_words = false`.",
};
static LOG: Rule = Rule {
    id: "log-redirect",
    area: AREA,
    severity: Severity::Error,
    title: "Decrypted words are shown to the operator",
    explanation: "`print_words` together with `log_redirect = \"always\"` shows every party's words to the operator.",
    fix: "Set `messages.print_words = false`, or `launch.log_redirect = \"debugonly\"`.",
};
static ALGORITHM: Rule = Rule {
    id: "algorithm",
    area: AREA,
    severity: Severity::Warning,
    title: "Confidential Space ignores this party's signatures",
    explanation: "The attestation service verifies ECDSA P-256 and RSA. Others are checked at boot, but never stand in the token, so no \
                  condition can ask for them.",
    fix: "Use an ECDSA P-256 key.",
};
static STATE_KEY: Rule = Rule {
    id: "state-key",
    area: AREA,
    severity: Severity::Warning,
    title: "Whoever runs the database reads the counts",
    explanation: "The state has no key, or one in the operator's own project, which he can grant himself.",
    fix: "Set `state.key` to a key in a project that the operator does not control.",
};
static COLLABORATOR: Rule = Rule {
    id: "no-collaborator",
    area: AREA,
    severity: Severity::Warning,
    title: "Nobody can send data",
    explanation: "No party has a `[party.collaborator]` table.",
    fix: "Add it to the parties that contribute data.",
};

pub(crate) static RULES: &[&Rule] =
    &[&INVALID, &SIMULATED, &THRESHOLD, &RECIPE, &SUPPORT, &WORDS, &LOG, &ALGORITHM, &STATE_KEY, &COLLABORATOR];

/// Where each of them is in the contract.
const PLACES: [(&str, &str); 9] = [
    ("simulated", "/environment/kind"),
    ("threshold", "/signatures/threshold"),
    ("recipe", "/build/recipe"),
    ("support", "/platform/support"),
    ("print-words", "/messages/print_words"),
    ("log-redirect", "/launch/log_redirect"),
    ("algorithm", "/party"),
    ("state-key", "/state"),
    ("no-collaborator", "/party"),
];

pub(crate) fn check(contract: &Contract, findings: &mut Findings<'_>) {
    for warning in lint::lint(contract) {
        let place = PLACES.iter().find(|(rule, _)| *rule == warning.rule).map_or("", |(_, place)| place);
        match RULES.iter().find(|rule| rule.id == warning.rule) {
            Some(rule) => findings.add(rule, place, warning.text),
            // A test shows that there is none; if there were, it would not be lost.
            None => findings.add(&INVALID, place, warning.text),
        }
    }
}
