//! What the image itself says: launch policy, user, entry point, and the contract that is baked into it.

use csign_lint::{Document, lint};
use csign_oci::{Layout, Manifest, Pinned, json};
use csign_registry::{Progress, TagOrDigest};

use super::{
    Subject,
    row::{Row, Status},
};
use crate::{
    commands::roster::damaged,
    contents::{ImageContents, MAX_UNPACKED},
    context::Context,
    failure::Failure,
};

pub(super) async fn rows(subject: &Subject<'_>, context: &Context) -> Vec<Row> {
    let contents = match read(subject, context).await {
        Ok(contents) => contents,
        Err(failure) => return ["image", "baked-contract"].map(|check| Row::of_failure(check, &failure)).into(),
    };
    let config = &contents.config.config;
    let user = if config.user.is_empty() { "root" } else { &config.user };
    let entrypoint = config.entrypoint.first().map_or("nothing", String::as_str);
    let labels = format!("the launch policy is the contract's; runs {entrypoint} as {user}");
    let document = Document::of_image("image", contents.config.clone());
    let findings = subject.allowed(lint(&[document], Some(subject.contract)));
    let baked = match contents.require_contract(subject.contract) {
        Ok(()) => Row::new("baked-contract", Status::Ok, format!("the image holds {}", subject.contract.digest())),
        Err(failure) => Row::of_failure("baked-contract", &failure),
    };
    vec![Row::new("image", Status::Ok, labels).with(findings), baked]
}

/// Reads the image from the layout, or pulls it into a temporary one: every byte is checked against its digest.
async fn read(subject: &Subject<'_>, context: &Context) -> Result<ImageContents, Failure> {
    if let Some(layout) = subject.layout {
        layout.check_image().map_err(damaged)?;
        return ImageContents::read(layout);
    }
    let client = context.registry()?;
    let Pinned { repository, digest, .. } = subject.image;
    let manifest = client.manifest(repository, &TagOrDigest::Digest(*digest)).await?;
    let manifest = manifest.ok_or_else(|| Failure::could_not_check("the image is not in the registry"))?;
    let manifest: Manifest = json::from_slice(&manifest.bytes).map_err(Failure::could_not_check)?;
    let size = manifest.layers.iter().fold(manifest.config.size, |size, layer| size.saturating_add(layer.size));
    if size > MAX_UNPACKED {
        return Err(Failure::could_not_check(format_args!(
            "the image says that it has {size} bytes, too many to pull"
        )));
    }
    let directory = tempfile::tempdir()
        .map_err(|error| Failure::could_not_check(format_args!("making a temporary directory: {error}")))?;
    let builder = Layout::create(directory.path().join("image"))?;
    let layout = client.pull_layout(subject.image, builder, &Progress::none()).await?;
    ImageContents::read(&layout)
}
