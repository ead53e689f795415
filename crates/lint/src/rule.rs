//! The registry of rules: each has a stable id, says what is wrong, why it matters and what to do.

use serde::Serialize;

use crate::rules::ALL;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, and somebody will be surprised.
    Warning,
    /// It lets in who should stay out, or keeps out who should come in.
    Error,
}

impl Severity {
    /// The word for people and for SARIF's `level`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A mistake that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Stable; what `--allow` and `--explain` take, and the anchor in `docs/lint.md`.
    pub id: &'static str,
    /// What it looks at.
    pub area: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// Why it is a mistake.
    pub explanation: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// Every rule, by area.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    ALL.iter().flat_map(|area| area.iter().copied())
}

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}

/// The reference of all rules, `docs/lint.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Rules of csign lint\n\nGenerated from the program; `crates/lint/tests/rules/main.rs` keeps it true. `csign lint --rules` lists \
         them, `csign lint --explain RULE` prints one, `--allow RULE` turns one off.\n\nConditions, bindings, Vault roles and AWS \
         trust policies are judged by what they let in: they are evaluated over the token that the right workload gets, and over \
         tokens that differ from it in one way each.\n\n| rule | about | severity | |\n|---|---|---|---|\n",
    );
    for Rule { id, area, severity, title, .. } in rules() {
        text.push_str(&format!("| [{id}](#{id}) | {area} | {} | {title} |\n", severity.name()));
    }
    for Rule { id, area, severity, title, explanation, fix } in rules() {
        text.push_str(&format!(
            "\n## {id}\n\n{title}. ({area}, {})\n\n{explanation}\n\n**Fix:** {fix}\n",
            severity.name()
        ));
    }
    text
}
