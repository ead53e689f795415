//! Does what one party published let in the agreed image, and nobody else? Tokens are shown to its provider and to the policies
//! behind it, as `explain` follows one.

use std::collections::BTreeSet;

use csign_contract::{Collaborator, Contract, Support};
use csign_oci::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    claims::{set, set_signers},
    error::LintError,
    explain::{Answer, Question, Step, Verdict, explain},
    fill::Filler,
    finding::printable,
    gate::{Duty, SCENARIOS, too_few},
    read::{Document, Item, Policy, ProviderSettings},
    rules::{
        binding::DECRYPTERS,
        provider::{OF_CONTRACT, facts, least},
    },
};

const DIGEST: &str = "submods.container.image_digest";
const REFERENCE: &str = "submods.container.image_reference";
/// Most digests in the documents whose tokens are shown.
const MAX_DIGESTS: usize = 100;
/// Longest refusal, in characters.
const MAX_REASON: usize = 300;

/// What became of the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Admission {
    /// Documents that are needed and were not given.
    pub missing: Vec<String>,
    /// Why the agreed image is refused; empty: it is let in.
    pub refused: Vec<String>,
    /// Who is let in besides.
    pub strangers: Vec<String>,
    /// How many tokens were shown.
    pub tokens: usize,
}

/// Shows tokens to what `party` published: 1. the agreed image's, on each hardware of the contract, which must get a role that decrypts;
/// 2. tokens of other machines, other images, and of images that too few signed; 3. of every other image that the documents name,
/// except those in `also`. None of 2 and 3 may get any role.
///
/// # Errors
/// The provider is none that Google accepts, or the documents name more images than are looked at.
pub fn admission(
    documents: &[Document],
    contract: &Contract,
    party: &str,
    image: &Digest,
    also: &[Digest],
) -> Result<Admission, LintError> {
    let mut admission = Admission::default();
    let Some((_, data)) = contract.collaborator(party) else { return Ok(admission) };
    let items: Vec<&Item> =
        documents.iter().flat_map(|document| &document.items).map(|located| &located.item).collect();
    let wanted = data.identity_provider.trim_start_matches("//iam.googleapis.com/");
    let mut providers = items.iter().filter_map(|item| match item {
        Item::Provider(settings) if settings.full_name.as_deref() == Some(wanted) => Some(settings.as_ref()),
        _ => None,
    });
    let policies: Vec<&Policy> = items
        .iter()
        .filter_map(|item| match item {
            Item::Policy(policy) => Some(policy),
            _ => None,
        })
        .collect();
    if policies.is_empty() {
        admission.missing.push(format!("the IAM policy of {}", printable(&data.kms_key, MAX_REASON)));
    }
    let Some(provider) = providers.next() else {
        admission.missing.push(format!("the provider {}", printable(wanted, MAX_REASON)));
        return Ok(admission);
    };
    if providers.next().is_some() {
        return Err(LintError::Provider(format!("{} is described twice", printable(wanted, MAX_REASON))));
    }
    Gate { contract, data, provider, policies: &policies }.judge(image, also, &mut admission)?;
    Ok(admission)
}

/// What one party published.
struct Gate<'a> {
    contract: &'a Contract,
    data: &'a Collaborator,
    provider: &'a ProviderSettings,
    policies: &'a [&'a Policy],
}

impl Gate<'_> {
    fn judge(&self, image: &Digest, also: &[Digest], admission: &mut Admission) -> Result<(), LintError> {
        // 1.
        for hardware in &self.contract.platform.hardware {
            let answer = self.ask(&self.token(image, hardware), admission)?;
            if let Some(why) = self.refusal(&answer) {
                admission.refused.push(format!("{why} (on {hardware})"));
            }
        }
        let hardware = self.contract.platform.hardware.first().map_or("", String::as_str);
        let right = self.token(image, hardware);
        let show = |who: String, token: &Value, admission: &mut Admission| -> Result<(), LintError> {
            if self.ask(token, admission)?.admitted {
                admission.strangers.push(who);
            }
            Ok(())
        };
        // 2.
        let duty = Duty {
            images: true,
            operators: true,
            platforms: true,
            out_of_support: self.contract.platform.support == Support::Usable,
            ..Duty::default()
        };
        for scenario in SCENARIOS.iter().filter(|scenario| (scenario.applies)(&duty)) {
            let mut token = right.clone();
            (scenario.change)(&mut token);
            show(scenario.who.to_owned(), &token, admission)?;
        }
        let readable = |party: &&csign_contract::Party| party.public_key.algorithm().is_read_by_confidential_space();
        let signers: Vec<_> = self.contract.parties.iter().filter(readable).collect();
        for kept in too_few(&signers, least(self.contract)) {
            let mut token = self.token(&Digest::of("another image"), hardware);
            let keys: Vec<_> = kept
                .iter()
                .map(|party| (party.public_key.id().to_string(), party.public_key.algorithm().to_string()))
                .collect();
            set_signers(&mut token, &keys);
            let names: Vec<&str> = kept.iter().map(|party| party.name.as_str()).collect();
            let who = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            show(format!("another image that only {who} signed"), &token, admission)?;
        }
        // 3.
        for other in self.named()?.iter().filter(|other| *other != image && !also.contains(other)) {
            show(format!("the image {other}, which the documents name"), &self.token(other, hardware), admission)?;
        }
        admission.strangers.dedup();
        Ok(())
    }

    /// The token of an image that everybody signed. What the contract does not say is as the provider and the policies ask.
    fn token(&self, image: &Digest, hardware: &str) -> Value {
        let mut facts = facts(Some(self.contract), self.provider);
        facts.audience.clone_from(&self.data.identity_provider);
        facts.image_digest = image.to_string();
        facts.image_reference = format!("{}@{image}", self.contract.image.repository);
        hardware.clone_into(&mut facts.hardware);
        let mut token = facts.claims();
        let fixed = [&OF_CONTRACT[..], &[DIGEST, REFERENCE, "hwmodel", "iss", "aud", "secboot"]].concat();
        let mut filler = Filler::keeping(&fixed);
        let Ok(provider) = crate::rules::provider::parse(self.provider) else { return token };
        filler.provider(&provider, &mut token);
        for member in self.members() {
            let rest = ["principalSet", "principal"]
                .iter()
                .find_map(|kind| member.strip_prefix(&format!("{kind}://iam.googleapis.com/{}/", provider.pool())));
            if let Some(rest) = rest {
                filler.member(&provider, rest, &mut token);
            }
        }
        // Whatever was asked for: it is this image's token.
        set(&mut token, DIGEST, json!(image));
        token
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        let bindings = self.policies.iter().flat_map(|policy| &policy.bindings);
        bindings.flat_map(|binding| &binding.members).map(|(_, member)| member.as_str())
    }

    fn ask(&self, token: &Value, admission: &mut Admission) -> Result<Answer, LintError> {
        admission.tokens += 1;
        explain(&Question {
            claims: token,
            provider: self.provider,
            policies: self.policies,
            issuer: Some(self.contract.environment.issuer()),
            now: token.get("iat").and_then(Value::as_u64).unwrap_or_default(),
        })
    }

    /// Why the agreed image cannot decrypt, if it cannot.
    fn refusal(&self, answer: &Answer) -> Option<String> {
        let fails = |step: &&Step| matches!(step.verdict, Verdict::False | Verdict::Error);
        if let Some(step) = answer.steps.iter().find(fails) {
            return Some(printable(&format!("{}: {}", step.step, step.detail), MAX_REASON));
        }
        let decrypts = answer.grants.iter().any(|grant| grant.matches && DECRYPTERS.contains(&grant.role.as_str()));
        (!self.policies.is_empty() && !decrypts).then(|| "binding: no role that decrypts is given to it".to_owned())
    }

    /// The images that conditions, mappings and members name.
    fn named(&self) -> Result<BTreeSet<Digest>, LintError> {
        let texts = self.provider.condition.iter().chain(self.provider.mapping.values()).map(String::as_str);
        let mut found = BTreeSet::new();
        for text in texts.chain(self.members()) {
            for (at, _) in text.match_indices("sha256:") {
                let digest = text.get(at..at + 71).and_then(|text| Digest::parse(text).ok());
                found.extend(digest);
            }
            if found.len() > MAX_DIGESTS {
                return Err(LintError::Images { limit: MAX_DIGESTS });
            }
        }
        Ok(found)
    }
}
