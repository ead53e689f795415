//! IAM bindings: who may decrypt, and what their members mean together with the provider that they name.

use csign_cel::federation::{MAX_SUBJECT, Provider};
use csign_contract::Contract;
use serde_json::Value;

use super::provider::{facts, filler, judge, parse};
use crate::{
    finding::Findings,
    gate::{Duty, Gate, Verdict},
    read::{Policy, ProviderSettings},
    rule::{Rule, Severity},
};

const AREA: &str = "binding";

pub(crate) static PUBLIC: Rule = Rule {
    id: "binding-public",
    area: AREA,
    severity: Severity::Error,
    title: "Everyone is a member",
    explanation: "`allUsers` is everyone on the Internet, `allAuthenticatedUsers` everyone with any Google account.",
    fix: "Name whom you mean.",
};
pub(crate) static POOL: Rule = Rule {
    id: "binding-whole-pool",
    area: AREA,
    severity: Severity::Error,
    title: "A whole pool is a member",
    explanation: "`principalSet://…/POOL/*` is every identity that any provider of the pool accepts, whatever its image, and whatever provider \
                  is added to the pool later.",
    fix: "Bind `principalSet://…/POOL/attribute.image_digest/sha256:…`.",
};
pub(crate) static NOT_IMAGE: Rule = Rule {
    id: "binding-not-image",
    area: AREA,
    severity: Severity::Warning,
    title: "The member says nothing about the image",
    explanation: "The member is an attribute that no image digest stands in, so which program gets in is up to the provider's condition \
                  alone, which was not among what was checked.",
    fix: "Bind `attribute.image_digest/sha256:…`, or check the provider together with this policy.",
};
pub(crate) static TAG: Rule = Rule {
    id: "binding-tag",
    area: AREA,
    severity: Severity::Error,
    title: "An image is named by its tag",
    explanation: "`image_reference` is what the operator wrote. A tag can be moved to another program at any time.",
    fix: "Bind `attribute.image_digest/sha256:…`.",
};
pub(crate) static UNATTESTED: Rule = Rule {
    id: "binding-unattested-decrypter",
    area: AREA,
    severity: Severity::Error,
    title: "Someone who is no attested workload may decrypt",
    explanation: "The key is meant for one program in Confidential Space. A user, a group or a service account with a decrypting role (also \
                  `cryptoKeyEncrypterDecrypter`, which guides give to people for trying things out) reads everything without it.",
    fix: "People who encrypt need `roles/cloudkms.cryptoKeyEncrypter`; decrypting is for `principalSet://…` members only.",
};
pub(crate) static SUBJECT: Rule = Rule {
    id: "binding-subject-length",
    area: AREA,
    severity: Severity::Error,
    title: "The subject is longer than any can be",
    explanation: "A mapped `google.subject` has at most 127 bytes, so this member means nobody.",
    fix: "Map a shorter subject, or bind an attribute.",
};
pub(crate) static MALFORMED: Rule = Rule {
    id: "binding-malformed",
    area: AREA,
    severity: Severity::Error,
    title: "The member means nobody",
    explanation: "A federated member is `principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/subject/S` or \
                  `principalSet://…/POOL/attribute.NAME/VALUE`, with the project's number, not its id. Values are compared whole; there are no \
                  wildcards in them.",
    fix: "Correct the member; `csign render` writes it.",
};
pub(crate) static UNMAPPED: Rule = Rule {
    id: "binding-unmapped-attribute",
    area: AREA,
    severity: Severity::Error,
    title: "The provider does not map this attribute",
    explanation: "A member with an attribute that the provider does not map means nobody.",
    fix: "Add the attribute to the provider's mapping, or bind one that it has.",
};

pub(crate) static RULES: &[&Rule] = &[&PUBLIC, &POOL, &NOT_IMAGE, &TAG, &UNATTESTED, &SUBJECT, &MALFORMED, &UNMAPPED];

/// Roles whose bearer may decrypt.
pub(crate) const DECRYPTERS: [&str; 4] = [
    "roles/cloudkms.cryptoKeyDecrypter",
    "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "roles/cloudkms.cryptoKeyDecrypterViaDelegation",
    "roles/cloudkms.cryptoKeyEncrypterDecrypterViaDelegation",
];

/// Providers that were read with the policies.
pub(crate) type Known<'a> = [&'a ProviderSettings];

pub(crate) fn check(policy: &Policy, known: &Known<'_>, contract: Option<&Contract>, findings: &mut Findings<'_>) {
    for binding in &policy.bindings {
        for (pointer, member) in &binding.members {
            if ["allUsers", "allAuthenticatedUsers"].contains(&member.as_str()) {
                findings.add(&PUBLIC, pointer, format!("{member} has {}", binding.role));
            } else if let Some(member) = Member::parse(member) {
                federated(&member, pointer, known, contract, findings);
            } else if member.starts_with("principal") {
                // Workforce pools and other principals are people.
                let rule = if member.contains("workloadIdentityPools") { &MALFORMED } else { &UNATTESTED };
                if rule.id == MALFORMED.id || DECRYPTERS.contains(&binding.role.as_str()) {
                    findings.add(rule, pointer, format!("{member} has {}", binding.role));
                }
            } else if DECRYPTERS.contains(&binding.role.as_str()) && !member.starts_with("deleted:") {
                findings.add(&UNATTESTED, pointer, format!("{member} has {}", binding.role));
            }
        }
    }
}

/// A federated member, taken apart.
struct Member<'a> {
    /// `projects/N/locations/global/workloadIdentityPools/P`
    pool: &'a str,
    /// `*`, `subject/S`, `group/G` or `attribute.NAME/VALUE`
    rest: &'a str,
    text: &'a str,
}

impl<'a> Member<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (set, name) = match text.strip_prefix("principalSet://iam.googleapis.com/") {
            Some(name) => (true, name),
            None => (false, text.strip_prefix("principal://iam.googleapis.com/")?),
        };
        let mut parts = name.splitn(7, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (projects, number, locations, global, pools, id, rest) =
            (next(), next(), next(), next(), next(), next(), next());
        let number_like = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let fixed =
            (projects, locations, global, pools) == ("projects", "locations", "global", "workloadIdentityPools");
        let pool = name.strip_suffix(rest)?.strip_suffix('/')?;
        let rest_fits = match rest.split_once('/') {
            None => set && rest == "*",
            Some(("subject", subject)) => !set && !subject.is_empty(),
            Some(("group", group)) => set && !group.is_empty(),
            Some((attribute, value)) => {
                set && attribute.strip_prefix("attribute.").is_some_and(|name| !name.is_empty()) && !value.is_empty()
            }
        };
        (number_like && fixed && !id.is_empty() && rest_fits && !(rest != "*" && rest.contains('*'))).then_some(Self {
            pool,
            rest,
            text,
        })
    }

    /// The provider, if it is one of this member's pool. Terraform knows the id of a pool, and its project's number late.
    fn behind(&self, settings: &ProviderSettings) -> Option<Provider> {
        let id = self.pool.rsplit('/').next();
        let named = match &settings.full_name {
            Some(name) => name.strip_prefix(self.pool).is_some_and(|rest| rest.starts_with("/providers/")),
            None => settings.pool_id.is_some() && settings.pool_id.as_deref() == id,
        };
        let named = named && settings.condition.is_some();
        let full_name = settings.full_name.clone().unwrap_or_else(|| format!("{}/providers/x", self.pool));
        named.then(|| parse(&ProviderSettings { full_name: Some(full_name), ..settings.clone() }).ok())?
    }

    fn attribute(&self) -> Option<(&'a str, &'a str)> {
        self.rest.strip_prefix("attribute.").and_then(|rest| rest.split_once('/'))
    }
}

fn federated(
    member: &Member<'_>,
    pointer: &str,
    known: &Known<'_>,
    contract: Option<&Contract>,
    findings: &mut Findings<'_>,
) {
    if let Some(subject) = member.rest.strip_prefix("subject/")
        && subject.len() > MAX_SUBJECT
    {
        findings.add(&SUBJECT, pointer, format!("the subject has {} bytes, {MAX_SUBJECT} are allowed", subject.len()));
        return;
    }
    if let Some((name, value)) = member.attribute()
        && name.contains("image_reference")
        && !value.contains("@sha256:")
    {
        findings.add(&TAG, pointer, format!("{value} names no digest"));
        return;
    }
    let own: Vec<(Provider, &ProviderSettings)> =
        known.iter().filter_map(|settings| Some((member.behind(settings)?, *settings))).collect();
    if own.is_empty() {
        if member.rest == "*" {
            findings.add(&POOL, pointer, format!("{} is everyone in the pool", member.text));
        } else if !member.rest.contains("sha256:") {
            findings.add(&NOT_IMAGE, pointer, format!("{} names no image digest", member.text));
        }
        return;
    }
    for (provider, settings) in own {
        together(member, pointer, &provider, settings, contract, findings);
    }
}

/// The member behind its provider: both must admit.
fn together(
    member: &Member<'_>,
    pointer: &str,
    provider: &Provider,
    settings: &ProviderSettings,
    contract: Option<&Contract>,
    findings: &mut Findings<'_>,
) {
    if let Some((name, _)) = member.attribute()
        && !provider.mapping().iter().any(|(target, _)| target.key() == format!("attribute.{name}"))
    {
        findings.add(&UNMAPPED, pointer, format!("{} does not map attribute.{name}", provider.name()));
        return;
    }
    let mut right = facts(contract, settings).claims();
    let mut filler = filler(contract);
    filler.member(provider, member.rest, &mut right);
    filler.provider(provider, &mut right);
    let both = |token: &Value| match judge(provider, token) {
        Verdict::Admitted => {
            let Ok(identity) = provider.identity(token) else { return Verdict::Refused("no identity".to_owned()) };
            let members = identity.members(provider.pool());
            if members.iter().any(|own| own == member.text) {
                Verdict::Admitted
            } else {
                Verdict::Refused(format!("the bearer is none of its members: {}", members.join(", ")))
            }
        }
        refused => refused,
    };
    // The condition's own refusals have findings of their own.
    let mut own = facts(contract, settings).claims();
    self::filler(contract).provider(provider, &mut own);
    if judge(provider, &own) != Verdict::Admitted {
        return;
    }
    let name = if member.rest == "*" { "the whole pool as a member" } else { "the member" };
    Gate {
        name,
        pointer,
        judge: &both,
        rest: None,
        right: right.clone(),
        undecided: filler.undecided,
        duty: Duty { images: true, ..Duty::default() },
    }
    .check(findings);
}
