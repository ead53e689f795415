//! Terraform: plans (`terraform show -json`) and configurations in JSON syntax.

use serde_json::Value;

use super::{
    Item, Located,
    google::{Binding, Instance, Policy, ProviderSettings},
    json::{below, block, text, texts},
};

/// Modules nested deeper are refused by Terraform itself.
const MAX_MODULES: usize = 32;

/// The resources of a plan's `planned_values`. What is known only after it was applied is not there.
pub(super) fn plan(value: &Value, at: &str, found: &mut Vec<Located>) {
    if let Some(root) = value.get("planned_values").and_then(|values| values.get("root_module")) {
        module(root, &format!("{at}/planned_values/root_module"), 0, found);
    }
}

fn module(value: &Value, at: &str, depth: usize, found: &mut Vec<Located>) {
    let resources = value.get("resources").and_then(Value::as_array).into_iter().flatten().enumerate();
    for (index, entry) in resources {
        if let (Some(kind), Some(values)) = (text(entry, "type", "type"), entry.get("values")) {
            let known = |name: &str| values.get(name).is_some();
            resource(&kind, values, &known, &format!("{at}/resources/{index}/values"), found);
        }
    }
    let children = value.get("child_modules").and_then(Value::as_array).into_iter().flatten().enumerate();
    for (index, child) in children.take_while(|_| depth < MAX_MODULES) {
        module(child, &format!("{at}/child_modules/{index}"), depth + 1, found);
    }
}

/// The resources of a configuration. A value with an interpolation is not known.
pub(super) fn configuration(value: &Value, at: &str, found: &mut Vec<Located>) {
    for (kind, named) in value.get("resource").and_then(Value::as_object).into_iter().flatten() {
        for (name, body) in named.as_object().into_iter().flatten() {
            let at = below(&below(&format!("{at}/resource"), kind), name);
            let bodies: Vec<(String, &Value)> = match body {
                Value::Array(bodies) => {
                    bodies.iter().enumerate().map(|(index, body)| (format!("{at}/{index}"), body)).collect()
                }
                body => vec![(at, body)],
            };
            for (at, body) in bodies {
                let values = without_interpolations(body);
                let known = |name: &str| body.get(name).is_none() || values.get(name).is_some_and(|v| !v.is_null());
                resource(kind, &values, &known, &at, found);
            }
        }
    }
}

fn without_interpolations(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("${") => Value::Null,
        Value::Array(elements) => elements.iter().map(without_interpolations).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), without_interpolations(value))).collect()
        }
        other => other.clone(),
    }
}

fn resource(kind: &str, values: &Value, known: &dyn Fn(&str) -> bool, at: &str, found: &mut Vec<Located>) {
    let item = match kind {
        "google_iam_workload_identity_pool_provider" => {
            let mut settings = ProviderSettings::read(values);
            settings.complete = false;
            // A part of a mapping says nothing about an identity.
            let mapping = values.get("attribute_mapping").and_then(Value::as_object);
            let whole = mapping.is_some_and(|mapping| mapping.values().all(Value::is_string));
            if !known("attribute_condition") || !whole {
                settings.condition = None;
            }
            if !whole {
                settings.mapping.clear();
            }
            Some(Item::Provider(Box::new(settings)))
        }
        "google_compute_instance" | "google_compute_instance_template" => {
            Some(Item::Instance(Box::new(Instance::of_terraform(values))))
        }
        "google_pubsub_subscription" => Some(Item::Subscription(values.clone())),
        "vault_jwt_auth_backend_role" => Some(Item::VaultRole(values.clone())),
        "vault_jwt_auth_backend" => Some(Item::VaultConfig(values.clone())),
        "aws_iam_role" => embedded(values, "assume_role_policy").map(Item::Aws),
        "aws_kms_key" | "aws_kms_key_policy" | "aws_s3_bucket_policy" => embedded(values, "policy").map(Item::Aws),
        _ if kind.starts_with("google_") => iam(kind, values).map(Item::Policy),
        _ => None,
    };
    found.extend(item.map(|item| Located { pointer: at.to_owned(), item }));
}

/// A document that stands in a text.
fn embedded(values: &Value, name: &str) -> Option<Value> {
    let text = text(values, name, name)?;
    csign_oci::json::value_from_slice(text.as_bytes()).ok()
}

fn iam(kind: &str, values: &Value) -> Option<Policy> {
    let conditional = block(values, "condition").is_some();
    let role = || text(values, "role", "role").unwrap_or_default();
    let binding = |members| Policy { bindings: vec![Binding { role: role(), members, conditional }] };
    if kind.ends_with("_iam_member") {
        let member = text(values, "member", "member")?;
        Some(binding(vec![("/member".to_owned(), member)]))
    } else if kind.ends_with("_iam_binding") {
        let members = texts(values.get("members")).into_iter().enumerate();
        Some(binding(members.map(|(n, member)| (format!("/members/{n}"), member)).collect()))
    } else if kind.ends_with("_iam_policy") {
        let mut policy = Policy::read(&embedded(values, "policy_data")?);
        // Within the text nothing has a pointer.
        for (pointer, _) in policy.bindings.iter_mut().flat_map(|binding| &mut binding.members) {
            "/policy_data".clone_into(pointer);
        }
        Some(policy)
    } else {
        None
    }
}
