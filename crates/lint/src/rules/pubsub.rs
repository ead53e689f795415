//! Pub/Sub subscriptions and messages: what becomes of poison, and what a message may say.

use csign_contract::Contract;
use serde_json::Value;

use crate::{
    finding::Findings,
    rule::{Rule, Severity},
};

const AREA: &str = "messages";

pub(crate) static DEAD_LETTER: Rule = Rule {
    id: "subscription-dead-letter",
    area: AREA,
    severity: Severity::Note,
    title: "Messages that cannot be processed come back for ever, or are lost",
    explanation: "Without a dead letter topic a message that always fails is delivered until it expires; a program that acknowledges it to get \
                  rid of it, as the published sample does, loses it without a trace.",
    fix: "Give the subscription a dead letter topic, or the contract `messages.dead_letter`.",
};
pub(crate) static NAMES_KEY: Rule = Rule {
    id: "message-names-key",
    area: AREA,
    severity: Severity::Warning,
    title: "A message says which key and which audience to use",
    explanation: "A program that takes `key` and `audience` from the message, as the published sample does, lets any sender choose whose key is \
                  used and where the workload's token goes. csign's workload refuses values that are not the contract's.",
    fix: "Let messages name the collaborator only: `csign publish`.",
};
pub(crate) static UNBOUND: Rule = Rule {
    id: "message-unbound",
    area: AREA,
    severity: Severity::Warning,
    title: "The ciphertext is bound to nothing",
    explanation: "Without `version`, `collaborator` and `message` attributes there is no additional authenticated data: a ciphertext can be sent \
                  again, or as someone else's.",
    fix: "Send with `csign publish`, which binds contract, collaborator and message.",
};

pub(crate) static RULES: &[&Rule] = &[&DEAD_LETTER, &NAMES_KEY, &UNBOUND];

pub(crate) fn subscription(value: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    // Without a contract nobody knows what the program behind it does with poison.
    if contract.is_none_or(|contract| contract.messages.dead_letter.is_some()) {
        return;
    }
    let policy = ["deadLetterPolicy", "dead_letter_policy"].iter().find_map(|name| value.get(name));
    if policy.is_none_or(|policy| policy.is_null() || policy.as_array().is_some_and(Vec::is_empty)) {
        findings.add(&DEAD_LETTER, "", "the subscription has no dead letter topic");
    }
}

pub(crate) fn message(value: &Value, findings: &mut Findings<'_>) {
    let attributes = value.get("attributes").and_then(Value::as_object);
    let has = |name: &str| attributes.is_some_and(|attributes| attributes.contains_key(name));
    if has("key") || has("audience") {
        findings.add(&NAMES_KEY, "/attributes", "it names a key or an audience");
    }
    let missing: Vec<&str> = ["version", "collaborator", "message"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        findings.add(&UNBOUND, "", format!("it has no attribute {}", missing.join(", ")));
    }
}
