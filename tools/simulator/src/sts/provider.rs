//! Workload identity providers: what the owner of a pool writes down, and what it means once it is parsed.

use std::collections::BTreeMap;

use csign_cel::Expression;
use csign_oci::Digest;
use serde::{Deserialize, Serialize};

use super::Rules;
use crate::{Error, Result};

/// Most attributes of a provider's own.
const MAX_ATTRIBUTES: usize = 50;
/// Longest key of a mapping, in characters.
const MAX_KEY: usize = 100;
/// Most allowed audiences, and the longest of them in characters.
const MAX_AUDIENCES: (usize, usize) = (10, 256);

/// An OIDC provider of a workload identity pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub name: String,
    /// `iss` of the tokens that it accepts; the simulator's attestation issuer if absent.
    #[serde(default)]
    pub issuer: Option<String>,
    /// CEL over `assertion` by `google.subject`, `google.groups` or `attribute.NAME`; what Confidential Space's guides
    /// use if absent.
    #[serde(default = "mapping")]
    pub attribute_mapping: BTreeMap<String, String>,
    /// CEL over `assertion`, `google` and `attribute`. An empty one accepts every token of the issuer, as at Google.
    #[serde(default)]
    pub attribute_condition: String,
    /// `aud` of the tokens that it accepts; the provider's own resource name, with or without `https:`, if empty.
    #[serde(default)]
    pub allowed_audiences: Vec<String>,
    /// A disabled provider exchanges nothing; tokens that it exchanged before stay alive.
    #[serde(default)]
    pub disabled: bool,
}

/// The subject is not the token's `sub`, which can be longer than a subject may be.
fn mapping() -> BTreeMap<String, String> {
    let subject = r#""gcpcs::" + assertion.submods.container.image_digest + "::" + assertion.submods.gce.project_number + "::" + assertion.submods.gce.instance_id"#;
    let mappings = [
        ("google.subject", subject),
        ("attribute.image_digest", "assertion.submods.container.image_digest"),
        ("attribute.image_reference", "assertion.submods.container.image_reference"),
        ("attribute.project_id", "assertion.submods.gce.project_id"),
        ("attribute.instance_id", "assertion.submods.gce.instance_id"),
    ];
    mappings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Provider {
    /// A provider with the usual mapping and this condition.
    pub fn new(name: impl Into<String>, attribute_condition: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            issuer: None,
            attribute_mapping: mapping(),
            attribute_condition: attribute_condition.into(),
            allowed_audiences: Vec::new(),
            disabled: false,
        }
    }

    /// A provider with the usual mapping that admits what `rules` say.
    pub fn admitting(name: impl Into<String>, rules: &Rules) -> Self {
        Self::new(name, rules.condition())
    }

    /// A provider with the usual mapping that admits production images with one of these digests.
    pub fn for_images(name: impl Into<String>, image_digests: impl IntoIterator<Item = Digest>) -> Self {
        Self::admitting(name, &Rules::for_images(image_digests))
    }
}

/// Where a mapping puts its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Subject,
    Groups,
    Attribute(String),
}

/// A provider whose expressions are parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) provider: Provider,
    pub(super) pool: String,
    pub(super) mapping: Vec<(Target, Expression)>,
    pub(super) condition: Option<Expression>,
}

impl Parsed {
    /// Refuses what Google refuses when a provider is created.
    pub(super) fn new(provider: Provider) -> Result<Self> {
        let wrong = |what: String| Error::Config(format!("provider {:?}: {what}", provider.name));
        let pool = pool_of(&provider.name).map(str::to_owned).ok_or_else(|| {
            wrong(
                "the name is not projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
                    .to_owned(),
            )
        })?;
        let mut mapping = Vec::new();
        for (key, value) in &provider.attribute_mapping {
            let target = target(key).ok_or_else(|| wrong(format!("{key:?} is no attribute that can be mapped")))?;
            let value = Expression::mapping(value).map_err(|error| wrong(format!("the mapping of {key}: {error}")))?;
            mapping.push((target, value));
        }
        if !provider.attribute_mapping.contains_key("google.subject") {
            return Err(wrong("the attribute mapping must contain google.subject".to_owned()));
        }
        let attributes = mapping.iter().filter(|(target, _)| matches!(target, Target::Attribute(_))).count();
        if attributes > MAX_ATTRIBUTES {
            return Err(wrong(format!("it maps {attributes} attributes, at most {MAX_ATTRIBUTES} are allowed")));
        }
        let condition = match provider.attribute_condition.as_str() {
            "" => None,
            text => Some(Expression::condition(text).map_err(|error| wrong(format!("attribute condition: {error}")))?),
        };
        let (most, longest) = MAX_AUDIENCES;
        let audiences = &provider.allowed_audiences;
        if audiences.len() > most || audiences.iter().any(|a| a.is_empty() || a.chars().count() > longest) {
            return Err(wrong(format!("at most {most} audiences of 1 to {longest} characters are allowed")));
        }
        Ok(Self { pool, mapping, condition, provider })
    }

    /// Whether a token for `audience` is meant for this provider.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        if self.provider.allowed_audiences.is_empty() {
            let name = audience.strip_prefix("https:").unwrap_or(audience).strip_prefix("//iam.googleapis.com/");
            return name == Some(&self.provider.name);
        }
        self.provider.allowed_audiences.iter().any(|allowed| allowed == audience)
    }
}

fn target(key: &str) -> Option<Target> {
    let name_like = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match key {
        "google.subject" => Some(Target::Subject),
        "google.groups" => Some(Target::Groups),
        _ if key.len() > MAX_KEY => None,
        _ => key.strip_prefix("attribute.").filter(|name| name_like(name)).map(|n| Target::Attribute(n.to_owned())),
    }
}

/// The pool of a provider's resource name, if the name has the right form.
pub(super) fn pool_of(provider: &str) -> Option<&str> {
    let parts: Vec<&str> = provider.split('/').collect();
    let ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", id] = parts[..] else {
        return None;
    };
    let id_like =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let number_like = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (number_like && id_like(pool) && id_like(id)).then(|| provider.rsplit_once("/providers/").map(|(pool, _)| pool))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "projects/1/locations/global/workloadIdentityPools/p/providers/x";

    fn mapped(pairs: &[(&str, &str)]) -> Provider {
        let mapping = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Provider { attribute_mapping: mapping, ..Provider::new(NAME, "") }
    }

    #[test]
    fn what_google_refuses_to_create_is_refused() {
        assert!(Parsed::new(Provider::new(NAME, "")).is_ok());
        let many: Vec<String> = (0..51).map(|n| format!("attribute.a{n}")).collect();
        let mut fifty_one = vec![("google.subject", "assertion.sub")];
        fifty_one.extend(many.iter().map(|key| (key.as_str(), "'x'")));
        assert!(Parsed::new(mapped(&fifty_one[..51])).is_ok(), "fifty attributes and the subject");
        let long_key = format!("attribute.{}", "a".repeat(91));
        let refused = [
            mapped(&[]),
            mapped(&[("attribute.x", "assertion.sub")]),
            mapped(&[("google.subject", "sub")]),
            mapped(&[("google.subject", "assertion.sub +")]),
            mapped(&[("google.subject", "attribute.x"), ("attribute.x", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("google.email", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.Upper", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), ("attribute.a.b", "assertion.sub")]),
            mapped(&[("google.subject", "assertion.sub"), (&long_key, "assertion.sub")]),
            mapped(&fifty_one),
            Provider::new(NAME, "'assertion.sub == \"x\"'"),
            Provider::new(NAME, " "),
            Provider::new(NAME, format!("'{}' == ''", "x".repeat(4096))),
            Provider::new(NAME, "assertion.sub = 'x'"),
            Provider::new(NAME, "claims.sub == 'x'"),
            Provider::new("projects/name/locations/global/workloadIdentityPools/p/providers/x", ""),
            Provider { allowed_audiences: vec![String::new()], ..Provider::new(NAME, "") },
            Provider { allowed_audiences: vec!["a".to_owned(); 11], ..Provider::new(NAME, "") },
        ];
        for provider in refused {
            assert!(Parsed::new(provider.clone()).is_err(), "{provider:?}");
        }
    }

    #[test]
    fn without_allowed_audiences_only_the_providers_own_name_is_one_with_them_it_is_not() {
        let own = Parsed::new(Provider::new(NAME, "")).expect("parses");
        let name = format!("//iam.googleapis.com/{NAME}");
        assert!(own.is_for(&name) && own.is_for(&format!("https:{name}")));
        for other in
            ["", NAME, "https://sts.googleapis.com", &format!("http:{name}"), &format!("{name}/"), &format!("{name}x")]
        {
            assert!(!own.is_for(other), "{other:?}");
        }
        let listed =
            Provider { allowed_audiences: vec!["https://sts.googleapis.com".to_owned()], ..Provider::new(NAME, "") };
        let listed = Parsed::new(listed).expect("parses");
        assert!(listed.is_for("https://sts.googleapis.com"));
        assert!(!listed.is_for(&name) && !listed.is_for("https://sts.googleapis.com/"));
    }
}
