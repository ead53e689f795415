//! `csign load`: from a layout, as `cosign save` or `csign save` wrote it, to a registry.

use std::path::PathBuf;

use csign_registry::CopyOptions;

use super::copy::{Place, transfer};
use crate::context::{CommandResult, Context};

/// Load an image and everything attached to it from a layout directory into a registry
///
/// Reads what cosign save and csign save wrote. What is attached in the registry stays; signatures are merged.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign load --dir saved mirror.example/team/app:v1")]
pub(crate) struct Args {
    /// Layout directory to read
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Repository, with a tag if the image shall have one
    #[arg(value_name = "IMAGE")]
    image: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let to = Place::parse(&args.image)?;
    transfer(&Place::Layout(args.dir.clone()), &to, &CopyOptions::everything(), context).await
}
