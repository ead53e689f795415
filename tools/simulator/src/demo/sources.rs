//! The repository whose commit the request names and from which collaborator 1 rebuilds: this checkout if it is a clean one,
//! else a copy of its files as a repository of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::{Result, ledger::say};

/// Where the sources are.
pub(super) struct Sources {
    pub(super) path: PathBuf,
    /// Is it a git repository, so that a request can name a commit of it?
    pub(super) has_commit: bool,
}

impl Sources {
    /// `from` itself if nothing differs from its commit, else a copy of it at `to`, committed.
    pub(super) fn of(from: &Path, to: &Path) -> Result<Self> {
        let said = |args: &[&str]| {
            git(from, args)
                .ok()
                .filter(|output| output.status.success())
                .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let is_root = said(&["rev-parse", "--show-toplevel"]).is_some_and(|top| Path::new(&top) == from);
        let is_clean = said(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
        if is_root && is_clean {
            return Ok(Self { path: from.to_path_buf(), has_commit: true });
        }
        copy(from, to)?;
        let commit: [&[&str]; 3] = [
            &["init", "--quiet", "--template=", "--initial-branch=main"],
            &["add", "."],
            &["commit", "--quiet", "-m", "demo"],
        ];
        for args in commit {
            match git(to, args) {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stderr).into_owned();
                    return Err(format!("git {} failed: {}", args.first().unwrap_or(&""), text.trim()).into());
                }
                Err(error) => {
                    say(&format!("    no git here ({error}): the request names no commit, so nobody rebuilds it"));
                    return Ok(Self { path: to.to_path_buf(), has_commit: false });
                }
            }
        }
        say("    this is no clean git checkout: a copy of its files is committed for the others");
        Ok(Self { path: to.to_path_buf(), has_commit: true })
    }
}

/// git with a fixed author and time, without anybody's configuration.
fn git(directory: &Path, args: &[&str]) -> std::io::Result<Output> {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["-c", "user.name=demo", "-c", "user.email=demo@demo.example"]).args(args);
    for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        git.env(name, "2024-01-01T00:00:00Z");
    }
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    git.stdin(Stdio::null()).output()
}

/// Copies a source tree without build results and hidden directories.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            copy(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
