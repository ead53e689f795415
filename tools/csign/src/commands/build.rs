//! `csign build`: the contract's recipe, to an OCI layout and its digest.

use std::{collections::BTreeMap, path::PathBuf};

use csign_trust::ExitStatus;
use serde_json::json;

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context},
    recipe::{self, BuildRequest, Means},
};

/// Build the workload's image: same sources, contract and toolchain, same digest, anywhere
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign build --source . --contract collaboration.toml --out image")]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// Workspace to build from
    #[arg(long, value_name = "DIR", default_value = ".")]
    source: PathBuf,
    /// Package whose binary becomes the image's program
    #[arg(long, value_name = "NAME", default_value = "workload")]
    package: String,
    /// Layout directory to write
    #[arg(long, short, value_name = "DIR", default_value = "image")]
    out: PathBuf,
    /// Where cargo or Bazel builds; a verifier names an empty directory (default: target/image in the workspace, or where
    /// Bazel always does)
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Use no network: everything must have been fetched
    #[arg(long)]
    offline: bool,
    /// Bazel to run, for contracts with the recipe bazel (default: the one in PATH); --contract is then a file of the
    /// workspace
    #[arg(long, value_name = "FILE")]
    bazel: Option<PathBuf>,
    /// Number of parallel jobs (default: what cargo or Bazel chooses)
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let means =
        Means { bazel: args.bazel.clone(), contract_file: Some(args.contract.contract.clone()), ..Means::default() };
    let request = BuildRequest {
        source: args.source.clone(),
        package: args.package.clone(),
        recipe: contract.build.recipe,
        contract: contract.canonical(),
        labels: contract.labels(),
        ports: contract.ports(),
        output: args.out.clone(),
        target_dir: args.target_dir.clone(),
        network: !args.offline,
        jobs: args.jobs,
        progress: !context.quiet,
        environment,
    };
    let outcome = recipe::build_by(&request, &means)?;
    for warning in &outcome.warnings {
        context.note(format_args!("warning: {warning}"));
    }
    let image = contract.image.repository.at(outcome.image);
    let data = json!({
        "layout": outcome.layout,
        "image": image,
        "digest": outcome.image,
        "contract": outcome.contract,
        "recipe": outcome.recipe.name(),
        "lockFile": outcome.lock_file,
        "binary": outcome.binary,
        "binarySize": outcome.binary_size,
    });
    context.print(&data, || image.to_string())?;
    Ok(ExitStatus::Success)
}
