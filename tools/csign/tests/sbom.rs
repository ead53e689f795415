//! Bills of materials and provenance of an image that `csign build` really made, from a workspace in git whose packages
//! are linked, used to build, run by the compiler, or used to test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use csign_oci::{Access, ContainerConfig, Digest, Image, LayerBuilder, Layout, assemble};
use serde_json::Value;
use tempfile::TempDir;

const CONTRACT: &str = "version = 1\nname = \"test\"\n[image]\nrepository = \"registry.example:5000/team/app\"\n\
    [build]\nrecipe = \"cargo-musl\"\n[environment]\nkind = \"google\"\n\
    [operator]\nproject_id = \"op\"\nservice_account = \"sa@op\"\n[platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
    [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
    [[party]]\nname = \"builder\"\npublic_key = '''\n-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDAZanmh4W4uJLCiG/x1+b3EEFTcU\n\
    3x+ky+p9/LflkkIu0IAN0nCfsz9gFCtG2lNUcV9e+eMl24ha0XjPmmmwnw==\n-----END PUBLIC KEY-----\n'''\n";

/// A directory with `source` (in git) and `image`.
struct Built {
    directory: TempDir,
    revision: String,
    digest: String,
}

struct Done {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    #[track_caller]
    fn expect(self, status: i32, word: &str) -> String {
        assert_eq!(self.status, Some(status), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(word), "{word:?} is missing in: {}", self.stderr);
        self.stdout
    }
}

fn run(directory: &Path, program: &str, args: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = Command::new(program);
    command.args(args).current_dir(directory).stdin(Stdio::null());
    for name in ["SOURCE_DATE_EPOCH", "BUILD_ID", "PROJECT_ID", "LOCATION", "TRIGGER_NAME", "GIT_DIR"] {
        command.env_remove(name);
    }
    for (name, value) in [("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z"), ("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z")] {
        command.env(name, value);
    }
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").envs(variables.iter().copied()).output().unwrap();
    Done {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Built {
    fn csign(&self, args: &[&str]) -> Done {
        self.csign_with(args, &[])
    }

    fn csign_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        run(self.directory.path(), env!("CARGO_BIN_EXE_csign"), args, variables)
    }

    fn git(&self, args: &[&str]) -> String {
        let args = [&["-c", "user.name=a", "-c", "user.email=a@example.com"], args].concat();
        run(&self.path("source"), "git", &args, &[]).expect(0, "")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn image(&self) -> String {
        format!("registry.example:5000/team/app@{}", self.digest)
    }

    /// `csign provenance` of the image, with these arguments besides.
    fn provenance(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        let image = self.image();
        let fixed =
            ["provenance", &image, "--layout", "image", "--contract", "collaboration.toml", "--source", "source"];
        self.csign_with(&[&fixed, args].concat(), variables)
    }

    /// Sources and contract, without an image.
    fn source() -> Self {
        let built = Self { directory: TempDir::new().unwrap(), revision: String::new(), digest: String::new() };
        fs::write(built.path("collaboration.toml"), CONTRACT).unwrap();
        write_workspace(&built.path("source"));
        built.git(&["init", "--quiet"]);
        built.git(&["remote", "add", "origin", "https://me:token@git.example/team/app.git"]);
        built.git(&["add", "."]);
        built.git(&["commit", "--quiet", "-m", "first"]);
        let revision = built.git(&["rev-parse", "HEAD"]).trim().to_owned();
        Self { revision, ..built }
    }

    /// As [`Self::source`], with an image that was put together here instead of built.
    fn assembled() -> Self {
        let built = Self::source();
        let contract = csign_contract::Contract::from_toml(CONTRACT).unwrap();
        let digest = write_layout(&built.path("image"), &image(&contract.canonical()));
        Self { digest: digest.to_string(), ..built }
    }
}

fn image(contract: &[u8]) -> Image {
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o555), "program").unwrap();
    layer.file("etc/csign/contract.json", Access::root(0o444), contract).unwrap();
    let config = ContainerConfig { entrypoint: vec!["/workload".to_owned()], ..ContainerConfig::default() };
    assemble(config, vec![(layer.build().unwrap(), "test")]).unwrap()
}

fn write_layout(path: &Path, image: &Image) -> Digest {
    let builder = Layout::create(path).unwrap();
    let descriptor = builder.add_image(image).unwrap();
    builder.finish(vec![descriptor.clone()]).unwrap();
    descriptor.digest
}

fn write_workspace(directory: &Path) {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\", \".git\"]\n\
         [profile.image]\ninherits = \"release\"\nstrip = \"symbols\"\n",
    );
    write(".gitignore", "target\n");
    let package = |name: &str, license: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlicense = \"{license}\"\n")
    };
    for (name, license) in
        [("linked", "MIT/Apache-2.0"), ("deeper", "secret \\\"own\\\""), ("builds", "MIT"), ("tests", "MIT")]
    {
        write(&format!("{name}/Cargo.toml"), &package(name, license));
        write(&format!("{name}/src/lib.rs"), "pub fn one() -> usize { 1 }\n");
    }
    write(
        "linked/Cargo.toml",
        &(package("linked", "MIT/Apache-2.0") + "[dependencies]\ndeeper = { path = \"../deeper\" }\n"),
    );
    write("runs-in-the-compiler/Cargo.toml", &(package("runs-in-the-compiler", "MIT") + "[lib]\nproc-macro = true\n"));
    write(
        "runs-in-the-compiler/src/lib.rs",
        "#[proc_macro]\npub fn two(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"2_usize\".parse().unwrap() }\n",
    );
    write(
        "workload/Cargo.toml",
        &(package("workload", "Apache-2.0")
            + "[dependencies]\nlinked = { path = \"../linked\" }\nruns-in-the-compiler = { path = \"../runs-in-the-compiler\" }\n\
               [build-dependencies]\nbuilds = { path = \"../builds\" }\n[dev-dependencies]\ntests = { path = \"../tests\" }\n"),
    );
    write("workload/build.rs", "fn main() { assert_eq!(builds::one(), 1); }\n");
    write("workload/src/main.rs", "fn main() { println!(\"{}\", linked::one() + runs_in_the_compiler::two!()); }\n");
    let locked = |name: &str, on: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n{on}\n");
    let mut lock = "version = 4\n\n".to_owned();
    for name in ["builds", "deeper"] {
        lock += &locked(name, "");
    }
    lock += &locked("linked", "dependencies = [\n \"deeper\",\n]\n");
    lock += &locked("runs-in-the-compiler", "");
    lock += &locked("tests", "");
    lock += &locked(
        "workload",
        "dependencies = [\n \"builds\",\n \"linked\",\n \"runs-in-the-compiler\",\n \"tests\",\n]\n",
    );
    write("Cargo.lock", lock.replace("\n\n\n", "\n\n").trim_end_matches('\n').to_owned().as_str());
    fs::copy(repository().join("rust-toolchain.toml"), directory.join("rust-toolchain.toml")).unwrap();
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Built once; none where the target cannot be had.
fn built() -> Option<&'static Built> {
    static BUILT: OnceLock<Option<Built>> = OnceLock::new();
    let build = || {
        let built = Built::source();
        let done = built.csign(&[
            "build",
            "--source",
            "source",
            "--contract",
            "collaboration.toml",
            "--out",
            "image",
            "--quiet",
        ]);
        if done.stderr.contains("has no target") && env::var("CI_PEERS").as_deref() != Ok("required") {
            eprintln!("SKIPPED: {}", done.stderr);
            return None;
        }
        let image = done.expect(0, "");
        let digest = image.trim().rsplit('@').next().unwrap().to_owned();
        Some(Built { digest, ..built })
    };
    BUILT.get_or_init(build).as_ref()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The texts under `key` of every object in the list.
fn all<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().filter_map(|one| one[key].as_str()).collect()
}

const LINKED: [&str; 9] =
    ["sbom", "--layout", "image", "--source", "source", "--contract", "collaboration.toml", "--quiet", "--format"];

#[test]
fn only_what_is_linked_is_listed_and_tests_build_scripts_and_macros_are_not() {
    let Some(built) = built() else { return };
    let spdx = parse(&built.csign(&[&LINKED[..], &["spdx"]].concat()).expect(0, ""));
    let packages = &spdx["packages"];
    assert_eq!(
        all(packages, "name"),
        ["registry.example:5000/team/app", "layer 1", "layer 2", "layer 3", "deeper", "linked", "workload", "rust-std"]
    );
    assert_eq!(
        all(packages, "licenseDeclared")[4..7],
        ["NOASSERTION", "MIT OR Apache-2.0", "Apache-2.0"],
        "what is no licence expression is none"
    );
    assert_eq!(packages[4]["licenseComments"], "Declared as \"secret \\\"own\\\"\".", "quoted once");
    let edge = |from: &str, kind: &str, to: &str| {
        let edges = spdx["relationships"].as_array().unwrap();
        edges
            .iter()
            .any(|e| e["spdxElementId"] == from && e["relationshipType"] == kind && e["relatedSpdxElement"] == to)
    };
    assert!(edge("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"));
    assert!(edge("SPDXRef-Image", "DEPENDS_ON", "SPDXRef-Crate-workload-0.1.0"));
    assert!(edge("SPDXRef-Crate-workload-0.1.0", "DEPENDS_ON", "SPDXRef-Crate-linked-0.1.0"));
    assert!(edge("SPDXRef-Crate-linked-0.1.0", "DEPENDS_ON", "SPDXRef-Crate-deeper-0.1.0"));
    assert!(edge("SPDXRef-File-2-1", "GENERATED_FROM", "SPDXRef-Crate-workload-0.1.0"), "the program is in layer 2");

    let cyclonedx = parse(&built.csign(&[&LINKED[..], &["cyclonedx"]].concat()).expect(0, ""));
    let components = &cyclonedx["components"];
    assert_eq!(all(components, "name"), ["layer 1", "layer 2", "layer 3", "rust-std", "deeper", "linked", "workload"]);
    let component = &cyclonedx["metadata"]["component"];
    assert_eq!(component["version"], built.digest.as_str());
    let purl = format!("pkg:oci/app@{}?arch=amd64&repository_url=registry.example:5000/team/app", built.digest);
    assert_eq!(component["purl"], purl.as_str());
    assert_eq!(cyclonedx["compositions"][1]["aggregate"], "complete");
}

#[test]
fn every_file_of_the_image_is_listed_with_its_digest() {
    let Some(built) = built() else { return };
    let spdx = parse(&built.csign(&["sbom", "--layout", "image", "--format", "spdx"]).expect(0, ""));
    let names = all(&spdx["files"], "fileName");
    assert_eq!(
        names,
        [
            "./etc/group",
            "./etc/passwd",
            "./etc/ssl/certs/ca-certificates.crt",
            "./workload",
            "./etc/csign/contract.json"
        ]
    );
    let contract = csign_contract::Contract::from_toml(CONTRACT).unwrap().digest().hex();
    assert_eq!(spdx["files"][4]["checksums"][1]["checksumValue"], contract.as_str());
    assert!(spdx["comment"].as_str().unwrap().contains("no lock file"));
    let cyclonedx = parse(&built.csign(&["sbom", "--layout", "image", "--format", "cyclonedx"]).expect(0, ""));
    let files: Vec<&str> = cyclonedx["components"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| all(&layer["components"], "name"))
        .collect();
    assert_eq!(files.len(), names.len());
    assert_eq!(cyclonedx["compositions"][1]["aggregate"], "unknown", "nothing is known of the crates");
}

#[test]
fn a_lock_file_alone_gives_all_its_packages_and_says_so() {
    let built = Built::assembled();
    let args = ["sbom", "--layout", "image", "--lock", "source/Cargo.lock", "--format"];
    let spdx = parse(&built.csign(&[&args[..], &["spdx"]].concat()).expect(0, ""));
    let names = all(&spdx["packages"], "name");
    assert!(names.contains(&"tests") && names.contains(&"builds") && !names.contains(&"rust-std"), "{names:?}");
    assert!(spdx["comment"].as_str().unwrap().contains("also those used only to build or to test"));
    let relations = all(&spdx["relationships"], "relationshipType");
    assert_eq!(relations.iter().filter(|kind| **kind == "OTHER").count(), 6, "{relations:?}");
}

#[test]
fn two_runs_give_the_same_bytes_and_the_time_is_the_callers() {
    let built = Built::assembled();
    for format in ["spdx", "cyclonedx"] {
        let args = ["sbom", "--layout", "image", "--lock", "source/Cargo.lock", "--format", format];
        let first = built.csign(&args).expect(0, "");
        assert_eq!(built.csign(&args).expect(0, ""), first);
        assert!(first.contains("\"1970-01-01T00:00:00Z\""), "the image's own time");
        let other = built.csign_with(&args, &[("SOURCE_DATE_EPOCH", "1700000000")]).expect(0, "");
        assert!(other.contains("\"2023-11-14T22:13:20Z\""));
        let name = |text: &str| {
            let document = parse(text);
            document["serialNumber"].as_str().or(document["documentNamespace"].as_str()).unwrap().to_owned()
        };
        assert_ne!(name(&first), name(&other), "two documents have two names");
        built.csign_with(&args, &[("SOURCE_DATE_EPOCH", "yesterday")]).expect(2, "SOURCE_DATE_EPOCH");
        built.csign(&[&args[..], &["--out", "document"]].concat()).expect(0, "");
        assert_eq!(fs::read_to_string(built.path("document")).unwrap(), first);
    }
}

#[test]
fn an_image_built_for_another_contract_gets_neither_sbom_nor_provenance() {
    let built = Built::assembled();
    fs::write(built.path("collaboration.toml"), CONTRACT.replace("\"op\"", "\"other\"")).unwrap();
    built.csign(&[&LINKED[..], &["spdx"]].concat()).expect(1, "the image holds the contract");
    built.provenance(&[], &[]).expect(1, "the image holds the contract");
    let digest = write_layout(&built.path("image"), &image(b"{}"));
    Built { digest: digest.to_string(), ..built }.provenance(&[], &[]).expect(1, "the image holds the contract");
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let built = Built::assembled();
    let mut image = image(b"{}");
    let config = String::from_utf8(image.blobs[0].1.clone()).unwrap();
    let start = config.find("\"diff_ids\":[\"sha256:").unwrap() + 20;
    let forged = format!("{}{}{}", &config[..start], "0".repeat(64), &config[start + 64..]);
    let forged = csign_oci::Descriptor::of(&image.blobs[0].0.media_type, forged.as_bytes());
    let mut manifest: csign_oci::Manifest = serde_json::from_slice(&image.manifest).unwrap();
    image.blobs[0] =
        (forged.clone(), format!("{}{}{}", &config[..start], "0".repeat(64), &config[start + 64..]).into());
    manifest.config = forged;
    image.manifest = manifest.to_bytes().unwrap();
    image.descriptor = csign_oci::Descriptor::of(&image.descriptor.media_type, &image.manifest);
    write_layout(&built.path("image"), &image);
    built.csign(&["sbom", "--layout", "image", "--format", "spdx"]).expect(1, "the image's configuration says");
}

#[test]
fn provenance_names_commit_lock_file_toolchain_and_contract_but_no_credentials() {
    let built = Built::assembled();
    let text = built.provenance(&[], &[]).expect(0, "");
    assert!(!text.contains("token") && !text.contains(built.directory.path().to_str().unwrap()), "{text}");
    let predicate = parse(&text);
    let definition = &predicate["buildDefinition"];
    assert_eq!(definition["externalParameters"]["source"]["uri"], "git+https://git.example/team/app.git");
    assert_eq!(definition["externalParameters"]["recipe"], "cargo-musl");
    let contract = csign_contract::Contract::from_toml(CONTRACT).unwrap().digest().hex();
    assert_eq!(definition["externalParameters"]["contract"]["digest"]["sha256"], contract.as_str());
    let dependencies = &definition["resolvedDependencies"];
    assert_eq!(dependencies[0]["digest"]["gitCommit"], built.revision.as_str());
    assert_eq!(dependencies[0]["annotations"], Value::Null);
    let lock = Digest::of(fs::read(built.path("source/Cargo.lock")).unwrap()).hex();
    assert_eq!(dependencies[1]["digest"]["sha256"], lock.as_str());
    let rust = fs::read_to_string(repository().join("rust-toolchain.toml")).unwrap();
    let release = definition["internalParameters"]["toolchain"]["release"].as_str().unwrap();
    assert!(rust.contains(release));
    assert_eq!(predicate["runDetails"]["builder"]["id"], "https://csign.dev/builder/local/v1");
    assert_eq!(predicate["runDetails"]["metadata"], Value::Null, "nobody gave a time");
    assert_eq!(built.provenance(&[], &[]).expect(0, ""), text, "two runs, two texts");
}

#[test]
fn a_dirty_tree_is_refused_unless_allowed_and_then_stated() {
    let built = Built::assembled();
    fs::write(built.path("source/workload/src/bin.rs"), "").unwrap();
    built.provenance(&[], &[]).expect(1, "workload/src/bin.rs");
    let predicate = parse(&built.provenance(&["--allow-dirty"], &[]).expect(0, "warning"));
    let remark = &predicate["buildDefinition"]["resolvedDependencies"][0]["annotations"]["csign.dev/source"];
    assert!(remark.as_str().unwrap().contains("modified"), "{predicate}");
    fs::remove_file(built.path("source/workload/src/bin.rs")).unwrap();
    built.provenance(&[], &[]).expect(0, "");
    fs::write(built.path("source/linked/src/lib.rs"), "pub fn one() -> usize { 2 }\n").unwrap();
    built.provenance(&[], &[]).expect(1, "linked/src/lib.rs");
}

#[test]
fn provenance_of_another_image_or_commit_is_refused() {
    let built = Built::assembled();
    let other = format!("registry.example:5000/team/app@sha256:{}", "0".repeat(64));
    let elsewhere = format!("registry.example:5000/team/other@{}", built.digest);
    let fixed = ["--layout", "image", "--contract", "collaboration.toml", "--source", "source"];
    built.csign(&[&["provenance", &other], &fixed[..]].concat()).expect(1, "the layout holds");
    built.csign(&[&["provenance", &elsewhere], &fixed[..]].concat()).expect(1, "the contract is about");
    built.csign(&["provenance", &other, "--contract", "collaboration.toml"]).expect(2, "--layout");
    built.provenance(&["--revision", &"a".repeat(40)], &[]).expect(1, "is checked out");
    built.provenance(&["--revision", "main"], &[]).expect(2, "no whole commit id");
    built.provenance(&["--revision", &built.revision], &[]).expect(0, "");
    built.git(&["remote", "set-url", "origin", "/somewhere/on/this/machine"]);
    built.provenance(&[], &[]).expect(2, "--source-uri");
    built.provenance(&["--source-uri", "git+https://git.example/x"], &[]).expect(0, "");
}

#[test]
fn cloud_build_names_the_build_and_sources_without_git_are_only_stated() {
    let built = Built::assembled();
    fs::remove_dir_all(built.path("source/.git")).unwrap();
    let variables = [("BUILD_ID", "b-1"), ("PROJECT_ID", "p"), ("LOCATION", "us-central1"), ("TRIGGER_NAME", "push")];
    built.provenance(&[], &variables).expect(2, "nothing says where");
    let stated = ["--source-uri", "git+https://me:token@git.example/x", "--revision", &"a".repeat(40)];
    let cloud = [&stated[..], &["--builder", "cloud-build", "--started-on", "2024-01-01T01:00:00+01:00"]].concat();
    built.provenance(&cloud, &variables[..2]).expect(2, "LOCATION");
    let predicate = parse(&built.provenance(&cloud, &variables).expect(0, "only stated"));
    let details = &predicate["runDetails"];
    assert_eq!(details["builder"]["id"], "https://csign.dev/builder/cloud-build/v1");
    assert_eq!(
        details["metadata"]["invocationId"],
        "https://cloudbuild.googleapis.com/v1/projects/p/locations/us-central1/builds/b-1"
    );
    assert_eq!(details["metadata"]["startedOn"], "2024-01-01T00:00:00Z");
    let definition = &predicate["buildDefinition"];
    assert_eq!(definition["internalParameters"]["cloudBuild"]["triggerName"], "push");
    let source = &definition["resolvedDependencies"][0];
    assert_eq!(source["uri"], format!("git+https://git.example/x@{}", "a".repeat(40)));
    assert!(source["annotations"]["csign.dev/source"].as_str().unwrap().contains("stated by the caller"));
    // Jenkins sets BUILD_ID too: on a machine of one's own it means nothing.
    let local = parse(&built.provenance(&stated, &variables).expect(0, ""));
    assert!(!local.to_string().contains("b-1"));
}
