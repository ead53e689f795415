//! What a request says of its sources: the commit, never a guess; where others find it, never a secret.

use std::{fs, path::Path, process::Command};

use crate::world::World;

pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
    git.env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = git.output().expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn with_sources() -> World {
    let world = World::new();
    world.key("builder");
    world.contract(&["builder"]);
    let source = world.path("source");
    fs::create_dir_all(source.join("sub")).expect("directory");
    for (name, text) in [
        ("sub/Cargo.lock", "version = 4\n"),
        ("sub/rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
        ("sub/a", "1"),
    ] {
        fs::write(source.join(name), text).expect("write");
    }
    git(&source, &["init", "--quiet"]);
    git(&source, &["add", "."]);
    git(&source, &["commit", "--quiet", "-m", "first"]);
    world
}

const REQUEST: [&str; 5] = ["request", "--layout", "image", "--source", "source/sub"];

#[test]
fn a_request_names_the_commit_and_where_it_is_without_credentials() {
    let world = with_sources();
    let source = world.path("source");
    let head = git(&source, &["rev-parse", "HEAD"]);
    git(&source, &["remote", "add", "origin", "https://me:token@git.example/x"]);
    world.csign(&REQUEST).expect(0, &[]);
    let text = world.read("request.json");
    let request: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(request["source"]["revision"], *head);
    assert_eq!(request["source"]["repository"], "git+https://git.example/x");
    assert_eq!(request["source"]["directory"], "sub");
    assert_eq!(request["source"]["toolchain"], "1.95.0");
    assert!(!text.contains("token") && !text.contains("modified"), "{text}");
    world.csign(&[&REQUEST[..], &["--revision", &head]].concat()).expect(0, &[]);
    world.csign(&[&REQUEST[..], &["--revision", &"a".repeat(40)]].concat()).expect(1, &["is checked out"]);
    world.csign(&[&REQUEST[..], &["--revision", "main"]].concat()).expect(2, &["no whole commit id", "hint:"]);

    git(&source, &["remote", "set-url", "origin", "/home/me/x"]);
    world.csign(&REQUEST).expect(0, &[]);
    assert!(!world.read("request.json").contains("/home/me"), "a path of this machine");
}

#[test]
fn sources_that_differ_from_their_commit_make_no_request_unless_it_says_so() {
    let world = with_sources();
    fs::write(world.path("source/sub/a"), "2").expect("write");
    world.csign(&REQUEST).expect(1, &["not what the commit holds", "sub/a", "--allow-dirty"]);
    assert!(!world.path("request.json").exists());
    world.csign(&[&REQUEST[..], &["--allow-dirty"]].concat()).expect(0, &["warning:"]);
    assert!(world.read("request.json").contains("\"modified\": true"));
}

#[test]
fn sources_without_version_control_make_a_request_without_a_revision() {
    let world = with_sources();
    fs::remove_dir_all(world.path("source/.git")).expect("remove");
    world.csign(&REQUEST).expect(0, &["names no revision"]);
    let request: serde_json::Value = serde_json::from_str(&world.read("request.json")).expect("JSON");
    assert!(request["source"].get("revision").is_none() && request["source"].get("lockFile").is_some());
}
