//! `csign sbom`: what is in an image, as a document that others read.

use std::path::{Path, PathBuf};

use csign_contract::Contract;
use csign_oci::Layout;
use csign_sbom::{Bill, Crates, ImageFacts, LockFile, Timestamp, cyclonedx, spdx};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    contents::ImageContents,
    context::{CommandResult, Context, read_up_to, write, write_stdout},
    failure::Failure,
    recipe::{self, ProgramRequest},
};

/// Write a bill of materials: the image's files and the crates of its program
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign sbom --layout image --source . --contract collaboration.toml --format spdx --out image.spdx.json\n  csign sbom --layout image --lock Cargo.lock --format cyclonedx --out image.cdx.json\n\nWith --source, the crates are those that the program is made of, with their licences. With --lock alone, they are all packages of the lock file. The document says which. Its time is SOURCE_DATE_EPOCH, else the image's own."
)]
pub(crate) struct Args {
    /// Layout that holds the image
    #[arg(long, value_name = "DIR")]
    layout: PathBuf,
    /// Workspace that the image was built from, with its Cargo.lock
    #[arg(long, value_name = "DIR", requires = "contract")]
    source: Option<PathBuf>,
    /// Package whose binary is the image's program
    #[arg(long, value_name = "NAME", default_value = "workload", requires = "source")]
    package: String,
    /// Lock file, where there is no source directory
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    lock: Option<PathBuf>,
    /// The contract that the image was built with: names its repository and recipe
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long, requires = "contract")]
    allow_simulated: bool,
    /// Which kind of document
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,
    /// Where to write it (default: stdout)
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Use no network: the crates must have been fetched
    #[arg(long)]
    offline: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// SPDX 2.3, JSON
    Spdx,
    /// CycloneDX 1.6, JSON
    #[value(name = "cyclonedx")]
    CycloneDx,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = args.contract.as_ref().map(|path| context.contract(path, args.allow_simulated)).transpose()?;
    let contents = ImageContents::read(&Layout::open(&args.layout)?)?;
    if let Some(contract) = &contract {
        contents.require_contract(contract)?;
    }
    let bill = Bill {
        crates: crates(args, contract.as_ref(), context)?,
        created: created(&contents, context)?,
        image: ImageFacts {
            digest: contents.digest,
            repository: contract.map(|contract| contract.image.repository),
            architecture: contents.config.architecture.clone(),
            program: contents.program(),
        },
        layers: contents.layers,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let document = match args.format {
        Format::Spdx => spdx::write(&bill)?,
        Format::CycloneDx => cyclonedx::write(&bill)?,
    };
    let Some(out) = &args.out else {
        write_stdout(&document)?;
        return Ok(ExitStatus::Success);
    };
    write(out, &document, true)?;
    let files: usize = bill.layers.iter().map(|layer| layer.files.len()).sum();
    let crates = bill.crates.as_ref().map(|crates| crates.list.len());
    context.print(&json!({"image": bill.image.digest, "files": files, "crates": crates, "sbom": out}), || {
        let crates = crates.map_or_else(|| "no crates, for want of a lock file".to_owned(), |n| format!("{n} crates"));
        format!("{} lists {files} files and {crates} of {}", out.display(), bill.image.digest)
    })?;
    Ok(ExitStatus::Success)
}

fn crates(args: &Args, contract: Option<&Contract>, context: &Context) -> Result<Option<Crates>, Failure> {
    match (&args.source, contract, &args.lock) {
        (Some(source), Some(contract), _) => {
            let lock = read_lock(&source.join("Cargo.lock"))?;
            let program = recipe::program(&ProgramRequest {
                source: source.clone(),
                package: args.package.clone(),
                recipe: contract.build.recipe,
                network: !args.offline,
                progress: !context.quiet,
                environment: std::env::vars_os().collect(),
            })
            .map_err(Failure::could_not_check)?;
            Ok(Some(Crates::linked(&lock, &program.crates, program.target, &program.toolchain)?))
        }
        (Some(_), None, _) => Err(Failure::usage("--source needs --contract, which names the recipe")),
        (None, _, Some(lock)) => Ok(Some(Crates::of_lock_file(read_lock(lock)?))),
        (None, _, None) => Ok(None),
    }
}

/// Reads a lock file, which may be larger than other files.
pub(crate) fn read_lock(path: &Path) -> Result<LockFile, Failure> {
    Ok(LockFile::parse(&read_up_to(path, csign_sbom::lock::MAX_BYTES as u64)?)?)
}

fn created(contents: &ImageContents, context: &Context) -> Result<Timestamp, Failure> {
    match (context.environment.source_date_epoch, &contents.config.created) {
        (Some(seconds), _) => Ok(Timestamp::from_epoch(seconds)?),
        (None, Some(text)) => Ok(Timestamp::parse(text)?),
        (None, None) => Err(Failure::usage("the image says not when it was made, and a document needs a time")
            .hint("set SOURCE_DATE_EPOCH, in seconds since 1970")),
    }
}
