//! The honest way: the same digest, a record, an approval that says how.

use std::{fs, net::TcpListener};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::scene::{Scene, can_build};

/// The predicate of an approval's statement.
fn stated(scene: &Scene, approval: &str) -> Value {
    let approval: Value = serde_json::from_str(&scene.read(approval)).expect("JSON");
    let payload = approval["reproduced"]["payload"].as_str().expect("payload");
    let statement: Value = serde_json::from_slice(&BASE64_STANDARD.decode(payload).expect("base64")).expect("JSON");
    statement["predicate"].clone()
}

#[test]
fn a_rebuild_from_a_commit_gives_the_same_digest_and_a_record_that_approve_signs() {
    if !can_build() {
        return;
    }
    let scene = Scene::with_request();
    // What came after the commit, and what was never committed, is not built.
    scene.write("source/workload/src/main.rs", "fn main() { println!(\"other\"); }\n");
    scene.commit();
    scene.write("source/workload/src/main.rs", "not even Rust");
    let done = scene.rebuild(&["--output", "json"]).expect(0, &["building; network:"]);
    assert_eq!(done.json()["same"], true);
    let digest = |layout: &str| fs::read_to_string(scene.path(layout).join("index.json")).expect("index");
    assert_eq!(digest("image"), digest("rebuilt"));

    let text = scene.read("rebuild.json");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let reproduced = &record["reproduced"];
    assert_eq!(reproduced["sourceRevision"], *scene.revision);
    assert_eq!(reproduced["rebuild"]["revisionFrom"], "request");
    assert_eq!(reproduced["rebuild"]["sources"], "a repository on this machine");
    assert_eq!(reproduced["rebuild"]["linker"]["name"], "rust-lld");
    assert!(reproduced["toolchain"].as_str().expect("toolchain").starts_with("rustc 1."));
    assert_eq!(record["environment"]["CC"], "/bin/false");
    assert_eq!(record["started"], "2023-11-14T22:13:20Z");
    assert!(!text.contains(scene.directory.path().to_str().expect("UTF-8")), "a path of this machine:\n{text}");

    let approve =
        ["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuild.json", "--rebuilt", "rebuilt"];
    scene.csign(&approve).expect(0, &["rebuilt"]);
    assert_eq!(stated(&scene, "approval.json"), *reproduced);
    // A layout alone says less.
    scene.csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuilt"]).expect(0, &[]);
    let less = stated(&scene, "approval.json");
    assert_eq!((&less["rebuilt"], less.get("rebuild")), (&Value::Bool(true), None));

    for (from, to, words) in [
        (scene.revision.clone(), "a".repeat(40), "source revision"),
        ("csign-rebuild".to_owned(), "csign-rebuilt".to_owned(), "no record"),
        ("/bin/false".to_owned(), "/bin/true".to_owned(), "environment"),
    ] {
        let honest = scene.read("rebuild.json");
        scene.replace("rebuild.json", &from, &to);
        let refused = scene.csign(&approve[..6]);
        assert!([1, 2].contains(&refused.status) && refused.text.contains(words), "{}", refused.text);
        scene.write("rebuild.json", &honest);
    }
    // A record of one request is not one of another, even about the same image.
    scene.replace("request.json", "\n}", "\n} ");
    scene.csign(&approve[..6]).expect(1, &["the record's request is"]);
}

#[test]
fn a_request_without_a_revision_is_rebuilt_from_the_partys_own_and_the_statement_says_so() {
    if !can_build() {
        return;
    }
    let scene = Scene::bare("cargo-musl");
    scene.csign(&["build", "--source", "source", "--target-dir", "target", "--out", "image"]).expect(0, &[]);
    scene.csign(&["request", "--layout", "image"]).expect(0, &[]);
    scene.rebuild(&[]).expect(2, &["names no revision", "--revision"]);
    let revision = scene.revision.clone();
    scene.rebuild(&["--revision", &revision, "--quiet"]).expect(0, &["the same digest"]);
    scene.csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuild.json"]).expect(0, &[]);
    let said = stated(&scene, "approval.json");
    assert_eq!((&said["rebuild"]["revisionFrom"], &said["sourceRevision"]), (&"party".into(), &(*revision).into()));
    // It cannot pass for the request's.
    scene.replace("rebuild.json", "\"party\"", "\"request\"");
    scene.csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuild.json"]).expect(1, &["origin"]);
}

#[test]
fn configuration_of_this_machine_changes_nothing_and_runs_nothing() {
    if !can_build() {
        return;
    }
    let scene = Scene::with_request();
    let ran = scene.path("ran");
    scene.write("evil", &format!("#!/bin/sh\ntouch {}\ncat\n", ran.display()));
    let evil = scene.path("evil");
    fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let evil = evil.display();
    scene.write("home/template/hooks/post-checkout", &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    let hook = scene.path("home/template/hooks/post-checkout");
    fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    scene.write("home/attributes", "* filter=evil text eol=crlf ident\n");
    scene.write(
        "home/.gitconfig",
        &format!(
            "[core]\nautocrlf = true\neol = crlf\nfsmonitor = {evil}\nattributesFile = {home}/attributes\n\
             hooksPath = {home}/template/hooks\n[init]\ntemplateDir = {home}/template\n\
             [filter \"evil\"]\nsmudge = {evil}\nclean = {evil}\n[uploadpack]\npackObjectsHook = {evil}\n",
            home = scene.path("home").display()
        ),
    );
    let mut command = scene.command(&["rebuild", "request.json", "--from", "source", "--quiet"]);
    command.env("HOME", scene.path("home")).env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "core.autocrlf");
    command.env("GIT_CONFIG_VALUE_0", "true").env("GIT_TEMPLATE_DIR", scene.path("home/template"));
    command.env("RUSTFLAGS", "-Copt-level=0").env("CC", "/nonexistent");
    crate::scene::Done::from(command.output().expect("csign runs")).expect(0, &["the same digest"]);
    assert!(!ran.exists(), "a program of this machine's configuration ran");
}

#[test]
fn a_build_script_reaches_no_network_not_even_this_machine_and_no_home_of_its_builder() {
    if !can_build() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    let scene = Scene::bare("cargo-musl");
    scene.write(
        "source/workload/build.rs",
        &format!(
            "fn main() {{\n\
             let reached = std::net::TcpStream::connect(\"{address}\").is_ok();\n\
             let home = std::env::var(\"HOME\").unwrap();\n\
             std::fs::write(\"../seen\", format!(\"{{reached}} {{home}} {{:?}}\", std::env::var(\"HTTPS_PROXY\"))).unwrap();\n\
             }}\n"
        ),
    );
    scene.commit();
    scene.csign(&["build", "--source", "source", "--target-dir", "target", "--out", "image"]).expect(0, &[]);
    assert!(scene.read("source/seen").starts_with("true "), "without confinement it is reached");
    fs::remove_file(scene.path("source/seen")).expect("remove");
    scene.csign(&["request", "--layout", "image", "--source", "source"]).expect(0, &[]);
    let mut command =
        scene.command(&["rebuild", "request.json", "--from", "source", "--work", "work", "--keep", "--quiet"]);
    let done = command.env("HTTPS_PROXY", "http://127.0.0.1:1").output().expect("csign runs");
    crate::scene::Done::from(done).expect(0, &["the same digest"]);
    let kept = fs::read_dir(scene.path("work")).expect("work").next().expect("kept").expect("entry").path();
    let seen = fs::read_to_string(kept.join("source/seen")).expect("seen");
    let record: Value = serde_json::from_str(&scene.read("rebuild.json")).expect("JSON");
    let network = record["reproduced"]["rebuild"]["network"].as_str().expect("network");
    if network == "a network namespace of its own" {
        assert!(seen.starts_with("false "), "{seen}");
    } else {
        assert!(std::env::var("CI_PEERS").as_deref() != Ok("required"), "{network}");
        eprintln!("skipped: this system allows no network namespace");
    }
    assert!(seen.contains("csign-rebuild-") && seen.contains("NotPresent"), "{seen}");
}

#[test]
fn an_exported_archive_is_rebuilt_and_the_statement_says_that_nothing_shows_its_revision() {
    if !can_build() {
        return;
    }
    let scene = Scene::with_request();
    for (name, prefix) in [("a.tar.gz", "--prefix=app-1/"), ("b.tar", "--prefix=")] {
        scene.git(&["archive", prefix, "--output", &format!("../{name}"), "HEAD"]);
        scene.csign(&["rebuild", "request.json", "--from", name, "--quiet"]).expect(0, &["the same digest"]);
        let record: Value = serde_json::from_str(&scene.read("rebuild.json")).expect("JSON");
        let sources = record["reproduced"]["rebuild"]["sources"].as_str().expect("sources").to_owned();
        assert!(sources.contains("sha256:") && sources.ends_with("only stated"), "{sources}");
    }
}
