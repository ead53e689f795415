//! `csign attach sbom`: attach a bill of materials, unsigned.

use std::{collections::BTreeMap, path::PathBuf};

use csign_oci::Pinned;
use csign_registry::Referrer;
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context, read_up_to},
    failure::Failure,
};

/// Largest bill of materials that is read, in bytes.
const MAX_SBOM: u64 = 32 << 20;

/// The formats, each a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// SPDX, JSON
    Spdxjson,
    /// SPDX, tag-value
    Spdx,
    /// CycloneDX, JSON
    Cyclonedx,
    /// Syft's own format
    Syft,
}

impl Kind {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Spdxjson => "application/spdx+json",
            Self::Spdx => "text/spdx",
            Self::Cyclonedx => "application/vnd.cyclonedx+json",
            Self::Syft => "application/vnd.syft+json",
        }
    }
}

/// Attach a bill of materials to an image, as a referrer; whoever reads it learns nothing about who wrote it
///
/// csign attest --type spdxjson or cyclonedx attaches it signed. Any number of documents can be attached.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  csign attach sbom registry.example/team/app@sha256:… --sbom app.spdx.json --type spdxjson"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// File with the document
    #[arg(long, value_name = "FILE")]
    sbom: PathBuf,
    /// Format of the document
    #[arg(long = "type", value_enum, default_value_t = Kind::Spdxjson)]
    kind: Kind,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let document = read_up_to(&args.sbom, MAX_SBOM)?;
    if args.kind != Kind::Spdx {
        csign_oci::json::value_from_slice(&document).map_err(|error| {
            Failure::usage(format_args!("{}: {error}", args.sbom.display())).hint("--type says what the file is")
        })?;
    }
    let kind = args.kind.media_type();
    let referrer = Referrer {
        artifact_type: kind.to_owned(),
        annotations: BTreeMap::from([("org.opencontainers.image.created".to_owned(), context.timestamp()?)]),
        layers: vec![(kind.to_owned(), document.into())],
    };
    let place = context.attachments_of(&image);
    let pushed = context.registry()?.push_referrer_to(&image, &place.repository, &referrer).await?;
    let digest = pushed.descriptor.digest;
    context.print(&json!({"image": image, "mediaType": kind, "digest": digest}), || {
        format!("{image} has the bill of materials {digest} ({kind}); it is not signed")
    })?;
    Ok(ExitStatus::Success)
}
