//! Bills of materials and provenance in the eyes of their public schemas: spdx-tools, cyclonedx-python-lib and
//! in-toto-attestation read what csign wrote of this very repository's program, and refuse what is broken.

use std::{fs, path::PathBuf};

use csign_contract::Contract;
use csign_oci::{Access, ContainerConfig, LayerBuilder, Layout, assemble};
use csign_tests::{
    peer::{csign, peer, repository},
    process::{Bench, Finished},
};
use serde_json::Value;

struct Scene {
    bench: Bench,
    python: PathBuf,
    image: String,
}

impl Scene {
    /// An image that holds a contract and stands for one built from this repository; `None` without Python's libraries.
    fn new() -> Option<Self> {
        let python = peer("python-peers")?;
        let bench = Bench::new();
        let contract = Contract::from_toml(CONTRACT).unwrap();
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o555), "program").unwrap();
        layer.file("etc/csign/contract.json", Access::root(0o444), contract.canonical()).unwrap();
        layer.file("odd \"name\" <é>\n", Access::root(0o444), "").unwrap();
        layer.symlink("link", "workload").unwrap();
        let mut empty = LayerBuilder::new();
        empty.directory("tmp", Access::root(0o1777)).unwrap();
        let config = ContainerConfig { entrypoint: vec!["/workload".to_owned()], ..ContainerConfig::default() };
        let layers = vec![(layer.build().unwrap(), "test"), (empty.build().unwrap(), "test")];
        let image = assemble(config, layers).unwrap();
        let builder = Layout::create(bench.path("image")).unwrap();
        let descriptor = builder.add_image(&image).unwrap();
        let image = contract.image.repository.at(descriptor.digest).to_string();
        builder.finish(vec![descriptor]).unwrap();
        fs::write(bench.path("collaboration.toml"), CONTRACT).unwrap();
        Some(Self { bench, python, image })
    }

    fn csign(&self, args: &[&str]) -> String {
        let mut command = self.bench.command(csign());
        // cargo and rustup are where they are, whatever the home of the test.
        for name in ["CARGO_HOME", "RUSTUP_HOME"] {
            let usual = || {
                Some(
                    PathBuf::from(std::env::var_os("HOME")?)
                        .join(format!(".{}", &name[..name.len() - 5].to_lowercase())),
                )
            };
            if let Some(path) = std::env::var_os(name).map(PathBuf::from).or_else(usual) {
                command.env(name, path);
            }
        }
        Finished::of(command.args(args)).success()
    }

    fn validate(&self, kind: &str, document: &str) -> Finished {
        let path = self.bench.path(format!("{kind}.json"));
        fs::write(&path, document).unwrap();
        let script = repository().join("tests/interop/validate.py");
        self.bench.run(&self.python, [script.as_os_str(), kind.as_ref(), path.as_os_str()])
    }

    /// The document is valid, and no longer is when `damage` has changed it.
    fn judge(&self, kind: &str, document: &str, damage: &[fn(&mut Value)]) {
        assert_eq!(self.validate(kind, document).success().trim(), "valid");
        for (number, damage) in damage.iter().enumerate() {
            let mut broken: Value = serde_json::from_str(document).unwrap();
            damage(&mut broken);
            let refused = self.validate(kind, &broken.to_string());
            assert_eq!(refused.code, Some(1), "damage {number} of {kind} was not found: {refused}");
            assert!(!refused.stdout.contains("No module"), "{refused}");
        }
    }

    fn sbom(&self, format: &str, args: &[&str]) -> String {
        self.csign(&[&["sbom", "--layout", "image", "--quiet", "--format", format], args].concat())
    }
}

#[test]
fn spdx_tools_accepts_what_csign_writes_and_refuses_it_broken() {
    let Some(scene) = Scene::new() else { return };
    let damage: [fn(&mut Value); 5] = [
        |document| document["spdxVersion"] = "SPDX-9".into(),
        |document| document["relationships"][3]["relatedSpdxElement"] = "SPDXRef-Nobody".into(),
        |document| document["files"][0]["checksums"] = Value::Array(Vec::new()),
        |document| document["packages"][1]["licenseDeclared"] = "Made-Up-1.0".into(),
        |document| document["packages"][9]["SPDXID"] = "SPDXRef-a_b".into(),
    ];
    let source = repository();
    let linked = ["--source", source.to_str().unwrap(), "--contract", "collaboration.toml"];
    scene.judge("spdx", &scene.sbom("spdx", &linked), &damage);
    let lock = source.join("Cargo.lock");
    scene.judge("spdx", &scene.sbom("spdx", &["--lock", lock.to_str().unwrap()]), &[]);
    scene.judge("spdx", &scene.sbom("spdx", &[]), &[]);
}

#[test]
fn cyclonedx_library_accepts_what_csign_writes_and_refuses_it_broken() {
    let Some(scene) = Scene::new() else { return };
    let damage: [fn(&mut Value); 5] = [
        |document| document["bomFormat"] = "SPDX".into(),
        |document| document["components"][5]["type"] = "crate".into(),
        |document| document["components"][0]["hashes"][0]["content"] = "0".into(),
        |document| document["serialNumber"] = "urn:uuid:1".into(),
        |document| document["dependencies"][1]["dependsOn"][0] = "nobody".into(),
    ];
    let source = repository();
    let linked = ["--source", source.to_str().unwrap(), "--contract", "collaboration.toml"];
    scene.judge("cyclonedx", &scene.sbom("cyclonedx", &linked), &damage);
    let lock = source.join("Cargo.lock");
    scene.judge("cyclonedx", &scene.sbom("cyclonedx", &["--lock", lock.to_str().unwrap()]), &[]);
    scene.judge("cyclonedx", &scene.sbom("cyclonedx", &[]), &[]);
}

#[test]
fn in_toto_attestation_accepts_our_provenance_and_refuses_it_broken() {
    let Some(scene) = Scene::new() else { return };
    let damage: [fn(&mut Value); 5] = [
        |predicate| predicate["runDetails"]["builder"]["id"] = "".into(),
        |predicate| predicate["runDetails"]["buidler"] = "".into(),
        |predicate| predicate["runDetails"]["metadata"]["startedOn"] = "yesterday".into(),
        |predicate| predicate["buildDefinition"]["resolvedDependencies"][0] = serde_json::json!({}),
        |predicate| predicate["buildDefinition"]["resolvedDependencies"][1]["digest"] = "sha256".into(),
    ];
    let source = repository();
    let fixed = ["provenance", &scene.image, "--layout", "image", "--contract", "collaboration.toml", "--quiet"];
    let from = ["--source", source.to_str().unwrap(), "--source-uri", "git+https://git.example/csign"];
    // An export without git, as some builders have, and a tree that is being worked on: neither matters here.
    let tree: &[&str] = if source.join(".git").exists() {
        &["--allow-dirty"]
    } else {
        &["--revision", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    };
    let cloud = ["--builder", "cloud-build", "--build-id", "b", "--build-project", "p", "--build-location", "l"];
    let times = ["--started-on", "2024-01-01T00:00:00Z", "--finished-on", "2024-01-01T00:10:00Z"];
    let local = scene.csign(&[&fixed[..], &from, tree].concat());
    scene.judge("slsa1", &local, &damage);
    scene.judge("slsa1", &scene.csign(&[&fixed[..], &from, tree, &cloud, &times].concat()), &damage);
}

const CONTRACT: &str = r#"
version = 1
name = "test"
[image]
repository = "registry.example:5000/team/app"
[build]
recipe = "cargo-musl"
[environment]
kind = "google"
[operator]
project_id = "op"
service_account = "sa@op"
[platform]
hardware = ["GCP_INTEL_TDX"]
[messages]
topic = "projects/op/topics/t"
subscription = "projects/op/subscriptions/s"
[[party]]
name = "builder"
public_key = """
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDAZanmh4W4uJLCiG/x1+b3EEFTcU
3x+ky+p9/LflkkIu0IAN0nCfsz9gFCtG2lNUcV9e+eMl24ha0XjPmmmwnw==
-----END PUBLIC KEY-----
"""
"#;
