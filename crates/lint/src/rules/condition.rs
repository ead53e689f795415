//! Attribute conditions: what is wrong with their text, whatever they let in.

use csign_cel::{Ask, Expression, ParseError, Test, Value as Cel, federation::Provider};
use serde_json::{Value, json};

use crate::{
    claims::{Holds, claim, get, remove, set},
    fill::resolve,
    finding::Findings,
    gate::Verdict,
    rule::{Rule, Severity},
};

const AREA: &str = "condition";

pub(crate) static EMPTY: Rule = Rule {
    id: "condition-empty",
    area: AREA,
    severity: Severity::Error,
    title: "There is no condition",
    explanation: "A provider without a condition accepts every token of its issuer: every Confidential Space VM of every customer.",
    fix: "Set `--attribute-condition`; `csign render` writes the present form.",
};
pub(crate) static NOT_BOOLEAN: Rule = Rule {
    id: "condition-not-boolean",
    area: AREA,
    severity: Severity::Error,
    title: "The condition is no boolean",
    explanation: "The whole condition stands in quotes, or is a claim. A text is not true: the provider cannot be created, or denies everyone.",
    fix: "Remove the outer quotes; quote for the shell once, not twice.",
};
pub(crate) static INVALID: Rule = Rule {
    id: "condition-invalid",
    area: AREA,
    severity: Severity::Error,
    title: "The condition or the mapping is no CEL that Google accepts",
    explanation: "A syntax error, an unknown name or function, a mapping without `google.subject`, or a text above the service's limits.",
    fix: "Correct the text at the place that is named.",
};
pub(crate) static SWVERSION: Rule = Rule {
    id: "condition-swversion",
    area: AREA,
    severity: Severity::Error,
    title: "swversion is treated as a number",
    explanation: "`swversion` is a list of texts, for instance `[\"250800\"]`. `int(assertion.swversion) >= 1`, which older guides show, is an \
                  error on a list and denies everyone. It never said whether an image is a debug image.",
    fix: "Replace it by `\"STABLE\" in assertion.submods.confidential_space.support_attributes`.",
};
pub(crate) static DEBUG_MODE: Rule = Rule {
    id: "condition-debug-mode",
    area: AREA,
    severity: Severity::Error,
    title: "support_attributes is treated as an object",
    explanation: "`support_attributes` is a list of texts. `support_attributes.debug_mode` does not exist; selecting it is an error, which denies \
                  everyone, or admits everyone behind `||` and `!has(…)`.",
    fix: "Ask for `\"STABLE\" in assertion.submods.confidential_space.support_attributes`.",
};
pub(crate) static CLAIM: Rule = Rule {
    id: "condition-unknown-claim",
    area: AREA,
    severity: Severity::Error,
    title: "A claim that no token has",
    explanation: "The condition or the mapping names a claim that Confidential Space's tokens do not have. Selecting it is an error, which denies \
                  everyone; under `has(…)` it is never there.",
    fix: "Compare the name with a real token: `csign token inspect`.",
};
pub(crate) static VALUE: Rule = Rule {
    id: "condition-impossible-value",
    area: AREA,
    severity: Severity::Error,
    title: "A claim is compared with a value that it never has",
    explanation: "`dbgstat` is `enabled` or `disabled-since-boot` (never `enable`), `hwmodel` begins with `GCP_` (never `INTEL_TDX`), `swname` is \
                  `CONFIDENTIAL_SPACE` or `GCE`. `==` with another value is always false and denies everyone; `!=` is always true and stops \
                  nobody.",
    fix: "Use a value from the list in the message.",
};
pub(crate) static KEY_ID: Rule = Rule {
    id: "condition-key-id",
    area: AREA,
    severity: Severity::Error,
    title: "key_id is compared with something that is no key id",
    explanation: "`key_id` is the SHA-256 of the public key's DER in 64 lowercase hex digits. `ALGORITHM:BASE64`, which published samples \
                  compare it with, is never equal to it.",
    fix: "`csign public-key --key KEY` or `csign contract check` prints the id.",
};
pub(crate) static ALL_ON_EMPTY: Rule = Rule {
    id: "condition-all-on-empty",
    area: AREA,
    severity: Severity::Error,
    title: "An empty list satisfies all(…)",
    explanation: "`[].all(x, …)` is true. A token whose list is empty passes the check that was meant for every element.",
    fix: "Ask for what must be there with `exists`, once for each value.",
};
pub(crate) static OVERRIDE: Rule = Rule {
    id: "condition-override-null",
    area: AREA,
    severity: Severity::Error,
    title: "An override that is null or absent is not expected",
    explanation: "`cmd_override` and `env_override` are `null` or absent when the operator replaced nothing. `size(null)` and a missing member \
                  are errors and deny the very workload that was meant.",
    fix: "Write `(!has(x) || x == null || size(x) == 0)` with `x` the whole path, or leave it to the image's launch policy labels.",
};

pub(crate) static RULES: &[&Rule] =
    &[&EMPTY, &NOT_BOOLEAN, &INVALID, &SWVERSION, &DEBUG_MODE, &CLAIM, &VALUE, &KEY_ID, &ALL_ON_EMPTY, &OVERRIDE];

/// A condition that cannot be parsed.
pub(crate) fn unparsed(error: &ParseError, pointer: &str, findings: &mut Findings<'_>) {
    let rule = if matches!(error, ParseError::NotBoolean { .. }) { &NOT_BOOLEAN } else { &INVALID };
    findings.add(rule, pointer, format!("the condition is refused: {error}"));
}

/// What the text of an expression gets wrong about the token.
pub(crate) fn text(provider: &Provider, expression: &Expression, pointer: &str, findings: &mut Findings<'_>) {
    let asks = expression.asks();
    for path in asks.paths.iter().filter_map(|path| resolve(provider, path)) {
        if let Some(rest) = path.strip_prefix("submods.confidential_space.support_attributes.") {
            let message = format!("support_attributes is a list: it has no member {rest:?}");
            findings.add(&DEBUG_MODE, pointer, message);
        } else if claim(&path).is_none() {
            findings.add(&CLAIM, pointer, format!("no token has the claim {path}"));
        }
    }
    for ask in &asks.asks {
        let Some(path) = resolve(provider, &ask.path) else { continue };
        compared(&path, ask, pointer, findings);
    }
}

fn compared(path: &str, ask: &Ask, pointer: &str, findings: &mut Findings<'_>) {
    let list = path.strip_suffix("[]").unwrap_or(path);
    if list == "swversion" {
        let number = |value: &Cel| !matches!(value, Cel::String(_));
        let wrong = match &ask.test {
            Test::Ordered(_) => true,
            Test::Equals(value) | Test::Differs(value) => path == list || number(value),
            _ => ask.through.as_deref().is_some_and(|function| ["int", "uint", "double"].contains(&function)),
        };
        if wrong && ask.through.as_deref() != Some("size") {
            findings.add(&SWVERSION, pointer, format!("{} compares a list of texts", ask.source));
        }
        return;
    }
    if ask.through.is_some() {
        return;
    }
    let values: Vec<&Cel> = match &ask.test {
        Test::Equals(value) | Test::Differs(value) | Test::Holds(value) => vec![value],
        Test::OneOf(values) => values.iter().collect(),
        _ => return,
    };
    if path == "submods.container.image_signatures[].key_id" {
        let is_id =
            |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        for value in values.iter().filter(|value| !value.as_str().is_some_and(is_id)) {
            findings.add(&KEY_ID, pointer, format!("{value} is no key id"));
        }
        return;
    }
    if let Some(Holds::Text(known) | Holds::Texts(known)) = claim(list)
        && !known.is_empty()
    {
        for value in values.iter().filter(|value| !value.as_str().is_some_and(|text| known.contains(&text))) {
            let message = format!("{}: {path} is never {value}; it is one of {}", ask.source, known.join(", "));
            findings.add(&VALUE, pointer, message);
        }
    }
}

/// What becomes of lists that are empty and of overrides that are not there.
pub(crate) fn absences(
    provider: &Provider,
    condition: &Expression,
    right: &Value,
    judge: &dyn Fn(&Value) -> Verdict,
    findings: &mut Findings<'_>,
    pointer: &str,
) {
    let asks = condition.asks();
    let admits = |token: &Value| judge(token) == Verdict::Admitted;
    for ask in asks.asks.iter().filter(|ask| ask.test == Test::All && ask.through.is_none()) {
        let Some(path) = resolve(provider, &ask.path).filter(|path| !path.contains('[')) else { continue };
        let mut token = right.clone();
        set(&mut token, &path, json!([]));
        if admits(&token) && get(right, &path) != Some(&json!([])) {
            findings.add(&ALL_ON_EMPTY, pointer, format!("{} is true when {path} is empty", ask.source));
        }
    }
    for path in ["submods.container.cmd_override", "submods.container.env_override"] {
        if !asks.paths.iter().filter_map(|input| resolve(provider, input)).any(|input| input.starts_with(path)) {
            continue;
        }
        let mut token = right.clone();
        let empty = if path.ends_with("cmd_override") { json!([]) } else { json!({}) };
        let mut refused = Vec::new();
        for (what, value) in [("null", Some(Value::Null)), ("absent", None), ("empty", Some(empty))] {
            match value {
                Some(value) => set(&mut token, path, value),
                None => remove(&mut token, path),
            }
            if !admits(&token) {
                refused.push(what);
            }
        }
        // If all three are refused, something else is wrong.
        if !refused.is_empty() && refused.len() < 3 {
            let message = format!("it refuses a workload whose {path} is {}", refused.join(" or "));
            findings.add(&OVERRIDE, pointer, message);
        }
    }
}
