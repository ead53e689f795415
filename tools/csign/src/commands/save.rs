//! `csign save`: from a registry to a layout that `cosign load` and `csign load` read.

use std::path::PathBuf;

use csign_registry::CopyOptions;

use super::copy::{Place, transfer};
use crate::context::{CommandResult, Context};

/// Save an image and everything attached to it in a layout directory
///
/// cosign load reads it. If the directory holds the same image already, what is new is added.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign save registry.example/team/app@sha256:… --dir saved")]
pub(crate) struct Args {
    /// Image with digest or tag
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Layout directory to write
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let from = Place::parse(&args.image)?;
    transfer(&from, &Place::Layout(args.dir.clone()), &CopyOptions::everything(), context).await
}
