//! The same sources give the same image whoever builds them, wherever, whenever and however their machine is set up.
//!
//! Each build runs in a process of its own, because umask and environment belong to a process. When two digests differ,
//! the test builds once per variation and prints which of them made the difference.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod clock;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use csign::recipe::{self, BuildRequest, RecipeError};
use csign_contract::Recipe;
use serde::{Deserialize, Serialize};

const SPECIFICATION: &str = "CSIGN_TEST_BUILD";

/// Everything that may differ between two builders. The clock differs by itself, as one build follows the other; a
/// larger step cannot be faked, because rustc's allocator deadlocks below libfaketime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variation {
    Directory,
    TargetDirectory,
    HomeAndUser,
    CargoHome,
    TimeZoneAndLocale,
    Umask,
    FileTimes,
    SourceDateEpoch,
    Jobs,
    EnvironmentNoise,
    HostileConfiguration,
}

impl Variation {
    const ALL: [Self; 11] = [
        Self::Directory,
        Self::TargetDirectory,
        Self::HomeAndUser,
        Self::CargoHome,
        Self::TimeZoneAndLocale,
        Self::Umask,
        Self::FileTimes,
        Self::SourceDateEpoch,
        Self::Jobs,
        Self::EnvironmentNoise,
        Self::HostileConfiguration,
    ];
}

/// What the child process builds.
#[derive(Serialize, Deserialize)]
struct Specification {
    source: PathBuf,
    output: PathBuf,
    target_dir: Option<PathBuf>,
    jobs: usize,
    network: bool,
    answer: PathBuf,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    image: String,
    binary: String,
    /// The target cannot be had on this machine.
    missing: Option<String>,
}

/// Not a test of its own: the process in which one build runs.
#[test]
#[ignore = "started by the other tests"]
fn one_build() {
    let Some(path) = env::var_os(SPECIFICATION) else { return };
    let spec: Specification = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let request = BuildRequest {
        source: spec.source,
        package: "workload".to_owned(),
        recipe: Recipe::CargoMusl,
        contract: b"{}".to_vec(),
        labels: BTreeMap::from([("label".to_owned(), "value".to_owned())]),
        ports: Vec::new(),
        output: spec.output,
        target_dir: spec.target_dir,
        network: spec.network,
        jobs: Some(spec.jobs),
        progress: env::var_os("CSIGN_FULL_REPRO").is_some(),
        environment: env::vars_os().collect(),
    };
    let answer = match recipe::build(&request) {
        Ok(outcome) => Answer { image: outcome.image.to_string(), binary: outcome.binary.to_string(), missing: None },
        Err(error @ RecipeError::MissingTarget { .. }) => {
            Answer { image: String::new(), binary: String::new(), missing: Some(error.to_string()) }
        }
        Err(error) => panic!("{error}: {error:?}"),
    };
    fs::write(spec.answer, serde_json::to_vec(&answer).unwrap()).unwrap();
}

/// Runs one build in its own process, with these variations.
fn build(scratch: &Path, sources: &dyn Fn(&Path), network: bool, variations: &[Variation]) -> Answer {
    let varies = |variation| variations.contains(&variation);
    fs::create_dir_all(scratch).unwrap();
    let directory =
        scratch.join(if varies(Variation::Directory) { "a longer/path with spaces/to/sources" } else { "s" });
    fs::create_dir_all(&directory).unwrap();
    sources(&directory);
    if varies(Variation::FileTimes) {
        touch(&directory, SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 20));
    }

    let target_dir = varies(Variation::TargetDirectory).then(|| scratch.join("elsewhere/t"));
    let spec = Specification {
        source: directory.clone(),
        output: scratch.join("layout"),
        target_dir,
        jobs: if varies(Variation::Jobs) { 1 } else { 4 },
        network,
        answer: scratch.join("answer.json"),
    };
    fs::write(scratch.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();

    let umask = if varies(Variation::Umask) { "0077" } else { "0022" };
    let mut child = Command::new("sh");
    child.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(env::current_exe().unwrap());
    child.args(["--exact", "one_build", "--ignored", "--nocapture", "--test-threads=1"]);
    child.env(SPECIFICATION, scratch.join("spec.json"));
    child.env("RUSTUP_HOME", rustup_home()).env("CARGO_HOME", cargo_home());
    if varies(Variation::HomeAndUser) {
        fs::create_dir_all(scratch.join("home/eve")).unwrap();
        child.env("HOME", scratch.join("home/eve")).env("USER", "eve").env("LOGNAME", "eve");
    }
    if varies(Variation::CargoHome) {
        child.env("CARGO_HOME", other_cargo_home(scratch));
    }
    if varies(Variation::TimeZoneAndLocale) {
        child.env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8").env("LANG", "de_DE.UTF-8");
    }
    if varies(Variation::SourceDateEpoch) {
        child.env("SOURCE_DATE_EPOCH", "1234567890");
    }
    if varies(Variation::EnvironmentNoise) {
        for (name, value) in NOISE {
            child.env(name, value);
        }
    }
    if varies(Variation::HostileConfiguration) {
        for place in [directory.join(".cargo"), scratch.join(".cargo")] {
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("config.toml"), HOSTILE).unwrap();
        }
        fs::write(scratch.join("Cargo.toml"), HOSTILE_WORKSPACE).unwrap();
        fs::write(scratch.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"nightly\"\n").unwrap();
    }
    let status = child.status().unwrap();
    assert!(status.success(), "the build with {variations:?} failed");
    serde_json::from_slice(&fs::read(&spec.answer).unwrap()).unwrap()
}

const NOISE: &[(&str, &str)] = &[
    ("RUSTFLAGS", "-Copt-level=0 -Cdebuginfo=2"),
    ("CARGO_ENCODED_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_BUILD_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu"),
    ("CARGO_PROFILE_IMAGE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_IMAGE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "/nonexistent/ld"),
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_INCREMENTAL", "1"),
    ("CC", "gcc -g"),
    ("CFLAGS", "-O0 -g"),
    ("LDFLAGS", "-Wl,--build-id"),
    ("RUSTC_BOOTSTRAP", "1"),
    ("RUSTC_WRAPPER", "/nonexistent/wrapper"),
    ("RUSTUP_TOOLCHAIN", "nightly"),
    ("NOISE", "noise"),
];

const HOSTILE: &str = r#"
[build]
rustflags = ["-Copt-level=0", "-Cdebuginfo=2"]
rustc-wrapper = "/nonexistent/wrapper"
target-dir = "/nonexistent/target"
[target.x86_64-unknown-linux-musl]
linker = "/nonexistent/ld"
rustflags = ["-Copt-level=0"]
[profile.image]
opt-level = 0
strip = "none"
[env]
NOISE_FROM_CONFIGURATION = { value = "noise", force = true }
"#;

const HOSTILE_WORKSPACE: &str = "[workspace]\nmembers = [\"s\"]\n[profile.image]\ninherits = \"dev\"\n";

fn home() -> PathBuf {
    env::var_os("HOME").expect("HOME").into()
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

/// Another `CARGO_HOME` with the same downloads, so that the network is not needed; crates are unpacked anew.
fn other_cargo_home(scratch: &Path) -> PathBuf {
    let other = scratch.join("another cargo home");
    for part in ["registry/cache", "registry/index"] {
        copy(&cargo_home().join(part), &other.join(part), &[]);
    }
    let _ = fs::copy(cargo_home().join("config.toml"), other.join("config.toml"));
    other
}

fn copy(from: &Path, to: &Path, except: &[&str]) {
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).unwrap();
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name();
        if except.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(name));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to, &[]);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn touch(directory: &Path, time: SystemTime) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            touch(&entry.path(), time);
        } else {
            fs::File::options().append(true).open(entry.path()).unwrap().set_modified(time).unwrap();
        }
    }
}

/// Builds plainly and with every variation at once. If the digests differ, finds out why and panics with a table.
fn assert_reproducible(sources: &dyn Fn(&Path), network: bool) {
    let scratch = tempfile::tempdir().unwrap();
    // Always at the same place, so that only the variations differ.
    let one = |variations: &[Variation]| {
        let place = scratch.path().join("place");
        let answer = build(&place, sources, network, variations);
        fs::remove_dir_all(place).unwrap();
        answer
    };
    let plain = one(&[]);
    if let Some(why) = &plain.missing {
        assert!(env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
        eprintln!("SKIPPED: {why}");
        return;
    }
    let varied = one(&Variation::ALL);
    if plain == varied {
        return;
    }
    let mut table = format!("{:24}{}\n{:24}{}\n", "nothing", plain.binary, "everything at once", varied.binary);
    for variation in std::iter::once(None).chain(Variation::ALL.map(Some)) {
        let alone = one(variation.as_slice());
        let name = variation.map_or_else(|| "nothing, again".to_owned(), |variation| format!("{variation:?}"));
        let verdict = if alone == plain { "same" } else { "DIFFERS" };
        table += &format!("{name:24}{} {verdict}\n", alone.binary);
    }
    panic!("the build is not reproducible:\n{table}");
}

/// Says that something is not tested here; where CI runs, that is a failure.
fn skip(why: &str) {
    assert!(env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
    eprintln!("SKIPPED: {why}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A workspace that puts every kind of path into its program that a compiler would put there.
fn fixture(directory: &Path) {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let profile = "[profile.image]\ninherits = \"release\"\nstrip = \"symbols\"\ncodegen-units = 1\nlto = \"thin\"\n";
    write("Cargo.toml", &format!("[workspace]\nresolver = \"3\"\nmembers = [\"workload\", \"part\"]\n{profile}"));
    write(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"part\"\nversion = \"0.1.0\"\n\n\
         [[package]]\nname = \"workload\"\nversion = \"0.1.0\"\ndependencies = [\n \"part\",\n]\n",
    );
    fs::copy(repository().join("rust-toolchain.toml"), directory.join("rust-toolchain.toml")).unwrap();
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    write("part/Cargo.toml", &package("part"));
    write(
        "part/src/lib.rs",
        "pub fn place() -> &'static std::panic::Location<'static> { std::panic::Location::caller() }\n\
         pub fn nth<T: Copy>(list: &[T], n: usize) -> T { list[n] }\n",
    );
    write("workload/Cargo.toml", &(package("workload") + "[dependencies]\npart = { path = \"../part\" }\n"));
    write(
        "workload/build.rs",
        "use std::{env, fs, path::Path};\n\
         fn main() {\n\
         let text = \"pub fn generated(n: usize) -> usize { if n > 7 { panic!(\\\"{}\\\", file!()) } else { n } }\";\n\
         fs::write(Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"generated.rs\"), text).unwrap();\n\
         for name in [\"NOISE\", \"NOISE_FROM_CONFIGURATION\", \"SOURCE_DATE_EPOCH\", \"TZ\", \"LC_ALL\", \"CC\", \"USER\"] {\n\
         println!(\"cargo::rustc-env=SEEN_{name}={}\", env::var(name).unwrap_or_default());\n\
         }\n\
         }\n",
    );
    write(
        "workload/src/main.rs",
        "mod generated { include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\")); }\n\
         fn main() {\n\
         let n = std::env::args().count();\n\
         println!(\"{} {} {}\", file!(), part::place(), generated::generated(n));\n\
         println!(\"{} {}\", env!(\"SEEN_NOISE\"), env!(\"SEEN_NOISE_FROM_CONFIGURATION\"));\n\
         println!(\"{} {} {} {}\", env!(\"SEEN_SOURCE_DATE_EPOCH\"), env!(\"SEEN_TZ\"), env!(\"SEEN_LC_ALL\"), env!(\"SEEN_CC\"));\n\
         println!(\"{} {:?}\", part::nth(&[1, 2, 3], n), std::collections::HashMap::from([(n, env!(\"SEEN_USER\"))]));\n\
         std::fs::read(\"x\").expect(\"panics with a place\");\n\
         }\n",
    );
}

#[test]
fn digest_does_not_depend_on_the_builder() {
    assert_reproducible(&fixture, true);
}

/// Two full builds of the real workload take minutes, so this runs where `CSIGN_FULL_REPRO` is set.
#[test]
fn digest_of_the_real_workload_does_not_depend_on_the_builder() {
    if env::var_os("CSIGN_FULL_REPRO").is_none() {
        eprintln!("SKIPPED: CSIGN_FULL_REPRO is not set");
        return;
    }
    assert_reproducible(&|directory| copy(&repository(), directory, &["target", ".git", ".peers"]), true);
}

fn request(scratch: &Path, source: &Path) -> BuildRequest {
    BuildRequest {
        source: source.to_owned(),
        package: "workload".to_owned(),
        recipe: Recipe::CargoMusl,
        contract: b"{}".to_vec(),
        labels: BTreeMap::new(),
        ports: Vec::new(),
        output: scratch.join("layout"),
        target_dir: None,
        network: true,
        jobs: None,
        progress: false,
        environment: env::vars_os().collect(),
    }
}

/// The build's error, or none where the target cannot be had.
fn refusal(change: impl Fn(&Path)) -> Option<RecipeError> {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("s");
    fixture(&source);
    change(&source);
    let error = recipe::build(&request(scratch.path(), &source)).expect_err("the build was accepted");
    assert!(!scratch.path().join("layout").exists(), "something was left behind");
    match error {
        RecipeError::MissingTarget { .. } if env::var("CI_PEERS").as_deref() != Ok("required") => {
            eprintln!("SKIPPED: {error}");
            None
        }
        error => Some(error),
    }
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap();
    fs::write(path, old + text).unwrap();
}

#[test]
fn program_that_names_its_directory_is_refused() {
    let place = "#[used] static HERE: &str = env!(\"CARGO_MANIFEST_DIR\");\n";
    let error = refusal(|source| append(&source.join("workload/src/main.rs"), place));
    assert!(error.is_none_or(|error| matches!(error, RecipeError::PathLeak { .. })));
}

#[test]
fn stale_lock_file_is_refused() {
    let error = refusal(|source| append(&source.join("workload/Cargo.toml"), "new = { path = \"../new\" }\n"));
    assert!(error.is_none_or(|error| matches!(error, RecipeError::Failed { .. })));
}

#[test]
fn second_binary_is_refused() {
    let error = refusal(|source| {
        fs::create_dir(source.join("workload/src/bin")).unwrap();
        fs::write(source.join("workload/src/bin/other.rs"), "fn main() {}").unwrap();
    });
    assert!(error.is_none_or(|error| matches!(error, RecipeError::NotOneBinary { count: 2, .. })));
}

#[test]
fn toolchain_that_moves_is_refused() {
    let error = refusal(|source| {
        fs::write(source.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"stable\"\n").unwrap();
    });
    assert!(error.is_some_and(|error| matches!(error, RecipeError::NotPinned { .. })));
}

#[test]
fn build_script_finds_no_c_compiler() {
    let error = refusal(|source| {
        let script = "fn main() { let cc = std::env::var(\"CC\").unwrap();\n\
                      assert!(std::process::Command::new(cc).status().unwrap().success(), \"no C compiler\"); }\n";
        fs::write(source.join("workload/build.rs"), script).unwrap();
    });
    assert!(error.is_none_or(|error| matches!(error, RecipeError::Failed { .. })));
}
