//! Fetches what a build without network will need: the compiler's target, and the crates of the lock file.
//!
//! cargo trusts what its home directory already holds, so a verifier starts with an empty one. To spare the downloads,
//! archives that another cargo home has are taken over if their checksum is the lock file's; unpacked crates never are.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use csign_contract::Recipe;
use csign_oci::Digest;
use csign_sbom::LockFile;

use super::{BuildRequest, Means, bazel, environment::Host, error::RecipeError, plan, toolchain};

/// Fetches what [`super::build`] needs for `request`; without `request.network` it only looks whether all is there.
///
/// # Errors
/// No pinned toolchain or target, a lock file that is not up to date, crates that cannot be had.
pub fn fetch(request: &BuildRequest, means: &Means) -> Result<(), RecipeError> {
    if request.recipe == Recipe::Bazel {
        return bazel::fetch(request, means);
    }
    let plan = plan(request.recipe);
    let source =
        fs::canonicalize(&request.source).map_err(RecipeError::io("finding source directory", &request.source))?;
    let channel = toolchain::pinned_channel(&source)?;
    let host = Host::new(&request.environment, &channel)?;
    let toolchain = toolchain::Toolchain::find(&host, &channel)?;
    toolchain.provide_target(&host, plan.target, request.network)?;
    let mut cargo = host.command("cargo");
    cargo.args(["fetch", "--locked", "--target", plan.target, "--target", &toolchain.host]);
    cargo.arg("--manifest-path").arg(source.join("Cargo.toml"));
    if !request.network {
        cargo.arg("--offline");
    }
    let stderr = if request.progress { Stdio::inherit() } else { Stdio::piped() };
    let done = cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).output();
    let done = done.map_err(|source| RecipeError::Start { program: "cargo".to_owned(), source })?;
    if done.status.success() {
        return Ok(());
    }
    Err(RecipeError::Failed {
        command: "cargo fetch".to_owned(),
        status: done.status.to_string(),
        stderr: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
    })
}

/// Takes over from the cargo home `from` into the new one `to`: the archives whose checksums `Cargo.lock` in `source` names,
/// and what the index says of them, which cargo holds against the lock file. Returns the number of archives.
///
/// # Errors
/// The file system's; an archive that is missing or another one is no error.
pub fn seed(source: &Path, from: &Path, to: &Path) -> Result<usize, RecipeError> {
    let lock = source.join("Cargo.lock");
    let bytes = fs::read(&lock).map_err(RecipeError::io("reading", &lock))?;
    // A lock file that is none is cargo's to refuse.
    let Ok(lock) = LockFile::parse(&bytes) else { return Ok(0) };
    let mut count = 0;
    for registry in subdirectories(&from.join("registry/cache"))? {
        let (old, new) = (from.join("registry/cache").join(&registry), to.join("registry/cache").join(&registry));
        for package in &lock.packages {
            let Some(checksum) = package.checksum else { continue };
            let name = format!("{}-{}.crate", package.name, package.version);
            if let Some(archive) = existing(&old.join(&name))?.filter(|archive| Digest::of(archive) == checksum) {
                write(&new.join(&name), &archive)?;
                count += 1;
            }
        }
        let (old, new) = (from.join("registry/index").join(&registry), to.join("registry/index").join(&registry));
        let entries = lock.packages.iter().map(|package| Path::new(".cache").join(index_path(&package.name)));
        for file in entries.chain([PathBuf::from("config.json")]) {
            if let Some(content) = existing(&old.join(&file))? {
                write(&new.join(&file), &content)?;
            }
        }
    }
    Ok(count)
}

/// Where an index has a crate: <https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files>.
fn index_path(name: &str) -> PathBuf {
    let name = name.to_lowercase();
    match (name.get(..1), name.get(..2), name.get(2..4)) {
        (Some(_), None, _) => Path::new("1").join(name),
        (Some(_), Some(_), None) if name.len() == 2 => Path::new("2").join(name),
        (Some(first), Some(_), None) => Path::new("3").join(first).join(&name),
        (_, Some(first), Some(second)) => Path::new(first).join(second).join(&name),
        _ => PathBuf::from(name),
    }
}

fn subdirectories(path: &Path) -> Result<Vec<PathBuf>, RecipeError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RecipeError::io("listing", path)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())));
    let mut names = names.collect::<Result<Vec<_>, _>>().map_err(RecipeError::io("listing", path))?;
    names.sort();
    Ok(names)
}

fn existing(path: &Path) -> Result<Option<Vec<u8>>, RecipeError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecipeError::io("reading", path)(error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RecipeError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(RecipeError::io("creating directory", parent))?;
    }
    fs::write(path, bytes).map_err(RecipeError::io("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_not_the_lock_files_is_not_taken_over() {
        let scratch = tempfile::tempdir().unwrap();
        let (source, from, to) = (scratch.path().join("s"), scratch.path().join("from"), scratch.path().join("to"));
        let cache = from.join("registry/cache/index-1");
        let entry = |name: &str| {
            let digest = Digest::of(b"archive").hex();
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\nsource = \
                 \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{digest}\"\n"
            )
        };
        write(&source.join("Cargo.lock"), format!("version = 4\n{}{}", entry("evil"), entry("good")).as_bytes())
            .unwrap();
        write(&cache.join("good-1.0.0.crate"), b"archive").unwrap();
        write(&cache.join("evil-1.0.0.crate"), b"another").unwrap();
        write(&from.join("registry/src/index-1/good-1.0.0/src/lib.rs"), b"evil").unwrap();
        write(&from.join("registry/index/index-1/.cache/go/od/good"), b"entry").unwrap();
        assert_eq!(seed(&source, &from, &to).unwrap(), 1);
        assert!(to.join("registry/cache/index-1/good-1.0.0.crate").is_file());
        assert!(!to.join("registry/cache/index-1/evil-1.0.0.crate").exists());
        assert!(!to.join("registry/src").exists(), "unpacked crates claim their checksums only");
        assert!(to.join("registry/index/index-1/.cache/go/od/good").is_file());
    }

    #[test]
    fn an_index_has_its_crates_where_cargo_looks() {
        for (name, path) in [("a", "1/a"), ("ab", "2/ab"), ("abc", "3/a/abc"), ("Abcd", "ab/cd/abcd")] {
            assert_eq!(index_path(name), Path::new(path));
        }
    }
}
