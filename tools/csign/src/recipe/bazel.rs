//! The recipe `bazel`: the workspace's own rules build the image; csign runs them, holds what came out against the contract
//! and copies it.
//!
//! The project's `.bazelrc` counts, since it is part of the sources; the machine's and the user's do not. Bazel runs without
//! a server (`--batch`): nothing stays behind, and it needs no connection to itself where there is no network.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

use csign_oci::{Digest, Layout};

use super::{BuildOutcome, BuildRequest, Means, digest_of, elf, environment::Host, error::RecipeError};

/// The target that is the image.
const TARGET: &str = "//workload:image";

/// A workspace, and how Bazel is called in it.
struct Bazel<'a> {
    host: Host,
    program: PathBuf,
    source: PathBuf,
    label: String,
    /// Where everything goes that it makes, if not where it always does.
    directory: Option<PathBuf>,
    request: &'a BuildRequest,
}

/// Builds the image.
///
/// 1. The contract is a file of the workspace.
/// 2. Bazel builds the target.
/// 3. What it made is one image: the static program, and beside it exactly what the cargo recipe would put there.
/// 4. It is copied, digest unchanged.
pub(super) fn build(request: &BuildRequest, means: &Means) -> Result<BuildOutcome, RecipeError> {
    let lock_file = digest_of(&request.source.join("Cargo.lock"))?;
    // 1.
    let bazel = Bazel::new(request, means)?;
    let version = bazel.version()?;
    // 2.
    bazel.run("build", &[])?;
    let layout = Layout::open(bazel.output()?)?;
    // 3.
    let (binary, binary_size) = check(&layout, request)?;
    if digest_of(&request.source.join("Cargo.lock"))? != lock_file {
        return Err(RecipeError::LockChanged);
    }
    // 4.
    let (descriptor, manifest) = layout.image()?;
    let copy = Layout::create(&request.output)?;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        copy.add_blob(&blob.media_type, &layout.blob(blob)?)?;
    }
    let copied = copy.add_blob(&descriptor.media_type, &layout.blob(&descriptor)?)?;
    let image = copied.digest;
    copy.finish(vec![copied])?;
    Ok(BuildOutcome {
        layout: request.output.clone(),
        image,
        binary,
        binary_size,
        lock_file,
        contract: Digest::of(&request.contract),
        recipe: request.recipe,
        toolchain: None,
        linker: None,
        bazel: Some(version),
        environment: bazel.host.described(),
        warnings: Vec::new(),
    })
}

/// Fetches what the build will need: an analysis loads every repository, and runs no action.
pub(super) fn fetch(request: &BuildRequest, means: &Means) -> Result<(), RecipeError> {
    Bazel::new(request, means)?.run("build", &["--nobuild"])
}

impl<'a> Bazel<'a> {
    fn new(request: &'a BuildRequest, means: &Means) -> Result<Self, RecipeError> {
        let source =
            fs::canonicalize(&request.source).map_err(RecipeError::io("finding source directory", &request.source))?;
        let absolute = |path: &PathBuf| std::path::absolute(path).map_err(RecipeError::io("finding", path));
        let file = means.contract_file.as_ref().ok_or(RecipeError::NoContractFile)?;
        Ok(Self {
            host: Host::of_bazel(&request.environment).confined(means.confinement),
            program: program(means.bazel.as_deref())?,
            label: label(&source, file)?,
            directory: request.target_dir.as_ref().map(absolute).transpose()?,
            source,
            request,
        })
    }

    /// Runs a Bazel command about the target, with its progress on standard error.
    fn run(&self, command: &str, options: &[&str]) -> Result<(), RecipeError> {
        let mut bazel = self.command();
        bazel.arg(command).args(options).args([TARGET, &self.contract()]);
        if let Some(jobs) = self.request.jobs {
            bazel.arg(format!("--jobs={jobs}"));
        }
        let stderr = if self.request.progress { Stdio::inherit() } else { Stdio::piped() };
        self.output_of(bazel.stderr(stderr)).map(|_| ())
    }

    /// Where the image's layout is.
    fn output(&self) -> Result<PathBuf, RecipeError> {
        let printed = self.answer(&["cquery", "--output=files", TARGET, &self.contract()])?;
        let mut lines = printed.lines().filter(|line| !line.is_empty());
        let path = match (lines.next(), lines.next()) {
            (Some(path), None) => Path::new(path),
            _ => return Err(RecipeError::Output(format!("bazel cquery names not one file but {printed:?}"))),
        };
        // The workspace has a link to Bazel's output tree, unless the project turned it off.
        let linked = self.source.join(path);
        if linked.is_dir() {
            return Ok(linked);
        }
        Ok(Path::new(&self.answer(&["info", "execution_root"])?).join(path))
    }

    /// `bazel 8.4.2`. It takes this option only if it is alone.
    fn version(&self) -> Result<String, RecipeError> {
        let mut bazel = self.host.command(&self.program);
        self.text_of(bazel.current_dir(&self.source).arg("--version"))
    }

    fn answer(&self, args: &[&str]) -> Result<String, RecipeError> {
        self.text_of(self.command().args(args))
    }

    fn text_of(&self, bazel: &mut Command) -> Result<String, RecipeError> {
        let printed = String::from_utf8(self.output_of(bazel.stderr(Stdio::piped()))?);
        printed
            .map(|printed| printed.trim_end().to_owned())
            .map_err(|_| RecipeError::Output("bazel printed no UTF-8".to_owned()))
    }

    fn output_of(&self, bazel: &mut Command) -> Result<Vec<u8>, RecipeError> {
        let program = || self.program.display().to_string();
        let done = bazel.stdin(Stdio::null()).stdout(Stdio::piped()).output();
        let done = done.map_err(|source| RecipeError::Start { program: program(), source })?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        let stderr = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(RecipeError::Failed { command: program(), status: done.status.to_string(), stderr })
    }

    fn command(&self) -> Command {
        let mut bazel = self.host.command(&self.program);
        bazel.current_dir(&self.source).args(["--batch", "--nosystem_rc", "--nohome_rc"]);
        if let Some(directory) = &self.directory {
            let mut option = std::ffi::OsString::from("--output_user_root=");
            option.push(directory);
            bazel.arg(option);
        }
        bazel
    }

    fn contract(&self) -> String {
        format!("--//workload:contract={}", self.label)
    }
}

/// Bazel as it can be started from any directory: a name for `PATH`, or an absolute path.
fn program(given: Option<&Path>) -> Result<PathBuf, RecipeError> {
    match given {
        None => Ok("bazel".into()),
        Some(path) if path.components().count() == 1 && !path.has_root() => Ok(path.into()),
        Some(path) => std::path::absolute(path).map_err(RecipeError::io("finding", path)),
    }
}

/// The label of a file of the workspace: `//package:file`, where the package is the nearest directory with a BUILD file.
fn label(source: &Path, file: &Path) -> Result<String, RecipeError> {
    let refused = |why| RecipeError::NoLabel { path: file.to_owned(), why };
    let path = fs::canonicalize(file).map_err(RecipeError::io("finding", file))?;
    let relative = path.strip_prefix(source).map_err(|_| refused("it is no file of the workspace"))?;
    let names: Option<Vec<&str>> = relative
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str().filter(|name| is_plain(name)),
            _ => None,
        })
        .collect();
    let names = names.ok_or_else(|| refused("its name must be of letters, digits, '-', '_' and '.'"))?;
    let is_package = |count: &usize| {
        let directory = source.join(names[..*count].join("/"));
        ["BUILD.bazel", "BUILD"].iter().any(|name| directory.join(name).is_file())
    };
    let package = (0..names.len()).rev().find(is_package).ok_or_else(|| refused("no BUILD file is at or above it"))?;
    Ok(format!("//{}:{}", names[..package].join("/"), names[package..].join("/")))
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Is it the image that the cargo recipe would make of the same program? Returns the program's digest and size.
fn check(layout: &Layout, request: &BuildRequest) -> Result<(Digest, u64), RecipeError> {
    let program = csign_image::compare(layout, &request.contract, request.labels.clone(), &request.ports)?;
    elf::check_static(&program).map_err(|why| RecipeError::NotStatic { path: "/workload".into(), why })?;
    Ok((Digest::of(&program), program.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_has_a_label_only_inside_the_workspace() {
        let scratch = tempfile::tempdir().unwrap();
        let source = fs::canonicalize(scratch.path()).unwrap().join("s");
        fs::create_dir_all(source.join("a/b")).unwrap();
        for file in ["a/BUILD", "a/b/c.toml", "top.toml", "../outside.toml", "a/od d.toml"] {
            fs::write(source.join(file), "").unwrap();
        }
        let of = |file: &str| label(&source, &source.join(file));
        assert_eq!(of("a/b/c.toml").unwrap(), "//a:b/c.toml");
        assert!(matches!(of("top.toml"), Err(RecipeError::NoLabel { .. })), "no BUILD file");
        fs::write(source.join("BUILD.bazel"), "").unwrap();
        assert_eq!(of("top.toml").unwrap(), "//:top.toml");
        assert!(matches!(of("../outside.toml"), Err(RecipeError::NoLabel { .. })));
        assert!(matches!(of("a/od d.toml"), Err(RecipeError::NoLabel { .. })));
    }
}
