//! `csign lint` as it is called.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

fn provider(condition: &str) -> Value {
    json!({
        "name": "projects/1/locations/global/workloadIdentityPools/pool/providers/x",
        "oidc": {"issuerUri": "https://confidentialcomputing.googleapis.com"},
        "attributeMapping": {
            "google.subject": "assertion.submods.gce.instance_id",
            "attribute.image_digest": "assertion.submods.container.image_digest",
        },
        "attributeCondition": condition,
    })
}

const GOOD: &str = "assertion.swname == 'CONFIDENTIAL_SPACE' \
    && 'STABLE' in assertion.submods.confidential_space.support_attributes \
    && assertion.submods.gce.project_id == 'op' && 'sa@op.iam.gserviceaccount.com' in assertion.google_service_accounts";

fn lint(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(std::path::absolute(env!("CARGO_BIN_EXE_csign")).expect("an absolute path"))
        .arg("lint")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .expect("csign starts")
}

fn write(directory: &Path, name: &str, value: &Value) {
    fs::write(directory.join(name), value.to_string()).expect("write");
}

#[test]
fn the_exit_status_tells_clean_from_mistaken_from_unknown_from_unreadable() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    write(directory, "good.json", &provider(GOOD));
    write(directory, "bad.json", &provider("true"));
    write(directory, "warning.json", &provider(&GOOD[..GOOD.find(" && assertion.submods.gce").expect("a clause")]));
    write(directory, "other.json", &json!({"something": "else"}));
    fs::write(directory.join("broken.json"), "{\"attributeCondition\": 1, \"attributeCondition\": 2}").expect("write");
    let status = |arguments: &[&str]| lint(directory, arguments).status.code();
    assert_eq!(status(&["good.json"]), Some(0));
    assert_eq!(status(&["good.json", "bad.json"]), Some(1));
    assert_eq!(status(&["warning.json"]), Some(0));
    assert_eq!(status(&["warning.json", "--deny", "warnings"]), Some(1));
    assert_eq!(status(&["other.json"]), Some(2));
    assert_eq!(status(&["broken.json"]), Some(2));
    assert_eq!(status(&["absent.json"]), Some(2));
    assert_eq!(status(&[]), Some(2));
    assert_eq!(status(&["bad.json", "--allow", "no-such-rule"]), Some(2));
    assert_eq!(status(&["layout-that-is-none.example/team/app@sha256:00"]), Some(2));
}

#[test]
fn a_rule_that_is_allowed_says_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "bad.json", &provider(&format!("{GOOD} || assertion.dbgstat == 'enabled'")));
    let all = lint(directory.path(), &["bad.json", "--output", "json"]);
    let found: Value = serde_json::from_slice(&all.stdout).expect("JSON");
    assert_eq!(found["findings"][0]["rule"], "admits-debug");
    let mut arguments = vec!["bad.json"];
    for finding in found["findings"].as_array().expect("a list") {
        arguments.extend(["--allow", finding["rule"].as_str().expect("a rule")]);
    }
    assert_eq!(lint(directory.path(), &arguments).status.code(), Some(0));
}

#[test]
fn a_bare_condition_is_read_where_the_command_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("condition.txt"), format!("{GOOD}\n")).expect("write");
    let with_kind = lint(directory.path(), &["condition.txt", "--kind", "condition"]);
    assert_eq!(with_kind.status.code(), Some(0), "{}", String::from_utf8_lossy(&with_kind.stdout));
    assert_eq!(lint(directory.path(), &["condition.txt"]).status.code(), Some(2));
}

#[test]
fn every_rule_is_listed_and_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = lint(directory.path(), &["--rules", "--output", "json"]);
    let rules: Value = serde_json::from_slice(&rules.stdout).expect("JSON");
    for rule in rules.as_array().expect("a list") {
        let id = rule["id"].as_str().expect("an id");
        let explained = lint(directory.path(), &["--explain", id]);
        assert!(String::from_utf8_lossy(&explained.stdout).starts_with(id));
    }
}
