//! The directory in which a rebuild works: fresh, for its owner alone, and gone afterwards.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::failure::Failure;

/// The directory. Dropping it removes it, unless it is to be kept.
pub(crate) struct Work {
    directory: TempDir,
    keep: bool,
}

/// Variables by name.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

impl Work {
    /// Makes one inside of `parent`, or where temporary files are.
    pub(crate) fn new(parent: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("csign-rebuild-").disable_cleanup(keep);
        let made = match parent {
            Some(parent) => {
                fs::create_dir_all(parent).map_err(|error| Failure::writing(parent, &error))?;
                let parent = fs::canonicalize(parent).map_err(|error| Failure::reading(parent, &error))?;
                builder.tempdir_in(parent)
            }
            None => builder.tempdir(),
        };
        let directory = made.map_err(|error| Failure::could_not_check(format_args!("making a directory: {error}")))?;
        let work = Self { directory, keep };
        for name in ["home", "tmp", "cargo", "target"] {
            let path = work.path(name);
            fs::create_dir(&path).map_err(|error| Failure::writing(&path, &error))?;
        }
        Ok(work)
    }

    /// A file or directory in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory itself, if it stays.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.keep.then(|| self.directory.path())
    }

    /// What fetching sees: the caller's variables, but for where downloads go.
    pub(crate) fn fetching(&self, caller: &Environment, cargo_home: Option<&Path>) -> Environment {
        let mut environment = caller.clone();
        let cargo_home = cargo_home.map_or_else(|| self.path("cargo"), Path::to_path_buf);
        // The toolchain is looked for below HOME, which the build will not see.
        let set = |name: &str| caller.get(OsStr::new(name)).filter(|value| !value.is_empty());
        if let (None, Some(home)) = (set("RUSTUP_HOME"), set("HOME")) {
            let rustup = Path::new(home).join(".rustup");
            if rustup.is_dir() {
                environment.insert("RUSTUP_HOME".into(), rustup.into());
            }
        }
        environment.insert("CARGO_HOME".into(), cargo_home.into());
        environment
    }

    /// What the build sees of it: another home, and nothing that opens a network or a registry.
    pub(crate) fn building(&self, fetching: &Environment) -> Environment {
        let is_left_out = |name: &OsStr| {
            let name = name.to_string_lossy().to_uppercase();
            name.ends_with("_PROXY")
                || ["CARGO_REGISTR", "CARGO_HTTP_", "CARGO_NET_"].iter().any(|p| name.starts_with(p))
        };
        let mut environment: Environment =
            fetching.clone().into_iter().filter(|(name, _)| !is_left_out(name)).collect();
        environment.insert("HOME".into(), self.path("home").into());
        environment.insert("TMPDIR".into(), self.path("tmp").into());
        environment
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.keep {
            make_removable(self.directory.path());
        }
    }
}

/// Bazel leaves directories that their owner may not write to. Links are not followed.
fn make_removable(directory: &Path) {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        if let Ok(metadata) = fs::symlink_metadata(&directory)
            && metadata.permissions().mode() & 0o700 != 0o700
        {
            let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(0o700));
        }
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        waiting.extend(entries.map(|entry| entry.path()).filter(|path| is_directory(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_sees_another_home_and_no_way_out() {
        let work = Work::new(None, false).unwrap();
        let pairs = [
            ("HOME", "/home/me"),
            ("HTTPS_PROXY", "p"),
            ("http_proxy", "p"),
            ("CARGO_REGISTRIES_X_TOKEN", "secret"),
            ("CARGO_NET_RETRY", "1"),
            ("PATH", "/bin"),
            ("RUSTUP_HOME", "/rustup"),
        ];
        let caller: Environment = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let fetching = work.fetching(&caller, None);
        assert_eq!(fetching[OsStr::new("HOME")], "/home/me");
        assert_eq!(fetching[OsStr::new("CARGO_REGISTRIES_X_TOKEN")], "secret");
        assert_eq!(fetching[OsStr::new("CARGO_HOME")], work.path("cargo"));
        let building = work.building(&fetching);
        let names: Vec<_> = building.keys().map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["CARGO_HOME", "HOME", "PATH", "RUSTUP_HOME", "TMPDIR"]);
        assert_eq!(building[OsStr::new("HOME")], work.path("home"));
    }

    #[test]
    fn nothing_stays_behind_even_if_it_is_read_only() {
        let work = Work::new(None, false).unwrap();
        let inner = work.path("target/read/only");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
        let path = work.directory.path().to_path_buf();
        drop(work);
        assert!(!path.exists());
    }
}
