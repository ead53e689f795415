//! A reader's machine: the programs of this workspace on PATH, and sources whose build takes seconds.
//!
//! The image's program is the real workload, built by the real recipe, but it is built once: the sources that the tutorial
//! builds, rebuilds and changes are a small workspace whose program starts that one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use csign_oci::{LayerLimits, Layout, Node, read_layer};
use csign_tests::{
    peer::{self, repository},
    process::{Bench, Finished},
};

/// Where the program of the image is, as `csign build` names it.
const PROGRAM: &str = "workload";

const MANIFEST: &str =
    "[workspace]\nresolver = \"3\"\nmembers = [\"workload\"]\n\n[profile.image]\ninherits = \"release\"\n";
const PACKAGE: &str = "[package]\nname = \"workload\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"workload\"\nversion = \"0.1.0\"\n";
const MAIN: &str = r#"//! Starts the workload that was built before.
use std::{fs, os::unix::{fs::PermissionsExt as _, process::CommandExt as _}, path::Path, process::{self, Command}};

static PROGRAM: &[u8] = include_bytes!("program");

fn main() {
    // Not every machine lets programs start from all of these.
    for directory in ["/var/lib/csign", "/dev/shm", "/tmp"] {
        let path = Path::new(directory).join(format!("workload-{}", process::id() + 1));
        if fs::write(&path, PROGRAM).is_ok() && fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).is_ok() {
            let error = Command::new(&path).args(std::env::args_os().skip(1)).exec();
            let _ = fs::remove_file(&path);
            eprintln!("{}: {error}", path.display());
        }
    }
    process::exit(3);
}
"#;

/// The reader's sources.
pub(crate) fn sources(bench: &Bench) -> PathBuf {
    let at = bench.path("sources");
    fs::create_dir_all(at.join("workload/src")).unwrap();
    for file in ["rust-toolchain.toml", ".gitignore"] {
        fs::copy(repository().join(file), at.join(file)).unwrap();
    }
    fs::write(at.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(at.join("Cargo.lock"), LOCK).unwrap();
    fs::write(at.join("workload/Cargo.toml"), PACKAGE).unwrap();
    fs::write(at.join("workload/src/main.rs"), MAIN).unwrap();
    fs::write(at.join("workload/src/program"), workload(bench)).unwrap();
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=workload"],
    ] {
        bench.run("git", [&["-C", at.to_str().unwrap()], arguments].concat()).success();
    }
    at
}

/// The real workload, from the image that `csign build` makes of this checkout, where `simulator demo` builds it too.
fn workload(bench: &Bench) -> Vec<u8> {
    let contract = fs::read_to_string(repository().join("workload/example-contract.toml")).unwrap();
    fs::write(bench.path("any.toml"), contract.replace("\"bazel\"", "\"cargo-musl\"")).unwrap();
    let mut build = bench.command(peer::csign());
    build.args(["build", "--contract", "any.toml", "--out", "workload", "--quiet", "--source"]).arg(repository());
    Finished::of(build.envs(toolchain())).success();
    let layout = Layout::open(bench.path("workload")).unwrap();
    let (_, manifest) = layout.image().unwrap();
    let program = manifest.layers.iter().find_map(|layer| {
        let layer = read_layer(&layout.blob(layer).unwrap(), &LayerLimits::default()).unwrap();
        layer.entries.into_iter().find_map(|entry| match entry.node {
            Node::File(content) if entry.path == PROGRAM => Some(content),
            _ => None,
        })
    });
    program.expect("an image with a program")
}

/// Where this machine's own toolchain is, which a scrubbed home directory hides.
fn toolchain() -> [(&'static str, PathBuf); 2] {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]
        .map(|(name, below)| (name, std::env::var_os(name).map_or_else(|| home.join(below), PathBuf::from)))
}

/// A shell with the programs of this workspace.
pub(crate) fn shell(bench: &Bench, sources: &Path) -> Command {
    let programs = [peer::csign(), peer::simulator()].map(|program| program.parent().unwrap().to_path_buf());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut bash = bench.command("bash");
    bash.current_dir(repository())
        .envs(toolchain())
        .env("PATH", path)
        .env("CLOUD", "simulator")
        .env("SOURCES", sources)
        .env("ROOM", bench.path("room"))
        .env_remove("COSIGN_PASSWORD");
    bash
}

/// Can the image's target be compiled for?
pub(crate) fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", "x86_64-unknown-linux-musl"]).current_dir(repository());
    rustc.output().is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}
