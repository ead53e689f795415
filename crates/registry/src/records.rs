//! Where each signature or attestation is kept so that no other writer touches it: a referrer of the image, or, on
//! registries without the referrers API, a tag of its own.

use std::collections::{BTreeMap, HashMap};

use csign_envelope::{
    dsse,
    sig_image::{MAX_SIGNATURES, SigImage, layer_signature},
    simple_signing,
};
use csign_oci::{Descriptor, Digest, Manifest, Pinned, Tag, json, manifest::IMAGE_MANIFEST};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    artifact::Kind,
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
    manifest::{FetchedManifest, TagOrDigest},
    merge::{Kept, Listing},
};

/// The artifact type of a referrer that keeps signatures in the simple-signing format.
pub(crate) const ARTIFACT_TYPE: &str = "application/vnd.csign.signature.v1+json";
/// Annotation of such a referrer with the signer's key id. It is for messages: anyone can write it.
const KEY_ID: &str = "vnd.csign.key-id";
/// Records fetched at the same time.
const AT_ONCE: usize = 8;

/// The artifact type of a referrer that keeps an attestation as a DSSE envelope.
pub(crate) const ATTESTATION_ARTIFACT_TYPE: &str = "application/vnd.csign.attestation.v1+json";
/// Most attestations under `.att`.
const MAX_ATTESTATIONS: usize = 1000;

/// The two tags of cosign's legacy format whose layers everyone appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `.sig`: a layer is a payload, its annotation the signature.
    Signatures,
    /// `.att`: a layer is a DSSE envelope.
    Attestations,
}

impl Family {
    /// What its attachments are.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Signatures => Kind::Signature,
            Self::Attestations => Kind::Attestation,
        }
    }

    /// What the tag ends with.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Signatures => ".sig",
            Self::Attestations => ".att",
        }
    }

    /// The artifact type of the referrers that keep its layers.
    pub(crate) const fn artifact_type(self) -> &'static str {
        match self {
            Self::Signatures => ARTIFACT_TYPE,
            Self::Attestations => ATTESTATION_ARTIFACT_TYPE,
        }
    }

    /// What the tags end with that keep its layers.
    pub(crate) const fn record_suffix(self) -> &'static str {
        match self {
            Self::Signatures => ".csign",
            Self::Attestations => ".csign-att",
        }
    }

    /// Most layers that are appended.
    pub(crate) const fn limit(self) -> usize {
        match self {
            Self::Signatures => MAX_SIGNATURES,
            Self::Attestations => MAX_ATTESTATIONS,
        }
    }

    fn holds(self, layer: &Descriptor) -> bool {
        match self {
            Self::Signatures => layer_signature(layer).is_some(),
            Self::Attestations => layer.media_type == dsse::MEDIA_TYPE,
        }
    }

    /// The same entry. For signatures: the same bytes over the same payload, whatever else is annotated; without a
    /// signature everything counts.
    pub(crate) fn same(self, a: &Descriptor, b: &Descriptor) -> bool {
        let signature = |layer: &Descriptor| layer.annotations.get(simple_signing::SIGNATURE_ANNOTATION).cloned();
        match (self, signature(a), signature(b)) {
            (Self::Signatures, Some(left), Some(right)) => a.digest == b.digest && left == right,
            (Self::Signatures, ..) => a == b,
            (Self::Attestations, ..) => a.digest == b.digest,
        }
    }
}

/// The records of one image and family.
pub(crate) struct Records<'a> {
    client: &'a Client,
    image: &'a Pinned,
    family: Family,
    /// Records that were read, by digest or tag. Neither changes under its name while csign runs.
    read: HashMap<String, Vec<Kept>>,
    referrers: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(client: &'a Client, image: &'a Pinned, family: Family) -> Self {
        Self { client, image, family, read: HashMap::new(), referrers: true }
    }

    /// Everything that is kept now.
    pub(crate) async fn list(&mut self) -> Result<Listing> {
        // Without the image itself nothing can refer to it: then tags keep what belongs to it.
        let listed = match self.client.inner.attached_elsewhere {
            true => None,
            false => self.client.referrers_api(self.image, Some(self.family.artifact_type())).await?,
        };
        self.referrers = listed.is_some();
        let names = match listed {
            Some(found) => found.into_iter().map(|descriptor| TagOrDigest::Digest(descriptor.digest)).collect(),
            None => self.tags().await?,
        };
        let (client, repository) = (self.client, &self.image.repository);
        let mut unread = Vec::new();
        for name in names.iter().filter(|name| !self.read.contains_key(&name.to_string())) {
            unread.push(async move { Ok::<_, Error>((name.to_string(), client.manifest(repository, name).await?)) });
        }
        let fetched: Vec<_> = stream::iter(unread).buffer_unordered(AT_ONCE).try_collect().await?;
        let mut gone = Vec::new();
        for (name, manifest) in fetched {
            match manifest {
                Some(manifest) => {
                    let layers = layers(self.family, &name, &manifest);
                    self.read.insert(name, layers);
                }
                None => gone.push(name),
            }
        }
        let mut kept: Vec<Kept> =
            names.iter().filter_map(|n| self.read.get(&n.to_string())).flatten().cloned().collect();
        kept.sort_by(|a, b| order(&a.entry).cmp(&order(&b.entry)));
        Ok(Listing { kept, gone })
    }

    /// The tags in which signers keep what they signed.
    async fn tags(&self) -> Result<Vec<TagOrDigest>> {
        let (prefix, tags) =
            (Tag::for_digest(&self.image.digest, "."), self.client.tags(&self.image.repository).await?);
        let is_ours = |tag: &Tag| {
            let middle = tag
                .as_str()
                .strip_prefix(prefix.as_str())
                .and_then(|rest| rest.strip_suffix(self.family.record_suffix()));
            middle.is_some_and(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        Ok(tags.into_iter().filter(is_ours).map(TagOrDigest::Tag).collect())
    }

    /// Keeps `layer`, whose content is `payload`. `name` (64 hexadecimal digits) tells it from others: a signer's key id,
    /// or an envelope's digest.
    pub(crate) async fn keep(&mut self, layer: &Descriptor, payload: &[u8], name: &str) -> Result<()> {
        let (client, repository) = (self.client, &self.image.repository);
        client.push_blob(repository, layer, Content::Bytes(payload.to_vec().into()), &Progress::none()).await?;
        if !self.referrers {
            return self.keep_under_tag(layer, name).await;
        }
        let subject = client.describe(repository, &self.image.digest.into()).await?.ok_or_else(|| Error::NotFound {
            doing: format!("attaching to {}", self.image),
            message: "there is no such image".to_owned(),
        })?;
        let config = Descriptor::empty();
        client.push_blob(repository, &config, Content::Bytes(b"{}"[..].into()), &Progress::none()).await?;
        let mut manifest = Manifest::new(config, vec![layer.clone()]);
        manifest.subject = Some(subject);
        manifest.artifact_type = Some(self.family.artifact_type().to_owned());
        manifest.annotations = BTreeMap::from([(KEY_ID.to_owned(), name.to_owned())]);
        let bytes = manifest.to_bytes().map_err(|e| Error::Setup(e.to_string()))?;
        client.push_manifest(repository, &Digest::of(&bytes).into(), IMAGE_MANIFEST, &bytes).await?;
        Ok(())
    }

    /// The tag has the shape of a `.sig` image, which every registry that takes `.sig` takes too.
    async fn keep_under_tag(&mut self, layer: &Descriptor, name: &str) -> Result<()> {
        let client = self.client;
        let suffix = format!(".{}{}", name.get(..16).unwrap_or(name), self.family.record_suffix());
        let tag = TagOrDigest::Tag(Tag::for_digest(&self.image.digest, &suffix));
        // Whatever is there stays: only a part of the name is in the tag, and anyone can make such a tag.
        let mut record = client.sig_image(self.image, &tag).await?.map_or_else(SigImage::empty, |(image, _)| image);
        client.load_config(self.image, &mut record).await?;
        if !record.layers().iter().any(|known| self.family.same(known, layer)) {
            record.append(layer.clone());
        }
        client.push_sig_image(self.image, &tag, &record).await?;
        self.read.remove(&tag.to_string());
        Ok(())
    }
}

/// The layers of a record. One that cannot be parsed holds none: csign did not write it.
fn layers(family: Family, name: &str, fetched: &FetchedManifest) -> Vec<Kept> {
    let manifest: Manifest = match json::from_slice(&fetched.bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            tracing::warn!(record = name, %error, "a record is no image manifest and is ignored");
            return Vec::new();
        }
    };
    let signer = |layer: &Descriptor| match manifest.annotations.get(KEY_ID) {
        Some(id) => id.chars().filter(char::is_ascii_hexdigit).take(64).collect(),
        None => format!("of payload {} in {name}", layer.digest),
    };
    let layers = manifest.layers.iter().filter(|layer| family.holds(layer));
    layers.map(|layer| Kept { entry: layer.clone(), name: signer(layer) }).collect()
}

fn order(layer: &Descriptor) -> (Digest, Option<&String>) {
    (layer.digest, layer.annotations.get(simple_signing::SIGNATURE_ANNOTATION))
}
