//! `csign triangulate`: the tag under which cosign keeps what is attached to an image.

use clap::ValueEnum;
use csign_oci::{Pinned, Reference, Tag};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::context::{CommandResult, Context};

/// Print the tag that holds an image's signatures, attestations or SBOM
///
/// Needs no network for an image with its digest; a tag is resolved first. Whether the printed tag exists is not checked,
/// and what is attached as a referrer has none: see csign tree.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign triangulate registry.example/team/app@sha256:…\n  csign triangulate --type attestation registry.example/team/app:v1"
)]
pub(crate) struct Args {
    /// Image with digest or tag
    #[arg(value_name = "IMAGE")]
    image: Reference,
    /// What to find
    #[arg(long = "type", value_enum, default_value_t = What::Signature, value_name = "TYPE")]
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Signature,
    Attestation,
    Sbom,
    /// The image itself, by its digest
    Digest,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = match &args.image {
        Reference::Pinned(pinned) => pinned.clone(),
        tagged @ Reference::Tagged(..) => context.resolve(&context.registry()?, tagged).await?,
    };
    let location = location(&image, &context.attachments_of(&image), args.what);
    context.print(&json!({"image": image, "location": location}), || location.clone())?;
    Ok(ExitStatus::Success)
}

fn location(image: &Pinned, attached: &Pinned, what: What) -> String {
    let suffix = match what {
        What::Signature => ".sig",
        What::Attestation => ".att",
        What::Sbom => ".sbom",
        What::Digest => return image.to_string(),
    };
    format!("{}:{}", attached.repository, Tag::for_digest(&image.digest, suffix))
}
