//! `csign digest`: from a tag or a layout to a digest, a visible step of its own.

use std::path::PathBuf;

use csign_oci::{Layout, Reference};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Print the digest that a tag names now, or the digest of a layout
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  csign digest registry.example/team/app:v1\n  csign digest --layout image")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Args {
    /// Image with a tag
    #[arg(value_name = "IMAGE", group = "what")]
    image: Option<Reference>,
    /// OCI layout directory
    #[arg(long, value_name = "DIR", group = "what")]
    layout: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    match (&args.image, &args.layout) {
        (_, Some(layout)) => {
            let digest = Layout::open(layout)?.image()?.0.digest;
            context.print(&json!({"digest": digest}), || digest.to_string())?;
        }
        (Some(reference), None) => {
            let pinned = match reference {
                Reference::Pinned(pinned) => pinned.clone(),
                Reference::Tagged(repository, tag) => {
                    repository.at(context.registry()?.resolve(repository, tag).await?)
                }
            };
            context.print(&json!({"image": pinned, "digest": pinned.digest}), || pinned.to_string())?;
        }
        (None, None) => return Err(Failure::usage("give an image or --layout DIR")),
    }
    Ok(ExitStatus::Success)
}
