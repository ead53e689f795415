//! The attribute mapping: which of a token's claims become the federated identity's subject and attributes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::condition::lookup;

/// Longest `google.subject` in bytes.
const MAX_SUBJECT: usize = 127;

/// Attributes by name, with the claim that each is mapped from.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("image_digest", "submods/container/image_digest"),
    ("image_reference", "submods/container/image_reference"),
    ("project_id", "submods/gce/project_id"),
    ("instance_id", "submods/gce/instance_id"),
];

pub(super) struct Mapped {
    pub(super) subject: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// `google.subject = "gcpcs::" + image_digest + "::" + project_number + "::" + instance_id`; the token's `sub` can be
/// too long. An absent claim is an error.
pub(super) fn map(claims: &Map<String, Value>) -> Result<Mapped, String> {
    let text = |path: &str| {
        lookup(claims, path).and_then(Value::as_str).ok_or_else(|| format!("the mapping needs assertion.{path}"))
    };
    let subject = format!(
        "gcpcs::{}::{}::{}",
        text("submods/container/image_digest")?,
        text("submods/gce/project_number")?,
        text("submods/gce/instance_id")?
    );
    if subject.len() > MAX_SUBJECT {
        return Err(format!("google.subject has {} bytes, at most {MAX_SUBJECT} are allowed", subject.len()));
    }
    let mut attributes = BTreeMap::new();
    for (name, path) in ATTRIBUTES {
        attributes.insert(name.to_owned(), text(path)?.to_owned());
    }
    Ok(Mapped { subject, attributes })
}
