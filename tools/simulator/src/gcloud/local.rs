//! What gcloud knows by itself: accounts, properties, configurations. They live in the simulator, not on disk.

use serde_json::{Value, json};

use super::{Context, Failure, show::Shown};
use crate::iam::Identity;

/// Properties that mean something here.
const KNOWN: [&str; 2] = ["account", "project"];

/// An access token of the account: it may do what IAM's bindings say, and no more.
pub(super) fn access_token(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let principal = match context.arguments.positional(0) {
        "" => context.principal.clone(),
        account if account.ends_with(".gserviceaccount.com") => format!("serviceAccount:{account}"),
        account if account.contains('@') => format!("user:{account}"),
        account => return Err(Failure::Text(format!("{account} is no account: expected an email address"))),
    };
    context.about(&principal);
    let token = context.services.iam.issue(Identity::Member(principal))?;
    Ok(Shown::Text(format!("{token}\n")))
}

pub(super) fn accounts(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let account = context.principal.split_once(':').map_or("", |(_, account)| account);
    Ok(Shown::Many(vec![json!({"account": account, "status": "ACTIVE"})]))
}

/// `core/project` is `project`.
fn property(context: &Context<'_>) -> Result<String, Failure> {
    let given = context.arguments.positional(0);
    let name = given.strip_prefix("core/").unwrap_or(given);
    match KNOWN.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(Failure::Text(format!("Section [core] has no property [{name}] in the simulator's gcloud."))),
    }
}

pub(super) fn get_property(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = property(context)?;
    match context.cloud.property(&context.request.environment, &name) {
        Some(value) => Ok(Shown::Text(format!("{value}\n"))),
        None => {
            context.note("(unset)");
            Ok(Shown::Nothing)
        }
    }
}

pub(super) fn set_property(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = property(context)?;
    let value = context.arguments.positional(1).to_owned();
    let environment = &context.request.environment;
    let active = context.cloud.active(environment).to_owned();
    let overriding = super::PROPERTIES.iter().find(|(variable, property)| {
        *property == name && environment.get(*variable).is_some_and(|set| !set.is_empty() && *set != value)
    });
    if let Some((variable, _)) = overriding {
        context.note(format!("WARNING: Property [{name}] is overridden by environment setting [{variable}]"));
    }
    context.about(format!("core/{name}"));
    context.cloud.configurations.entry(active).or_default().insert(name.clone(), value);
    context.note(format!("Updated property [core/{name}]."));
    Ok(Shown::Nothing)
}

pub(super) fn unset_property(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = property(context)?;
    let active = context.cloud.active(&context.request.environment).to_owned();
    context.cloud.configurations.entry(active).or_default().remove(&name);
    context.note(format!("Unset property [core/{name}]."));
    Ok(Shown::Nothing)
}

pub(super) fn create_configuration(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = context.arguments.positional(0).to_owned();
    if context.cloud.configurations.contains_key(&name) {
        return Err(Failure::Text(format!("Cannot create configuration [{name}], it already exists.")));
    }
    context.cloud.configurations.insert(name.clone(), std::collections::BTreeMap::new());
    context.note(format!("Created [{name}]."));
    if context.arguments.switch("activate").unwrap_or(true) {
        context.cloud.active.clone_from(&name);
        context.note(format!("Activated [{name}]."));
    }
    Ok(Shown::Nothing)
}

pub(super) fn activate_configuration(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = context.arguments.positional(0).to_owned();
    if !context.cloud.configurations.contains_key(&name) {
        return Err(Failure::Text(format!("Cannot activate configuration [{name}], it does not exist.")));
    }
    context.cloud.active.clone_from(&name);
    context.note(format!("Activated [{name}]."));
    Ok(Shown::Nothing)
}

pub(super) fn configurations(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let active = context.cloud.active(&context.request.environment).to_owned();
    let all = context.cloud.configurations.iter().map(|(name, properties)| -> Value {
        json!({"name": name, "is_active": *name == active, "properties": {"core": properties}})
    });
    Ok(Shown::Many(all.collect()))
}
