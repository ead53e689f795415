//! What is attached to an image, wherever it is: in a registry (tags beside the image, referrers) or in a layout.
//!
//! Nothing here is judged: anyone can attach anything. A listing is complete or it is an error.

use std::collections::{BTreeMap, HashSet};

use csign_oci::{Descriptor, Digest, Layout, LayoutAttachment, Pinned, Repository, Tag};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::OnceCell;

use crate::{
    artifact::{Contents, Kind},
    client::Client,
    error::{Error, Result},
    manifest::{FetchedManifest, TagOrDigest, media_type},
    records::Family,
};

/// Requests on their way at the same time.
pub(crate) const AT_ONCE: usize = 8;
/// How deep referrers of referrers, and indexes of indexes, are followed.
const DEPTH: usize = 8;
/// Largest sum of all manifests in memory, in largest manifests.
const TOTAL: u64 = 64;

/// Where an image and what is attached to it are read.
pub struct Source {
    place: Place,
    /// The image's own descriptor.
    image: Descriptor,
    /// All tags of the repository, once somebody has to ask.
    tags: OnceCell<Vec<Tag>>,
}

pub(crate) enum Place {
    Registry(Client, Repository),
    Layout(Layout, Vec<LayoutAttachment>),
}

/// A manifest and what it refers to.
#[derive(Clone, Debug)]
pub struct Node {
    /// As it was read; the digest was checked.
    pub manifest: FetchedManifest,
    /// What it refers to.
    pub contents: Contents,
}

/// Something that is attached to something.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What it is attached to.
    pub subject: Digest,
    /// The tag that attaches it; `None` for a referrer.
    pub tag: Option<Tag>,
    /// What it says it is.
    pub kind: Kind,
    /// One of csign's records, which repeat what `.sig` and `.att` hold so that no writer can lose it.
    pub record: bool,
    /// Its manifest.
    pub digest: Digest,
}

/// An image, its parts and everything attached to any of them.
pub struct Graph {
    /// The image's digest.
    pub image: Digest,
    /// All manifests, by digest.
    pub nodes: BTreeMap<Digest, Node>,
    /// What is attached, subjects before what is attached to them.
    pub attachments: Vec<Attachment>,
    /// What else was found, for people.
    pub remarks: Remarks,
}

/// What a reader of listings should know besides what is attached.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Listed, but not there, or there and not attached to what the listing says: nothing is lost without it.
    pub gone: Vec<String>,
    /// Attached, but not readable by csign: it is neither shown nor copied.
    pub unread: Vec<String>,
}

/// What is attached to one manifest.
#[derive(Default)]
struct Found {
    attachments: Vec<(Attachment, Node)>,
    remarks: Remarks,
}

impl Source {
    /// An image in a registry.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub async fn registry(client: &Client, image: &Pinned) -> Result<Self> {
        let fetched = client.required_manifest(&image.repository, image.digest).await?;
        let place = Place::Registry(client.clone(), image.repository.clone());
        Ok(Self { place, image: fetched.descriptor(), tags: OnceCell::new() })
    }

    /// The one image of a layout.
    ///
    /// # Errors
    /// A layout that is not about exactly one image.
    pub fn layout(layout: Layout) -> Result<Self> {
        let (mut image, attachments) = (layout.image_descriptor()?, layout.attachments()?);
        image.annotations.clear();
        Ok(Self { place: Place::Layout(layout, attachments), image, tags: OnceCell::new() })
    }

    /// The image's digest.
    pub fn digest(&self) -> Digest {
        self.image.digest
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Reads the image's manifests and those of everything attached whose kind is `wanted`, to any depth.
    ///
    /// # Errors
    /// Whatever keeps one of them from being read; more levels or manifests than honest images have.
    pub async fn graph(&self, limits: &crate::Limits, wanted: impl Fn(Kind) -> bool) -> Result<Graph> {
        let doing = || format!("reading what is attached to {}", self.image.digest);
        let mut graph = Graph {
            image: self.image.digest,
            nodes: BTreeMap::new(),
            attachments: Vec::new(),
            remarks: Remarks::default(),
        };
        let mut seen = HashSet::from([self.image.digest]);
        let mut level: Vec<(Descriptor, Option<Node>)> = vec![(self.image.clone(), None)];
        let mut bytes = 0;
        for _ in 0..DEPTH {
            let mut reads = Vec::new();
            for (descriptor, known) in level.drain(..) {
                reads.push(async move {
                    let node = match known {
                        Some(node) => node,
                        None => self.node(&descriptor).await?,
                    };
                    let found = self.attached(&descriptor.digest).await?;
                    Ok::<_, Error>((node, found))
                });
            }
            let read: Vec<_> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
            for (node, found) in read {
                for child in &node.contents.manifests {
                    if seen.insert(child.digest) {
                        level.push((child.clone(), None));
                    }
                }
                bytes += node.manifest.bytes.len() as u64;
                graph.nodes.insert(node.manifest.digest, node);
                graph.remarks.add(found.remarks);
                for (attachment, node) in found.attachments.into_iter().filter(|(one, _)| wanted(one.kind)) {
                    if attachment.tag.is_none() && seen.insert(attachment.digest) {
                        level.push((node.manifest.descriptor(), Some(node)));
                    } else if attachment.tag.is_some() {
                        bytes += node.manifest.bytes.len() as u64;
                        graph.nodes.entry(attachment.digest).or_insert(node);
                    }
                    graph.attachments.push(attachment);
                }
            }
            let limit = limits.entries as u64;
            if (seen.len() + graph.attachments.len()) as u64 > limit {
                return Err(Error::TooLarge { doing: doing(), limit, unit: "manifests" });
            }
            let limit = limits.manifest.saturating_mul(TOTAL);
            if bytes > limit {
                return Err(Error::TooLarge { doing: doing(), limit, unit: "bytes of manifests" });
            }
            if level.is_empty() {
                return Ok(graph);
            }
        }
        graph.remarks.unread.push(format!("what is attached to {}, more than {DEPTH} levels deep", self.image.digest));
        let nodes = &graph.nodes;
        graph.attachments.retain(|attachment| nodes.contains_key(&attachment.digest));
        Ok(graph)
    }

    /// What is attached to the image itself, of the kinds that are `wanted`.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub async fn attachments(&self, wanted: impl Fn(Kind) -> bool) -> Result<(Vec<(Attachment, Node)>, Remarks)> {
        let found = self.attached(&self.image.digest).await?;
        let attachments = found.attachments.into_iter().filter(|(one, _)| wanted(one.kind)).collect();
        Ok((attachments, found.remarks))
    }

    async fn node(&self, descriptor: &Descriptor) -> Result<Node> {
        let fetched = match &self.place {
            Place::Registry(client, repository) => client.required_manifest(repository, descriptor.digest).await?,
            Place::Layout(layout, _) => layout_manifest(layout, descriptor)?,
        };
        let doing = format!("reading manifest {}", fetched.digest);
        parse(fetched).map_err(|why| Error::Malformed { doing, host: self.name(), why })
    }

    /// The source, for messages.
    fn name(&self) -> String {
        match &self.place {
            Place::Registry(_, repository) => repository.registry().to_owned(),
            Place::Layout(layout, _) => layout.root().display().to_string(),
        }
    }

    async fn attached(&self, subject: &Digest) -> Result<Found> {
        match &self.place {
            Place::Registry(client, repository) => self.in_registry(client, &repository.at(*subject)).await,
            Place::Layout(layout, attachments) => in_layout(layout, attachments, subject),
        }
    }

    async fn in_registry(&self, client: &Client, image: &Pinned) -> Result<Found> {
        let mut names: Vec<TagOrDigest> =
            [".sig", ".att", ".sbom"].map(|suffix| Tag::for_digest(&image.digest, suffix).into()).into();
        let referrers = match client.referrers_api(image, None).await? {
            Some(referrers) => referrers,
            // Where the registry lists nothing itself, tags keep what other writers cannot overwrite.
            None => {
                let prefix = Tag::for_digest(&image.digest, ".");
                let tags = self.tags.get_or_try_init(|| client.tags(&image.repository)).await?;
                for tag in tags.iter().filter(|tag| tag.as_str().starts_with(prefix.as_str())) {
                    if !names.contains(&tag.clone().into()) {
                        names.push(tag.clone().into());
                    }
                }
                client.referrers(image, None).await?
            }
        };
        let listed: HashSet<Digest> = referrers.iter().map(|descriptor| descriptor.digest).collect();
        names.extend(referrers.iter().map(|descriptor| TagOrDigest::from(descriptor.digest)));
        let mut reads = Vec::new();
        for name in names {
            reads.push(async move {
                let manifest = client.manifest(&image.repository, &name).await?;
                Ok::<_, Error>((name, manifest))
            });
        }
        let mut reads = stream::iter(reads).buffered(AT_ONCE);
        let (mut found, mut bytes, limit) = (Found::default(), 0, client.limits().manifest.saturating_mul(TOTAL));
        while let Some((name, manifest)) = reads.try_next().await? {
            bytes += manifest.as_ref().map_or(0, |manifest| manifest.bytes.len() as u64);
            if bytes > limit {
                let doing = format!("reading what is attached to {image}");
                return Err(Error::TooLarge { doing, limit, unit: "bytes of manifests" });
            }
            let Some(manifest) = manifest else {
                if let TagOrDigest::Digest(digest) = name {
                    found.remarks.gone.push(format!("{digest} is listed as attached to {image}, but is not there"));
                }
                continue;
            };
            let digest = manifest.digest;
            let node = match parse(manifest) {
                Ok(node) => node,
                Err(why) => {
                    found.remarks.unread.push(format!("{name}, attached to {image}: {why}"));
                    continue;
                }
            };
            let refers = node.contents.subject.as_ref().is_some_and(|subject| subject.digest == image.digest);
            match name {
                TagOrDigest::Digest(_) if refers => found.add(&image.digest, None, node),
                TagOrDigest::Digest(_) => {
                    found
                        .remarks
                        .gone
                        .push(format!("{digest} is listed as attached to {image}, but says that it is not"));
                }
                // A referrer may be kept under a tag besides being listed.
                TagOrDigest::Tag(_) if refers && listed.contains(&digest) => {}
                TagOrDigest::Tag(_) if refers => found.add(&image.digest, None, node),
                TagOrDigest::Tag(tag) => found.add(&image.digest, Some(tag), node),
            }
        }
        Ok(found)
    }
}

fn in_layout(layout: &Layout, attachments: &[LayoutAttachment], subject: &Digest) -> Result<Found> {
    let mut found = Found::default();
    for LayoutAttachment { descriptor, tag, .. } in attachments.iter().filter(|one| one.subject == *subject) {
        match parse(layout_manifest(layout, descriptor)?) {
            Ok(node) => found.add(subject, tag.clone(), node),
            Err(why) => {
                found.remarks.unread.push(format!("{}, attached to {subject}: {why}", descriptor.digest));
            }
        }
    }
    Ok(found)
}

fn layout_manifest(layout: &Layout, descriptor: &Descriptor) -> Result<FetchedManifest> {
    let bytes = layout.document(descriptor)?;
    let media_type = media_type(&bytes, None).unwrap_or_else(|| descriptor.media_type.clone());
    Ok(FetchedManifest { media_type, digest: descriptor.digest, bytes })
}

fn parse(manifest: FetchedManifest) -> std::result::Result<Node, String> {
    let contents = Contents::parse(&manifest.media_type, &manifest.bytes)?;
    Ok(Node { manifest, contents })
}

impl Remarks {
    fn add(&mut self, more: Self) {
        self.gone.extend(more.gone);
        self.unread.extend(more.unread);
    }
}

impl Found {
    fn add(&mut self, subject: &Digest, tag: Option<Tag>, node: Node) {
        let family = |text: &str, of: fn(Family) -> &'static str| {
            [Family::Signatures, Family::Attestations].into_iter().find(|family| text.ends_with(of(*family)))
        };
        let artifact_type = node.contents.artifact_type.as_deref();
        let (kind, record) = match tag.as_ref().map(Tag::as_str) {
            None => {
                (node.contents.kind(), artifact_type.is_some_and(|kind| family(kind, Family::artifact_type).is_some()))
            }
            Some(tag) if tag.ends_with(".sbom") => (Kind::Sbom, false),
            Some(tag) => match (family(tag, Family::suffix), family(tag, Family::record_suffix)) {
                (Some(family), _) => (family.kind(), false),
                (None, Some(family)) => (family.kind(), true),
                (None, None) => (Kind::Referrer, false),
            },
        };
        if tag.is_some() && !node.contents.manifests.is_empty() {
            return self.remarks.unread.push(format!("{}, attached to {subject}: an index", node.manifest.digest));
        }
        let digest = node.manifest.digest;
        self.attachments.push((Attachment { subject: *subject, tag, kind, record, digest }, node));
    }
}

impl Graph {
    /// The manifest with this digest.
    pub fn node(&self, digest: &Digest) -> Option<&Node> {
        self.nodes.get(digest)
    }

    /// `root` and the manifests that it consists of, each after those that it refers to.
    pub(crate) fn parts(&self, root: &Digest) -> Vec<&Node> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        let mut stack = vec![(*root, false)];
        while let Some((digest, children_done)) = stack.pop() {
            let Some(node) = self.nodes.get(&digest) else { continue };
            if children_done {
                order.push(node);
            } else if seen.insert(digest) {
                stack.push((digest, true));
                stack.extend(node.contents.manifests.iter().rev().map(|child| (child.digest, false)));
            }
        }
        order
    }
}
