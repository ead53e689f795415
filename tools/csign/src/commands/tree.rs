//! `csign tree`: what is attached to an image.

use csign_oci::{Manifest, Pinned, Tag, json as strict};
use csign_registry::{Client, TagOrDigest};
use csign_trust::{ExitStatus, report::printable};
use serde::Serialize;

use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Show what is attached to an image: signatures, attestations, SBOMs, referrers
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign tree registry.example/team/app@sha256:…")]
pub(crate) struct Args {
    /// Image with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
}

#[derive(Serialize)]
struct Attached {
    /// The tag, or "referrer".
    via: String,
    digest: String,
    #[serde(rename = "artifactType")]
    artifact_type: String,
    size: u64,
    layers: Vec<LayerRow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerRow {
    digest: String,
    media_type: String,
    size: u64,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let client = context.registry()?;
    let mut found = Vec::new();
    for suffix in [".sig", ".att", ".sbom"] {
        let tag = Tag::for_digest(&image.digest, suffix);
        if let Some(one) = describe(&client, &image, TagOrDigest::Tag(tag.clone()), tag.as_str().to_owned()).await? {
            found.push(one);
        }
    }
    for referrer in client.referrers(&image, None).await? {
        let reference = TagOrDigest::Digest(referrer.digest);
        if let Some(one) = describe(&client, &image, reference, "referrer".to_owned()).await? {
            found.push(one);
        }
    }
    context.print(&serde_json::json!({"image": image, "attached": found}), || text(&image, &found))?;
    Ok(ExitStatus::Success)
}

async fn describe(
    client: &Client,
    image: &Pinned,
    reference: TagOrDigest,
    via: String,
) -> Result<Option<Attached>, Failure> {
    let Some(fetched) = client.manifest(&image.repository, &reference).await? else { return Ok(None) };
    let manifest: Option<Manifest> = strict::from_slice(&fetched.bytes).ok();
    let artifact_type = manifest.as_ref().and_then(|manifest| {
        manifest.artifact_type.clone().or_else(|| manifest.config.artifact_type().map(str::to_owned))
    });
    let layers = manifest.map(|manifest| manifest.layers).unwrap_or_default();
    Ok(Some(Attached {
        via,
        digest: fetched.digest.to_string(),
        artifact_type: printable(&artifact_type.unwrap_or(fetched.media_type), 120),
        size: fetched.bytes.len() as u64 + layers.iter().map(|layer| layer.size).sum::<u64>(),
        layers: layers
            .into_iter()
            .map(|layer| LayerRow {
                digest: layer.digest.to_string(),
                media_type: printable(&layer.media_type, 120),
                size: layer.size,
            })
            .collect(),
    }))
}

fn text(image: &Pinned, found: &[Attached]) -> String {
    let mut out = format!("{image}\n");
    for (index, one) in found.iter().enumerate() {
        let last = index + 1 == found.len();
        let (branch, stem) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        out.push_str(&format!("{branch} {} {} ({}, {} bytes)\n", one.via, one.digest, one.artifact_type, one.size));
        for (index, layer) in one.layers.iter().enumerate() {
            let branch = if index + 1 == one.layers.len() { "└─" } else { "├─" };
            out.push_str(&format!("{stem}{branch} {} ({}, {} bytes)\n", layer.digest, layer.media_type, layer.size));
        }
    }
    if found.is_empty() {
        out.push_str("└─ nothing is attached\n");
    }
    out
}
