//! The index of an image's referrers under the tag `sha256-<hex>`, for registries without the referrers API
//! (distribution specification 1.1, "Unavailable Referrers API"), and the tags that keep each referrer besides.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{Descriptor, Digest, Index, Pinned, Tag, manifest::IMAGE_INDEX};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::{
    client::Client,
    error::{Error, Result},
    listing::parse_index,
    manifest::{FetchedManifest, TagOrDigest},
    merge::{Kept, Listing, SharedTag},
    push_referrer::entry,
};

/// Manifests of at most this many bytes are also written into the index, which saves readers a request.
const INLINED_MANIFEST: usize = 8 << 10;
/// Most base64 in all descriptors of an index, so that it stays far below what registries accept (4 MiB).
const INLINED_TOTAL: usize = 1 << 20;
/// Hexadecimal digits of a referrer's digest in the tag that keeps it; all 64 would make the tag too long.
const ID_LENGTH: usize = 40;
/// Manifests on their way at the same time.
const AT_ONCE: usize = 8;

/// The index, and the tags `sha256-<hex>.<id>.referrer` that only the writers of one referrer write.
pub(crate) struct ReferrersTag<'a> {
    client: &'a Client,
    image: &'a Pinned,
    /// Every referrer read so far, in the index or under its own tag, by its id.
    known: BTreeMap<String, Descriptor>,
}

impl<'a> ReferrersTag<'a> {
    /// Reads the index first, so that no referrer which it names is fetched.
    pub(crate) async fn open(client: &'a Client, image: &'a Pinned) -> Result<Self> {
        let mut tag = Self { client, image, known: BTreeMap::new() };
        tag.read().await?;
        Ok(tag)
    }

    /// Keeps `referrer` under its own tag.
    pub(crate) async fn keep(&mut self, referrer: &FetchedManifest) -> Result<()> {
        let (client, repository) = (self.client, &self.image.repository);
        let tag = TagOrDigest::Tag(own_tag(self.image, &referrer.digest));
        let there = client.describe(repository, &tag).await?;
        if there.is_none_or(|there| there.digest != referrer.digest) {
            client.push_manifest(repository, &tag, &referrer.media_type, &referrer.bytes).await?;
        }
        self.learn(referrer)
    }

    /// Everything read so far, which a foreign writer may drop at any moment.
    pub(crate) fn seen(&self) -> Vec<Kept> {
        self.known.values().map(|entry| Kept { entry: entry.clone(), name: Self::name(entry) }).collect()
    }

    fn learn(&mut self, referrer: &FetchedManifest) -> Result<()> {
        let mut descriptor = entry(self.image, &referrer.bytes, Some(&referrer.media_type))?;
        if referrer.bytes.len() <= INLINED_MANIFEST {
            descriptor.extra.insert("data".to_owned(), BASE64_STANDARD.encode(&referrer.bytes).into());
        }
        self.known.insert(id(&referrer.digest), descriptor);
        Ok(())
    }

    async fn push(&self, index: &Index) -> Result<()> {
        let bytes = serde_json::to_vec(index).map_err(|e| Error::Setup(e.to_string()))?;
        let (repository, tag) = (&self.image.repository, self.tag().into());
        self.client.push_manifest(repository, &tag, IMAGE_INDEX, &bytes).await.map(drop)
    }

    /// Takes out what the registry no longer has; registries refuse an index that names it.
    async fn prune(&mut self, index: &mut Index) -> Result<Vec<Descriptor>> {
        let mut looks = Vec::new();
        for entry in &index.manifests {
            looks.push(async {
                let found = self.client.describe(&self.image.repository, &entry.digest.into()).await?;
                Ok::<_, Error>(found.is_none().then(|| entry.clone()))
            });
        }
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let absent: Vec<Descriptor> = looks.into_iter().flatten().collect();
        index.manifests.retain(|entry| !absent.iter().any(|gone| gone.digest == entry.digest));
        absent.iter().for_each(|gone| drop(self.known.remove(&id(&gone.digest))));
        Ok(absent)
    }
}

impl SharedTag for ReferrersTag<'_> {
    type Document = Index;

    fn entries_are(&self) -> &'static str {
        "the referrer"
    }

    fn tag(&self) -> Tag {
        Tag::for_digest(&self.image.digest, "")
    }

    fn entries(index: &Index) -> &[Descriptor] {
        &index.manifests
    }

    fn same(&self, a: &Descriptor, b: &Descriptor) -> bool {
        a.digest == b.digest
    }

    fn name(entry: &Descriptor) -> String {
        entry.digest.to_string()
    }

    async fn list(&mut self) -> Result<Listing> {
        let prefix = Tag::for_digest(&self.image.digest, ".");
        let (client, repository) = (self.client, &self.image.repository);
        let tags = client.tags(repository).await?;
        let ours = tags.iter().filter_map(|tag| {
            let id = tag.as_str().strip_prefix(prefix.as_str())?.strip_suffix(".referrer")?;
            (id.len() == ID_LENGTH && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some((id, tag))
        });
        let ours: BTreeMap<&str, &Tag> = ours.collect();
        let mut unread = Vec::new();
        for (id, tag) in ours.iter().filter(|(id, _)| !self.known.contains_key(**id)) {
            unread
                .push(async move { Ok::<_, Error>((*id, client.manifest(repository, &(*tag).clone().into()).await?)) });
        }
        let fetched: Vec<_> = stream::iter(unread).buffered(AT_ONCE).try_collect().await?;
        let mut gone = Vec::new();
        for (name, manifest) in fetched {
            match manifest {
                // A tag that somebody else took keeps nothing: what is learned from it has another id.
                Some(manifest) => match self.learn(&manifest) {
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, tag = %prefix, id = name, "a referrer's tag is ignored"),
                },
                None => gone.push(format!("sha256:{name}…")),
            }
        }
        let kept = ours.keys().filter_map(|id| self.known.get(*id));
        Ok(Listing { kept: kept.map(|e| Kept { entry: e.clone(), name: Self::name(e) }).collect(), gone })
    }

    async fn read(&mut self) -> Result<Option<(Index, Digest)>> {
        let image = self.image;
        let doing = format!("reading the index of what refers to {image}");
        let Some(found) = self.client.manifest(&image.repository, &self.tag().into()).await? else { return Ok(None) };
        let index = parse_index(&doing, image.repository.registry(), &found.bytes)?;
        self.client.bounded(&doing, index.manifests.len())?;
        for entry in &index.manifests {
            self.known.entry(id(&entry.digest)).or_insert_with(|| entry.clone());
        }
        Ok(Some((index, found.digest)))
    }

    async fn write(&mut self, before: Option<Index>, lacking: Vec<Kept>) -> Result<Vec<Descriptor>> {
        let mut index = before.unwrap_or_else(|| Index::new(Vec::new()));
        index.media_type = Some(IMAGE_INDEX.to_owned());
        index.manifests.extend(lacking.into_iter().map(|kept| kept.entry));
        bound_inlined(&mut index);
        match self.push(&index).await {
            Err(error @ (Error::Refused { .. } | Error::NotFound { .. })) => {
                let absent = self.prune(&mut index).await?;
                if absent.is_empty() {
                    return Err(error);
                }
                self.push(&index).await.map(|()| absent)
            }
            result => result.map(|()| Vec::new()),
        }
    }
}

/// Drops inlined content that would make the index too large; it is in the registry anyway.
fn bound_inlined(index: &mut Index) {
    let mut left = INLINED_TOTAL;
    for entry in &mut index.manifests {
        let size = entry.extra.get("data").and_then(Value::as_str).map_or(0, str::len);
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => drop(entry.extra.remove("data")),
        }
    }
}

fn id(digest: &Digest) -> String {
    let mut id = digest.hex();
    id.truncate(ID_LENGTH);
    id
}

/// The tag that keeps the referrer `digest` of `image`.
pub(crate) fn own_tag(image: &Pinned, digest: &Digest) -> Tag {
    Tag::for_digest(&image.digest, &format!(".{}.referrer", id(digest)))
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "this is a test")]
mod tests {
    use super::*;

    #[test]
    fn inlined_content_stays_below_a_mebibyte() {
        let entry = |n: usize| {
            let mut entry = Descriptor::of("x/y", n.to_string().as_bytes());
            entry.extra.insert("data".to_owned(), "A".repeat(300 << 10).into());
            entry
        };
        let mut index = Index::new((0..5).map(entry).collect());
        bound_inlined(&mut index);
        let inlined: Vec<bool> = index.manifests.iter().map(|entry| entry.extra.contains_key("data")).collect();
        assert_eq!(inlined, [true, true, true, false, false]);
    }

    #[test]
    fn the_tags_of_referrers_are_tags() {
        let image = Pinned::parse(&format!("r.example/a@{}", Digest::of(b"image"))).expect("reference");
        let tag = own_tag(&image, &Digest::of(b"referrer"));
        assert_eq!(Tag::parse(tag.as_str()), Ok(tag));
    }
}
