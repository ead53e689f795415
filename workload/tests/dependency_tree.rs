//! What the image's program is made of: no C, no command line, no simulator, nothing that signs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use serde_json::Value;

/// Crates that compile or look for C code.
const BUILDS_C: &[&str] = &["autotools", "bindgen", "cc", "cmake", "nasm-rs", "pkg-config", "system-deps", "vcpkg"];
/// Cryptography in C, directly or through the system.
const C_CRYPTOGRAPHY: &[&str] = &["aws-lc-rs", "boring", "native-tls", "openssl", "ring", "security-framework"];
/// What has no place in a program that only verifies, decrypts and counts.
const OTHER_PROGRAMS: &[&str] = &["clap", "clap_builder", "csign", "csign-keyless", "csign-keys", "simulator"];
/// `-sys` crates that only declare system calls.
const DECLARATIONS_ONLY: &[&str] = &["linux-raw-sys"];
/// Crates, and what they claim to link, that link nothing: the claim keeps two versions out of one build. Their build
/// scripts were read; another library under one of these names is found.
const CLAIMS_ONLY: &[(&str, &str)] = &[
    // A pretty printer of Rust, which regorus brings: its build script prints its own version.
    ("verus_prettyplease", "prettyplease-verus02"),
];

fn cargo(args: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo).args(args).args(["--locked", "--manifest-path", manifest]).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names and versions of all crates that the image's build compiles, for the target and for the builder.
fn tree() -> BTreeSet<(String, String)> {
    let lines = cargo(&[
        "tree",
        "--package",
        "workload",
        "--edges",
        "normal,build",
        "--target",
        "x86_64-unknown-linux-musl",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let crates: BTreeSet<(String, String)> = lines
        .lines()
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned()))
        .collect();
    assert!(crates.iter().any(|(name, _)| name == "csign-trust"), "the tree was not read: {crates:?}");
    crates
}

/// Crates whose manifest claims a native library (`links`).
fn linking() -> BTreeMap<(String, String), String> {
    let target = "--filter-platform=x86_64-unknown-linux-musl";
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version=1", target])).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let linking = packages.filter(|package| package["links"].is_string());
    linking.map(|p| ((text(&p["name"]), text(&p["version"])), text(&p["links"]))).collect()
}

#[test]
fn nothing_builds_c() {
    let mut found = Vec::new();
    let linking = linking();
    for package in tree() {
        let (name, version) = &package;
        if BUILDS_C.contains(&name.as_str()) || C_CRYPTOGRAPHY.contains(&name.as_str()) {
            found.push(format!("{name} {version}"));
        }
        if name.ends_with("-sys") && !DECLARATIONS_ONLY.contains(&name.as_str()) {
            found.push(format!("{name} {version} binds a C library"));
        }
        if let Some(library) = linking.get(&package).filter(|library| !CLAIMS_ONLY.contains(&(name, library))) {
            found.push(format!("{name} {version} links {library:?}"));
        }
    }
    assert!(found.is_empty(), "the image's digest would depend on a C compiler or library: {found:#?}");
}

#[test]
fn nothing_signs_simulates_or_parses_command_lines() {
    let names: BTreeSet<String> = tree().into_iter().map(|(name, _)| name).collect();
    let found: Vec<_> = OTHER_PROGRAMS.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?} must not be part of the workload");
}
