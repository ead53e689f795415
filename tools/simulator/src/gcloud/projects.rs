//! Projects, their services and alerts, and service accounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Context, Failure, cloud::Project, records::Record, show::Shown};
use crate::respond::{Code, Timestamp};

/// The group under which service accounts are recorded.
const ACCOUNTS: &str = "iam service-accounts";

fn show(context: &Context<'_>, id: &str, project: &Project) -> Value {
    let created = Timestamp::of(context.services.clock.now()).text();
    json!({
        "projectId": id, "projectNumber": project.number, "name": id, "lifecycleState": "ACTIVE", "createTime": created,
    })
}

/// By id or by number.
pub(super) fn describe(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let given = context.arguments.positional(0).to_owned();
    let id = context.cloud.project_with(&given).map_or(given, str::to_owned);
    context.about(format!("projects/{id}"));
    context.known(&id)?;
    let project = context.cloud.projects.get(&id).ok_or_else(|| Failure::not_found(&id))?;
    Ok(Shown::One(show(context, &id, project)))
}

pub(super) fn list(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let all = context.cloud.projects.iter().map(|(id, project)| show(context, id, project));
    Ok(Shown::Many(all.collect()))
}

/// 6 to 30 characters, as at Google.
pub(super) fn create(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let id = context.arguments.positional(0).to_owned();
    context.about(format!("projects/{id}"));
    let valid = (6..=30).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && !id.ends_with('-');
    if !valid {
        return Err(Failure::invalid(format!(
            "project_id [{id}] must be 6 to 30 lowercase letters, digits and hyphens, beginning with a letter"
        )));
    }
    if context.cloud.projects.contains_key(&id) {
        return Err(Failure::api(Code::AlreadyExists, format!("Requested entity already exists: projects/{id}")));
    }
    context.cloud.add_project(&id, None);
    context.note(format!("Created [https://cloudresourcemanager.googleapis.com/v1/projects/{id}]."));
    if context.arguments.switch("set-as-default").is_some() {
        let active = context.cloud.active(&context.request.environment).to_owned();
        context.cloud.configurations.entry(active).or_default().insert("project".to_owned(), id);
    }
    Ok(Shown::Nothing)
}

fn project<'a>(context: &'a mut Context<'_>) -> Result<&'a mut Project, Failure> {
    let id = context.project()?;
    context.about(format!("projects/{id}"));
    context.cloud.projects.get_mut(&id).ok_or_else(|| Failure::not_found(id))
}

pub(super) fn enable_services(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let services: BTreeSet<String> = context.arguments.rest(0).iter().cloned().collect();
    if let Some(odd) = services.iter().find(|name| !name.contains('.')) {
        return Err(Failure::invalid(format!("Service {odd} was not found or access is denied.")));
    }
    project(context)?.services.extend(services);
    context.recorded("services");
    Ok(Shown::Nothing)
}

pub(super) fn list_services(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let all = project(context)?.services.iter().map(|name| json!({"config": {"name": name}, "state": "ENABLED"}));
    Ok(Shown::Many(all.collect()))
}

pub(super) fn list_alerts(context: &mut Context<'_>) -> Result<Shown, Failure> {
    Ok(Shown::Many(project(context)?.alerts.clone()))
}

fn alert(context: &Context<'_>) -> Result<Value, Failure> {
    let policy: Value = super::yaml::read(context.arguments.text("policy"))
        .map_err(|error| Failure::Text(format!("argument --policy: {error}")))?;
    match policy.get("displayName").and_then(Value::as_str) {
        Some(_) => Ok(policy),
        None => Err(Failure::invalid("Field alert_policy.display_name must be set.")),
    }
}

pub(super) fn create_alert(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let mut policy = alert(context)?;
    let id = context.project()?;
    let name = format!("projects/{id}/alertPolicies/{}", context.cloud.number());
    if let Some(members) = policy.as_object_mut() {
        members.insert("name".to_owned(), json!(name));
        members.entry("enabled").or_insert(json!(true));
    }
    project(context)?.alerts.push(policy);
    context.about(&name);
    context.recorded("alerts");
    context.note(format!("Created alert policy [{name}]."));
    Ok(Shown::Nothing)
}

/// Places the alert that was named last.
fn alert_named(context: &mut Context<'_>) -> Result<usize, Failure> {
    let name = context.arguments.positional(0).to_owned();
    let place = project(context)?.alerts.iter().position(|alert| alert["name"] == name.as_str());
    context.about(&name);
    place.ok_or_else(|| Failure::not_found(name))
}

pub(super) fn update_alert(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let mut policy = alert(context)?;
    let place = alert_named(context)?;
    let name = context.resource.clone();
    if let Some(members) = policy.as_object_mut() {
        members.insert("name".to_owned(), json!(name));
        members.entry("enabled").or_insert(json!(true));
    }
    if let Some(old) = project(context)?.alerts.get_mut(place) {
        *old = policy;
    }
    Ok(Shown::Nothing)
}

pub(super) fn delete_alert(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let place = alert_named(context)?;
    project(context)?.alerts.remove(place);
    Ok(Shown::Nothing)
}

/// The project of a service account that a person made.
pub(super) fn project_of_account(email: &str) -> Option<&str> {
    email.split_once('@')?.1.strip_suffix(".iam.gserviceaccount.com")
}

/// What is shown of a service account.
pub(super) fn account(project: &str, email: &str, id: &str) -> Value {
    json!({
        "name": format!("projects/{project}/serviceAccounts/{email}"),
        "email": email, "projectId": project, "uniqueId": id, "disabled": false,
    })
}

/// The full name of the account that was named by its address, which must be there.
pub(super) fn account_path(context: &Context<'_>) -> Result<String, Failure> {
    let email = context.arguments.positional(0);
    let project = project_of_account(email)
        .ok_or_else(|| Failure::Text(format!("{email} is no address NAME@PROJECT.iam.gserviceaccount.com")))?;
    context.known(project)?;
    let path = format!("projects/{project}/serviceAccounts/{email}");
    match context.cloud.records.contains_key(&path) {
        true => Ok(path),
        false => Err(Failure::api(Code::NotFound, format!("Unknown service account: {path} was not found"))),
    }
}

pub(super) fn create_account(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let (project, name) = (context.project()?, context.arguments.positional(0).to_owned());
    let valid = (6..=30).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-');
    if !valid {
        return Err(Failure::Text(format!(
            "Bad value [{name}]: Service account name must be between 6 and 30 characters (inclusive), must begin with a \
             lowercase letter, and consist of lowercase alphanumeric characters that can be separated by hyphens."
        )));
    }
    let email = format!("{name}@{project}.iam.gserviceaccount.com");
    let path = format!("projects/{project}/serviceAccounts/{email}");
    context.about(&path);
    if context.cloud.records.contains_key(&path) {
        return Err(Failure::api(
            Code::AlreadyExists,
            format!("Service account {name} already exists within project projects/{project}."),
        ));
    }
    let mut value = account(&project, &email, &context.cloud.number().to_string());
    for (flag, member) in [("display-name", "displayName"), ("description", "description")] {
        if let Some(text) = context.arguments.get(flag) {
            value[member] = json!(text);
        }
    }
    context.cloud.records.insert(path, Record::new(ACCOUNTS, value, Vec::new()));
    context.note(format!("Created service account [{name}]."));
    Ok(Shown::Nothing)
}

pub(super) fn describe_account(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let path = account_path(context)?;
    context.about(&path);
    context
        .cloud
        .records
        .get(&path)
        .map(|record| Shown::One(record.value.clone()))
        .ok_or_else(|| Failure::not_found(path))
}

pub(super) fn list_accounts(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let prefix = format!("projects/{}/serviceAccounts/", context.project()?);
    let all = context.cloud.records.iter().filter(|(path, _)| path.starts_with(&prefix));
    Ok(Shown::Many(all.map(|(_, record)| record.value.clone()).collect()))
}

fn set_disabled(context: &mut Context<'_>, disabled: bool) -> Result<Shown, Failure> {
    let path = account_path(context)?;
    context.about(&path);
    if let Some(record) = context.cloud.records.get_mut(&path) {
        record.value["disabled"] = json!(disabled);
    }
    Ok(Shown::Nothing)
}

pub(super) fn disable_account(context: &mut Context<'_>) -> Result<Shown, Failure> {
    context.recorded("disabled service accounts");
    set_disabled(context, true)
}

pub(super) fn enable_account(context: &mut Context<'_>) -> Result<Shown, Failure> {
    set_disabled(context, false)
}

pub(super) fn delete_account(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let path = account_path(context)?;
    context.about(&path);
    context.cloud.records.remove(&path);
    context.services.iam.forget(&path);
    context.note(format!("deleted service account [{}]", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}
