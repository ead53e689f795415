//! An image in a registry, for comparisons: manifests at once, layers only when they are asked for.

use std::{
    collections::HashMap,
    fs::{self, File},
    sync::Mutex,
};

use csign_diff::{Blob, DiffError, Limits, Root, Source};
use csign_oci::{Descriptor, Digest, Pinned};
use csign_registry::{Client, FetchedManifest, Progress, TagOrDigest};
use tokio::runtime::Handle;

use crate::failure::Failure;

/// An image in a registry. Its layers go to unlinked temporary files, once each, after size and digest were checked.
pub(crate) struct RegistrySource {
    name: String,
    client: Client,
    image: Pinned,
    root: FetchedManifest,
    limits: Limits,
    runtime: Handle,
    fetched: Mutex<HashMap<Digest, Blob>>,
}

impl RegistrySource {
    /// Fetches the image's manifest. It must be used on other threads than the runtime's.
    pub(crate) async fn open(client: Client, image: Pinned, limits: Limits) -> Result<Self, Failure> {
        let reference = TagOrDigest::Digest(image.digest);
        let root = client.manifest(&image.repository, &reference).await?.ok_or_else(|| {
            Failure::could_not_check(format_args!("{} has no manifest {}", image.repository, image.digest))
                .hint("csign digest shows what a tag names now")
        })?;
        let name = image.to_string();
        Ok(Self { name, client, image, root, limits, runtime: Handle::current(), fetched: Mutex::default() })
    }

    fn fetch(&self, descriptor: &Descriptor) -> Result<Blob, DiffError> {
        let failed = |source| DiffError::Io { doing: format!("fetching a layer of {}", self.name), source };
        if descriptor.size > self.limits.spool {
            let what = format!("{} of {}", descriptor.digest, self.name);
            return Err(DiffError::Limit { what, limit: self.limits.spool, unit: "bytes" });
        }
        let directory = tempfile::tempdir().map_err(failed)?;
        let path = directory.path().join("blob");
        let silent = Progress::none();
        let fetching = self.client.blob_to_file(&self.image.repository, descriptor, &path, &silent);
        self.runtime.block_on(fetching).map_err(|error| source(&error))?;
        let file = File::open(&path).map_err(failed)?;
        fs::remove_file(&path).map_err(failed)?;
        Blob::whole(file)
    }
}

impl Source for RegistrySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn root(&self) -> Result<Root, DiffError> {
        Ok(Root { descriptor: self.root.descriptor(), bytes: self.root.bytes.clone(), made_up: false })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, DiffError> {
        if descriptor.size > self.limits.document {
            let what = format!("{} of {}", descriptor.media_type, self.name);
            return Err(DiffError::Limit { what, limit: self.limits.document, unit: "bytes" });
        }
        let repository = &self.image.repository;
        if descriptor.media_type.contains("manifest") || descriptor.media_type.contains("index") {
            let reference = TagOrDigest::Digest(descriptor.digest);
            let found = self.runtime.block_on(self.client.manifest(repository, &reference));
            return match found.map_err(|error| source(&error))? {
                Some(manifest) => Ok(manifest.bytes),
                None => Err(DiffError::Source {
                    message: format!("{repository} has no manifest {}", descriptor.digest),
                    hint: "the index names it, but the registry does not hold it; fetch or push it again".to_owned(),
                }),
            };
        }
        self.runtime.block_on(self.client.blob(repository, descriptor)).map_err(|error| source(&error))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, DiffError> {
        let known =
            |fetched: &Mutex<HashMap<Digest, Blob>>| Some(fetched.lock().ok()?.get(&descriptor.digest)?.clone());
        if let Some(blob) = known(&self.fetched) {
            return Ok(blob);
        }
        let blob = self.fetch(descriptor)?;
        if let Ok(mut fetched) = self.fetched.lock() {
            fetched.insert(descriptor.digest, blob.clone());
        }
        Ok(blob)
    }
}

fn source(error: &csign_registry::Error) -> DiffError {
    DiffError::Source { message: error.to_string(), hint: error.hint().to_owned() }
}
