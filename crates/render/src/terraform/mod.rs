//! The target `terraform`: the plan in Terraform's JSON syntax, for the `google` provider.
//!
//! Each resource depends on the one before it, so things are made in the plan's order, as the script makes them, and removed
//! the other way round.

mod resource;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{Files, Plan, RenderError, json as json_file};

/// The provider's versions for which this was written.
const PROVIDER: &str = "~> 6.0";

/// Renders a plan as a configuration.
pub(crate) fn configuration(plan: &Plan) -> Result<Files, RenderError> {
    let name = format!("{}.tf.json", plan.role.replace('=', "-"));
    Ok(Files::from([(name, json_file(&document(plan)))]))
}

/// The configuration's document.
pub(crate) fn document(plan: &Plan) -> Value {
    let mut kinds: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::new();
    let mut data: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::new();
    let mut before: Option<String> = None;
    for step in &plan.steps {
        for resource::Block { kind, label, mut body, is_data } in resource::blocks(&step.resource) {
            let blocks = if is_data { &mut data } else { &mut kinds };
            let blocks = blocks.entry(kind).or_default();
            let label = free(blocks, &label);
            if let (Some(before), Some(members)) = (&before, body.as_object_mut()) {
                members.insert("depends_on".to_owned(), json!([before]));
            }
            before = Some(if is_data { format!("data.{kind}.{label}") } else { format!("{kind}.{label}") });
            blocks.insert(label, body);
        }
    }
    let mut document = json!({
        "//": format!("Written by csign render terraform --role {}, from the contract {}.", plan.role, plan.contract),
        "terraform": {
            "required_version": ">= 1.5",
            "required_providers": {"google": {"source": "hashicorp/google", "version": PROVIDER}},
        },
        "resource": kinds,
    });
    if !data.is_empty() {
        document["data"] = json!(data);
    }
    document
}

/// `wanted`, or with a number behind it if the label is taken.
fn free(taken: &Map<String, Value>, wanted: &str) -> String {
    let mut label = wanted.to_owned();
    let mut number = 1_u32;
    while taken.contains_key(&label) {
        number += 1;
        label = format!("{wanted}_{number}");
    }
    label
}

/// A text that is no template: Terraform's JSON syntax reads `${` and `%{` in every text.
fn literal(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}
