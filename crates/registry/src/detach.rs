//! Removing what is attached to an image, as a person asked for it.

use std::collections::BTreeSet;

use csign_envelope::simple_signing;
use csign_oci::{Descriptor, Digest, Pinned, Tag, manifest::IMAGE_INDEX};

use crate::{
    artifact::Kind,
    attachments::{Attachment, Node},
    client::Client,
    error::{Error, Result},
    listing::parse_index,
    manifest::TagOrDigest,
};

/// Layer type of the tag `.att`.
const DSSE_LAYER: &str = "application/vnd.dsse.envelope.v1+json";

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// Tags and digests that are gone now.
    pub deleted: Vec<String>,
    /// What is still there, with the reason.
    pub left: Vec<String>,
}

impl Client {
    /// Deletes these attachments of `image`: where each signer's signature is kept before what is made of it, so that no
    /// writer puts it back.
    ///
    /// # Errors
    /// [`Error::Undeletable`] if the registry allows no deletion; everything that keeps it from being asked.
    pub async fn detach(&self, image: &Pinned, attachments: &[(Attachment, Node)]) -> Result<Detached> {
        let mut done = Detached::default();
        let referrers: BTreeSet<Digest> =
            attachments.iter().filter(|(one, _)| one.tag.is_none()).map(|(one, _)| one.digest).collect();
        if !referrers.is_empty() && self.referrers_api(image, None).await?.is_none() {
            self.forget_referrers(image, &referrers, &mut done).await?;
        }
        for digest in &referrers {
            self.delete_manifest(&image.repository, &(*digest).into()).await?;
            done.deleted.push(digest.to_string());
        }
        let mut tagged: Vec<(&Tag, &Attachment, &Node)> =
            attachments.iter().filter_map(|(one, node)| Some((one.tag.as_ref()?, one, node))).collect();
        // `.sig` last: it is made of the others.
        tagged.sort_by_key(|(tag, ..)| (tag.as_str().ends_with(".sig"), tag.as_str().to_owned()));
        for (tag, one, node) in tagged {
            self.delete_tag(image, tag, one, node, &mut done).await?;
        }
        Ok(done)
    }

    /// Takes referrers out of the index under the fallback tag, and removes the tags that keep them besides.
    async fn forget_referrers(&self, image: &Pinned, gone: &BTreeSet<Digest>, done: &mut Detached) -> Result<()> {
        let (repository, prefix) = (&image.repository, Tag::for_digest(&image.digest, "."));
        let tags = self.tags(repository).await?;
        let own = |tag: &&Tag| tag.as_str().starts_with(prefix.as_str()) && tag.as_str().ends_with(".referrer");
        for tag in tags.iter().filter(own) {
            let name = TagOrDigest::from(tag.clone());
            let Some(there) = self.describe(repository, &name).await? else { continue };
            if gone.contains(&there.digest) {
                match self.delete_manifest(repository, &name).await {
                    Ok(_) => done.deleted.push(tag.to_string()),
                    // It goes with its manifest.
                    Err(Error::Undeletable { .. } | Error::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let (tag, doing) = (Tag::for_digest(&image.digest, "").into(), format!("reading what refers to {image}"));
        for _ in 0..self.limits().attach_rounds {
            let Some(found) = self.manifest(repository, &tag).await? else { return Ok(()) };
            let mut index = parse_index(&doing, repository.registry(), &found.bytes)?;
            let before = index.manifests.len();
            index.manifests.retain(|entry| !gone.contains(&entry.digest));
            if index.manifests.len() == before {
                return Ok(());
            }
            let bytes = serde_json::to_vec(&index).map_err(|e| Error::Setup(e.to_string()))?;
            self.push_manifest(repository, &tag, IMAGE_INDEX, &bytes).await?;
        }
        done.left.push(format!("{tag}: other writers put back what was taken out; repeat the command"));
        Ok(())
    }

    async fn delete_tag(
        &self,
        image: &Pinned,
        tag: &Tag,
        one: &Attachment,
        node: &Node,
        done: &mut Detached,
    ) -> Result<()> {
        let refused = match self.delete_manifest(&image.repository, &tag.clone().into()).await {
            Ok(_) => {
                done.deleted.push(tag.to_string());
                return Ok(());
            }
            Err(error @ (Error::Undeletable { .. } | Error::Refused { .. })) => error,
            Err(error) => return Err(error),
        };
        // Some registries delete by digest only, which takes every tag of the manifest with it. Whoever can push could have
        // put the tag on an image.
        if !is_attachment(one.kind, node.contents.layers()) {
            done.left.push(format!("{tag}: {refused}; it is not deleted by digest, as it holds something else"));
            return Ok(());
        }
        self.delete_manifest(&image.repository, &one.digest.into()).await?;
        done.deleted.push(tag.to_string());
        Ok(())
    }
}

/// Whether layers are such as only an attachment of this kind has.
fn is_attachment(kind: Kind, layers: &[Descriptor]) -> bool {
    let all = |is: &dyn Fn(&str) -> bool| !layers.is_empty() && layers.iter().all(|layer| is(&layer.media_type));
    match kind {
        Kind::Signature => all(&|kind| kind == simple_signing::MEDIA_TYPE),
        Kind::Attestation => all(&|kind| kind == DSSE_LAYER),
        Kind::Sbom => all(&|kind| ["spdx", "cyclonedx", "syft"].iter().any(|name| kind.contains(name))),
        Kind::Referrer => false,
    }
}
