//! Runs cargo: what the workspace is made of, then the build.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{
    BuildRequest, Plan,
    environment::{Host, Paths},
    error::RecipeError,
};

/// The part of `cargo metadata` that matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Workspace {
    workspace_root: PathBuf,
    pub(super) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    id: String,
    pub(super) source: Option<String>,
    pub(super) license: Option<String>,
    manifest_path: PathBuf,
}

/// The part of cargo's messages that matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    executable: Option<PathBuf>,
}

impl Workspace {
    /// Reads the locked dependency graph, downloading what is missing.
    pub(super) fn load(
        host: &Host,
        source: &Path,
        plan: &Plan,
        network: bool,
        progress: bool,
    ) -> Result<Self, RecipeError> {
        let mut cargo = host.command("cargo");
        cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", plan.target]);
        cargo.arg("--manifest-path").arg(source.join("Cargo.toml"));
        if !network {
            cargo.arg("--offline");
        }
        let printed = answer(&mut cargo, "cargo metadata", progress)?;
        let workspace: Self =
            serde_json::from_slice(&printed).map_err(|error| RecipeError::Output(error.to_string()))?;
        let root = fs::canonicalize(&workspace.workspace_root)
            .map_err(RecipeError::io("finding directory", &workspace.workspace_root))?;
        if root != source {
            return Err(RecipeError::NotTheRoot { source_dir: source.to_owned(), root });
        }
        Ok(workspace)
    }

    /// Directories of downloaded crates, each with a name that does not depend on where it came from.
    fn directories(&self) -> Vec<(PathBuf, String)> {
        let mut out: Vec<(PathBuf, String)> = Vec::new();
        for package in self.packages.iter().filter(|package| package.source.is_some()) {
            let Some(directory) = package.manifest_path.parent() else { continue };
            let name = format!("{}-{}", package.name, package.version);
            // One entry for all crates that lie side by side under their usual names keeps the command line short.
            let entry = match directory.parent() {
                Some(parent) if directory.ends_with(&name) => (parent.to_path_buf(), "/cargo".to_owned()),
                _ => (directory.to_path_buf(), format!("/cargo/{name}")),
            };
            if !out.contains(&entry) {
                out.push(entry);
            }
        }
        out
    }
}

/// What cargo prints; its progress goes to our standard error, or into the error.
pub(super) fn answer(cargo: &mut Command, name: &str, progress: bool) -> Result<Vec<u8>, RecipeError> {
    let stderr = if progress { Stdio::inherit() } else { Stdio::piped() };
    let output = cargo.stdin(Stdio::null()).stderr(stderr).output().map_err(cargo_missing)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RecipeError::Failed { command: name.to_owned(), status: output.status.to_string(), stderr })
}

/// Builds the package and returns its one program.
pub(super) fn compile(
    paths: &Paths<'_>,
    workspace: &Workspace,
    plan: &Plan,
    request: &BuildRequest,
) -> Result<PathBuf, RecipeError> {
    let mut flags: Vec<String> = plan.flags.iter().map(|&flag| flag.to_owned()).collect();
    flags.extend(paths.remap_flags(&workspace.directories())?);
    let mut cargo = paths.host.command("cargo");
    cargo
        .args(["build", "--locked", "--profile", "image", "--message-format=json-render-diagnostics"])
        .args(["--package", &request.package, "--target", plan.target])
        .arg("--manifest-path")
        .arg(paths.source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(paths.target_dir)
        // Variables win over configuration files; these flags win over every other source of flags.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_BUILD_BUILD_DIR", paths.target_dir)
        .env("RUSTC", paths.toolchain.rustc_path())
        .env(linker_variable(plan.target), plan.linker);
    if !request.network {
        cargo.arg("--offline");
    }
    if let Some(jobs) = request.jobs {
        cargo.arg("--jobs").arg(jobs.to_string());
    }
    if !request.progress {
        cargo.arg("--quiet");
    }
    let programs = run(&mut cargo)?;
    let ids: Vec<&str> =
        workspace.packages.iter().filter(|p| p.name == request.package).map(|p| p.id.as_str()).collect();
    let mut ours = programs.into_iter().filter(|(id, _)| ids.contains(&id.as_str())).map(|(_, path)| path);
    match (ours.next(), ours.count()) {
        (Some(program), 0) => Ok(program),
        (first, others) => {
            let count = others + usize::from(first.is_some());
            Err(RecipeError::NotOneBinary { package: request.package.clone(), count })
        }
    }
}

/// Runs cargo with its errors and progress on our standard error; returns programs with the package that made them.
fn run(cargo: &mut Command) -> Result<Vec<(String, PathBuf)>, RecipeError> {
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cargo_missing)?;
    let mut programs = Vec::new();
    let mut failure = None;
    if let Some(stdout) = child.stdout.take() {
        // Read to the end in any case: cargo blocks when nobody reads.
        for line in BufReader::new(stdout).lines() {
            match line.map_err(|e| e.to_string()).and_then(|l| serde_json::from_str(&l).map_err(|e| e.to_string())) {
                Ok(Message { reason, package_id: Some(id), executable: Some(path) })
                    if reason == "compiler-artifact" =>
                {
                    programs.push((id, path));
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
    let status = child.wait().map_err(cargo_missing)?;
    if !status.success() {
        let (command, status) = ("cargo build".to_owned(), status.to_string());
        return Err(RecipeError::Failed { command, status, stderr: String::new() });
    }
    match failure {
        Some(error) => Err(RecipeError::Output(error)),
        None => Ok(programs),
    }
}

fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}

fn cargo_missing(source: std::io::Error) -> RecipeError {
    RecipeError::Start { program: "cargo".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_have_the_same_name_wherever_they_came_from() {
        let package = |path: &str, source: Option<&str>| Package {
            name: "serde".into(),
            version: "1.0.0".into(),
            id: String::new(),
            source: source.map(str::to_owned),
            license: None,
            manifest_path: path.into(),
        };
        let names = |path: &str, source| {
            Workspace { workspace_root: "/w".into(), packages: vec![package(path, source)] }.directories()
        };
        let registry = Some("registry+https://example/");
        let seen_as = |path: &str| {
            let (from, to) = names(path, registry).remove(0);
            let below = Path::new(path).strip_prefix(from).unwrap().to_path_buf();
            Path::new(&to).join(below)
        };
        for path in ["/h/registry/src/index-1/serde-1.0.0/Cargo.toml", "/v/serde/Cargo.toml", "/v/x/Cargo.toml"] {
            assert_eq!(seen_as(path), Path::new("/cargo/serde-1.0.0/Cargo.toml"), "{path}");
        }
        assert!(names("/w/serde/Cargo.toml", None).is_empty(), "path dependencies are part of the source");
    }

    #[test]
    fn linker_variable_is_named_after_the_target() {
        assert_eq!(linker_variable("x86_64-unknown-linux-musl"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER");
    }
}
