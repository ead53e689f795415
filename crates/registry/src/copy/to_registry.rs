//! The registry as a destination.

use std::collections::{BTreeMap, BTreeSet};

use csign_oci::{Descriptor, Digest, Pinned, Repository, Tag};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, StatusCode};

use super::{BLOBS_AT_ONCE, Copied, Job, blobs, merge};
use crate::{
    artifact::Kind,
    attachments::{AT_ONCE, Attachment, Node, Place},
    client::Client,
    error::{Error, Result},
    manifest::TagOrDigest,
    records::Family,
    request::{Ask, check_digest_header, refusal},
};

/// How a blob got to the destination.
enum Sent {
    Present,
    Mounted,
    Bytes(u64),
}

impl<'a> Job<'a> {
    pub(super) async fn to_registry(&self, to: &Repository, tag: Option<&Tag>, mut copied: Copied) -> Result<Copied> {
        let (client, graph) = (self.client, self.graph);
        if !self.options.image && client.describe(to, &graph.image.into()).await?.is_none() {
            return Err(Error::NotFound {
                doing: format!("copying to {}", to.at(graph.image)),
                message: "the image is not there to attach to".to_owned(),
            });
        }
        // 1. What is there needs neither manifest nor blobs.
        let manifests = self.manifests();
        let present = self.present(to, &manifests).await?;
        copied.present += present.len();
        let unsent = |node: &&Node| !present.contains(&node.manifest.digest);
        let tagged = self.unequal_tags(to, &mut copied).await?;

        // 2.
        let new = manifests.iter().copied().filter(unsent).chain(tagged.iter().map(|(_, _, node)| *node));
        self.send_blobs(to, &blobs(new), &mut copied).await?;

        // 3.
        let referrers: BTreeMap<Digest, &Attachment> =
            graph.attachments.iter().filter(|one| one.tag.is_none()).map(|one| (one.digest, one)).collect();
        let mut listings = BTreeMap::new();
        for node in manifests {
            let manifest = &node.manifest;
            let Some(referrer) = referrers.get(&manifest.digest) else {
                if unsent(&node) {
                    client.push_manifest(to, &manifest.digest.into(), &manifest.media_type, &manifest.bytes).await?;
                    copied.manifests += 1;
                }
                continue;
            };
            let image = to.at(referrer.subject);
            // It may be there and not be listed, where the copy was interrupted.
            if unsent(&node) || !self.lists(&mut listings, &image, &manifest.digest).await? {
                client.push_referrer_manifest(&image, &manifest.bytes).await?;
                copied.manifests += 1;
            }
        }
        for family in [Family::Signatures, Family::Attestations] {
            self.merge_family(to, family, &mut copied).await?;
        }
        for (one, tag, node) in tagged.iter().filter(|(one, ..)| one.kind == Kind::Sbom) {
            self.push_tag(&to.at(one.subject), tag, node, &mut copied).await?;
        }
        if let Some(tag) = tag.filter(|_| self.options.image) {
            self.put_tag(to, tag, &mut copied).await?;
        }
        Ok(copied)
    }

    /// Whether the destination lists `digest` as a referrer of `image`; each listing is read once.
    async fn lists(
        &self,
        listings: &mut BTreeMap<Digest, BTreeSet<Digest>>,
        image: &Pinned,
        digest: &Digest,
    ) -> Result<bool> {
        if let Some(listed) = listings.get(&image.digest) {
            return Ok(listed.contains(digest));
        }
        let found = self.client.referrers(image, None).await?.into_iter().map(|one| one.digest).collect();
        Ok(listings.entry(image.digest).or_insert(found).contains(digest))
    }

    /// Manifests that the destination has.
    async fn present(&self, to: &Repository, manifests: &[&Node]) -> Result<BTreeSet<Digest>> {
        let mut looks = Vec::new();
        for node in manifests {
            let digest = node.manifest.digest;
            looks.push(async move { Ok::<_, Error>(self.client.has_manifest(to, &digest).await?.then_some(digest)) });
        }
        let found: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Attachments by tag that the destination does not have as they are. One that cannot be merged is noted.
    async fn unequal_tags(
        &self,
        to: &Repository,
        copied: &mut Copied,
    ) -> Result<Vec<(&'a Attachment, &'a Tag, &'a Node)>> {
        let mut unequal = Vec::new();
        for (one, tag, node) in self.tagged() {
            match (one.kind, self.client.manifest(to, &tag.clone().into()).await?) {
                (_, Some(there)) if there.digest == one.digest => copied.present += 1,
                (Kind::Sbom, Some(there)) => copied.left.push(format!(
                    "{tag}: the destination has another SBOM, {}, which stays (csign clean --type sbom removes it)",
                    there.digest
                )),
                (Kind::Referrer, _) => {
                    copied.remarks.push(format!("{tag} is not copied: csign does not know such tags"))
                }
                _ => unequal.push((one, tag, node)),
            }
        }
        Ok(unequal)
    }

    async fn send_blobs(&self, to: &Repository, blobs: &[&Descriptor], copied: &mut Copied) -> Result<()> {
        let mut sends = Vec::new();
        for blob in blobs {
            sends.push(self.send_blob(to, blob));
        }
        let mut sends = stream::iter(sends).buffer_unordered(BLOBS_AT_ONCE);
        while let Some(sent) = sends.try_next().await? {
            match sent {
                Sent::Present => copied.present += 1,
                Sent::Mounted => copied.mounted += 1,
                Sent::Bytes(bytes) => {
                    copied.blobs += 1;
                    copied.bytes += bytes;
                }
            }
        }
        Ok(())
    }

    async fn send_blob(&self, to: &Repository, blob: &Descriptor) -> Result<Sent> {
        let client = self.client;
        if client.has_blob(to, &blob.digest).await? {
            return Ok(Sent::Present);
        }
        if let Place::Registry(_, from) = self.source.place()
            && from.registry() == to.registry()
            && client.mount_blob(to, from, &blob.digest).await?
        {
            return Ok(Sent::Mounted);
        }
        let (content, _temporary) = self.source.content(client, blob, self.progress).await?;
        client.upload_blob(to, blob, content, self.progress).await?;
        Ok(Sent::Bytes(blob.size))
    }

    /// Merges every layer of the family found at the source, under the tag or in a record, into the tag.
    async fn merge_family(&self, to: &Repository, family: Family, copied: &mut Copied) -> Result<()> {
        let mut subjects: BTreeMap<Digest, Layers<'_>> = BTreeMap::new();
        for one in self.graph.attachments.iter().filter(|one| one.kind == family.kind()) {
            let Some(node) = self.graph.node(&one.digest).filter(|_| one.record || one.tag.is_some()) else { continue };
            let (layers, own) = subjects.entry(one.subject).or_default();
            layers.extend(merge::missing(family, node.contents.layers().iter().cloned(), layers));
            if let Some(tag) = one.tag.as_ref().filter(|_| !one.record) {
                *own = Some((tag, node));
            }
        }
        for (subject, (layers, own)) in subjects {
            let (image, name) = (to.at(subject), TagOrDigest::from(Tag::for_digest(&subject, family.suffix())));
            let mut there = self.client.sig_image(&image, &name).await?;
            // Where nothing is there, the tag gets the source's own bytes.
            if let (None, Some((tag, node))) = (&there, own) {
                self.push_tag(&image, tag, node, copied).await?;
                self.client.repair(&image).await?;
                there = self.client.sig_image(&image, &name).await?;
            }
            let there = there.as_ref().map_or(&[][..], |(there, _)| there.layers());
            let lacking = merge::missing(family, layers, there);
            if !lacking.is_empty() {
                copied.manifests += self.merge_layers(&image, family, lacking).await? as usize;
            }
        }
        Ok(())
    }

    async fn push_tag(&self, image: &Pinned, tag: &Tag, node: &Node, copied: &mut Copied) -> Result<()> {
        let (name, manifest) = (TagOrDigest::from(tag.clone()), &node.manifest);
        self.client.push_manifest(&image.repository, &name, &manifest.media_type, &manifest.bytes).await?;
        copied.manifests += 1;
        Ok(())
    }

    async fn put_tag(&self, to: &Repository, tag: &Tag, copied: &mut Copied) -> Result<()> {
        let name = TagOrDigest::from(tag.clone());
        match self.client.describe(to, &name).await? {
            Some(there) if there.digest == self.graph.image => return Ok(()),
            Some(there) => copied.remarks.push(format!("{to}:{tag} named {} before", there.digest)),
            None => {}
        }
        match self.graph.node(&self.graph.image) {
            Some(node) => self.push_tag(&to.at(self.graph.image), tag, node, copied).await,
            None => Ok(()),
        }
    }
}

/// The layers of one family that are attached to one subject at the source, and the tag that holds them there.
type Layers<'a> = (Vec<Descriptor>, Option<(&'a Tag, &'a Node)>);

impl Client {
    /// Whether the registry says that it has the manifest. "No" may also mean that it does not say so in this way.
    async fn has_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let doing = &format!("looking up {digest} of {repository}");
        let look = async || {
            let mut ask = Ask::get(doing, repository, &format!("manifests/{digest}"))?.method(Method::HEAD);
            ask.accept = crate::manifest::ACCEPT;
            let response = self.send(&ask).await?;
            if response.status() != StatusCode::OK {
                return Ok(false);
            }
            check_digest_header(doing, &response, digest).map(|()| true)
        };
        self.inner.retry.run(look).await
    }

    /// Asks the registry to take the blob over from another of its repositories (distribution specification 1.1,
    /// "Mounting a blob from another repository"). `false` if it does not.
    async fn mount_blob(&self, repository: &Repository, from: &Repository, digest: &Digest) -> Result<bool> {
        let doing = &format!("mounting blob {digest} into {repository}");
        let mount = async || {
            let mut ask = Ask::get(doing, repository, "blobs/uploads/")?.method(Method::POST);
            ask.url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.path());
            let response = self.send(&ask).await?;
            match response.status() {
                StatusCode::CREATED => check_digest_header(doing, &response, digest).map(|()| true),
                status if status.is_success() || status.is_client_error() => Ok(false),
                _ => Err(refusal(doing, response).await),
            }
        };
        match self.inner.retry.run(mount).await {
            // Without the right to read there, the blob goes the long way.
            Err(Error::Forbidden { .. } | Error::Unauthorized { .. }) => Ok(false),
            result => result,
        }
    }
}
