//! Workload identity pools and their providers. STS evaluates what was written here; what Google refuses is refused.

use serde_json::{Value, json};

use super::{Context, Failure, cloud::Cloud, records::Record, show::Shown};
use crate::{respond::Code, sts::Provider};

const POOLS: &str = "iam workload-identity-pools";
const PROVIDERS: &str = "iam workload-identity-pools providers";
/// Longest condition and longest expression of a mapping, in characters.
const MAX_CONDITION: usize = 4096;
const MAX_EXPRESSION: usize = 2048;

/// `projects/NUMBER/locations/global/workloadIdentityPools/POOL`
fn pool(context: &Context<'_>, id: &str) -> Result<String, Failure> {
    let project = context.project()?;
    let location = context.arguments.text("location");
    if location != "global" {
        return Err(Failure::invalid(format!("Location {location} is not supported: pools are global.")));
    }
    let number = context.cloud.projects.get(&project).map(|project| project.number.clone()).unwrap_or_default();
    Ok(format!("projects/{number}/locations/global/workloadIdentityPools/{id}"))
}

fn named_pool(context: &mut Context<'_>) -> Result<String, Failure> {
    let name = pool(context, context.arguments.positional(0))?;
    context.about(&name);
    Ok(name)
}

fn named_provider(context: &mut Context<'_>) -> Result<String, Failure> {
    let pool = pool(context, context.arguments.text("workload-identity-pool"))?;
    let name = format!("{pool}/providers/{}", context.arguments.positional(0));
    context.about(&name);
    Ok(name)
}

/// 4 to 32 lowercase letters, digits and hyphens; `gcp-` is Google's.
fn check_id(id: &str) -> Result<(), Failure> {
    let valid = (4..=32).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.starts_with("gcp-");
    if valid {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "The id {id:?} must be 4-32 characters of [a-z0-9-], and the prefix gcp- is reserved for use by Google."
    )))
}

/// A pool or provider that was not deleted.
fn living<'a>(context: &'a mut Context<'_>, name: &str) -> Result<&'a mut Value, Failure> {
    let absent = || Failure::api(Code::NotFound, format!("Requested entity was not found: {name}"));
    let record = context.cloud.records.get_mut(name).ok_or_else(absent)?;
    match record.value["state"] == "DELETED" {
        true => Err(Failure::api(Code::FailedPrecondition, format!("{name} is deleted; undelete it first."))),
        false => Ok(&mut record.value),
    }
}

fn show(context: &Context<'_>, name: &str) -> Result<Shown, Failure> {
    let absent = || Failure::api(Code::NotFound, format!("Requested entity was not found: {name}"));
    context.cloud.records.get(name).map(|record| Shown::One(record.value.clone())).ok_or_else(absent)
}

/// Texts of both, as flags give them.
fn describe(context: &Context<'_>, thing: &mut Value) {
    for (flag, member) in [("display-name", "displayName"), ("description", "description")] {
        if let Some(text) = context.arguments.get(flag) {
            thing[member] = json!(text);
        }
    }
    // The API leaves out what is false.
    match context.arguments.switch("disabled") {
        Some(true) => thing["disabled"] = json!(true),
        Some(false) => _ = thing.as_object_mut().map(|members| members.remove("disabled")),
        None => {}
    }
}

pub(super) fn create_pool(context: &mut Context<'_>) -> Result<Shown, Failure> {
    check_id(context.arguments.positional(0))?;
    let name = named_pool(context)?;
    if context.cloud.records.contains_key(&name) {
        return Err(Failure::api(Code::AlreadyExists, format!("Requested entity already exists: {name}")));
    }
    let mut value = json!({"name": name, "state": "ACTIVE"});
    describe(context, &mut value);
    context.cloud.records.insert(name, Record::new(POOLS, value, Vec::new()));
    context.note(format!("Created workload identity pool [{}].", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}

pub(super) fn describe_pool(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_pool(context)?;
    show(context, &name)
}

pub(super) fn list_pools(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let prefix = pool(context, "")?;
    Ok(Shown::Many(below(context.cloud, &prefix)))
}

/// What is right below a name and was not deleted.
fn below(cloud: &Cloud, prefix: &str) -> Vec<Value> {
    let found = cloud.records.iter().filter(|(name, record)| {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.contains('/')) && record.value["state"] != "DELETED"
    });
    found.map(|(_, record)| record.value.clone()).collect()
}

/// A pool that is gone or disabled takes its providers with it, until it is back.
fn changed_pool(context: &mut Context<'_>, name: &str) -> Result<(), Failure> {
    let prefix = format!("{name}/providers/");
    let providers: Vec<String> =
        context.cloud.records.keys().filter(|other| other.starts_with(&prefix)).cloned().collect();
    providers.iter().try_for_each(|provider| apply(context, provider))
}

pub(super) fn update_pool(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_pool(context)?;
    let mut value = living(context, &name)?.clone();
    describe(context, &mut value);
    *living(context, &name)? = value;
    changed_pool(context, &name)?;
    Ok(Shown::Nothing)
}

pub(super) fn delete_pool(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_pool(context)?;
    living(context, &name)?["state"] = json!("DELETED");
    changed_pool(context, &name)?;
    context.note(format!("Deleted workload identity pool [{}].", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}

fn restore(context: &mut Context<'_>, name: &str) -> Result<(), Failure> {
    let absent = || Failure::api(Code::NotFound, format!("Requested entity was not found: {name}"));
    let record = context.cloud.records.get_mut(name).ok_or_else(absent)?;
    if record.value["state"] != "DELETED" {
        return Err(Failure::api(Code::FailedPrecondition, format!("{name} is not deleted.")));
    }
    record.value["state"] = json!("ACTIVE");
    Ok(())
}

pub(super) fn undelete_pool(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_pool(context)?;
    restore(context, &name)?;
    changed_pool(context, &name)?;
    Ok(Shown::Nothing)
}

/// What the flags make of a provider.
fn content(context: &Context<'_>, mut value: Value) -> Result<Value, Failure> {
    let arguments = context.arguments;
    if let Some(issuer) = arguments.get("issuer-uri") {
        if !issuer.starts_with("https://") && issuer != context.services.issuer.name() {
            return Err(Failure::invalid(format!("The issuer URI {issuer:?} must be a valid https URI.")));
        }
        value["oidc"]["issuerUri"] = json!(issuer);
    }
    if let Some(audiences) = arguments.list("allowed-audiences") {
        value["oidc"]["allowedAudiences"] = json!(audiences);
    }
    if let Some(mapping) = arguments.map("attribute-mapping") {
        let mapping = mapping.map_err(Failure::Text)?;
        if let Some((key, _)) = mapping.iter().find(|(_, expression)| expression.chars().count() > MAX_EXPRESSION) {
            return Err(Failure::invalid(format!("The mapping of {key} is longer than {MAX_EXPRESSION} characters.")));
        }
        value["attributeMapping"] = json!(mapping);
    }
    if let Some(condition) = arguments.get("attribute-condition") {
        if condition.chars().count() > MAX_CONDITION {
            return Err(Failure::invalid(format!("The condition is longer than {MAX_CONDITION} characters.")));
        }
        value["attributeCondition"] = json!(condition);
    }
    describe(context, &mut value);
    Ok(value)
}

/// What STS makes of the record.
fn parsed(context: &Context<'_>, name: &str, value: &Value) -> Result<Provider, Failure> {
    let malformed = |error: serde_json::Error| Failure::Text(format!("{name}: {error}"));
    let pool = name.split("/providers/").next().unwrap_or_default();
    let off = |value: &Value| value["state"] == "DELETED" || value["disabled"] == true;
    let pool_is_off = context.cloud.records.get(pool).is_none_or(|pool| off(&pool.value));
    let audiences = value["oidc"].get("allowedAudiences").cloned().unwrap_or(json!([]));
    Ok(Provider {
        name: name.to_owned(),
        issuer: value["oidc"]["issuerUri"].as_str().map(str::to_owned),
        attribute_mapping: serde_json::from_value(value["attributeMapping"].clone()).map_err(malformed)?,
        attribute_condition: value["attributeCondition"].as_str().unwrap_or_default().to_owned(),
        allowed_audiences: serde_json::from_value(audiences).map_err(malformed)?,
        disabled: pool_is_off || off(value),
    })
}

/// Has STS take over a record.
fn apply(context: &mut Context<'_>, name: &str) -> Result<(), Failure> {
    let value = context.cloud.records.get(name).map(|record| record.value.clone()).unwrap_or_default();
    let provider = parsed(context, name, &value)?;
    Ok(context.services.sts.set_provider(provider)?)
}

/// STS judges first: a provider that it refuses does not come to be.
fn keep(context: &mut Context<'_>, name: &str, value: Value) -> Result<(), Failure> {
    let provider = parsed(context, name, &value)?;
    context.services.sts.set_provider(provider)?;
    let pool = name.split("/providers/").next().unwrap_or_default().to_owned();
    context.cloud.records.insert(name.to_owned(), Record::new(PROVIDERS, value, vec![pool]));
    Ok(())
}

pub(super) fn create_provider(context: &mut Context<'_>) -> Result<Shown, Failure> {
    check_id(context.arguments.positional(0))?;
    let name = named_provider(context)?;
    let pool = pool(context, context.arguments.text("workload-identity-pool"))?;
    living(context, &pool)?;
    if context.cloud.records.contains_key(&name) {
        return Err(Failure::api(Code::AlreadyExists, format!("Requested entity already exists: {name}")));
    }
    let value = content(context, json!({"name": name, "state": "ACTIVE", "oidc": {}}))?;
    keep(context, &name, value)?;
    context.note(format!("Created workload identity pool provider [{}].", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}

pub(super) fn update_provider(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_provider(context)?;
    let old = living(context, &name)?.clone();
    let value = content(context, old)?;
    keep(context, &name, value)?;
    context.note(format!("Updated workload identity pool provider [{}].", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}

pub(super) fn describe_provider(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_provider(context)?;
    show(context, &name)
}

pub(super) fn list_providers(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let pool = pool(context, context.arguments.text("workload-identity-pool"))?;
    living(context, &pool)?;
    Ok(Shown::Many(below(context.cloud, &format!("{pool}/providers/"))))
}

pub(super) fn delete_provider(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_provider(context)?;
    living(context, &name)?["state"] = json!("DELETED");
    apply(context, &name)?;
    Ok(Shown::Nothing)
}

pub(super) fn undelete_provider(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named_provider(context)?;
    restore(context, &name)?;
    apply(context, &name)?;
    Ok(Shown::Nothing)
}

/// A provider of the configuration, and its pool, are there from the start.
pub(super) fn adopt(cloud: &mut Cloud, provider: &Provider) {
    let Some((pool, _)) = provider.name.split_once("/providers/") else { return };
    let made = json!({"name": pool, "state": "ACTIVE"});
    cloud.records.entry(pool.to_owned()).or_insert_with(|| Record::new(POOLS, made, Vec::new()));
    let mut value = json!({
        "name": provider.name,
        "state": "ACTIVE",
        "oidc": {"allowedAudiences": provider.allowed_audiences},
        "attributeMapping": provider.attribute_mapping,
        "attributeCondition": provider.attribute_condition,
    });
    if let Some(issuer) = &provider.issuer {
        value["oidc"]["issuerUri"] = json!(issuer);
    }
    if provider.disabled {
        value["disabled"] = json!(true);
    }
    cloud.records.insert(provider.name.clone(), Record::new(PROVIDERS, value, vec![pool.to_owned()]));
}
