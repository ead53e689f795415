//! IAM policies of everything that has one. The bindings are those that the simulated services ask.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Context, Failure, arguments, kms, projects, pubsub, show::Shown, storage, yaml};
use crate::{
    fields::Fields,
    iam::{check_member, check_role},
    respond::Code,
};

/// A thing that has a policy: its full name, and which roles Google lets one bind there, by their beginnings.
struct Target {
    resource: String,
    roles: &'static [&'static str],
    /// The project, if it is one.
    project: Option<String>,
}

/// Roles that fit everything.
const BASIC: [&str; 4] = ["roles/owner", "roles/editor", "roles/viewer", "roles/iam."];

fn target(context: &mut Context<'_>) -> Result<Target, Failure> {
    let words: Vec<&str> = arguments::words(context.arguments.command.line).collect();
    let group = words.split_last().map(|(_, group)| group.join(" ")).unwrap_or_default();
    let name = context.arguments.positional(0).to_owned();
    let (resource, roles): (String, &'static [&'static str]) = match group.as_str() {
        "projects" => {
            context.known(&name)?;
            (format!("projects/{name}"), &["roles/"])
        }
        "iam service-accounts" => (projects::account_path(context)?, &["roles/iam."]),
        "kms keys" => (kms::key_that_is_there(context, &name)?, &["roles/cloudkms."]),
        "pubsub topics" => (pubsub::topic_that_is_there(context, &name)?, &["roles/pubsub."]),
        "pubsub subscriptions" => (pubsub::subscription_that_is_there(context, &name)?, &["roles/pubsub."]),
        "storage buckets" => (storage::bucket_that_is_there(context, &name)?, &["roles/storage."]),
        "secrets" => (storage::secret_that_is_there(context, &name)?, &["roles/secretmanager."]),
        _ => {
            let path = super::records::REPOSITORY.path_of(context)?;
            if !context.cloud.records.contains_key(&path) {
                return Err(Failure::not_found(path));
            }
            (path, &["roles/artifactregistry."])
        }
    };
    context.about(&resource);
    let project = (group == "projects").then_some(name);
    Ok(Target { resource, roles, project })
}

/// The policy as it is shown, with an etag that every change changes.
fn policy(context: &Context<'_>, target: &Target) -> Value {
    let mut policy = context.services.iam.policy_json(&target.resource);
    let project = target.project.as_ref().and_then(|id| context.cloud.projects.get(id));
    if let (Some(project), Some(members)) = (project, policy.as_object_mut()) {
        if !project.audit.is_empty() {
            members.insert("auditConfigs".to_owned(), json!(project.audit));
        }
        members.remove("etag");
        let text = serde_json::to_string(&members).unwrap_or_default();
        let etag: Vec<u8> = Sha256::digest(text).iter().take(8).copied().collect();
        members.insert("etag".to_owned(), json!(STANDARD.encode(etag)));
    }
    if policy["bindings"].as_array().is_some_and(Vec::is_empty)
        && let Some(members) = policy.as_object_mut()
    {
        members.remove("bindings");
    }
    policy
}

pub(super) fn get(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let target = target(context)?;
    Ok(Shown::One(policy(context, &target)))
}

/// Refuses what Google refuses: roles of other services, and service accounts that there are not.
fn check(context: &Context<'_>, target: &Target, role: &str, member: &str) -> Result<(), Failure> {
    check_role(role)?;
    check_member(member)?;
    let fits = role.split('.').count() == 3 && !role.starts_with("roles/");
    if !fits && !target.roles.iter().chain(&BASIC).any(|start| role.starts_with(start)) {
        return Err(Failure::invalid(format!("Role {role} is not supported for this resource.")));
    }
    let email = member.strip_prefix("serviceAccount:");
    let Some((email, project)) = email.and_then(|email| Some((email, projects::project_of_account(email)?))) else {
        return Ok(());
    };
    // Google's own accounts are in projects of Google.
    let path = format!("projects/{project}/serviceAccounts/{email}");
    if project.starts_with("gcp-sa-") || context.cloud.records.contains_key(&path) {
        return Ok(());
    }
    Err(Failure::invalid(format!("Service account {email} does not exist.")))
}

/// Conditions are refused, since the simulator would not evaluate them.
fn without_condition(context: &Context<'_>) -> Result<(), Failure> {
    match context.arguments.get("condition") {
        None | Some("None") => Ok(()),
        Some(_) => {
            Err(Failure::invalid("The simulator has no conditions on bindings; --condition=None is what it knows."))
        }
    }
}

pub(super) fn add(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let target = target(context)?;
    without_condition(context)?;
    let (role, member) = (context.arguments.text("role"), context.arguments.text("member"));
    check(context, &target, role, member)?;
    context.services.iam.bind(&target.resource, role, member);
    context.note(format!("Updated IAM policy for [{}].", context.arguments.positional(0)));
    Ok(Shown::One(policy(context, &target)))
}

pub(super) fn remove(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let target = target(context)?;
    without_condition(context)?;
    let (role, member) = (context.arguments.text("role"), context.arguments.text("member"));
    if !context.services.iam.unbind(&target.resource, role, member) {
        return Err(Failure::Text(
            "Policy binding with the specified principal, role, and condition not found!".to_owned(),
        ));
    }
    context.note(format!("Updated IAM policy for [{}].", context.arguments.positional(0)));
    Ok(Shown::One(policy(context, &target)))
}

pub(super) fn set(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let target = target(context)?;
    let bytes = context.file(context.arguments.positional(1))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Text("The policy file is not UTF-8.".to_owned()))?;
    let mut given = yaml::read(&text).map_err(|why| Failure::Text(format!("The policy file is malformed: {why}")))?;
    let before = policy(context, &target);
    let members = given.as_object_mut().ok_or_else(|| Failure::Text("The policy file is no policy.".to_owned()))?;
    if let Some(odd) =
        members.keys().find(|key| !["auditConfigs", "bindings", "etag", "version"].contains(&key.as_str()))
    {
        return Err(Failure::Text(format!("The policy file has the unknown member {odd:?}.")));
    }
    if members.remove("etag").is_some_and(|etag| etag != before["etag"]) {
        return Err(Failure::api(
            Code::Aborted,
            "There were concurrent policy changes. Please retry the whole \
                                                read-modify-write with exponential backoff. The request's ETag did not match.",
        ));
    }
    let audit = members.remove("auditConfigs");
    let audit = match (&target.project, audit) {
        (_, None) => Vec::new(),
        (Some(_), Some(Value::Array(configs))) => configs,
        (None, Some(_)) => return Err(Failure::invalid("Audit configurations belong to projects.")),
        (Some(_), Some(_)) => return Err(Failure::invalid("auditConfigs must be a list.")),
    };
    for config in &audit {
        audited(config)?;
    }
    for binding in members.get("bindings").and_then(Value::as_array).into_iter().flatten() {
        let role = binding["role"].as_str().unwrap_or_default();
        for member in binding["members"].as_array().into_iter().flatten() {
            check(context, &target, role, member.as_str().unwrap_or_default())?;
        }
    }
    let fields = Fields::parse(given.to_string().as_bytes())?;
    context.services.iam.set_policy_json(&target.resource, &fields)?;
    if let Some(project) = target.project.as_ref().and_then(|id| context.cloud.projects.get_mut(id)) {
        project.audit = audit;
        context.recorded("audit configurations");
    }
    context.note(format!("Updated IAM policy for [{}].", context.arguments.positional(0)));
    Ok(Shown::One(policy(context, &target)))
}

/// `{"service": …, "auditLogConfigs": [{"logType": …}]}`
fn audited(config: &Value) -> Result<(), Failure> {
    let kinds = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"];
    let logs = config["auditLogConfigs"].as_array();
    let known = |log: &Value| log["logType"].as_str().is_some_and(|kind| kinds.contains(&kind));
    match config["service"].as_str().is_some() && logs.is_some_and(|logs| logs.iter().all(known)) {
        true => Ok(()),
        false => Err(Failure::invalid(format!("The audit configuration {config} is malformed."))),
    }
}
