//! The layout directory as a destination.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use csign_envelope::sig_image::{EncodedSigImage, SigImage, SigImageError};
use csign_oci::{
    Descriptor, Layout, LayoutWriter, OciError, Tag,
    attached::{KIND, KIND_ATTESTATIONS, KIND_IMAGE, KIND_INDEX, KIND_SIGNATURES, REF_NAME},
    manifest::{DOCKER_MANIFEST_LIST, IMAGE_INDEX},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{BLOBS_AT_ONCE, Copied, Job, blobs, merge};
use crate::{
    artifact::Kind,
    attachments::{Attachment, Node, Place},
    error::{Error, Result},
    records::Family,
};

impl Job<'_> {
    pub(super) async fn to_layout(&self, path: &Path, mut copied: Copied) -> Result<Copied> {
        let (writer, graph) = (LayoutWriter::open(path)?, self.graph);
        let mut entries = Vec::new();
        match writer.before() {
            Some(before) => {
                let has = before.image_descriptor()?.digest;
                if has != graph.image {
                    return Err(OciError::OtherImage { path: path.to_owned(), has, want: graph.image }.into());
                }
                entries.clone_from(&before.index().manifests);
            }
            None if self.options.image => {}
            None => return Err(OciError::NotALayout { path: path.to_owned(), why: "it is empty".to_owned() }.into()),
        }
        // 2.
        let mut nodes = self.manifests();
        nodes.extend(self.tagged().map(|(_, _, node)| node));
        self.write_blobs(&writer, &blobs(nodes.iter().copied()), &mut copied).await?;
        // 3.
        for Node { manifest, .. } in &nodes {
            if writer.has(&manifest.descriptor())? {
                copied.present += 1;
            } else {
                writer.add_blob(&manifest.media_type, &manifest.bytes)?;
                copied.manifests += 1;
            }
        }
        if let Some(node) = graph.node(&graph.image).filter(|_| !entries.iter().any(|e| e.digest == graph.image)) {
            let index = [IMAGE_INDEX, DOCKER_MANIFEST_LIST].contains(&node.manifest.media_type.as_str());
            let kind = if index { KIND_INDEX } else { KIND_IMAGE };
            entries.insert(0, entry(node, [(KIND, kind)]));
        }
        for (one, tag, node) in self.tagged() {
            self.add_tag(&writer, &mut entries, (one, tag, node), &mut copied)?;
        }
        for one in graph.attachments.iter().filter(|one| one.tag.is_none()) {
            let listed = entries.iter().any(|entry| entry.digest == one.digest);
            if let Some(node) = graph.node(&one.digest).filter(|_| !listed) {
                let mut entry = entry(node, []);
                if let Some(kind) = &node.contents.artifact_type {
                    entry.extra.insert("artifactType".to_owned(), kind.as_str().into());
                }
                entries.push(entry);
            }
        }
        writer.finish(entries)?;
        Ok(copied)
    }

    async fn write_blobs(&self, writer: &LayoutWriter, blobs: &[&Descriptor], copied: &mut Copied) -> Result<()> {
        let mut writes = Vec::new();
        for blob in blobs {
            writes.push(async move { Ok::<_, Error>((!self.write_blob(writer, blob).await?, blob.size)) });
        }
        let mut writes = stream::iter(writes).buffer_unordered(BLOBS_AT_ONCE);
        while let Some((present, size)) = writes.try_next().await? {
            if present {
                copied.present += 1;
            } else {
                copied.blobs += 1;
                copied.bytes += size;
            }
        }
        Ok(())
    }

    /// Says whether the blob had to be written.
    async fn write_blob(&self, writer: &LayoutWriter, blob: &Descriptor) -> Result<bool> {
        if writer.has(blob)? {
            return Ok(false);
        }
        match self.source.place() {
            Place::Registry(client, repository) => {
                let open = || Ok(writer.blob_writer(blob)?);
                client.download(repository, blob, self.progress, "the layout".as_ref(), open).await?.finish()?;
            }
            Place::Layout(layout, _) => {
                let path = layout.blob_path(&blob.digest);
                let mut out = writer.blob_writer(blob)?;
                let mut file = fs::File::open(&path).map_err(Error::io("reading", &path))?;
                io::copy(&mut file, &mut out).map_err(Error::io("copying", &path))?;
                out.flush().map_err(Error::io("copying", &path))?;
                out.finish()?;
            }
        }
        Ok(true)
    }

    /// Adds the entry for an attachment by tag, or merges it with the one that is there.
    fn add_tag(
        &self,
        writer: &LayoutWriter,
        entries: &mut Vec<Descriptor>,
        (one, tag, node): (&Attachment, &Tag, &Node),
        copied: &mut Copied,
    ) -> Result<()> {
        let image = self.graph.image;
        let mut new = entry(node, [(REF_NAME, tag.as_str())]);
        let kind = match one.kind {
            Kind::Signature if tag.as_str().ends_with(".sig") => Some(KIND_SIGNATURES),
            Kind::Attestation => Some(KIND_ATTESTATIONS),
            _ => None,
        };
        // cosign takes what has a kind for the image's own.
        if let Some(kind) = kind.filter(|_| one.subject == image) {
            new.annotations.insert(KIND.to_owned(), kind.to_owned());
        }
        let there = entries.iter_mut().find(|entry| Layout::attaching_tag(entry, &image).as_ref() == Some(tag));
        let Some(there) = there else {
            entries.push(new);
            return Ok(());
        };
        if there.digest == new.digest {
            return Ok(());
        }
        let family = [Family::Signatures, Family::Attestations].into_iter().find(|family| family.kind() == one.kind);
        let (Some(before), Some(family)) = (writer.before(), family) else {
            copied.left.push(format!("{tag}: the layout has another one, {}, which stays", there.digest));
            return Ok(());
        };
        if let Some(merged) = merged(before, family, there, node)? {
            writer.add_blob(&merged.config_media_type, &merged.config)?;
            let descriptor = writer.add_blob(&merged.media_type, &merged.manifest)?;
            copied.manifests += 1;
            (there.media_type, there.size, there.digest) = (merged.media_type, descriptor.size, descriptor.digest);
        }
        Ok(())
    }
}

/// An image that holds what is there and what `node` adds to it; `None` if it adds nothing.
fn merged(before: &Layout, family: Family, there: &Descriptor, node: &Node) -> Result<Option<EncodedSigImage>> {
    let unreadable = |source: SigImageError| Error::Malformed {
        doing: format!("merging with {}", there.digest),
        host: before.root().display().to_string(),
        why: source.to_string(),
    };
    let mut merged = SigImage::parse(&before.document(there)?).map_err(unreadable)?;
    let lacking = merge::missing(family, node.contents.layers().iter().cloned(), merged.layers());
    if lacking.is_empty() {
        return Ok(None);
    }
    if let Some(config) = merged.foreign_config().cloned() {
        merged.set_config(&before.document(&config)?).map_err(unreadable)?;
    }
    lacking.into_iter().for_each(|layer| merged.append(layer));
    merged.encode().map(Some).map_err(unreadable)
}

fn entry<const N: usize>(node: &Node, annotations: [(&str, &str); N]) -> Descriptor {
    let mut entry = node.manifest.descriptor();
    entry.annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    entry
}
