//! Providers of workload identity pools: issuer, audiences, mapping; and the condition through `gate.rs`.

use std::collections::BTreeMap;

use csign_cel::{
    Outcome,
    federation::{MAX_SUBJECT, MappingError, Provider, ProviderError},
};
use csign_contract::{Contract, GOOGLE_ISSUER, Support};
use serde_json::{Value, json};

use super::condition;
use crate::{
    claims::{TokenFacts, set},
    fill::Filler,
    finding::Findings,
    gate::{Duty, Gate, Verdict},
    read::ProviderSettings,
    rule::{Rule, Severity},
};

const AREA: &str = "provider";
/// The audience of the token that every workload finds in its file.
const SHARED_AUDIENCE: &str = "https://sts.googleapis.com";

pub(crate) static ISSUER: Rule = Rule {
    id: "provider-issuer",
    area: AREA,
    severity: Severity::Error,
    title: "The issuer is not Confidential Space's",
    explanation: "Only tokens of `https://confidentialcomputing.googleapis.com` say what hardware and Google's launcher vouch for. Whoever runs \
                  another issuer can write any token.",
    fix: "Set `--issuer-uri=https://confidentialcomputing.googleapis.com`.",
};
pub(crate) static ISSUER_SLASH: Rule = Rule {
    id: "provider-issuer-slash",
    area: AREA,
    severity: Severity::Warning,
    title: "The issuer ends with a slash",
    explanation: "`iss` in tokens has no slash at its end. Verifiers that compare texts, as they should, then refuse every token.",
    fix: "Remove the slash.",
};
pub(crate) static SHARED: Rule = Rule {
    id: "provider-shared-audience",
    area: AREA,
    severity: Severity::Warning,
    title: "The audience is one that other parties' tokens have too",
    explanation: "`https://sts.googleapis.com` is the audience of the token that every workload has, whoever it is shown to. A party that sees \
                  such a token can use it at every other party's provider until it expires.",
    fix: "Leave the allowed audiences empty, and have the workload ask the launcher for one token per party whose audience is the provider's \
          own name; csign's workload does.",
};
pub(crate) static AUDIENCE: Rule = Rule {
    id: "provider-audience",
    area: AREA,
    severity: Severity::Error,
    title: "The allowed audiences leave out the one that the workload asks for",
    explanation: "The contract's workload asks for a token whose audience is this provider's resource name. Another list of audiences refuses it.",
    fix: "Leave the allowed audiences empty.",
};
pub(crate) static SUBJECT: Rule = Rule {
    id: "mapping-subject-length",
    area: AREA,
    severity: Severity::Warning,
    title: "The subject can become longer than 127 bytes",
    explanation: "`google.subject` may have 127 bytes. A token's `sub` is a URL with project, zone and instance, which can be longer; then the \
                  exchange fails, and only for instances with long names.",
    fix: "Map `\"gcpcs::\" + assertion.submods.container.image_digest + \"::\" + assertion.submods.gce.project_number + \"::\" + \
          assertion.submods.gce.instance_id`.",
};
pub(crate) static DISABLED: Rule = Rule {
    id: "provider-disabled",
    area: AREA,
    severity: Severity::Note,
    title: "The provider is disabled",
    explanation: "A disabled provider exchanges no token.",
    fix: "Enable it, or delete it.",
};
pub(crate) static UNNAMED: Rule = Rule {
    id: "provider-not-the-contracts",
    area: AREA,
    severity: Severity::Warning,
    title: "No party of the contract names this provider",
    explanation: "The workload asks the providers that the contract names, and no other.",
    fix: "Compare `identity_provider` in the contract with the provider's name, and the project's number in particular.",
};

pub(crate) static TOKEN_URL: Rule = Rule {
    id: "credentials-token-url",
    area: AREA,
    severity: Severity::Error,
    title: "A live token is sent to another host",
    explanation: "External account credentials send the attestation token to `token_url`, and the access token that comes back to the URL for                   impersonation. Any host but Google's can use both as long as they live.",
    fix: "Set `token_url` to https://sts.googleapis.com/v1/token; `csign render credentials` writes the file.",
};

pub(crate) static RULES: &[&Rule] =
    &[&ISSUER, &ISSUER_SLASH, &SHARED, &AUDIENCE, &SUBJECT, &DISABLED, &UNNAMED, &TOKEN_URL];

/// A name for providers whose document does not say theirs.
const UNKNOWN: &str = "projects/1/locations/global/workloadIdentityPools/pool/providers/provider";

/// A provider as it was read, and parsed if it can be.
pub(crate) fn parse(settings: &ProviderSettings) -> Result<Provider, ProviderError> {
    let ProviderSettings { mapping, condition, audiences, .. } = settings;
    let usual = BTreeMap::from([("google.subject".to_owned(), "assertion.sub".to_owned())]);
    // A bare condition has no mapping, and a plan may not know it yet.
    let mapping = if mapping.is_empty() && !settings.complete { &usual } else { mapping };
    Provider::new(&settings.name(UNKNOWN), mapping, condition.as_deref().unwrap_or_default(), audiences)
}

/// What a token for this provider is like, before its condition is looked at.
pub(crate) fn facts(contract: Option<&Contract>, settings: &ProviderSettings) -> TokenFacts {
    let audience = match settings.audiences.first() {
        Some(audience) => audience.clone(),
        None => format!("https://iam.googleapis.com/{}", settings.name(UNKNOWN)),
    };
    let facts = TokenFacts { audience, ..TokenFacts::default() };
    match contract {
        Some(contract) => facts.of_contract(contract),
        None => facts,
    }
}

/// Claims that a contract decides, so that a condition cannot wish for others.
pub(crate) const OF_CONTRACT: [&str; 3] =
    ["submods.gce.project_id", "google_service_accounts", "submods.container.image_signatures[].key_id"];

/// How many signatures a token must show: those that no token can show may all be among the threshold.
pub(crate) fn least(contract: &Contract) -> usize {
    let readable = |party: &&csign_contract::Party| party.public_key.algorithm().is_read_by_confidential_space();
    let readable = contract.parties.iter().filter(readable).count();
    let unreadable = contract.parties.len() - readable;
    contract.signatures.threshold.required(contract.parties.len()).saturating_sub(unreadable).max(1)
}

pub(crate) fn filler(contract: Option<&Contract>) -> Filler {
    Filler::keeping(if contract.is_some() { &OF_CONTRACT } else { &[] })
}

pub(crate) fn check(settings: &ProviderSettings, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let condition_at = settings.at("condition");
    trust(settings, contract, findings);
    if settings.condition.as_deref().is_some_and(|text| text.trim().is_empty()) {
        findings.add(&condition::EMPTY, &condition_at, "every token of the issuer is accepted");
    }
    let provider = match parse(settings) {
        Ok(provider) => provider,
        Err(ProviderError::Condition(error)) => {
            if !settings.condition.as_deref().unwrap_or_default().trim().is_empty() {
                condition::unparsed(&error, &condition_at, findings);
            }
            return;
        }
        Err(error) => {
            findings.add(&condition::INVALID, &settings.at("mapping"), format!("the provider is refused: {error}"));
            return;
        }
    };
    for (target, expression) in provider.mapping() {
        let at = format!("{}/{}", settings.at("mapping"), target.key());
        condition::text(&provider, expression, &at, findings);
    }
    let Some(expression) = provider.condition() else { return };
    condition::text(&provider, expression, &condition_at, findings);

    let mut right = facts(contract, settings).claims();
    let mut filler = filler(contract);
    filler.provider(&provider, &mut right);
    let judge = |token: &Value| judge(&provider, token);
    let asks_for_signers = expression.asks().paths.iter().any(|path| path.contains("image_signatures"));
    let aside = refusing(&provider, &right);
    let rest = |token: &Value| rest(&provider, &aside, token);
    let gate = Gate {
        name: "the condition",
        pointer: &condition_at,
        judge: &judge,
        rest: (!aside.is_empty()).then_some(&rest),
        right: right.clone(),
        undecided: filler.undecided,
        duty: Duty {
            images: !settings.mapping.is_empty() && !tells_images_apart(&provider, &right),
            operators: true,
            platforms: true,
            signers: asks_for_signers,
            least: contract.map(least),
            out_of_support: contract.is_some_and(|contract| contract.platform.support == Support::Usable),
        },
    };
    gate.check(findings);
    condition::absences(&provider, expression, &right, &judge, findings, &condition_at);
    subject(&provider, settings, &right, findings);
}

/// The decision of STS about a token whose signature, times and audience are right.
pub(crate) fn judge(provider: &Provider, token: &Value) -> Verdict {
    let identity = match provider.identity(token) {
        Ok(identity) => identity,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    match provider.condition().map(|condition| condition.explain(&identity.variables(token))) {
        Some(explanation) if !explanation.admits() => Verdict::Refused(explanation.to_string()),
        _ => Verdict::Admitted,
    }
}

/// The operands of `&&` that refuse the right token, unless they are all that there is.
fn refusing(provider: &Provider, right: &Value) -> Vec<usize> {
    let explained = provider.condition().zip(provider.identity(right).ok());
    let Some(explanation) = explained.map(|(condition, identity)| condition.explain(&identity.variables(right))) else {
        return Vec::new();
    };
    let clauses = explanation.clauses.iter().enumerate();
    let refusing: Vec<usize> = clauses.filter(|(_, c)| c.outcome != Outcome::True).map(|(index, _)| index).collect();
    if explanation.alternatives || refusing.len() == explanation.clauses.len() { Vec::new() } else { refusing }
}

/// The decision as if the operands `aside` held.
fn rest(provider: &Provider, aside: &[usize], token: &Value) -> Verdict {
    let explained = provider.condition().zip(provider.identity(token).ok());
    let Some((condition, identity)) = explained else { return Verdict::Refused("no identity".to_owned()) };
    let explanation = condition.explain(&identity.variables(token));
    let mut clauses = explanation.clauses.iter().enumerate();
    match clauses.find(|(index, clause)| !aside.contains(index) && clause.outcome != Outcome::True) {
        Some((_, clause)) => Verdict::Refused(clause.to_string()),
        None => Verdict::Admitted,
    }
}

/// Can a binding tell images apart by what the provider maps?
fn tells_images_apart(provider: &Provider, right: &Value) -> bool {
    let mut other = right.clone();
    set(&mut other, "submods.container.image_digest", json!("sha256:other"));
    set(&mut other, "submods.container.image_reference", json!("other@sha256:other"));
    match (provider.identity(right), provider.identity(&other)) {
        (Ok(right), Ok(other)) => right != other,
        // The mapping is refused for another reason, which has a finding of its own.
        _ => true,
    }
}

/// The longest names that Google allows.
fn subject(provider: &Provider, settings: &ProviderSettings, right: &Value, findings: &mut Findings<'_>) {
    let (project, zone, instance) = ("p".repeat(30), "northamerica-northeast1-a", "i".repeat(63));
    let mut long = right.clone();
    let sub = format!("https://www.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances/{instance}");
    set(&mut long, "sub", json!(sub));
    set(&mut long, "submods.gce.project_id", json!(project));
    set(&mut long, "submods.gce.instance_name", json!(instance));
    set(&mut long, "submods.gce.zone", json!(zone));
    if let Err(MappingError::Subject { length }) = provider.identity(&long) {
        let at = format!("{}/google.subject", settings.at("mapping"));
        findings.add(&SUBJECT, &at, format!("it can have {length} bytes, {MAX_SUBJECT} are allowed"));
    }
}

/// Issuer, audiences and name.
fn trust(settings: &ProviderSettings, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let want = contract.map_or(GOOGLE_ISSUER, |contract| contract.environment.issuer());
    if let Some(issuer) = settings.issuer.as_deref() {
        if issuer == format!("{want}/") {
            findings.add(&ISSUER_SLASH, &settings.at("issuer"), format!("{issuer} ends with a slash"));
        } else if issuer != want {
            findings.add(&ISSUER, &settings.at("issuer"), format!("tokens of {issuer} are accepted"));
        }
    } else if settings.complete && contract.is_none_or(|contract| !contract.environment.is_simulated()) {
        findings.add(&ISSUER, "", "the provider names no OIDC issuer");
    }
    let at = settings.at("audiences");
    if settings.audiences.iter().any(|audience| audience.trim_end_matches('/') == SHARED_AUDIENCE) {
        findings.add(&SHARED, &at, format!("{SHARED_AUDIENCE} is an allowed audience"));
    }
    if settings.disabled {
        findings.add(&DISABLED, "", "tokens are refused while it is disabled");
    }
    let Some(name) = settings.full_name.as_deref().filter(|_| contract.is_some()) else { return };
    let named = contract.is_some_and(|contract| {
        contract.collaborators().any(|(_, data)| data.identity_provider == format!("//iam.googleapis.com/{name}"))
    });
    if !named {
        findings.add(&UNNAMED, "", format!("the contract does not name {name}"));
    }
    let asked = [format!("//iam.googleapis.com/{name}"), format!("https://iam.googleapis.com/{name}")];
    if !settings.audiences.is_empty() && !settings.audiences.iter().any(|audience| asked.contains(audience)) {
        findings.add(&AUDIENCE, &at, "the provider's own name is none of them");
    }
}

/// External account credentials: where they send the token.
pub(crate) fn credentials(value: &Value, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    let simulated = contract.is_some_and(|contract| contract.environment.is_simulated());
    for name in ["token_url", "token_info_url", "service_account_impersonation_url"] {
        let Some(url) = value.get(name).and_then(Value::as_str) else { continue };
        let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let simulator = simulated && url.contains(csign_contract::SIMULATOR_SUFFIX);
        if !simulator && !["sts.googleapis.com", "iamcredentials.googleapis.com"].contains(&host) {
            findings.add(&TOKEN_URL, &format!("/{name}"), format!("{name} is {url}"));
        }
    }
}
