//! The rules of `deny.toml` that need no network, checked with cargo alone, over the whole workspace. What the workload
//! in particular may link is checked beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{collections::BTreeSet, env, fs, process::Command};

use csign_tests::peer::repository;
use toml::{Table, Value};

/// Name and licence expression of everything that cargo builds for this workspace.
fn packages() -> BTreeSet<(String, String)> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--edges",
            "normal,build,dev",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .args(["--prefix", "none", "--format", "{p}\t{l}"])
        .current_dir(repository())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let packages: BTreeSet<_> = lines
        // " (*)" marks a package that the tree has shown already.
        .map(|(package, license)| (package, license.trim_end_matches(" (*)")))
        .map(|(package, license)| (package.split(' ').next().unwrap_or_default().to_owned(), license.to_owned()))
        .collect();
    assert!(packages.iter().any(|(name, _)| name == "serde"), "the tree was not read: {text}");
    packages
}

fn rules() -> Table {
    let text = fs::read_to_string(repository().join("deny.toml")).expect("reading deny.toml");
    text.parse().expect("deny.toml is TOML")
}

fn strings<'a>(values: &'a Value, key: &'a str) -> impl Iterator<Item = &'a str> {
    values
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(move |value| value.as_str().or_else(|| value.get(key)?.as_str()))
}

/// Whether an SPDX expression can be fulfilled with the `allowed` licences alone.
fn fulfilled(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "~");
    let words: Vec<_> = spaced.split_whitespace().map(|word| word.replace('~', " WITH ")).collect();
    let mut words = words.iter().map(String::as_str).peekable();
    let result = any(&mut words, allowed);
    result && words.next().is_none()
}

fn any<'a, I: Iterator<Item = &'a str>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<&str>) -> bool {
    let mut result = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words, allowed);
    }
    result
}

fn all<'a, I: Iterator<Item = &'a str>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<&str>) -> bool {
    let mut result = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed);
    }
    result
}

fn one<'a, I: Iterator<Item = &'a str>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<&str>) -> bool {
    match words.next() {
        Some("(") => any(words, allowed) & (words.next() == Some(")")),
        Some(license) => allowed.contains(license),
        None => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(fulfilled(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT ISC", "Apache-2.0", "(MIT"] {
        assert!(!fulfilled(bad, &allowed), "{bad}");
    }
}

#[test]
fn no_crate_is_banned() {
    let rules = rules();
    let packages = packages();
    let banned: Vec<_> = strings(&rules["bans"]["deny"], "crate")
        .filter(|banned| packages.iter().any(|(name, _)| name == banned))
        .collect();
    assert!(banned.is_empty(), "deny.toml bans {banned:?}: `cargo tree --invert NAME` shows who brings it");
}

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed = strings(&rules["licenses"]["allow"], "").collect();
    let refused: Vec<_> = packages().into_iter().filter(|(_, license)| !fulfilled(license, &allowed)).collect();
    assert!(refused.is_empty(), "not in deny.toml's licences: {refused:?}");
}

#[test]
fn every_crate_comes_from_the_registry() {
    let rules = rules();
    let allowed: Vec<_> =
        strings(&rules["sources"]["allow-registry"], "").map(|url| format!("registry+{url}")).collect();
    let lock: Table = fs::read_to_string(repository().join("Cargo.lock")).unwrap().parse().expect("a lock file");
    for package in lock["package"].as_array().expect("a list of packages") {
        let source = package.get("source").and_then(Value::as_str);
        assert!(
            source.is_none_or(|source| allowed.iter().any(|a| a == source)),
            "{} comes from {source:?}",
            package["name"]
        );
    }
}
