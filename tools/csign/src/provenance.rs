//! Collects what SLSA provenance says of a build by `csign build`, on this machine or as a step of Cloud Build. Nothing
//! here is taken on trust that can be looked up: the image is the layout's, holds the contract, and git knows the sources.

use std::path::PathBuf;

use csign_contract::Contract;
use csign_oci::{Layout, Pinned};
use csign_sbom::{
    Timestamp,
    lock::is_revision,
    provenance::{Build, CLOUD_BUILDER, CloudBuild, LOCAL_BUILDER, Source, SourceState, Toolchain, slsa1},
    purl::without_credentials,
};
use serde_json::Value;

use crate::{
    commands::{ContractArgs, sbom::read_lock},
    contents::ImageContents,
    context::Context,
    failure::Failure,
    git::Git,
    recipe,
};

/// What provenance is made from. Variables are read for `--builder cloud-build` only, where they are the substitutions of
/// the same names.
#[derive(clap::Args)]
#[command(next_help_heading = "Provenance")]
pub(crate) struct AutoArgs {
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
    /// Layout that csign build wrote
    #[arg(long, value_name = "DIR")]
    pub(crate) layout: Option<PathBuf>,
    /// Workspace that it was built from
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) source: PathBuf,
    /// Package whose binary is the image's program
    #[arg(long, value_name = "NAME", default_value = "workload")]
    pub(crate) package: String,
    /// Where others find the sources, as git+https://… (default: git's origin)
    #[arg(long, value_name = "URI")]
    pub(crate) source_uri: Option<String>,
    /// Commit, where the sources are no git repository (Cloud Build: COMMIT_SHA)
    #[arg(long, value_name = "COMMIT")]
    pub(crate) revision: Option<String>,
    /// Accept sources that differ from the commit; the provenance says so
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Where the build ran
    #[arg(long, value_enum, value_name = "BUILDER", default_value_t = Builder::Local)]
    pub(crate) builder: Builder,
    /// URI of the builder, instead of csign's own
    #[arg(long, value_name = "URI")]
    pub(crate) builder_id: Option<String>,
    /// Cloud Build's id of the build
    #[arg(long, value_name = "ID", env = "BUILD_ID", hide_env_values = true)]
    pub(crate) build_id: Option<String>,
    /// Cloud Build's project
    #[arg(long, value_name = "PROJECT", env = "PROJECT_ID", hide_env_values = true)]
    pub(crate) build_project: Option<String>,
    /// Cloud Build's location
    #[arg(long, value_name = "LOCATION", env = "LOCATION", hide_env_values = true)]
    pub(crate) build_location: Option<String>,
    /// Cloud Build's trigger
    #[arg(long, value_name = "NAME", env = "TRIGGER_NAME", hide_env_values = true)]
    pub(crate) build_trigger: Option<String>,
    /// When the build began (RFC 3339; default: not stated)
    #[arg(long, value_name = "TIME")]
    pub(crate) started_on: Option<String>,
    /// When the build ended (RFC 3339; default: not stated)
    #[arg(long, value_name = "TIME")]
    pub(crate) finished_on: Option<String>,
}

/// Where a build ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Builder {
    /// Somebody's own machine
    Local,
    /// A step of Google Cloud Build
    CloudBuild,
}

/// The SLSA v1 predicate of how `image` was built.
///
/// 1. The layout's image is `image`, the contract names its repository, and the image holds the contract.
/// 2. git names the commit; a tree that differs from it is refused, or said to.
/// 3. The pinned toolchain and the lock file are read.
pub(crate) fn auto(args: &AutoArgs, image: &Pinned, context: &Context) -> Result<Value, Failure> {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let layout = args.layout.as_ref().ok_or_else(|| {
        Failure::usage("provenance needs --layout DIR: the image that it is about, as csign build wrote it")
    })?;
    // 1.
    check_image(&ImageContents::read(&Layout::open(layout)?)?, &contract, image)?;
    // 2.
    let source = source(args, context)?;
    // 3.
    let environment = std::env::vars_os().collect();
    let (toolchain, target) = recipe::installed_toolchain(&args.source, contract.build.recipe, &environment)
        .map_err(Failure::could_not_check)?;
    let lock = read_lock(&args.source.join("Cargo.lock"))?;
    let time = |text: &Option<String>| text.as_deref().map(Timestamp::parse).transpose();
    Ok(slsa1(&Build {
        source,
        recipe: contract.build.recipe.name(),
        package: &args.package,
        repository: &contract.image.repository,
        contract: contract.digest(),
        toolchain: Toolchain {
            release: &toolchain.release,
            commit: &toolchain.commit_hash,
            host: &toolchain.host,
            cargo: &toolchain.cargo,
            target,
        },
        lock: &lock,
        builder_id: builder_id(args)?,
        tool_version: env!("CARGO_PKG_VERSION"),
        cloud_build: cloud_build(args)?,
        started_on: time(&args.started_on)?,
        finished_on: time(&args.finished_on)?,
    }))
}

fn check_image(contents: &ImageContents, contract: &Contract, image: &Pinned) -> Result<(), Failure> {
    if contents.digest != image.digest {
        return Err(Failure::rejected(format_args!(
            "the layout holds {}, the provenance is to be about {}",
            contents.digest, image.digest
        )));
    }
    if contract.image.repository != image.repository {
        return Err(Failure::rejected(format_args!(
            "the contract is about {}, the provenance is to be about {}",
            contract.image.repository, image.repository
        )));
    }
    contents.require_contract(contract)
}

fn source(args: &AutoArgs, context: &Context) -> Result<Source, Failure> {
    if let Some(revision) = args.revision.as_ref().filter(|revision| !is_revision(revision)) {
        return Err(Failure::usage(format_args!("{revision:?} is no whole commit id")));
    }
    let except = [Some(args.contract.contract.as_path()), args.layout.as_deref()];
    let except: Vec<_> = except.into_iter().flatten().collect();
    let git = Git::of(&args.source, &except)?;
    let origin = git.as_ref().and_then(|git| git.origin.clone());
    let stated = args.source_uri.as_deref().map(without_credentials);
    let uri = stated.or(origin).ok_or_else(|| {
        Failure::usage("nothing says where others find the sources: git has no origin, or one on this machine")
            .hint("--source-uri git+https://… names the place")
    })?;
    require_uri(&uri)?;
    match (git, &args.revision) {
        (Some(git), Some(stated)) if git.revision != *stated => {
            Err(Failure::rejected(format_args!("--revision is {stated}, but {} is checked out", git.revision)))
        }
        (Some(git), _) => {
            let state = state(&git, args.allow_dirty, context)?;
            Ok(Source { uri, revision: git.revision, directory: git.directory, state })
        }
        (None, Some(revision)) => {
            context.note("warning: no git repository; the provenance says that the revision is only stated");
            Ok(Source { uri, revision: revision.clone(), directory: String::new(), state: SourceState::Stated })
        }
        (None, None) => Err(Failure::usage(format_args!("{} is no git repository", args.source.display()))
            .hint("--revision COMMIT states the commit that was exported")),
    }
}

fn state(git: &Git, allow_dirty: bool, context: &Context) -> Result<SourceState, Failure> {
    let Some(what) = git.difference() else { return Ok(SourceState::Clean) };
    if !allow_dirty {
        return Err(Failure::rejected(format_args!("the sources are not what the commit holds: {what}"))
            .hint("commit them, or list files that do not matter in .gitignore; --allow-dirty goes on and says so"));
    }
    context.note(format_args!("warning: {what}; the provenance says so"));
    Ok(SourceState::Modified)
}

fn require_uri(uri: &str) -> Result<(), Failure> {
    let plain = uri.bytes().all(|byte| byte.is_ascii_graphic());
    match uri.split_once(':') {
        Some((scheme, rest)) if plain && !scheme.is_empty() && !rest.is_empty() => Ok(()),
        _ => Err(Failure::usage(format_args!("{uri:?} is no URI"))),
    }
}

fn builder_id(args: &AutoArgs) -> Result<&str, Failure> {
    match (&args.builder_id, args.builder) {
        (Some(id), _) => require_uri(id).map(|()| id.as_str()),
        (None, Builder::Local) => Ok(LOCAL_BUILDER),
        (None, Builder::CloudBuild) => Ok(CLOUD_BUILDER),
    }
}

fn cloud_build(args: &AutoArgs) -> Result<Option<CloudBuild<'_>>, Failure> {
    if args.builder == Builder::Local {
        return Ok(None);
    }
    Ok(Some(CloudBuild {
        build: known(&args.build_id, "--build-id", "BUILD_ID")?,
        project: known(&args.build_project, "--build-project", "PROJECT_ID")?,
        location: known(&args.build_location, "--build-location", "LOCATION")?,
        trigger: args.build_trigger.as_deref().filter(|name| !name.is_empty()),
    }))
}

/// A part of the build's resource name, which Cloud Build always knows.
fn known<'a>(value: &'a Option<String>, flag: &str, variable: &str) -> Result<&'a str, Failure> {
    let plain = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    value.as_deref().filter(plain).ok_or_else(|| {
        Failure::usage(format_args!("--builder cloud-build needs {flag} or {variable}, of letters, digits and marks"))
            .hint(format_args!("in cloudbuild.yaml: env: [\"{variable}=${variable}\"]"))
    })
}
