//! JSON documents: which tool wrote it is told from its members.

use serde_json::{Value, json};

use super::{Item, Kind, Located, google, terraform};
use crate::locate::escape;

/// What kind of document a JSON value is.
pub(super) fn kind(value: &Value) -> Kind {
    let has = |names: &[&str]| names.iter().all(|name| value.get(name).is_some());
    if has(&["version", "party"]) {
        Kind::Contract
    } else if has(&["repository", "digest", "contract", "signatures"]) {
        Kind::Request
    } else if has(&["rootfs", "architecture"]) {
        Kind::Image
    } else {
        Kind::Json
    }
}

/// Everything in a document that rules know, in its order; `None` if it, or an element of it, is none of theirs.
pub(super) fn items(value: &Value) -> Option<Vec<Located>> {
    let mut found = Vec::new();
    match value {
        Value::Array(elements) if elements.is_empty() => return None,
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                document(element, &format!("/{index}"), &mut found)?;
            }
        }
        _ => document(value, "", &mut found)?,
    }
    Some(found)
}

/// What a configuration of Terraform in JSON syntax consists of.
const BLOCKS: [&str; 9] = ["resource", "data", "provider", "terraform", "variable", "output", "locals", "module", "//"];

fn document(value: &Value, at: &str, found: &mut Vec<Located>) -> Option<()> {
    let has = |name: &str| value.get(name).is_some();
    let has_any = |names: &[&str]| names.iter().any(|name| value.get(name).is_some());
    let mut one = |pointer: &str, item: Item| found.push(Located { pointer: format!("{at}{pointer}"), item });
    if has("planned_values") {
        terraform::plan(value, at, found);
    } else if is_configuration(value) {
        terraform::configuration(value, at, found);
    } else if has_any(&["attributeMapping", "attributeCondition", "attribute_mapping", "attribute_condition"]) {
        one("", Item::Provider(Box::new(google::ProviderSettings::read(value))));
    } else if has("bindings") || (has("etag") && has("version") && !has("name")) {
        one("", Item::Policy(google::Policy::read(value)));
    } else if let Some(properties) = value.get("properties").filter(|_| is(value, "compute#instanceTemplate")) {
        one("/properties", Item::Instance(Box::new(google::Instance::read(properties))));
    } else if is(value, "compute#instance") || (has("metadata") && has("disks")) {
        one("", Item::Instance(Box::new(google::Instance::read(value))));
    } else if let Some(role) = value.get("Role").and_then(|role| role.get("AssumeRolePolicyDocument")) {
        one("/Role/AssumeRolePolicyDocument", Item::Aws(role.clone()));
    } else if has("Url") && has("ClientIDList") {
        one("", Item::AwsProvider(value.clone()));
    } else if let (Some(arn), Some(client)) = (value.get("OpenIDConnectProviderArn"), value.get("ClientID")) {
        // What `aws iam add-client-id-to-open-id-connect-provider` is given: one more audience of such a provider.
        let url = arn.as_str().and_then(|arn| arn.split_once(":oidc-provider/")).map_or("", |(_, url)| url);
        one("", Item::AwsProvider(json!({"Url": url, "ClientIDList": [client]})));
    } else if has("Statement") {
        one("", Item::Aws(value.clone()));
    } else if let Some(data) = value.get("data").filter(|data| has("lease_id") && data.is_object()) {
        return vault(data, "/data", &mut one);
    } else if let Some(message) = value.get("message").filter(|_| has("ackId")) {
        one("/message", Item::Message(message.clone()));
    } else if has("ingressFrom") {
        one("", Item::Ingress(value.clone()));
    } else if let Some(policies) = ["status", "spec"]
        .iter()
        .find_map(|name| value.get(name)?.get("ingressPolicies")?.as_array())
        .filter(|_| has("title"))
    {
        policies.iter().for_each(|policy| one("", Item::Ingress(policy.clone())));
    } else if has("ackDeadlineSeconds") && has("topic") {
        one("", Item::Subscription(value.clone()));
    } else if value.get("type").and_then(Value::as_str) == Some("external_account") {
        one("", Item::Credentials(value.clone()));
    } else {
        return vault(value, "", &mut one);
    }
    Some(())
}

fn is_configuration(value: &Value) -> bool {
    let blocks = value.as_object().filter(|members| !members.is_empty());
    blocks.is_some_and(|members| {
        members.iter().all(|(name, body)| BLOCKS.contains(&name.as_str()) && (name == "//" || !body.is_string()))
    })
}

fn vault(value: &Value, at: &str, one: &mut dyn FnMut(&str, Item)) -> Option<()> {
    let has_any = |names: &[&str]| names.iter().any(|name| value.get(name).is_some());
    if has_any(&["bound_claims", "role_type", "user_claim"]) {
        one(at, Item::VaultRole(value.clone()));
    } else if has_any(&["bound_issuer", "oidc_discovery_url", "jwks_url", "jwt_supported_algs"]) {
        one(at, Item::VaultConfig(value.clone()));
    } else {
        return None;
    }
    Some(())
}

fn is(value: &Value, kind: &str) -> bool {
    value.get("kind").and_then(Value::as_str) == Some(kind)
}

/// A member of a Terraform resource or a Google resource under either of its names.
pub(super) fn member<'a>(value: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    value.get(camel).or_else(|| value.get(snake)).filter(|value| !value.is_null())
}

/// A text under either name.
pub(super) fn text(value: &Value, camel: &str, snake: &str) -> Option<String> {
    member(value, camel, snake).and_then(Value::as_str).map(str::to_owned)
}

/// A list of texts.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    let elements = value.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A block of Terraform: an object, or the only element of a list.
pub(super) fn block<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value.get(name)? {
        Value::Array(elements) => elements.first(),
        object @ Value::Object(_) => Some(object),
        _ => None,
    }
}

/// The pointer of a member.
pub(super) fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", escape(name))
}
