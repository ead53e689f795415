//! What the recipe refuses, because the digest would depend on the builder.

use std::{collections::BTreeMap, env, fs, path::Path};

use csign::recipe::{self, BuildRequest, RecipeError};
use csign_contract::Recipe;

use crate::{fixture::fixture, skip};

fn request(scratch: &Path, source: &Path) -> BuildRequest {
    BuildRequest {
        source: source.to_owned(),
        package: "workload".to_owned(),
        recipe: Recipe::CargoMusl,
        contract: b"{}".to_vec(),
        labels: BTreeMap::new(),
        ports: Vec::new(),
        output: scratch.join("layout"),
        target_dir: None,
        network: true,
        jobs: None,
        progress: false,
        environment: env::vars_os().collect(),
    }
}

/// The build's error, or none where the target cannot be had.
fn refusal(change: impl Fn(&Path)) -> Option<RecipeError> {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("s");
    fixture(&source);
    change(&source);
    let error = recipe::build(&request(scratch.path(), &source)).expect_err("the build was accepted");
    assert!(!scratch.path().join("layout").exists(), "something was left behind");
    match error {
        RecipeError::MissingTarget { .. } => {
            skip(&error.to_string());
            None
        }
        error => Some(error),
    }
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap();
    fs::write(path, old + text).unwrap();
}

#[test]
fn program_that_names_its_directory_is_refused() {
    let place = "#[used] static HERE: &str = env!(\"CARGO_MANIFEST_DIR\");\n";
    let error = refusal(|source| append(&source.join("workload/src/main.rs"), place));
    assert!(error.is_none_or(|error| matches!(error, RecipeError::PathLeak { .. })));
}

#[test]
fn stale_lock_file_is_refused() {
    let error = refusal(|source| append(&source.join("workload/Cargo.toml"), "new = { path = \"../new\" }\n"));
    assert!(error.is_none_or(|error| matches!(error, RecipeError::Failed { .. })));
}

#[test]
fn second_binary_is_refused() {
    let error = refusal(|source| {
        fs::create_dir(source.join("workload/src/bin")).unwrap();
        fs::write(source.join("workload/src/bin/other.rs"), "fn main() {}").unwrap();
    });
    assert!(error.is_none_or(|error| matches!(error, RecipeError::NotOneBinary { count: 2, .. })));
}

#[test]
fn toolchain_that_moves_is_refused() {
    let error = refusal(|source| {
        fs::write(source.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"stable\"\n").unwrap();
    });
    assert!(error.is_some_and(|error| matches!(error, RecipeError::NotPinned { .. })));
}

#[test]
fn build_script_finds_no_c_compiler() {
    let error = refusal(|source| {
        let script = "fn main() { let cc = std::env::var(\"CC\").unwrap();\n\
                      assert!(std::process::Command::new(cc).status().unwrap().success(), \"no C compiler\"); }\n";
        fs::write(source.join("workload/build.rs"), script).unwrap();
    });
    assert!(error.is_none_or(|error| matches!(error, RecipeError::Failed { .. })));
}
