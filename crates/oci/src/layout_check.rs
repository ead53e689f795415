//! Is a layout's image all there, byte for byte?

use std::{collections::HashSet, fs::File, io::Read as _};

use sha2::{Digest as _, Sha256};

use crate::{
    digest::Digest,
    error::OciError,
    json,
    layout::Layout,
    manifest::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, Descriptor, IMAGE_INDEX, IMAGE_MANIFEST, Index, Manifest},
};

/// Most blobs that one image may have, platforms together: a hostile index could name millions.
const MAX_BLOBS: usize = 10_000;
/// Bytes of a blob in memory at a time.
const CHUNK: usize = 64 << 10;

impl Layout {
    /// The one image's descriptor, after its manifest, its configuration and every layer (for an index, those of every
    /// platform) were read and held against size and digest.
    ///
    /// # Errors
    /// As [`Layout::image_descriptor`]; [`OciError::MediaType`] for something else; [`OciError::Size`] and [`OciError::Mismatch`] for damaged content; a missing
    /// file; [`OciError::TooLarge`] for more blobs than an image has.
    pub fn check_image(&self) -> Result<Descriptor, OciError> {
        let image = self.image_descriptor()?;
        if ![IMAGE_MANIFEST, DOCKER_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST_LIST].contains(&image.media_type.as_str()) {
            return Err(OciError::MediaType { got: image.media_type, want: IMAGE_MANIFEST });
        }
        let mut seen = HashSet::new();
        let mut open = vec![image.clone()];
        while let Some(descriptor) = open.pop() {
            if !seen.insert((descriptor.digest, descriptor.size)) {
                continue;
            }
            if seen.len() > MAX_BLOBS {
                return Err(OciError::TooLarge {
                    what: "the list of the image's blobs".to_owned(),
                    limit: MAX_BLOBS as u64,
                });
            }
            match descriptor.media_type.as_str() {
                IMAGE_MANIFEST | DOCKER_MANIFEST => {
                    let bytes = self.document(&descriptor)?;
                    let manifest: Manifest = json::from_slice(&bytes).map_err(OciError::json("the manifest"))?;
                    open.extend(std::iter::once(manifest.config).chain(manifest.layers));
                }
                IMAGE_INDEX | DOCKER_MANIFEST_LIST => {
                    let bytes = self.document(&descriptor)?;
                    let index: Index = json::from_slice(&bytes).map_err(OciError::json("the index"))?;
                    open.extend(index.manifests);
                }
                _ => self.check_blob(&descriptor)?,
            }
        }
        Ok(image)
    }

    /// Without holding it in memory.
    fn check_blob(&self, descriptor: &Descriptor) -> Result<(), OciError> {
        let path = self.blob_path(&descriptor.digest);
        let failed = |error| OciError::io("reading blob", &path)(error);
        let mut file = File::open(&path).map_err(failed)?.take(descriptor.size.saturating_add(1));
        let (mut hasher, mut chunk, mut got) = (Sha256::new(), vec![0; CHUNK], 0);
        loop {
            let count = file.read(&mut chunk).map_err(failed)?;
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
            hasher.update(read);
            got += count as u64;
        }
        let (digest, want) = (descriptor.digest, descriptor.size);
        if got != want {
            return Err(OciError::Size { digest, want, got });
        }
        let got = Digest::from_bytes(hasher.finalize().into());
        if got != digest {
            return Err(OciError::Mismatch { want: digest, got });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use super::*;
    use crate::{Access, ContainerConfig, LayerBuilder, assemble};

    #[test]
    fn an_image_of_which_one_byte_changed_anywhere_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let builder = Layout::create(directory.path().join("layout")).unwrap();
        let mut layer = LayerBuilder::new();
        layer.file("program", Access::root(0o555), "text").unwrap();
        let image = assemble(ContainerConfig::default(), vec![(layer.build().unwrap(), "test")]).unwrap();
        let descriptor = builder.add_image(&image).unwrap();
        let index = serde_json::to_vec(&Index::new(vec![descriptor])).unwrap();
        let outer = builder.add_blob(IMAGE_INDEX, &index).unwrap();
        let layout = builder.finish(vec![outer]).unwrap();
        let all: Vec<Digest> = image
            .blobs
            .iter()
            .map(|(one, _)| one.digest)
            .chain([image.descriptor.digest, Digest::of(&index)])
            .collect();
        assert_eq!(layout.check_image().unwrap().digest, Digest::of(&index));
        for digest in all {
            let path = layout.blob_path(&digest);
            let good = fs::read(&path).unwrap();
            let mut bad = good.clone();
            *bad.last_mut().unwrap() ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(layout.check_image(), Err(OciError::Mismatch { .. })), "{digest}");
            bad.pop();
            fs::write(&path, &bad).unwrap();
            assert!(matches!(layout.check_image(), Err(OciError::Size { .. })), "{digest}");
            fs::remove_file(&path).unwrap();
            assert!(matches!(layout.check_image(), Err(OciError::Io { .. })), "{digest}");
            fs::write(&path, &good).unwrap();
        }
        layout.check_image().unwrap();
    }
}
