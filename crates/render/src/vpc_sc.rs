//! The target `vpc-sc`: a perimeter around a collaborator's project that is entered from the operator's project alone.
//!
//! It is the third wall, after condition and binding: whoever got hold of a token still cannot use it elsewhere.

use serde_json::{Value, json};

use crate::{
    Files, Grant, Input, Plan, RenderError, Resource, Role, Step,
    condition::{AGREED, AGREEMENT},
    gcloud, json as json_file,
    names::{self, KeyName, ProviderName},
    settings::required,
    terraform,
};

/// What is reached from outside only by these rules.
const SERVICES: [&str; 2] = ["cloudkms.googleapis.com", "sts.googleapis.com"];

/// A script that makes the perimeter, and its ingress rules to read.
pub(crate) fn files(role: &Role, input: Input<'_>) -> Result<Files, RenderError> {
    let wrong = || RenderError::Role { target: "vpc-sc", role: role.to_string(), wanted: "collaborator=NAME" };
    let Role::Collaborator(name) = role else { return Err(wrong()) };
    let (_, collaborator) = input.contract.collaborator(name).ok_or_else(wrong)?;
    let key = KeyName::parse("party.collaborator.kms_key", &collaborator.kms_key)?;
    let provider = ProviderName::parse("party.collaborator.identity_provider", &collaborator.identity_provider)?;
    let settings = &input.settings.vpc_sc;
    let policy =
        required(settings.policy.as_ref(), "vpc_sc.policy", "the number of your organization's access policy")?;
    let perimeter = names::ID.check("vpc_sc.perimeter", &settings.perimeter)?;
    let operator = required(
        input.settings.operator.project_number.as_ref(),
        "operator.project_number",
        "the number of the operator's project, which is let in; the operator tells it",
    )?;
    let ingress = ingress(input, &provider, &names::NUMBER.check("operator.project_number", operator)?)?;
    let plan = Plan {
        role: role.to_string(),
        project: key.project,
        contract: input.contract.digest(),
        steps: vec![Step {
            why: "Keys and tokens of this project are used from the operator's project, and from nowhere else outside.",
            resource: Resource::Perimeter {
                policy: names::NUMBER.check("vpc_sc.policy", policy)?,
                name: perimeter,
                number: provider.number,
                services: SERVICES.to_vec(),
                ingress: ingress.clone(),
            },
        }],
        command: format!("csign render vpc-sc --role {role}"),
        is_whole: true,
    };
    let terraform = terraform::document(&plan);
    let script = crate::File { text: gcloud::text(&plan), executable: true };
    Ok(Files::from([
        (format!("vpc-sc-{name}.sh"), script),
        (format!("vpc-sc-{name}.ingress.json"), json_file(&ingress)),
        (format!("vpc-sc-{name}.tf.json"), json_file(&terraform)),
    ]))
}

/// Who comes in: anyone to exchange a token, since whoever asks has no identity yet; then only who got one for an admitted
/// image, to use the key.
fn ingress(input: Input<'_>, provider: &ProviderName, operator: &str) -> Result<Value, RenderError> {
    let identities: Vec<String> = match input.settings.collaborator.grant {
        Grant::Signers => vec![provider.everyone_with(AGREEMENT, AGREED)],
        Grant::Digest if input.digests.is_empty() => return Err(RenderError::NoDigest("the grant \"digest\"")),
        Grant::Digest => {
            input.digests.iter().map(|digest| provider.everyone_with("image_digest", &digest.to_string())).collect()
        }
    };
    let sources = json!([{"resource": format!("projects/{operator}")}]);
    let to = |service: &str| {
        json!({
            "operations": [{"serviceName": service, "methodSelectors": [{"method": "*"}]}],
            "resources": [format!("projects/{}", provider.number)],
        })
    };
    let [kms, sts] = SERVICES;
    Ok(json!([
        {"ingressFrom": {"identityType": "ANY_IDENTITY", "sources": sources}, "ingressTo": to(sts)},
        {"ingressFrom": {"identities": identities, "sources": sources}, "ingressTo": to(kms)},
    ]))
}

/// The rules as `gcloud … --format=value(…)` shows them, a line each: what the script compares with.
pub(crate) fn as_read(ingress: &Value) -> String {
    let rules = ingress.as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<String> = rules
        .iter()
        .map(|rule| {
            let (from, to) = (&rule["ingressFrom"], &rule["ingressTo"]);
            [&from["identityType"], &from["identities"], &from["sources"], &to["operations"], &to["resources"]]
                .map(shown)
                .join("\t")
        })
        .collect();
    lines.join("\n")
}

/// A value as gcloud shows it: elements of lists are joined by `;`, and a list or map within one is shown as Python shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> =
                items.iter().map(|item| if item.is_string() { shown(item) } else { python(item) }).collect();
            items.join(";")
        }
        other => python(other),
    }
}

fn python(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("'{name}': {}", python(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}
