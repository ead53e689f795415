//! The small workspace of tests/reproducible/fixture, clean or with leaks, and copies whose order on disk is chosen.

use std::{ffi::OsString, fs, path::Path, process::Command};

use crate::repository;

/// In which order files are made; a tmpfs lists the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Rising,
    Falling,
}

/// Copies a directory, or nothing where there is none.
pub(crate) fn copy(from: &Path, to: &Path, order: Order) {
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).unwrap();
    let mut names: Vec<OsString> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    if order == Order::Falling {
        names.reverse();
    }
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else if from.is_dir() {
            copy(&from, &to, order);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The workspace without leaks, as a directory.
pub(crate) fn fixture(directory: &Path) {
    copy(&repository().join("tests/reproducible/fixture"), directory, Order::Rising);
    fs::remove_file(directory.join("leaks.rs")).unwrap();
    fs::copy(repository().join("rust-toolchain.toml"), directory.join("rust-toolchain.toml")).unwrap();
}

/// The same, optimized across crates as the real workload is, which takes thrice the time.
pub(crate) fn optimized_fixture(directory: &Path) {
    fixture(directory);
    let manifest = directory.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("lto = \"off\""));
    fs::write(manifest, text.replace("lto = \"off\"", "lto = \"thin\"")).unwrap();
}

/// The same with everything embedded that a careless program could embed.
pub(crate) fn leaking_fixture(directory: &Path) {
    fixture(directory);
    fs::copy(repository().join("tests/reproducible/fixture/leaks.rs"), directory.join("facts.rs")).unwrap();
}

/// Makes `directory` a git repository, with a file that an archive fills in and a checkout does not.
pub(crate) fn commit(directory: &Path) {
    fs::write(directory.join("revision.txt"), "$Format:%H$\n").unwrap();
    fs::write(directory.join(".gitattributes"), "revision.txt export-subst\n").unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
        git.env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(git.status().unwrap().success(), "{git:?} failed");
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "fixture"]);
}
