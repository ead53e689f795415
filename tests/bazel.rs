//! The BUILD files say what the manifests say: read as text, without Bazel.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use csign_tests::peer::repository;
use toml::{Table, Value};

/// One member of the workspace.
struct Package {
    /// Its directory, as a path from the root.
    directory: String,
    manifest: Table,
    /// The call of `cargo_package` in its BUILD file.
    build: String,
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn table(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All members, by name.
fn packages() -> BTreeMap<String, Package> {
    let root = table("Cargo.toml");
    let mut directories = Vec::new();
    for member in root["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap()) {
        match member.strip_suffix("/*") {
            None => directories.push(member.to_owned()),
            Some(parent) => {
                let entries = fs::read_dir(repository().join(parent)).unwrap().flatten();
                let here = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
                directories.extend(here.map(|entry| format!("{parent}/{}", entry.file_name().to_str().unwrap())));
            }
        }
    }
    assert!(directories.len() > 15, "{directories:?}");
    directories
        .into_iter()
        .map(|directory| {
            let manifest = table(&format!("{directory}/Cargo.toml"));
            let text = read(&format!("{directory}/BUILD.bazel"));
            let start = text.find("cargo_package(\n").unwrap_or_else(|| panic!("{directory} calls no cargo_package"));
            let build = text[start..].split_once("\n)\n").unwrap().0.to_owned();
            (manifest["package"]["name"].as_str().unwrap().to_owned(), Package { directory, manifest, build })
        })
        .collect()
}

/// What stands in quotes in the attribute `name` of a call that buildifier has formatted; nothing if it is absent.
fn attribute(call: &str, name: &str) -> Option<Vec<String>> {
    let start = call.find(&format!("\n    {name} = "))? + 1;
    let value = &call[start..];
    let end = value.match_indices(",\n").map(|(at, _)| at).find(|at| {
        let rest = &value[at + 2..];
        rest.is_empty() || (rest.starts_with("    ") && !rest.starts_with("     ") && !rest.starts_with("    ]"))
    });
    let value = &value[..end.unwrap_or(value.len())];
    Some(value.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

fn set(call: &str, name: &str) -> BTreeSet<String> {
    attribute(call, name).unwrap_or_default().into_iter().collect()
}

fn keys<'a>(package: &'a Package, section: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let section = package.manifest.get(section).and_then(Value::as_table);
    section.into_iter().flat_map(|section| section.iter().map(|(name, value)| (name.as_str(), value)))
}

/// The label of a package's library.
fn label(package: &Package) -> String {
    let library = attribute(&package.build, "library");
    library.map_or(format!("//{}", package.directory), |name| format!("//{}:{}", package.directory, name[0]))
}

#[test]
fn dependencies_on_our_own_crates_are_the_manifests() {
    let packages = packages();
    for (name, package) in &packages {
        assert_eq!(attribute(&package.build, "name").unwrap(), [name.as_str()]);
        let labels = |section: &str| -> BTreeSet<String> {
            let names = keys(package, section).map(|(dependency, _)| dependency);
            names.filter(|other| *other != name).filter_map(|other| packages.get(other)).map(label).collect()
        };
        let (deps, dev_deps) = (labels("dependencies"), labels("dev-dependencies"));
        assert_eq!(set(&package.build, "deps"), deps, "deps of {name}");
        assert_eq!(set(&package.build, "dev_deps"), &dev_deps - &deps, "dev_deps of {name}");
    }
}

#[test]
fn features_are_the_manifests() {
    for (name, package) in &packages() {
        let features: BTreeSet<_> =
            keys(package, "features").map(|(feature, _)| feature.to_owned()).filter(|f| f != "default").collect();
        assert_eq!(set(&package.build, "features"), features, "features of {name}");
    }
}

/// What the image's program is made of has the features that cargo's build of the workload has, and no more.
#[test]
fn the_image_has_no_feature_that_the_workload_does_not_ask_for() {
    let (packages, root) = (packages(), table("Cargo.toml"));
    let mut tree = vec!["workload"];
    let mut asked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut at = 0;
    while at < tree.len() {
        for (name, spec) in keys(&packages[tree[at]], "dependencies").filter(|(name, _)| packages.contains_key(*name)) {
            let shared = &root["workspace"]["dependencies"][name];
            let features = [spec, shared].into_iter().filter_map(|spec| spec.get("features")?.as_array());
            let features = features.flatten().map(|feature| feature.as_str().unwrap().to_owned());
            asked.entry(name).or_default().extend(features);
            let default = keys(&packages[name], "features").any(|(feature, _)| feature == "default");
            assert!(!default || shared.get("default-features").is_some(), "{name} has default features");
            if !tree.contains(&name) {
                tree.push(name);
            }
        }
        at += 1;
    }
    for name in &tree[1..] {
        let package = &packages[*name];
        let all = set(&package.build, "features");
        let image = attribute(&package.build, "image_features").map_or(all, |list| list.into_iter().collect());
        assert_eq!(image, asked[name], "image_features of {name}");
        let foreign = keys(package, "dependencies").filter(|(dependency, _)| !packages.contains_key(*dependency));
        let (optional, needed): (Vec<_>, Vec<_>) = foreign
            .partition(|(_, spec)| spec.get("optional").is_some_and(|optional| optional.as_bool() == Some(true)));
        let needed = (!optional.is_empty()).then(|| needed.into_iter().map(|(name, _)| name.to_owned()).collect());
        assert_eq!(attribute(&package.build, "image_crates"), needed, "image_crates of {name}");
    }
}

/// Integration tests as cargo finds them: named in the manifest, or by their place.
fn integration_tests(package: &Package) -> BTreeSet<String> {
    let named = package.manifest.get("test").and_then(Value::as_array).into_iter().flatten();
    let named: BTreeSet<String> = named.map(|test| test["path"].as_str().unwrap().to_owned()).collect();
    named.into_iter().chain(found(&repository().join(&package.directory), "tests")).collect()
}

/// `*.rs` and `*/main.rs` below a directory of the package.
fn found(package: &Path, directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(package.join(directory)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let prefix = if directory == "." { String::new() } else { format!("{directory}/") };
    names
        .filter_map(|name| match name.ends_with(".rs") {
            true => Some(format!("{prefix}{name}")),
            false => {
                package.join(directory).join(&name).join("main.rs").is_file().then(|| format!("{prefix}{name}/main.rs"))
            }
        })
        .collect()
}

#[test]
fn every_integration_test_is_a_target() {
    for (name, package) in &packages() {
        let home = repository().join(&package.directory);
        let patterns = attribute(&package.build, "integration_tests");
        let patterns = patterns.unwrap_or_else(|| vec!["tests/*.rs".to_owned(), "tests/*/main.rs".to_owned()]);
        let mut targets = BTreeSet::new();
        for pattern in &patterns {
            let directory = pattern.split_once('*').unwrap().0.trim_end_matches('/');
            let all = found(&home, if directory.is_empty() { "." } else { directory });
            targets.extend(all.into_iter().filter(|path| path.ends_with("/main.rs") == pattern.ends_with("/main.rs")));
        }
        let binaries: BTreeSet<String> = set(&package.build, "binaries");
        targets.retain(|path| !binaries.contains(path));
        assert_eq!(targets, integration_tests(package), "integration tests of {name}");
        let stems: BTreeSet<&str> = targets
            .iter()
            .map(|path| path.trim_end_matches(".rs").trim_end_matches("/main").rsplit('/').next().unwrap())
            .collect();
        let unfit = attribute(&package.build, "unfit").unwrap_or_default();
        let unknown: Vec<_> = unfit.iter().step_by(2).filter(|stem| !stems.contains(stem.as_str())).collect();
        assert!(unknown.is_empty(), "{name} has no integration tests {unknown:?}");
    }
}

#[test]
fn every_program_is_a_target() {
    for (name, package) in &packages() {
        let mut programs: BTreeMap<String, String> = BTreeMap::new();
        for program in package.manifest.get("bin").and_then(Value::as_array).into_iter().flatten() {
            let field = |field: &str| program[field].as_str().unwrap().to_owned();
            programs.insert(field("name"), field("path"));
        }
        let main = "src/main.rs".to_owned();
        if repository().join(&package.directory).join(&main).is_file() && !programs.values().any(|path| *path == main) {
            programs.insert(name.clone(), main);
        }
        let binaries = attribute(&package.build, "binaries").unwrap_or_default();
        let binaries = binaries.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_eq!(programs, binaries, "binaries of {name}");
    }
}

#[test]
fn versions_agree() {
    let (module, defs) = (read("MODULE.bazel"), read("bazel/defs.bzl"));
    let constant = |text: &str, name: &str| -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} = \""))).expect("a constant");
        line.trim_end_matches('"').to_owned()
    };
    let package = &table("Cargo.toml")["workspace"]["package"];
    assert_eq!(constant(&defs, "VERSION"), package["version"].as_str().unwrap());
    assert_eq!(constant(&defs, "EDITION"), package["edition"].as_str().unwrap());
    assert_eq!(constant(&module, "RUST"), table("rust-toolchain.toml")["toolchain"]["channel"].as_str().unwrap());
    assert!(module.contains(&format!("edition = \"{}\"", package["edition"].as_str().unwrap())));
    assert!(
        module.contains(&format!("    name = \"csign\",\n    version = \"{}\"", package["version"].as_str().unwrap()))
    );
    let bazel = read(".bazelversion");
    let parts: Vec<&str> = bazel.trim().split('.').collect();
    assert!(parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()), "{bazel:?} moves");
    // The stand-ins of the check claim to be the modules that are pinned.
    for name in ["rules_rust", "rules_oci", "tar.bzl"] {
        let standin = read(&format!(".ci/bazel.d/modules/{name}/MODULE.bazel"));
        let version = standin.lines().find(|line| line.starts_with("    version = ")).unwrap();
        let version = version.split('"').nth(1).unwrap();
        assert!(module.contains(&format!("bazel_dep(name = \"{name}\", version = \"{version}\")")), "{name} {version}");
    }
}

#[test]
fn what_is_optimized_is_what_cargo_optimizes() {
    let (module, profiles) = (read("MODULE.bazel"), &table("Cargo.toml")["profile"]);
    let list = module.split_once("    for name in [\n").unwrap().1.split_once(']').unwrap().0;
    let names: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let packages = profiles["dev"]["package"].as_table().unwrap();
    let optimized: Vec<&str> =
        packages.iter().filter(|(_, p)| p.get("opt-level").is_some()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, optimized);

    let (image, release) = (&profiles["image"], &profiles["release"]);
    let rule = read("bazel/image.bzl");
    for (setting, value) in [
        ("\"//command_line_option:compilation_mode\": \"opt\"".to_owned(), image["opt-level"].as_integer() == Some(3)),
        ("_SETTINGS + \"codegen_units\": 1".to_owned(), image["codegen-units"].as_integer() == Some(1)),
        ("_SETTINGS + \"lto\": \"thin\"".to_owned(), image["lto"].as_str() == Some("thin")),
        ("\"-Cpanic=abort\"".to_owned(), release["panic"].as_str() == Some("abort")),
        ("\"-Cstrip=symbols\"".to_owned(), release["strip"].as_str() == Some("symbols")),
    ] {
        assert!(value && rule.contains(&setting), "{setting} in bazel/image.bzl and [profile.image] differ");
    }
}
