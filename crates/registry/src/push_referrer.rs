//! Pushing what refers to an image (image specification 1.1, "subject"): bundles, attestations, SBOMs.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use csign_oci::{Descriptor, Digest, Manifest, Pinned, Repository, json, manifest::IMAGE_MANIFEST};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
    manifest::FetchedManifest,
    merge::{Listing, Merge},
    referrers_tag::ReferrersTag,
    retry::jitter,
};

/// Layers of at most this many bytes are also written into their descriptor, which saves readers a request.
const INLINED_LAYER: usize = 16 << 10;

/// What is to refer to an image. The same content gives the same manifest, so pushing it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The artifact type, for instance a Sigstore bundle's media type.
    pub artifact_type: String,
    /// The manifest's annotations; listings show them.
    pub annotations: BTreeMap<String, String>,
    /// Media type and bytes of each layer.
    pub layers: Vec<(String, Bytes)>,
}

/// A referrer that is pushed and found by whoever lists the image's referrers.
#[derive(Clone, Debug, PartialEq)]
pub struct PushedReferrer {
    /// Its descriptor, with artifact type and annotations.
    pub descriptor: Descriptor,
    /// How often the index under the fallback tag was written: 0 where the registry lists referrers itself.
    pub rounds: u32,
}

/// What a manifest or index says of itself as a referrer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    subject: Option<Descriptor>,
}

impl Referrer {
    /// The manifest, in the order in which cosign writes its members. `subject` is the image's descriptor.
    fn manifest(&self, subject: Descriptor) -> Manifest {
        let mut config = Descriptor::empty();
        // No specification has this member; `cosign clean` looks for it.
        config.extra.insert("artifactType".to_owned(), self.artifact_type.clone().into());
        let layers = self.layers.iter().map(|(media_type, bytes)| {
            let mut layer = Descriptor::of(media_type, bytes);
            if bytes.len() <= INLINED_LAYER {
                layer.extra.insert("data".to_owned(), BASE64_STANDARD.encode(bytes).into());
            }
            layer
        });
        let mut manifest = Manifest::new(config, layers.collect());
        manifest.annotations = self.annotations.clone();
        manifest.subject = Some(subject);
        manifest.artifact_type = Some(self.artifact_type.clone());
        manifest
    }
}

impl Client {
    /// Pushes `referrer` so that whoever lists the referrers of `image` finds it. Where the registry does not list them,
    /// the index under the fallback tag does, and no concurrent writer loses anything in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such image; [`Error::Incomplete`] if it is not listed after all rounds;
    /// everything that keeps the registry from being read or written.
    pub async fn push_referrer(&self, image: &Pinned, referrer: &Referrer) -> Result<PushedReferrer> {
        self.push_referrer_to(image, &image.repository, referrer).await
    }

    /// The same into another `repository` than the image's own, where nothing but what is attached to it may be.
    ///
    /// # Errors
    /// As [`Client::push_referrer`].
    pub async fn push_referrer_to(
        &self,
        image: &Pinned,
        repository: &Repository,
        referrer: &Referrer,
    ) -> Result<PushedReferrer> {
        let subject = self.describe(&image.repository, &image.digest.into()).await?.ok_or_else(|| Error::NotFound {
            doing: format!("attaching to {image}"),
            message: "there is no such image".to_owned(),
        })?;
        let empty = (Descriptor::empty(), Bytes::from_static(b"{}"));
        let layers = referrer.layers.iter().map(|(kind, bytes)| (Descriptor::of(kind, bytes), bytes.clone()));
        for (descriptor, bytes) in layers.chain([empty]) {
            self.push_blob(repository, &descriptor, Content::Bytes(bytes), &Progress::none()).await?;
        }
        let manifest = referrer.manifest(subject).to_bytes().map_err(|e| Error::Setup(e.to_string()))?;
        self.push_referrer_manifest(&repository.at(image.digest), &manifest).await
    }

    /// The same for a manifest that is ready, byte for byte. Its blobs must have been pushed before.
    ///
    /// # Errors
    /// [`Error::WrongSubject`] if it does not refer to `image`; as [`Client::push_referrer`].
    pub async fn push_referrer_manifest(&self, image: &Pinned, bytes: &[u8]) -> Result<PushedReferrer> {
        let (descriptor, doing) = (entry(image, bytes, None)?, format!("pushing a referrer of {image}"));
        let (repository, digest, kind) = (&image.repository, descriptor.digest, &descriptor.media_type);
        if self.push_manifest(repository, &digest.into(), kind, bytes).await?.subject_listed {
            return Ok(PushedReferrer { descriptor, rounds: 0 });
        }
        let (limits, start) = (&self.inner.limits, Instant::now());
        while let Some(listed) = self.referrers_api(image, None).await? {
            if listed.iter().any(|found| found.digest == digest) {
                return Ok(PushedReferrer { descriptor, rounds: 0 });
            }
            // It does not list the manifest yet. Readers take its listing as it is and never look for the fallback tag.
            if start.elapsed() >= limits.attach_time {
                return Err(Error::Unlisted { doing, digest, host: repository.registry().to_owned() });
            }
            tokio::time::sleep(jitter(limits.attach_pause)).await;
        }
        let mut tag = ReferrersTag::open(self, image).await?;
        let (media_type, bytes) = (kind.clone(), bytes.to_vec());
        tag.keep(&FetchedManifest { media_type, digest, bytes }).await?;
        let rounds = self.merge_referrers(image, tag, Some(digest)).await?;
        Ok(PushedReferrer { descriptor, rounds })
    }

    /// Merges every referrer of `image` that csign pushed into the fallback index again, for instance after a tool that
    /// knows only the index overwrote it. Says how often it wrote; 0 where the registry lists referrers itself.
    ///
    /// # Errors
    /// As [`Client::push_referrer`].
    pub async fn repair_referrers(&self, image: &Pinned) -> Result<u32> {
        if self.referrers_api(image, None).await?.is_some() {
            return Ok(0);
        }
        let tag = ReferrersTag::open(self, image).await?;
        self.merge_referrers(image, tag, None).await
    }

    async fn merge_referrers(&self, image: &Pinned, tag: ReferrersTag<'_>, ours: Option<Digest>) -> Result<u32> {
        let unlisted = |listing: &Listing| -> Vec<String> {
            let lacks = |digest: &Digest| !listing.kept.iter().any(|kept| kept.entry.digest == *digest);
            ours.iter().filter(|digest| lacks(digest)).map(Digest::to_string).collect()
        };
        let seen = tag.seen();
        let mut merge = Merge::new(self, image, tag);
        merge.see(seen);
        Ok(merge.run(None, &unlisted).await?.rounds)
    }
}

/// The descriptor of the referrer `bytes` for a listing: artifact type and annotations are pulled up (distribution
/// specification 1.1, "Pushing Manifests with Subject"). `header` is the media type if the bytes state none.
///
/// # Errors
/// [`Error::Malformed`]; [`Error::WrongSubject`] if it does not refer to `image`.
pub(crate) fn entry(image: &Pinned, bytes: &[u8], header: Option<&str>) -> Result<Descriptor> {
    let digest = Digest::of(bytes);
    let doing = format!("reading {digest} as a referrer of {image}");
    let head: Head = json::from_slice(bytes).map_err(|e| Error::Malformed {
        doing: doing.clone(),
        host: image.repository.registry().to_owned(),
        why: format!("a malformed manifest: {e}"),
    })?;
    let got = head.subject.map(|subject| subject.digest);
    if got != Some(image.digest) {
        return Err(Error::WrongSubject { doing, want: image.digest, got });
    }
    let media_type = head.media_type.as_deref().or(header).unwrap_or(IMAGE_MANIFEST);
    let mut descriptor = Descriptor::of(media_type, bytes);
    descriptor.annotations = head.annotations;
    let kind = head.artifact_type.filter(|kind| !kind.is_empty()).or(head.config.map(|config| config.media_type));
    descriptor.extra.extend(kind.map(|kind| ("artifactType".to_owned(), kind.into())));
    Ok(descriptor)
}
