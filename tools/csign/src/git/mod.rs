//! What git says about a source directory: the commit, where the repository comes from, what differs from the commit; and
//! fresh checkouts of one commit.

mod checkout;
mod program;
mod remote;
mod submodules;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use csign_sbom::{lock::is_revision, purl::without_credentials};

pub(crate) use checkout::Checkout;
use program::Setting;
pub(crate) use remote::Remote;

use crate::failure::Failure;

/// A source directory under version control.
#[derive(Debug)]
pub(crate) struct Git {
    /// The commit that is checked out.
    pub(crate) revision: String,
    /// Directory in the repository, without slash at the end; empty for its root.
    pub(crate) directory: String,
    /// Where `origin` is, as `git+https://…` without credentials; none if it is missing or a place on this machine.
    pub(crate) origin: Option<String>,
    /// Files that differ from the commit, or that git does not know, relative to the root.
    pub(crate) changes: Vec<String>,
}

impl Git {
    /// Asks git about `source`; none where there is no repository. Changes at or below the paths `except` do not count.
    pub(crate) fn of(source: &Path, except: &[&Path]) -> Result<Option<Self>, Failure> {
        let source = fs::canonicalize(source).map_err(|error| Failure::reading(source, &error))?;
        if !source.ancestors().any(|directory| directory.join(".git").exists()) {
            return Ok(None);
        }
        let revision = line(&source, &["rev-parse", "--verify", "HEAD^{commit}"])?;
        if !is_revision(&revision) {
            return Err(Failure::could_not_check(format_args!("git calls the commit {revision:?}")));
        }
        let root = PathBuf::from(line(&source, &["rev-parse", "--show-toplevel"])?);
        let directory = line(&source, &["rev-parse", "--show-prefix"])?;
        // Not `remote get-url`, which applies rewriting rules of this machine. Status 1: there is none.
        let origin = run(&source, &["config", "--local", "--get", "remote.origin.url"], &[0, 1])?;
        let except: Vec<PathBuf> = except.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        let changes = changes(&source)?;
        let counts = |path: &String| !except.iter().any(|except| root.join(path).starts_with(except));
        Ok(Some(Self {
            revision,
            directory: directory.trim_end_matches('/').to_owned(),
            origin: uri(origin.trim()),
            changes: changes.into_iter().filter(counts).collect(),
        }))
    }

    /// The difference from the commit as words; none if there is no difference.
    pub(crate) fn difference(&self) -> Option<String> {
        let first = self.changes.first()?;
        Some(format!("{first:?} and {} more differ from {}", self.changes.len() - 1, self.revision))
    }
}

/// `XY PATH` with a NUL at the end of each; see git-status(1), "Porcelain Format Version 1".
fn changes(source: &Path) -> Result<Vec<String>, Failure> {
    let args = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none"];
    let printed = run(source, &args, &[0])?;
    let paths = printed.split_terminator('\0').map(|entry| entry.get(3..).unwrap_or(entry).to_owned());
    Ok(paths.collect())
}

fn line(source: &Path, args: &[&str]) -> Result<String, Failure> {
    run(source, args, &[0]).map(|printed| printed.trim_end_matches('\n').to_owned())
}

fn run(source: &Path, args: &[&str], accepted: &[i32]) -> Result<String, Failure> {
    program::run(source, Setting::Own, args)?.expect(source, args, accepted)
}

/// A remote as a URI that others can use, or none: `git@host:path` becomes `git+ssh://host/path`.
fn uri(remote: &str) -> Option<String> {
    if !remote.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let url = match remote.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", _)) => without_credentials(remote),
        Some(_) => return None,
        None => {
            let (host, path) = remote.split_once(':')?;
            let host = host.rsplit('@').next().unwrap_or_default();
            if host.contains('/') {
                return None;
            }
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
    };
    let host = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    if host.is_some_and(|host| !host.is_empty()) { Some(format!("git+{url}")) } else { None }
}

/// For tests: runs git with a fixed author and time.
#[cfg(test)]
pub(crate) fn git(directory: &Path, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) {
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
    git.env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod own_tree {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), ["init", "--quiet"]);
        fs::create_dir(directory.path().join("sub")).unwrap();
        fs::write(directory.path().join("sub/a"), "1").unwrap();
        git(directory.path(), ["add", "."]);
        git(directory.path(), ["commit", "--quiet", "-m", "first"]);
        directory
    }

    #[test]
    fn remotes_become_uris_without_secrets_and_without_paths_of_this_machine() {
        for (remote, want) in [
            ("https://me:token@git.example/a/b.git", Some("git+https://git.example/a/b.git")),
            ("ssh://git@git.example:2222/a", Some("git+ssh://git.example:2222/a")),
            ("git@git.example:a/b.git", Some("git+ssh://git.example/a/b.git")),
            ("/home/me/a", None),
            ("../a", None),
            ("./a:b", None),
            ("file:///home/me/a", None),
            ("https:///a", None),
            ("ext::sh -c evil", None),
            ("", None),
        ] {
            assert_eq!(uri(remote).as_deref(), want, "{remote}");
        }
    }

    #[test]
    fn changed_staged_and_unknown_files_are_changes() {
        let directory = repository();
        let root = directory.path();
        let facts = |except: &[&Path]| Git::of(&root.join("sub"), except).unwrap().unwrap();
        let clean = facts(&[]);
        assert_eq!((clean.directory.as_str(), clean.changes.len(), clean.origin), ("sub", 0, None));
        fs::write(root.join("sub/a"), "2").unwrap();
        fs::write(root.join("new file"), "").unwrap();
        fs::create_dir(root.join("image")).unwrap();
        fs::write(root.join("image/index.json"), "").unwrap();
        assert_eq!(facts(&[&root.join("image")]).changes, ["sub/a", "new file"]);
        git(root, ["add", "."]);
        assert_eq!(facts(&[]).changes.len(), 3);
        git(root, ["remote", "add", "origin", "https://a:b@git.example/x"]);
        assert_eq!(facts(&[]).origin.as_deref(), Some("git+https://git.example/x"));
    }

    #[test]
    fn a_directory_without_git_has_no_facts_and_one_without_commits_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Git::of(directory.path(), &[]).unwrap().is_none());
        git(directory.path(), ["init", "--quiet"]);
        assert!(Git::of(directory.path(), &[]).is_err());
    }
}
