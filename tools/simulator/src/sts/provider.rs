//! Workload identity providers: what the owner of a pool writes down, and what it means once it is parsed.

use std::collections::BTreeMap;

use csign_cel::federation;
use csign_oci::Digest;
use serde::{Deserialize, Serialize};

use super::Rules;
use crate::{Error, Result};

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

/// A provider whose expressions are parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) provider: Provider,
    pub(super) rules: federation::Provider,
}

impl Parsed {
    /// Refuses what Google refuses when a provider is created.
    pub(super) fn new(provider: Provider) -> Result<Self> {
        let Provider { name, attribute_mapping, attribute_condition, allowed_audiences, .. } = &provider;
        let rules = federation::Provider::new(name, attribute_mapping, attribute_condition, allowed_audiences)
            .map_err(|what| Error::Config(format!("provider {name:?}: {what}")))?;
        Ok(Self { rules, provider })
    }
}
