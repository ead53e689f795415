//! Google Cloud's resources as `gcloud … --format=json` writes them, and as Terraform does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{below, block, member, text, texts};

/// A provider of a workload identity pool as it was written, before anything is parsed.
#[derive(Clone, Debug, Default)]
pub struct ProviderSettings {
    /// `projects/N/locations/global/workloadIdentityPools/P/providers/X`, if the document says so.
    pub full_name: Option<String>,
    /// The pool's id, where the document knows nothing but that.
    pub pool_id: Option<String>,
    /// `oidc.issuerUri`.
    pub issuer: Option<String>,
    /// CEL by target.
    pub mapping: BTreeMap<String, String>,
    /// CEL; empty: there is none; absent: the document does not know it.
    pub condition: Option<String>,
    /// `oidc.allowedAudiences`.
    pub audiences: Vec<String>,
    /// It exchanges nothing.
    pub disabled: bool,
    /// What the document does not say is not there.
    pub complete: bool,
    /// Where its members stand in the document, by `condition`, `mapping`, `issuer`, `audiences`.
    pub(crate) places: BTreeMap<&'static str, String>,
}

impl ProviderSettings {
    /// A provider of which only the condition is known.
    pub fn of_condition(condition: &str) -> Self {
        Self { condition: Some(condition.to_owned()), ..Self::default() }
    }

    /// `gcloud iam workload-identity-pools providers describe`.
    pub fn read(value: &Value) -> Self {
        let oidc = block(value, "oidc").unwrap_or(&Value::Null);
        let name = text(value, "name", "full_name").filter(|name| name.starts_with("projects/"));
        let places = [
            ("condition", member_name(value, "attributeCondition", "attribute_condition")),
            ("mapping", member_name(value, "attributeMapping", "attribute_mapping")),
        ];
        let mut places: BTreeMap<_, _> = places.into_iter().map(|(what, name)| (what, below("", name))).collect();
        let oidc_at = if value.get("oidc").is_some_and(Value::is_array) { "/oidc/0" } else { "/oidc" };
        places.insert("issuer", below(oidc_at, member_name(oidc, "issuerUri", "issuer_uri")));
        places.insert("audiences", below(oidc_at, member_name(oidc, "allowedAudiences", "allowed_audiences")));
        Self {
            full_name: name,
            pool_id: text(value, "workloadIdentityPoolId", "workload_identity_pool_id"),
            issuer: text(oidc, "issuerUri", "issuer_uri").or_else(|| text(value, "issuer", "issuer")),
            mapping: mapping(member(value, "attributeMapping", "attribute_mapping")),
            condition: Some(text(value, "attributeCondition", "attribute_condition").unwrap_or_default()),
            audiences: texts(
                member(oidc, "allowedAudiences", "allowed_audiences")
                    .or_else(|| member(value, "allowedAudiences", "allowed_audiences")),
            ),
            disabled: value.get("disabled").and_then(Value::as_bool).unwrap_or_default(),
            complete: true,
            places,
        }
    }

    /// The name, or another one of the right form.
    pub(crate) fn name(&self, otherwise: &str) -> String {
        self.full_name.clone().unwrap_or_else(|| otherwise.to_owned())
    }

    /// Where a member stands.
    pub(crate) fn at(&self, what: &str) -> String {
        self.places.get(what).cloned().unwrap_or_default()
    }
}

/// The name under which a member stands.
fn member_name<'a>(value: &Value, camel: &'a str, snake: &'a str) -> &'a str {
    if value.get(snake).is_some() { snake } else { camel }
}

fn mapping(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The IAM policy of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its bindings, in their order.
    pub bindings: Vec<Binding>,
}

/// Members that have a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: String,
    /// Pointers and members.
    pub members: Vec<(String, String)>,
    /// It has a condition of its own, which is not judged.
    pub conditional: bool,
}

impl Policy {
    /// `gcloud … get-iam-policy`.
    pub fn read(value: &Value) -> Self {
        let bindings = value.get("bindings").and_then(Value::as_array).into_iter().flatten().enumerate();
        let bindings = bindings.map(|(index, binding)| {
            let members = texts(binding.get("members")).into_iter().enumerate();
            Binding {
                role: text(binding, "role", "role").unwrap_or_default(),
                members: members.map(|(n, member)| (format!("/bindings/{index}/members/{n}"), member)).collect(),
                conditional: binding.get("condition").is_some_and(|condition| !condition.is_null()),
            }
        });
        Self { bindings: bindings.collect() }
    }
}

/// A virtual machine.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its project, if the document says so.
    pub project: Option<String>,
    /// Its service account.
    pub account: Option<String>,
    /// The account's scopes; absent if the document does not say.
    pub scopes: Option<Vec<String>>,
    /// What is not in `metadata` is not there.
    pub complete: bool,
    /// Pointer and value by name.
    pub metadata: BTreeMap<String, (String, String)>,
    /// Pointers and names of boot images and of their licences.
    pub images: Vec<(String, String)>,
    /// Is confidential computing on?
    pub confidential: Option<bool>,
    /// Is secure boot on?
    pub secure_boot: Option<bool>,
    /// Has it an external address?
    pub external: bool,
}

impl Instance {
    /// `gcloud compute instances describe`.
    pub fn read(value: &Value) -> Self {
        let mut instance = Self {
            project: text(value, "selfLink", "self_link").as_deref().and_then(project_of).map(str::to_owned),
            complete: true,
            ..Self::default()
        };
        let items = value.get("metadata").and_then(|metadata| metadata.get("items")).and_then(Value::as_array);
        for (index, item) in items.into_iter().flatten().enumerate() {
            if let (Some(key), Some(value)) = (text(item, "key", "key"), text(item, "value", "value")) {
                instance.metadata.insert(key, (format!("/metadata/items/{index}/value"), value));
            }
        }
        if let Some(account) = block(value, "serviceAccounts") {
            instance.account = text(account, "email", "email");
            instance.scopes = Some(texts(account.get("scopes")));
        }
        let disks = value.get("disks").and_then(Value::as_array).into_iter().flatten().enumerate();
        for (index, disk) in disks {
            for (n, license) in texts(disk.get("licenses")).into_iter().enumerate() {
                instance.images.push((format!("/disks/{index}/licenses/{n}"), license));
            }
            if let Some(image) =
                disk.get("initializeParams").and_then(|params| text(params, "sourceImage", "source_image"))
            {
                instance.images.push((format!("/disks/{index}/initializeParams/sourceImage"), image));
            }
        }
        let confidential = value.get("confidentialInstanceConfig");
        let on = confidential.is_some_and(|config| {
            config.get("enableConfidentialCompute") == Some(&Value::Bool(true))
                || config.get("confidentialInstanceType").is_some()
        });
        instance.confidential = Some(on);
        let shielded = value.get("shieldedInstanceConfig").and_then(|config| config.get("enableSecureBoot"));
        instance.secure_boot = Some(shielded == Some(&Value::Bool(true)));
        let interfaces = value.get("networkInterfaces").and_then(Value::as_array).into_iter().flatten();
        instance.external = interfaces.into_iter().any(|interface| {
            interface.get("accessConfigs").and_then(Value::as_array).is_some_and(|configs| !configs.is_empty())
        });
        instance
    }

    /// `google_compute_instance` and `google_compute_instance_template`.
    pub(super) fn of_terraform(value: &Value) -> Self {
        let mut instance = Self { project: text(value, "project", "project"), ..Self::default() };
        let metadata = value.get("metadata").and_then(Value::as_object);
        instance.complete = metadata.is_some_and(|metadata| metadata.values().all(Value::is_string));
        for (key, value) in metadata.into_iter().flatten() {
            if let Some(text) = value.as_str() {
                instance.metadata.insert(key.clone(), (below("/metadata", key), text.to_owned()));
            }
        }
        if let Some(account) = block(value, "service_account") {
            instance.account = text(account, "email", "email");
            instance.scopes = Some(texts(account.get("scopes"))).filter(|scopes| !scopes.is_empty());
        }
        let boot = block(value, "boot_disk").and_then(|disk| block(disk, "initialize_params"));
        let images = [
            boot.and_then(|params| Some(("/boot_disk", text(params, "image", "image")?))),
            block(value, "disk").and_then(|disk| Some(("/disk", text(disk, "source_image", "source_image")?))),
        ];
        instance.images.extend(images.into_iter().flatten().map(|(at, image)| (at.to_owned(), image)));
        let flag = |name: &str, member: &str| block(value, name).and_then(|block| block.get(member)?.as_bool());
        let typed = block(value, "confidential_instance_config")
            .is_some_and(|config| config.get("confidential_instance_type").is_some_and(|kind| !kind.is_null()));
        instance.confidential =
            Some(typed || flag("confidential_instance_config", "enable_confidential_compute") == Some(true));
        instance.secure_boot = Some(flag("shielded_instance_config", "enable_secure_boot") == Some(true));
        instance.external = block(value, "network_interface").is_some_and(|interface| {
            interface.get("access_config").is_some_and(|config| config.as_array().is_none_or(|list| !list.is_empty()))
        });
        instance
    }
}

/// The project in a resource's URL.
fn project_of(link: &str) -> Option<&str> {
    link.split_once("/projects/").and_then(|(_, rest)| rest.split('/').next())
}
