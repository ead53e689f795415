//! What is refused before anything is built, each with its exit status; and what stays behind: nothing.

use std::{fs, process::Stdio, thread, time::Duration};

use crate::scene::{Scene, can_build};

/// A request about an image that nobody built: enough for what is refused before a build.
fn requested() -> Scene {
    let scene = Scene::bare("cargo-musl");
    let digest = format!("sha256:{}", "1".repeat(64));
    scene.csign(&["request", "--digest", &digest, "--source", "source"]).expect(0, &[]);
    scene
}

#[track_caller]
fn nothing_written(scene: &Scene) {
    assert!(!scene.path("rebuilt").exists() && !scene.path("rebuild.json").exists());
}

#[test]
fn a_revision_that_may_move_or_is_not_there_is_refused() {
    let scene = requested();
    let honest = scene.read("request.json");
    let revision = scene.revision.clone();
    for (other, status, words) in [
        (&revision[..12], 2, "no whole commit id"),
        ("main", 2, "no whole commit id"),
        (&"a".repeat(40), 3, "does not have the commit"),
    ] {
        scene.write("request.json", &honest.replace(&revision, other));
        scene.rebuild(&[]).expect(status, &[words, "hint:"]);
    }
    scene.write("request.json", &honest);
    scene.rebuild(&["--revision", &"a".repeat(40)]).expect(2, &["the request names the revision"]);
    nothing_written(&scene);
}

#[test]
fn a_request_that_does_not_fit_contract_or_revision_is_refused_before_anything_is_built() {
    let scene = requested();
    let honest = scene.read("request.json");
    let change = |from: &str, to: &str| {
        assert!(honest.contains(from), "{from}");
        scene.write("request.json", &honest.replace(from, to));
    };
    change("127.0.0.1:9/team/app", "127.0.0.1:9/team/other");
    scene.rebuild(&[]).expect(1, &["by your contract"]);
    change("\"toolchain\": \"1.", "\"toolchain\": \"2.");
    scene.rebuild(&[]).expect(1, &["pins Rust"]);
    change("\"lockFile\": \"sha256:", "\"lockFile\": \"sha256:00000000");
    scene.rebuild(&[]).expect(2, &["parsing the request"]);
    change("\"revision\"", "\"directory\": \"../elsewhere\", \"revision\"");
    scene.rebuild(&[]).expect(2, &["none of a repository"]);
    change("\"revision\"", "\"directory\": \"missing\", \"revision\"");
    scene.rebuild(&[]).expect(1, &["has no directory"]);
    // Another lock file than the commit's: the builder's tree was another one.
    scene.write("request.json", &honest);
    scene.write("source/Cargo.lock", &(scene.read("source/Cargo.lock") + "\n"));
    scene
        .csign(&["request", "--digest", &format!("sha256:{}", "1".repeat(64)), "--source", "source", "--allow-dirty"])
        .expect(0, &[]);
    scene.rebuild(&[]).expect(1, &["Cargo.lock", "warning: the builder's sources differed"]);
    nothing_written(&scene);
}

#[test]
fn only_repositories_are_built_from() {
    let scene = requested();
    for (from, status) in
        [("ext::sh -c evil", 2), ("http://git.example/a", 2), ("nowhere", 2), ("collaboration.toml", 3)]
    {
        scene.csign(&["rebuild", "request.json", "--from", from]).expect(status, &["error:"]);
    }
    scene
        .csign(&["rebuild", "request.json", "--from", "https://git.example/a", "--offline"])
        .expect(2, &["--from DIR"]);
    scene.csign(&["rebuild", "request.json"]).expect(2, &["--from says where", "hint:"]);
    nothing_written(&scene);
}

#[test]
fn crates_that_cannot_be_had_are_not_a_different_image() {
    if !can_build() {
        return;
    }
    let scene = Scene::bare("cargo-musl");
    scene.write(
        "source/Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"csign-no-such-crate\"\nversion = \"1.0.0\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
         checksum = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\n\
         [[package]]\nname = \"workload\"\nversion = \"0.1.0\"\ndependencies = [\n \"csign-no-such-crate\",\n]\n",
    );
    let manifest = scene.read("source/workload/Cargo.toml") + "[dependencies]\ncsign-no-such-crate = \"1\"\n";
    scene.write("source/workload/Cargo.toml", &manifest);
    scene.commit();
    let digest = format!("sha256:{}", "1".repeat(64));
    scene.csign(&["request", "--digest", &digest, "--source", "source"]).expect(0, &[]);
    scene.rebuild(&["--offline"]).expect(3, &["cargo fetch failed"]);
    nothing_written(&scene);
}

#[test]
fn an_interrupted_rebuild_ends_what_it_started_and_leaves_nothing() {
    if !can_build() {
        return;
    }
    let scene = Scene::bare("cargo-musl");
    let started = scene.path("started");
    scene.write(
        "source/workload/build.rs",
        &format!(
            "fn main() {{ std::fs::write({started:?}, std::process::id().to_string()).unwrap();\n\
             std::thread::sleep(std::time::Duration::from_secs(600)); }}\n"
        ),
    );
    scene.commit();
    let digest = format!("sha256:{}", "1".repeat(64));
    scene.csign(&["request", "--digest", &digest, "--source", "source"]).expect(0, &[]);
    let mut command = scene.command(&["rebuild", "request.json", "--from", "source", "--work", "work", "--quiet"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("csign starts");
    while fs::read_to_string(&started).map_or(true, |pid| pid.is_empty()) {
        thread::sleep(Duration::from_millis(50));
    }
    let script = scene.read("started");
    let kill = |signal: &str, pid: &str| {
        std::process::Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status().expect("kill").success()
    };
    assert!(kill("-INT", &child.id().to_string()));
    crate::scene::Done::from(child.wait_with_output().expect("csign ends")).expect(3, &[]);
    // One that ended, and whose parent ended before it, may wait for init to take note.
    let runs = fs::read_to_string(format!("/proc/{script}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(!runs, "the build script still runs");
    assert_eq!(fs::read_dir(scene.path("work")).expect("work").count(), 0);
    nothing_written(&scene);
}
