//! Finds the real programs that csign is compared with, and csign itself.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// Where `name` is: below the directory in `CSIGN_PEERS`, below `.peers` in the repository, or on `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let peers = env::var_os("CSIGN_PEERS").map_or_else(|| repository().join(".peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    [peers.join("bin"), peers]
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}

/// Like [`find`], for a test: says that it is skipped where the peer is missing, straight to stderr so that the test
/// harness does not swallow it.
///
/// # Panics
/// When the peer is missing and the environment has `CI_PEERS=required`.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        assert!(
            env::var_os("CI_PEERS") != Some(OsString::from("required")),
            "{name} not found and CI_PEERS=required: run .ci/peers, or set CSIGN_PEERS to the directory that holds it"
        );
        let test = std::thread::current().name().unwrap_or("test").to_owned();
        let _ = writeln!(io::stderr(), "{test} skipped: {name} not found (run .ci/peers)");
    }
    found
}

/// The csign of this workspace, built with the profile of the running test.
///
/// # Panics
/// When it does not build.
pub fn csign() -> &'static Path {
    program("csign", "csign", &CSIGN)
}

/// The simulator of this workspace, built with the profile of the running test.
///
/// # Panics
/// When it does not build.
pub fn simulator() -> &'static Path {
    program("simulator", "simulator", &SIMULATOR)
}

static CSIGN: OnceLock<PathBuf> = OnceLock::new();
static SIMULATOR: OnceLock<PathBuf> = OnceLock::new();

/// Cargo builds a package's programs only for that package's own tests, so ask for them; with other features than the
/// workspace's tests have, which means a hundred crates once more. `CSIGN_PROGRAMS=built` says that `cargo test
/// --workspace` runs this, which has built them already.
fn program(package: &str, name: &str, cell: &'static OnceLock<PathBuf>) -> &'static Path {
    cell.get_or_init(|| {
        let exe = env::current_exe().expect("the path of the running test");
        let deps = exe.parent().expect("a test lies in a directory");
        let profile = if deps.ends_with("deps") { deps.parent().expect("deps has a parent") } else { deps };
        if env::var_os("CSIGN_PROGRAMS") == Some(OsString::from("built")) {
            let program = profile.join(name);
            assert!(program.is_file(), "CSIGN_PROGRAMS=built, but there is no {}", program.display());
            return program;
        }
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--locked", "--package", package, "--bin", name]).current_dir(repository());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo starts").success(), "building {name} failed");
        profile.join(name)
    })
}
