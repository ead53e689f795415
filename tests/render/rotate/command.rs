//! `csign rotate` as a person meets it.

use std::fs;

use csign_tests::{peer, process::Bench};
use serde_json::Value;

use super::world::{new, old};
use crate::scene::{SETTINGS, contract_text};

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("collaboration.toml"), contract_text("")).unwrap();
    fs::write(bench.path("deployment.toml"), SETTINGS).unwrap();
    bench
}

#[test]
fn a_rotation_is_written_whole_or_not_at_all_and_always_the_same() {
    let bench = bench();
    let (from, to) = (old().to_string(), new().to_string());
    let always = ["rotate", "--from", &from, "--to", &to, "--settings", "deployment.toml", "--role", "operator"];
    let rotate = |more: &[&str]| bench.run(peer::csign(), always.iter().chain(more));
    let guide = rotate(&[]).success();
    assert!(guide.starts_with("# From one image to the next\n"), "{guide}");
    assert!(!bench.path("out").exists());
    let named = rotate(&["--out", "out"]).success();
    let files = ["ROTATE.md", "2-deploy/operator/operator.sh", "back-from-2-deploy/operator/operator.sh"];
    let mut want: Vec<String> = files.map(|name| format!("out/{name}")).to_vec();
    want.sort();
    assert_eq!(named.lines().collect::<Vec<_>>(), want);
    assert_eq!(fs::read_to_string(bench.path("out/ROTATE.md")).unwrap(), guide, "the same bytes");
    for name in &files[1..] {
        let metadata = fs::metadata(bench.path(format!("out/{name}"))).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o755);
    }
    rotate(&["--out", "out"]).success();
    // A file of someone else: nothing is written, not even the others.
    fs::remove_file(bench.path("out/ROTATE.md")).unwrap();
    fs::write(bench.path("out").join(files[1]), "mine").unwrap();
    let refused = rotate(&["--out", "out"]).failure(2);
    assert!(refused.contains("exists already and differs") && refused.contains("hint: "), "{refused}");
    assert!(!bench.path("out/ROTATE.md").exists());
    rotate(&["--out", "out", "--force"]).success();
    assert_eq!(fs::read_to_string(bench.path("out/ROTATE.md")).unwrap(), guide);
}

#[test]
fn the_plan_as_json_names_files_that_are_there_and_commands_in_them() {
    let bench = bench();
    let (from, to) = (old().to_string(), new().to_string());
    let arguments = [
        "rotate",
        "--from",
        &from,
        "--to",
        &to,
        "--settings",
        "deployment.toml",
        "--targets",
        "gcloud,terraform,aws",
        "--role",
        "collaborator=collaborator-1",
        "--role",
        "operator",
        "--out",
        "out",
        "--output",
        "json",
    ];
    let plan: Value = serde_json::from_str(&bench.run(peer::csign(), arguments).success()).unwrap();
    let members: Vec<&String> = plan.as_object().unwrap().keys().collect();
    let mut want =
        ["version", "from", "to", "from_contract", "to_contract", "revoke", "contract_changes", "phases", "left_over"];
    want.sort_unstable();
    let mut sorted = members.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, want);
    let phases = plan["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["allow", "deploy", "remove"]);
    let steps: Vec<&Value> = phases.iter().flat_map(|phase| phase["steps"].as_array().unwrap()).collect();
    assert_eq!(steps.len(), 3 + 2 + 3);
    for step in steps {
        for file in step["files"].as_array().unwrap() {
            assert!(bench.path("out").join(file.as_str().unwrap()).is_file(), "{file}");
        }
        for command in ["run", "check", "undo", "undo_check"] {
            let command = step[command].as_str().unwrap();
            let program = command.split(' ').next().unwrap();
            assert!(command.starts_with("terraform -chdir=") || bench.path("out").join(program).is_file(), "{command}");
        }
    }
    assert_eq!(phases[0]["wait_seconds"], 600);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let bench = bench();
    let (from, to) = (old().to_string(), new().to_string());
    let short = "sha256:00";
    for (arguments, says) in [
        (&["--from", &from, "--to", &from][..], "replaced by itself"),
        (&["--from", &from], "--to"),
        (&["--to", &to], "--from"),
        (&["--from", short, "--to", &to], short),
        (&["--from", &from, "--to", "latest"], "latest"),
        (&["--from", &from, "--revoke", &from, "--to", &to], "--revoke"),
        (&["--revoke", &to, "--to", &to], "replaced by itself"),
        (&["--from", &from, "--to", &to, "--role", "nobody"], "a role is"),
        (&["--from", &from, "--to", &to, "--role", "collaborator=nobody"], "collaborator-1, collaborator-2"),
        (&["--from", &from, "--to", &to, "--role", "builder"], "nothing to do"),
        (&["--from", &from, "--to", &to, "--targets", "paper"], "paper"),
        (&["--from", &from, "--to", &to, "--to-contract", "none.toml"], "none.toml"),
    ] {
        let always = ["rotate", "--settings", "deployment.toml", "--out", "none"];
        let refused = bench.run(peer::csign(), always.iter().chain(arguments)).failure(2);
        assert!(refused.contains(says), "{arguments:?}: {refused}");
        assert!(!bench.path("none").exists());
    }
    let without = ["rotate", "--from", &from, "--to", &to];
    assert!(bench.run(peer::csign(), without).failure(2).contains("operator.publishers"));
}

#[test]
fn a_migration_is_refused_with_what_changes() {
    let bench = bench();
    let other = contract_text("").replace("cryptoKeys/key1", "cryptoKeys/key2");
    fs::write(bench.path("new.toml"), other).unwrap();
    let (from, to) = (old().to_string(), new().to_string());
    let arguments =
        ["rotate", "--from", &from, "--to", &to, "--settings", "deployment.toml", "--to-contract", "new.toml"];
    let refused = bench.run(peer::csign(), arguments).failure(2);
    assert!(
        refused.contains("party.collaborator-1.collaborator.kms_key") && refused.contains("a migration"),
        "{refused}"
    );
}
