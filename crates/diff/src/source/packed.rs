//! An archive: the tar of an OCI layout, or what `docker save`, skopeo and crane write; compressed or not.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read as _, Write as _},
    path::Path,
};

use csign_oci::{
    Descriptor, Digest, Index, Manifest, OciError,
    attached::image_among,
    json,
    manifest::{IMAGE_CONFIG, IMAGE_LAYER_GZIP, IMAGE_MANIFEST},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Blob, Root, Source, check};
use crate::{
    archive::{Entry, Walker},
    compression::{self, Decoder},
    error::DiffError,
    limits::Limits,
};

/// Most files in an archive of one image; a hostile one could have millions.
const MAX_FILES: usize = 65_536;
/// Links that are followed from one name to another.
const MAX_LINKS: usize = 8;
/// What a layer without compression is called.
const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// The same with zstd.
const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// An image in an archive.
#[derive(Debug)]
pub struct PackedSource {
    name: String,
    limits: Limits,
    files: HashMap<String, Found>,
    archive: Blob,
    form: Form,
}

#[derive(Debug)]
enum Found {
    File(u64, u64),
    Link(String),
}

#[derive(Debug)]
enum Form {
    /// An OCI layout.
    Layout(Index),
    /// Files named by a `manifest.json`; blobs by the digest that they turned out to have.
    Docker { root: Root, blobs: HashMap<Digest, Blob> },
}

/// One image of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    layers: Vec<String>,
}

impl PackedSource {
    /// Opens the archive at `path`: lists what is in it, and unpacks it to a temporary file if it is compressed.
    ///
    /// # Errors
    /// It is no archive of an image; it is damaged; it goes beyond `limits`.
    pub fn open(name: &str, path: &Path, limits: &Limits) -> Result<Self, DiffError> {
        let file = File::open(path).map_err(DiffError::reading(path))?;
        Self::of(name, Blob::whole(file)?, limits)
    }

    /// The same of what was opened already.
    pub(crate) fn of(name: &str, archive: Blob, limits: &Limits) -> Result<Self, DiffError> {
        let archive = unpacked(name, archive, limits)?;
        let files = list(name, &archive, limits)?;
        let mut source =
            Self { name: name.to_owned(), limits: *limits, files, archive, form: Form::Layout(Index::new(Vec::new())) };
        source.form = if source.files.contains_key("oci-layout") && source.files.contains_key("index.json") {
            let bytes = source.small("index.json")?;
            Form::Layout(json::from_slice(&bytes).map_err(source.json("index.json"))?)
        } else if source.files.contains_key("manifest.json") {
            source.docker()?
        } else {
            return Err(source.no_image("it has neither oci-layout and index.json nor manifest.json"));
        };
        Ok(source)
    }

    fn docker(&self) -> Result<Form, DiffError> {
        let images: Vec<DockerImage> =
            json::from_slice(&self.small("manifest.json")?).map_err(self.json("manifest.json"))?;
        let [image] = images.as_slice() else {
            return Err(self.no_image(&format!("it holds {} images, exactly one is required", images.len())));
        };
        if image.layers.len() > self.limits.layers {
            let limit = self.limits.layers as u64;
            return Err(DiffError::Limit { what: format!("the image in {}", self.name), limit, unit: "layers" });
        }
        let config = self.small(&image.config)?;
        let mut blobs = HashMap::new();
        let mut layers = Vec::new();
        for layer in &image.layers {
            let blob = self.file(layer)?;
            let descriptor = described(blob.clone())?;
            blobs.insert(descriptor.digest, blob);
            layers.push(descriptor);
        }
        let config_descriptor = Descriptor::of(IMAGE_CONFIG, &config);
        blobs.insert(config_descriptor.digest, self.file(&image.config)?);
        let manifest = Manifest::new(config_descriptor, layers);
        let bytes = manifest.to_bytes().map_err(self.json("the manifest"))?;
        let descriptor = Descriptor::of(IMAGE_MANIFEST, &bytes);
        Ok(Form::Docker { root: Root { descriptor, bytes, made_up: true }, blobs })
    }

    /// The file of this name, links followed.
    fn file(&self, name: &str) -> Result<Blob, DiffError> {
        let mut name = name.to_owned();
        for _ in 0..MAX_LINKS {
            match self.files.get(&name) {
                Some(Found::File(offset, length)) => return Ok(self.archive.part(*offset, *length)),
                Some(Found::Link(target)) => name = target.clone(),
                None => return Err(self.no_image(&format!("{name:.100} is missing in it"))),
            }
        }
        Err(self.no_image(&format!("{name:.100} is a link to a link to a link …")))
    }

    fn small(&self, name: &str) -> Result<Vec<u8>, DiffError> {
        let blob = self.file(name)?;
        let limit = self.limits.document;
        if blob.length() > limit {
            return Err(DiffError::Limit { what: format!("{name:.100} in {}", self.name), limit, unit: "bytes" });
        }
        let mut bytes = Vec::new();
        blob.take(limit).read_to_end(&mut bytes).map_err(DiffError::io(format!("reading {}", self.name)))?;
        Ok(bytes)
    }

    fn no_image(&self, why: &str) -> DiffError {
        DiffError::NotAnImage { name: self.name.clone(), why: why.to_owned() }
    }

    fn json(&self, what: &str) -> impl FnOnce(serde_json::Error) -> DiffError {
        let (what, name) = (what.to_owned(), self.name.clone());
        move |source| DiffError::Oci { name, source: OciError::Json { what, source } }
    }
}

impl Source for PackedSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn root(&self) -> Result<Root, DiffError> {
        match &self.form {
            Form::Docker { root, .. } => Ok(root.clone()),
            Form::Layout(index) => {
                // What `index.json` lists may be elsewhere; whoever needs it will say so.
                let known = |entry: &Descriptor| match self.files.contains_key(&path_of(entry)) {
                    true => self.document(entry).map(Some),
                    false => Ok(None),
                };
                let mut failure = None;
                let found = image_among(index, |entry| match known(entry) {
                    Ok(bytes) => Ok(bytes),
                    Err(error) => {
                        failure = Some(error);
                        Err(OciError::NotOneImage(0))
                    }
                });
                if let Some(failure) = failure {
                    return Err(failure);
                }
                let descriptor = found.map_err(|source| DiffError::Oci { name: self.name.clone(), source })?;
                let bytes = self.document(&descriptor)?;
                Ok(Root { descriptor, bytes, made_up: false })
            }
        }
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, DiffError> {
        if descriptor.size > self.limits.document {
            let what = format!("{} of {}", descriptor.media_type, self.name);
            return Err(DiffError::Limit { what, limit: self.limits.document, unit: "bytes" });
        }
        let blob = self.blob(descriptor)?;
        let mut bytes = Vec::new();
        let limit = descriptor.size.saturating_add(1);
        blob.take(limit).read_to_end(&mut bytes).map_err(DiffError::io(format!("reading {}", self.name)))?;
        check(&self.name, descriptor, bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, DiffError> {
        match &self.form {
            Form::Layout(_) => self.file(&path_of(descriptor)),
            Form::Docker { blobs, .. } => blobs
                .get(&descriptor.digest)
                .cloned()
                .ok_or_else(|| self.no_image(&format!("{} is missing in it", descriptor.digest))),
        }
    }
}

fn path_of(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

/// The archive itself, or an unlinked temporary file with what it unpacks to.
fn unpacked(name: &str, archive: Blob, limits: &Limits) -> Result<Blob, DiffError> {
    let mut decoder = Decoder::new(archive.clone(), limits.zstd_window)?;
    if decoder.is_plain() {
        return Ok(archive);
    }
    let writing = || DiffError::io(format!("unpacking {name} to a temporary file"));
    let mut file = tempfile::tempfile().map_err(writing())?;
    let (mut chunk, mut total) = (vec![0; compression::CHUNK], 0_u64);
    loop {
        let count = decoder.read(&mut chunk).map_err(|error| error.about(name))?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        total += count as u64;
        if total > limits.spool {
            return Err(DiffError::Limit { what: format!("{name}, unpacked,"), limit: limits.spool, unit: "bytes" });
        }
        file.write_all(read).map_err(writing())?;
    }
    Blob::whole(file)
}

/// Where each file of the archive is. Of two of one name, the later one counts, as when it is unpacked.
fn list(name: &str, archive: &Blob, limits: &Limits) -> Result<HashMap<String, Found>, DiffError> {
    let mut walker = Walker::new(crate::archive::FileInput::new(archive.clone()), limits, name);
    let mut files = HashMap::new();
    loop {
        // Not the archive's fault if it is no archive at all.
        let entry = match walker.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(DiffError::Malformed { why, .. }) if files.is_empty() => {
                return Err(DiffError::NotAnImage { name: name.to_owned(), why });
            }
            Err(error) => return Err(error),
        };
        let Some(found) = found(&entry, walker.data_offset()) else { continue };
        files.insert(String::from_utf8_lossy(entry.key()).into_owned(), found);
        if files.len() > MAX_FILES {
            return Err(DiffError::Limit { what: name.to_owned(), limit: MAX_FILES as u64, unit: "files" });
        }
    }
    Ok(files)
}

fn found(entry: &Entry, offset: u64) -> Option<Found> {
    let target = || String::from_utf8_lossy(&entry.link).into_owned();
    match entry.kind {
        b'0' | b'7' => Some(Found::File(offset, entry.size)),
        b'1' => Some(Found::Link(target().trim_start_matches("./").to_owned())),
        // Relative to its own directory: `../<layer>/layer.tar`.
        b'2' => {
            let key = String::from_utf8_lossy(entry.key()).into_owned();
            let mut parts: Vec<String> = key.split('/').map(str::to_owned).collect();
            parts.pop();
            for part in target().split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part.to_owned()),
                }
            }
            Some(Found::Link(parts.join("/")))
        }
        _ => None,
    }
}

/// What a blob without a descriptor is.
fn described(blob: Blob) -> Result<Descriptor, DiffError> {
    let size = blob.length();
    let mut reader = BufReader::with_capacity(compression::CHUNK, blob);
    let start = io::BufRead::fill_buf(&mut reader).map_err(DiffError::io("reading a layer"))?;
    let media_type = match compression::magic(start) {
        Some(compression::Algorithm::Gzip) => IMAGE_LAYER_GZIP,
        Some(compression::Algorithm::Zstd) => LAYER_ZSTD,
        None => LAYER_TAR,
    };
    let mut hasher = Sha256::new();
    loop {
        let read = io::BufRead::fill_buf(&mut reader).map_err(DiffError::io("reading a layer"))?;
        if read.is_empty() {
            break;
        }
        hasher.update(read);
        let count = read.len();
        io::BufRead::consume(&mut reader, count);
    }
    let mut descriptor = Descriptor::of(media_type, b"");
    (descriptor.size, descriptor.digest) = (size, Digest::from_bytes(hasher.finalize().into()));
    Ok(descriptor)
}
