//! The recipes: from a source directory and a contract to an image whose digest anyone can reproduce.
//!
//! What may differ between two builds is either removed (environment, configuration files, paths) or recorded
//! (toolchain, lock file). What cannot be removed is refused.

mod bazel;
mod config;
mod confinement;
mod elf;
mod environment;
mod error;
mod fetch;
mod program;
mod toolchain;
mod workspace;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use csign_contract::Recipe;
use csign_envelope::statement::Tool;
use csign_oci::{Digest, Layout};

pub use confinement::Confinement;
use environment::Host;
pub use error::RecipeError;
pub use fetch::{fetch, seed};
pub use program::{Program, ProgramRequest, program};
pub use toolchain::Toolchain;

/// What to build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The workspace's root: `Cargo.toml`, `Cargo.lock`, `rust-toolchain.toml`.
    pub source: PathBuf,
    /// The package whose one binary becomes `/workload`.
    pub package: String,
    /// The contract's recipe.
    pub recipe: Recipe,
    /// Canonical bytes of the contract.
    pub contract: Vec<u8>,
    /// Labels of the image: the launch policy.
    pub labels: BTreeMap<String, String>,
    /// TCP ports that the image exposes.
    pub ports: Vec<u16>,
    /// Where the layout goes; see [`Layout::create`].
    pub output: PathBuf,
    /// Where cargo builds; `<source>/target/image` if absent. A verifier's rebuild should name a fresh directory:
    /// cargo trusts what it finds in this one.
    pub target_dir: Option<PathBuf>,
    /// May cargo and rustup use the network?
    pub network: bool,
    /// Number of parallel jobs; cargo's choice if absent.
    pub jobs: Option<usize>,
    /// Does the compiler's progress go to standard error?
    pub progress: bool,
    /// The caller's environment, of which little is passed on.
    pub environment: BTreeMap<OsString, OsString>,
}

/// How a recipe's programs are run, where it is not the usual way.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// What the build can reach.
    pub confinement: Confinement,
    /// Bazel, if not the one in `PATH`.
    pub bazel: Option<PathBuf>,
    /// The contract's file in the workspace: the recipe `bazel` hands it to the workspace's rules.
    pub contract_file: Option<PathBuf>,
}

/// What came out, and everything that it depends on.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// Directory of the OCI layout.
    pub layout: PathBuf,
    /// The image's digest, which is its manifest's.
    pub image: Digest,
    /// sha256 of `/workload`.
    pub binary: Digest,
    /// Size of `/workload` in bytes.
    pub binary_size: u64,
    /// sha256 of `Cargo.lock`.
    pub lock_file: Digest,
    /// sha256 of the contract that the image holds.
    pub contract: Digest,
    /// The recipe that was run.
    pub recipe: Recipe,
    /// The compiler that was used, where the recipe runs it itself.
    pub toolchain: Option<Toolchain>,
    /// What linked the program, where the recipe chose it.
    pub linker: Option<Tool>,
    /// `bazel --version`, where it built.
    pub bazel: Option<String>,
    /// The variables that the build saw: with their value where it is the same for everyone, without where it is this
    /// machine's.
    pub environment: BTreeMap<String, Option<String>>,
    /// What a person should know; none of it stopped the build.
    pub warnings: Vec<String>,
}

/// What a recipe tells cargo.
struct Plan {
    target: &'static str,
    linker: &'static str,
    flags: &'static [&'static str],
}

const fn plan(recipe: Recipe) -> Plan {
    match recipe {
        // Bazel's target is the same; its rules repeat the rest.
        Recipe::CargoMusl | Recipe::Bazel => Plan {
            target: "x86_64-unknown-linux-musl",
            linker: "rust-lld",
            flags: &["-Clinker=rust-lld", "-Clink-self-contained=yes", "-Ctarget-feature=+crt-static"],
        },
        Recipe::CargoGnuStatic => Plan {
            target: "x86_64-unknown-linux-gnu",
            linker: "cc",
            flags: &["-Clinker=cc", "-Ctarget-feature=+crt-static"],
        },
    }
}

/// Builds the image. Nothing is written to standard output.
///
/// 1. The pinned toolchain is there and is the pinned one; its target is added if it is missing.
/// 2. Configuration files that could change the output are refused or kept out of cargo's sight.
/// 3. cargo builds with a scrubbed environment; every path of this machine is mapped to a fixed name.
/// 4. The binary is static and names no path of this machine; the lock file is as it was.
/// 5. The image is assembled and appears under its name complete.
///
/// # Errors
/// [`RecipeError`] says what was missing or refused and what to do. Nothing is left at `output` then.
pub fn build(request: &BuildRequest) -> Result<BuildOutcome, RecipeError> {
    build_by(request, &Means::default())
}

/// As [`build`], by other means.
///
/// # Errors
/// As [`build`].
pub fn build_by(request: &BuildRequest, means: &Means) -> Result<BuildOutcome, RecipeError> {
    if request.recipe == Recipe::Bazel {
        return bazel::build(request, means);
    }
    let plan = plan(request.recipe);
    let source =
        fs::canonicalize(&request.source).map_err(RecipeError::io("finding source directory", &request.source))?;
    let target_dir = request.target_dir.clone().unwrap_or_else(|| source.join("target/image"));
    fs::create_dir_all(&target_dir).map_err(RecipeError::io("creating directory", &target_dir))?;
    let target_dir = fs::canonicalize(&target_dir).map_err(RecipeError::io("finding directory", &target_dir))?;
    let lock_file = digest_of(&source.join("Cargo.lock"))?;

    // 1.
    let channel = toolchain::pinned_channel(&source)?;
    let host = Host::new(&request.environment, &channel)?.confined(means.confinement);
    let toolchain = Toolchain::find(&host, &channel)?;
    toolchain.provide_target(&host, plan.target, request.network)?;

    // 2.
    let mut warnings = config::check(&source, &host.cargo_home)?;
    if toolchain.host != "x86_64-unknown-linux-gnu" {
        warnings
            .push(format!("builds on {} were never compared with builds on x86_64-unknown-linux-gnu", toolchain.host));
    }
    if request.recipe == Recipe::CargoGnuStatic {
        warnings.push(format!(
            "recipe {} links the C library of this distribution: only the same distribution reproduces the digest",
            request.recipe.name()
        ));
    }

    // 3.
    let workspace = workspace::Workspace::load(&host, &source, &plan, request.network, request.progress)?;
    let paths = environment::Paths { source: &source, target_dir: &target_dir, toolchain: &toolchain, host: &host };
    let executable = workspace::compile(&paths, &workspace, &plan, request)?;

    // 4.
    let binary = fs::read(&executable).map_err(RecipeError::io("reading", &executable))?;
    elf::check_static(&binary).map_err(|why| RecipeError::NotStatic { path: executable.clone(), why })?;
    if let Some(path) = paths.leaked_by(&binary) {
        return Err(RecipeError::PathLeak { path });
    }
    if digest_of(&source.join("Cargo.lock"))? != lock_file {
        return Err(RecipeError::LockChanged);
    }

    // 5.
    let (binary_digest, binary_size) = (Digest::of(&binary), binary.len() as u64);
    let image = csign_image::image(binary, &request.contract, request.labels.clone(), &request.ports)?;
    let builder = Layout::create(&request.output)?;
    let descriptor = builder.add_image(&image)?;
    let image = descriptor.digest;
    builder.finish(vec![descriptor])?;
    Ok(BuildOutcome {
        layout: request.output.clone(),
        image,
        binary: binary_digest,
        binary_size,
        lock_file,
        contract: Digest::of(&request.contract),
        recipe: request.recipe,
        linker: Some(toolchain.linker(&host, &plan)?),
        toolchain: Some(toolchain),
        bazel: None,
        environment: host.described(),
        warnings,
    })
}

/// What a source directory pins: what a request names, so that others build with the same.
#[derive(Clone, Debug)]
pub struct SourceFacts {
    /// sha256 of `Cargo.lock`.
    pub lock_file: Digest,
    /// The channel in `rust-toolchain.toml`.
    pub channel: String,
}

/// Reads what `source` pins.
///
/// # Errors
/// No lock file, or no pinned toolchain.
pub fn source_facts(source: &Path) -> Result<SourceFacts, RecipeError> {
    Ok(SourceFacts { lock_file: digest_of(&source.join("Cargo.lock"))?, channel: toolchain::pinned_channel(source)? })
}

/// The toolchain that `source` pins, as it is installed here, and the target of `recipe`.
///
/// # Errors
/// No pinned toolchain, or another one installed.
pub fn installed_toolchain(
    source: &Path,
    recipe: Recipe,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<(Toolchain, &'static str), RecipeError> {
    let channel = toolchain::pinned_channel(source)?;
    let host = Host::new(environment, &channel)?;
    Ok((Toolchain::find(&host, &channel)?, plan(recipe).target))
}

fn digest_of(path: &Path) -> Result<Digest, RecipeError> {
    fs::read(path).map(Digest::of).map_err(RecipeError::io("reading", path))
}
