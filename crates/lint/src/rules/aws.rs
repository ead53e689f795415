//! AWS: trust policies of roles that a workload assumes with its token's principal tags.

use csign_contract::{Contract, GOOGLE_ISSUER, Support};
use serde_json::{Map, Value, json};

use super::vault::glob;
use crate::{
    claims::{TokenFacts, get, signers},
    fill::Filler,
    finding::Findings,
    gate::{Duty, Gate, Verdict},
    rule::{Rule, Severity},
    rules::provider::{ISSUER, OF_CONTRACT, least},
};

const AREA: &str = "aws";
const TAG: &str = "aws:RequestTag/";

pub(crate) static AUDIENCE: Rule = Rule {
    id: "aws-audience",
    area: AREA,
    severity: Severity::Error,
    title: "The trust policy does not ask for an audience",
    explanation: "Without a condition on `PROVIDER:aud` a token that was made for anyone else is accepted.",
    fix: "Add `\"StringEquals\": {\"PROVIDER:aud\": \"…\"}` with the audience that the workload asks for.",
};
pub(crate) static TAGS: Rule = Rule {
    id: "aws-tag-session",
    area: AREA,
    severity: Severity::Error,
    title: "sts:TagSession is missing",
    explanation: "Principal tags are refused unless the trust policy allows `sts:TagSession` beside `sts:AssumeRoleWithWebIdentity`.",
    fix: "Add the action.",
};
pub(crate) static PRINCIPAL: Rule = Rule {
    id: "aws-principal",
    area: AREA,
    severity: Severity::Error,
    title: "Someone else may assume the role",
    explanation: "The role is for the attested workload. Another principal, `*` in particular, gets what it may do without attestation.",
    fix: "Allow the OIDC provider as `Federated` principal and nobody else.",
};
pub(crate) static IF_EXISTS: Rule = Rule {
    id: "aws-absent-tag",
    area: AREA,
    severity: Severity::Error,
    title: "A condition holds when its tag is absent",
    explanation: "`…IfExists`, `ForAllValues:` and `Null: true` are true for a tag that is not there, and a debug image's token lacks the very tag \
                  that tells it apart.",
    fix: "Use `StringEquals` or `StringLike`.",
};

pub(crate) static RULES: &[&Rule] = &[&AUDIENCE, &TAGS, &PRINCIPAL, &IF_EXISTS];

pub(crate) fn check(policy: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect::<Vec<_>>(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    };
    let single = !policy.get("Statement").is_some_and(Value::is_array);
    for (index, statement) in statements.into_iter().enumerate() {
        if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
            continue;
        }
        let at = if single { "/Statement".to_owned() } else { format!("/Statement/{index}") };
        check_statement(statement, &at, contract, findings);
    }
}

/// `aws iam get-open-id-connect-provider`: whose tokens, and for whom.
pub(crate) fn provider(value: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let want = contract.map_or(GOOGLE_ISSUER, |contract| contract.environment.issuer());
    let bare = |url: &str| url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let url = value.get("Url").and_then(Value::as_str).unwrap_or_default();
    if bare(url) != bare(want) {
        findings.add(&ISSUER, "/Url", format!("tokens of {url} are accepted"));
    }
    let audiences = texts(value.get("ClientIDList"));
    if audiences.is_empty() || audiences.iter().any(|audience| audience == "https://sts.googleapis.com") {
        findings.add(&AUDIENCE, "/ClientIDList", "no audience of its own is asked for");
    }
}

fn check_statement(statement: &Value, at: &str, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let actions = texts(statement.get("Action"));
    let allows =
        |action: &str| actions.iter().any(|found| glob(&found.to_ascii_lowercase(), &action.to_ascii_lowercase()));
    let federated = statement.get("Principal").and_then(|principal| principal.get("Federated")).is_some();
    if !allows("sts:AssumeRoleWithWebIdentity") || !federated {
        let principal = statement.get("Principal");
        let anyone = principal.is_some_and(|principal| {
            let aws = principal.get("AWS").unwrap_or(principal);
            texts(Some(aws)).iter().any(|who| who == "*")
        });
        let assumes = allows("sts:AssumeRole") || allows("sts:AssumeRoleWithWebIdentity");
        if assumes || (anyone && statement.get("Condition").is_none()) {
            let who = principal.map(ToString::to_string).unwrap_or_default();
            findings.add(&PRINCIPAL, at, format!("{who} may {}", actions.join(", ")));
        }
        return;
    }
    if !allows("sts:TagSession") {
        findings.add(&TAGS, at, "the token's principal tags are refused");
    }
    let empty = Map::new();
    let conditions = statement.get("Condition").and_then(Value::as_object).unwrap_or(&empty);
    let keys = || conditions.values().filter_map(Value::as_object).flat_map(Map::keys);
    if !keys().any(|key| key.ends_with(":aud")) {
        findings.add(&AUDIENCE, at, "tokens for any audience are accepted");
    }
    for (operator, members) in conditions {
        let lenient = operator.ends_with("IfExists")
            || operator.starts_with("ForAllValues:")
            || (operator == "Null"
                && members.as_object().is_some_and(|m| m.values().any(|v| texts(Some(v)) == ["true"])));
        let about_tags = members.as_object().is_some_and(|m| m.keys().any(|key| key.starts_with(TAG)));
        if lenient && about_tags {
            findings.add(
                &IF_EXISTS,
                &format!("{at}/Condition/{operator}"),
                format!("{operator} holds without the tag"),
            );
        }
    }

    let by_key = keys().any(|key| key == &format!("{TAG}container.signatures.key_ids"));
    let facts = TokenFacts::default();
    let facts = contract.map_or_else(|| facts.clone(), |contract| facts.clone().of_contract(contract));
    let mut right = facts.claims();
    let mut filler = Filler::keeping(if contract.is_some() { &OF_CONTRACT } else { &[] });
    for (key, wanted) in conditions.values().filter_map(Value::as_object).flatten() {
        if key.strip_prefix(TAG) == Some("container.signatures.key_ids") {
            texts(Some(wanted)).iter().for_each(|text| filler.signers(text, &mut right));
            continue;
        }
        let Some(first) = texts(Some(wanted)).into_iter().find(|text| !text.contains(['*', '?'])) else { continue };
        match key.strip_prefix(TAG) {
            Some("container.image_digest") => filler.text("submods.container.image_digest", &first, &mut right),
            Some("gce.project_id") => filler.text("submods.gce.project_id", &first, &mut right),
            Some("gce.zone") => filler.text("submods.gce.zone", &first, &mut right),
            _ => {}
        }
    }
    let judge = |token: &Value| judge(conditions, &tags(token, by_key));
    let pointer = format!("{at}/Condition");
    Gate {
        name: "the trust policy",
        pointer: &pointer,
        judge: &judge,
        rest: None,
        right: right.clone(),
        undecided: false,
        duty: Duty {
            images: true,
            operators: true,
            platforms: true,
            signers: by_key,
            least: contract.map(least),
            out_of_support: contract.is_some_and(|contract| contract.platform.support == Support::Usable),
        },
    }
    .check(findings);
}

/// The principal tags of a token (`AWS_PRINCIPALTAGS`): several values are one text, joined by `=`.
fn tags(token: &Value, by_key: bool) -> Map<String, Value> {
    let mut tags = Map::new();
    let text = |path: &str| get(token, path).and_then(Value::as_str).map(str::to_owned);
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            tags.insert(name.to_owned(), json!(value));
        }
    };
    put("swname", text("swname"));
    put("hwmodel", text("hwmodel"));
    put("gce.project_id", text("submods.gce.project_id"));
    put("gce.zone", text("submods.gce.zone"));
    let support = get(token, "submods.confidential_space.support_attributes").map(|list| texts(Some(list)).join("="));
    put("confidential_space.support_attributes", support);
    if by_key {
        let signers: std::collections::BTreeSet<String> = signers(token).into_iter().map(|(id, _)| id).collect();
        let signers: Vec<String> = signers.into_iter().collect();
        put("container.signatures.key_ids", (!signers.is_empty()).then(|| signers.join("=")));
    } else {
        put("container.image_digest", text("submods.container.image_digest"));
    }
    tags
}

fn judge(conditions: &Map<String, Value>, tags: &Map<String, Value>) -> Verdict {
    for (operator, members) in conditions {
        for (key, wanted) in members.as_object().into_iter().flatten() {
            let Some(name) = key.strip_prefix(TAG) else { continue };
            let wanted = texts(Some(wanted));
            let found = tags.get(name).and_then(Value::as_str);
            let plain = operator.rsplit(':').next().unwrap_or_default();
            let (plain, if_exists) = plain.strip_suffix("IfExists").map_or((plain, false), |plain| (plain, true));
            let all = operator.starts_with("ForAllValues:");
            let equal = |found: &str| wanted.iter().any(|wanted| wanted == found);
            let like = |found: &str| wanted.iter().any(|wanted| glob(wanted, found));
            let holds = match (plain, found) {
                ("StringNotEquals" | "StringNotLike", None) => true,
                ("Null", found) => wanted.iter().all(|wanted| (wanted == "true") == found.is_none()),
                (_, None) => if_exists || all,
                ("StringEquals", Some(found)) => equal(found),
                ("StringEqualsIgnoreCase", Some(found)) => {
                    wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(found))
                }
                ("StringLike", Some(found)) => like(found),
                ("StringNotEquals", Some(found)) => !equal(found),
                ("StringNotLike", Some(found)) => !like(found),
                _ => return Verdict::Refused(format!("the operator {operator} is not one for texts")),
            };
            if !holds {
                let found = found.unwrap_or("absent");
                return Verdict::Refused(format!("{name} is {found}, not {} ({operator})", wanted.join(", ")));
            }
        }
    }
    Verdict::Admitted
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(values)) => values.iter().flat_map(|value| texts(Some(value))).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(value @ (Value::Bool(_) | Value::Number(_))) => vec![value.to_string()],
        _ => Vec::new(),
    }
}
