//! `csign request`: what the builder asks everyone to sign.

use std::path::PathBuf;

use csign_oci::{Digest, Layout};
use csign_trust::{
    ExitStatus,
    exchange::{Request, Source},
};

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, write},
    failure::Failure,
    recipe,
};

/// Write request.json: the image, and the exact payload that each party is asked to sign
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign request --layout image --source . --out request.json\n  csign request --digest sha256:… --out request.json"
)]
#[command(group = clap::ArgGroup::new("image").required(true))]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// Layout that csign build wrote
    #[arg(long, value_name = "DIR", group = "image")]
    layout: Option<PathBuf>,
    /// Digest of the image, where there is no layout
    #[arg(long, value_name = "DIGEST", group = "image")]
    digest: Option<Digest>,
    /// Source directory whose lock file and toolchain the request names
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Source revision, as version control names it
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Where to write the request
    #[arg(long, short, value_name = "FILE", default_value = "request.json")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let digest = match (&args.layout, args.digest) {
        (Some(layout), _) => Layout::open(layout)?.image()?.0.digest,
        (None, Some(digest)) => digest,
        (None, None) => return Err(Failure::usage("give --layout DIR or --digest DIGEST")),
    };
    let mut source = Source { revision: args.revision.clone(), ..Source::default() };
    if let Some(directory) = &args.source {
        let facts = recipe::source_facts(directory).map_err(Failure::usage)?;
        source.lock_file = Some(facts.lock_file);
        source.toolchain = Some(facts.channel);
    }
    let request = Request::new(&contract, digest, source);
    write(&args.out, request.to_text()?.as_bytes(), true)?;
    context.print(&request, || {
        format!("{} asks {} parties to sign {}", args.out.display(), request.signatures.len(), request.image())
    })?;
    Ok(ExitStatus::Success)
}
