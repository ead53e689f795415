//! A directory in which programs make things, with an environment that has nothing of the machine's in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The time that is written where a time has to be, in seconds since 1970.
pub(super) const EPOCH: &str = "1700000000";

/// Where an image's files are made.
#[derive(Debug)]
pub struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    /// An empty one.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[allow(clippy::new_without_default, reason = "it touches the disk")]
    pub fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("csign-planted-").tempdir().expect("a temporary directory") }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, with the directories above it.
    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("making a directory");
        fs::write(&path, content).expect("writing a file");
        path
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("reading {name}: {error}"))
    }

    /// Runs a shell command in the directory; `SOURCE_DATE_EPOCH` is set, the locale is C.
    pub(super) fn shell(&self, command: &str) -> String {
        self.shell_with(command, &[])
    }

    /// The same with more variables; an empty value unsets one.
    pub(super) fn shell_with(&self, command: &str, variables: &[(&str, &str)]) -> String {
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", command])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("TMPDIR", self.directory.path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .stdin(Stdio::null());
        // rustup finds its toolchain by them.
        for name in ["RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                shell.env(name, value);
            }
        }
        if let Some(home) = std::env::var_os("HOME").filter(|_| std::env::var_os("RUSTUP_HOME").is_none()) {
            shell.env("RUSTUP_HOME", Path::new(&home).join(".rustup"));
        }
        for (name, value) in variables {
            if value.is_empty() {
                shell.env_remove(name)
            } else {
                shell.env(name, value)
            };
        }
        let output = shell.output().unwrap_or_else(|error| panic!("starting sh: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Is a program on the path, or a file there?
pub(super) fn is_there(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}
