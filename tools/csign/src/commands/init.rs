//! `csign init`: a commented contract to fill in.

use std::path::PathBuf;

use csign_contract::template;
use csign_oci::Repository;
use csign_trust::ExitStatus;
use serde_json::json;

use crate::context::{CommandResult, Context, read_public_key, write};

/// Write a commented collaboration.toml to fill in
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  csign init --repository us-central1-docker.pkg.dev/builder/repo1/word-count --builder-key builder.pub"
)]
pub(crate) struct Args {
    /// Repository that the image is pushed to, without tag
    #[arg(long, value_name = "REPOSITORY")]
    repository: Repository,
    /// Name of the collaboration
    #[arg(long, default_value = "word-count")]
    name: String,
    /// File with the builder's public key (default: a place to fill in)
    #[arg(long, value_name = "FILE")]
    builder_key: Option<PathBuf>,
    /// Where to write the contract
    #[arg(value_name = "FILE", default_value = "collaboration.toml")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let key = args.builder_key.as_deref().map(read_public_key).transpose()?.map(|key| key.pem());
    write(&args.file, template(&args.name, &args.repository.to_string(), key.as_deref()).as_bytes(), false)?;
    context.note("fill in everything in angle brackets, then: csign contract check");
    context.print(&json!({"contract": args.file}), || format!("{}", args.file.display()))?;
    Ok(ExitStatus::Success)
}
