//! `csign push`: from a layout to a registry. The digest stays what it is; what the registry has is not sent again.

use std::path::PathBuf;

use csign_oci::{Layout, Reference};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context},
    failure::Failure,
    progress,
};

/// Push a layout to a registry, digest preserved
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign push image us-central1-docker.pkg.dev/builder/repo1/word-count:v1")]
pub(crate) struct Args {
    /// OCI layout directory
    #[arg(value_name = "LAYOUT")]
    layout: PathBuf,
    /// Repository, with a tag if the image shall have one, or with the digest that the layout must have
    #[arg(value_name = "IMAGE")]
    image: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let layout = Layout::open(&args.layout)?;
    let (descriptor, manifest) = layout.image()?;
    let reference = Reference::parse(&args.image)?;
    let tag = match &reference {
        // A bare repository parses as its tag "latest", which nobody asked for.
        Reference::Tagged(_, tag) if args.image.ends_with(&format!(":{}", tag.as_str())) => Some(tag.clone()),
        Reference::Tagged(..) => None,
        Reference::Pinned(pinned) if pinned.digest == descriptor.digest => None,
        Reference::Pinned(pinned) => {
            return Err(Failure::rejected(format_args!(
                "the layout holds {}, not {}",
                descriptor.digest, pinned.digest
            ))
            .hint("build again, or push the layout that has this digest"));
        }
    };
    let total = manifest.layers.iter().map(|layer| layer.size).sum::<u64>() + manifest.config.size;
    let bar = progress::bar(context, "pushing", total);
    let pinned = context.registry()?.push_layout(&layout, reference.repository(), tag.as_ref(), &bar.listener()).await;
    bar.finish();
    let pinned = pinned?;
    context.print(&json!({"image": pinned, "digest": pinned.digest}), || pinned.to_string())?;
    Ok(ExitStatus::Success)
}
