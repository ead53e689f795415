//! `csign pull`: from a registry to a layout.

use std::path::PathBuf;

use csign_oci::{Layout, Pinned};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context},
    progress,
};

/// Pull an image into a layout directory, every byte checked against its digest
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign pull registry.example/team/app@sha256:… --out image")]
pub(crate) struct Args {
    /// Image with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// Layout directory to write
    #[arg(long, short, value_name = "DIR", default_value = "image")]
    out: PathBuf,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let builder = Layout::create(&args.out)?;
    let bar = progress::bar(context, "pulling", 0);
    let pulled = context.registry()?.pull_layout(&image, builder, &bar.listener()).await;
    bar.finish();
    pulled?;
    context.print(&json!({"layout": args.out, "image": image}), || args.out.display().to_string())?;
    Ok(ExitStatus::Success)
}
