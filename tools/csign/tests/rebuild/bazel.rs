//! The recipe `bazel` with a program in Bazel's place that says what it was asked and answers with a layout.

use std::{fs, path::Path};

use csign_contract::Contract;
use csign_oci::{Access, Image, ImageConfig, LayerBuilder, LayerLimits, Layout, Node, assemble, read_layer};

use crate::scene::{Scene, can_build};

/// Answers as Bazel would; what it was called with goes to `calls`, the contract that it was given to `given`.
const BAZEL: &str = r#"#!/bin/sh
here='HERE'
echo "$@" >> "$here/calls"
case " $* " in
" --version ") echo 'bazel 7.7.1' ;;
*" cquery "*) echo bazel-out/workload/image ;;
*" --nobuild "*) env | sort > "$here/fetching" ;;
*" build "*)
  env | sort > "$here/building"
  [ "$(readlink /proc/self/ns/net)" = "$(readlink /proc/$PPID/ns/net)" ] && echo same > "$here/net"
  for argument in "$@"; do
    case "$argument" in --//workload:contract=*)
      label=${argument#*=}; file=$(echo "${label#//}" | tr : /); cp "${file#/}" "$here/given" ;;
    esac
  done
  mkdir -p bazel-out/workload && rm -rf bazel-out/workload/image
  cp -R "$here/made" bazel-out/workload/image ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"#;

fn scene() -> Scene {
    let scene = Scene::bare("bazel");
    scene.write("bazel", &BAZEL.replace("HERE", scene.directory.path().to_str().expect("UTF-8")));
    fs::set_permissions(scene.path("bazel"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    scene.write("source/BUILD.bazel", "");
    scene.write("source/.gitignore", "target\nbazel-out\n");
    fs::copy(scene.path("collaboration.toml"), scene.path("source/collaboration.toml")).expect("copy");
    scene.commit();
    scene
}

/// What honest rules would make: the files that the cargo recipe makes, differently packed.
fn made(scene: &Scene, change: impl Fn(&mut Vec<csign_oci::Entry>, &mut ImageConfig)) {
    let contract = Contract::from_toml(&scene.read("collaboration.toml")).expect("contract");
    let cargo = Layout::open(scene.path("cargo")).expect("layout");
    let mut config = cargo.config().expect("config");
    config.config.labels = contract.labels();
    let (_, manifest) = cargo.image().expect("image");
    let mut entries = Vec::new();
    for layer in &manifest.layers {
        let layer = read_layer(&cargo.blob(layer).expect("blob"), &LayerLimits::default()).expect("layer");
        // Directories that come about by themselves are in every layer.
        let stated = |entry: &csign_oci::Entry| entry.node != Node::Directory || entry.access != Access::root(0o755);
        entries.extend(layer.entries.into_iter().filter(stated));
    }
    for entry in &mut entries {
        if entry.path == "etc/csign/contract.json" {
            entry.node = Node::File(contract.canonical());
        }
    }
    change(&mut entries, &mut config);
    let mut layer = LayerBuilder::new();
    for entry in entries {
        match entry.node {
            Node::File(content) => layer.file(&entry.path, entry.access, content).expect("file"),
            Node::Directory => layer.directory(&entry.path, entry.access).expect("directory"),
            _ => panic!("{}", entry.path),
        };
    }
    let image: Image = assemble(config.config, vec![(layer.build().expect("layer"), "one")]).expect("image");
    let builder = Layout::create(scene.path("made")).expect("layout");
    let descriptor = builder.add_image(&image).expect("image");
    builder.finish(vec![descriptor]).expect("layout");
}

/// The image by cargo, from which the others are made.
fn cargo_image(scene: &Scene) {
    scene.write("cargo.toml", &scene.read("collaboration.toml").replace("\"bazel\"", "\"cargo-musl\""));
    let build = ["build", "--contract", "cargo.toml", "--source", "source", "--target-dir", "target", "--out", "cargo"];
    scene.csign(&build).expect(0, &[]);
}

fn build(contract: &str) -> [&str; 9] {
    ["build", "--contract", contract, "--source", "source", "--bazel", "./bazel", "--out", "image"]
}

#[test]
fn bazel_builds_and_rebuilds_with_the_contract_as_a_file_of_the_workspace() {
    if !can_build() {
        return;
    }
    let scene = scene();
    cargo_image(&scene);
    made(&scene, |_, _| {});
    let done = scene.csign(&[&build("source/collaboration.toml")[..], &["--output", "json"]].concat()).expect(0, &[]);
    assert_eq!(done.json()["recipe"], "bazel");
    let calls = scene.read("calls");
    assert!(
        calls.lines().all(|call| call == "--version" || call.starts_with("--batch --nosystem_rc --nohome_rc ")),
        "{calls}"
    );
    assert!(calls.contains("build //workload:image --//workload:contract=//:collaboration.toml"), "{calls}");
    let digest = |layout: &str| Layout::open(scene.path(layout)).expect("layout").image().expect("image").0.digest;
    assert_eq!(digest("image"), digest("made"));
    scene.csign(&build("collaboration.toml")).expect(2, &["no file of the workspace"]);

    scene.csign(&["request", "--layout", "image", "--source", "source"]).expect(0, &[]);
    scene.write("calls", "");
    let mut command = scene.command(&["rebuild", "request.json", "--from", "source", "--bazel", "./bazel", "--quiet"]);
    command.env("HTTPS_PROXY", "p").env("JAVA_TOOL_OPTIONS", "evil").env("CARGO_REGISTRIES_X_TOKEN", "secret");
    crate::scene::Done::from(command.output().expect("csign runs")).expect(0, &["the same digest"]);
    let calls = scene.read("calls");
    assert!(calls.contains("--output_user_root="), "{calls}");
    assert!(calls.contains("--//workload:contract=//csign-contract:contract.json"), "{calls}");
    let contract = Contract::from_toml(&scene.read("collaboration.toml")).expect("contract");
    assert_eq!(scene.read("given").into_bytes(), contract.canonical());
    assert!(scene.read("fetching").contains("HTTPS_PROXY"));
    for variable in ["HTTPS_PROXY", "JAVA_TOOL_OPTIONS", "secret"] {
        assert!(!scene.read("building").contains(variable), "{variable} reached the build");
    }
    let record: serde_json::Value = serde_json::from_str(&scene.read("rebuild.json")).expect("JSON");
    assert_eq!(record["reproduced"]["rebuild"]["bazel"], "bazel 7.7.1");
    assert_eq!(record["reproduced"]["recipe"], "bazel");
    scene
        .csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuild.json"])
        .expect(0, &["rebuilt"]);
}

#[test]
fn an_image_that_is_not_the_contracts_is_not_taken_from_bazel() {
    if !can_build() {
        return;
    }
    let scene = scene();
    cargo_image(&scene);
    let file = |entries: &[csign_oci::Entry], path: &str| {
        entries.iter().position(|entry| entry.path == path).unwrap_or_else(|| panic!("{path}"))
    };
    type Change<'a> = (i32, &'a str, Box<dyn Fn(&mut Vec<csign_oci::Entry>, &mut ImageConfig) + 'a>);
    let changes: [Change<'_>; 8] = [
        (
            1,
            "/etc/csign/contract.json",
            Box::new(|entries, _| {
                let at = file(entries, "etc/csign/contract.json");
                entries[at].node = Node::File(b"{}".to_vec());
            }),
        ),
        (1, "configuration", Box::new(|_, config| config.config.user = "0:0".to_owned())),
        (1, "configuration", Box::new(|_, config| config.config.entrypoint.push("--evil".to_owned()))),
        (1, "configuration", Box::new(|_, config| config.config.env.push("LD_PRELOAD=/x".to_owned()))),
        (
            1,
            "configuration",
            Box::new(|_, config| {
                config.config.labels.insert("tee.launch_policy.allow_env_override".to_owned(), "X".to_owned());
            }),
        ),
        (
            1,
            "no part of it",
            Box::new(|entries, _| {
                let mut another = entries[file(entries, "workload")].clone();
                another.path = "evil".to_owned();
                entries.push(another);
            }),
        ),
        (
            3,
            "cannot run",
            Box::new(|entries, _| {
                let at = file(entries, "workload");
                entries[at].node = Node::File(b"#!/bin/sh\n".to_vec());
            }),
        ),
        (
            1,
            "everyone may run",
            Box::new(|entries, _| {
                let at = file(entries, "workload");
                entries[at].access = Access { mode: 0o4777, uid: 0, gid: 0 };
            }),
        ),
    ];
    for (status, words, change) in changes {
        made(&scene, change);
        scene.csign(&build("source/collaboration.toml")).expect(status, &[words]);
        assert!(!Path::new(&scene.path("image")).exists(), "{words}: something was left behind");
    }
}
