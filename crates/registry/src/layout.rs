//! Whole images between an OCI layout on disk and a registry.

use csign_oci::{
    Descriptor, Layout, LayoutBuilder, Manifest, Pinned, Repository, Tag, json,
    manifest::{DOCKER_MANIFEST, IMAGE_MANIFEST},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    blob::{Content, Progress},
    client::Client,
    error::{Error, Result},
    manifest::TagOrDigest,
};

/// Blobs on their way at the same time.
const AT_ONCE: usize = 4;

impl Client {
    /// Pushes the image of `layout`, and `tag` if given. The manifest goes last, so an interrupted push leaves none; what
    /// the registry has is not sent again.
    ///
    /// # Errors
    /// A damaged layout, before the damaged part is sent; a refusal.
    pub async fn push_layout(
        &self,
        layout: &Layout,
        repository: &Repository,
        tag: Option<&Tag>,
        progress: &Progress,
    ) -> Result<Pinned> {
        let (descriptor, _) = layout.image()?;
        let manifest = layout.blob(&descriptor)?;
        let mut pushes = Vec::new();
        for (each, path) in layout.contents()?.into_iter().filter(|(each, _)| each.digest != descriptor.digest) {
            pushes.push(async move { self.push_blob(repository, &each, Content::File(path), progress).await });
        }
        stream::iter(pushes).buffer_unordered(AT_ONCE).try_collect::<Vec<bool>>().await?;
        let reference = tag.map_or(TagOrDigest::Digest(descriptor.digest), |tag| TagOrDigest::Tag(tag.clone()));
        self.push_manifest(repository, &reference, &descriptor.media_type, &manifest).await?;
        Ok(repository.at(descriptor.digest))
    }

    /// Pulls `image` into `builder` and finishes the layout.
    ///
    /// # Errors
    /// Content that does not match; an index of several platforms; everything that keeps it from being read. The layout
    /// then does not appear.
    pub async fn pull_layout(&self, image: &Pinned, builder: LayoutBuilder, progress: &Progress) -> Result<Layout> {
        let fetched = self.required_manifest(&image.repository, image.digest).await?;
        let malformed = |why: String| Error::Malformed {
            doing: format!("pulling {image}"),
            host: image.repository.registry().to_owned(),
            why,
        };
        if ![IMAGE_MANIFEST, DOCKER_MANIFEST].contains(&fetched.media_type.as_str()) {
            return Err(malformed(format!("{:?}, not an image manifest", fetched.media_type)));
        }
        let manifest: Manifest =
            json::from_slice(&fetched.bytes).map_err(|e| malformed(format!("a malformed manifest: {e}")))?;
        let mut blobs: Vec<Descriptor> = vec![manifest.config];
        for layer in manifest.layers {
            if !blobs.iter().any(|known| known.digest == layer.digest) {
                blobs.push(layer);
            }
        }
        let layout = &builder;
        let mut downloads = Vec::new();
        for blob in &blobs {
            downloads.push(async move {
                let open = || Ok(layout.blob_writer(blob)?);
                let writer = self.download(&image.repository, blob, progress, "the layout".as_ref(), open).await?;
                Ok::<_, Error>(writer.finish()?)
            });
        }
        stream::iter(downloads).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        let descriptor = builder.add_blob(&fetched.media_type, &fetched.bytes)?;
        Ok(builder.finish(vec![descriptor])?)
    }
}
