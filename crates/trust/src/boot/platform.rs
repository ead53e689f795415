//! Every claim that decides, held against the contract.

use csign_attestation::{Claims, Override};
use csign_contract::{Contract, SIMULATOR_VARIABLE};
use csign_oci::Reference;

use crate::{Check, report::printable};

/// Every claim that decides, held against the contract.
pub(super) fn platform(contract: &Contract, claims: &Claims) -> Vec<Check> {
    let want = |subject: &str, holds: bool, got: &str, want: &str| {
        let got = printable(got, 160);
        Check::new(subject, holds, if holds { got } else { format!("{got}, not {want}") })
    };
    let equals = |subject: &str, got: &str, wanted: &str| want(subject, got == wanted, got, wanted);
    let support = contract.platform.support.name();
    let attributes = claims.support_attributes.as_deref();
    let attributes_text = attributes.map_or_else(|| "none (a debug image)".to_owned(), |list| list.join(", "));
    let accounts = &claims.google_service_accounts;
    let account = contract.operator.service_account.as_str();
    let listed = |list: &[String], item: &str| list.iter().any(|text| text == item);
    let container = &claims.container;
    let pinned = contract.image.repository.at(container.image_digest);
    let is_pinned =
        Reference::parse(&container.image_reference).is_ok_and(|found| found == Reference::Pinned(pinned.clone()));
    vec![
        equals("swname", &claims.swname, "CONFIDENTIAL_SPACE"),
        want(
            "hwmodel",
            listed(&contract.platform.hardware, &claims.hwmodel),
            &claims.hwmodel,
            &contract.platform.hardware.join(" or "),
        ),
        want("secboot", claims.secboot, &claims.secboot.to_string(), "true"),
        equals("dbgstat", &claims.dbgstat, "disabled-since-boot"),
        want(
            "support_attributes",
            attributes.is_some_and(|list| listed(list, support)),
            &attributes_text,
            &format!("with {support}"),
        ),
        equals("project_id", &claims.gce.project_id, &contract.operator.project_id),
        want("service account", listed(accounts, account), &accounts.join(", "), account),
        want("image_reference", is_pinned, &container.image_reference, &pinned.to_string()),
        want("cmd_override", container.cmd_override.is_empty(), "the operator's", "empty"),
        env_override(contract, &container.env_override),
    ]
}

/// The operator may override nothing, but for the simulator's address under a simulated contract.
fn env_override(contract: &Contract, found: &Override) -> Check {
    let names: Vec<&str> = match found {
        Override::Absent | Override::Null => Vec::new(),
        Override::Object(members) => members.keys().map(String::as_str).collect(),
        Override::Array(words) => {
            words.iter().map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name)).collect()
        }
    };
    let allowed = |name: &&str| contract.environment.is_simulated() && *name == SIMULATOR_VARIABLE;
    let foreign: Vec<&str> = names.iter().filter(|name| !allowed(name)).copied().collect();
    let found = if names.is_empty() { "none".to_owned() } else { printable(&names.join(", "), 160) };
    let detail = if foreign.is_empty() {
        found
    } else {
        format!("{}: the operator may not set it", printable(&foreign.join(", "), 160))
    };
    Check::new("env_override", foreign.is_empty(), detail)
}

/// Two verified tokens about one workload. Times, nonces and signatures that came to light in between may differ.
pub(super) fn same_workload(first: &Claims, second: &Claims) -> Check {
    let container = |claims: &Claims| {
        let mut container = claims.container.clone();
        container.image_signatures.clear();
        container
    };
    let differing: Vec<&str> = [
        ("sub", first.subject == second.subject),
        ("hwmodel", first.hwmodel == second.hwmodel),
        ("swname", first.swname == second.swname),
        ("secboot", first.secboot == second.secboot),
        ("dbgstat", first.dbgstat == second.dbgstat),
        ("support_attributes", first.support_attributes == second.support_attributes),
        ("google_service_accounts", first.google_service_accounts == second.google_service_accounts),
        ("submods.container", container(first) == container(second)),
        ("submods.gce", first.gce == second.gce),
    ]
    .into_iter()
    .filter_map(|(claim, same)| (!same).then_some(claim))
    .collect();
    let detail = if differing.is_empty() {
        "about the same container on the same machine".to_owned()
    } else {
        format!("differs in {}", differing.join(", "))
    };
    Check::new("second token", differing.is_empty(), detail)
}
