//! Key rings, keys and their versions: Cloud KMS over its own REST interface.

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Context, Failure, records::Record, show::Shown};
use crate::respond::Code;

/// `projects/P/locations/L/keyRings/R`
fn ring(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    Ok(format!("projects/{}/locations/{}/keyRings/{name}", context.project()?, context.arguments.text("location")))
}

fn key(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    Ok(format!("{}/cryptoKeys/{name}", ring(context, context.arguments.text("keyring"))?))
}

/// The key of `--key` and its version.
fn version(context: &mut Context<'_>) -> Result<String, Failure> {
    let key = key(context, context.arguments.text("key"))?;
    let name = format!("{key}/cryptoKeyVersions/{}", context.arguments.positional(0));
    context.about(&name);
    Ok(name)
}

/// The full name of a key, which must be there.
pub(super) fn key_that_is_there(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    let name = key(context, name)?;
    context.rest(Method::GET, &name, None, Value::Null)?;
    Ok(name)
}

/// A ring is there if somebody made it, or a key in it.
fn has_ring(context: &Context<'_>, ring: &str) -> bool {
    let prefix = format!("{ring}/");
    context.cloud.records.contains_key(ring)
        || context.services.kms.keys().iter().any(|key| key.name.starts_with(&prefix))
}

pub(super) fn create_ring(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = ring(context, context.arguments.positional(0))?;
    context.about(&name);
    let id = context.arguments.positional(0);
    let plain = !id.is_empty() && id.len() <= 63 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !plain {
        return Err(Failure::invalid(format!("The key ring id {id:?} does not match [a-zA-Z0-9_-]{{1,63}}.")));
    }
    if has_ring(context, &name) {
        return Err(Failure::api(Code::AlreadyExists, format!("KeyRing {name} already exists.")));
    }
    context.cloud.records.insert(name.clone(), Record::new("kms keyrings", json!({"name": name}), Vec::new()));
    Ok(Shown::Nothing)
}

pub(super) fn describe_ring(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = ring(context, context.arguments.positional(0))?;
    context.about(&name);
    match has_ring(context, &name) {
        true => Ok(Shown::One(json!({"name": name}))),
        false => Err(Failure::api(Code::NotFound, format!("KeyRing {name} not found."))),
    }
}

pub(super) fn list_rings(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let prefix = ring(context, "")?;
    let made = context.cloud.records.keys().filter(|path| path.starts_with(&prefix)).cloned();
    let keys = context.services.kms.keys();
    let implied = keys.iter().filter_map(|key| key.name.split_once("/cryptoKeys/").map(|(ring, _)| ring.to_owned()));
    let all: std::collections::BTreeSet<String> =
        made.chain(implied.filter(|ring| ring.starts_with(&prefix))).collect();
    Ok(Shown::Many(all.into_iter().map(|name| json!({"name": name})).collect()))
}

pub(super) fn create_key(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = key(context, context.arguments.positional(0))?;
    context.about(&name);
    let parent = ring(context, context.arguments.text("keyring"))?;
    if !has_ring(context, &parent) {
        return Err(Failure::api(Code::NotFound, format!("KeyRing {parent} not found.")));
    }
    let (purpose, default) = match context.arguments.text("purpose") {
        "encryption" => ("ENCRYPT_DECRYPT", Some("GOOGLE_SYMMETRIC_ENCRYPTION")),
        "asymmetric-signing" => ("ASYMMETRIC_SIGN", None),
        "asymmetric-encryption" => ("ASYMMETRIC_DECRYPT", None),
        other => return Err(Failure::Text(format!("argument --purpose: Invalid choice: '{other}'."))),
    };
    let given = context.arguments.get("default-algorithm").map(|name| name.to_ascii_uppercase().replace('-', "_"));
    let algorithm = given.or_else(|| default.map(str::to_owned));
    let algorithm = algorithm.ok_or_else(|| {
        Failure::Text(format!("--default-algorithm needs to be specified when creating a key of purpose {purpose}."))
    })?;
    let level = context.arguments.get("protection-level").unwrap_or("software").to_ascii_uppercase();
    let body = json!({"purpose": purpose, "versionTemplate": {"algorithm": algorithm, "protectionLevel": level}});
    let query = format!("cryptoKeyId={}", context.arguments.positional(0));
    context.rest(Method::POST, &format!("{parent}/cryptoKeys"), Some(&query), body)?;
    Ok(Shown::Nothing)
}

pub(super) fn describe_key(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = key(context, context.arguments.positional(0))?;
    context.about(&name);
    Ok(Shown::One(context.rest(Method::GET, &name, None, Value::Null)?))
}

pub(super) fn list_keys(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let ring = ring(context, context.arguments.text("keyring"))?;
    context.about(&ring);
    if !has_ring(context, &ring) {
        return Err(Failure::api(Code::NotFound, format!("KeyRing {ring} not found.")));
    }
    let prefix = format!("{ring}/");
    let keys = context.services.kms.keys();
    let of_ring = keys.iter().filter(|key| key.name.starts_with(&prefix));
    let described = of_ring.map(|key| context.rest(Method::GET, &key.name, None, Value::Null));
    described.collect::<Result<_, _>>().map(Shown::Many)
}

pub(super) fn list_versions(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let key = key(context, context.arguments.text("key"))?;
    context.about(&key);
    let mut reply = context.rest(Method::GET, &format!("{key}/cryptoKeyVersions"), None, Value::Null)?;
    match reply["cryptoKeyVersions"].take() {
        Value::Array(versions) => Ok(Shown::Many(versions)),
        _ => Ok(Shown::Many(Vec::new())),
    }
}

pub(super) fn describe_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = version(context)?;
    Ok(Shown::One(context.rest(Method::GET, &name, None, Value::Null)?))
}

pub(super) fn create_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let key = key(context, context.arguments.text("key"))?;
    context.about(&key);
    let made = context.rest(Method::POST, &format!("{key}/cryptoKeyVersions"), None, json!({}))?;
    if context.arguments.switch("primary").is_some() {
        let id = made["name"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let body = json!({"cryptoKeyVersionId": id});
        context.rest(Method::POST, &format!("{key}:updatePrimaryVersion"), None, body)?;
    }
    Ok(Shown::One(made))
}

pub(super) fn destroy_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = version(context)?;
    Ok(Shown::One(context.rest(Method::POST, &format!("{name}:destroy"), None, json!({}))?))
}

pub(super) fn restore_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = version(context)?;
    Ok(Shown::One(context.rest(Method::POST, &format!("{name}:restore"), None, json!({}))?))
}

fn set_state(context: &mut Context<'_>, state: &str) -> Result<Shown, Failure> {
    let name = version(context)?;
    let body = json!({"state": state});
    Ok(Shown::One(context.rest(Method::PATCH, &name, Some("updateMask=state"), body)?))
}

pub(super) fn disable_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    set_state(context, "DISABLED")
}

pub(super) fn enable_version(context: &mut Context<'_>) -> Result<Shown, Failure> {
    set_state(context, "ENABLED")
}

/// The PEM, into a file or to standard output.
pub(super) fn public_key(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = version(context)?;
    let reply = context.rest(Method::GET, &format!("{name}/publicKey"), None, Value::Null)?;
    let pem = reply["pem"].as_str().unwrap_or_default().to_owned();
    match context.arguments.get("output-file") {
        Some(file) => {
            context.write(file, pem.as_bytes());
            Ok(Shown::Nothing)
        }
        None => Ok(Shown::Text(pem)),
    }
}

/// With the rights of the account, not of the owner of everything.
fn transform(context: &mut Context<'_>, verb: &str, from: &str, to: &str) -> Result<Shown, Failure> {
    let key = key(context, context.arguments.text("key"))?;
    context.about(&key);
    let input = context.file(context.arguments.text(&format!("{from}-file")))?;
    let body = json!({from: STANDARD.encode(input)});
    let reply = context.rest_as_account(Method::POST, &format!("{key}:{verb}"), body)?;
    let output = reply[to].as_str().and_then(|output| STANDARD.decode(output).ok());
    let output = output.ok_or_else(|| Failure::Text("Cloud KMS answered without the result.".to_owned()))?;
    let file = context.arguments.text(&format!("{to}-file"));
    context.write(file, &output);
    Ok(Shown::Nothing)
}

pub(super) fn encrypt(context: &mut Context<'_>) -> Result<Shown, Failure> {
    transform(context, "encrypt", "plaintext", "ciphertext")
}

pub(super) fn decrypt(context: &mut Context<'_>) -> Result<Shown, Failure> {
    transform(context, "decrypt", "ciphertext", "plaintext")
}
