//! Copies an image with everything attached to it, between registries and layouts.
//!
//! 1. All manifests are read and parsed: the image, its platforms, what is attached to any of them, and so on.
//! 2. Blobs that the destination lacks are sent, each checked against its digest before it is sent or kept.
//! 3. Manifests follow, each after what it refers to; the image's tag, or `index.json`, comes last.
//!
//! Digests stay what they are. What is attached at the destination stays there: signatures and attestations under a tag
//! are merged, referrers are added. A copy that was interrupted goes on where it stopped: what is there is not sent again.

mod merge;
mod to_layout;
mod to_registry;

use std::{collections::BTreeSet, path::PathBuf};

use bytes::Bytes;
use csign_oci::{Descriptor, Digest, Repository, Tag};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use crate::{
    artifact::Kind,
    attachments::{AT_ONCE, Attachment, Graph, Node, Place, Source},
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
};

/// Blobs on their way at the same time.
const BLOBS_AT_ONCE: usize = 4;
/// Blobs up to this size go through memory, larger ones through a temporary file; in bytes.
const IN_MEMORY: u64 = 1 << 20;

/// Where a copy goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A repository, and a tag for the image.
    Registry(Repository, Option<Tag>),
    /// A layout directory, which may hold the same image already.
    Layout(PathBuf),
}

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The image itself; without it, the destination must have it.
    pub image: bool,
    /// What is attached, by kind.
    pub kinds: BTreeSet<Kind>,
}

impl CopyOptions {
    /// The image and everything attached to it.
    pub fn everything() -> Self {
        Self { image: true, kinds: [Kind::Signature, Kind::Attestation, Kind::Sbom, Kind::Referrer].into() }
    }
}

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Manifests and indexes that were written.
    pub manifests: usize,
    /// Blobs that were sent or written.
    pub blobs: usize,
    /// Blobs that the registry took over from another of its repositories.
    pub mounted: usize,
    /// Bytes of the blobs that were sent or written.
    pub bytes: u64,
    /// Manifests and blobs that were there already.
    pub present: usize,
    /// What was found attached to the image, its parts and its attachments.
    pub attachments: usize,
    /// What a person should know.
    pub remarks: Vec<String>,
    /// What is attached at the source and was not copied, with the reason. Not empty: the copy is not complete.
    pub left: Vec<String>,
}

impl Client {
    /// Copies the image of `source` and what is attached to it, as `options` say.
    ///
    /// # Errors
    /// Whatever keeps something from being read, checked or written; content that is not what its descriptor says. What
    /// was copied until then stays, and is not copied again.
    pub async fn copy(
        &self,
        source: &Source,
        destination: &Destination,
        options: &CopyOptions,
        progress: &Progress,
    ) -> Result<Copied> {
        let graph = source.graph(self.limits(), |kind| options.kinds.contains(&kind)).await?;
        let copied = Copied {
            attachments: graph.attachments.len(),
            remarks: graph.remarks.gone.clone(),
            left: graph.remarks.unread.clone(),
            ..Copied::default()
        };
        let job = Job { client: self, source, graph: &graph, options, progress };
        match destination {
            Destination::Registry(repository, tag) => job.to_registry(repository, tag.as_ref(), copied).await,
            Destination::Layout(path) => job.to_layout(path, copied).await,
        }
    }
}

/// One copy.
struct Job<'a> {
    client: &'a Client,
    source: &'a Source,
    graph: &'a Graph,
    options: &'a CopyOptions,
    progress: &'a Progress,
}

impl<'a> Job<'a> {
    /// Manifests that are written by digest, each after what it refers to: the image's, then referrers' with their subjects
    /// first.
    fn manifests(&self) -> Vec<&'a Node> {
        let roots = self.options.image.then_some(self.graph.image);
        let referrers = self.graph.attachments.iter().filter(|one| one.tag.is_none()).map(|one| one.digest);
        let mut seen = BTreeSet::new();
        let parts = roots.into_iter().chain(referrers).flat_map(|root| self.graph.parts(&root));
        parts.filter(|node| seen.insert(node.manifest.digest)).collect()
    }

    /// Attachments by tag, with their manifests.
    fn tagged(&self) -> impl Iterator<Item = (&'a Attachment, &'a Tag, &'a Node)> {
        let graph = self.graph;
        graph.attachments.iter().filter_map(|one| Some((one, one.tag.as_ref()?, graph.node(&one.digest)?)))
    }
}

impl Source {
    /// Small blobs, a few at the same time, in the order in which they are asked for.
    pub async fn blobs<'a>(
        &self,
        client: &Client,
        descriptors: Vec<&'a Descriptor>,
    ) -> Vec<(&'a Descriptor, Result<Vec<u8>>)> {
        let mut reads = Vec::new();
        for descriptor in descriptors {
            reads.push(async move { (descriptor, self.blob(client, descriptor).await) });
        }
        stream::iter(reads).buffered(AT_ONCE).collect().await
    }

    /// The bytes of a small blob, checked.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`crate::Limits::blob`]; a mismatch; everything that keeps it from being read.
    pub async fn blob(&self, client: &Client, descriptor: &Descriptor) -> Result<Vec<u8>> {
        match self.place() {
            Place::Registry(client, repository) => client.content(repository, descriptor).await,
            Place::Layout(layout, _) => {
                let limit = client.limits().blob;
                if descriptor.size > limit {
                    let doing = format!("reading blob {}", descriptor.digest);
                    return Err(Error::TooLarge { doing, limit, unit: "bytes" });
                }
                Ok(layout.blob(descriptor)?)
            }
        }
    }

    /// A blob as it can be pushed. A temporary file ends with the second value.
    async fn content(
        &self,
        client: &Client,
        descriptor: &Descriptor,
        progress: &Progress,
    ) -> Result<(Content, Option<tempfile::TempPath>)> {
        match self.place() {
            Place::Layout(layout, _) => Ok((Content::File(layout.blob_path(&descriptor.digest)), None)),
            Place::Registry(..) if descriptor.size <= IN_MEMORY => {
                Ok((Content::Bytes(Bytes::from(self.blob(client, descriptor).await?)), None))
            }
            Place::Registry(from, repository) => {
                let path = tempfile::NamedTempFile::new()
                    .map_err(Error::io("creating a file in", std::env::temp_dir()))?
                    .into_temp_path();
                from.blob_to_file(repository, descriptor, &path, progress).await?;
                Ok((Content::File(path.to_path_buf()), Some(path)))
            }
        }
    }
}

/// Blobs of these manifests, each once.
fn blobs<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<&'a Descriptor> {
    let mut seen = BTreeSet::<Digest>::new();
    nodes.into_iter().flat_map(|node| &node.contents.blobs).filter(|blob| seen.insert(blob.digest)).collect()
}
