//! Runs all rules over all documents: those that belong together are judged together.

use csign_contract::Contract;

use crate::{
    finding::{Finding, Findings},
    locate,
    read::{Document, Item},
    rules::{aws, binding, contract, image, instance, perimeter, provider, pubsub, rego, request, vault},
};

/// Everything that the rules find in `documents`, in the order of the documents and of the places in them. A `contract`
/// says what is right; without one, what the documents themselves name is.
pub fn lint(documents: &[Document], contract: Option<&Contract>) -> Vec<Finding> {
    let items = documents.iter().flat_map(|document| &document.items);
    let settings = items.filter_map(|located| match &located.item {
        Item::Provider(settings) => Some(settings.as_ref()),
        _ => None,
    });
    let known: Vec<_> = settings.collect();
    let mut all = Vec::new();
    for document in documents {
        let mut found = Vec::new();
        for located in &document.items {
            let mut findings = Findings::new(&document.file, &located.pointer, &mut found);
            let findings = &mut findings;
            match &located.item {
                Item::Contract(contract) => contract::check(contract, findings),
                Item::BadContract(why) => findings.add(&contract::INVALID, "", why),
                Item::Image(config) => image::check(config, contract, findings),
                Item::Request(bytes) => request::check(bytes, contract, findings),
                Item::Rego(text) => rego::check(&document.file, text, findings),
                Item::Provider(settings) => provider::check(settings, contract, findings),
                Item::Policy(policy) => binding::check(policy, &known, contract, findings),
                Item::Instance(instance) => instance::check(instance, contract, findings),
                Item::VaultRole(role) => vault::role(role, contract, findings),
                Item::VaultConfig(config) => vault::config(config, contract, findings),
                Item::Aws(policy) => aws::check(policy, contract, findings),
                Item::AwsProvider(settings) => aws::provider(settings, contract, findings),
                Item::Subscription(subscription) => pubsub::subscription(subscription, contract, findings),
                Item::Ingress(rules) => perimeter::check(rules, findings),
                Item::Message(message) => pubsub::message(message, findings),
                Item::Credentials(credentials) => provider::credentials(credentials, contract, findings),
            }
        }
        locate(document, &mut found);
        found.sort_by(|a, b| (a.line, &a.pointer, a.rule, &a.message).cmp(&(b.line, &b.pointer, b.rule, &b.message)));
        found.dedup();
        all.extend(found);
    }
    all
}

/// The lines of the findings' pointers; a pointer to what is not there has the line of what it would be in.
fn locate(document: &Document, found: &mut [Finding]) {
    if found.is_empty() || document.text.is_empty() {
        return;
    }
    let json = document.text.trim_start().starts_with('{') || document.text.trim_start().starts_with("[\n");
    let lines = if json { locate::json(&document.text) } else { locate::toml(&document.text) };
    let lines = if lines.is_empty() { locate::json(&document.text) } else { lines };
    for finding in found {
        let mut pointer = finding.pointer.as_str();
        loop {
            if let Some(line) = lines.get(pointer) {
                finding.line = Some(*line);
                break;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => break,
            }
        }
    }
}
