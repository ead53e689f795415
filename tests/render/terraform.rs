//! The target `terraform`: what the real Terraform reads, what the provider's documentation knows, and that it says what the
//! script says.

use std::{collections::BTreeSet, fs, process::Command};

use csign_render::{Files, Target};
use csign_tests::{peer, process::Finished};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::{
    gcloud::{other_operator_input, with_ports},
    scene::{ROLES, contract, render_with, rendered, settings},
};

const SCHEMA: &str = include_str!("data/google-provider.json");

/// Every configuration there is.
fn all() -> Vec<Files> {
    let mut all: Vec<Files> = ROLES.map(|who| rendered(Target::Terraform, who)).to_vec();
    all.push(render_with(Target::Terraform, "operator", &with_ports(), &other_operator_input()).unwrap());
    let mut perimeter = rendered(Target::VpcSc, "collaborator=collaborator-1");
    perimeter.retain(|name, _| name.ends_with(".tf.json"));
    all.push(perimeter);
    all
}

fn documents() -> Vec<Value> {
    all().iter().flat_map(Files::values).map(|file| serde_json::from_str(&file.text).unwrap()).collect()
}

/// Refuses what the schema does not know, and what lacks something that it requires.
fn check(at: &str, body: &Map<String, Value>, schema: &Map<String, Value>) {
    for (name, value) in body {
        if at.matches('.').count() == 1 && ["depends_on", "lifecycle"].contains(&name.as_str()) {
            continue; // Terraform's own.
        }
        let known = schema.get(name).or_else(|| schema.get(&format!("{name}!")));
        let kind = known.unwrap_or_else(|| panic!("{at} has no argument {name}"));
        let here = format!("{at}.{name}");
        match (kind, value) {
            (Value::Object(block), Value::Object(body)) => check(&here, body, block),
            (Value::Object(block), Value::Array(bodies)) => {
                bodies.iter().for_each(|body| check(&here, body.as_object().unwrap(), block));
            }
            (Value::String(kind), value) => {
                let fits = match kind.as_str() {
                    "string" => value.is_string(),
                    "bool" => value.is_boolean(),
                    "number" => value.is_u64(),
                    "list" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
                    "map" => value.as_object().is_some_and(|items| items.values().all(Value::is_string)),
                    other => panic!("{other}"),
                };
                assert!(fits, "{here} is no {kind}: {value}");
            }
            _ => panic!("{here}: {value}"),
        }
    }
    for required in schema.keys().filter_map(|name| name.strip_suffix('!')) {
        assert!(body.contains_key(required), "{at} lacks {required}");
    }
}

#[test]
fn every_argument_is_one_that_the_provider_documents_and_none_is_missing() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut used = BTreeSet::new();
    for document in documents() {
        for (place, known) in [("resource", "resources"), ("data", "data")] {
            for (kind, blocks) in document[place].as_object().into_iter().flatten() {
                let schema = schema[known][kind].as_object().unwrap_or_else(|| panic!("no schema of {kind}"));
                for (label, body) in blocks.as_object().unwrap() {
                    check(&format!("{kind}.{label}"), body.as_object().unwrap(), schema);
                }
                used.insert(kind.clone());
            }
        }
        assert_eq!(document["terraform"]["required_providers"]["google"]["version"], "~> 6.0");
    }
    // Secrets stand in contracts with a database only.
    let unused: Vec<&String> =
        schema["resources"].as_object().unwrap().keys().filter(|kind| !used.contains(*kind)).collect();
    assert_eq!(unused, ["google_secret_manager_secret_iam_member"]);
}

#[test]
fn what_a_thing_depends_on_is_there_and_comes_before_it() {
    for document in documents() {
        let mut names = BTreeSet::new();
        let mut edges = Vec::new();
        for (place, prefix) in [("resource", ""), ("data", "data.")] {
            for (kind, blocks) in document[place].as_object().into_iter().flatten() {
                for (label, body) in blocks.as_object().unwrap() {
                    let name = format!("{prefix}{kind}.{label}");
                    for before in body["depends_on"].as_array().into_iter().flatten() {
                        edges.push((name.clone(), before.as_str().unwrap().to_owned()));
                    }
                    names.insert(name);
                }
            }
        }
        assert!(edges.iter().all(|(_, before)| names.contains(before)));
        // One chain: everything but the first has exactly one before it, and nobody shares it.
        assert_eq!(edges.len() + 1, names.len());
        assert_eq!(edges.iter().map(|(_, before)| before).collect::<BTreeSet<_>>().len(), edges.len());
    }
}

#[test]
fn terraform_reads_it() {
    let Some(terraform) = peer::find("terraform") else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "terraform_reads_it skipped: no terraform on this machine");
        return;
    };
    for files in all() {
        let directory = TempDir::new().unwrap();
        for (name, file) in &files {
            fs::write(directory.path().join(name), &file.text).unwrap();
        }
        // Without the provider it cannot validate; it reads the whole configuration first, and only then looks for it.
        let mut command = Command::new(&terraform);
        command.args(["providers", "-no-color"]).current_dir(directory.path()).env("CHECKPOINT_DISABLE", "1");
        let shown = Finished::of(&mut command).success();
        assert!(shown.contains("registry.terraform.io/hashicorp/google") && shown.contains("~> 6.0"), "{shown}");
    }
}

#[test]
fn script_and_configuration_say_the_same() {
    let script = rendered(Target::Gcloud, "collaborator=collaborator-1");
    let script = &script.values().next().unwrap().text;
    let configuration = rendered(Target::Terraform, "collaborator=collaborator-1");
    let document: Value = serde_json::from_str(&configuration.values().next().unwrap().text).unwrap();
    let provider = &document["resource"]["google_iam_workload_identity_pool_provider"]["attestation_verifier"];
    assert!(script.contains(provider["attribute_condition"].as_str().unwrap()));
    for (attribute, expression) in provider["attribute_mapping"].as_object().unwrap() {
        assert!(script.contains(&format!("{attribute}={}", expression.as_str().unwrap())), "{attribute}");
    }
    let bindings = document["resource"]["google_kms_crypto_key_iam_binding"].as_object().unwrap();
    assert_eq!(bindings.len(), 4, "who decrypts is written as a whole");
    let admitted = bindings["key1_cloudkms_cryptokeydecrypter"]["members"].as_array().unwrap();
    assert_eq!(admitted.len(), 1);
    assert!(script.contains(admitted[0].as_str().unwrap()));
}

#[test]
fn a_text_of_the_contract_is_no_template() {
    let mut settings = settings();
    let mut contract = contract("");
    // Nothing in a contract may look like this; if it did, it would still be a text.
    contract.platform.hardware = vec!["GCP_INTEL_TDX".to_owned(), "${file(\"/etc/passwd\")} %{ if true }".to_owned()];
    settings.collaborator.signing_key = None;
    let files = render_with(Target::Terraform, "collaborator=collaborator-1", &contract, &settings).unwrap();
    let text = &files.values().next().unwrap().text;
    assert!(text.contains("$${file(") && text.contains("%%{ if"));
    assert!(!text.replace("$${", "").replace("${self.number", "").contains("${"));
}
