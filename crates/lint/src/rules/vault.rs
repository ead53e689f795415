//! Vault and OpenBao: configuration and roles of the JWT auth method.

use csign_contract::{Contract, GOOGLE_ISSUER, Support};
use serde_json::{Map, Value, json};

use crate::{
    claims::TokenFacts,
    fill::Filler,
    finding::Findings,
    gate::{Duty, Gate, Verdict},
    locate::escape,
    rule::{Rule, Severity},
    rules::provider::OF_CONTRACT,
};

const AREA: &str = "vault";

pub(crate) static AUDIENCE: Rule = Rule {
    id: "vault-audience",
    area: AREA,
    severity: Severity::Error,
    title: "The role does not ask for an audience of its own",
    explanation: "Without `bound_audiences` a token that was made for anyone else is accepted. With `https://sts.googleapis.com`, as published \
                  samples have it, the workload sends its live token for Google's STS to this server, which can use it there.",
    fix: "Set `bound_audiences` to this server's own name, and have the workload ask the launcher for a token with that audience.",
};
pub(crate) static ISSUER: Rule = Rule {
    id: "vault-issuer",
    area: AREA,
    severity: Severity::Error,
    title: "The issuer is not pinned, or another one",
    explanation: "Without `bound_issuer` any token under the configured keys is accepted; `iss` has no slash at its end, so the published \
                  `…googleapis.com/` refuses every token.",
    fix: "Set `bound_issuer` and `oidc_discovery_url` to https://confidentialcomputing.googleapis.com.",
};
pub(crate) static KEYS: Rule = Rule {
    id: "vault-keys",
    area: AREA,
    severity: Severity::Error,
    title: "The keys come from an obsolete address, or another algorithm is accepted",
    explanation: "The issuer's keys are where its discovery document says; `…/.well-known/jwks` is obsolete. Tokens are signed with RS256 alone.",
    fix: "Set `oidc_discovery_url` instead of `jwks_url`, and `jwt_supported_algs` to [\"RS256\"].",
};
pub(crate) static ROLE: Rule = Rule {
    id: "vault-role",
    area: AREA,
    severity: Severity::Error,
    title: "The role is not one for attestation tokens",
    explanation: "`role_type` must be `jwt`; `user_claim` names the identity.",
    fix: "Set `role_type` to `jwt`; `csign render vault` writes a role.",
};

pub(crate) static RULES: &[&Rule] = &[&AUDIENCE, &ISSUER, &KEYS, &ROLE];

pub(crate) fn config(value: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let want = contract.map_or(GOOGLE_ISSUER, |contract| contract.environment.issuer());
    match text("bound_issuer") {
        "" => findings.add(&ISSUER, "", "bound_issuer is not set"),
        issuer if issuer != want => findings.add(&ISSUER, "/bound_issuer", format!("bound_issuer is {issuer}")),
        _ => {}
    }
    match text("oidc_discovery_url") {
        "" => {}
        url if url.trim_end_matches('/') != want => {
            findings.add(&ISSUER, "/oidc_discovery_url", format!("oidc_discovery_url is {url}"));
        }
        _ => {}
    }
    if text("jwks_url").ends_with("/.well-known/jwks") {
        findings.add(&KEYS, "/jwks_url", "the address is obsolete");
    }
    let algorithms = value.get("jwt_supported_algs").and_then(Value::as_array);
    if algorithms.into_iter().flatten().any(|algorithm| algorithm != "RS256") {
        findings.add(&KEYS, "/jwt_supported_algs", "algorithms other than RS256 are accepted");
    }
}

pub(crate) fn role(value: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    if value.get("role_type").and_then(Value::as_str).is_some_and(|kind| kind != "jwt") {
        findings.add(&ROLE, "/role_type", "role_type is not jwt");
    }
    let audiences = texts(value.get("bound_audiences"));
    if audiences.is_empty() {
        findings.add(&AUDIENCE, "", "bound_audiences is not set");
    } else if audiences.iter().any(|audience| audience.trim_end_matches('/') == "https://sts.googleapis.com") {
        findings.add(&AUDIENCE, "/bound_audiences", "tokens for Google's STS are accepted");
    }
    let empty = Map::new();
    let bound = value.get("bound_claims").and_then(Value::as_object).unwrap_or(&empty);
    let globs = value.get("bound_claims_type").and_then(Value::as_str) == Some("glob");

    let facts = TokenFacts::default();
    let facts = contract.map_or_else(|| facts.clone(), |contract| facts.clone().of_contract(contract));
    let mut right = facts.claims();
    let mut filler = Filler::keeping(if contract.is_some() { &OF_CONTRACT } else { &[] });
    for (claim, wanted) in bound {
        if let Some(first) = texts(Some(wanted)).first().filter(|text| !(globs && text.contains('*'))) {
            filler.text(&path(claim), first, &mut right);
        }
    }
    if let Some(subject) = value.get("bound_subject").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        filler.text("sub", subject, &mut right);
    }
    let judge = |token: &Value| judge(value, bound, globs, token);
    Gate {
        name: "the role",
        pointer: "/bound_claims",
        judge: &judge,
        rest: None,
        right: right.clone(),
        undecided: false,
        duty: Duty {
            images: true,
            operators: true,
            platforms: true,
            signers: false,
            least: None,
            out_of_support: contract.is_some_and(|contract| contract.platform.support == Support::Usable),
        },
    }
    .check(findings);
}

/// What Vault decides about claims: each bound claim is there, and one of its values is one of those that are bound.
fn judge(role: &Value, bound: &Map<String, Value>, globs: bool, token: &Value) -> Verdict {
    let subject = role.get("bound_subject").and_then(Value::as_str).unwrap_or_default();
    if !subject.is_empty() && token.get("sub") != Some(&json!(subject)) {
        return Verdict::Refused("sub is not bound_subject".to_owned());
    }
    for (claim, wanted) in bound {
        let found = token.pointer(&pointer(claim)).map(|found| texts(Some(found))).unwrap_or_default();
        let wanted = texts(Some(wanted));
        let matches =
            |found: &String| wanted.iter().any(|wanted| if globs { glob(wanted, found) } else { wanted == found });
        if !found.iter().any(matches) {
            let found = if found.is_empty() { "absent".to_owned() } else { found.join(", ") };
            return Verdict::Refused(format!("{claim} is {found}, not {}", wanted.join(", ")));
        }
    }
    Verdict::Admitted
}

/// A claim's name as a JSON pointer: it is one already, or a name at the top.
fn pointer(claim: &str) -> String {
    if claim.starts_with('/') { claim.to_owned() } else { format!("/{}", escape(claim)) }
}

fn path(claim: &str) -> String {
    claim.trim_start_matches('/').replace('/', ".")
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(values)) => values.iter().flat_map(|value| texts(Some(value))).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(value @ (Value::Bool(_) | Value::Number(_))) => vec![value.to_string()],
        _ => Vec::new(),
    }
}

/// `*` is any text; the only wildcard of Vault's globs and one of AWS's.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else { return rest.is_empty() };
    let middle: Vec<&str> = parts.collect();
    for part in middle.iter().take(middle.len().saturating_sub(1)) {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
