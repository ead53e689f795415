//! Which entry of a layout is the image and which are attached to it.
//!
//! `cosign save` marks entries with the annotation `kind` and lists bundles nowhere: their manifests lie among the blobs
//! and name their subject. Other tools list them in `index.json`. Tags are entries with a reference name.

use std::fs;

use serde::Deserialize;

use crate::{
    digest::Digest,
    error::OciError,
    json,
    layout::{Layout, MAX_DOCUMENT, read_bounded},
    manifest::{Descriptor, Index},
    reference::Tag,
};

/// Annotation with which `cosign save` says what an entry of `index.json` is.
pub const KIND: &str = "kind";
/// The image.
pub const KIND_IMAGE: &str = "dev.cosignproject.cosign/image";
/// The image, if it is an index of several platforms.
pub const KIND_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
/// The image under the tag `.sig`.
pub const KIND_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
/// The image under the tag `.att`.
pub const KIND_ATTESTATIONS: &str = "dev.cosignproject.cosign/atts";
/// The name of an entry, for instance its tag (OCI image specification 1.1, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Most files looked at in `blobs/sha256`: a layout could hold millions.
const MAX_BLOBS: usize = 100_000;

/// A manifest that is attached to another one in a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutAttachment {
    /// The manifest.
    pub descriptor: Descriptor,
    /// What it is attached to.
    pub subject: Digest,
    /// The tag that attaches it, for instance `sha256-<hex>.sig`; `None` for a referrer, whose manifest names its subject.
    pub tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Probe {
    #[serde(default, rename = "mediaType")]
    media_type: Option<String>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

impl Layout {
    /// The one image or index that the layout is about; everything else that it lists must be attached to something.
    ///
    /// # Errors
    /// [`OciError::NotOneImage`]; damage in a manifest that had to be read to tell.
    pub fn image_descriptor(&self) -> Result<Descriptor, OciError> {
        image_among(self.index(), |entry| match self.blob_path(&entry.digest).exists() {
            true => self.document(entry).map(Some),
            false => Ok(None),
        })
    }

    /// Everything attached to anything in the layout, each once, sorted by subject, tag and digest.
    ///
    /// # Errors
    /// As [`Layout::image_descriptor`]; [`OciError::TooLarge`] for too many blobs.
    pub fn attachments(&self) -> Result<Vec<LayoutAttachment>, OciError> {
        let image = self.image_descriptor()?;
        let mut found: Vec<LayoutAttachment> = Vec::new();
        for entry in &self.index().manifests {
            let tag = Self::attaching_tag(entry, &image.digest);
            let subject = match &tag {
                Some(tag) => subject_of(tag),
                None if entry.digest == image.digest => None,
                None => self.probe(entry)?.and_then(|probe| probe.subject).map(|subject| subject.digest),
            };
            if let Some(subject) = subject {
                found.push(LayoutAttachment { descriptor: plain(entry), subject, tag });
            }
        }
        for (descriptor, subject) in self.unlisted(&image.digest)? {
            found.push(LayoutAttachment { descriptor, subject, tag: None });
        }
        let key = |one: &LayoutAttachment| {
            (one.subject, one.tag.as_ref().map(|tag| tag.as_str().to_owned()), one.descriptor.digest)
        };
        found.sort_by_key(key);
        found.dedup_by_key(|one| key(one));
        Ok(found)
    }

    /// The tag of an entry of `index.json` that is attached by one, in a layout of the image `image`.
    pub fn attaching_tag(entry: &Descriptor, image: &Digest) -> Option<Tag> {
        named_tag(entry).or_else(|| match entry.annotations.get(KIND).map(String::as_str) {
            Some(KIND_SIGNATURES) => Some(Tag::for_digest(image, ".sig")),
            Some(KIND_ATTESTATIONS) => Some(Tag::for_digest(image, ".att")),
            _ => None,
        })
    }

    /// Manifests among the blobs that have a subject, as `cosign save` leaves bundles.
    fn unlisted(&self, image: &Digest) -> Result<Vec<(Descriptor, Digest)>, OciError> {
        let directory = self.root().join("blobs/sha256");
        let entries = fs::read_dir(&directory).map_err(OciError::io("reading directory", &directory))?;
        let mut found = Vec::new();
        for (count, entry) in entries.enumerate() {
            if count == MAX_BLOBS {
                return Err(OciError::TooLarge { what: "the number of blobs".to_owned(), limit: MAX_BLOBS as u64 });
            }
            let entry = entry.map_err(OciError::io("reading directory", &directory))?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
            let size = entry.metadata().map_err(OciError::io("reading", entry.path()))?.len();
            let Some(digest) = digest.filter(|digest| digest != image && size <= MAX_DOCUMENT) else { continue };
            let bytes = read_bounded(&entry.path(), MAX_DOCUMENT)?;
            // Most blobs are no manifests; only one that is what its name says can be attached to anything.
            if !bytes.starts_with(b"{") || Digest::of(&bytes) != digest {
                continue;
            }
            let Ok(Probe { media_type: Some(kind), subject: Some(subject), layers, manifests }) =
                json::from_slice::<Probe>(&bytes)
            else {
                continue;
            };
            if layers.is_some() || manifests.is_some() {
                found.push((Descriptor::of(&kind, &bytes), subject.digest));
            }
        }
        Ok(found)
    }

    fn probe(&self, entry: &Descriptor) -> Result<Option<Probe>, OciError> {
        match self.blob_path(&entry.digest).exists() {
            true => Probe::parse(&self.document(entry)?).map(Some),
            false => Ok(None),
        }
    }
}

impl Probe {
    fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        json::from_slice(bytes).map_err(OciError::json("a manifest of the layout"))
    }
}

/// The one image or index among the entries of a layout's `index.json`, as [`Layout::image_descriptor`]. `document` reads
/// an entry's manifest; it gives `None` for one that is not in the layout, as an index may list other platforms.
///
/// # Errors
/// [`OciError::NotOneImage`]; whatever `document` fails with.
pub fn image_among(
    index: &Index,
    mut document: impl FnMut(&Descriptor) -> Result<Option<Vec<u8>>, OciError>,
) -> Result<Descriptor, OciError> {
    if let [only] = index.manifests.as_slice() {
        return Ok(only.clone());
    }
    let mut is_attached = |entry: &Descriptor| {
        match entry.annotations.get(KIND).map(String::as_str) {
            Some(KIND_IMAGE | KIND_INDEX) => return Ok(false),
            Some(KIND_SIGNATURES | KIND_ATTESTATIONS) => return Ok(true),
            _ => {}
        }
        if named_tag(entry).is_some() {
            return Ok(true);
        }
        match document(entry)? {
            Some(bytes) => Ok(Probe::parse(&bytes)?.subject.is_some()),
            None => Ok(false),
        }
    };
    let mut images: Vec<&Descriptor> = Vec::new();
    for entry in &index.manifests {
        if !is_attached(entry)? && !images.iter().any(|known| known.digest == entry.digest) {
            images.push(entry);
        }
    }
    match images.as_slice() {
        [image] => Ok((*image).clone()),
        _ => Err(OciError::NotOneImage(images.len())),
    }
}

/// The image that a tag of the form `sha256-<hex>.<suffix>` belongs to.
fn subject_of(tag: &Tag) -> Option<Digest> {
    let (hex, suffix) = tag.as_str().strip_prefix("sha256-")?.split_once('.')?;
    if suffix.is_empty() { None } else { Digest::parse(&format!("sha256:{hex}")).ok() }
}

fn named_tag(entry: &Descriptor) -> Option<Tag> {
    let tag = Tag::parse(entry.annotations.get(REF_NAME)?).ok()?;
    subject_of(&tag).map(|_| tag)
}

/// The descriptor without the annotations that only make sense in `index.json`.
fn plain(entry: &Descriptor) -> Descriptor {
    let mut descriptor = entry.clone();
    descriptor.annotations.remove(KIND);
    descriptor.annotations.remove(REF_NAME);
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{IMAGE_MANIFEST, Manifest};

    /// A manifest that `annotation` tells apart, attached to `subject`.
    fn manifest(layout: &crate::LayoutBuilder, annotation: &str, subject: Option<&Descriptor>) -> Descriptor {
        let mut manifest = Manifest::new(Descriptor::empty(), Vec::new());
        manifest.annotations.insert("a".to_owned(), annotation.to_owned());
        manifest.subject = subject.cloned();
        layout.add_blob(IMAGE_MANIFEST, &manifest.to_bytes().unwrap()).unwrap()
    }

    fn marked(mut entry: Descriptor, key: &str, value: &str) -> Descriptor {
        entry.annotations.insert(key.to_owned(), value.to_owned());
        entry
    }

    #[test]
    fn the_image_and_its_attachments_are_found_as_cosign_and_as_others_write_them() {
        let directory = tempfile::tempdir().unwrap();
        let builder = Layout::create(directory.path().join("layout")).unwrap();
        let image = manifest(&builder, "image", None);
        let [signatures, child] = ["signatures", "child"].map(|text| manifest(&builder, text, None));
        let [listed, unlisted] = ["listed", "unlisted"].map(|text| manifest(&builder, text, Some(&image)));
        let tag = Tag::for_digest(&Digest::of("another"), ".att");
        let layout = builder
            .finish(vec![
                marked(signatures.clone(), KIND, KIND_SIGNATURES),
                marked(image.clone(), KIND, KIND_IMAGE),
                listed.clone(),
                marked(child.clone(), REF_NAME, tag.as_str()),
            ])
            .unwrap();
        assert_eq!(layout.image().unwrap().0.digest, image.digest);
        let mut want = [
            (signatures, image.digest, Some(Tag::for_digest(&image.digest, ".sig"))),
            (listed, image.digest, None),
            (unlisted, image.digest, None),
            (child, Digest::of("another"), Some(tag)),
        ]
        .map(|(descriptor, subject, tag)| LayoutAttachment { descriptor, subject, tag });
        let key = |one: &LayoutAttachment| (one.subject, one.tag.clone(), one.descriptor.digest);
        want.sort_by_key(key);
        assert_eq!(layout.attachments().unwrap(), want);
    }

    #[test]
    fn of_two_images_neither_is_picked_not_even_a_marked_one() {
        let directory = tempfile::tempdir().unwrap();
        let builder = Layout::create(directory.path().join("layout")).unwrap();
        let [one, two] = ["one", "two"].map(|text| manifest(&builder, text, None));
        let layout = builder.finish(vec![marked(one.clone(), KIND, KIND_IMAGE), two]).unwrap();
        assert!(matches!(layout.image_descriptor(), Err(OciError::NotOneImage(2))));
        // The same one under two names is one.
        let builder = Layout::create(directory.path().join("again")).unwrap();
        let one = manifest(&builder, "one", None);
        let named = marked(one.clone(), REF_NAME, "v1");
        assert_eq!(builder.finish(vec![one.clone(), named]).unwrap().image().unwrap().0.digest, one.digest);
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_attached_to_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let builder = Layout::create(directory.path().join("layout")).unwrap();
        let image = manifest(&builder, "image", None);
        let forged = manifest(&builder, "forged", Some(&image));
        let layout = builder.finish(vec![image]).unwrap();
        assert_eq!(layout.attachments().unwrap().len(), 1);
        let path = layout.blob_path(&forged.digest);
        let text = fs::read_to_string(&path).unwrap().replace("forged", "FORGED");
        fs::write(path, text).unwrap();
        assert_eq!(layout.attachments().unwrap(), []);
    }
}
