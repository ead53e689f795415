//! `csign copy`: an image and everything attached to it, between registries and layouts.

use std::path::PathBuf;

use clap::ValueEnum;
use csign_oci::{Layout, Reference};
use csign_registry::{Client, CopyOptions, Destination, Kind, Source};
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context},
    failure::Failure,
    progress,
};

/// Copy an image with its signatures, attestations, SBOMs and referrers
///
/// Digests stay what they are, every byte is checked, and nothing that is attached at the destination is lost: signatures
/// are merged. What is there is not sent again, so an interrupted copy goes on when it is repeated. A layout directory is
/// written oci:DIR.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign copy registry.example/team/app@sha256:… mirror.example/team/app:v1\n  csign copy registry.example/team/app@sha256:… oci:saved\n  csign copy oci:saved mirror.example/team/app\n  csign copy --only signature,attestation registry.example/team/app@sha256:… mirror.example/team/app"
)]
pub(crate) struct Args {
    /// Image with digest or tag, or oci:DIR
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Repository, with a tag if the image shall have one, or oci:DIR
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Copy only what is attached, of these kinds, to an image that is at the destination already
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    only: Vec<KindArg>,
}

/// What an attachment is, as a person writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    #[value(alias = "sig")]
    Signature,
    #[value(alias = "att")]
    Attestation,
    Sbom,
    /// Referrers of any other type
    Referrer,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Signature => Self::Signature,
            KindArg::Attestation => Self::Attestation,
            KindArg::Sbom => Self::Sbom,
            KindArg::Referrer => Self::Referrer,
        }
    }
}

/// One side of a copy.
pub(crate) enum Place {
    Registry(Reference, bool),
    Layout(PathBuf),
}

impl Place {
    /// Parses an image reference or `oci:DIR`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(directory) = text.strip_prefix("oci:") {
            return Ok(Self::Layout(directory.into()));
        }
        let reference = Reference::parse(text)?;
        // A bare repository parses as its tag "latest", which nobody asked for.
        let tagged = matches!(&reference, Reference::Tagged(_, tag) if text.ends_with(&format!(":{}", tag.as_str())));
        Ok(Self::Registry(reference, tagged))
    }
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let mut options = CopyOptions::everything();
    if !args.only.is_empty() {
        options = CopyOptions { image: false, kinds: args.only.iter().map(|kind| Kind::from(*kind)).collect() };
    }
    transfer(&Place::parse(&args.source)?, &Place::parse(&args.destination)?, &options, context).await
}

/// Copies, prints what was copied, and says whether all of it was.
pub(crate) async fn transfer(from: &Place, to: &Place, options: &CopyOptions, context: &Context) -> CommandResult {
    let client = context.registry()?;
    let source = source(&client, from, context).await?;
    let digest = source.digest();
    let (destination, name) = match to {
        Place::Layout(path) => (Destination::Layout(path.clone()), path.display().to_string()),
        Place::Registry(Reference::Pinned(pinned), _) if pinned.digest != digest => {
            return Err(Failure::rejected(format_args!("the source is {digest}, not {}", pinned.digest))
                .hint("name the destination without a digest, or with the source's"));
        }
        Place::Registry(reference, tagged) => {
            let repository = reference.repository();
            let tag = match reference {
                Reference::Tagged(_, tag) if *tagged => Some(tag.clone()),
                _ => None,
            };
            if tag.is_some() && !options.image {
                return Err(Failure::usage("without the image there is nothing to tag")
                    .hint("name the destination's repository without a tag"));
            }
            (Destination::Registry(repository.clone(), tag), repository.at(digest).to_string())
        }
    };
    let bar = progress::bar(context, "copying", 0);
    let copied = client.copy(&source, &destination, options, &bar.listener()).await;
    bar.finish();
    let copied = copied?;
    context.print(&json!({"digest": digest, "destination": name, "copied": copied}), || name.clone())?;
    context.note(format_args!(
        "{} attached; wrote {} manifests, {} blobs ({} bytes), mounted {}; {} were there already",
        copied.attachments, copied.manifests, copied.blobs, copied.bytes, copied.mounted, copied.present
    ));
    copied.remarks.iter().for_each(|remark| context.note(format_args!("note: {remark}")));
    if copied.left.is_empty() {
        return Ok(ExitStatus::Success);
    }
    Err(Failure::could_not_check(format_args!("not everything was copied:\n  {}", copied.left.join("\n  ")))
        .hint("everything else was; repeat the command when the reason is gone"))
}

async fn source(client: &Client, from: &Place, context: &Context) -> Result<Source, Failure> {
    match from {
        Place::Layout(path) => Ok(Source::layout(Layout::open(path)?)?),
        Place::Registry(reference, _) => {
            let image = context.resolve(client, reference).await?;
            context.source(client, &image).await
        }
    }
}
