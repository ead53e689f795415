//! cloudbuild.yaml runs here: the same steps, in the same order, with the same scripts and environment, against the
//! simulator's registry, Cloud KMS and metadata server under Google's own names. Only the container is missing, and the
//! step that compiles csign with Bazel is replaced by a copy of the csign under test. The image is really built, from a
//! small workspace whose contract names the cargo recipe.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod attacks;
mod config;
mod scene;

use std::fs;

use csign_tests::peer::repository;
use serde_json::Value;

use config::Config;
use scene::{Grant, IMAGE, Scene};

#[test]
fn the_build_signs_attests_verifies_and_asks_the_others() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    scene.build_all();

    // Every artifact is there, and the request is about the commit that was built.
    let artifacts = &scene.config.artifacts.objects.paths;
    assert!(artifacts.iter().all(|path| scene.workspace.join(path).is_file()), "{artifacts:?}");
    let request: Value = serde_json::from_str(&scene.output("request.json")).unwrap();
    assert_eq!(request["source"]["revision"], scene.commit());
    let provenance = scene.output("provenance.json");
    for word in [scene.commit(), "git+https://git.example/builder/word-count", "9d1ca1ac-6d2b-4c34-9c43-4e0b8c5c8a55"] {
        assert!(provenance.contains(word), "{word}: {provenance}");
    }

    // Not yet enough for anyone who asks for all parties.
    let image = scene.image();
    scene.csign(&["verify", &image, "--contract", "collaboration.toml"]).failure(1);

    // A collaborator approves the artifact, the builder collects, and everyone may verify.
    fs::copy(scene.workspace.join("out/request.json"), scene.bench.path("request.json")).unwrap();
    let layout = scene.workspace.join("out/image");
    let rebuilt = layout.to_str().unwrap();
    let key = ["--key", "collaborator.key", "--out", "collaborator.json"];
    scene.csign(&[&["approve", "request.json", "--rebuilt", rebuilt], &key[..]].concat()).success();
    scene.csign(&["collect", "--request", "request.json", "collaborator.json"]).success();
    scene.csign(&["verify", &image, "--contract", "collaboration.toml"]).success();
}

/// What a step could do unseen: run another image than the one that was reviewed.
fn unpinned(config: &Config) -> Vec<&str> {
    let pinned = |name: &str| {
        let digest = name.split_once("@sha256:").map(|(_, digest)| digest);
        digest.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    config.steps.iter().map(|step| step.name.as_str()).filter(|name| !pinned(name)).collect()
}

fn text() -> String {
    fs::read_to_string(repository().join("cloudbuild.yaml")).unwrap()
}

#[test]
fn every_step_runs_in_an_image_that_is_pinned_by_its_digest() {
    assert_eq!(unpinned(&Config::parse(&text())), Vec::<&str>::new());
    for unpinned_name in ["docker.io/library/rust:1.95.0-bookworm", "rust@sha256:0123"] {
        let mut config = Config::parse(&text());
        unpinned_name.clone_into(&mut config.steps[3].name);
        assert_eq!(unpinned(&config), [unpinned_name]);
    }
}

#[test]
fn the_image_of_the_steps_has_the_toolchain_that_the_sources_pin() {
    let pin = fs::read_to_string(repository().join("rust-toolchain.toml")).unwrap();
    let pin: toml::Table = pin.parse().unwrap();
    let channel = pin["toolchain"]["channel"].as_str().unwrap();
    for step in Config::parse(&text()).steps {
        assert!(step.name.starts_with(&format!("docker.io/library/rust:{channel}-")), "{}", step.name);
    }
}

/// Text that becomes part of a script could be a program of whoever starts the build.
#[test]
fn no_substitution_is_part_of_a_script() {
    let config = Config::parse(&text());
    assert!(config.options.dynamic_substitutions);
    assert_eq!(config.options.substitution_option, "MUST_MATCH");
    assert_eq!(config.options.logging, "CLOUD_LOGGING_ONLY");
    for step in &config.steps {
        assert!(step.script.starts_with("#!/usr/bin/env bash\nset -euo pipefail\n"), "{}", step.id);
        for forbidden in ["$_", "${_", "eval ", "bash -c", "sh -c"] {
            assert!(!step.script.contains(forbidden), "step {} has {forbidden:?}", step.id);
        }
    }
}

#[test]
fn every_substitution_is_used_and_has_a_default() {
    let config = Config::parse(&text());
    let used = [&config.options.env.join("\n"), &config.artifacts.objects.location].map(String::as_str).join("\n");
    for name in config.substitutions.keys() {
        assert!(used.contains(&format!("${{{name}}}")), "{name} is not used");
    }
    let environment = config.environment(&[]);
    let scripts: String = config.steps.iter().map(|step| step.script.as_str()).collect();
    // What csign itself reads: see `csign provenance --help`.
    let read_by_csign = ["BUILD_ID", "PROJECT_ID", "LOCATION", "TRIGGER_NAME"];
    for (name, _) in &environment {
        let in_script = scripts.contains(&format!("${name}")) || scripts.contains(&format!("${{{name}:"));
        assert!(in_script || read_by_csign.contains(&name.as_str()), "no script uses {name}");
    }
    assert_eq!(environment.iter().find(|(name, _)| name == "IMAGE").unwrap().1, IMAGE);
    assert!(config.service_account.contains("@${PROJECT_ID}.iam"));
    assert!(config.timeout.ends_with('s'));
}
