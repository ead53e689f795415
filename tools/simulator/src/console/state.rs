//! What the page shows beside the log: parties with what is theirs, images that run, counts. No secrets.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    config::{Binding, Key},
    simulator::Services,
    sts::Provider,
};

/// Who holds keys, and on what terms: a project, with the providers that its bindings speak of.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Party {
    keys: Vec<Key>,
    providers: Vec<Provider>,
    bindings: Vec<Binding>,
}

/// One JSON object; see `docs/simulator.md` for its members.
pub(super) fn snapshot(services: &Services) -> Value {
    json!({
        "run": &*services.run,
        "time": services.clock.now(),
        "issuer": services.issuer.name(),
        "issuer_key_thumbprints": services.issuer.key_thumbprints(),
        "parties": parties(services.kms.keys(), services.sts.providers(), services.iam.bindings())
            .into_iter()
            .map(|(name, party)| json!({"name": name, "party": party}))
            .collect::<Vec<_>>(),
        "images": services.instances.snapshot(),
        "counts": services.audit.counts(),
        "total": services.audit.total(),
        "audit_file_error": services.audit.file_error(),
    })
}

/// Keys by their project. A binding belongs to the project of its resource; a provider to every party one of whose
/// bindings names its pool, else to its own project's number.
fn parties(keys: Vec<Key>, providers: Vec<Provider>, bindings: Vec<Binding>) -> BTreeMap<String, Party> {
    let mut parties: BTreeMap<String, Party> = BTreeMap::new();
    for key in keys {
        parties.entry(project_of(&key.name).to_owned()).or_default().keys.push(key);
    }
    for binding in bindings {
        parties.entry(project_of(&binding.resource).to_owned()).or_default().bindings.push(binding);
    }
    for provider in providers {
        let pool = provider.name.split_once("/providers/").map_or(provider.name.as_str(), |(pool, _)| pool);
        let members = format!("//iam.googleapis.com/{pool}/");
        let named = |party: &&mut Party| party.bindings.iter().any(|binding| binding.member.contains(&members));
        let mut owners: Vec<&mut Party> = parties.values_mut().filter(named).collect();
        if owners.is_empty() {
            parties.entry(project_of(&provider.name).to_owned()).or_default().providers.push(provider);
        } else {
            for owner in &mut owners {
                owner.providers.push(provider.clone());
            }
        }
    }
    parties
}

/// The project's name in `projects/P/…`; the first part of anything else.
fn project_of(resource: &str) -> &str {
    let mut parts = resource.split('/');
    match (parts.next(), parts.next()) {
        (Some("projects"), Some(project)) => project,
        (first, _) => first.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_stands_with_the_party_whose_bindings_trust_its_pool() {
        let key = "projects/alice/locations/global/keyRings/r/cryptoKeys/k";
        let pool = |number: u32| format!("projects/{number}/locations/global/workloadIdentityPools/p");
        let provider =
            |number: u32| -> Provider { crate::config::tests::provider(&format!("{}/providers/q", pool(number))) };
        let bindings = vec![Binding {
            resource: key.to_owned(),
            permission: "use".to_owned(),
            member: format!("principalSet://iam.googleapis.com/{}/*", pool(1)),
        }];
        let keys = vec![Key { name: key.to_owned(), purpose: crate::kms::Purpose::EncryptDecrypt }];
        // The pool of number 11 must not pass for that of number 1.
        let parties = parties(keys, vec![provider(1), provider(11)], bindings);
        assert_eq!(parties.keys().collect::<Vec<_>>(), ["11", "alice"]);
        assert_eq!(parties["alice"].providers.len(), 1);
        assert_eq!(parties["alice"].keys.len(), 1);
        assert_eq!(parties["11"].providers[0].name, format!("{}/providers/q", pool(11)));
    }
}
