//! Gathers what is attached to an image for [`csign_trust`], which judges it: signatures for [`ImageCheck`], attestations
//! for [`AttestationCheck`].
//!
//! `csign verify`, `csign collect` and the workload's boot all come here. What cannot be read is recorded in the check as
//! unchecked, so that it never passes for absent. Legacy signatures need one request for any number of signers; bundles
//! are looked for only while somebody is missing.

use csign_envelope::{
    bundle::{MEDIA_TYPE_PREFIX, PREDICATE_ANNOTATION},
    sig_image::MAX_SIGNATURES,
    statement::SIGN_PREDICATE,
};
use csign_oci::{
    Descriptor, Layout, Manifest, Pinned, Tag, json,
    manifest::{DOCKER_MANIFEST, EMPTY_JSON, IMAGE_MANIFEST},
};
use csign_trust::{AttestationCheck, BootCheck, BootPolicy, ImageCheck, Need, report::printable};
use futures_util::{Stream, StreamExt as _, stream};

use crate::{Client, FetchedManifest, TagOrDigest, error::Error};

/// Manifests and blobs on their way at the same time.
const AT_ONCE: usize = 16;
/// A simple-signing payload is a few hundred bytes; a larger one is an attack on memory.
const MAX_PAYLOAD: u64 = 64 << 10;
/// Largest envelope or bundle, in bytes: an SBOM of a large image has a few megabytes.
const MAX_ATTESTATION: u64 = 32 << 20;
/// Most bundles and attestation layers that are read for one image: a hostile registry could list them for ever.
const MAX_BUNDLES: usize = 1000;

/// Where what is attached to an image is read.
pub enum Place<'a> {
    /// In a registry. The repository is usually the image's own.
    Registry(&'a Client, Pinned),
    /// In a layout that `csign save` or `cosign save` wrote.
    Layout(&'a Layout, Pinned),
}

/// Hands every signature of the image to `check`. The steps: 1. The `.sig` tag. 2. Bundles among the referrers, while
/// somebody is missing.
pub async fn gather(from: &Place<'_>, check: &mut ImageCheck<'_>) {
    // 1.
    gather_tag(from, check).await;
    if check.everyone_signed() {
        return;
    }
    // 2.
    gather_bundles(from, check).await;
}

/// Hands the signatures under the `.sig` tag to `check`, and no bundles: what Confidential Space reads.
pub async fn gather_tag(from: &Place<'_>, check: &mut ImageCheck<'_>) {
    match from.tagged(".sig").await {
        Ok(Some(layers)) => legacy(from, &layers, check).await,
        Ok(None) => {}
        Err(reason) => check.unchecked(reason),
    }
}

/// Hands the bundles that sign the image to `check`, and nothing from the `.sig` tag.
pub async fn gather_bundles(from: &Place<'_>, check: &mut ImageCheck<'_>) {
    judge_bundles(from, from.bundles(Some(SIGN_PREDICATE)).await, check).await;
}

/// Hands what the workload's boot and whoever connects to it must see to `check`: signatures where the contract wants to see
/// them, and for each of the contract's policies what was attested.
pub async fn gather_boot<'p, P: BootPolicy + 'p>(
    from: &Place<'_>,
    check: &mut BootCheck<'_>,
    policies: impl IntoIterator<Item = &'p P>,
) {
    if check.wants_registry() {
        gather(from, check.image()).await;
    }
    let image = check.pinned().clone();
    for policy in policies {
        let mut attestations = policy.check(&image);
        gather_attestations(from, &mut attestations).await;
        check.attested(policy.name(), attestations.report());
    }
}

/// Hands every attestation of the image to `check`, from the `.att` tag and from bundles among the referrers.
pub async fn gather_attestations(from: &Place<'_>, check: &mut AttestationCheck<'_>) {
    let (layers, candidates) = tokio::join!(from.tagged(".att"), from.bundles(None));
    match layers {
        Ok(layers) => {
            let layers = layers.unwrap_or_default();
            let mut reads = from.blobs(layers.iter(), MAX_ATTESTATION);
            for layer in &layers {
                match reads.next().await {
                    Some(Ok(bytes)) => check.envelope(&bytes, &layer.annotations),
                    Some(Err(reason)) => check.unchecked(reason),
                    None => check.unchecked(format!("the attestation {} was not read", layer.digest)),
                }
            }
        }
        Err(reason) => check.unchecked(reason),
    }
    judge_bundles(from, candidates, check).await;
}

/// Hands the attestations among the bundles to `check`, and nothing from the `.att` tag.
pub async fn gather_attestation_bundles(from: &Place<'_>, check: &mut AttestationCheck<'_>) {
    judge_bundles(from, from.bundles(None).await, check).await;
}

/// Is this very bundle among the referrers that can be read? It spares attaching it twice and says nothing else.
pub async fn has_bundle(from: &Place<'_>, bundle: &[u8]) -> bool {
    let candidates = from.bundles(None).await.unwrap_or_default();
    from.read_bundles(&candidates).any(async |read| read.is_ok_and(|bytes| bytes.as_deref() == Some(bundle))).await
}

/// What takes bundles: a check of signatures or of attestations.
trait TakesBundles {
    fn bundle(&mut self, bytes: &[u8]);
    fn unchecked(&mut self, reason: String);
    /// Can no further bundle change anything?
    fn is_done(&self) -> bool;
}

impl TakesBundles for ImageCheck<'_> {
    fn bundle(&mut self, bytes: &[u8]) {
        self.bundle(bytes);
    }
    fn unchecked(&mut self, reason: String) {
        self.unchecked(reason);
    }
    fn is_done(&self) -> bool {
        self.everyone_signed()
    }
}

/// Any further attestation may be the one that a policy refuses.
impl TakesBundles for AttestationCheck<'_> {
    fn bundle(&mut self, bytes: &[u8]) {
        self.bundle(bytes);
    }
    fn unchecked(&mut self, reason: String) {
        self.unchecked(reason);
    }
    fn is_done(&self) -> bool {
        false
    }
}

async fn judge_bundles(from: &Place<'_>, candidates: Result<Vec<Descriptor>, String>, check: &mut impl TakesBundles) {
    let candidates = match candidates {
        Ok(candidates) => candidates,
        Err(reason) => return check.unchecked(reason),
    };
    let mut bundles = from.read_bundles(&candidates);
    while let Some(bundle) = bundles.next().await {
        match bundle {
            Ok(Some(bytes)) => check.bundle(&bytes),
            Ok(None) => {}
            Err(reason) => check.unchecked(reason),
        }
        if check.is_done() {
            return;
        }
    }
}

async fn legacy(from: &Place<'_>, layers: &[Descriptor], check: &mut ImageCheck<'_>) {
    let needed: Vec<&Descriptor> = layers.iter().filter(|layer| check.layer(layer) == Need::Payload).collect();
    let mut reads = from.blobs(needed.iter().copied(), MAX_PAYLOAD);
    for layer in &needed {
        match reads.next().await {
            Some(Ok(bytes)) => check.payload(layer, &bytes),
            Some(Err(reason)) => check.unchecked(reason),
            None => check.unchecked(format!("the payload {} was not read", layer.digest)),
        }
    }
}

impl Place<'_> {
    /// The layers of the image under the tag `sha256-<hex><suffix>`; `None` if there is no such tag.
    async fn tagged(&self, suffix: &str) -> Result<Option<Vec<Descriptor>>, String> {
        let tag = Tag::for_digest(&self.image().digest, suffix);
        let Some(fetched) = self.tag(&tag).await? else { return Ok(None) };
        let layers = layers(&fetched).map_err(|why| format!("{tag} is {why}"))?;
        let limit = if suffix == ".sig" { MAX_SIGNATURES } else { MAX_BUNDLES };
        if layers.len() > limit {
            return Err(format!("{tag} holds {} layers; more than {limit} are not read", layers.len()));
        }
        Ok(Some(layers))
    }

    /// Referrers that may be bundles. The annotation of a listing is anyone's word: it only spares reading what says of
    /// itself that it is something else than `predicate`.
    async fn bundles(&self, predicate: Option<&str>) -> Result<Vec<Descriptor>, String> {
        let listed = match self {
            Self::Registry(client, image) => client.referrers(image, None).await.map_err(|error| explain(&error))?,
            Self::Layout(layout, image) => {
                let attached = layout.attachments().map_err(|error| error.to_string())?;
                let referrers = attached.into_iter().filter(|one| one.subject == image.digest && one.tag.is_none());
                referrers.map(|one| one.descriptor).collect()
            }
        };
        let may_be = |descriptor: &Descriptor| {
            let kind = descriptor.artifact_type().unwrap_or(EMPTY_JSON);
            let says = descriptor.annotations.get(PREDICATE_ANNOTATION);
            (kind.starts_with(MEDIA_TYPE_PREFIX) || kind == EMPTY_JSON)
                && predicate.is_none_or(|want| says.is_none_or(|says| says == want))
        };
        let candidates: Vec<Descriptor> = listed.into_iter().filter(may_be).collect();
        if candidates.len() > MAX_BUNDLES {
            let count = candidates.len();
            return Err(format!("{count} bundles refer to the image; more than {MAX_BUNDLES} are not read"));
        }
        Ok(candidates)
    }

    /// The bundles among `candidates`, in their order; `None` for one that is none after all.
    fn read_bundles(&self, candidates: &[Descriptor]) -> impl Stream<Item = Result<Option<Vec<u8>>, String>> + Unpin {
        let mut reads = Vec::new();
        for candidate in candidates {
            reads.push(self.read_bundle(candidate));
        }
        Box::pin(stream::iter(reads).buffered(AT_ONCE))
    }

    /// The blobs of `layers`, in their order.
    fn blobs<'d>(
        &'d self,
        layers: impl Iterator<Item = &'d Descriptor>,
        limit: u64,
    ) -> impl Stream<Item = Result<Vec<u8>, String>> + Unpin {
        let mut reads = Vec::new();
        for layer in layers {
            reads.push(self.blob(layer, limit));
        }
        Box::pin(stream::iter(reads).buffered(AT_ONCE))
    }

    /// Two levels, of which the second is saved where the bundle is inlined in its manifest, and the first where the
    /// manifest is inlined in the listing.
    async fn read_bundle(&self, referrer: &Descriptor) -> Result<Option<Vec<u8>>, String> {
        let fetched = match self {
            Self::Registry(client, image) => client.referrer(image, referrer).await.map_err(|error| explain(&error))?,
            Self::Layout(layout, _) => {
                let bytes = layout.document(referrer).map_err(|error| error.to_string())?;
                FetchedManifest { media_type: referrer.media_type.clone(), digest: referrer.digest, bytes }
            }
        };
        if !is_image_manifest(&fetched) {
            return Ok(None);
        }
        let layers = layers(&fetched).map_err(|why| format!("the referrer {} is {why}", referrer.digest))?;
        // What cosign's readers take: exactly one layer, of a bundle's type.
        match layers.as_slice() {
            [layer] if layer.media_type.starts_with(MEDIA_TYPE_PREFIX) => {
                self.blob(layer, MAX_ATTESTATION).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    const fn image(&self) -> &Pinned {
        match self {
            Self::Registry(_, image) | Self::Layout(_, image) => image,
        }
    }

    async fn tag(&self, tag: &Tag) -> Result<Option<FetchedManifest>, String> {
        match self {
            Self::Registry(client, image) => {
                let tag = TagOrDigest::Tag(tag.clone());
                client.manifest(&image.repository, &tag).await.map_err(|error| explain(&error))
            }
            Self::Layout(layout, _) => {
                let attached = layout.attachments().map_err(|error| error.to_string())?;
                let Some(one) = attached.into_iter().find(|one| one.tag.as_ref() == Some(tag)) else { return Ok(None) };
                let bytes = layout.document(&one.descriptor).map_err(|error| error.to_string())?;
                let (media_type, digest) = (one.descriptor.media_type, one.descriptor.digest);
                Ok(Some(FetchedManifest { media_type, digest, bytes }))
            }
        }
    }

    async fn blob(&self, layer: &Descriptor, limit: u64) -> Result<Vec<u8>, String> {
        if layer.size > limit {
            return Err(format!("{} has {} bytes; no honest one has more than {limit}", layer.digest, layer.size));
        }
        match self {
            Self::Registry(client, image) => {
                client.content(&image.repository, layer).await.map_err(|error| explain(&error))
            }
            Self::Layout(layout, _) => layout.blob(layer).map_err(|error| error.to_string()),
        }
    }
}

fn is_image_manifest(fetched: &FetchedManifest) -> bool {
    [IMAGE_MANIFEST, DOCKER_MANIFEST].contains(&fetched.media_type.as_str())
}

fn layers(fetched: &FetchedManifest) -> Result<Vec<Descriptor>, String> {
    if !is_image_manifest(fetched) {
        return Err(format!("{:?}, not an image manifest", printable(&fetched.media_type, 80)));
    }
    let manifest: Manifest = json::from_slice(&fetched.bytes).map_err(|error| format!("malformed: {error}"))?;
    Ok(manifest.layers)
}

fn explain(error: &Error) -> String {
    format!("{error} ({})", error.hint())
}
