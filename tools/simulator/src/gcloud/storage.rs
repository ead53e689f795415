//! Buckets of the simulated Cloud Storage, and secrets of the simulated Secret Manager.

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Context, Failure, records::Record, show::Shown};
use crate::respond::Code;

/// The bucket of `gs://BUCKET`.
fn bucket(context: &mut Context<'_>) -> Result<String, Failure> {
    let given = context.arguments.positional(0);
    let name = given.strip_prefix("gs://").map(|name| name.trim_end_matches('/')).filter(|name| !name.contains('/'));
    let name = name.ok_or_else(|| Failure::Text(format!("{given} is not gs://BUCKET")))?.to_owned();
    context.about(resource(&name));
    Ok(name)
}

fn resource(bucket: &str) -> String {
    format!("projects/_/buckets/{bucket}")
}

fn absent(name: &str) -> Failure {
    Failure::Text(format!("gs://{name} not found: 404."))
}

/// The full name of a bucket, which must be there.
pub(super) fn bucket_that_is_there(context: &mut Context<'_>, _: &str) -> Result<String, Failure> {
    let name = bucket(context)?;
    match context.services.storage.has_bucket(&name) {
        true => Ok(resource(&name)),
        false => Err(absent(&name)),
    }
}

/// Access to the simulator's buckets is by their policies alone, whatever is said here.
fn settings(context: &Context<'_>, mut value: Value) -> Value {
    if let Some(on) = context.arguments.switch("uniform-bucket-level-access") {
        value["uniform_bucket_level_access"] = json!(on);
    }
    if let Some(on) = context.arguments.switch("public-access-prevention") {
        value["public_access_prevention"] = json!(if on { "enforced" } else { "inherited" });
    }
    value
}

pub(super) fn create_bucket(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let project = context.project()?;
    let name = bucket(context)?;
    if context.services.storage.has_bucket(&name) {
        return Err(Failure::Text(format!(
            "HTTPError 409: The requested bucket name is not available: {name}. The bucket namespace is shared by all users."
        )));
    }
    context.services.storage.create_bucket(&name)?;
    let location = context.arguments.get("location").unwrap_or("US").to_ascii_uppercase();
    let value = json!({
        "name": name, "storage_url": format!("gs://{name}/"), "location": location, "project": project,
        "uniform_bucket_level_access": false, "public_access_prevention": "inherited",
    });
    let value = settings(context, value);
    context.cloud.records.insert(resource(&name), Record::new("storage buckets", value, Vec::new()));
    context.note(format!("Creating gs://{name}/..."));
    Ok(Shown::Nothing)
}

/// What is shown of a bucket; one of the configuration has no record yet.
fn described(context: &Context<'_>, name: &str) -> Value {
    let record = context.cloud.records.get(&resource(name)).map(|record| record.value.clone());
    record.unwrap_or_else(|| {
        json!({
            "name": name, "storage_url": format!("gs://{name}/"), "location": "US",
            "uniform_bucket_level_access": true, "public_access_prevention": "inherited",
        })
    })
}

pub(super) fn describe_bucket(context: &mut Context<'_>) -> Result<Shown, Failure> {
    bucket_that_is_there(context, "")?;
    let name = bucket(context)?;
    Ok(Shown::One(described(context, &name)))
}

pub(super) fn list_buckets(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let project = context.project()?;
    let all = context.cloud.records.values().map(|record| &record.value);
    Ok(Shown::Many(
        all.filter(|value| value.get("storage_url").is_some() && value["project"] == project.as_str())
            .cloned()
            .collect(),
    ))
}

pub(super) fn update_bucket(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let resource = bucket_that_is_there(context, "")?;
    let name = bucket(context)?;
    let value = settings(context, described(context, &name));
    context.cloud.records.insert(resource, Record::new("storage buckets", value, Vec::new()));
    Ok(Shown::Nothing)
}

/// A bucket with its objects.
pub(super) fn remove_bucket(context: &mut Context<'_>) -> Result<Shown, Failure> {
    if context.arguments.switch("recursive").is_none() {
        return Err(Failure::Text("The simulator's gcloud removes whole buckets: --recursive.".to_owned()));
    }
    let resource = bucket_that_is_there(context, "")?;
    let name = bucket(context)?;
    context.services.storage.remove_bucket(&name)?;
    context.cloud.records.remove(&resource);
    context.services.iam.forget(&resource);
    context.note(format!("Removing gs://{name}/..."));
    Ok(Shown::Nothing)
}

fn secret(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    Ok(format!("projects/{}/secrets/{name}", context.project()?))
}

/// The full name of a secret, which must be there.
pub(super) fn secret_that_is_there(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    let name = secret(context, name)?;
    context.rest(Method::GET, &name, None, Value::Null)?;
    Ok(name)
}

/// A secret with its first version.
pub(super) fn create_secret(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = secret(context, context.arguments.positional(0))?;
    context.about(&name);
    if context.arguments.get("replication-policy").is_some_and(|policy| policy != "automatic") {
        return Err(Failure::invalid("The simulator has one place: --replication-policy=automatic."));
    }
    let data = context.file(context.arguments.text("data-file"))?;
    let parent = format!("projects/{}/secrets", context.project()?);
    let query = format!("secretId={}", context.arguments.positional(0));
    context.rest(Method::POST, &parent, Some(&query), json!({})).map_err(|failure| match failure {
        Failure::Api(error) if error.code == Code::AlreadyExists => Failure::exists(&name),
        other => other,
    })?;
    let body = json!({"payload": {"data": STANDARD.encode(data)}});
    context.rest(Method::POST, &format!("{name}:addVersion"), None, body)?;
    context.note(format!("Created version [1] of the secret [{}].", context.arguments.positional(0)));
    Ok(Shown::Nothing)
}
