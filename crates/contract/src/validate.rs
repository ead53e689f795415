//! Checks that types cannot express. Each refusal names the member and says what to do.

mod state;

use std::collections::BTreeMap;

use crate::{Contract, ContractError, Environment, Messages, Party, SIMULATOR_SUFFIX, Sources, Threshold};

fn invalid(at: impl Into<String>, problem: impl Into<String>) -> ContractError {
    ContractError::Invalid { at: at.into(), problem: problem.into() }
}

/// Checks a parsed contract.
///
/// # Errors
/// The first member that makes no sense.
pub(crate) fn validate(contract: &Contract) -> Result<(), ContractError> {
    if contract.version != 1 {
        return Err(invalid(
            "version",
            format!("{} is unknown to this csign, which reads version 1", contract.version),
        ));
    }
    label("name", &contract.name)?;
    parties(contract)?;
    environment(contract)?;
    policies(contract)?;
    serving(contract)?;
    state::state(contract)?;
    if contract.platform.hardware.is_empty() {
        return Err(invalid(
            "platform.hardware",
            "is empty; name at least one hwmodel, for instance \"GCP_INTEL_TDX\"",
        ));
    }
    for model in &contract.platform.hardware {
        if !matches!(model.as_str(), "GCP_AMD_SEV" | "GCP_AMD_SEV_ES" | "GCP_INTEL_TDX") {
            return Err(invalid(
                "platform.hardware",
                format!("{model:?} is no confidential hwmodel: GCP_INTEL_TDX, GCP_AMD_SEV or GCP_AMD_SEV_ES"),
            ));
        }
    }
    for (at, text) in [
        ("operator.project_id", &contract.operator.project_id),
        ("operator.service_account", &contract.operator.service_account),
    ] {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(invalid(at, "is empty or has white space"));
        }
    }
    messages(&contract.messages)
}

fn messages(messages: &Messages) -> Result<(), ContractError> {
    resource("messages.topic", &messages.topic, &["projects", "topics"])?;
    resource("messages.subscription", &messages.subscription, &["projects", "subscriptions"])?;
    if let Some(dead_letter) = &messages.dead_letter {
        resource("messages.dead_letter", dead_letter, &["projects", "topics"])?;
        if *dead_letter == messages.topic {
            return Err(invalid("messages.dead_letter", "is messages.topic itself: what is refused would come again"));
        }
    }
    if messages.data_key_seconds.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        return Err(invalid("messages.data_key_seconds", "is not 1 to 3600"));
    }
    Ok(())
}

fn parties(contract: &Contract) -> Result<(), ContractError> {
    let count = contract.parties.len();
    if count == 0 {
        return Err(invalid("party", "there is none; add a [[party]] for everyone who must sign"));
    }
    if let Threshold::AtLeast(_) = contract.signatures.threshold {
        let required = contract.signatures.threshold.required(count);
        if required > count {
            return Err(invalid("signatures.threshold", format!("{required} is more than the {count} parties")));
        }
    }
    if matches!(contract.signatures.sources, Sources::Token | Sources::Both) {
        let reads = |party: &&Party| party.public_key.algorithm().is_read_by_confidential_space();
        let (can, required) =
            (contract.parties.iter().filter(reads).count(), contract.signatures.threshold.required(count));
        if can < required {
            return Err(invalid(
                "signatures.sources",
                format!(
                    "wants {required} signatures in the token, and Confidential Space reads keys of {can} parties only"
                ),
            ));
        }
    }
    let mut names = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (index, party) in contract.parties.iter().enumerate() {
        let at = format!("party[{index}] ({})", party.name);
        label(&at, &party.name)?;
        if names.insert(&party.name, ()).is_some() {
            return Err(invalid(at, "the name stands twice"));
        }
        if let Some(other) = keys.insert(party.public_key.id(), &party.name) {
            return Err(invalid(
                at,
                format!("has the same public key as {other}; every party signs with a key of its own"),
            ));
        }
        if let Some(collaborator) = &party.collaborator {
            let at_key = format!("{at} kms_key");
            resource(&at_key, &collaborator.kms_key, &["projects", "locations", "keyRings", "cryptoKeys"])?;
            provider(&format!("{at} identity_provider"), &collaborator.identity_provider)?;
        }
    }
    let mut providers = BTreeMap::new();
    for (party, collaborator) in contract.collaborators() {
        if let Some(other) = providers.insert(&collaborator.identity_provider, &party.name) {
            return Err(invalid(
                format!("party {}", party.name),
                format!("has the same identity_provider as {other}; a token for one would work at the other"),
            ));
        }
    }
    Ok(())
}

fn environment(contract: &Contract) -> Result<(), ContractError> {
    let on_simulator = contract.image.repository.host().ends_with(SIMULATOR_SUFFIX);
    match &contract.environment {
        Environment::Google {} if on_simulator => {
            Err(invalid("image.repository", "is on the simulator, but environment.kind is \"google\""))
        }
        Environment::Google {} => Ok(()),
        Environment::Simulated { issuer, issuer_keys, issuer_roots } => {
            let host = issuer.strip_prefix("http://").unwrap_or_default();
            if !host.ends_with(SIMULATOR_SUFFIX) || host.contains(['/', ':', '@', '?', '#']) {
                return Err(invalid("environment.issuer", format!("must be http://NAME{SIMULATOR_SUFFIX}")));
            }
            if issuer_keys.is_empty() {
                return Err(invalid("environment.issuer_keys", "is empty; simulator up prints the thumbprint"));
            }
            let is_sha256 = |text: &String| {
                text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            if !issuer_roots.iter().all(is_sha256) {
                return Err(invalid("environment.issuer_roots", "each is a sha256 in 64 lowercase hex digits"));
            }
            if contract.attestation.token.wants_pki() && issuer_roots.is_empty() {
                return Err(invalid(
                    "environment.issuer_roots",
                    "is empty, and attestation.token wants PKI tokens; simulator up prints the root",
                ));
            }
            if !on_simulator {
                return Err(invalid(
                    "image.repository",
                    format!("must be on a host under {SIMULATOR_SUFFIX} when simulated"),
                ));
            }
            Ok(())
        }
    }
}

/// Bytes of one policy.
const POLICY_LIMIT: usize = 64 << 10;
/// Policies of one contract: the attestations are read for each.
const POLICIES: usize = 16;

fn policies(contract: &Contract) -> Result<(), ContractError> {
    if contract.policies.len() > POLICIES {
        return Err(invalid("policy", format!("there are more than {POLICIES}")));
    }
    let mut names = BTreeMap::new();
    for (index, policy) in contract.policies.iter().enumerate() {
        let at = format!("policy[{index}] ({})", policy.name);
        label(&at, &policy.name)?;
        if names.insert(&policy.name, ()).is_some() {
            return Err(invalid(at, "the name stands twice"));
        }
        if let Err(error) = policy.predicate_type.parse::<csign_envelope::PredicateType>() {
            return Err(invalid(format!("{at} predicate_type"), error.to_string()));
        }
        if policy.rego.trim().is_empty() || policy.rego.len() > POLICY_LIMIT {
            return Err(invalid(format!("{at} rego"), format!("is empty or has more than {POLICY_LIMIT} bytes")));
        }
        let parties = contract.parties.len();
        if let Some(threshold) = policy.threshold
            && threshold.required(parties) > parties
        {
            return Err(invalid(format!("{at} threshold"), format!("is more than the {parties} parties")));
        }
    }
    Ok(())
}

fn serving(contract: &Contract) -> Result<(), ContractError> {
    let ports = [
        ("health.port", contract.health.map(|health| health.port)),
        ("ingest.port", contract.ingest.map(|ingest| ingest.port)),
    ];
    for (at, port) in ports {
        if port == Some(0) && !contract.environment.is_simulated() {
            return Err(invalid(at, "is 0, which lets the system pick a port: under a simulated contract only"));
        }
    }
    if let [(_, Some(health)), (at, Some(ingest))] = ports
        && health == ingest
        && health != 0
    {
        return Err(invalid(at, "is the health port too"));
    }
    let mut names = BTreeMap::new();
    let mut authorities = BTreeMap::new();
    for (party, collaborator) in contract.collaborators() {
        let Some(ingest) = &collaborator.ingest else { continue };
        let at = format!("party {} ingest", party.name);
        if contract.ingest.is_none() {
            return Err(invalid(at, "is there, but no [ingest] table with a port"));
        }
        if !is_dns_name(&ingest.server_name) {
            return Err(invalid(
                format!("{at}.server_name"),
                "is no DNS name of lowercase letters, digits, '-' and '.'",
            ));
        }
        if let Some(other) = names.insert(&ingest.server_name, &party.name) {
            return Err(invalid(format!("{at}.server_name"), format!("is {other}'s too")));
        }
        if let Some(other) = authorities.insert(&ingest.client_ca, &party.name) {
            let problem = format!("is {other}'s too; a certificate of one would speak for the other");
            return Err(invalid(format!("{at}.client_ca"), problem));
        }
    }
    if contract.ingest.is_some() && names.is_empty() {
        return Err(invalid("ingest", "no collaborator has an ingest table: nobody could send anything"));
    }
    Ok(())
}

/// A name that TLS can ask for (RFC 6066, section 3): at least one letter, so that it is no address.
fn is_dns_name(text: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part) && text.bytes().any(|b| b.is_ascii_lowercase())
}

/// Names go into tables, tags and additional authenticated data: no surprises in them.
fn label(at: &str, text: &str) -> Result<(), ContractError> {
    let fine = (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fine { Ok(()) } else { Err(invalid(at, "a name has 1 to 63 lowercase letters, digits or '-'")) }
}

/// `//iam.googleapis.com/projects/N/…/providers/X`.
fn provider(at: &str, text: &str) -> Result<(), ContractError> {
    let path = text
        .strip_prefix("//iam.googleapis.com/")
        .ok_or_else(|| invalid(at, "does not start with //iam.googleapis.com/"))?;
    resource(at, path, &["projects", "locations", "workloadIdentityPools", "providers"])
}

/// `projects/P/locations/L/…`: the given collections in this order, each with an id.
fn resource(at: &str, text: &str, collections: &[&str]) -> Result<(), ContractError> {
    let parts: Vec<&str> = text.split('/').collect();
    let id_ok = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:~+%".contains(&b));
    let fine = parts.len() == collections.len() * 2
        && parts.chunks(2).zip(collections).all(|(pair, want)| matches!(pair, [name, id] if name == want && id_ok(id)));
    if fine {
        return Ok(());
    }
    let want: Vec<String> = collections.iter().map(|name| format!("{name}/…")).collect();
    Err(invalid(at, format!("{text:?} is not {}", want.join("/"))))
}
