//! Keeps cargo's configuration files from changing the output.
//!
//! cargo runs in `/`, so it reads no file of the source directory's parents; what remains is `/.cargo` and `CARGO_HOME`.
//! There, settings that say where crates come from are welcome (the lock file's checksums say what they contain),
//! settings that the recipe overrides are ignored, and all others are refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::error::RecipeError;

/// Tables that say where crates come from or how cargo looks.
const HARMLESS: &[&str] = &[
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "future-incompat-report",
    "http",
    "install",
    "net",
    "registries",
    "registry",
    "term",
];
/// Keys of `[build]` that the recipe sets itself (by flag or variable), or that change no output.
const BUILD_OVERRIDDEN: &[&str] = &[
    "build-dir",
    "incremental",
    "jobs",
    "pipelining",
    "rustc",
    "rustc-wrapper",
    "rustc-workspace-wrapper",
    "rustdoc",
    "rustdocflags",
    "rustflags",
    "target",
    "target-dir",
    "warnings",
];
/// Keys of `[target.NAME]` that the recipe sets itself, or that change no output.
const TARGET_OVERRIDDEN: &[&str] = &["ar", "linker", "runner", "rustdocflags", "rustflags"];

/// Checks what cargo will read; returns a warning for each file that it would otherwise have read.
pub(super) fn check(source: &Path, cargo_home: &Path) -> Result<Vec<String>, RecipeError> {
    let read: Vec<PathBuf> = files(cargo_home).into_iter().chain(files(Path::new("/.cargo"))).collect();
    for path in &read {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(RecipeError::io("reading", path)(error)),
        };
        refuse_influence(&text).map_err(|why| RecipeError::Config { path: path.clone(), why })?;
    }
    let ignored = source.ancestors().flat_map(|directory| files(&directory.join(".cargo")));
    Ok(ignored
        .filter(|path| path.is_file() && !read.contains(path))
        .map(|path| format!("{} is ignored: an image depends on no configuration of its machine", path.display()))
        .collect())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    vec![directory.join("config.toml"), directory.join("config")]
}

fn refuse_influence(text: &str) -> Result<(), String> {
    let config: Table =
        text.parse().map_err(|error: toml::de::Error| format!("it does not parse ({})", error.message()))?;
    for (name, value) in &config {
        match (name.as_str(), value) {
            (name, _) if HARMLESS.contains(&name) => {}
            ("source", Value::Table(sources)) => check_sources(sources)?,
            ("build", Value::Table(build)) => check_keys("build", build, BUILD_OVERRIDDEN)?,
            ("target", Value::Table(targets)) => {
                for (target, settings) in targets {
                    let Value::Table(settings) = settings else {
                        return Err(format!("target.{target} is no table"));
                    };
                    check_keys(&format!("target.{target}"), settings, TARGET_OVERRIDDEN)?;
                }
            }
            (name, _) => return Err(format!("[{name}]")),
        }
    }
    Ok(())
}

fn check_keys(table: &str, settings: &Table, known: &[&str]) -> Result<(), String> {
    match settings.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{table}.{key}")),
        None => Ok(()),
    }
}

/// Registries and local registries hold archives, which cargo compares with the lock file. A directory source holds
/// unpacked files that only claim a checksum.
fn check_sources(sources: &Table) -> Result<(), String> {
    for (name, source) in sources {
        if source.get("directory").is_some() {
            return Err(format!("source.{name}.directory is not checked against the lock file"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_welcome() {
        let text = r#"
            [source.crates-io]
            replace-with = "nearby"
            [source.nearby]
            registry = "sparse+https://mirror.example/index/"
            [registries.internal]
            index = "sparse+https://internal.example/"
            [net]
            git-fetch-with-cli = true
            [http]
            proxy = "proxy.example:3128"
            [build]
            jobs = 3
            rustc-wrapper = "sccache"
            [target.x86_64-unknown-linux-gnu]
            linker = "clang"
        "#;
        assert_eq!(refuse_influence(text), Ok(()));
    }

    #[test]
    fn settings_that_could_change_the_output_are_refused() {
        for (text, why) in [
            ("[profile.image]\nopt-level = 0", "profile"),
            ("[profile.image.package.a]\nopt-level = 0", "profile"),
            ("[patch.crates-io]\na = { path = '/evil' }", "patch"),
            ("paths = ['/evil']", "paths"),
            ("include = ['other.toml']", "include"),
            ("[env]\nCC = { value = 'gcc', force = true }", "env"),
            ("[host]\nrustflags = ['-g']", "host"),
            ("[unstable]\nbuild-std = ['std']", "unstable"),
            ("[target.x86_64-unknown-linux-musl.z]\nrustc-link-lib = ['z']", "target.x86_64-unknown-linux-musl.z"),
            ("[build]\nsomething-new = 1", "build.something-new"),
            ("[something-new]\na = 1", "something-new"),
            ("[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = '/evil'", "directory"),
            ("not toml", "parse"),
        ] {
            let error = refuse_influence(text).expect_err(text);
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn files_in_parents_are_named_and_ignored() {
        let root = tempfile::tempdir().unwrap();
        let (source, home) = (root.path().join("a/source"), root.path().join("home"));
        fs::create_dir_all(&source).unwrap();
        fs::create_dir_all(root.path().join("a/.cargo")).unwrap();
        fs::create_dir_all(&home).unwrap();
        fs::write(root.path().join("a/.cargo/config.toml"), "[profile.image]\nopt-level = 0").unwrap();
        let warnings = check(&source, &home).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("a/.cargo/config.toml"));
        fs::write(home.join("config"), "[env]\nA = 'b'").unwrap();
        assert!(matches!(check(&source, &home), Err(RecipeError::Config { .. })), "the old file name counts too");
    }
}
