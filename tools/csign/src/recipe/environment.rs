//! What the build sees of this machine: a few variables, and fixed names instead of paths.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{confinement::Confinement, error::RecipeError, toolchain::Toolchain};

/// Variables that reach cargo and rustup: where programs and caches are, how to reach the network, how to draw progress.
const PASSED: &[&str] = &[
    "ALL_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_COLOR",
    "NO_PROXY",
    "PATH",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_HOME",
    "RUSTUP_UPDATE_ROOT",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// Families of variables that reach cargo.
const PASSED_PREFIXES: &[&str] = &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_TERM_"];

/// What every build sees, whoever builds.
const FIXED: &[(&str, &str)] = &[
    ("CARGO_INCREMENTAL", "0"),
    ("CC", "/bin/false"),
    ("CXX", "/bin/false"),
    ("LC_ALL", "C"),
    // An empty wrapper overrides one from a configuration file.
    ("RUSTC_WORKSPACE_WRAPPER", ""),
    ("RUSTC_WRAPPER", ""),
    ("SOURCE_DATE_EPOCH", "0"),
    ("TZ", "UTC"),
];

/// The same under Bazel, which needs UTF-8 for names of files.
const BAZEL_FIXED: &[(&str, &str)] = &[("LC_ALL", "C.UTF-8"), ("SOURCE_DATE_EPOCH", "0"), ("TZ", "UTC")];

/// The environment of every program that the recipe starts.
#[derive(Debug)]
pub(super) struct Host {
    variables: BTreeMap<OsString, OsString>,
    pub(super) cargo_home: PathBuf,
    confinement: Confinement,
}

impl Host {
    /// Takes what is passed on from the caller's environment and fixes the rest.
    pub(super) fn new(caller: &BTreeMap<OsString, OsString>, channel: &str) -> Result<Self, RecipeError> {
        let cargo_home = match (filled(caller, "CARGO_HOME"), filled(caller, "HOME")) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => Path::new(home).join(".cargo"),
            (None, None) => return Err(RecipeError::NoHome),
        };
        fs::create_dir_all(&cargo_home).map_err(RecipeError::io("creating directory", &cargo_home))?;
        let cargo_home = fs::canonicalize(&cargo_home).map_err(RecipeError::io("finding directory", &cargo_home))?;
        let mut variables: BTreeMap<OsString, OsString> = caller
            .iter()
            .filter(|(name, _)| is_passed(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        variables.extend(FIXED.iter().map(|(name, value)| (name.into(), value.into())));
        variables.insert("RUSTUP_TOOLCHAIN".into(), channel.into());
        variables.insert("CARGO_HOME".into(), cargo_home.clone().into_os_string());
        Ok(Self { variables, cargo_home, confinement: Confinement::None })
    }

    /// What Bazel sees. It starts compilers with an environment of its own.
    pub(super) fn of_bazel(caller: &BTreeMap<OsString, OsString>) -> Self {
        let is_passed =
            |name: &OsStr| name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("BAZELISK_"));
        let passed = caller.iter().filter(|(name, _)| is_passed(name));
        let mut variables: BTreeMap<OsString, OsString> =
            passed.map(|(name, value)| (name.clone(), value.clone())).collect();
        variables.extend(BAZEL_FIXED.iter().map(|(name, value)| (name.into(), value.into())));
        Self { variables, cargo_home: PathBuf::new(), confinement: Confinement::None }
    }

    /// The same, for programs that are kept from the network.
    pub(super) fn confined(self, confinement: Confinement) -> Self {
        Self { confinement, ..self }
    }

    /// The variables by name: with their value where it is the same for everyone, without where it is this machine's.
    pub(super) fn described(&self) -> BTreeMap<String, Option<String>> {
        let fixed =
            |name: &str| name == "RUSTUP_TOOLCHAIN" || FIXED.iter().chain(BAZEL_FIXED).any(|(fixed, _)| *fixed == name);
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let described = |(name, value): (&OsString, &OsString)| {
            let name = text(name);
            let value = fixed(&name).then(|| text(value));
            (name, value)
        };
        self.variables.iter().map(described).collect()
    }

    /// Where `PATH` has a program.
    pub(super) fn find(&self, program: &str) -> Result<PathBuf, RecipeError> {
        let path = self.variables.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
        found.ok_or_else(|| RecipeError::Start {
            program: program.to_owned(),
            source: std::io::Error::from(std::io::ErrorKind::NotFound),
        })
    }

    /// A command with this environment. It starts in `/`, where cargo finds no configuration of a source directory.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.confinement.command(program);
        command.env_clear().envs(&self.variables).current_dir("/");
        command
    }
}

fn filled<'a>(variables: &'a BTreeMap<OsString, OsString>, name: &str) -> Option<&'a OsString> {
    variables.get(OsStr::new(name)).filter(|value| !value.is_empty())
}

fn is_passed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|p| name.starts_with(p)))
}

/// The directories whose names must not reach the binary.
pub(super) struct Paths<'a> {
    pub(super) source: &'a Path,
    pub(super) target_dir: &'a Path,
    pub(super) toolchain: &'a Toolchain,
    pub(super) host: &'a Host,
}

impl Paths<'_> {
    /// Compiler flags that give every directory a fixed name. `packages` are directories of downloaded crates with
    /// theirs: a mirror or another version of cargo unpacks them elsewhere below `CARGO_HOME`.
    pub(super) fn remap_flags(&self, packages: &[(PathBuf, String)]) -> Result<Vec<String>, RecipeError> {
        let sysroot = &self.toolchain.sysroot;
        // The standard library's sources have this name when they are not installed.
        let library = format!("/rustc/{}", self.toolchain.commit_hash);
        let mut map = vec![
            (self.source.to_path_buf(), "/src".to_owned()),
            (self.target_dir.to_path_buf(), "/target".to_owned()),
            (self.host.cargo_home.clone(), "/cargo".to_owned()),
            (sysroot.clone(), "/rust".to_owned()),
            (sysroot.join("lib/rustlib/src/rust"), library),
        ];
        map.extend_from_slice(packages);
        // The last prefix that matches wins: a directory inside another one comes later.
        map.sort_by_key(|(from, _)| from.as_os_str().len());
        map.into_iter()
            .map(|(from, to)| match from.to_str() {
                Some(text) if !text.contains(|c: char| c.is_control()) => {
                    Ok(format!("--remap-path-prefix={text}={to}"))
                }
                _ => Err(RecipeError::OddPath(from)),
            })
            .collect()
    }

    /// The first of these directories whose path occurs in `binary`.
    pub(super) fn leaked_by(&self, binary: &[u8]) -> Option<String> {
        let paths = [self.source, self.target_dir, &self.host.cargo_home, &self.toolchain.sysroot];
        // A path of one component, such as /src, may well be the fixed name itself.
        let telling = paths.into_iter().filter(|path| path.components().count() > 2).map(Path::as_os_str);
        let telling: Vec<&[u8]> = telling.map(OsStr::as_encoded_bytes).collect();
        let slashes = binary.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes
            .flat_map(|at| telling.iter().filter(move |path| binary[at..].starts_with(path)))
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_variables_are_passed_on() {
        let home = tempfile::tempdir().unwrap();
        let mut caller: BTreeMap<OsString, OsString> = BTreeMap::new();
        caller.insert("HOME".into(), home.path().into());
        let passed = ["PATH", "SSL_CERT_FILE", "CARGO_HTTP_PROXY", "CARGO_REGISTRIES_X_TOKEN", "CARGO_NET_OFFLINE"];
        let dropped = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PROFILE_IMAGE_OPT_LEVEL",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER",
            "CARGO_UNSTABLE_BUILD_STD",
            "RUSTC",
            "RUSTC_BOOTSTRAP",
            "CFLAGS",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "GIT_DIR",
            "USER",
        ];
        for name in passed.iter().chain(&dropped) {
            caller.insert(name.into(), "noise".into());
        }
        for name in ["CC", "RUSTC_WRAPPER", "TZ", "LC_ALL", "SOURCE_DATE_EPOCH", "RUSTUP_TOOLCHAIN"] {
            caller.insert(name.into(), "noise".into());
        }
        let host = Host::new(&caller, "1.2.3").unwrap();
        for name in passed {
            assert_eq!(host.variables[OsStr::new(name)], "noise", "{name}");
        }
        for name in dropped {
            assert!(!host.variables.contains_key(OsStr::new(name)), "{name} was passed on");
        }
        assert_eq!(host.variables[OsStr::new("CC")], "/bin/false");
        assert_eq!(host.variables[OsStr::new("RUSTC_WRAPPER")], "");
        assert_eq!(host.variables[OsStr::new("RUSTUP_TOOLCHAIN")], "1.2.3");
        assert_eq!(host.variables.values().filter(|value| *value == "noise").count(), passed.len());
        let described = host.described();
        assert_eq!(described["CC"].as_deref(), Some("/bin/false"));
        assert_eq!(described["CARGO_REGISTRIES_X_TOKEN"], None, "a secret's value is in the record");
        assert!(matches!(Host::new(&BTreeMap::new(), "1.2.3"), Err(RecipeError::NoHome)));
    }

    #[test]
    fn inner_directories_are_mapped_after_outer_ones_and_leaks_are_found() {
        let home = tempfile::tempdir().unwrap();
        let caller = [(OsString::from("CARGO_HOME"), home.path().into())].into();
        let host = Host::new(&caller, "1.2.3").unwrap();
        let toolchain = Toolchain {
            release: "1.2.3".into(),
            commit_hash: "abc".into(),
            host: "h".into(),
            rustc: String::new(),
            cargo: String::new(),
            sysroot: "/opt/rust".into(),
        };
        let (source, target) = (Path::new("/home/a"), Path::new("/home/a/target/image"));
        let paths = Paths { source, target_dir: target, toolchain: &toolchain, host: &host };
        let flags = paths.remap_flags(&[("/home/a/vendor/b".into(), "/cargo/b-1".into())]).unwrap();
        let place = |flag: &str| flags.iter().position(|f| f == &format!("--remap-path-prefix={flag}")).unwrap();
        assert!(place("/home/a=/src") < place("/home/a/target/image=/target"));
        assert!(place("/home/a=/src") < place("/home/a/vendor/b=/cargo/b-1"));
        assert!(place("/opt/rust=/rust") < place("/opt/rust/lib/rustlib/src/rust=/rustc/abc"));
        assert!(paths.remap_flags(&[("/a\u{1f}-Copt-level=0".into(), "/b".into())]).is_err(), "a separator in a path");

        assert_eq!(paths.leaked_by(b"\0/src/main.rs\0/home/b"), None);
        assert_eq!(paths.leaked_by(b"\0/home/a/workload\0").as_deref(), Some("/home/a"));
        assert_eq!(paths.leaked_by(b"x/opt/rust").as_deref(), Some("/opt/rust"));
    }
}
