//! One decision explained: a token before a provider's condition and mapping, and before the bindings behind it.

mod advice;
mod log;

use csign_cel::{Outcome, federation::Provider};
use serde::Serialize;
use serde_json::Value;

pub use advice::of_reason;
pub use log::{LogEntry, log_entries};

use crate::{
    error::LintError,
    finding::printable,
    read::{Policy, ProviderSettings},
    rules::provider,
};

/// Longest text of a value or a reason, in characters.
const MAX_TEXT: usize = 600;
/// Most members and clauses that are listed.
const MAX_ROWS: usize = 200;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The token's claims. Whether its signature is right is not asked.
    pub claims: &'a Value,
    /// The provider that it is shown to.
    pub provider: &'a ProviderSettings,
    /// The policies of the resources behind it.
    pub policies: &'a [&'a Policy],
    /// The issuer that tokens must have, if the provider does not say.
    pub issuer: Option<&'a str>,
    /// When it is shown, in seconds since 1970.
    pub now: u64,
}

/// What a part of the decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It has no value, which denies.
    Error,
    /// What was given does not say.
    Unknown,
}

impl Verdict {
    /// The word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }
}

/// One step of the exchange, in STS's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `enabled`, `issuer`, `times`, `audience`, `mapping`, `condition`, `binding`.
    pub step: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was compared with what.
    pub detail: String,
}

/// One operand of the condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Its text.
    pub clause: String,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it has no value, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The inputs that it names, with their values.
    pub saw: Vec<(String, String)>,
    /// Is the result owed to it?
    pub decides: bool,
}

/// A member of a binding, and whether the bearer is it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The role.
    pub role: String,
    /// The member as it is written.
    pub member: String,
    /// The bearer of the token is this member.
    pub matches: bool,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// STS gives an access token, and if there are policies, its bearer has a role in one of them.
    pub admitted: bool,
    /// STS gives an access token.
    pub exchanged: bool,
    /// Every step, in order; those after the first that fails too.
    pub steps: Vec<Step>,
    /// The condition's operands.
    pub clauses: Vec<Clause>,
    /// Any one of the operands would do.
    pub alternatives: bool,
    /// The mapped subject, groups and attributes.
    pub identity: Option<MappedIdentity>,
    /// The members that mean the bearer.
    pub members: Vec<String>,
    /// The members of the policies' bindings.
    pub grants: Vec<Grant>,
    /// Why it is refused: the first step that fails.
    pub reason: Option<String>,
    /// What to change.
    pub advice: Vec<String>,
}

/// Who the bearer becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappedIdentity {
    /// `google.subject`
    pub subject: String,
    /// `google.groups`
    pub groups: Vec<String>,
    /// By name, without `attribute.`
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// Seconds by which STS lets a token come from the future.
const LEEWAY: u64 = 30;

/// Follows the exchange: 1. is the provider enabled; 2. issuer; 3. times; 4. audience; 5. mapping; 6. condition; 7. bindings.
///
/// # Errors
/// The provider is none that Google accepts.
pub fn explain(question: &Question<'_>) -> Result<Answer, LintError> {
    let Question { claims, provider: settings, policies, .. } = *question;
    let provider = provider::parse(settings).map_err(|error| LintError::Provider(error.to_string()))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut steps = Vec::new();
    let mut step = |step, verdict, detail: String| {
        steps.push(Step { step, verdict, detail: printable(&detail, MAX_TEXT) });
        verdict
    };

    // 1.
    if settings.disabled {
        step("enabled", Verdict::False, "the provider is disabled".to_owned());
    }
    // 2.
    let issuer = text("iss");
    match settings.issuer.as_deref().or(question.issuer) {
        // Google compares without the slash that its own guides write.
        Some(want) => {
            let same = want.trim_end_matches('/') == issuer;
            step("issuer", verdict(same), format!("the token's is {issuer}, the provider's {want}"));
        }
        None => {
            step("issuer", Verdict::Unknown, format!("the token's is {issuer}; the provider's is not given"));
        }
    }
    // 3.
    let (holds, detail) = times(claims, question.now);
    step("times", holds, detail);
    // 4.
    let audiences = audiences(claims);
    if settings.full_name.is_some() || !settings.audiences.is_empty() {
        let expected = if settings.audiences.is_empty() {
            format!("//iam.googleapis.com/{} with or without https:", provider.name())
        } else {
            settings.audiences.join(", ")
        };
        let meant = audiences.iter().any(|audience| provider.is_for(audience));
        step("audience", verdict(meant), format!("the token's is {}, expected is {expected}", audiences.join(", ")));
    } else {
        let detail = format!("the token's is {}; the provider's name is not given", audiences.join(", "));
        step("audience", Verdict::Unknown, detail);
    }
    // 5.
    let identity = provider.identity(claims);
    match &identity {
        Ok(identity) => step("mapping", Verdict::True, format!("google.subject is {:?}", identity.subject)),
        Err(error) => step("mapping", Verdict::Error, error.to_string()),
    };
    // 6. Without an identity the clauses on `assertion` are still worth seeing.
    let known = identity.clone().unwrap_or_default();
    let (clauses, alternatives) = condition(&provider, claims, &known, &mut step);
    // 7.
    let members = identity.as_ref().map(|identity| identity.members(provider.pool())).unwrap_or_default();
    let grants = grants(policies, &members);
    if !policies.is_empty() {
        let held: Vec<&str> = grants.iter().filter(|grant| grant.matches).map(|grant| grant.role.as_str()).collect();
        let detail =
            if held.is_empty() { "no member of a binding means the bearer".to_owned() } else { held.join(", ") };
        step("binding", verdict(!held.is_empty()), detail);
    }

    let fails = |step: &&Step| matches!(step.verdict, Verdict::False | Verdict::Error);
    let exchanged = !steps.iter().filter(|step| step.step != "binding").any(|step| fails(&step));
    let reason = steps.iter().find(fails).map(|step| format!("{}: {}", step.step, step.detail));
    let advice = advice::advice(&steps, &clauses, &provider, claims);
    let identity = identity.ok().map(|identity| MappedIdentity {
        subject: printable(&identity.subject, MAX_TEXT),
        groups: identity.groups.iter().map(|group| printable(group, MAX_TEXT)).collect(),
        attributes: identity
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), printable(value, MAX_TEXT)))
            .collect(),
    });
    Ok(Answer {
        admitted: reason.is_none(),
        exchanged,
        steps,
        clauses,
        alternatives,
        identity,
        members: members.iter().take(MAX_ROWS).map(|member| printable(member, MAX_TEXT)).collect(),
        grants,
        reason,
        advice,
    })
}

fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::True } else { Verdict::False }
}

fn audiences(claims: &Value) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn times(claims: &Value, now: u64) -> (Verdict, String) {
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let (Some(issued), Some(not_before), Some(expires)) = (time("iat"), time("nbf"), time("exp")) else {
        return (Verdict::False, "iat, nbf or exp is missing".to_owned());
    };
    if expires <= now {
        (Verdict::False, format!("it expired at {expires}, now is {now}"))
    } else if issued > now.saturating_add(LEEWAY) || not_before > now.saturating_add(LEEWAY) {
        (Verdict::False, format!("it is valid from {}, now is {now}", issued.max(not_before)))
    } else {
        (Verdict::True, format!("it is valid from {} to {expires}, looked at {now}", issued.max(not_before)))
    }
}

fn condition(
    provider: &Provider,
    claims: &Value,
    identity: &csign_cel::federation::Identity,
    step: &mut dyn FnMut(&'static str, Verdict, String) -> Verdict,
) -> (Vec<Clause>, bool) {
    let Some(condition) = provider.condition() else {
        step("condition", Verdict::True, "there is none: every token of the issuer is accepted".to_owned());
        return (Vec::new(), false);
    };
    let explanation = condition.explain(&identity.variables(claims));
    let deciding = explanation.deciding();
    let clauses = explanation.clauses.iter().take(MAX_ROWS).map(|clause| {
        let (verdict, error) = outcome(&clause.outcome);
        Clause {
            clause: printable(&clause.source, MAX_TEXT),
            verdict,
            error,
            saw: clause
                .saw
                .iter()
                .map(|(path, value)| (printable(path, MAX_TEXT), printable(value, MAX_TEXT)))
                .collect(),
            decides: deciding.iter().any(|found| std::ptr::eq(*found, clause)),
        }
    });
    let clauses = clauses.collect();
    let (verdict, _) = outcome(&explanation.outcome);
    let detail = if explanation.admits() { "it holds".to_owned() } else { explanation.to_string() };
    step("condition", verdict, detail);
    (clauses, explanation.alternatives)
}

fn outcome(outcome: &Outcome) -> (Verdict, Option<String>) {
    match outcome {
        Outcome::True => (Verdict::True, None),
        Outcome::False => (Verdict::False, None),
        Outcome::Error(error) => (Verdict::Error, Some(printable(&error.to_string(), MAX_TEXT))),
    }
}

fn grants(policies: &[&Policy], members: &[String]) -> Vec<Grant> {
    let bindings = policies.iter().flat_map(|policy| &policy.bindings);
    let all = bindings.flat_map(|binding| {
        binding.members.iter().map(|(_, member)| {
            let everyone = ["allUsers", "allAuthenticatedUsers"].contains(&member.as_str());
            // A binding's own condition is not evaluated: it is not counted.
            let matches = !binding.conditional && (everyone || members.contains(member));
            Grant { role: printable(&binding.role, MAX_TEXT), member: printable(member, MAX_TEXT), matches }
        })
    });
    all.take(MAX_ROWS).collect()
}
