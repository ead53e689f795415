//! The documents name tests and files; a name that is not there any more is a lie.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use csign_tests::peer::repository;

/// All Rust sources of the repository.
fn sources(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let mut files = Vec::new();
    sources(&repository(), &mut files);
    let all: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let document = fs::read_to_string(repository().join("docs/threat-model.md")).unwrap();
    let is_test = |name: &&str| {
        name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let names: Vec<&str> = code(&document).filter(is_test).collect();
    assert!(names.len() > 60, "{names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that are not there: {missing:?}");
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let document = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let is_file = |name: &&str| name.contains('/') && name.ends_with(".rs");
    let missing: Vec<&str> =
        code(&document).filter(is_file).filter(|name| !repository().join(name).is_file()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that are not there: {missing:?}");
}

#[test]
fn the_page_of_the_workload_names_every_variable_and_path_that_it_reads() {
    let setting = fs::read_to_string(repository().join("workload/src/setting.rs")).unwrap();
    let contract = fs::read_to_string(repository().join("crates/contract/src/lib.rs")).unwrap();
    let page = fs::read_to_string(repository().join("docs/commands/workload.md")).unwrap();
    let shared = contract.lines().filter(|line| line.contains("PATH_IN_IMAGE") || line.contains("SIMULATOR_VARIABLE"));
    let constants = setting.lines().chain(shared).filter(|line| line.contains("const "));
    let named: Vec<&str> = constants.filter_map(|line| line.split_once(": &str = \"")?.1.split('"').next()).collect();
    assert!(named.contains(&"CONTAINER_ROOT") && named.contains(&"/etc/csign/contract.json"), "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !code(&page).any(|code| code == **name)).collect();
    assert!(missing.is_empty(), "docs/commands/workload.md does not name {missing:?}");
}
