//! Rego policies over attestations.

use csign_policy::{Decision, Policy, RegoVersion};

use crate::{
    finding::Findings,
    rule::{Rule, Severity},
};

const AREA: &str = "rego";

pub(crate) static INVALID: Rule = Rule {
    id: "rego-invalid",
    area: AREA,
    severity: Severity::Error,
    title: "It is no Rego",
    explanation: "A policy that does not parse, or calls what does not exist, refuses every boot.",
    fix: "`csign policy check FILE` shows what is wrong.",
};
pub(crate) static NEVER: Rule = Rule {
    id: "rego-never-allows",
    area: AREA,
    severity: Severity::Error,
    title: "It says nothing about data.signature.allow",
    explanation: "What is asked is `data.signature.allow`. A policy in another package, or with another rule, refuses everything.",
    fix: "Write `package signature` and a rule `allow`.",
};
pub(crate) static ANYTHING: Rule = Rule {
    id: "rego-allows-anything",
    area: AREA,
    severity: Severity::Error,
    title: "It allows a statement that says nothing",
    explanation: "The policy allows an in-toto statement of another type with an empty predicate: `default allow := true`, a rule without a \
                  condition, or conditions that only look for what must not be there.",
    fix: "Start with `default allow := false`, and ask for what must be there: predicate type, builder, materials.",
};

pub(crate) static RULES: &[&Rule] = &[&INVALID, &NEVER, &ANYTHING];

/// A statement that says nothing that a policy could be content with.
const EMPTY: &[u8] = br#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://example.invalid/nothing","predicate":{}}"#;

pub(crate) fn check(name: &str, text: &str, findings: &mut Findings<'_>) {
    let policy = match Policy::parse(name, text, RegoVersion::Auto) {
        Ok(policy) => policy,
        Err(error) => return findings.add(&INVALID, "", error.to_string()),
    };
    // Tests of policies are policies that allow nothing and are not asked.
    if !policy.allows() {
        if !text.contains("test_") {
            findings.add(&NEVER, "", "it says nothing about data.signature.allow");
        }
        return;
    }
    match policy.evaluate(EMPTY, 0) {
        Ok(Decision::Allowed) => findings.add(&ANYTHING, "", "an empty statement of an unknown type is allowed"),
        Ok(_) => {}
        Err(error) => findings.add(&INVALID, "", error.to_string()),
    }
}
