//! What differs between the contracts of two images, and what of it no rotation can do.

use csign_contract::Contract;
use serde_json::Value;

use crate::{RenderError, names::ProviderName};

/// The members that differ, as dotted paths.
///
/// # Errors
/// A change under which old and new image cannot be admitted side by side.
pub(super) fn changes(before: &Contract, after: &Contract) -> Result<Vec<String>, RenderError> {
    migrations(before, after)?;
    let mut paths = Vec::new();
    let value = |contract: &Contract| serde_json::to_value(contract).unwrap_or_default();
    walk("", &value(before), &value(after), &mut paths);
    Ok(paths)
}

fn migrations(before: &Contract, after: &Contract) -> Result<(), RenderError> {
    let same = |at: &str, from: &str, to: &str| {
        let migration = || RenderError::Migration { at: at.to_owned(), from: from.to_owned(), to: to.to_owned() };
        if from == to { Ok(()) } else { Err(migration()) }
    };
    // A provider takes tokens of one issuer.
    same("environment.issuer", before.environment.issuer(), after.environment.issuer())?;
    // Another operator's project is not the operator's to change.
    same("operator.project_id", &before.operator.project_id, &after.operator.project_id)?;
    // A subscription stays with its topic.
    let (old, new) = (&before.messages, &after.messages);
    if old.subscription == new.subscription {
        same("messages.topic", &old.topic, &new.topic)?;
    }
    for (party, collaborator) in after.collaborators() {
        let at = |member: &str| format!("party.{}.collaborator.{member}", party.name);
        let pool = |text: &str| -> Result<String, RenderError> {
            Ok(ProviderName::parse("party.collaborator.identity_provider", text)?.pool_name())
        };
        let new_pool = pool(&collaborator.identity_provider)?;
        if let Some((_, old)) = before.collaborator(&party.name) {
            // What the one image was sent, the other could not read.
            same(&at("kms_key"), &old.kms_key, &collaborator.kms_key)?;
            same(&at("identity_provider"), &pool(&old.identity_provider)?, &new_pool)?;
        }
        // Under another name: the newcomer's part would take away what the other one still needs.
        let joins = before.collaborator(&party.name).is_none();
        for (other, old) in
            before.collaborators().filter(|(other, _)| joins && after.collaborator(&other.name).is_none())
        {
            if old.kms_key == collaborator.kms_key || old.identity_provider == collaborator.identity_provider {
                same(&format!("party.{}.name", other.name), &other.name, &party.name)?;
            }
        }
    }
    Ok(())
}

fn walk(at: &str, before: &Value, after: &Value, paths: &mut Vec<String>) {
    let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                walk(&path(name), value, new.get(name).unwrap_or(&Value::Null), paths);
            }
            paths.extend(new.keys().filter(|name| !old.contains_key(*name)).map(|name| path(name)));
        }
        (Value::Array(old), Value::Array(new)) if named(old) && named(new) => {
            let find = |items: &[Value], name: &Value| items.iter().find(|item| item["name"] == *name).cloned();
            for item in old {
                let name = item["name"].as_str().unwrap_or_default();
                walk(&path(name), item, &find(new, &item["name"]).unwrap_or(Value::Null), paths);
            }
            let added = new.iter().filter(|item| find(old, &item["name"]).is_none());
            paths.extend(added.map(|item| path(item["name"].as_str().unwrap_or_default())));
        }
        _ if before == after => {}
        _ => paths.push(at.to_owned()),
    }
}

fn named(items: &[Value]) -> bool {
    items.iter().all(|item| item["name"].is_string())
}
