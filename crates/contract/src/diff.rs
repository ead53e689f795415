//! What changed between two contracts, by meaning: members by their names, keys by their ids, what concerns trust first.

use std::collections::{BTreeMap, BTreeSet};

use csign_envelope::PublicKey;
use csign_oci::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Certificate, Contract, Messages,
    lint::{Warning, lint},
};

/// Lines of a text (Rego) that are shown on each side.
const MAX_LINES: usize = 40;
/// Characters of a value in a sentence.
const MAX_SHOWN: usize = 300;
/// Members whose change lets nobody else in and shows nothing to anybody. Every other one, known or not, concerns trust.
const HARMLESS: [&str; 3] = ["name", "messages.topic", "messages.subscription"];

/// Everything that differs between two contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Digest of the old contract.
    pub old: Digest,
    /// Digest of the new contract.
    pub new: Digest,
    /// What differs: what concerns trust first, then by member. Empty only if the digests are equal.
    pub changes: Vec<Change>,
    /// What a careful reader would ask about the new contract and had no reason to ask about the old one.
    pub warnings: Vec<Warning>,
}

/// One member that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which member: `image.repository`, `party.alice.public_key`, `platform.hardware[GCP_INTEL_TDX]`.
    pub at: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// It decides who must sign, who is let in, what runs or what is shown.
    pub security: bool,
    /// The old value; a key by its id, a certificate and a text of several lines by its digest.
    pub before: Option<String>,
    /// The new value.
    pub after: Option<String>,
    /// The change as a sentence.
    pub text: String,
    /// Of a text of several lines: those that are gone (`-`) and those that are new (`+`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Changed,
}

/// Compares two contracts. What the contract leaves to a default is compared as that default.
pub fn difference(old: &Contract, new: &Contract) -> Difference {
    let (before, after) = (facts(old), facts(new));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes: Vec<Change> = all
        .into_iter()
        .filter(|at| before.get(*at) != after.get(*at) && !joins_or_leaves(at, old, new))
        .map(|at| change(at, before.get(at), after.get(at), old, new))
        .collect();
    changes.extend(parties(old, new));
    let number = "signatures.threshold";
    if spare(old) != spare(new) && !changes.iter().any(|change| change.at == number) {
        // The same number of more parties is not the same.
        changes.push(change(number, before.get(number), after.get(number), old, new));
    }
    let (from, to) = (old.digest(), new.digest());
    if changes.is_empty() && from != to {
        // Nothing may pass for the same contract that has another digest.
        let text = "only the spelling differs: the order of lists, or a default that is written out".to_owned();
        let kind = ChangeKind::Changed;
        let at = String::new();
        changes.push(Change { at, kind, security: false, before: None, after: None, text, lines: Vec::new() });
    }
    changes.sort_by(|a, b| (!a.security, &a.at).cmp(&(!b.security, &b.at)));
    let known = lint(old);
    let warnings = lint(new).into_iter().filter(|warning| !known.contains(warning)).collect();
    Difference { old: from, new: to, changes, warnings }
}

impl Difference {
    /// Are the contracts the same?
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// One line for each change, marked with `!` where it concerns trust, and one for each new warning.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for change in &self.changes {
            out.push_str(&format!("{} {}\n", if change.security { '!' } else { ' ' }, change.text));
            change.lines.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        }
        for warning in &self.warnings {
            out.push_str(&format!("! careful: {} [{}]\n", warning.text, warning.rule));
        }
        out
    }
}

/// A value, and the text behind it if that has several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    shown: String,
    text: Option<String>,
}

impl Fact {
    fn plain(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), text: None }
    }
}

/// Every member with its value, by its path.
fn facts(contract: &Contract) -> BTreeMap<String, Fact> {
    let mut value = serde_json::to_value(contract).unwrap_or_default();
    let usual = json!({
        "signatures": {"sources": "any"},
        "attestation": {"token": "oidc"},
        "messages": {"data_key_seconds": Messages::DATA_KEY_SECONDS},
        "state": {"kind": "embedded"},
    });
    merge(&mut value, &usual);
    for party in value.get_mut("party").and_then(Value::as_array_mut).into_iter().flatten() {
        let key = party.get("public_key").and_then(Value::as_str).and_then(|pem| PublicKey::from_pem(pem).ok());
        if let Some(key) = key {
            merge(party, &json!({"algorithm": key.algorithm().to_string()}));
        }
    }
    for policy in value.get_mut("policy").and_then(Value::as_array_mut).into_iter().flatten() {
        merge(policy, &json!({"rego_version": "auto", "threshold": "as many as must sign"}));
    }
    let mut facts = BTreeMap::new();
    flatten("", &value, &mut facts);
    facts
}

/// Adds what is not there.
fn merge(value: &mut Value, usual: &Value) {
    match (value, usual) {
        (Value::Object(members), Value::Object(usual)) => {
            for (name, usual) in usual {
                merge(members.entry(name).or_insert(Value::Null), usual);
            }
        }
        (value @ Value::Null, usual) => *value = usual.clone(),
        _ => {}
    }
}

fn flatten(at: &str, value: &Value, facts: &mut BTreeMap<String, Fact>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                flatten(&below(name), value, facts);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                match element.get("name").and_then(Value::as_str) {
                    Some(name) => flatten(&below(name), element, facts),
                    None => {
                        let name = fact(element).shown;
                        facts.insert(format!("{at}[{name}]"), Fact::plain(name));
                    }
                }
            }
        }
        scalar => {
            facts.insert(at.to_owned(), fact(scalar));
        }
    }
}

/// A value as it is shown. What would move a cursor or reorder a line is escaped.
fn fact(value: &Value) -> Fact {
    let Some(text) = value.as_str() else { return Fact::plain(value.to_string()) };
    if let Ok(key) = PublicKey::from_pem(text) {
        return Fact::plain(key.id().to_string());
    }
    if let Ok(certificate) = Certificate::from_pem(text) {
        return Fact::plain(format!("certificate {}", Digest::of(certificate.der())));
    }
    if text.contains('\n') {
        return Fact { shown: Digest::of(text.as_bytes()).to_string(), text: Some(text.to_owned()) };
    }
    Fact::plain(escaped(text))
}

fn escaped(text: &str) -> String {
    text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// For a sentence: a value that is longer is in `before` and `after` whole.
fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Is it a member of a party that joins or leaves? That is one change.
fn joins_or_leaves(at: &str, old: &Contract, new: &Contract) -> bool {
    let name = at.strip_prefix("party.").and_then(|rest| rest.split('.').next());
    let has = |contract: &Contract| contract.parties.iter().any(|party| Some(party.name.as_str()) == name);
    has(old) != has(new)
}

/// Parties that join or leave.
fn parties(old: &Contract, new: &Contract) -> Vec<Change> {
    let lacks = |contract: &Contract, name: &str| !contract.parties.iter().any(|party| party.name == name);
    let mut changes = Vec::new();
    for (from, to, kind) in [(old, new, ChangeKind::Removed), (new, old, ChangeKind::Added)] {
        for party in from.parties.iter().filter(|party| lacks(to, &party.name)) {
            let (name, id) = (&party.name, party.public_key.id().to_string());
            let data = party.collaborator.as_ref().map(|data| {
                let (key, provider) = (escaped(&data.kms_key), escaped(&data.identity_provider));
                format!(", and sends data under {key} behind {provider}")
            });
            let data = data.unwrap_or_default();
            let other = to.parties.iter().find(|other| other.public_key.id() == party.public_key.id());
            let other = other.map(|other| format!("; {} has that key in the other contract", other.name));
            let other = other.unwrap_or_default();
            let (text, before, after) = match kind {
                ChangeKind::Removed => {
                    (format!("{name} is no party any more; its key was {id}{other}"), Some(id), None)
                }
                _ => (format!("{name} is a new party: it signs with {id}{data}{other}"), None, Some(id)),
            };
            let at = format!("party.{name}");
            changes.push(Change { at, kind, security: true, before, after, text, lines: Vec::new() });
        }
    }
    changes
}

fn change(at: &str, before: Option<&Fact>, after: Option<&Fact>, old: &Contract, new: &Contract) -> Change {
    let shown = |fact: Option<&Fact>| fact.map(|fact| fact.shown.clone());
    let (from, to) = (shown(before), shown(after));
    let what = called(at);
    let (kind, text) = match (&from, &to) {
        _ if at == "signatures.threshold" => (ChangeKind::Changed, threshold(old, new)),
        // An element of a list.
        (None, Some(_)) if at.ends_with(']') => (ChangeKind::Added, format!("{what} is added")),
        (Some(_), None) if at.ends_with(']') => (ChangeKind::Removed, format!("{what} is taken out")),
        (None, Some(to)) => (ChangeKind::Added, format!("{what} is new: {}", short(to))),
        (Some(from), None) => (ChangeKind::Removed, format!("{what} is gone; it was {}", short(from))),
        (from, to) => {
            let text = |value: &Option<String>| short(value.as_deref().unwrap_or_default());
            (ChangeKind::Changed, format!("{what} changed from {} to {}", text(from), text(to)))
        }
    };
    let text_of = |fact: Option<&Fact>| fact.and_then(|fact| fact.text.clone()).unwrap_or_default();
    let lines = lines(&text_of(before), &text_of(after));
    Change { at: at.to_owned(), kind, security: !HARMLESS.contains(&at), before: from, after: to, text, lines }
}

/// What people call a member.
fn called(at: &str) -> String {
    let owned = at.strip_prefix("party.").and_then(|rest| rest.split_once('.'));
    match owned {
        Some((party, "public_key")) => format!("{party}'s key"),
        Some((party, member)) => format!("{party}'s {}", member.strip_prefix("collaborator.").unwrap_or(member)),
        None => at.to_owned(),
    }
}

/// How many parties are not needed.
fn spare(contract: &Contract) -> usize {
    let parties = contract.parties.len();
    parties.saturating_sub(contract.signatures.threshold.required(parties))
}

/// A threshold is lowered if more parties are not needed than before.
fn threshold(old: &Contract, new: &Contract) -> String {
    let [from, to] = [old, new].map(|contract| {
        let parties = contract.parties.len();
        let word = if spare(contract) == 0 { "all" } else { "only" };
        format!("{word} {} of {parties}", contract.signatures.threshold.required(parties))
    });
    let moved = match spare(new).cmp(&spare(old)) {
        std::cmp::Ordering::Greater => "was lowered",
        std::cmp::Ordering::Less => "was raised",
        std::cmp::Ordering::Equal => "changed",
    };
    format!("signatures.threshold {moved}: {from} had to sign, {to} must now")
}

/// The lines that only one of two texts has, in their order, each with the sign of its side.
fn lines(old: &str, new: &str) -> Vec<String> {
    let only = |text: &str, other: &str, sign: char| {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        other.lines().for_each(|line| *left.entry(line).or_default() += 1);
        let own = text.lines().filter(|line| match left.get_mut(line) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
        let mut own: Vec<String> = own.map(|line| format!("{sign} {}", escaped(line))).collect();
        if own.len() > MAX_LINES {
            let more = own.len() - MAX_LINES;
            own.truncate(MAX_LINES);
            own.push(format!("{sign} … and {more} more"));
        }
        own
    };
    let mut all = only(old, new, '-');
    all.extend(only(new, old, '+'));
    all
}
